"""``unimodule conformance``: options, exit statuses, and what it writes."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from unimodule.cli import main
from unimodule_conformance.cli import INTERRUPTED
from unimodule_conformance.running import Results
from unimodule_conformance.specs import Spec

from .made_up import breaks, by_name, fine, made_up

QUICK = ("--backends", "numpy", "--workers", "0")


def command(*options):
    return CliRunner().invoke(main, ["conformance", *QUICK, *options])


def test_it_is_a_command_among_the_others():
    assert "conformance" in CliRunner().invoke(main, ["--help"]).output
    assert "--replay" in CliRunner().invoke(main, ["conformance", "--help"]).output


def test_green_is_0(tmp_path):
    done = command("--only", "nn.Linear", "--checks", "values,structure", "--report", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert "Green, in" in done.output and "judging: 0 of" in done.output
    results = Results.from_json((tmp_path / "results.json").read_text())
    assert results.ok and results.cell("values", "numpy").total >= 20
    assert (tmp_path / "index.html").exists() and (tmp_path / "junit.xml").exists()


def test_red_is_1_and_leaves_scripts_and_cases(tmp_path):
    with made_up(by_name=by_name):
        done = command("--report", str(tmp_path), "--seed", "3")
    assert done.exit_code == 1 and "Red, in" in done.output
    [case] = (tmp_path / "failures").glob("*.json")
    assert case.with_suffix(".py").exists() and case.stem in done.output
    assert "too wide" in json.loads(case.read_text())["message"]


def test_json_is_all_that_standard_output_has():
    with made_up(by_name=by_name):
        done = command("--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["problems"] and not Results.from_json(done.stdout).ok


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--backends", "torhc"), "no backend is called 'torhc'; did you mean torch"),
        (("--checks", "value"), "no check is called 'value'; did you mean values"),
        (("--only", "nn.Conv2"), "no layer or function is called 'nn.Conv2'; did you mean nn.Conv2d"),
        (("--device", "gpu"), "backend 'numpy' has no gpu:0; it has: cpu"),
        (("--device", "tpu"), "no device is called 'tpu'"),
        (("--profile", "thorough"), "give --max-time"),
        (("--profile", "long"), "is not one of"),
        (("--max-time", "soon"), "is no time"),
        (("--replay", "nowhere.json"), "does not exist"),
    ],
)
def test_what_cannot_be_done_is_2(options, why):
    done = command(*options)
    assert done.exit_code == 2
    assert why in re.sub(r"[\s│]+", " ", done.output), done.output


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("1.5s", 1.5), ("20m", 1200), ("2h", 7200)])
def test_times(text, seconds):
    with made_up(fine=fine):
        done = command("--max-time", text, "--json")
    assert json.loads(done.stdout)["config"]["max_seconds"] == seconds
    assert done.exit_code == (0 if seconds else 1), "nothing was judged"


def test_interrupted_is_130_and_still_writes(tmp_path):
    judged = []

    def impatient(case, target):
        """Presses Ctrl-C."""
        judged.append(case)
        if len(judged) > 5:
            raise KeyboardInterrupt
        return fine(case, target)

    with made_up(impatient=impatient):
        done = command("--report", str(tmp_path))
    assert done.exit_code == INTERRUPTED and "Green (interrupted)" in done.output
    assert Results.from_json((tmp_path / "results.json").read_text()).ended == "interrupted"


# ---------------------------------------------------------------------- replay
def test_a_failure_can_be_replayed(tmp_path):
    with made_up(by_name=by_name, breaks=breaks):
        command("--report", str(tmp_path))
        case = next(p for p in (tmp_path / "failures").glob("by_name*.json"))
        done = command("--replay", str(case))
        assert done.exit_code == 1 and done.output.splitlines()[0] == "by_name on numpy: failed"
        assert [row["check"] for row in json.loads(command("--replay", str(case), "--json").stdout)] == [
            "by_name"
        ]
    with made_up(by_name=fine):
        assert command("--replay", str(case)).exit_code == 0, "mended"


def test_a_bare_spec_can_be_replayed_and_other_files_cannot(tmp_path):
    path = tmp_path / "case.json"
    path.write_text(Spec.from_json('{"$": "Spec", "root": {"$": "Node", "name": "nn.ReLU"}}').to_json())
    with made_up(fine=fine, other=fine):
        done = command("--replay", str(path))
        assert done.output.splitlines() == ["fine on numpy: weak", "other on numpy: weak"]
        for wrong in ("{", "[1]", "{}", '"text"'):
            path.write_text(wrong)
            done = command("--replay", str(path))
            assert done.exit_code == 2 and "case.json holds no spec" in done.output, wrong


# ---------------------------------------------------------------------- lists
def test_names_can_be_listed():
    listed = json.loads(command("--list", "--json").stdout)
    assert "nn.Conv2d" in listed["names"] and any(line.startswith("values: ") for line in listed["checks"])
    assert "  ops.where" in command("--list").output.splitlines()
