"""Processes that do tasks: in parallel, and whatever happens to them."""

from __future__ import annotations

import time

import pytest

from unimodule_conformance.running.pool import Pool, Serial
from unimodule_conformance.running.tasks import Broken

from .chores import Chore


def done(pool, tasks, **options):
    """What comes back, without process ids; and which processes there were."""
    found, processes = [], set()

    def handle(task, result):
        found.append(result[0])
        processes.add(result[1])

    finished = pool.run(tasks, handle, **options)
    return finished, sorted(found), processes - {0}


@pytest.mark.parametrize("workers", [0, 2])
def test_every_task_is_done(workers):
    with Pool(workers) if workers else Serial() as pool:
        finished, found, processes = done(pool, [Chore((name, name)) for name in "abc"])
    assert finished and found == ["A", "A", "B", "B", "C", "C"]
    assert len(processes) <= max(workers, 1)


def test_a_dead_process_is_replaced_and_what_was_left_is_done():
    with Pool(1) as pool:
        finished, found, processes = done(pool, [Chore(("a", "die", "b")), Chore(("leave",)), Chore(("c",))])
    assert finished and len(processes) == 3, "one for a, one for b and its own end, one for c"
    assert [text.splitlines()[0] for text in found] == [
        "A",
        "B",
        "C",
        "ended its process with status 3",
        "ended its process: SIGSEGV",
    ]
    assert "so long" in found[3], "its last words"
    assert "chores.py" in found[4], "where it was"


def test_a_process_that_dies_between_tasks_is_replaced():
    with Pool(1) as pool:
        assert done(pool, [Chore(("a",))])[:2] == (True, ["A"])
        first = pool._workers[0]
        first.kill()
        first.process.wait()
        assert done(pool, [Chore(("b", "c"))])[:2] == (True, ["B", "C"])


def test_a_silent_process_is_ended():
    with Pool(1, patience=4.0) as pool:
        finished, found, _ = done(pool, [Chore(("hang", "a"))])
    assert finished and found[0] == "A" and found[1].startswith("did not return within 4 seconds")


def test_an_error_in_a_task_is_the_suites_own():
    with pytest.raises(Broken, match="a mistake in a task"), Pool(1) as pool:
        done(pool, [Chore(("raise",))])


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_is_begun_behind_the_deadline(workers):
    with Pool(workers) if workers else Serial() as pool:
        finished, found, _ = done(pool, [Chore(("a",))], deadline=time.monotonic() - 1)
    assert not finished and found == []
