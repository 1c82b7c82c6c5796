"""An optimiser's state as plain dicts, in PyTorch's layout."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..backend import Tensor
from ..errors import ArgumentError, StateDictError
from ..nn.parameter import Parameter
from ..registry import find_backend
from ._kept import Kept, Plain
from .foreach import lists_of

if TYPE_CHECKING:
    from .optimizer import Group, Optimizer, Scalars

FOREIGN = frozenset({"foreach", "fused", "capturable", "differentiable", "param_names"})
"""Entries of PyTorch's groups that say how it runs a step, not what the step is."""


def state_dict(optimizer: Optimizer) -> dict[str, Any]:
    """See ``Optimizer.state_dict``."""
    counted, slots_of, _ = optimizer._kept.plain
    number: dict[int, int] = {}
    state: dict[int, dict[str, Any]] = {}
    groups = []
    for group in optimizer.param_groups:
        for p in group["params"]:
            number[id(p)] = len(number)
            if id(p) in counted:
                held = slots_of.get(id(p), {})
                slots = {
                    name: _copied(held[name]) if name in held else None for name in optimizer.slots_of(group)
                }
                state[number[id(p)]] = {**counted[id(p)], **slots}
        options = copy.deepcopy({k: v for k, v in group.items() if k != "params"})
        groups.append({**options, "params": [number[id(p)] for p in group["params"]]})
    return {"state": state, "param_groups": groups}


def load_state_dict(optimizer: Optimizer, source: Mapping[str, Any]) -> None:
    """See ``Optimizer.load_state_dict``."""
    try:
        groups, state = list(source["param_groups"]), dict(source["state"])
        indices = [list(group["params"]) for group in groups]
    except (KeyError, TypeError) as error:
        raise StateDictError(f"an optimiser's state expected 'state' and 'param_groups': {error}") from error
    sizes, own = [len(part) for part in indices], [len(group["params"]) for group in optimizer.param_groups]
    if sizes != own:
        raise StateDictError(
            f"the state has parameter groups of sizes {sizes}, this optimiser of sizes {own}"
        )
    new_groups: list[Group] = []
    scalars: dict[int, Scalars] = {}
    slots: dict[int, dict[str, Tensor]] = {}
    for group, loaded, part in zip(optimizer.param_groups, groups, indices, strict=True):
        new = {**group, **_options(loaded)}
        try:
            optimizer.check_options(new)
        except ArgumentError as error:
            raise StateDictError(f"the state of {type(optimizer).__name__}: {error}") from error
        new_groups.append(new)
        for parameter, index in zip(group["params"], part, strict=True):
            if state.get(index):
                scalars[id(parameter)], slots[id(parameter)] = _entry(optimizer, parameter, state[index], new)
    for group, new in zip(optimizer.param_groups, new_groups, strict=True):
        group.update(new)
    optimizer._kept = Kept(Plain(scalars, slots, {}))


def _options(loaded: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a loaded group, numbers for the tensors that PyTorch may keep them in."""
    kept = {k: v for k, v in loaded.items() if k != "params" and k not in FOREIGN}
    return {k: copy.deepcopy(v) if find_backend(v) is None else float(v) for k, v in kept.items()}


def _entry(
    optimizer: Optimizer, parameter: Parameter, entry: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[Scalars, dict[str, Tensor]]:
    """One parameter's scalars and slots."""
    kind = type(optimizer).__name__
    needed, counted = optimizer.slots_of(options), {"step": 1.0, **optimizer.scalars}
    if unknown := [name for name in entry if name not in counted and name not in optimizer.slots]:
        raise StateDictError(f"the state of {parameter} has {', '.join(unknown)}, which {kind} does not keep")
    # A rule that counts no steps (SGD) may leave their number out, and a slot may be None: it is not there yet.
    if missing := [name for name in (*optimizer.scalars, *needed) if name not in entry]:
        raise StateDictError(f"the state of {parameter} lacks {', '.join(missing)}, which {kind} keeps")
    scalars = {name: float(entry.get(name, start)) for name, start in counted.items()}
    slots = {name: entry[name] for name in needed if entry[name] is not None}
    for name, value in slots.items():
        if find_backend(value) is None:
            raise StateDictError(f"{name} of {parameter} expected a tensor, got {type(value).__name__}")
        if tuple(value.shape) != parameter.shape:
            raise StateDictError(
                f"{name} of {parameter} expected shape {parameter.shape}, got {tuple(value.shape)}"
            )
    return {**scalars, "step": int(scalars["step"])}, {name: _copied(value) for name, value in slots.items()}


def _copied(value: Tensor) -> Tensor:
    """The same values where no later step can change them."""
    backend = find_backend(value)
    assert backend is not None
    return lists_of(backend).copy([value])[0]
