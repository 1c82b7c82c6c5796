"""A schedule that listens to a metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ArgumentError, StateDictError
from ...registry import find_backend
from ..optimizer import Optimizer
from .scheduler import LRScheduler, check_optimizer


class ReduceLROnPlateau(LRScheduler):
    """lr <- max(lr * factor, min_lr) when a metric has not improved for more than ``patience`` epochs.

    Args:
        optimizer: whose rates to change.
        mode: ``"min"``, where a smaller metric is better, or ``"max"``.
        factor: of each reduction, < 1.
        patience: epochs without improvement that are let pass.
        threshold: what an improvement must exceed.
        threshold_mode: ``"rel"``, a part of the best metric, or ``"abs"``.
        cooldown: epochs after a reduction that do not count.
        min_lr: the lowest rate, or one for each group.
        eps: a smaller reduction is not made.

    Raises:
        ArgumentError: an argument is out of range.

    Source: PyTorch ``torch.optim.lr_scheduler.ReduceLROnPlateau``.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=0.5)
        >>> schedule = um.optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=0)
        >>> schedule.step(1.0)
        >>> schedule.step(1.0)
        >>> schedule.get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_optimizer(optimizer, type(self).__name__)
        if not factor < 1.0:
            raise ArgumentError(f"factor expected a number < 1, got {factor!r}")
        _check_choices(mode, threshold_mode, ArgumentError)
        groups = len(optimizer.param_groups)
        several = isinstance(min_lr, list | tuple)
        if several and len(min_lr) != groups:  # type: ignore[arg-type]
            raise ArgumentError(f"min_lr expected one number or {groups}, got {min_lr!r}")
        self.optimizer = optimizer
        self.factor, self.patience, self.cooldown, self.eps = factor, patience, cooldown, eps
        self.mode, self.threshold, self.threshold_mode = mode, threshold, threshold_mode
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.default_min_lr = None if several else min_lr
        self.min_lrs: list[Any] = list(min_lr) if several else [min_lr] * groups  # type: ignore[arg-type]
        self.best, self.cooldown_counter, self.num_bad_epochs = self.mode_worse, 0, 0
        self.last_epoch = 0
        self._last_lr = self._present()

    @property
    def in_cooldown(self) -> bool:
        """Whether epochs do not count yet after a reduction."""
        return self.cooldown_counter > 0

    def step(self, metrics: Any) -> None:  # type: ignore[override]
        """Go on to the next epoch; ``metrics`` is this one's, a number or a tensor of one element."""
        backend = find_backend(metrics)
        current = float(metrics) if backend is None else float(backend.item(metrics))
        self.last_epoch += 1
        if self._better(current):
            self.best, self.num_bad_epochs = current, 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self._last_lr = self._present()

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().check_state(state_dict)
        _check_choices(state_dict["mode"], state_dict["threshold_mode"], StateDictError)

    def _better(self, metric: float) -> bool:
        direction = 1.0 if self.mode == "max" else -1.0
        if self.threshold_mode == "rel":
            bound = self.best * (1.0 + direction * self.threshold)
        else:
            bound = self.best + direction * self.threshold
        return metric > bound if self.mode == "max" else metric < bound

    def _reduce(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise ArgumentError(
                    f"the optimiser has {len(groups)} groups by now, min_lr {len(self.min_lrs)} numbers"
                )
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs, strict=True):
            lr = float(group["lr"])
            lower = max(lr * self.factor, lowest)
            if lr - lower > self.eps:
                group["lr"] = lower


def _check_choices(mode: Any, threshold_mode: Any, error: type[Exception]) -> None:
    if mode not in ("min", "max"):
        raise error(f"mode expected 'min' or 'max', got {mode!r}")
    if threshold_mode not in ("rel", "abs"):
        raise error(f"threshold_mode expected 'rel' or 'abs', got {threshold_mode!r}")
