"""The command line: what it prints, its exit statuses, and errors in one line."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import unimodule as um
from unimodule import nn, registry
from unimodule.backend import BackendInfo
from unimodule.cli import main
from unimodule.cli._command import InputError
from unimodule.cli._sources import read_inputs

NETS = """
import neighbour
from unimodule import nn, ops

net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 3))
number = 3

class MLP(nn.Module):
    def __init__(self, hidden=4):
        super().__init__()
        self.hidden, self.out = nn.LazyLinear(hidden), nn.LazyLinear(2)

    def forward(self, x):
        return self.out(ops.tanh(self.hidden(x)))

class Needy(nn.Module):
    def __init__(self, sizes):
        super().__init__()

def text():
    return nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 2))
"""


@pytest.fixture
def nets(tmp_path: Path) -> str:
    (tmp_path / "neighbour.py").write_text("")
    (tmp_path / "nets.py").write_text(NETS)
    for name in ("damaged.npy", "damaged.safetensors"):
        (tmp_path / name).write_text("no array in here")
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "two.npz", a=np.ones((2, 20), "float32"), b=np.ones(3))
    (tmp_path / "broken.py").write_text("import sys\nsys.exit('first line\\nsecond line')\n")
    return str(tmp_path / "nets.py")


@pytest.fixture(autouse=True)
def path_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "neighbour", raising=False)


def run(*args: str) -> Result:
    # Before Click 8.2 the two streams are one unless told apart.
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}
    return CliRunner(**apart).invoke(main, args)


# ---------------------------------------------------------------------- backends
def test_backends() -> None:
    rows = json.loads(run("backends", "--json").stdout)
    assert [row["name"] for row in rows] == list(registry.infos())
    assert sum(row["default"] for row in rows) == 1
    reference = next(row for row in rows if row["name"] == "numpy")
    assert reference["works"] and reference["version"] == np.__version__ and reference["devices"] == ["cpu"]
    text = run("backends").stdout
    assert all(row["name"] in text for row in rows)


def test_backends_that_do_not_work_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, framework in {"absent": "absent_framework", "broken": "json"}.items():
        about = BackendInfo(name, "no_such_adapter:X", framework, (), (), f"pip install {framework}")
        monkeypatch.setitem(registry.infos(), name, about)
    rows = {row["name"]: row for row in json.loads(run("backends", "--json").stdout)}
    assert not rows["absent"]["works"] and "pip install absent_framework" in rows["absent"]["why_not"]
    assert not rows["broken"]["works"] and "no_such_adapter" in rows["broken"]["why_not"]


# ---------------------------------------------------------------------- compare
def test_compare(nets: str, backend: str) -> None:
    result = run("compare", f"{nets}:MLP", "--input", "5,3", "--backends", f"numpy,{backend}", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["ok"] and report["net"] == "MLP"
    assert {row["label"] for row in report["rows"]} == {"numpy", backend}
    assert all(mode["timings"] for row in report["rows"] for mode in row["modes"])


@pytest.mark.parametrize("what", [("net", "2,20"), ("MLP", "2,7:float32:-1..1"), ("text", "4,16:int64:0..9")])
def test_compare_takes_instances_classes_and_functions(nets: str, what: tuple[str, str]) -> None:
    result = run("compare", f"{nets}:{what[0]}", "--input", what[1], "--backends", "numpy", "--no-layers")
    assert result.exit_code == 0, result.output
    assert "All 1 agree" in result.stdout


def test_the_seed_decides_weights_and_inputs(nets: str) -> None:
    def numbers(*options: str) -> Any:
        arguments = ("compare", f"{nets}:MLP", "--input", "5,3", "--backends", "numpy", "--json", *options)
        (row,) = json.loads(run(*arguments).stdout)["rows"]
        return [tensor["absolute"] for tensor in row["modes"][0]["tensors"]]

    assert numbers() == numbers("--seed", "0") != numbers("--seed", "1")


def test_weights(nets: str, tmp_path: Path) -> None:
    path = str(tmp_path / "net.safetensors")
    um.save(nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3)).to("numpy"), path)
    good = run("compare", f"{nets}:net", "--input", "2,20", "--weights", path, "--backends", "numpy")
    assert good.exit_code == 0, good.output
    bad = run("compare", f"{nets}:MLP", "--input", "2,20", "--weights", path, "--backends", "numpy")
    assert bad.exit_code == 2 and "missing keys" in bad.stderr


def test_exit_status_where_backends_disagree(nets: str, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = BackendInfo("absent", "absent:X", "absent_framework", (), (), "pip install absent_framework")
    monkeypatch.setitem(registry.infos(), "absent", absent)
    result = run("compare", f"{nets}:net", "--input", "2,20", "--backends", "numpy,absent")
    assert result.exit_code == 1
    assert "1 of 2 backends do not agree: absent" in result.stdout


def test_losses_targets_steps_and_other_interpreters(nets: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("from unimodule import ops\ndef far(y):\n    return ops.mean(y * y)\n")
    labels = ["--loss", "CrossEntropyLoss", "--target", "2:int64:0..2", "--steps", "2", "--train"]
    function = [
        "--loss",
        "cross_entropy",
        "--target",
        "2:int64:0..2",
        "--optimizer",
        "AdamW",
        "--lr",
        "0.001",
    ]
    for options in (labels, function, ["--loss", str(tmp_path / "mine.py") + ":far", "--steps", "1"]):
        command = ["compare", f"{nets}:net", "--input", "2,20", "--modes", "eager", "--json", *options]
        result = run(*command, "--backend", f"numpy-too={sys.executable}", "--backend", "numpy")
        assert result.exit_code == 0, result.output
        report = json.loads(result.stdout)
        assert [(row["label"], row["status"]) for row in report["rows"]] == [
            ("numpy-too", "ok"),
            ("numpy", "ok"),
        ]
        assert report["rows"][0]["interpreter"] == sys.executable
        assert "loss" in {tensor["kind"] for tensor in report["rows"][0]["modes"][0]["tensors"]}


def test_inputs_from_files(nets: str, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    np.save(tmp_path / "x.npy", np.ones((2, 20), "float32"))
    save_file({"x": np.ones((2, 20), "float32")}, tmp_path / "x.safetensors")
    for file in ("x.npy", "x.safetensors", "x.safetensors:x", "two.npz:a"):
        arguments = ("--input", str(tmp_path / file), "--backends", "numpy", "--repeats", "0", "--json")
        result = run("compare", f"{nets}:net", *arguments)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["inputs"] == [["[0]", [2, 20], "float32"]]


# ---------------------------------------------------------------------- summary
def test_summary(nets: str) -> None:
    result = run("summary", f"{nets}:net", "--input", "2,20", "--json")
    data = json.loads(result.stdout)
    assert data["total"]["parameters"] == 20 * 8 + 8 + 8 * 3 + 3
    assert [row["outputs"] for row in data["modules"]] == [[[2, 3]], [[2, 8]], [[2, 8]], [[2, 3]]]
    assert "Parameters: 195" in run("summary", f"{nets}:net", "--input", "2,20").stdout
    assert json.loads(run("summary", f"{nets}:net", "--json").stdout)["total"]["lazy"] == [
        "0.weight",
        "0.bias",
    ]


# ---------------------------------------------------------------------- errors: one line, exit status 2
@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("{dir}/nowhere.py:net", ["2,20"], "there is no file"),
        ("{dir}/nets.py", ["2,20"], "expected FILE.py:OBJECT"),
        ("{dir}/nets.py:nothing", ["2,20"], "has no 'nothing'; its nets: net, MLP, Needy"),
        ("{dir}/nets.py:number", ["2,20"], "no net but of type int"),
        ("{dir}/nets.py:Needy", ["2,20"], "missing a required argument: 'sizes'"),
        ("{dir}/broken.py:net", ["2,20"], "does not run: SystemExit: first line second line"),
        ("{dir}/neighbour.txt:net", ["2,20"], "there is no file"),
        ("{dir}/nets.py:net", ["2,x"], "expected SHAPE[:DTYPE[:LOW..HIGH]]"),
        ("{dir}/nets.py:net", ["2:float31"], "float31"),
        ("{dir}/nets.py:text", ["2:int64:0..99"], "out of range"),
        ("{dir}/nets.py:net", ["2,20", "--weights", "{dir}/none.safetensors"], "there is no file"),
        ("{dir}/nets.py:net", ["2,20", "--weights", "{dir}/nets.py"], "neither a safetensors file"),
        ("{dir}/nets.py:net", ["2,20", "--backends", "tourch"], "no backend is called 'tourch'"),
        (
            "{dir}/nets.py:net",
            ["2,20", "--backend", "numpy-1=/no/python"],
            "no Python interpreter '/no/python'",
        ),
        ("{dir}/nets.py:net", ["2,20", "--modes", "lazy"], "modes among eager, compiled"),
        ("{dir}/nets.py:net", ["2,20", "--loss", "CrossEntropy"], "neither nn nor nn.functional has it"),
        (
            "{dir}/nets.py:net",
            ["2,20", "--loss", "{dir}/nets.py:Needy"],
            "cannot be called without arguments",
        ),
        ("{dir}/nets.py:net", ["2,20", "--target", "2:int64"], "a target but no loss"),
        ("{dir}/nets.py:net", ["2,20", "--optimizer", "SDG"], "no optimiser 'SDG'"),
        ("{dir}/nets.py:net", ["2,20", "--html", "report.pdf"], "a file's name ending in .html"),
        ("{dir}/nets.py:net", ["{dir}/none.npy"], "there is no file"),
        ("{dir}/nets.py:net", ["{dir}/damaged.npy"], "neither .npy nor .npz"),
        ("{dir}/nets.py:net", ["{dir}/pickled.npy"], "cannot be read"),
        ("{dir}/nets.py:net", ["{dir}/damaged.safetensors"], "cannot be read"),
        ("{dir}/nets.py:net", ["{dir}/two.npz"], "holds a, b; say which"),
        ("{dir}/nets.py:net", ["{dir}/two.npz:c"], "has no 'c'; it has a, b"),
    ],
)
def test_errors_are_one_line(nets: str, source: str, options: list[str], message: str) -> None:
    folder = str(Path(nets).parent)
    arguments = [text.replace("{dir}", folder) for text in ["compare", source, "--input", *options]]
    if "--backends" not in arguments:
        arguments += ["--backends", "numpy"]
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr and result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_no_input_is_an_error(nets: str) -> None:
    result = run("compare", f"{nets}:net")
    assert result.exit_code == 2 and "--input 2,20" in result.stderr


def test_debug_shows_the_traceback(nets: str) -> None:
    result = run("compare", f"{nets}:nothing", "--input", "2,20", "--debug")
    assert isinstance(result.exception, InputError)


# ---------------------------------------------------------------------- inputs
def test_inputs() -> None:
    floats, ints, few, flags, even = read_inputs(
        ("2,20", "4,16:int64:0..255", "9:int32", "50:bool", "3,1:float64:-2..-1"), seed=0
    )
    assert floats.shape == (2, 20) and floats.dtype == np.float32 and abs(floats).max() > 1.5
    assert ints.shape == (4, 16) and ints.dtype == np.int64 and 0 <= ints.min() < 64 < ints.max() <= 255
    assert few.dtype == np.int32 and set(few.tolist()) <= {0, 1}
    assert flags.dtype == bool and len(set(flags.tolist())) == 2
    assert even.dtype == np.float64 and even.min() >= -2 and even.max() <= -1
    np.testing.assert_array_equal(floats, read_inputs(("2,20",), seed=0)[0])
    assert set(read_inputs(("200:int64:3..5",), seed=1)[0].tolist()) == {3, 4, 5}


@pytest.mark.parametrize(
    "text", ["", "2,", "-2", "2:int64:5", "2:int64:5..1", "2:int64:a..b", "2:float32:1..2:3"]
)
def test_malformed_inputs(text: str) -> None:
    with pytest.raises(InputError, match="--input"):
        read_inputs((text,), 0)


# ---------------------------------------------------------------------- as a program
def test_as_a_program(nets: str) -> None:
    python = [sys.executable, "-m", "unimodule"]
    version = subprocess.run([*python, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout == f"unimodule, version {um.__version__}\n" and version.stderr == ""
    arguments = ["compare", f"{nets}:net", "--input", "2,20", "--backends", "numpy"]
    result = subprocess.run([*python, *arguments], capture_output=True, text=True, check=True)
    assert "All 1 agree" in result.stdout and result.stderr == ""
    module = subprocess.run(
        [*python[:2], "unimodule.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "compare" in module.stdout


def test_frameworks_start_in_silence(nets: str, backend: str) -> None:
    arguments = ["compare", f"{nets}:net", "--input", "2,20", "--backends", backend]
    command = [sys.executable, "-m", "unimodule", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
