"""Schedules made of functions and of other schedules."""

from __future__ import annotations

import copy
import types
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ...errors import ArgumentError, StateDictError
from ..optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler, check_optimizer


class LambdaLR(LRScheduler):
    """lr = base * lr_lambda(epoch).

    Args:
        optimizer: whose rates to change.
        lr_lambda: a function from the epoch to a factor, or one for each group.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: there are more or fewer functions than groups.

    Source: PyTorch ``torch.optim.lr_scheduler.LambdaLR``.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=0.5)
        >>> um.optim.lr_scheduler.LambdaLR(opt, lambda epoch: 0.5 ** (epoch + 1)).get_last_lr()
        [0.25]
    """

    transient: ClassVar[frozenset[str]] = LRScheduler.transient | {"lr_lambdas"}

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer, type(self).__name__)
        groups = len(optimizer.param_groups)
        several: Any = lr_lambda if isinstance(lr_lambda, list | tuple) else [lr_lambda] * groups
        self.lr_lambdas: list[Callable[[int], float]] = list(several)
        if len(self.lr_lambdas) != groups:
            raise ArgumentError(f"lr_lambda expected one function or {groups}, got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """See the class."""
        pairs = zip(self.base_lrs, self.lr_lambdas, strict=True)
        return [base * factor(self.last_epoch) for base, factor in pairs]

    def state_dict(self) -> dict[str, Any]:
        """See ``LRScheduler``. Of a function nothing is kept, of another callable its attributes."""
        return {**super().state_dict(), "lr_lambdas": [_attributes(fn) for fn in self.lr_lambdas]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().load_state_dict(state_dict)
        for fn, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                vars(fn).update(copy.deepcopy(attributes))

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().check_state(state_dict)
        if (found := len(state_dict["lr_lambdas"])) != len(self.lr_lambdas):
            raise StateDictError(f"the state has {found} functions, this LambdaLR {len(self.lr_lambdas)}")


class SequentialLR(LRScheduler):
    """One schedule after another.

    Args:
        optimizer: whose rates to change, the same as theirs.
        schedulers: the schedules, in order. Each starts over when its turn comes.
        milestones: the epochs at which the second, third, ... begin.
        last_epoch: see ``LRScheduler``.

    Raises:
        ArgumentError: there are no schedules, one is of another optimiser or listens to a metric, or the milestones are
            not one fewer than the schedules.

    Source: PyTorch ``torch.optim.lr_scheduler.SequentialLR``.

    Example:
        >>> import unimodule as um
        >>> opt = um.optim.SGD(um.nn.Linear(2, 1).parameters(), lr=0.5)
        >>> warm, fall = um.optim.lr_scheduler.LinearLR(opt, 0.5), um.optim.lr_scheduler.ExponentialLR(opt, 0.9)
        >>> um.optim.lr_scheduler.SequentialLR(opt, [warm, fall], milestones=[5]).get_last_lr()
        [0.25]
    """

    transient: ClassVar[frozenset[str]] = LRScheduler.transient | {"_schedulers"}

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer, type(self).__name__)
        if not schedulers:
            raise ArgumentError("SequentialLR got no schedules")
        for i, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler) or isinstance(scheduler, ReduceLROnPlateau):
                raise ArgumentError(f"SequentialLR cannot run a {type(scheduler).__name__} (number {i})")
            if scheduler.optimizer is not optimizer:
                raise ArgumentError(f"schedule {i} of SequentialLR is of another optimiser")
        if len(milestones) != len(schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR of {len(schedulers)} schedules got {len(milestones)} milestones"
            )
        self.optimizer = optimizer
        self._schedulers, self._milestones = list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first.start()
        self._last_lr = first.get_last_lr()

    def start(self) -> None:
        """Set the first rates."""
        self.step()

    def restart(self) -> None:
        """Go to epoch 0: the first schedule's."""
        self.last_epoch = 0
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first.restart()
        self._last_lr = first.get_last_lr()

    def step(self) -> None:
        """Go on to the next epoch, whichever schedule it belongs to."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            scheduler.restart()
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """See ``LRScheduler``; the schedules' own states are in it."""
        return {
            **super().state_dict(),
            "_schedulers": [scheduler.state_dict() for scheduler in self._schedulers],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().load_state_dict(state_dict)
        for scheduler, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            scheduler.load_state_dict(state)

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """See ``LRScheduler``."""
        super().check_state(state_dict)
        states, own = state_dict["_schedulers"], self._schedulers
        if len(states) != len(own):
            raise StateDictError(f"the state has {len(states)} schedules, this SequentialLR {len(own)}")
        for scheduler, state in zip(own, states, strict=True):
            scheduler.check_state(state)


def _attributes(fn: Callable[..., Any]) -> dict[str, Any] | None:
    own = getattr(fn, "__dict__", None)
    return copy.deepcopy(own) if isinstance(own, dict) and not isinstance(fn, types.FunctionType) else None


def _undo(scheduler: LRScheduler) -> None:
    """Take back the epoch that schedules took when they were made, before they became part of another."""
    if isinstance(scheduler, SequentialLR):
        for part in scheduler._schedulers:
            _undo(part)
    else:
        scheduler.last_epoch -= 1
