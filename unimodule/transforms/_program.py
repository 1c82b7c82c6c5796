"""A program: one signature of a function, recorded as a pure function of a flat list of tensors.

The list holds the values of the nets' variables and then the tensors among the arguments; last, where the backend draws
from the portable bit generator, the key and number of the first draw. Buffers that the function assigned come back behind
its own outputs, so no value is ever baked in and none is left behind.
"""

from __future__ import annotations

import dataclasses
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

from .. import _draws
from ..backend import Backend, Tensor
from ..nn._calling import recorder
from ..nn.module import Module, clones_only
from ..nn.parameter import Variable
from ..registry import find_backend
from ._signature import original
from .functional import Tree, assignments, leaves, map_tree, with_values

Site = tuple[Module, str, Variable]


class Captured(BaseException):
    """Ends a recording: the function uses ``net`` without having it as an argument, so its values must become inputs.

    No ordinary exception, since the function may catch those.
    """

    def __init__(self, net: Module) -> None:
        self.net = net


@dataclasses.dataclass(frozen=True)
class _TensorAt:
    """The place of a tensor in a structure."""

    index: int


@dataclasses.dataclass(frozen=True)
class _NetAt:
    """The place of a net in a structure."""

    index: int


class Program:
    """One signature's native program, and what surrounds it. It does not keep the nets alive.

    Args:
        backend: where it runs.
        fn: the function.
        args: its arguments: ``(args, kwargs)``.
        nets: the nets among the arguments, and those that ``fn`` has from elsewhere.
        options: the native compiler's.
        forget: called when one of the nets is no more.
    """

    def __init__(
        self,
        backend: Backend,
        fn: Callable[..., Any],
        args: Tree,
        nets: list[Module],
        options: dict[str, Any],
        forget: Callable[[Any], None],
    ) -> None:
        # The nets themselves, not clones of an outer transformation, whose tensors must not be kept.
        nets = [original(net) for net in nets]
        self.nets = [weakref.ref(net, forget) for net in nets]
        self._fn, self._backend = fn, backend
        index = {id(net): i for i, net in enumerate(nets)}
        tensors = len(sites(nets))

        def place(leaf: Any) -> Any:
            nonlocal tensors
            if isinstance(leaf, Module):
                return _NetAt(index[id(original(leaf))])
            if find_backend(leaf) is not backend:
                return leaf
            tensors += 1
            return _TensorAt(tensors - 1)

        self._args = map_tree(place, args)
        self.assigned: list[tuple[int, str]] = []
        """The buffers that the function assigns: number of the module in ``modules_of(nets)``, and name."""
        self.build: Callable[[list[Tensor]], Any] = tuple
        """Puts outputs into the structure that the function returned."""
        self._keyed = _draws.portable(backend)
        self._draws: int | None = None  # until it is recorded
        self._run = backend.compile(self._record, **options)

    def run(self, tensors: list[Tensor]) -> list[Tensor]:
        """The outputs: the function's own, and the new values of buffers."""
        if not self._keyed:
            return self._run(tensors)
        if self._draws is not None:
            return self._run([*tensors, self._key(tensors, _draws.ROOT.advance(self._draws))])
        outputs = self._run([*tensors, self._key(tensors, _draws.ROOT.advance(0))])
        _draws.ROOT.advance(self._draws or 0)
        return outputs

    def quick(self) -> Callable[..., list[Tensor]]:
        """``run`` with separate arguments and as little as possible around the native program, once it is recorded."""
        run = self._run
        native = getattr(run, "native", None) or (lambda *tensors: run(list(tensors)))
        if not self._keyed:
            return native
        if not self._draws:
            key = self._key([], (0, 0, 0))
            return lambda *tensors: native(*tensors, key)
        return lambda *tensors: native(*tensors, self._key(tensors, _draws.ROOT.advance(self._draws or 0)))

    def _key(self, tensors: Sequence[Tensor], key: tuple[int, int, int]) -> Tensor:
        device = self._backend.device(tensors[0]) if tensors else "cpu"
        return self._backend.from_numpy(_draws.as_array(key), "int32", device)

    def is_of(self, nets: list[Module]) -> bool:
        """Whether these are the nets that it was made for, and not others at the same addresses."""
        return all(ref() is original(net) for ref, net in zip(self.nets, nets, strict=True))

    def _record(self, tensors: list[Tensor]) -> list[Tensor]:
        """The function, pure, from a flat list of tensors to another. Runs while the framework traces."""
        if not self._keyed:
            return self._record_drawing(tensors)
        with _draws.drawing_from(_draws.Stream(tensors[-1])) as stream:
            outputs = self._record_drawing(tensors[:-1])
        self._draws = stream.count
        return outputs

    def _record_drawing(self, tensors: list[Tensor]) -> list[Tensor]:
        nets = [net for ref in self.nets if (net := ref()) is not None]
        given = {id(variable): tensors[i] for i, (_, _, variable) in enumerate(sites(nets))}
        clones, pairs = with_values(nets, given)

        def fill(leaf: Any) -> Any:
            if isinstance(leaf, _TensorAt):
                return tensors[leaf.index]
            return clones[leaf.index] if isinstance(leaf, _NetAt) else leaf

        args, kwargs = map_tree(fill, self._args)
        passed = [nets[leaf.index] for leaf in leaves(self._args) if isinstance(leaf, _NetAt)]
        # A net that the function has from elsewhere may be called as it is: its clone stands in.
        standing_in = {id(o): clone for o, clone in pairs}
        with (
            clones_only({id(m): m for net in passed for m in net.modules()}.values()),
            _recording(standing_in),
        ):
            result = self._fn(*args, **kwargs)
        outputs: list[Tensor] = []

        def collect(leaf: Any) -> Any:
            if isinstance(leaf, Module):
                return original(leaf)
            if find_backend(leaf) is not self._backend:
                return leaf
            outputs.append(leaf)
            return _TensorAt(len(outputs) - 1)

        self.build = _builder(map_tree(collect, result))
        made = assignments(pairs, given)
        position = {id(module): i for i, module in enumerate(modules_of(nets))}
        self.assigned = [(position[id(a.module)], a.name) for a in made]
        return outputs + [a.value for a in made]

    def finish(self, outputs: list[Tensor], nets: list[Module]) -> Any:
        """The result in its structure, with the buffers of ``nets`` written."""
        if self.assigned:
            modules = modules_of(nets)
            values = outputs[len(outputs) - len(self.assigned) :]
            for (number, name), value in zip(self.assigned, values, strict=True):
                setattr(modules[number], name, value)
        return self.build(outputs)


@contextmanager
def _recording(standing_in: dict[int, Module]) -> Iterator[None]:
    def choose(module: Module) -> Module:
        if (clone := standing_in.get(id(module))) is not None:
            return clone
        if any(m._variables for m in module.modules()):
            raise Captured(module)
        return module

    token = recorder.set(choose)
    try:
        yield
    finally:
        recorder.reset(token)


# ---------------------------------------------------------------------- outputs
def _builder(tree: Tree) -> Callable[[list[Tensor]], Any]:
    """A function from the list of outputs to ``tree`` with the tensors in their places."""
    if isinstance(tree, _TensorAt):
        return itemgetter(tree.index)
    if not any(isinstance(leaf, _TensorAt) for leaf in leaves(tree)) and not isinstance(tree, dict | list):
        return lambda outputs: tree
    if isinstance(tree, dict):
        keys, items = list(tree), [_builder(item) for item in tree.values()]
        wrap = getattr(tree, "with_values", dict)
        indices = [item.index for item in tree.values() if isinstance(item, _TensorAt)]
        if indices and indices == list(range(indices[0], indices[0] + len(keys))):
            first, last = indices[0], indices[-1] + 1
            return lambda outputs: wrap(zip(keys, outputs[first:last], strict=True))
        return lambda outputs: wrap((key, item(outputs)) for key, item in zip(keys, items, strict=True))
    items = [_builder(item) for item in tree]
    if hasattr(tree, "_fields"):
        kind = type(tree)
        return lambda outputs: kind(*[item(outputs) for item in items])
    if isinstance(tree, tuple):
        return lambda outputs: tuple([item(outputs) for item in items])
    return lambda outputs: [item(outputs) for item in items]


# ---------------------------------------------------------------------- nets
def nets_of(tree: Tree) -> list[Module]:
    """The nets in a structure, each once."""
    return list({id(leaf): leaf for leaf in leaves(tree) if isinstance(leaf, Module)}.values())


def modules_of(nets: list[Module]) -> list[Module]:
    """All modules of the nets, each once."""
    found: dict[int, Module] = {}
    for net in nets:
        for module in net.modules():
            found.setdefault(id(module), module)
    return list(found.values())


def sites(nets: list[Module]) -> list[Site]:
    """Where each variable of the nets stands, each once."""
    found: dict[int, Site] = {}
    for module in modules_of(nets):
        for name, variable in module._variables.items():
            found.setdefault(id(variable), (module, name, variable))
    return list(found.values())
