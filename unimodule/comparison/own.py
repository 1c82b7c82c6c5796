"""What one call of a module computes by itself: its own code, apart from the modules inside it.

The call is taken as a function from its inputs and the results of the modules that it calls to what it hands to them and
what it returns. Each of these tensors is given, as a backend had it, so that evaluating the function on the float64
reference tells the error that this one piece of code made there. Its gradient is the vector-Jacobian product with the
gradients that the backend had at what the function returns.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..backend import Backend, Tensor
from ..nn.module import Module
from ..registry import find_backend, get_backend
from ..transforms.functional import Tree
from .measure import Array, flatten, is_float, is_float_tensor, map_structure


class Port(NamedTuple):
    """A tensor that goes into or comes out of a call's own code.

    Attributes:
        side: "in" and "out" of the call, "to" and "from" a module that it calls, "own" for a parameter of its own, or one
            of a module below it that its code uses directly.
        child: which of the modules that it calls, in their order; -1 where it is none.
        place: where in the arguments or the result; a parameter's dotted name.
    """

    side: str
    child: int
    place: str


@dataclasses.dataclass
class Given:
    """What a backend had in one call.

    Attributes:
        values: inputs ("in") and results of the modules inside ("from").
        slopes: gradients at its results ("out") and at what it handed to the modules inside ("to"); zero where missing.
    """

    values: dict[Port, Array]
    slopes: dict[Port, Array]

    @property
    def largest(self) -> int:
        """The number of elements of the largest of them."""
        return max((array.size for array in (*self.values.values(), *self.slopes.values())), default=1)


class Own(NamedTuple):
    """What the reference makes of it.

    Attributes:
        values: results ("out"), and what is handed to the modules inside ("to").
        slopes: gradients at inputs ("in"), at the results of the modules inside ("from"), and of own parameters ("own").
        output: the result in its structure, hollow.
    """

    values: dict[Port, Array]
    slopes: dict[Port, Array]
    output: Tree


class OtherPath(Exception):
    """The reference does not call the modules that the backend called."""


Inside = Callable[[int, str, Tree], Tree]
"""``inside(number, path, (args, kwargs))``: the result of a module that is called, in its structure; the path is relative."""


def evaluate(module: Module, arguments: Tree, given: Given, inside: Inside, gradient: bool) -> Own:
    """Evaluate a call's own code.

    Args:
        module: on the reference (or the shaken reference).
        arguments: ``(args, kwargs)``: tensors at the places of ``given`` are replaced, the rest is taken as it is.
        given: what goes in.
        inside: called for each module that is called.
        gradient: whether to compute slopes, too.

    Raises:
        OtherPath: the reference calls other modules than the backend did.
        Exception: what the module raises.
    """
    backend = get_backend(str(module.backend))
    same = aliases(arguments)
    inputs = {port: array for port, array in given.values.items() if port.side == "in"}
    inputs = {port: array for port, array in inputs.items() if same.get(port.place, port.place) == port.place}
    froms = {port: array for port, array in given.values.items() if port.side == "from"}
    own = {name: p for name, p in module.named_parameters() if p.requires_grad}
    ports = [port for port, array in (inputs | froms).items() if is_float(array)]
    tensors = [_tensor(backend, (inputs | froms)[port]) for port in ports]
    held = [parameter.data for parameter in own.values()]
    outputs: dict[Port, Tensor] = {}
    result: Tree = None

    def run(leaves: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        nonlocal result
        at = dict(zip(ports, leaves[len(own) :], strict=True))
        copy = module.functional_clone(
            {id(variable): leaf for variable, leaf in zip(own.values(), leaves, strict=False)}
        )
        outputs.clear()
        _stand_in(copy, backend, given, at, outputs, inside)
        args, kwargs = map_structure(
            lambda place, leaf: _given(backend, given, at, Port("in", -1, same.get(place, place)), leaf),
            arguments,
        )
        result = copy.forward(*args, **kwargs)
        for place, leaf in flatten(result):
            if find_backend(leaf) is backend:
                outputs[Port("out", -1, place)] = leaf
        return _product(backend, outputs, given), list(outputs.values())

    if gradient:
        _, values, slopes = backend.value_and_grad(run, [*held, *tensors])
        found = [Port("own", -1, name) for name in own] + ports
        back = {port: backend.to_numpy(slope) for port, slope in zip(found, slopes, strict=True)}
        back = {
            port: slope
            for port, slope in back.items()
            if "." not in port.place or port.side != "own" or slope.any()
        }
    else:
        _, values = run([*held, *tensors])
        back = {}
    arrays = {port: backend.to_numpy(value) for port, value in zip(outputs, values, strict=True)}
    return Own(arrays, back, hollow(result))


def aliases(tree: Tree) -> dict[str, str]:
    """For the place of each tensor in a structure, the first place where the same tensor is."""
    first: dict[int, str] = {}
    out: dict[str, str] = {}
    for place, leaf in flatten(tree):
        if find_backend(leaf) is not None:
            out[place] = first.setdefault(id(leaf), place)
    return out


def hollow(tree: Tree) -> Tree:
    """A structure without the numbers in its tensors: what is left is what kind they are, and which ones are the same."""
    seen: dict[int, Array] = {}

    def empty(_: str, leaf: Any) -> Any:
        if (found := find_backend(leaf)) is None:
            return leaf
        return seen.setdefault(id(leaf), np.zeros((), dtypes.to_numpy_dtype(found.dtype(leaf))))

    return map_structure(empty, tree)


def _tensor(backend: Backend, array: Array, like: str = "float64") -> Tensor:
    return backend.from_numpy(np.asarray(array).astype(like), like, "cpu")


def _given(backend: Backend, given: Given, at: dict[Port, Tensor], port: Port, leaf: Any) -> Any:
    """The tensor that the backend had in the place of a leaf; anything that is no tensor, as it is."""
    if port in at:
        return at[port]
    if port in given.values and find_backend(leaf) is not None:
        return backend.from_numpy(given.values[port], _name(leaf), "cpu")
    return leaf


def _name(leaf: Tensor) -> str:
    found = find_backend(leaf)
    assert found is not None
    return found.dtype(leaf)


def _stand_in(
    copy: Module,
    backend: Backend,
    given: Given,
    at: dict[Port, Tensor],
    outputs: dict[Port, Tensor],
    inside: Inside,
) -> None:
    """Have every module below a functional clone return what the backend had there."""
    numbers = iter(range(10**9))

    def standing_in(path: str) -> Callable[..., Any]:
        def forward(_: Module, *args: Any, **kwargs: Any) -> Any:
            number = next(numbers)
            for place, leaf in flatten((args, kwargs)):
                if find_backend(leaf) is backend:
                    outputs[Port("to", number, place)] = leaf
            tree = inside(number, path, (args, kwargs))
            same = aliases(tree)
            return map_structure(
                lambda place, leaf: _given(
                    backend, given, at, Port("from", number, same.get(place, place)), leaf
                ),
                tree,
            )

        return forward

    for path, child in copy.named_modules():
        if path:
            child.__dict__["forward"] = types.MethodType(standing_in(path), child)


def _product(backend: Backend, outputs: dict[Port, Tensor], given: Given) -> Tensor:
    """The sum of results times the gradients that the backend had at them."""
    use = backend.functions
    total = _tensor(backend, np.zeros(()))
    for port, leaf in _once(outputs):
        slope = given.slopes.get(port)
        if slope is None or not is_float_tensor(leaf) or slope.shape != backend.shape(leaf):
            continue
        term = use["sum"](use["multiply"](leaf, _tensor(backend, slope)))
        total = use["add"](total, term)
    return total


def _once(outputs: dict[Port, Tensor]) -> Iterator[tuple[Port, Tensor]]:
    """Each tensor once for each time that it is handed on: where it is there twice in one structure, the first counts."""
    seen: set[tuple[str, int, int]] = set()
    for port, leaf in outputs.items():
        if (mark := (port.side, port.child, id(leaf))) not in seen:
            seen.add(mark)
            yield port, leaf


__all__ = ["Given", "OtherPath", "Own", "Port", "aliases", "evaluate", "hollow"]
