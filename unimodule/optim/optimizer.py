"""The base of all optimisers: parameter groups, state, and how a step reads gradients and writes parameters.

A subclass gives the update rule as a pure function of lists of tensors and of numbers, ``update``, and works out on the
host, in double precision, the numbers that change from step to step, ``numbers``. The base finds the parameters that have
a gradient, hands their values over in lists and writes back what comes out. The adapter may compile the rule
(``Backend.accelerate``): one call then updates a whole group.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import ArgumentError, BackendMismatchError, ShapeError
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..ops._dispatch import kernel
from ..registry import find_backend, get_backend, on_forget
from ..transforms.gradient import Gradients
from . import _state
from ._kept import Kept, Plain, by_parameter
from ._packing import Packing
from .foreach import Foreach, lists_of

Group = dict[str, Any]
Scalars = dict[str, float]
"""What is counted on the host for a parameter, under PyTorch's names: ``"step"``, NAdam's ``"mu_product"``."""
Slots = dict[str, list[Tensor]]
"""The state of several parameters during an update: name of a slot -> one tensor for each parameter."""
Home = tuple[str, str, str]
Result = tuple[list[Tensor], Slots]
"""What a rule returns: the parameters' new values and their new slots."""

SCHEDULED = frozenset({"initial_lr", "max_lr", "min_lr", "max_momentum", "base_momentum"})
"""What learning-rate schedules note in a group."""


class Update(NamedTuple):
    """A step of the parameters that take it together: one group's, with one home and the same history.

    Attributes:
        backend: the backend that holds them.
        home: its name, their dtype and their device.
        group: the group that they are of.
        parameters: their handles.
        on: what picks the operations of the rule; see ``Optimizer.switches``.
        slots: their state, on their device.
        numbers: the numbers of this step.
        scalars: what they will have counted after it.
        packing: for a compiled step, how the state travels; ``slots`` then has only their names.
        tensors: the state, packed.
        row: which row of a table holds the numbers of this step.
    """

    backend: Backend
    home: Home
    group: Group
    parameters: list[Parameter]
    on: dict[str, bool]
    slots: Slots
    numbers: dict[str, float]
    scalars: Scalars
    packing: Packing | None = None
    tensors: Sequence[Tensor] = ()
    row: int = 0


class Optimizer:
    """Base class of all optimisers.

    Args:
        params: handles from ``net.parameters()``, or a list of groups: dicts with ``"params"`` and options that override
            the defaults for that group.
        defaults: the options of the update rule.

    Attributes:
        param_groups: the groups, each a dict of ``"params"`` and its options; options may be changed between steps.

    Raises:
        ArgumentError: there are no parameters, something is not a handle, or one stands in two groups.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that the rule may keep for each parameter."""

    scalars: ClassVar[Mapping[str, float]] = {}
    """What the rule counts on the host beside the steps, and from where."""

    flags: ClassVar[tuple[str, ...]] = ("weight_decay", "maximize")
    """Options of which the rule only needs to know whether they are on: they pick its operations."""

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self._kept = Kept(Plain({}, {}, {}))
        if isinstance(params, Module | Parameter | Mapping | str) or find_backend(params) is not None:
            raise ArgumentError(
                f"{type(self).__name__} expected handles (net.parameters()) or groups of them, got {type(params).__name__}"
            )
        entries = list(params)
        if not entries:
            raise ArgumentError(f"{type(self).__name__} got no parameters")
        groups = entries if isinstance(entries[0], Mapping) else [{"params": entries}]
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add a group: ``{"params": handles, option: value, ...}``.

        Raises:
            ArgumentError: as for the class, or an option is not one of this optimiser's.
        """
        if not isinstance(group, Mapping) or "params" not in group:
            raise ArgumentError(f"a parameter group expected a dict with 'params', got {group!r}")
        handles = group["params"]
        handles = [handles] if isinstance(handles, Parameter) else list(handles)
        unknown = [k for k in group if k != "params" and k not in self.defaults and k not in SCHEDULED]
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__} has no option {', '.join(unknown)}; it has {list(self.defaults)}"
            )
        taken = {id(p) for p in self._handles()}
        for handle in handles:
            if not isinstance(handle, Parameter):
                raise ArgumentError(
                    f"{type(self).__name__} expected parameter handles, got {type(handle).__name__}"
                )
            if id(handle) in taken:
                raise ArgumentError(f"{handle} stands twice among the parameters")
            taken.add(id(handle))
        options = {**self.defaults, **{k: v for k, v in group.items() if k != "params"}}
        self.check_options(options)
        self.param_groups.append({"params": handles, **options})

    # ------------------------------------------------------------------ what a subclass gives
    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ArgumentError where an option is out of its range."""

    def slots_of(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The slots that the rule needs under these options."""
        return self.slots

    def initial(self, slot: str, options: Mapping[str, Any]) -> float:
        """The number that a slot is filled with at first."""
        return 0.0

    def advance(self, options: Mapping[str, Any], scalars: Scalars) -> Scalars:
        """What a parameter has counted after one more step."""
        return {**scalars, "step": scalars["step"] + 1}

    def switches(self, options: Mapping[str, Any], scalars: Scalars) -> dict[str, bool]:
        """What picks the operations of the rule in this step. Each combination is compiled by itself."""
        return {name: bool(options[name]) for name in self.flags}

    def numbers(self, options: Mapping[str, Any], scalars: Scalars, fresh: bool) -> dict[str, float]:
        """The numbers in the rule, worked out in double precision. They may change from step to step at no cost.

        Like ``advance`` and ``switches``, it depends on its arguments alone: compiled steps ask for the numbers of many
        steps ahead, and again when an option has changed.

        Args:
            options: the group's.
            scalars: what the parameters have counted, this step included.
            fresh: whether a slot holds nothing yet.
        """
        raise NotImplementedError

    @staticmethod
    def update(
        do: Foreach,
        on: Mapping[str, bool],
        values: list[Tensor],
        gradients: list[Tensor],
        slots: Slots,
        n: Mapping[str, Any],
    ) -> Result:
        """The rule. It may overwrite values and slots, not gradients.

        Args:
            do: arithmetic on lists.
            on: what ``switches`` returned.
            values: the parameters.
            gradients: theirs.
            slots: the state, by the names that ``slots_of`` returned.
            n: what ``numbers`` returned, possibly as tracers of a compiler.
        """
        raise NotImplementedError

    # ------------------------------------------------------------------ the step
    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Update every parameter that has a gradient.

        Args:
            gradients: what ``value_and_grad`` returned: dotted name -> native tensor. A plain dict is matched by the
                handles' names. Parameters that it lacks, and frozen ones, stay as they are.

        Raises:
            ArgumentError: no gradient belongs to any of the parameters.
            ShapeError: a gradient has another shape than its parameter.
            BackendMismatchError: a gradient is of another backend than its parameter.
        """
        lookup = _lookup(gradients)
        found: dict[int, Tensor] = {}
        trainable = [p for p in self._handles() if p.requires_grad]
        for parameter in trainable:
            gradient = lookup(parameter)
            if gradient is not None:
                _check_gradient(parameter, gradient)
                found[id(parameter)] = gradient
        if trainable and not found:
            raise ArgumentError(
                f"none of the gradients ({', '.join(gradients) or 'empty'}) belongs to a parameter of this {type(self).__name__}"
            )
        for update in self.updates(p for p in trainable if id(p) in found):
            detach = kernel(update.backend, "stop_gradient")
            values = [detach(p.data) for p in update.parameters]
            kind: Any = type(self)  # mypy takes a class for no Hashable
            rule = _rule(kind, update.backend.info.name, tuple(update.on.items()))
            new_values, slots = rule(
                values, [detach(found[id(p)]) for p in update.parameters], update.slots, update.numbers
            )
            for parameter, old, new in zip(update.parameters, values, new_values, strict=True):
                if new is not old:  # else it was written in place
                    parameter.write(new)
            self.finish(update, slots)

    def updates(self, parameters: Iterable[Parameter]) -> list[Update]:
        """What a step of these parameters consists of, in the order of the groups; none is taken yet."""
        wanted = {id(p) for p in parameters}
        scalars, state, homes = self._kept.plain
        found: list[Update] = []
        for group in self.param_groups:
            names = self.slots_of(group)
            needed = set(names)
            together: dict[tuple[Any, ...], list[Parameter]] = {}
            for p in group["params"]:
                if id(p) in wanted:
                    home = _home_of(p)
                    assert home is not None
                    fresh = not (state.get(id(p), {}).keys() >= needed)
                    counted = scalars.get(id(p))
                    together.setdefault((home, fresh, *(counted.values() if counted else ())), []).append(p)
            for (home, fresh, *_), handles in together.items():
                backend = get_backend(home[0])
                after = self.advance(group, scalars.get(id(handles[0])) or {"step": 0, **self.scalars})
                own = [
                    self._slots(p, names, group, home, state.get(id(p), {}), homes.get(id(p)))
                    for p in handles
                ]
                columns = zip(*own, strict=True)
                slots = {name: list(column) for name, column in zip(names, columns, strict=False)}
                switches, numbers = self.switches(group, after), self.numbers(group, after, fresh)
                found.append(Update(backend, home, group, handles, switches, slots, numbers, after))
        return found

    def packed(self, updates: Sequence[Update]) -> list[Update]:
        """The same updates for a compiled step, their slots as it takes them."""
        found = []
        for update in updates:
            packing = Packing(update)
            names: Slots = {name: [] for name in update.slots}
            found.append(update._replace(slots=names, packing=packing, tensors=packing.gather(update)))
        return found

    def following(self, parameters: Sequence[Parameter]) -> Kept | None:
        """What is kept, if it is packed, and ``again`` would give the updates of these parameters."""
        kept = self._kept
        before = [(p, update.home) for update in kept.updates for p in update.parameters]
        if not before or {id(p) for p, _ in before} != set(map(id, parameters)):
            return None
        return kept if all(_home_of(p) == home for p, home in before) else None

    def again(self) -> list[Update] | None:
        """The updates that follow those of ``keep``, packed, found at less cost than by ``updates``; None where the group
        or the slots are others by now. Nor may their net have moved.
        """
        found: list[Update] = []
        row = self._kept.row
        for (update, tensors), counted in zip(self._kept.parts(), self._kept.scalars, strict=True):
            group = update.group
            if self.slots_of(group) != tuple(update.slots) or not any(g is group for g in self.param_groups):
                return None
            after = self.advance(group, counted)
            switches, numbers = self.switches(group, after), self.numbers(group, after, False)
            found.append(
                update._replace(on=switches, tensors=tensors, numbers=numbers, scalars=after, row=row)
            )
        return found

    def keep(self, updates: Sequence[Update], tensors: Sequence[Tensor]) -> Kept:
        """Keep the state after packed updates whose parameters have been written: all their tensors."""
        bare = [update._replace(tensors=()) for update in updates]
        before = Kept(self._kept.without(updates), bare, row=updates[0].row if updates else 0)
        kept = self._kept = before.after([update.scalars for update in updates], tensors)
        return kept

    def finish(self, update: Update, slots: Slots) -> None:
        """Keep the state after an update; the parameters have been written."""
        scalars, state, homes = self._changing()
        for parameter, *tensors in zip(update.parameters, *slots.values(), strict=True):
            key = id(parameter)
            scalars[key], homes[key] = update.scalars, update.home
            state.setdefault(key, {}).update(zip(slots, tensors, strict=True))

    def _changing(self) -> Plain:
        """The state, to be changed."""
        if self._kept.updates:
            self._kept = Kept(self._kept.plain)
        return self._kept.base

    def replace(self, updates: Sequence[Update], tensors: Sequence[Tensor]) -> None:
        """Hold ``tensors``, of the same values, in place of those of packed updates."""
        kept = self._kept
        if kept.precede(updates):
            self._kept = Kept(kept.base, kept.updates, kept.scalars, tensors, kept.row)
            return
        slots = self._changing().slots
        for update, own in Kept(Plain({}, {}, {}), updates, tensors=tensors).parts():
            for parameter, found in zip(update.parameters, by_parameter(update, own), strict=True):
                held = slots.get(id(parameter), {})
                held.update({name: tensor for name, tensor in found.items() if name in held})

    def _slots(
        self,
        parameter: Parameter,
        names: tuple[str, ...],
        options: Mapping[str, Any],
        home: Home,
        held: Mapping[str, Tensor],
        held_at: Home | None,
    ) -> list[Tensor]:
        """The state tensors beside a parameter: made when they are first needed, moved where the net has moved."""
        if held_at == home and held.keys() >= set(names):
            return [held[name] for name in names]
        name, dtype, device = home
        backend = get_backend(name)
        found = []
        for slot in names:
            value = held.get(slot)
            source = find_backend(value)
            if value is None or source is None:
                shape = backend.shape(parameter.data)
                start = np.full(shape, self.initial(slot, options), dtypes.to_numpy_dtype(dtype))
                value = backend.from_numpy(start, dtype, device)
            elif source is not backend or backend.dtype(value) != dtype or backend.device(value) != device:
                value = backend.from_numpy(source.to_numpy(value), dtype, device)
            found.append(value)
        return found

    def _handles(self) -> list[Parameter]:
        return [p for group in self.param_groups for p in group["params"]]

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """A copy of the state as PyTorch lays it out: ``{"state": {index: {"step": n, slot: tensor}}, "param_groups":
        [...]}``, parameters numbered in the order of the groups. PyTorch's optimiser of the same name can load it, where
        the tensors are PyTorch's.
        """
        return _state.state_dict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a copy of a state that ``state_dict`` gave, of this or another backend, or PyTorch's optimiser of the
        same name.

        Raises:
            StateDictError: it does not fit the parameters or this optimiser, which is then as it was.
        """
        _state.load_state_dict(self, state_dict)

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


@functools.lru_cache(maxsize=256)
def _rule(
    kind: type[Optimizer], backend_name: str, on: tuple[tuple[str, bool], ...]
) -> Callable[..., Result]:
    """The update rule of a class on a backend, compiled where the adapter does so; all its optimisers share it."""
    backend = get_backend(backend_name)
    return backend.accelerate(functools.partial(kind.update, lists_of(backend), dict(on)))


on_forget(_rule.cache_clear)


def _home_of(parameter: Parameter) -> Home | None:
    """Where a parameter's value is, and in which dtype; None where no backend has it."""
    backend = parameter._backend
    return None if backend is None else (backend.info.name, parameter.dtype, backend.device(parameter.data))


def _lookup(gradients: Mapping[str, Tensor]) -> Callable[[Parameter], Tensor | None]:
    if isinstance(gradients, Gradients):
        by_handle = {id(handle): gradients.get(name) for name, handle in gradients.parameters.items()}
        return lambda parameter: by_handle.get(id(parameter))
    if not isinstance(gradients, Mapping):
        raise ArgumentError(f"step expected a dict of gradients by name, got {type(gradients).__name__}")
    return lambda parameter: gradients.get(parameter.name)


def _check_gradient(parameter: Parameter, gradient: Tensor) -> None:
    backend = parameter._backend
    if backend is None or not parameter.has_value:
        raise ArgumentError(f"{parameter} has no value to update; bind the net first with net.to(backend)")
    home = find_backend(gradient)
    if home is not backend:
        raise BackendMismatchError(
            f"{parameter} is on {backend.info.name!r}, its gradient is a {home.info.name if home else type(gradient).__name__} tensor"
        )
    if backend.shape(gradient) != parameter.shape:
        raise ShapeError(
            f"the gradient of {parameter} expected shape {parameter.shape}, got {backend.shape(gradient)}"
        )
