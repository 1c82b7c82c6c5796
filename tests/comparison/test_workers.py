"""Backends under other interpreters: what travels, and what becomes of workers that do not come back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.comparison import wire
from unimodule.comparison.origin import origin
from unimodule.comparison.places import Place, parse_place
from unimodule.comparison.portrait import Decoder, Encoder

from .doomed import Config, Doomed, Everything, mean_square

X = np.random.default_rng(3).normal(size=(4, 3)).astype("float32")
HERE = f"numpy@{sys.executable}"


def quick(net: Any, *inputs: Any, **options: Any) -> Any:
    return um.compare(net, *inputs, **{"modes": "eager", "repeats": 0, **options})


# ---------------------------------------------------------------------- places
def test_places() -> None:
    python = sys.executable
    assert parse_place("numpy") == Place("numpy", "numpy")
    assert parse_place("numpy:gpu:1") == Place("numpy:gpu:1", "numpy", "gpu:1")
    assert parse_place(HERE) == Place(HERE, "numpy", "cpu", python)
    assert parse_place(f"numpy-old={python}") == Place("numpy-old", "numpy", "cpu", python)
    with pytest.raises(um.UnknownBackendError, match="old-numpy"):
        parse_place(f"old-numpy={python}")


# ---------------------------------------------------------------------- it works
def test_a_worker_gives_what_this_process_gives(backend: str) -> None:
    um.seed(0)
    net = Everything(Config(5))
    options = {"loss": mean_square, "target": np.ones((4, 5), "float32"), "steps": 2}
    report = quick(net, X, backends=[backend, f"{backend}-worker={sys.executable}"], **options)
    assert report.ok, report
    here, there = report.rows
    assert there.interpreter == sys.executable and there.version == here.version
    assert there.versions["numpy"] == np.__version__
    assert [t.name for m in there.modes for t in m.tensors] == [t.name for m in here.modes for t in m.tensors]
    assert [r.path for r in there.layers] == [r.path for r in here.layers]
    assert max(pair.conditioned or 0 for pair in report.pairs) < 16


def test_a_net_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "neighbour_of_net.py").write_text("width = 4\n")
    (tmp_path / "main_net.py").write_text(
        "import sys\n"
        "import numpy as np\n"
        "import unimodule as um\n"
        "from neighbour_of_net import width\n"
        "from unimodule import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Linear(3, width), nn.Tanh())\n"
        "if __name__ == '__main__':\n"
        "    x = np.ones((2, 3), 'float32')\n"
        "    report = um.compare(Net(), x, backends='numpy@' + sys.executable, modes='eager', repeats=1)\n"
        "    print(report.ok, report.rows[0].status, report.rows[0].message)\n"
    )
    done = subprocess.run(
        [sys.executable, "main_net.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True ok \n", done.stdout + done.stderr


# ---------------------------------------------------------------------- it does not
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ("killed", "crashed", "ended by SIGKILL: last words"),
        ("segfault", "crashed", "ended by SIGSEGV: Fatal Python error: Segmentation fault"),
        ("hangs", "timeout", "no answer within 6 s"),
        ("memory", "out of memory", "MemoryError: Unable to allocate 1.00 EiB"),
        ("exits", "failed", "last words"),
    ],
)
def test_a_worker_that_does_not_come_back_is_a_row(how: str, status: str, message: str) -> None:
    report = quick(Doomed(how), X, backends=[f"numpy-doomed={sys.executable}", "numpy"], timeout=6.0)
    row, other = report.rows
    assert row.status == status and message in row.message and not row.ok
    assert other.ok and len(other.layers) == 6 and not report.ok
    assert f"numpy-doomed {status}" in str(report)
    # what it sent before is there
    assert row.version == np.__version__
    assert json.loads(json.dumps(report.to_dict())) == report.to_dict()


def test_interpreters_that_cannot_run_it(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    bare = tmp_path / "bare" / "bin" / "python"
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho no such thing >&2\nexit 7\n")
    broken.chmod(0o755)
    places = [f"numpy-bare={bare}", f"numpy-broken={broken}", "numpy-true=/bin/true", "numpy"]
    report = quick(nn.Linear(3, 2), X, backends=places)
    first, second, third, last = report.rows
    assert first.status == "failed" and "-m pip install numpy safetensors ml_dtypes" in first.message
    assert second.status == "failed" and second.message == "no such thing"
    assert third.status == "crashed" and "without an answer" in third.message
    assert last.ok


def test_what_a_worker_has_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not its PYTHONPATH: that may hold packages of another Python."""
    (tmp_path / "numpy.py").write_text("raise ImportError('the wrong numpy')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert quick(nn.Linear(3, 2), X, backends=HERE).ok


# ---------------------------------------------------------------------- what cannot travel
class Holder(nn.Module):
    def __init__(self, thing: Any) -> None:
        super().__init__()
        self.thing = thing

    def forward(self, x: Any) -> Any:
        return x * 1.0


def test_what_a_worker_cannot_import_is_an_error_that_says_so() -> None:
    class Local(nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 1.0

    cases = {
        "Holder.thing is test_what_a_worker_cannot_import_is_an_error_that_says_so.<locals>.<lambda>": Holder(
            lambda x: x
        ),
        "Holder.thing is a object, which a worker": Holder(object()),
        "can import neither lambdas nor what is defined inside a function": Local(),
    }
    for message, net in cases.items():
        with pytest.raises(um.ArgumentError) as caught:
            quick(net, X, backends=HERE)
        assert message in str(caught.value)
    with pytest.raises(um.ArgumentError, match=r"case\.loss is"):
        quick(nn.Linear(3, 2), X, backends=HERE, loss=lambda y: ops.mean(y))


def test_origins() -> None:
    assert origin(np.tanh, "f")["module"] == "numpy" and origin(os.getpid, "f")["folder"] is None
    place = origin(Doomed, "f")
    assert place["name"] == "Doomed" and "folder" in place
    assert Path(place["folder"]) in Path(__file__).parents


def test_a_net_made_again_is_the_same() -> None:
    net = Everything(Config(5)).to("numpy")
    net(X)
    encoder = Encoder()
    data = json.loads(json.dumps(encoder.encode(net, "net")))
    again = Decoder(encoder.arrays).decode(data).to("numpy")
    assert repr(again) == repr(net) and type(again) is Everything
    assert [n for n, _ in again.named_variables()] == [n for n, _ in net.named_variables()]
    for (name, a), (_, b) in zip(again.named_variables(), net.named_variables(), strict=True):
        assert type(a) is type(b) and a.requires_grad == b.requires_grad, name
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert again.tied.parameter("weight") is again.second.parameter("weight")
    assert again.parts[0][1] is again.second and again.kind is np.float32
    np.testing.assert_array_equal(again(X), net(X))


def test_messages(tmp_path: Path) -> None:
    import ml_dtypes

    arrays = [np.full((), 2.5, "float32"), np.arange(6).reshape(2, 3).T, np.zeros((0, 2)), np.array([True])]
    arrays.append(np.ones(3, ml_dtypes.bfloat16))
    path = tmp_path / "messages"
    with open(path, "wb") as file:
        wire.write(file, {"a": 1}, arrays)
        wire.write(file, {"b": [None]})
    with open(path, "rb") as file:
        message, found = wire.read(file) or ({}, [])
        assert message == {"a": 1} and len(found) == len(arrays)
        for a, b in zip(found, arrays, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            np.testing.assert_array_equal(a, b)
        assert wire.read(file) == ({"b": [None]}, []) and wire.read(file) is None
    path.write_bytes(path.read_bytes()[:40])
    with open(path, "rb") as file, pytest.raises(EOFError):
        wire.read(file)


def test_messages_to_one_that_is_gone(tmp_path: Path) -> None:
    """Whoever stops a worker closes its streams, maybe before all has been written to them."""
    with open(tmp_path / "closed", "wb") as file:
        pass
    with pytest.raises(BrokenPipeError, match="closed"):
        wire.write(file, {"a": 1}, [np.zeros(3, "float32")])
