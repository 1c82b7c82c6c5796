"""Whose fault an exception is: the backend's, its declared limits', or the suite's own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

from unimodule.errors import NotSupportedError
from unimodule.registry import get_backend

from ..case import Case
from ..outcome import Outcome, Status, Target
from .registry import Run


class TargetError(Exception):
    """Something was raised while the backend under judgement ran; the cause is what."""


@contextmanager
def on(target: Target) -> Iterator[None]:
    """Around all that runs on the backend under judgement: in full precision, and what it raises is its own fault."""
    try:
        with get_backend(target.backend).full_precision():
            yield
    except TargetError:
        raise
    except Exception as error:
        raise TargetError(described(error)) from error


def judged(run: Run) -> Run:
    """Make outcomes of exceptions: a declared limit is ``SKIPPED``, any other error on the target ``FAILED``, an error of
    the suite's own ``ERROR``.
    """

    @functools.wraps(run)
    def judge(case: Case, target: Target) -> Outcome:
        try:
            return run(case, target)
        except TargetError as error:
            if isinstance(error.__cause__, NotSupportedError):
                return Outcome(Status.SKIPPED, str(error))
            return Outcome(
                Status.FAILED, f"raised {error}", details={"error": type(error.__cause__).__name__}
            )
        except NotSupportedError as error:
            return Outcome(Status.SKIPPED, f"the reference does not support it: {described(error)}")
        except Exception as error:
            return Outcome(Status.ERROR, f"the suite itself raised {described(error)}")

    return judge


def described(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


__all__ = ["TargetError", "described", "judged", "on"]
