"""Tasks for the tests of the pool: what a worker process meets in bad times."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from unimodule_conformance.running.tasks import At


@dataclass(frozen=True)
class Chore:
    """Does some things one after the other; what it died of is a result, and what was behind it is done by another."""

    things: tuple[str, ...]

    def run(self) -> Iterator[Any]:
        for place, thing in enumerate(self.things):
            yield At(place)
            if thing == "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            if thing == "leave":
                print("so long", flush=True)
                os._exit(3)
            if thing == "hang":
                time.sleep(600)
            if thing == "raise":
                raise ValueError("a mistake in a task")
            yield thing.upper(), os.getpid()

    def crashed(self, at: int, why: str) -> tuple[list[Any], Chore | None]:
        rest = self.things[at + 1 :]
        return [(why, 0)], Chore(rest) if rest else None
