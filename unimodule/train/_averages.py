"""Means over an epoch: sums of loss and metrics in double precision, fed with native tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..backend import Tensor
from ..errors import NonFiniteError, StateDictError
from ..optim.foreach import lists_of
from ..registry import find_backend

LAG = 16
"""How many steps an accelerator may be ahead of the host before its losses are read."""


class Averages:
    """The mean loss, weighted by samples, and the metrics' totals and counts.

    On an accelerator reading a value waits for it, so a few steps are read together. On the CPU each is read at once.

    Args:
        names: the metrics' names.
        check: whether a loss that is not finite is an error.
    """

    def __init__(self, names: Sequence[str], check: bool = False) -> None:
        self._names, self._check = tuple(names), check
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self._waiting: list[tuple[Tensor, Tensor | None, int, str]] = []
        self._loss = self._samples = 0.0
        self._sums = np.zeros((len(self._names), 2))

    def add(self, loss: Tensor, measured: Tensor | None, samples: int, where: str = "") -> None:
        """Take note of a batch.

        Args:
            loss: its mean loss, without axes.
            measured: (metrics, 2), total and count of each; None where there are none.
            samples: the batch's size.
            where: which batch it is, for errors.

        Raises:
            NonFiniteError: ``check``, and a loss is not finite; on an accelerator, up to ``LAG`` batches later.
        """
        backend = find_backend(loss)
        assert backend is not None
        if backend.device(loss) == "cpu":
            self._read(loss, measured, samples, where)
            return
        if measured is not None:
            measured = lists_of(backend).copy([measured])[0]  # the next step may write into the buffer
        self._waiting.append((loss, measured, samples, where))
        if len(self._waiting) >= LAG:
            self.catch_up()

    def catch_up(self) -> None:
        """Read what has not been read yet."""
        waiting, self._waiting = self._waiting, []
        for item in waiting:
            self._read(*item)

    def _read(self, loss: Tensor, measured: Tensor | None, samples: int, where: str) -> None:
        value = float(_host(loss))
        if self._check and not math.isfinite(value):
            raise NonFiniteError(
                f"the loss is {value} {where}. Lower the learning rate, clip gradients (clip_norm=), or look for bad data; "
                'nonfinite="ignore" goes on'
            )
        self._loss += value * samples
        self._samples += samples
        if measured is not None:
            self._sums += _host(measured)

    def result(self) -> dict[str, float]:
        """The means so far; NaN of nothing."""
        self.catch_up()
        found = {"loss": _ratio(self._loss, self._samples)}
        found.update(
            (name, _ratio(*pair)) for name, pair in zip(self._names, self._sums.tolist(), strict=True)
        )
        return found

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """The sums, as plain numbers."""
        self.catch_up()
        return {
            "loss": self._loss,
            "samples": self._samples,
            "metrics": dict(zip(self._names, self._sums.tolist(), strict=True)),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state_dict`` returned.

        Raises:
            StateDictError: it is of other metrics.
        """
        if set(state["metrics"]) != set(self._names):
            raise StateDictError(
                f"the checkpoint has the metrics {', '.join(state['metrics']) or 'none'}, the trainer "
                f"{', '.join(self._names) or 'none'}"
            )
        self.clear()
        self._loss, self._samples = float(state["loss"]), float(state["samples"])
        self._sums = np.array([state["metrics"][name] for name in self._names], "float64").reshape(-1, 2)


def _host(x: Tensor) -> Any:
    backend = find_backend(x)
    assert backend is not None
    return backend.to_numpy(x).astype("float64")


def _ratio(total: float, count: float) -> float:
    return total / count if count else math.nan
