"""One cycle up and down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class OneCycleLR(LRScheduler):
    """One rise of the rate and a long fall, a step of the schedule for each batch; momentum the other way round.

    From max_lr / div_factor to max_lr within ``pct_start`` of the steps, then to max_lr / div_factor / final_div_factor;
    with ``three_phase`` back to where it began in as many steps as it rose, then down. Momentum (the first of ``betas``)
    falls from ``max_momentum`` to ``base_momentum`` and returns.

    Args:
        optimizer: whose rates to change.
        max_lr: the highest rate, or one for each group.
        total_steps: how many steps the cycle has; or ``epochs`` times ``steps_per_epoch``.
        epochs: see ``total_steps``.
        steps_per_epoch: see ``total_steps``.
        pct_start: part of the steps in which the rate rises, a float in [0, 1].
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: whether momentum changes too.
        base_momentum: its lowest value, or one for each group.
        max_momentum: its highest value, or one for each group.
        div_factor: highest rate over first one.
        final_div_factor: first rate over last one.
        three_phase: see above.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: an argument is out of range, the optimiser has no momentum to change, or ``step`` goes past the end.

    Source: PyTorch ``torch.optim.lr_scheduler.OneCycleLR``; Smith and Topin 2018.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.Adam(um.nn.Linear(2, 1).parameters())
        >>> schedule = um.optim.lr_scheduler.OneCycleLR(opt, max_lr=0.25, total_steps=100)
        >>> [round(lr, 6) for lr in schedule.get_last_lr()]
        [0.01]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.85,
        max_momentum: float | Sequence[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer, type(self).__name__)
        self.optimizer = optimizer
        self.total_steps = _total(total_steps, epochs, steps_per_epoch)
        if not isinstance(pct_start, float) or not 0.0 <= pct_start <= 1.0:
            raise ArgumentError(f"pct_start expected a float in [0, 1], got {pct_start!r}")
        if anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"anneal_strategy expected 'cos' or 'linear', got {anneal_strategy!r}")
        self._anneal_func_type = anneal_strategy
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        highest = self._each("max_lr", max_lr)
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            if "betas" not in optimizer.defaults and "momentum" not in optimizer.defaults:
                raise ArgumentError(
                    f"{type(optimizer).__name__} has no momentum or betas to change; say cycle_momentum=False"
                )
            self.use_beta1 = "betas" in optimizer.defaults
            tops, bases = self._each("max_momentum", max_momentum), self._each("base_momentum", base_momentum)
        if last_epoch == -1:
            for i, group in enumerate(optimizer.param_groups):
                group["initial_lr"] = highest[i] / div_factor
                group["max_lr"] = highest[i]
                group["min_lr"] = group["initial_lr"] / final_div_factor
                if cycle_momentum:
                    group["max_momentum"], group["base_momentum"] = tops[i], bases[i]
                    self._set_momentum(group, tops[i])
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates of this step; sets momentum as well."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ArgumentError(f"OneCycleLR has {self.total_steps} steps, this is step {step}")
        start, end = 0.0, 0.0
        for phase in self._schedule_phases:
            start, end = end, phase["end_step"]
            if step <= end:
                break
        part = (step - start) / (end - start) if end != start else 1.0  # a phase may be of one step
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], part))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(*ends, part))
        return rates

    def _between(self, start: float, end: float, part: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * part) + 1)
        return (end - start) * part + start

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum

    def _each(self, name: str, value: Any) -> list[float]:
        groups = len(self.optimizer.param_groups)
        if not isinstance(value, list | tuple):
            return [value] * groups
        if len(value) != groups:
            raise ArgumentError(f"{name} expected one number or {groups}, got {len(value)}")
        return list(value)


def _total(total_steps: Any, epochs: Any, steps_per_epoch: Any) -> int:
    given = {"total_steps": total_steps}
    if total_steps is None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ArgumentError(
                f"OneCycleLR expected total_steps, or epochs and steps_per_epoch, as positive integers; {name} is {value!r}"
            )
    return math.prod(given.values())


def _phases(total: int, rise: float, three: bool) -> list[dict[str, Any]]:
    """For each phase the step it ends at, and between what it goes."""
    ends = [("initial_lr", "max_lr", "max_momentum", "base_momentum", float(rise * total) - 1)]
    if three:
        ends.append(("max_lr", "initial_lr", "base_momentum", "max_momentum", float(2 * rise * total) - 2))
        ends.append(("initial_lr", "min_lr", "max_momentum", "max_momentum", total - 1))
    else:
        ends.append(("max_lr", "min_lr", "base_momentum", "max_momentum", total - 1))
    names = ("start_lr", "end_lr", "start_momentum", "end_momentum", "end_step")
    return [dict(zip(names, phase, strict=True)) for phase in ends]
