"""Losses: layers, functions of ``nn.functional`` and of ``ops``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..specs import In, Node
from .arrays import Shape
from .drawing import Drawer, subject

# ``size_average`` and ``reduce`` are retired, and warn: they are not drawn.
REDUCTIONS = ("mean", "sum", "none")

Arguments = tuple[tuple[In, ...], dict[str, Any]]
"""The tensors of a loss, and its keyword arguments."""


def reduction(d: Drawer, *more: str) -> dict[str, Any]:
    """How a loss reduces; a mean, of which most can be wrong, more often than otherwise."""
    return {"reduction": d.choice("mean", *REDUCTIONS, *more)}


# ---------------------------------------------------------------------- of numbers
def _numbers(d: Drawer) -> tuple[In, In]:
    shape = d.shape(0, 3)
    fills = ("normal", "ties", "large") if d.flag() else ("ties",)
    return d.tensor(shape, *fills), d.tensor(shape, *fills)


def _regression(options: dict[str, tuple[Any, ...]]) -> Callable[[Drawer], Arguments]:
    return lambda d: (_numbers(d), {**reduction(d), **d.options(**options)})


def _kl(d: Drawer) -> Arguments:
    shape, log = d.shape(1, 3), d.flag()
    target = ("normal",) if log else ("probability", "certain")
    kwargs = {**reduction(d, "batchmean"), **({"log_target": True} if log else {})}
    tensors = d.tensor(shape, "normal"), d.tensor(shape, *target)
    d.differentiable &= (
        d.inputs[-1].fill != "certain"
    )  # by a target of 0 the derivative is infinite, PyTorch's NaN
    return tensors, kwargs


def _weight(d: Drawer, shape: Shape) -> dict[str, Any]:
    """A weight that broadcasts, now and then."""
    if not d.flag() or not shape:
        return {}
    return {"weight": d.recipe(d.choice(shape, shape[-1:]), "positive")}


def _binary(d: Drawer) -> Arguments:
    shape = d.shape(0, 3)
    kwargs = {**reduction(d), **_weight(d, shape)}
    return (d.tensor(shape, "probability", "certain"), d.tensor(shape, "probability", "certain")), kwargs


def _logits(d: Drawer) -> Arguments:
    shape = d.shape(0, 3)
    kwargs = {**reduction(d), **_weight(d, shape)}
    if shape and d.flag():
        kwargs["pos_weight"] = d.recipe(shape[-1:], "positive")
    return (d.tensor(shape, "normal", "saturated"), d.tensor(shape, "probability", "certain")), kwargs


# ---------------------------------------------------------------------- of classes
def _classes(d: Drawer, fills: tuple[str, ...]) -> tuple[In, int, Shape]:
    """Scores (N, C), (N, C, ...) or (C,); the number of classes, and the shape of the labels."""
    classes = d.integer(1, 4)
    kind = d.choice(0, 1, 2, 0, 1, 3)
    if kind == 3:
        return d.tensor((classes,), *fills), classes, ()
    batch = d.integer(1, 3)
    rest = tuple(d.integer(1, 3) for _ in range(kind))
    return d.tensor((batch, classes, *rest), *fills), classes, (batch, *rest)


def _labels(d: Drawer, shape: Shape, classes: int) -> tuple[In, dict[str, Any]]:
    """Labels, and which of them count for nothing: -100, or the last class. The first label counts: the mean of none is
    NaN everywhere.
    """
    pool, kwargs = "labels", {}
    if shape and d.flag():
        pool = "ignored"
    elif shape and classes > 1 and d.seldom(3):
        kwargs["ignore_index"] = classes - 1
    dtype = d.choice("int64", "int32")
    return d.tensor(shape, f"{pool}:{classes}", dtype=dtype), kwargs


def _class_weight(d: Drawer, classes: int) -> dict[str, Any]:
    return {"weight": d.recipe((classes,), "positive")} if d.flag() else {}


def _cross_entropy(d: Drawer) -> Arguments:
    scores, classes, shape = _classes(d, ("normal", "saturated", "ties"))
    kwargs = {**reduction(d), **_class_weight(d, classes), **d.options(label_smoothing=(0.1, 1.0))}
    if d.flag():  # as it is used most
        kwargs = {}
    if d.seldom(4):
        full = d.inputs[scores.index].shape
        return (scores, d.tensor(full, "probability")), kwargs
    labels, more = _labels(d, shape, classes)
    return (scores, labels), {**kwargs, **more}


def _nll(d: Drawer) -> Arguments:
    scores, classes, shape = _classes(d, ("normal",))
    labels, more = _labels(d, shape, classes)
    kwargs = {**reduction(d), **_class_weight(d, classes)}
    return (scores, labels), {**(kwargs if d.flag() else {}), **more}


# ---------------------------------------------------------------------- layer, functional, op
def _loss(
    layer: str, function: str, arguments: Callable[[Drawer], Arguments], weighted: bool = False
) -> None:
    @subject(f"nn.{layer}", modes=False)
    def module(d: Drawer) -> Node:
        _, kwargs = arguments(d)
        return Node(f"nn.{layer}", (), kwargs)

    @subject(f"F.{function}")
    def functional(d: Drawer) -> Node:
        tensors, kwargs = arguments(d)
        if weighted and d.seldom(3):
            kwargs["weight"] = d.recipe(d.inputs[0].shape, "positive")
        return Node(f"F.{function}", tensors, kwargs)

    @subject(f"ops.{function}")
    def op(d: Drawer) -> Node:
        tensors, kwargs = arguments(d)
        if weighted and d.seldom(3):
            kwargs["weight"] = d.recipe(d.inputs[0].shape, "positive")
        return Node(f"ops.{function}", tensors, kwargs)


_loss("MSELoss", "mse_loss", _regression({}), weighted=True)
_loss("L1Loss", "l1_loss", _regression({}), weighted=True)
_loss("HuberLoss", "huber_loss", _regression({"delta": (0.5, 1.5)}), weighted=True)
_loss("SmoothL1Loss", "smooth_l1_loss", _regression({"beta": (0.5, 0.0, 1.5)}))
_loss("KLDivLoss", "kl_div", _kl)
_loss("BCELoss", "binary_cross_entropy", _binary)
_loss("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", _logits)
_loss("CrossEntropyLoss", "cross_entropy", _cross_entropy)
_loss("NLLLoss", "nll_loss", _nll)
