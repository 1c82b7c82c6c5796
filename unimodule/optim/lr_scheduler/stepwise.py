"""Schedules by milestones and by simple formulas of the epoch."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class StepLR(LRScheduler):
    """lr = base * gamma^floor(epoch / step_size).

    Args:
        optimizer: whose rates to change.
        step_size: epochs between changes, > 0.
        gamma: factor of each change.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: ``step_size`` is not a positive integer.

    Source: PyTorch ``torch.optim.lr_scheduler.StepLR``.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=1.0)
        >>> um.optim.lr_scheduler.StepLR(opt, step_size=30).get_last_lr()
        [1.0]
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if not isinstance(step_size, int) or step_size <= 0:
            raise ArgumentError(f"step_size expected a positive integer, got {step_size!r}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times gamma every ``step_size`` epochs."""
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self._present()
        return [lr * self.gamma for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        return [lr * self.gamma ** (self.last_epoch // self.step_size) for lr in self.base_lrs]


class MultiStepLR(LRScheduler):
    """lr = base * gamma^(number of milestones reached).

    Args:
        optimizer: whose rates to change.
        milestones: epochs, in any order; one that stands twice counts twice.
        gamma: factor at each.
        last_epoch: see ``LRScheduler``.

    Source: PyTorch ``torch.optim.lr_scheduler.MultiStepLR``.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones: dict[int, int] = dict(Counter(milestones))
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times gamma at a milestone."""
        if self.last_epoch not in self.milestones:
            return self._present()
        return [lr * self.gamma ** self.milestones[self.last_epoch] for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        reached = bisect_right(sorted(Counter(self.milestones).elements()), self.last_epoch)
        return [lr * self.gamma**reached for lr in self.base_lrs]

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().load_state_dict(state_dict)
        self.milestones = {
            int(epoch): count for epoch, count in self.milestones.items()
        }  # JSON makes keys strings


class ExponentialLR(LRScheduler):
    """lr = base * gamma^epoch.

    Args:
        optimizer: whose rates to change.
        gamma: factor of each epoch.
        last_epoch: see ``LRScheduler``.

    Source: PyTorch ``torch.optim.lr_scheduler.ExponentialLR``.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times gamma."""
        return self._present() if self._initial else [lr * self.gamma for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        return [lr * self.gamma**self.last_epoch for lr in self.base_lrs]


class ConstantLR(LRScheduler):
    """lr = base * factor before epoch ``total_iters``, base from there on.

    Args:
        optimizer: whose rates to change.
        factor: in [0, 1].
        total_iters: how many epochs it lasts.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: the factor is out of range.

    Source: PyTorch ``torch.optim.lr_scheduler.ConstantLR``.
    """

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        if not 0.0 <= factor <= 1.0:
            raise ArgumentError(f"factor expected a number in [0, 1], got {factor!r}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times the factor at first and its inverse in the end."""
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self._present()]
        if self.last_epoch != self.total_iters:
            return self._present()
        if self.factor == 0:  # PyTorch divides by it
            return self.closed_form()
        return [lr * (1.0 / self.factor) for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        over = self.last_epoch >= self.total_iters
        return [lr * (self.factor + over * (1 - self.factor)) for lr in self.base_lrs]


class LinearLR(LRScheduler):
    """lr = base * (start_factor + (end_factor - start_factor) * min(epoch, total_iters) / total_iters).

    Args:
        optimizer: whose rates to change.
        start_factor: in (0, 1].
        end_factor: in [0, 1].
        total_iters: how many epochs it takes, > 0.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: an argument is out of range.

    Source: PyTorch ``torch.optim.lr_scheduler.LinearLR``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0.0 < start_factor <= 1.0:
            raise ArgumentError(f"start_factor expected a number in (0, 1], got {start_factor!r}")
        if not 0.0 <= end_factor <= 1.0:
            raise ArgumentError(f"end_factor expected a number in [0, 1], got {end_factor!r}")
        if total_iters <= 0:
            raise ArgumentError(f"total_iters expected a positive number, got {total_iters!r}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times the ratio of this epoch's factor to the last one's."""
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self._present()]
        if self._initial or self.last_epoch > self.total_iters:
            return self._present()
        rise = self.end_factor - self.start_factor
        ratio = 1.0 + rise / (self.total_iters * self.start_factor + (self.last_epoch - 1) * rise)
        return [lr * ratio for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        part = min(self.total_iters, self.last_epoch)
        rise = (self.end_factor - self.start_factor) * part / self.total_iters
        return [lr * (self.start_factor + rise) for lr in self.base_lrs]


class PolynomialLR(LRScheduler):
    """lr = base * (1 - min(epoch, total_iters) / total_iters)^power.

    Args:
        optimizer: whose rates to change.
        total_iters: how many epochs it takes to reach 0, > 0.
        power: of the polynomial.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: ``total_iters`` is not positive.

    Source: PyTorch ``torch.optim.lr_scheduler.PolynomialLR``.
    """

    def __init__(
        self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1
    ) -> None:
        if total_iters <= 0:
            raise ArgumentError(f"total_iters expected a positive number, got {total_iters!r}")
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present rates, times the ratio of this epoch's factor to the last one's."""
        if self._initial or self.last_epoch > self.total_iters:
            return self._present()
        before, after = (1.0 - epoch / self.total_iters for epoch in (self.last_epoch - 1, self.last_epoch))
        return [lr * (after / before) ** self.power for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        left = 1.0 - min(self.total_iters, self.last_epoch) / self.total_iters
        return [lr * left**self.power for lr in self.base_lrs]
