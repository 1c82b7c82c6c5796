"""Whose fault an exception is: the backend's, its declared limits', or the suite's own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from unimodule import dtypes
from unimodule.errors import CompileError, DtypeError, NotSupportedError
from unimodule.registry import get_backend

from ..case import Case
from ..oracle.measuring import NoFloats
from ..oracle.reference import Unsteady
from ..outcome import Outcome, Status, Target
from .applying import FLOW
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
            if case.spec.error is None:
                _ = (
                    case.model,
                    case.inputs,
                )  # made here: what goes wrong with them is no fault of the target's
            return run(case, target)
        except Unsteady as error:
            return Outcome(Status.FAILED, f"the core: {error}")
        except NoFloats as error:
            return Outcome(Status.VACUOUS, str(error))
        except TargetError as error:
            if isinstance(error.__cause__, NoFloats):
                return Outcome(Status.VACUOUS, str(error.__cause__))
            if isinstance(error.__cause__, NotSupportedError):
                return Outcome(Status.SKIPPED, str(error))
            if isinstance(error.__cause__, DtypeError) and _lacks(target, error.__cause__):
                return Outcome(Status.SKIPPED, str(error))
            return Outcome(
                Status.FAILED, f"raised {error}", details={"error": type(error.__cause__).__name__}
            )
        except DtypeError as error:
            if not _lacks(target, error):
                return Outcome(Status.ERROR, f"the suite itself raised {described(error)}")
            return Outcome(Status.SKIPPED, described(error))
        except NotSupportedError as error:
            return Outcome(Status.SKIPPED, f"the reference does not support it: {described(error)}")
        except Exception as error:
            return Outcome(Status.ERROR, f"the suite itself raised {described(error)}")

    return judge


def _lacks(target: Target, error: BaseException) -> bool:
    """Whether an error is that of a dtype which the backend declares that it has not, in this process or at all."""
    return any(dtype in str(error) for dtype in _absent(target.backend))


@functools.cache
def _absent(backend: str) -> tuple[str, ...]:
    """The dtypes that a backend does not have."""
    return tuple(dtype for dtype in dtypes.ALL if not _has(backend, dtype))


def _has(backend: str, dtype: str) -> bool:
    try:
        get_backend(backend).from_numpy(np.zeros(1, dtypes.to_numpy_dtype(dtype)), dtype, "cpu")
    except DtypeError:
        return False
    return True


def cannot_compile(case: Case, error: TargetError) -> Outcome:
    """What is to be said where compiling failed. Python that reads values need not compile, as long as the error is
    ``CompileError``; and a compiler without branches or loops may say so.

    Raises:
        TargetError: it is another error, or there was no reason for one.
    """
    if isinstance(error.__cause__, CompileError):
        if case.spec.reads_values:
            return Outcome(Status.PASSED)
        if FLOW & case.spec.names:
            return Outcome(Status.SKIPPED, f"its compiler cannot take this: {error}")
    raise error


def described(error: BaseException) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


__all__ = ["TargetError", "cannot_compile", "described", "judged", "on"]
