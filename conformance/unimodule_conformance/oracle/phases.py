"""The ways in which a case is run, on the reference and on the backend under judgement by the same lines.

Each is a function of a case that returns a function of a bound net and inputs; that leaves named arrays. A check runs one
of them on the target and holds what it left against the reference's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from unimodule import dtypes, nn, ops, optim, value_and_grad
from unimodule.train import train_step

from . import optimisers
from .measuring import (
    BUFFER,
    PARAMETER,
    Array,
    Inputs,
    Key,
    Values,
    arrays,
    backward,
    buffers,
    differentiated,
    forward,
    parameters,
    projection,
)

if TYPE_CHECKING:
    from ..case import Case

Phase = Callable[[nn.Module, Inputs], Values]
"""One way of running a net, and what it leaves."""


def step_inputs(inputs: Inputs, step: int) -> Inputs:
    """The inputs of a later step: others than the first's, of the same shapes, pools and ranges."""
    return tuple(
        np.roll(array.reshape(-1), step).reshape(array.shape)
        if isinstance(array, np.ndarray) and step
        else array
        for array in inputs
    )


def trains(case: Case) -> bool:
    """Whether the case can be put in train mode and still be judged by value: nothing random is in it then."""
    return not replace(case.spec, training=True).random


def _forward(case: Case) -> Phase:
    return forward


def _backward(case: Case) -> Phase:
    return lambda net, inputs: backward(net, inputs, case.spec.seed)


def _plain(target: Any) -> Any:
    return target


def twice(
    case: Case,
    compiling: Callable[[Any], Any] = _plain,
    note: Callable[[], object] = lambda: None,
    called: Callable[[], object] = lambda: None,
) -> Phase:
    """Two calls of one function on different inputs: outputs, buffers and (for two seeds of three) gradients after each.

    Args:
        case: the case.
        compiling: ``um.compile``, or nothing.
        note: called whenever the Python of that function runs, where it takes gradients.
        called: called after each call.
    """

    def run(net: nn.Module, inputs: Inputs) -> Values:
        gradients = case.spec.differentiable and case.spec.seed % 3
        both = differentiated(compiling, note) if gradients else None
        call = net if gradients else compiling(net)
        found: Values = {}
        for index in range(2):
            given = step_inputs(inputs, index)
            values = backward(net, given, case.spec.seed, both) if gradients else forward(call, given)
            found.update(_labelled(f"of call {index + 1}", values))
            called()
        return found

    return run


def training(case: Case, compiled: bool = False, compiling: Callable[..., Any] = train_step) -> Phase:
    """Two steps of gradient descent: parameters and buffers after each, since a fault may need the first to show.

    Args:
        case: the case.
        compiled: whether the steps are ``um.train_step``'s, or written out.
        compiling: makes such a step.
    """

    def run(net: nn.Module, inputs: Inputs) -> Values:
        net.train(case.spec.training or trains(case))
        trainable = [p for p in net.parameters() if p.requires_grad]
        rule = optim.SGD(trainable, lr=learning_rate(case), momentum=0.5) if trainable else None
        step = compiling(net, lambda y, _: projection(y, case.spec.seed), rule) if compiled else None
        found: Values = {}
        for index in range(2):
            given = step_inputs(inputs, index)
            if step is not None:
                step(*given, np.zeros((), "float32"))
            elif rule is None:
                net(*given)
            else:
                loss = value_and_grad(lambda net, *given: projection(net(*given), case.spec.seed))
                rule.step(loss(net, *given)[1])
            found.update(_labelled(f"after step {index + 1}", {**buffers(net), **parameters(net)}))
        return found

    return run


def learning_rate(case: Case) -> float:
    """Small enough that two steps stay near the start, whatever the gradients' size; a power of two."""
    gradients = case.reference.values("backward")
    steepest = max(
        (
            float(np.abs(v[np.isfinite(v)]).max(initial=0.0))
            for k, v in gradients.items()
            if "gradient" in k.kind
        ),
        default=0.0,
    )
    return float(2.0 ** np.floor(np.log2(0.125 / max(steepest, 0.125))))


def _optimiser(case: Case) -> Phase:
    """Some steps of the optimiser that the seed draws, with gradients that are given."""

    def run(net: nn.Module, inputs: Inputs) -> Values:
        name, options = optimisers.drawn(case.spec.seed)
        rule = optimisers.make(name, options, [p for p in net.parameters() if p.requires_grad])
        handles = dict(net.named_parameters())
        found: Values = {}
        for step in range(optimisers.STEPS):
            given = optimisers.gradients(net, case.spec.seed, step)
            rule.step({key: _native(array, handles[key].data) for key, array in given.items()})
            found.update(_labelled(f"after step {step + 1} of {name}", parameters(net)))
        return found

    return run


def _native(array: Array, like: Any) -> Any:
    return ops.asarray(array, dtype=ops.dtype(like), like=like)


def _modes(case: Case) -> Phase:
    """A call in eval mode, one in train mode, one in eval mode again; outputs and buffers after each."""

    def run(net: nn.Module, inputs: Inputs) -> Values:
        found: Values = {}
        for index, training in enumerate((False, True, False) if trains(case) else (False, False)):
            net.train(training)
            given = step_inputs(inputs, index)
            mode = f"call {index + 1}, {'train' if training else 'eval'} mode"
            found.update(_labelled(mode, {**arrays(net(*given)), **buffers(net)}))
        return found

    return run


def _altered(case: Case) -> Phase:
    """A call with another state than the net's: every float of it halved, which is exact."""

    def run(net: nn.Module, inputs: Inputs) -> Values:
        for _, variable in net.named_variables():
            variable.data = halved(variable.numpy())
        return forward(net, inputs)

    return run


def halved(array: Array) -> Array:
    """Half of a float array; others as they are."""
    return array * array.dtype.type(0.5) if dtypes.is_floating(dtypes.canonical(array.dtype)) else array


BRANCHES = (1.0, -1.0, 1 / 64, 16.0)
"""What the float inputs are multiplied by, so that conditions fall out both ways and loops run less and more."""


def _branches(case: Case) -> Phase:
    """Outputs for inputs of either sign and several sizes."""

    def run(net: nn.Module, inputs: Inputs) -> Values:
        found: Values = {}
        for factor in BRANCHES:
            given = tuple(scaled(array, factor) for array in inputs)
            found.update(_labelled(f"for inputs times {factor:g}", arrays(net(*given))))
        return found

    return run


def scaled(array: Array, factor: float) -> Array:
    """A float array times a number that float32 multiplies by exactly; others as they are."""
    return array * array.dtype.type(factor) if array.dtype.kind == "f" else array


def _labelled(where: str, values: Values) -> Values:
    return {Key(key.kind, f"{key.name} {where}".strip()): value for key, value in values.items()}


PHASES: dict[str, Callable[[Case], Phase]] = {
    "forward": _forward,
    "backward": _backward,
    "twice": twice,
    "training": training,
    "altered": _altered,
    "optimiser": _optimiser,
    "modes": _modes,
    "branches": _branches,
}
"""By name."""

__all__ = [
    "BRANCHES",
    "BUFFER",
    "PARAMETER",
    "PHASES",
    "Phase",
    "halved",
    "learning_rate",
    "scaled",
    "step_inputs",
    "training",
    "trains",
    "twice",
]
