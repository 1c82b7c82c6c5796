"""The whole state of a run as one tree, and its way back: all of it, or nothing at all."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes
from .._random import get_rng_state, set_rng_state
from ..errors import StateDictError
from ..nn._state import read_value, take_over
from ..nn.module import Module
from ..nn.parameter import Buffer, Parameter, Variable
from ..optim import Optimizer
from .callbacks import Callback

if TYPE_CHECKING:
    from ._run import Run
    from .step import TrainStep

Values = dict[str, np.ndarray[Any, Any]]


# ---------------------------------------------------------------------- nets
def values_of(net: Module) -> Values:
    """The value of every variable of a net, each once, buffers that no state_dict has among them."""
    return {
        name: np.array(variable.numpy(), dtype=dtypes.to_numpy_dtype(variable.dtype), order="C")
        for name, variable in net.named_variables()
    }


def transient(net: Module) -> list[str]:
    """The names of those buffers."""
    return [n for n, v in net.named_variables() if isinstance(v, Buffer) and not v.persistent]


def matched(net: Module, values: Mapping[str, Any], what: str) -> dict[Variable, np.ndarray[Any, Any]]:
    """The variables of a net with the values that ``values_of`` gave for them.

    Raises:
        StateDictError: they do not fit.
    """
    own = dict(net.named_variables())
    problems = [f"missing {name}" for name in own if name not in values]
    problems += [f"unexpected {name}" for name in values if name not in own]
    found: dict[Variable, np.ndarray[Any, Any]] = {}
    for name, variable in own.items():
        if name in values:
            problem, array = read_value(name, variable, values[name])
            found[variable] = array
            if problem:
                problems.append(problem)
    if problems:
        raise StateDictError(f"{what} does not fit {type(net).__name__}: {'; '.join(problems)}")
    return found


def load_values(net: Module, values: Mapping[str, Any]) -> None:
    """Give a net what ``values_of`` took from it, or a net like it.

    Raises:
        StateDictError: they do not fit; the net is as it was.
    """
    take_over(net, matched(net, values, "the state"))


# ---------------------------------------------------------------------- the run
def collected(
    net: Module,
    objective: Module | None,
    optimizer: Optimizer,
    step: TrainStep,
    run: Run,
    callbacks: Sequence[Callback],
) -> dict[str, Any]:
    """All that the next step depends on, and what the run has found so far."""
    states = [(type(c).__name__, c.essential, c.state_dict()) for c in callbacks]
    return {
        "net": values_of(net),
        "transient": transient(net),
        "loss": {} if objective is None else values_of(objective),
        "optimizer": {"kind": type(optimizer).__name__, **optimizer.state_dict()},
        "step": step.state_dict(),
        "run": run.state_dict(),
        "callbacks": [list(entry) for entry in states if entry[2]],
        "random": get_rng_state(),
    }


def restore(
    state: Mapping[str, Any],
    net: Module,
    objective: Module | None,
    optimizer: Optimizer,
    step: TrainStep,
    run: Run,
    callbacks: Sequence[Callback],
) -> None:
    """Take over what ``collected`` gave, on this backend or another.

    Everything is tried before net and optimiser are written, and what was taken over by then is given back.

    Raises:
        StateDictError: it does not fit; everything is as it was.
    """
    undo: list[tuple[Any, Any]] = []
    random = get_rng_state()
    try:
        states = _paired(callbacks, state["callbacks"])
        arrays = matched(net, state["net"], "the checkpoint")
        losses = {} if objective is None else matched(objective, state["loss"], "the checkpoint's loss")
        if objective is None and state["loss"]:
            raise StateDictError(
                f"the checkpoint's loss has {', '.join(state['loss'])}, this one has no state"
            )
        _try(optimizer, state["optimizer"], {id(v): a.shape for v, a in [*arrays.items(), *losses.items()]})
        for part, saved in [*states, (run, state["run"]), (step, state["step"])]:
            undo.append((part, copy.deepcopy(part.state_dict())))
            part.load_state_dict(saved)
        set_rng_state(state["random"])
        take_over(net, arrays)
        if objective is not None:
            take_over(objective, losses)
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:
        for part, before in reversed(undo):
            with contextlib.suppress(
                Exception
            ):  # a callback that refuses everything keeps none of the others from it
                part.load_state_dict(before)
        set_rng_state(random)
        if isinstance(error, StateDictError):
            raise
        raise StateDictError(f"a part of the checkpoint is missing or malformed: {error!r}") from error


def _paired(callbacks: Sequence[Callback], saved: Sequence[Any]) -> list[tuple[Any, Any]]:
    """The callbacks that have a state with those saved for them, kind by kind in their order."""
    waiting = [(str(kind), bool(essential), state) for kind, essential, state in saved]
    found: list[tuple[Any, Any]] = []
    lacking: list[str] = []
    for callback in callbacks:
        if not callback.state_dict():
            continue
        kind = type(callback).__name__
        place = next((i for i, entry in enumerate(waiting) if entry[0] == kind), None)
        if place is not None:
            found.append((callback, waiting.pop(place)[2]))
        elif callback.essential:
            lacking.append(kind)
    left = [kind for kind, essential, _ in waiting if essential]
    if lacking or left:
        raise StateDictError(
            f"the checkpoint has {'no ' + ', '.join(lacking) if lacking else ', '.join(left)}, unlike the trainer: give fit the "
            "callbacks that it had"
        )
    return found


def _try(optimizer: Optimizer, state: Mapping[str, Any], shapes: Mapping[int, tuple[int, ...]]) -> None:
    """Load the state into an optimiser like this one, whose parameters have the shapes that they will have."""
    if state["kind"] != type(optimizer).__name__:
        raise StateDictError(
            f"the checkpoint's optimiser is {state['kind']}, the trainer's {type(optimizer).__name__}"
        )
    trial = copy.copy(optimizer)
    trial.param_groups = [
        {**group, "params": [_stand_in(p, shapes.get(id(p), p.shape)) for p in group["params"]]}
        for group in optimizer.param_groups
    ]
    trial.load_state_dict(state)


def _stand_in(parameter: Parameter, shape: Any) -> Parameter:
    return Parameter(_nothing, shape=shape, dtype=parameter.dtype)


def _nothing(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray[Any, Any]:
    raise AssertionError("a stand-in has no values")
