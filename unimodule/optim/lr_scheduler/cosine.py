"""Schedules along a cosine."""

from __future__ import annotations

import math

from ...errors import ArgumentError
from ..optimizer import Optimizer
from .scheduler import LRScheduler


class CosineAnnealingLR(LRScheduler):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * epoch / T_max)) / 2.

    Args:
        optimizer: whose rates to change.
        T_max: epochs from the highest rate to the lowest, > 0; afterwards it rises again.
        eta_min: the lowest rate.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: ``T_max`` is not positive.

    Source: PyTorch ``torch.optim.lr_scheduler.CosineAnnealingLR``; Loshchilov and Hutter 2017.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=0.5)
        >>> um.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=10).get_last_lr()
        [0.5]
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        if T_max <= 0:
            raise ArgumentError(f"T_max expected a positive number, got {T_max!r}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates along the cosine, from the present ones where these are not at its lowest point."""
        if self._initial:
            return self._present()
        if self._step_count == 1 and self.last_epoch > 0:
            return self.closed_form()
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            pairs = zip(self._present(), self.base_lrs, strict=True)
            return [lr + (base - self.eta_min) * rise for lr, base in pairs]
        ratio = (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / (
            1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        )
        return [ratio * (lr - self.eta_min) + self.eta_min for lr in self._present()]

    def closed_form(self) -> list[float]:
        """See the class."""
        height = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        return [self.eta_min + (lr - self.eta_min) * height / 2 for lr in self.base_lrs]


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (base - eta_min) * (1 + cos(pi * T_cur / T_i)) / 2, where T_cur counts from the last restart.

    Args:
        optimizer: whose rates to change.
        T_0: epochs to the first restart.
        T_mult: how many times longer each period T_i is than the one before.
        eta_min: the lowest rate.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: ``T_0`` is not a positive integer, or ``T_mult`` not an integer >= 1.

    Source: PyTorch ``torch.optim.lr_scheduler.CosineAnnealingWarmRestarts``; Loshchilov and Hutter 2017.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        for name, value in (("T_0", T_0), ("T_mult", T_mult)):
            if not isinstance(value, int) or value < 1:
                raise ArgumentError(f"{name} expected a positive integer, got {value!r}")
        self.T_0 = self.T_i = T_0
        self.T_mult, self.eta_min = T_mult, eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (lr - self.eta_min) * height / 2 for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any one: a fraction stands for a point within it."""
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            self._seek(epoch)
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())

    def restart(self) -> None:
        """Go to epoch 0. As in PyTorch the count since the last restart goes on, as it does not know of epochs."""
        self.last_epoch = 0
        self._set(self.get_lr())

    def _seek(self, epoch: float) -> None:
        """Find the period that an epoch lies in."""
        if epoch < 0:
            raise ArgumentError(f"epoch expected a number >= 0, got {epoch!r}")
        if epoch < self.T_0:
            self.T_i, self.T_cur = self.T_0, epoch
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            periods = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**periods - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**periods
