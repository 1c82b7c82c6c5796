"""``compare``: the same net on every backend against a float64 reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import registry
from ..errors import ArgumentError, BackendNotInstalledError
from ..inspection import independent_clone
from ..nn.module import Module
from ..transforms.functional import materialize
from .measure import (
    BUFFER,
    OUTPUT,
    PARAMETER_GRADIENT,
    Case,
    Key,
    Values,
    buffers,
    gradients,
    is_float,
    on_host,
    outputs,
)
from .report import AGREES, DIFFERS, FAILED, MISSING, WEAK, Report, Row
from .tolerance import Bound, bounds, compare_arrays

Measure = Callable[[Module, Case], Values]


@dataclasses.dataclass(frozen=True)
class _Phase:
    """One way of running the net, and what its results are held to."""

    kind: str
    measure: Measure
    training: bool
    expected: dict[Key, Bound]


def compare(
    net: Module,
    *inputs: Any,
    backends: str | Iterable[str] | None = None,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    reference: str = "numpy",
    seed: int = 0,
) -> Report:
    """Run a net on several backends, from identical weights and inputs, and compare each with a float64 reference.

    Compared are the outputs, the gradients with respect to parameters and float inputs, and the buffers after a call in
    training mode. The net runs in the mode that it is in, or, where it draws random numbers in that mode (dropout), in
    evaluation mode. All of it happens on the CPU, on copies: the net is not touched. How far a result may be from the
    reference follows from what float rounding does to this very net (``unimodule.comparison.tolerance``).

    A backend on which the net does not run is a row of the report that says why; the others still run.

    Args:
        net: a net on any backend or none. Parameters that have no value yet are drawn, the same for all.
        *inputs: what it is called with: NumPy arrays or tensors, nested in tuples, lists and dicts. Floats are rounded
            to the net's dtype, so that every backend is given the same numbers.
        backends: names; by default every installed backend.
        target: what ``loss`` gets beside the output.
        loss: ``loss(output, target)``, or ``loss(output)`` without a target, that gradients are taken of; by default a
            weighted sum of all outputs with fixed random weights.
        reference: the backend that computes the reference in float64.
        seed: of the random weights of that sum, and of parameters that have no value yet.

    Returns:
        A :class:`Report`: ``report.ok``, ``print(report)``, ``report.rows``, ``report.to_dict()``, ``report.save(path)``.

    Raises:
        ArgumentError: an argument is not what it should be, or the net draws random numbers in evaluation mode too.
        UnknownBackendError: no backend has such a name.
        Exception: whatever the net raises on the reference backend: there is nothing to compare with then.

    Example:
        >>> import numpy as np, unimodule as um
        >>> report = um.compare(um.nn.Linear(3, 2), np.ones((4, 3), "float32"), backends=["numpy"])
        >>> report.ok
        True
    """
    names = _check(net, backends, target, loss)
    net._check_tree()
    dtype = (net._home() or net).dtype
    case = Case(on_host(inputs, dtype), loss, on_host(target, dtype), seed)
    source = independent_clone(net, seed).to(reference, device="cpu", dtype=dtype)
    materialize(lambda net, *inputs: net(*inputs), (source, *case.inputs), {})
    oracle = source.clone().to(dtype="float64")
    notes = []
    if _draws(oracle, case, outputs):
        oracle.eval()
        notes.append("Compared in evaluation mode: in training mode the net draws random numbers.")
        if _draws(oracle, case, outputs):
            raise ArgumentError(
                f"compare(): {type(net).__name__} draws random numbers in evaluation mode too"
            )
    if notes:
        source.eval()
    phases = _phases(oracle, case, dtype, notes)
    versions: dict[str, str] = {}
    rows = [row for name in names for row in _rows(name, source, case, phases, versions)]
    mode = "training" if oracle.training else "evaluation"
    return Report(type(net).__name__, dtype, mode, reference, versions, tuple(rows), tuple(notes))


def _check(net: Any, backends: str | Iterable[str] | None, target: Any, loss: Any) -> list[str]:
    """The names of the backends to run on."""
    if not isinstance(net, Module):
        raise ArgumentError(f"compare() expected a Module, got {type(net).__name__}")
    if loss is not None and not callable(loss):
        raise ArgumentError(
            f"compare() expected loss to be a function or a Module, got {type(loss).__name__}"
        )
    if target is not None and loss is None:
        raise ArgumentError("compare() got a target but no loss, such as loss=nn.CrossEntropyLoss()")
    if backends is None:
        return [name for name in registry.infos() if registry.installed(name)]
    names = [registry.info(name).name for name in ([backends] if isinstance(backends, str) else backends)]
    if not names:
        raise ArgumentError("compare() expected the names of backends, got none")
    return list(dict.fromkeys(names))


def _draws(net: Module, case: Case, measure: Measure) -> bool:
    """Whether two runs on the same inputs differ, which means that the net draws random numbers."""
    first, second = measure(net.clone(), case), measure(net.clone(), case)
    return any(not np.array_equal(first[k], second[k], equal_nan=first[k].dtype.kind == "f") for k in first)


def _phases(oracle: Module, case: Case, dtype: str, notes: list[str]) -> list[_Phase]:
    """What is to be run, each with the reference's results."""
    expected = bounds(oracle, case, dtype, outputs)
    phases = [_Phase(OUTPUT, outputs, oracle.training, expected)]
    if not expected:
        raise ArgumentError(
            "compare(): the net returned nothing that can be compared, neither tensors nor numbers"
        )
    floating = any(key.kind == OUTPUT and is_float(bound.reference) for key, bound in expected.items())
    trainable = any(p.requires_grad for p in oracle.parameters())
    if (floating or case.loss is not None) and (trainable or case.floats):
        slopes = bounds(oracle, case, dtype, gradients)
        phases.append(_Phase(PARAMETER_GRADIENT, gradients, oracle.training, slopes))
    if not oracle.training and any(True for _ in oracle.buffers()):
        trained = oracle.clone().train()
        if _draws(trained, case, buffers):
            notes.append("Buffers are not compared: in training mode they depend on random numbers.")
        else:
            phases.append(_Phase(BUFFER, buffers, True, bounds(trained, case, dtype, buffers)))
    return phases


def _rows(name: str, source: Module, case: Case, phases: list[_Phase], versions: dict[str, str]) -> list[Row]:
    """Everything that one backend has to answer for."""
    try:
        backend = registry.get_backend(name)
        versions[name] = backend.version()
        placed = source.clone().to(name, device="cpu")
    except BackendNotInstalledError as error:
        return [Row(name, "", "", MISSING, detail=str(error))]
    except Exception as error:
        return [Row(name, "", "", FAILED, detail=_described(error))]
    rows = []
    for phase in phases:
        try:
            with backend.full_precision():
                copy = placed.clone()
                found = phase.measure(copy.train() if phase.training and not copy.training else copy, case)
        except Exception as error:
            rows.append(Row(name, phase.kind, "", FAILED, detail=_described(error)))
            continue
        keys = dict.fromkeys([*phase.expected, *found])
        rows += [_judged(name, key, found, phase.expected) for key in keys]
    return rows


def _judged(backend: str, key: Key, found: Values, expected: dict[Key, Bound]) -> Row:
    if key not in found:
        return Row(backend, *key, DIFFERS, detail="missing here; the reference has it")
    if key not in expected:
        return Row(backend, *key, DIFFERS, detail="only here; the reference has none")
    bound = expected[key]
    error, wrong = compare_arrays(found[key], bound)
    relative = error / bound.scale if error is not None and bound.scale else error
    verdict = DIFFERS if wrong else WEAK if bound.weak else AGREES
    return Row(backend, *key, verdict, error, relative, bound.tolerance, wrong)


def _described(error: Exception) -> str:
    """An error in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
