"""Draws cases, runs checks, spends the time, shrinks what fails.

``run(Config(...)) -> Results`` is the whole of it. ``plan`` decides what is judged from the seed alone; ``judge`` asks one
check about one case; ``pool`` spreads the work; ``shrink`` makes a failing case small; ``gathering`` groups failures.
"""

from .config import PROFILES, Config, ConfigError, Profile
from .draw import draw
from .judge import judge, judge_all
from .plan import plan, wishes
from .results import Failure, Results, Tally
from .run import Progress, Silent, run

__all__ = [
    "PROFILES",
    "Config",
    "ConfigError",
    "Failure",
    "Profile",
    "Progress",
    "Results",
    "Silent",
    "Tally",
    "draw",
    "judge",
    "judge_all",
    "plan",
    "run",
    "wishes",
]
