"""Loss scaling: what keeps float16 gradients from vanishing, by the rule of ``torch.amp.GradScaler``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError, StateDictError


class LossScale:
    """A factor on the loss of a float16 step, and how it changes.

    Gradients are those of the scaled loss, divided by the factor in float32 before anything else is done with them. If one
    of them is infinite or NaN, the update is left out and the factor multiplied by ``backoff_factor``; after
    ``growth_interval`` updates in a row it is multiplied by ``growth_factor``, unless that would be infinite.

    Args:
        init_scale: the first factor.
        growth_factor: > 1.
        backoff_factor: between 0 and 1.
        growth_interval: in updates.

    Attributes:
        scale: the factor now.

    Raises:
        ArgumentError: an argument is out of its range.

    Source: PyTorch ``torch.amp.GradScaler``; Micikevicius et al., https://arxiv.org/abs/1710.03740

    Example:
        >>> scale = LossScale(growth_interval=1)
        >>> scale.update(overflow=True), scale.scale
        (None, 32768.0)
        >>> scale.update(overflow=False), scale.scale
        (None, 65536.0)
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ) -> None:
        if not (0 < init_scale < math.inf and growth_factor > 1 and 0 < backoff_factor < 1):
            raise ArgumentError(
                "LossScale expected init_scale > 0, growth_factor > 1 and 0 < backoff_factor < 1, got "
                f"{init_scale!r}, {growth_factor!r} and {backoff_factor!r}"
            )
        if type(growth_interval) is not int or growth_interval < 1:
            raise ArgumentError(f"growth_interval expected a whole number >= 1, got {growth_interval!r}")
        self.scale = float(np.float32(init_scale))
        self.growth_factor, self.backoff_factor = float(growth_factor), float(backoff_factor)
        self.growth_interval = growth_interval
        self._growth_tracker = 0

    def update(self, overflow: bool) -> None:
        """Change the factor after an update that was done, or left out because of an ``overflow``."""
        with np.errstate(over="ignore"):
            if overflow:
                self.scale = float(np.float32(self.scale * self.backoff_factor))
                self._growth_tracker = 0
                return
            self._growth_tracker += 1
            if self._growth_tracker == self.growth_interval:
                grown = float(np.float32(self.scale * self.growth_factor))
                self.scale = grown if math.isfinite(grown) else self.scale
                self._growth_tracker = 0

    def state_dict(self) -> dict[str, Any]:
        """The factor and all that decides on it, as ``torch.amp.GradScaler`` lays it out, which can load it."""
        return {
            "scale": self.scale,
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, or PyTorch's.

        Raises:
            StateDictError: something is missing or out of its range; everything is as it was.
        """
        try:
            new = LossScale(
                float(state_dict["scale"]),
                float(state_dict["growth_factor"]),
                float(state_dict["backoff_factor"]),
                int(state_dict["growth_interval"]),
            )
            new._growth_tracker = int(state_dict["_growth_tracker"])
        except (KeyError, TypeError, ValueError) as error:  # an ArgumentError is a ValueError
            raise StateDictError(f"no state of a LossScale: {error}") from error
        self.__dict__.update(new.__dict__)

    def __repr__(self) -> str:
        return (
            f"LossScale(scale={self.scale:g}, growth_factor={self.growth_factor:g}, "
            f"backoff_factor={self.backoff_factor:g}, growth_interval={self.growth_interval})"
        )


__all__ = ["LossScale"]
