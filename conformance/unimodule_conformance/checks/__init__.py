"""What is asked of a backend: importing this package fills ``CHECKS``, in the order of the scoreboard."""

from . import computing, training, functional, state  # in this order  # noqa: I001
from .registry import CHECKS, Check, check

__all__ = ["CHECKS", "Check", "check", "computing", "functional", "state", "training"]
