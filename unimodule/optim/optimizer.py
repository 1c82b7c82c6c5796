"""The base of all optimisers: parameter groups, state, and how a step reads gradients and writes parameters.

A subclass gives the update rule as a pure function of tensors and numbers, ``update``. The base finds the parameters that
have a gradient, hands their values over in lists and writes back what comes out. The adapter may compile the rule
(``Backend.accelerate``): one call then updates a whole group.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import ArgumentError, BackendMismatchError, ShapeError, StateDictError
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..ops._dispatch import kernel
from ..registry import find_backend
from ..transforms.gradient import Gradients

Group = dict[str, Any]
Slots = dict[str, list[Tensor]]
"""The state of a group of parameters during an update: name of a slot -> one tensor for each parameter."""


class Optimizer:
    """Base class of all optimisers.

    Args:
        parameters: handles from ``net.parameters()``, or a list of groups: dicts with ``"params"`` and options that
            override the defaults for that group.
        defaults: the options of the update rule.

    Attributes:
        param_groups: the groups, each a dict of ``"params"`` and its options; options may be changed between steps.

    Raises:
        ArgumentError: there are no parameters, something is not a handle, or one stands in two groups.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the tensors that the rule keeps for each parameter; they start as zeros."""

    def __init__(self, parameters: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        self.defaults = dict(defaults)
        self.param_groups: list[Group] = []
        self._steps: dict[int, int] = {}
        self._state: dict[int, dict[str, Tensor]] = {}
        self._rules: dict[tuple[Any, ...], Callable[..., Any]] = {}
        if isinstance(parameters, Module | Parameter | Mapping | str) or find_backend(parameters) is not None:
            raise ArgumentError(
                f"{type(self).__name__} expected handles (net.parameters()) or groups of them, "
                f"got {type(parameters).__name__}"
            )
        entries = list(parameters)
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
        unknown = [k for k in group if k != "params" and k not in self.defaults]
        if unknown:
            raise ArgumentError(f"{type(self).__name__} has no option {', '.join(unknown)}; it has {list(self.defaults)}")
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for handle in handles:
            if not isinstance(handle, Parameter):
                raise ArgumentError(f"{type(self).__name__} expected parameter handles, got {type(handle).__name__}")
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

    def rule(self, options: Mapping[str, Any]) -> Callable[..., tuple[list[Tensor], Slots]]:
        """The update as a pure function ``(values, gradients, slots, numbers) -> (new values, new slots)``.

        ``numbers`` is what ``numbers`` returned for this step, possibly as tracers of a compiler. All other options are
        fixed in the function that is returned; ``options["first"]`` says whether it is for the first step.
        """
        raise NotImplementedError

    def numbers(self, options: Mapping[str, Any], step: int) -> dict[str, float]:
        """What changes from step to step (counted from 1), worked out in double precision on the host."""
        return {name: float(options[name]) for name in self.numeric}

    numeric: ClassVar[tuple[str, ...]] = ("lr",)
    """Options that may change from step to step without another compilation."""

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
        jobs: list[tuple[Group, list[Parameter], list[Tensor]]] = []
        for group in self.param_groups:
            pairs = [(p, g) for p in group["params"] if p.requires_grad and (g := lookup(p)) is not None]
            for parameter, gradient in pairs:
                _check_gradient(parameter, gradient)
            if pairs:
                jobs.append((group, [p for p, _ in pairs], [g for _, g in pairs]))
        if not jobs and any(p.requires_grad for g in self.param_groups for p in g["params"]):
            raise ArgumentError(
                f"none of the gradients ({', '.join(gradients) or 'empty'}) belongs to a parameter of this {type(self).__name__}"
            )
        for group, handles, grads in jobs:
            for together in _by_home_and_step(handles, self._steps):
                self._update(group, [handles[i] for i in together], [grads[i] for i in together])

    def _update(self, group: Group, handles: list[Parameter], gradients: list[Tensor]) -> None:
        backend = handles[0]._backend
        assert backend is not None
        detach = kernel(backend, "stop_gradient")
        values = [detach(p.data) for p in handles]
        slots = {name: [self._slot(p, name, backend) for p in handles] for name in self.slots_of(group)}
        step = self._steps.get(id(handles[0]), 0) + 1
        fixed = {k: v for k, v in group.items() if k != "params" and k not in self.numeric}
        key = (backend.info.name, step == 1, *sorted((k, repr(v)) for k, v in fixed.items()))
        rule = self._rules.get(key)
        if rule is None:
            rule = self._rules[key] = backend.accelerate(self.rule({**fixed, "first": step == 1}))
        values, slots = rule(values, [detach(g) for g in gradients], slots, self.numbers(group, step))
        for i, parameter in enumerate(handles):
            parameter.write(values[i])
            self._steps[id(parameter)] = step
            self._state.setdefault(id(parameter), {}).update({name: column[i] for name, column in slots.items()})

    def _slot(self, parameter: Parameter, name: str, backend: Backend) -> Tensor:
        """One state tensor beside its parameter: zeros at first, moved where the net has moved."""
        value = self._state.get(id(parameter), {}).get(name)
        live = parameter.data
        dtype, device = backend.dtype(live), backend.device(live)
        if value is None:
            return backend.from_numpy(np.zeros(parameter.shape, dtypes.to_numpy_dtype(dtype)), dtype, device)  # type: ignore[arg-type]
        home = find_backend(value)
        assert home is not None
        if home is not backend or backend.dtype(value) != dtype or backend.device(value) != device:
            return backend.from_numpy(home.to_numpy(value), dtype, device)
        return value

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """The state as PyTorch lays it out: ``{"state": {index: {"step": n, slot: tensor}}, "param_groups": [...]}``,
        parameters numbered in the order of the groups."""
        order = [p for g in self.param_groups for p in g["params"]]
        number = {id(p): i for i, p in enumerate(order)}
        state = {
            i: {"step": self._steps[id(p)], **self._state.get(id(p), {})}
            for i, p in enumerate(order)
            if id(p) in self._steps
        }
        groups = [{**copy.deepcopy({k: v for k, v in g.items() if k != "params"}),
                   "params": [number[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state that ``state_dict`` gave, of this or another backend, or PyTorch's own optimiser of the same
        name.

        Raises:
            StateDictError: it does not fit the groups; the optimiser is as it was.
        """
        try:
            groups, state = list(state_dict["param_groups"]), dict(state_dict["state"])
            sizes = [len(g["params"]) for g in groups]
        except (KeyError, TypeError) as error:
            raise StateDictError(f"an optimiser's state expected 'state' and 'param_groups': {error}") from error
        own = [len(g["params"]) for g in self.param_groups]
        if sizes != own:
            raise StateDictError(f"the state has parameter groups of sizes {sizes}, this optimiser of sizes {own}")
        order = [p for g in self.param_groups for p in g["params"]]
        numbers = [n for g in groups for n in g["params"]]
        steps: dict[int, int] = {}
        slots: dict[int, dict[str, Tensor]] = {}
        for number, parameter in zip(numbers, order, strict=True):
            entry = state.get(number)
            if entry is None:
                continue
            steps[id(parameter)] = int(entry["step"]) if "step" in entry else 1
            slots[id(parameter)] = {}
            for name, value in entry.items():
                if name == "step" or value is None:
                    continue
                shape = tuple(value.shape)
                if shape != parameter.shape:
                    raise StateDictError(f"{name} of {parameter} expected shape {parameter.shape}, got {shape}")
                slots[id(parameter)][name] = value
        for group, loaded in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in loaded.items() if k in self.defaults})
        self._steps, self._state = steps, slots

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            options = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            lines.append(f"  group {i}: {len(group['params'])} parameters, {options}")
        return f"{type(self).__name__}(\n" + "\n".join(lines) + "\n)"


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
        raise ShapeError(f"the gradient of {parameter} expected shape {parameter.shape}, got {backend.shape(gradient)}")


def _by_home_and_step(handles: Sequence[Parameter], steps: Mapping[int, int]) -> list[list[int]]:
    """Positions of parameters that can be updated in one go: same backend, same step count."""
    together: dict[tuple[str | None, int], list[int]] = {}
    for i, handle in enumerate(handles):
        together.setdefault((handle.backend, steps.get(id(handle), 0)), []).append(i)
    return list(together.values())


def check_range(name: str, value: float, low: float, high: float = float("inf"), *, open_high: bool = False) -> None:
    """Raise ArgumentError unless ``low <= value <= high`` (``< high`` where that bound is open)."""
    fits = isinstance(value, int | float) and low <= value and (value < high if open_high else value <= high)
    if not fits:
        limit = "" if high == float("inf") else f" and {'<' if open_high else '<='} {high:g}"
        raise ArgumentError(f"{name} expected a number >= {low:g}{limit}, got {value!r}")
