"""The example adapter of docs/adapters.md: found by its entry point, registered by hand, and right where it claims to be."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unimodule.backend import OPTIONAL, REQUIRED

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "minimal_adapter"

TRAIN = """
import numpy as np
import unimodule as um
from unimodule import nn, ops, optim

assert not loaded(), "nothing imports the framework before it is used"
x = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
y = np.arange(8) % 3

def loss_fn(net, x, y):
    return nn.functional.cross_entropy(net(x), y)

def trained(net):
    optimizer, losses = None, []
    for _ in range(30):
        loss, gradients = um.value_and_grad(loss_fn)(net, x, y)
        optimizer = optimizer or optim.Adam(net.parameters(), lr=0.03)
        optimizer.step(gradients)
        losses.append(ops.item(loss))
    return losses

def build():
    blocks = nn.Parallel(nn.LazyLinear(8), nn.Sequential(nn.LazyLinear(8), nn.LayerNorm(8)))
    return nn.Sequential(blocks, nn.ReLU(), nn.Dropout(0.5).eval(), nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(3))

net = build().initialize(seed=0).to("minitensor")
net.eval()(x)
assert um.backend_of(net(x)) == "minitensor" and loaded()
reference = net.clone().to("numpy", dtype="float64")
got, want = trained(net), trained(reference)
assert want[-1] < 0.5 * want[0], want
np.testing.assert_allclose(got, want, rtol=1e-4)
for name, value in reference.state_dict().items():
    np.testing.assert_allclose(um.to_numpy(net.state_dict()[name]), value, rtol=0, atol=2e-3, err_msg=name)

try:
    ops.sin(net(x))
except um.NotSupportedError as error:
    assert "minitensor" in str(error) and "sin" in str(error), error
else:
    raise AssertionError("what an adapter leaves out is an error")
try:
    um.grad(lambda a: ops.sum(um.grad(lambda b: ops.sum(b * b))(a)))(ops.ones((2,), like=net(x)))
except um.NotSupportedError as error:
    assert "gradients of gradients" in str(error)
else:
    raise AssertionError("gradients of gradients are declared unsupported")
print("trained")
"""
LOADED = "import sys\ndef loaded(): return 'minitensor' in sys.modules\n"


def run(program: str, *paths: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    done = subprocess.run(
        [sys.executable, "-c", LOADED + program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def entry_points() -> str:
    """The entry points of its pyproject.toml, as an installer writes them."""
    import tomllib

    project = tomllib.loads((FOLDER / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    return "\n".join(lines) + "\n"


def test_an_installed_adapter_is_found_by_its_entry_point(tmp_path):
    """A folder on the path with the package's metadata is what pip leaves behind."""
    metadata = tmp_path / "unimodule_minitensor-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unimodule-minitensor\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points())
    listed = "import unimodule as um\n[row] = [b for b in um.backends() if b.name == 'minitensor']\n"
    listed += "assert row.installed and row.version == '0.1.0' and not row.default, row\n"
    assert "trained" in run(listed + TRAIN, FOLDER, tmp_path)


def test_it_can_be_registered_by_hand():
    register = (
        "import unimodule as um\nfrom unimodule import registry\nfrom unimodule_minitensor import INFO\n"
    )
    register += "assert 'minitensor' not in [b.name for b in um.backends()]\nregistry.register(INFO)\n"
    assert "trained" in run(register + TRAIN, FOLDER)


def test_a_missing_framework_is_explained(tmp_path):
    (tmp_path / "unimodule_minitensor").symlink_to(FOLDER / "unimodule_minitensor")
    program = """
import unimodule as um
from unimodule import registry
from unimodule_minitensor import INFO
registry.register(INFO)
try:
    um.set_backend("minitensor")
except um.BackendNotInstalledError as error:
    print(error)
"""
    assert "run: pip install examples/minimal_adapter" in run(program, tmp_path)


# ---------------------------------------------------------------------- against the contract's own cases
@pytest.fixture(scope="module")
def minitensor():
    sys.path.insert(0, str(FOLDER))
    try:
        from unimodule_minitensor.adapter import MinitensorBackend
    finally:
        sys.path.remove(str(FOLDER))
    return MinitensorBackend()


def test_every_required_op_is_there_or_declared(minitensor):
    assert minitensor.functions.keys() | minitensor.unsupported == REQUIRED.keys() | (
        minitensor.functions.keys() & OPTIONAL.keys()
    )
    assert not minitensor.functions.keys() & minitensor.unsupported


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_ops_that_it_has_pass_the_contracts_cases(minitensor, dtype):
    pytest.importorskip("torch", reason="torch is the oracle")
    from adapters import cases_core
    from adapters.harness import check
    from adapters.oracles import ORACLES

    cases = [c for c in cases_core.CASES if c.name in minitensor.functions]
    assert {c.name for c in cases} == minitensor.functions.keys()
    failed = {}
    for case in cases:
        try:
            check(minitensor, case, dtype, case.oracle or ORACLES[case.name])
        except pytest.skip.Exception as refused:
            assert case.name == "astype", refused
        except Exception as error:
            failed[f"{case.name} {case.tag}"] = error
    assert not failed, "\n".join(f"{name}: {error}" for name, error in failed.items())
