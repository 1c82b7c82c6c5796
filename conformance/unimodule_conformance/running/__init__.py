"""Draws cases, runs checks, spends the time, shrinks what fails.

``run(Config(...)) -> Results`` is the whole of it. ``planning`` decides what is judged from the seed alone; ``judging`` asks one
check about one case; ``pool`` spreads the work; ``shrinking`` makes a failing case small; ``gathering`` groups failures.
"""

from .config import PROFILES, Config, ConfigError, Profile
from .drawing import draw
from .judging import judge, judge_all
from .planning import plan, wishes
from .results import Failure, Results, Tally
from .session import Progress, Silent, run

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
