"""Nets for benchmarks: one that ends its worker in some way."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from unimodule import nn, ops


class Doomed(nn.Module):
    """Does something bad on batches of more than two rows, in other processes than the one that made it."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.home = how, os.getpid()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        if ops.shape(x)[0] > 2 and os.getpid() != self.home:
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.how == "hangs":
                time.sleep(600)
            elif self.how == "memory":
                raise MemoryError("Unable to allocate 1.00 EiB")
            elif self.how == "raises":
                raise ValueError("no such luck")
        return self.layer(x)
