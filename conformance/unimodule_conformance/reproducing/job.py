"""A net, its inputs, and the backend that they fail on; results, and how they are compared."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from unimodule import nn, ops, registry
from unimodule.comparison import measure
from unimodule.comparison.shaking import shaken
from unimodule.comparison.tolerance import FACTOR, UNITS, Bound, compare_arrays

Array = np.ndarray[Any, Any]
Results = dict[str, Array]
Inputs = tuple[Any, ...]


@dataclasses.dataclass
class Job:
    """A net on the reference backend, what it is called with, and where it fails.

    ``exact`` says that choices are at exact ties: then nothing may break them when the reference is shaken.
    """

    net: nn.Module
    inputs: Inputs
    backend: str
    device: str = "cpu"
    dtype: str = "float32"
    seed: int = 0
    exact: bool = False

    def there(self) -> nn.Module:
        """A copy on the backend that fails."""
        return self.net.clone().to(self.backend, device=self.device, dtype=self.dtype)

    def reference(self) -> nn.Module:
        """A copy on the reference backend, in float64."""
        return self.net.clone().to("numpy", dtype="float64")

    def given(self) -> Inputs:
        """The inputs, floats in the net's dtype."""
        return tuple(a.astype(self.dtype) if a.dtype.kind == "f" else a for a in self.inputs)

    def wide(self) -> Inputs:
        """The inputs, floats in float64."""
        return tuple(a.astype("float64") if a.dtype.kind == "f" else a for a in self.inputs)


def prepared(net: nn.Module, inputs: Inputs, dtype: str, training: bool) -> nn.Module:
    """The net on the reference backend, with every parameter known."""
    net.to("numpy", dtype=dtype)
    if not all(variable.has_value for _, variable in net.named_variables()):
        with np.errstate(all="ignore"):
            net.eval()(*inputs)  # lazy parameters take their shapes; in eval mode no buffer changes
    return net.train(training)


# ---------------------------------------------------------------------- results
def leaves(output: Any, path: str = "output") -> Iterator[tuple[str, Any]]:
    """What an output holds, by its place."""
    if isinstance(output, dict):
        for key, item in output.items():
            yield from leaves(item, f"{path}[{key!r}]")
    elif isinstance(output, (tuple, list)):
        for i, item in enumerate(output):
            yield from leaves(item, f"{path}[{i}]")
    else:
        yield path, output


def is_tensor(leaf: Any) -> bool:
    """Whether some backend knows it."""
    return registry.find_backend(leaf) is not None


def results(output: Any) -> Results:
    """The tensors and numbers of an output as NumPy arrays."""
    found = {}
    for path, leaf in leaves(output):
        if is_tensor(leaf):
            found[path] = ops.to_numpy(leaf)
        elif isinstance(leaf, (bool, int, float)):
            found[path] = np.asarray(leaf)
    return found


def state(net: nn.Module) -> Results:
    """Parameters, constants and buffers."""
    return {name: variable.numpy() for name, variable in net.named_variables()}


def buffers(net: nn.Module) -> Results:
    """The buffers alone."""
    return {f"buffer {name}": buffer.numpy() for name, buffer in net.named_buffers()}


def rolled(inputs: Inputs, step: int) -> Inputs:
    """Other inputs of the same shapes."""
    return tuple(np.roll(a.reshape(-1), step).reshape(a.shape) for a in inputs)


def labelled(where: str, found: Results) -> Results:
    """The same results, with ``where`` in their names."""
    return {f"{name} {where}": value for name, value in found.items()}


# ---------------------------------------------------------------------- what is allowed
Way = Callable[[Job, nn.Module, Inputs], Results]


def size(value: Array) -> float:
    """The largest finite magnitude."""
    wide = np.abs(np.asarray(value, "float64"))
    return float(wide[np.isfinite(wide)].max(initial=0.0))


def moved(job: Job, way: Way, expected: Results) -> dict[str, float]:
    """How far rounding alone carries each result: the reference runs with every number, and every operand of every
    operation, off by one rounding unit.
    """
    far = dict.fromkeys(expected, 0.0)
    case = measure.Case(job.wide(), None, None, job.seed)
    for draw in range(6):
        rng = np.random.default_rng([job.seed, draw])
        with (
            np.errstate(all="ignore"),
            shaken(job.reference(), case, UNITS[job.dtype], rng, tied=job.exact) as (noisy, given),
        ):
            found = way(job, noisy, given.inputs)
            for name in expected.keys() & found.keys():
                if found[name].shape == expected[name].shape:
                    wide = np.asarray(found[name], "float64") - np.asarray(expected[name], "float64")
                    far[name] = max(far[name], size(wide))
    return far


def together(name: str) -> bool:
    """Whether a result is a gradient, or was made with gradients: these are judged by the largest of them, since one that
    cancels is as exact as the terms that cancelled.
    """
    return name.startswith(("gradient", "parameter"))


def bounds(job: Job, way: Way) -> dict[str, Bound]:
    """What each result should be, and how far it may be off: FACTOR * (what rounding moves + u * max|y|)."""
    with np.errstate(all="ignore"):
        expected = way(job, job.reference(), job.wide())
    far = moved(job, way, expected)
    group = [name for name in expected if together(name)]
    steepest = max((size(expected[name]) for name in group), default=0.0)
    common = max((far[name] for name in group), default=0.0)
    found = {}
    for name, value in expected.items():
        distance, scale = (common, steepest) if name in group else (far[name], size(value))
        rounding = UNITS[job.dtype] * scale if value.dtype.kind == "f" else 0.0
        found[name] = Bound(value, FACTOR * (distance + rounding), scale, False)
    return found


def wrong(expected: dict[str, Bound], found: Results) -> list[str]:
    """What is not as it should be, with the values."""
    problems = []
    for name in [*expected, *found]:
        if name not in expected or name not in found:
            problems.append(
                f"{name}: {'missing' if name in expected else 'there, and the reference has none'}"
            )
        elif (finding := compare_arrays(found[name], expected[name])).wrong:
            off = (
                ""
                if finding.error is None
                else f", off by {finding.error:.3g}, allowed {expected[name].tolerance:.3g}"
            )
            problems.append(f"{name}: {finding.wrong}{off}\n{shown(expected[name].reference, found[name])}")
    return problems


def shown(reference: Array, found: Array) -> str:
    """Reference and backend, one below the other."""
    with np.printoptions(precision=7, threshold=40, edgeitems=2):
        return f"  reference: {reference!r}\n  here:      {found!r}"


def same(expected: Results, found: Results, what: str) -> list[str]:
    """What is not the same to the bit."""
    problems = []
    for name in dict.fromkeys([*expected, *found]):
        want, have = expected.get(name), found.get(name)
        if want is None or have is None:
            problems.append(f"{what}: {name} is {'new' if want is None else 'missing'}")
        elif want.dtype != have.dtype or want.shape != have.shape or want.tobytes() != have.tobytes():
            problems.append(f"{what}: {name} differs\n{shown(want, have)}")
    return problems


def told(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def finish(problems: list[str]) -> None:
    """Say what was found; exit with 1 if the failure shows, with 0 if not."""
    print("\n".join(problems) if problems else "The failure does not show.")
    sys.exit(1 if problems else 0)
