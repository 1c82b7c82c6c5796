"""What is asked of a backend: importing this package fills ``CHECKS``, in the order of the scoreboard."""

from importlib import import_module

from .registry import CHECKS, Check, check

for _name in ("computing", "training", "functional", "lasting", "state", "chance", "errors", "core"):
    import_module(f"{__name__}.{_name}")

__all__ = ["CHECKS", "Check", "check"]
