"""Which backend: the default's order, threads and tasks, what is not there, plugins."""

from __future__ import annotations

import asyncio
import importlib.metadata
import sys
import threading
import types

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, registry
from unimodule.backend import BackendInfo

from .models import MLP, batch


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """No default of a test's own outlives it, and no registration either."""
    monkeypatch.setattr(registry, "_default", None)
    monkeypatch.delenv(registry.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(registry, "_infos", dict(registry.infos()))
    monkeypatch.setattr(registry, "_loaded", dict(registry._loaded))
    monkeypatch.setattr(registry, "_failed", dict(registry._failed))
    yield
    registry._by_type.clear()


def made_up(**changes):
    fields = {
        "name": "flux",
        "adapter": "made_up_adapter:Flux",
        "framework": "made_up_flux",
        "distribution": ("made-up-flux",),
        "module_roots": ("made_up_flux",),
        "pip": 'pip install "unimodule[flux]"',
        "priority": 5,
    }
    return BackendInfo(**{**fields, **changes})


@pytest.fixture
def plugin(monkeypatch):
    """A backend that is installed: a framework and an adapter, both modules made here."""
    from unimodule_numpy.adapter import NumpyBackend

    framework = types.ModuleType("made_up_flux")

    class Box:
        def __init__(self, array):
            self.array = array
            self.shape, self.dtype = array.shape, array.dtype

    Box.__module__ = "made_up_flux"
    framework.Box = Box

    class Flux(NumpyBackend):
        info = made_up()

        def is_tensor(self, x):
            return isinstance(x, Box)

        def from_numpy(self, array, dtype, device):
            return Box(super().from_numpy(array, dtype, device))

        def to_numpy(self, x):
            return x.array.copy()

        def variable(self, value, *, trainable):
            return Box(value.array.copy())

        def outlives_trace(self, x):
            return True

    adapter = types.ModuleType("made_up_adapter")
    adapter.Flux = Flux
    monkeypatch.setitem(sys.modules, "made_up_adapter", adapter)
    monkeypatch.setitem(sys.modules, "made_up_flux", framework)
    return Flux


# ---------------------------------------------------------------------- the default
def test_the_order_of_the_default(backend, monkeypatch):
    installed = [n for n in registry.infos() if registry.installed(n)]
    assert um.current_backend() == installed[0]
    monkeypatch.setenv(registry.ENVIRONMENT_VARIABLE, "numpy")
    assert um.current_backend() == "numpy"
    um.set_backend(backend)
    assert um.current_backend() == backend
    with um.use_backend("numpy"):
        assert um.current_backend() == "numpy"
        with um.use_backend(backend):
            assert um.current_backend() == backend
        assert um.current_backend() == "numpy"
    assert um.current_backend() == backend


def test_numpy_comes_last_and_frameworks_in_a_fixed_order():
    assert list(registry.infos())[-1] == "numpy"
    priorities = [i.priority for i in registry.infos().values()]
    assert priorities == sorted(priorities)


def test_the_default_is_where_things_are_made(backend):
    um.set_backend(backend)
    net = MLP()
    assert um.backend_of(net(batch())) == net.backend == backend
    assert um.backend_of(ops.zeros((2,))) == backend


def test_use_backend_ends_with_an_error(backend):
    with pytest.raises(KeyError), um.use_backend("numpy"):
        raise KeyError
    um.set_backend(backend)
    assert um.current_backend() == backend


def test_the_environment_names_nonsense(monkeypatch):
    monkeypatch.setenv(registry.ENVIRONMENT_VARIABLE, "tourch")
    with pytest.raises(um.UnknownBackendError, match="'tourch'"):
        um.current_backend()
    with um.use_backend("numpy"):
        assert um.current_backend() == "numpy"


def test_threads_have_their_own_block_and_share_the_default(backend):
    um.set_backend("numpy")
    inside, seen = threading.Barrier(2, timeout=60), {}

    def one():
        with um.use_backend(backend):
            inside.wait()
            seen["one"] = um.current_backend()
            inside.wait()

    def two():
        inside.wait()
        seen["two"] = um.current_backend()
        inside.wait()

    threads = [threading.Thread(target=f) for f in (one, two)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {"one": backend, "two": "numpy"}
    assert um.current_backend() == "numpy"


def test_tasks_have_their_own_block(backend):
    um.set_backend("numpy")

    async def work(name, started, go):
        with um.use_backend(name):
            started.set()
            await go.wait()
            return um.current_backend()

    async def main():
        started, go = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(work(backend, started, go))
        await started.wait()
        assert um.current_backend() == "numpy"
        second = asyncio.create_task(work("numpy", asyncio.Event(), go))
        go.set()
        return await asyncio.gather(first, second)

    assert asyncio.run(main()) == [backend, "numpy"]


# ---------------------------------------------------------------------- what is not there
USES = [
    um.set_backend,
    lambda n: um.use_backend(n).__enter__(),
    lambda n: MLP().to(n),
    lambda n: ops.zeros((2,), backend=n),
    lambda n: um.convert(np.ones(2), n),
]


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", ["tourch", "Torch", ""])
def test_an_unknown_backend(use, name):
    before = um.current_backend()
    with pytest.raises(um.UnknownBackendError, match=f"no backend is called '{name}'; registered: .*numpy"):
        use(name)
    assert um.current_backend() == before


@pytest.mark.parametrize("use", USES)
def test_a_backend_that_is_not_installed(use):
    registry.register(made_up())
    before = um.current_backend()
    with pytest.raises(
        um.BackendNotInstalledError, match=r'needs made_up_flux.*pip install "unimodule\[flux\]"'
    ) as caught:
        use("flux")
    assert isinstance(caught.value, ImportError)
    assert um.current_backend() == before != "flux"


def test_a_framework_that_does_not_import(monkeypatch, tmp_path):
    (tmp_path / "made_up_broken.py").write_text("raise OSError('libcuda is missing')")
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.register(made_up(framework="made_up_broken", adapter="made_up_broken:Adapter"))
    assert registry.installed("flux")
    with pytest.raises(
        um.BackendNotInstalledError, match=r"installed but does not import: libcuda is missing.*pip install"
    ):
        um.set_backend("flux")


def test_a_backend_of_the_environment_that_is_not_installed(monkeypatch):
    registry.register(made_up())
    monkeypatch.setenv(registry.ENVIRONMENT_VARIABLE, "flux")
    with pytest.raises(um.BackendNotInstalledError, match="pip install"):
        MLP()(batch())


def test_names_that_are_no_strings():
    for name in (None, 3, ["torch"]):
        with pytest.raises(um.UnknownBackendError):
            um.set_backend(name)


# ---------------------------------------------------------------------- the overview
def test_backends(backend):
    registry.register(made_up())
    um.set_backend(backend)
    overview = {b.name: b for b in um.backends()}
    mine = overview[backend]
    assert mine.installed and mine.default and mine.why_not is None
    assert (
        mine.version and mine.version.split("+")[0] == registry.get_backend(backend).version().split("+")[0]
    )
    assert mine.devices[0] == "cpu"
    missing = overview["flux"]
    assert not missing.installed and missing.version is None and missing.devices == []
    assert 'pip install "unimodule[flux]"' in missing.why_not
    assert [b.name for b in um.backends() if b.default] == [backend]


# ---------------------------------------------------------------------- whose tensor
def test_backend_of(backend):
    assert um.backend_of(ops.ones((2,), backend=backend)) == backend
    for x in ([1.0], 1.0, "x", None, MLP()):
        with pytest.raises(um.UnknownBackendError, match="is not a tensor of a registered backend"):
            um.backend_of(x)


def test_objects_of_a_framework_that_are_no_tensors(backend):
    import importlib

    framework = importlib.import_module(registry.info(backend).framework)
    assert registry.find_backend(framework) is None
    assert registry.find_backend(ops.ones((2,), backend=backend).dtype) is None


# ---------------------------------------------------------------------- plugins
def test_a_plugin_from_an_entry_point(monkeypatch, plugin):
    package = types.ModuleType("made_up_package")
    package.INFO = plugin.info
    monkeypatch.setitem(sys.modules, "made_up_package", package)
    real = importlib.metadata.entry_points

    def entry_points(**kwargs):
        assert kwargs == {"group": "unimodule.backends"}
        mine = importlib.metadata.EntryPoint("flux", "made_up_package:INFO", "unimodule.backends")
        broken = importlib.metadata.EntryPoint("broken", "made_up_nowhere:INFO", "unimodule.backends")
        return [*real(**kwargs), mine, broken]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(registry, "_infos", None)
    assert next(iter(registry.infos())) == "flux" == um.current_backend()
    assert "numpy" in registry.infos()
    with pytest.raises(um.UnknownBackendError, match=r"'broken'.*made_up_nowhere"):
        um.set_backend("broken")
    net = nn.Module()
    net.w = nn.Parameter([1.0, 2.0])
    net.to("flux")
    assert type(net.w).__name__ == "Box" and um.backend_of(net.w) == "flux"
    np.testing.assert_array_equal(um.to_numpy(um.convert(net.w, "numpy")), [1, 2])


def test_a_plugin_registered_by_hand(plugin):
    registry.register(plugin.info)
    x = um.convert(np.ones(2, "float32"), "flux")
    assert um.backend_of(x) == "flux"
    net = MLP().to("numpy")
    with pytest.raises(um.BackendMismatchError, match=r"net\.to\('flux'\)"):
        net(x)
    assert net.to("flux").backend == "flux"
    assert net.to("numpy")(batch()).shape == (2, 2)


def test_a_backend_is_seeded_when_it_comes_late(plugin):
    seeds = []
    plugin.seed = lambda self, seed: seeds.append(seed)
    registry.register(plugin.info)
    um.seed(7)
    assert seeds == []
    registry.get_backend("flux")
    assert seeds == [7]
    um.seed(8)
    assert seeds == [7, 8]


def test_registering_again_replaces(plugin):
    registry.register(plugin.info)
    first = registry.get_backend("flux")
    assert registry.get_backend("flux") is first
    registry.register(plugin.info)
    assert registry.get_backend("flux") is not first


# ---------------------------------------------------------------------- other functions for a while
def test_replaced_functions_run_inside_the_block_only(backend):
    adapter = registry.get_backend(backend)
    x = adapter.from_numpy(np.array([-1.0, 2.0], "float32"), "float32", "cpu")
    before, held = adapter.functions, dict(vars(adapter))
    want = adapter.to_numpy(ops.relu(x) + ops.exp(x))
    negative = adapter.functions["negative"]
    with registry.replaced(backend, {"relu": negative, "exp": negative}):
        assert adapter.to_numpy(ops.relu(x)).tolist() == adapter.to_numpy(ops.exp(x)).tolist() == [1, -2]
        with registry.replaced(backend, {"relu": None}):  # the default composition
            assert adapter.to_numpy(ops.relu(x)).tolist() == [0, 2]
        assert adapter.to_numpy(ops.relu(x)).tolist() == [1, -2]
    np.testing.assert_array_equal(adapter.to_numpy(ops.relu(x) + ops.exp(x)), want)
    assert adapter.functions is before and vars(adapter) == held


def test_replaced_functions_reach_the_rules_of_optimisers(backend):
    def moved():
        net = nn.Linear(1, 1, bias=False).to(backend)
        handle = dict(net.named_parameters())["weight"]
        handle.data = np.array([[1.0]], "float32")
        um.optim.SGD(net.parameters(), lr=0.5).step({"weight": handle.data})
        return handle.numpy().item()

    assert moved() == 0.5
    adapter = registry.get_backend(backend)
    if adapter.foreach() is None:
        with registry.replaced(backend, {"add": adapter.functions["subtract"]}):
            assert moved() == 1.5
    assert moved() == 0.5
