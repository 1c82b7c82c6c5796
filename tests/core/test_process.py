"""What a process of its own must show: imports, and life with NumPy alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

FRAMEWORKS = (
    "torch",
    "tensorflow",
    "jax",
    "jaxlib",
    "mxnet",
    "keras",
    "autograd",
    "ml_dtypes",
    "safetensors",
    "rich",
    "click",
)

BLOCK = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "tensorflow", "jax", "jaxlib", "mxnet", "keras"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocked())
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name in {"torch", "tensorflow", "jax", "mxnet"} else find_spec(name, package))
"""


def run(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_imports_no_framework():
    code = (
        "import sys, time, json, numpy\n"
        "start = time.perf_counter()\n"
        "import unimodule\n"
        "seconds = time.perf_counter() - start\n"
        f"print(json.dumps([sorted(set(sys.modules) & set({FRAMEWORKS!r})), seconds]))\n"
    )
    imported, seconds = json.loads(run(code))
    assert imported == []
    print(f"import unimodule: {seconds:.3f} s beyond NumPy")


def test_building_a_net_and_looking_around_imports_no_framework():
    code = (
        "import sys, unimodule as um\n"
        "from unimodule import nn, ops\n"
        "net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 2)).initialize(seed=0)\n"
        "repr(net), um.backends(), um.current_backend(), list(net.parameters()), net.clone()\n"
        f"print(sorted(set(sys.modules) & set({FRAMEWORKS[:6]!r})))\n"
    )
    assert run(code) == "[]"


def test_only_the_backend_in_use_is_imported():
    code = (
        "import sys, numpy as np, unimodule as um\n"
        "net = um.nn.Sequential(um.nn.Linear(3, 4), um.nn.ReLU()).to('numpy')\n"
        "net(np.ones((2, 3), 'float32')); um.summary(net, np.ones((2, 3)))\n"
        "um.value_and_grad(lambda n, x: um.ops.sum(n(x)))(net, np.ones((2, 3), 'float32'))\n"
        f"print(sorted(set(sys.modules) & set({FRAMEWORKS[:6]!r})))\n"
    )
    assert run(code) == "[]"


def test_numpy_alone():
    code = (
        BLOCK
        + """
import numpy as np, unimodule as um
from unimodule import nn, ops
assert um.current_backend() == "numpy"
assert [b.name for b in um.backends() if b.installed] == ["numpy"], um.backends()
um.seed(0)
net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(3))
x = np.ones((4, 5))
y = net(x)
assert net.backend == "numpy" and y.shape == (4, 3) and y.dtype == np.float32
loss, grads = um.value_and_grad(lambda n, x: ops.mean(n(x) ** 2))(net, x)
assert sorted(grads) == ["0.bias", "0.weight", "2.bias", "2.weight"]
conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
assert conv(np.ones((2, 1, 4, 4), "float32")).shape == (2, 2)
try:
    net.to("torch")
except um.BackendNotInstalledError as error:
    assert "pip install" in str(error)
else:
    raise AssertionError
print("done")
"""
    )
    assert run(code) == "done"


@pytest.mark.parametrize("name", ["numpy"])
def test_the_environment_chooses(name):
    code = "import unimodule as um; print(um.current_backend(), um.backend_of(um.ops.zeros((1,))))"
    assert run(code, UNIMODULE_BACKEND=name) == "numpy numpy"


def test_first_use_from_many_threads_loads_once():
    code = (
        "import threading, numpy as np, unimodule as um\n"
        "from unimodule import registry\n"
        "net = um.nn.Sequential(um.nn.LazyLinear(4), um.nn.LazyLinear(2))\n"
        "out, gate = [], threading.Barrier(8)\n"
        "def work():\n"
        "    gate.wait()\n"
        "    with um.use_backend('numpy'):\n"
        "        out.append(net(np.ones((1, 3), 'float32')))\n"
        "threads = [threading.Thread(target=work) for _ in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "assert len(out) == 8 and all(np.array_equal(o, out[0]) for o in out)\n"
        "print(len(registry.loaded()))\n"
    )
    assert run(code) == "1"
