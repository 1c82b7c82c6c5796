"""Judges one case from a file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checks.registry import CHECKS
from ..outcome import Outcome, Target
from ..specs import Spec
from .config import Config, ConfigError
from .planning import asked
from .results import RED
from .tasks import Replay


@dataclass(frozen=True)
class Replayed:
    """What one check says about the case on one target.

    Attributes:
        check: its name.
        target: where.
        outcome: what it says.
        script: runs on its own and reproduces a failure; "" for anything else.
    """

    check: str
    target: Target
    outcome: Outcome
    script: str

    @property
    def red(self) -> bool:
        """Whether it failed."""
        return self.outcome.status in RED

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "check": self.check,
            "target": str(self.target),
            "status": self.outcome.status.value,
            "message": self.outcome.message,
            "script": self.script,
        }

    def __str__(self) -> str:
        head = f"{self.check} on {self.target}: {self.outcome.status.value}"
        return f"{head}\n  {self.outcome.message}" if self.outcome.message else head


def replay(path: Path, config: Config) -> list[Replayed]:
    """Judge the case in ``path`` by the checks of ``config`` that apply, on its targets.

    The file holds a spec, or what a report wrote for a failure; then its check and its backend alone are asked, where
    ``config`` names no checks.

    Raises:
        ConfigError: the file holds neither.
    """
    spec, check = read(path)
    wanted = config.checks or ((check,) if check else tuple(CHECKS))
    pairs = tuple(
        (name, target)
        for name in wanted
        if name in CHECKS and CHECKS[name].applies(spec)
        for target in asked(CHECKS[name], config)
    )
    return [
        Replayed(
            judged.check, judged.target, judged.outcome, found.script if judged.outcome.status in RED else ""
        )
        for judged, found in Replay(spec, pairs).run()
    ]


def read(path: Path) -> tuple[Spec, str]:
    """The spec of a file, and the name of the check that failed, if the file says.

    Raises:
        ConfigError: there is no spec in it.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if "spec" in data:
            return Spec.from_json(json.dumps(data["spec"])), str(data.get("check", ""))
        return Spec.from_json(json.dumps(data)), ""
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path.name} holds no spec: {error}") from error


__all__ = ["Replayed", "read", "replay"]
