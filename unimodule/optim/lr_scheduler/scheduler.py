"""The base of all schedules."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from ...errors import ArgumentError, StateDictError
from ..optimizer import Optimizer


def check_optimizer(optimizer: Any, name: str) -> None:
    """Raise ArgumentError unless it is an optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"{name} expected an optimiser, got {type(optimizer).__name__}")


class LRScheduler:
    """Base class of the schedules that count epochs.

    Most rates follow from those of the epoch before, so that several schedules on one optimiser multiply. A subclass says
    how in ``get_lr``; ``closed_form`` says what the rates of an epoch are from nothing but its number.

    Args:
        optimizer: whose ``param_groups`` to change.
        last_epoch: the epoch after which to go on; -1 starts anew, from the groups' present rates.

    Attributes:
        base_lrs: the rate that each group started from.
        last_epoch: the epoch that the present rates are for; 0 after the schedule is made.

    Raises:
        ArgumentError: not an optimiser, or ``last_epoch`` goes on where no group has an ``initial_lr``.

    Source: PyTorch ``torch.optim.lr_scheduler.LRScheduler``.
    """

    transient: ClassVar[frozenset[str]] = frozenset({"optimizer", "_initial"})
    """Attributes that are no part of the state."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer, type(self).__name__)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ArgumentError(
                    f"{type(self).__name__} cannot go on from last_epoch={last_epoch}: param_groups[{i}] has no "
                    "'initial_lr'; load the optimiser's state first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._last_lr: list[float] = []
        self._step_count = 0
        self._initial = False
        self.start()

    def start(self) -> None:
        """Set the first rates."""
        self._step_count = 0
        self._initial = True
        try:
            self.step()
        finally:
            self._initial = False

    # ------------------------------------------------------------------ what a subclass gives
    def get_lr(self) -> list[float]:
        """The rates of ``last_epoch``, which has just begun, from the present ones."""
        raise NotImplementedError

    def closed_form(self) -> list[float] | None:
        """The rates of ``last_epoch`` from its number alone, or None where there is no such formula."""
        return None

    # ------------------------------------------------------------------ use
    def step(self) -> None:
        """Go on to the next epoch. Call it after the optimiser's own ``step``."""
        if self._step_count == 1 and self.optimizer._kept.untouched:
            warnings.warn(
                f"{type(self).__name__}.step() was called before the optimiser's own step(): the first rate is skipped",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._set(self.get_lr())

    def restart(self) -> None:
        """Go to epoch 0, as ``SequentialLR`` does when a schedule's turn comes."""
        self.last_epoch = 0
        rates = self.closed_form()
        self._set(self.get_lr() if rates is None else rates)

    def get_last_lr(self) -> list[float]:
        """The rate of each group that was set last."""
        return self._last_lr

    def _present(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _set(self, rates: list[float]) -> None:
        groups = self.optimizer.param_groups
        if len(rates) != len(groups):
            raise ArgumentError(
                f"{type(self).__name__} knows {len(rates)} groups, the optimiser has {len(groups)}"
            )
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = self._present()

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """The state as plain numbers, strings, lists and dicts, under PyTorch's names. The optimiser's is its own."""
        return copy.deepcopy({k: v for k, v in self.__dict__.items() if k not in self.transient})

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, of this or PyTorch's schedule of the same name.

        Raises:
            StateDictError: it does not fit; the schedule is as it was.
        """
        self.check_state(state_dict)
        own = self.state_dict().keys()
        self.__dict__.update(copy.deepcopy({k: state_dict[k] for k in own if k not in self.transient}))

    def check_state(self, state_dict: Mapping[str, Any]) -> None:
        """Raise StateDictError unless ``load_state_dict`` can take it."""
        if missing := [name for name in self.state_dict() if name not in state_dict]:
            raise StateDictError(f"the state of {type(self).__name__} lacks {', '.join(missing)}")
