"""The chapter's models on every backend: values, gradients and state equal to the NumPy reference in float64."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import float64_works, load_backend, selected_backends

import unimodule as um
from unimodule import nn, ops, optim

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = {"float32": 5e-6, "float64": 1e-12}
"""Largest error, relative to the largest element of what is compared."""


def _load_example(name: str):
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


chapter = _load_example("chapter")
X = chapter.inputs()


def assert_close(got, want, dtype, what):
    got, want = np.asarray(got, "float64"), np.asarray(want, "float64")
    assert got.shape == want.shape, f"{what} has shape {got.shape}, expected {want.shape}"
    error, size = np.abs(got - want).max(initial=0.0), np.abs(want).max(initial=0.0)
    assert error <= TOLERANCE[dtype] * size, (
        f"{what} is off by {error:.3g}, its largest element is {size:.3g}"
    )


def values(net):
    return {name: um.to_numpy(tensor) for name, tensor in net.state_dict().items()}


def trained_once(net, dtype):
    """Output, gradients of parameters and input, and state after one step of SGD."""
    x = X.astype(dtype)
    out = um.to_numpy(net(x))
    loss, (of_net, of_input) = um.value_and_grad(chapter.loss_fn, argnums=(0, 1))(net, x)
    optim.SGD(net.parameters(), lr=0.1).step(of_net)
    gradients = {name: um.to_numpy(g) for name, g in of_net.items()} | {"(input)": um.to_numpy(of_input)}
    return out, ops.item(loss), gradients


# ---------------------------------------------------------------------- the models
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", chapter.MODELS)
def test_a_model_equals_the_reference(name, backend, dtype):
    if dtype == "float64" and not float64_works(backend):
        pytest.skip(f"{backend} computes in 32 bits in this process")
    net = chapter.MODELS[name]().initialize(seed=0).to(backend, dtype=dtype)
    net(X.astype(dtype))  # lazy layers have their values now
    reference = net.clone().to("numpy", dtype="float64")  # the very same numbers
    constants = [c.numpy() for c in net.constants()]

    out, loss, gradients = trained_once(net, dtype)
    want_out, want_loss, want_gradients = trained_once(reference, "float64")

    assert_close(out, want_out, dtype, f"output of {name}")
    assert_close(loss, want_loss, dtype, f"loss of {name}")
    assert list(gradients) == list(want_gradients) == [n for n, _ in net.named_parameters()] + ["(input)"]
    for key, want in want_gradients.items():
        assert np.abs(want).max() > 0, f"{key} takes part in every model"
        assert_close(gradients[key], want, dtype, f"gradient of {key} in {name}")
    after, want_after = values(net), values(reference)
    assert list(after) == list(want_after)
    for key, want in want_after.items():
        assert_close(after[key], want, dtype, f"{key} of {name} after a step")
    for constant, before in zip(net.constants(), constants, strict=True):
        np.testing.assert_array_equal(constant.numpy(), before)


@pytest.mark.parametrize(
    "name", ["sequential from a list", "sequential by adding", "custom MLP", "hand-written sequential"]
)
def test_the_perceptron_is_the_same_however_it_is_written(name, backend):
    first = chapter.sequential_from_arguments().initialize(seed=3).to(backend)
    other = chapter.MODELS[name]().initialize(seed=3).to(backend)
    np.testing.assert_array_equal(um.to_numpy(first(X)), um.to_numpy(other(X)))
    assert um.to_numpy(other(X)).shape == (2, 10)


@pytest.mark.parametrize("build", [chapter.FixedHiddenMLP, chapter.FancyMLP])
def test_a_layer_used_twice_has_one_set_of_parameters(build, backend):
    net = build().initialize(seed=0).to(backend)
    net(X)
    assert [p.name for p in net.parameters()] == ["linear.weight", "linear.bias"]
    assert [c.name for c in net.constants()] == ["rand_weight"]
    assert list(net.state_dict()) == ["rand_weight", "linear.weight", "linear.bias"]


@pytest.mark.parametrize("build", [chapter.FixedHiddenMLP, chapter.FancyMLP])
def test_control_flow_follows_the_values(build, backend):
    """Inputs of very different sizes take the loop a different number of times, the branch or not: the sum stays small."""
    net = build().initialize(seed=0).to(backend)
    net(X)
    reference = net.clone().to("numpy", dtype="float64")
    for scale in (1e-3, 1.0, 1e3):
        x = X * np.float32(scale)
        assert_close(
            um.to_numpy(net(x)), reference(x.astype("float64")), "float32", f"output at scale {scale}"
        )


def test_ties_and_constants_survive_copies_moves_and_files(backend, tmp_path):
    net = chapter.chimera().initialize(seed=0).to(backend)
    want = um.to_numpy(net(X))
    um.save(net, tmp_path / "chimera.safetensors")
    fresh = chapter.chimera().to(backend)
    um.load(fresh, tmp_path / "chimera.safetensors")
    for other in (net.clone(), fresh, net.clone().to("numpy").to(backend)):
        np.testing.assert_array_equal(um.to_numpy(other(X)), want)
        assert [p.name for p in other.parameters()] == [p.name for p in net.parameters()]
        np.testing.assert_array_equal(um.to_numpy(other[2].rand_weight), um.to_numpy(net[2].rand_weight))


def test_the_chimera_nests_all_kinds(backend):
    net = chapter.chimera().initialize(seed=0).to(backend)
    assert um.to_numpy(net(X)).shape == ()
    assert [type(m).__name__ for m in net.children()] == ["NestMLP", "Linear", "FixedHiddenMLP"]
    assert net.get_submodule("0.net.2") is net[0].net[2]


def test_the_script_runs(capsys, monkeypatch, backend):
    monkeypatch.setattr(sys, "argv", ["chapter.py", "--backend", backend])
    assert chapter.main() == 0
    shown = capsys.readouterr().out
    assert all(f"{name}, on {backend}" in shown for name in chapter.MODELS)


# ---------------------------------------------------------------------- the exercises
class Forgetful(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(20, 3)

    def forward(self, x):
        return self.linear(x)


class ForgetfulWithoutParts(nn.Module):
    def __init__(self):
        self.factor = 2

    def forward(self, x):
        return x * self.factor


class Listed(nn.Module):
    """Keeps its layers where nobody finds them, as one may be tempted to."""

    def __init__(self, keep=list):
        super().__init__()
        self.layers = keep([nn.Linear(20, 20), nn.Linear(20, 2)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def test_a_forgotten_super_init_says_so(backend):
    with pytest.raises(um.ModuleError, match=r"super\(\).__init__\(\) first in Forgetful.__init__"):
        Forgetful()
    with pytest.raises(um.ModuleError, match=r"ForgetfulWithoutParts.*super\(\).__init__\(\)"):
        ForgetfulWithoutParts().to(backend)
    with pytest.raises(um.ModuleError, match=r"super\(\).__init__\(\)"):
        ForgetfulWithoutParts()(ops.asarray(X, backend=backend))


@pytest.mark.parametrize("keep", [list, tuple, lambda layers: dict(enumerate(layers))])
def test_modules_in_a_plain_list_are_refused_with_the_way_out(keep, backend):
    with pytest.raises(um.ModuleError, match=r"Listed\.layers.*nn\.ModuleList"):
        Listed(keep).to(backend)
    with um.use_backend(backend), pytest.raises(um.ModuleError, match=r"Listed\.layers.*nn\.ModuleList"):
        Listed(keep)(X)
    net = Listed(nn.ModuleList).to(backend)
    assert um.to_numpy(net(X)).shape == (2, 2)
    assert len(list(net.parameters())) == 4


def test_parallel_concatenates_its_nets(backend):
    left, right = nn.Linear(20, 3), chapter.MLP()
    net = nn.Parallel(left, right, axis=-1).initialize(seed=0).to(backend)
    got = um.to_numpy(net(X))
    np.testing.assert_array_equal(got, np.concatenate([um.to_numpy(left(X)), um.to_numpy(right(X))], axis=-1))
    with pytest.raises(um.ShapeError):
        nn.Parallel(nn.Linear(20, 3), nn.Linear(20, 4), axis=0).to(backend)(X)


def test_the_factory_makes_blocks_of_their_own(backend):
    net = nn.repeat(lambda: nn.Sequential(nn.Linear(20, 20), nn.Tanh()), 3).initialize(seed=0).to(backend)
    assert [p.name for p in net.parameters()] == [
        f"{i}.0.{kind}" for i in range(3) for kind in ("weight", "bias")
    ]
    weights = [um.to_numpy(block[0].weight) for block in net]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])
    shared = nn.Linear(20, 20)
    with pytest.raises(um.ArgumentError, match="twice"):
        nn.repeat(lambda: shared, 2)


class Reading(nn.Module):
    """Halves its input until its sum is at most 1; ``read`` is how the sum is read before the comparison."""

    def __init__(self, read):
        super().__init__()
        self.read = read
        self.weight = nn.Parameter(np.full(20, 0.5))

    def forward(self, x):
        x = x * self.weight
        while self.read(ops.sum(ops.abs(x))) > 1:
            x = x / 2
        if self.read(ops.sum(x)) < 0.8:
            x = x * 3
        return ops.sum(x)


@pytest.mark.parametrize("read", [ops.item, lambda total: total], ids=["item", "not at all"])
def test_a_value_read_out_before_a_comparison_or_not(read, backend):
    """One answer, in a plain call and under a gradient, whether the tensor or its number is compared."""
    net = Reading(read).to(backend)
    reference = Reading(ops.item).to("numpy", dtype="float64")
    loss, gradients = um.value_and_grad(lambda net, x: net(x))(net, X)
    want, want_gradients = um.value_and_grad(lambda net, x: net(x))(reference, X.astype("float64"))
    assert_close(ops.item(net(X)), ops.item(want), "float32", "output")
    assert_close(ops.item(loss), ops.item(want), "float32", "loss")
    assert_close(um.to_numpy(gradients["weight"]), want_gradients["weight"], "float32", "gradient")


def test_float_reads_a_value_outside_a_gradient(backend):
    """Inside one, frameworks differ (PyTorch warns, JAX refuses): ``ops.item`` is what reads a value everywhere."""
    net = Reading(ops.item).to(backend).requires_grad_(False)
    assert float(net(X)) == ops.item(net(X))


# ---------------------------------------------------------------------- all at once, and the demo
def test_nets_of_one_class_on_every_framework_live_in_one_process():
    """All are alive and trained in turns; every one parts from the float64 reference by rounding only."""
    names = selected_backends()
    for name in names:
        load_backend(name)
    seed = chapter.NestMLP().initialize(seed=5).to("numpy")
    seed(X)
    target = np.random.default_rng(1).normal(size=(2, 16)).astype("float32")
    nets = {name: seed.clone().to(name) for name in names}
    nets["reference"] = seed.clone().to("numpy", dtype="float64")
    optimizers = {name: optim.Adam(net.parameters(), lr=1e-2) for name, net in nets.items()}
    step = um.value_and_grad(lambda net, x, y: nn.functional.mse_loss(net(x), y))

    losses = {name: [] for name in nets}
    for _ in range(10):
        for name, net in nets.items():
            loss, gradients = step(net, X, target)
            optimizers[name].step(gradients)
            losses[name].append(ops.item(loss))

    want = values(nets.pop("reference"))
    reference = losses.pop("reference")
    assert reference[-1] < 0.5 * reference[0]
    assert [net.backend for net in nets.values()] == names
    for name, net in nets.items():
        assert {um.backend_of(p.data) for p in net.parameters()} == {name}
        np.testing.assert_allclose(losses[name], reference, rtol=1e-4, err_msg=name)
        for key, value in values(net).items():
            np.testing.assert_allclose(
                value, want[key], rtol=0, atol=1e-4 * np.abs(want[key]).max(), err_msg=name
            )


@pytest.mark.slow
def test_the_demo_runs_for_a_fraction_of_its_epochs(tmp_path):
    """On the reference and one framework. Too short for its accuracy goal, which it must then say."""
    pytest.importorskip("sklearn", reason="the demo's data are scikit-learn's")
    pytest.importorskip("matplotlib", reason="the demo draws loss curves")
    framework = next((name for name in selected_backends() if name != "numpy"), "numpy")
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--backends", framework]
    options = ["--models", "MLP", "--epochs-scale", "0.05", "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    assert "MLP: the same weights, the same batches" in done.stdout, done.stdout + done.stderr
    assert "deviate" not in done.stdout, done.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"loss_curves.png", "results.json"}
