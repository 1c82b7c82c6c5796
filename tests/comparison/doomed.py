"""Nets for workers: one that ends its worker in some way, and one with a bit of everything in it."""

from __future__ import annotations

import ctypes
import dataclasses
import enum
import functools
import os
import signal
import sys
import time
from typing import Any

import numpy as np

from unimodule import nn, ops


class Kind(enum.Enum):
    PLAIN = "plain"


@dataclasses.dataclass(frozen=True)
class Config:
    width: int
    kind: Kind = Kind.PLAIN


def scaled(x: Any, by: float) -> Any:
    return x * by


def mean_square(output: Any, target: Any) -> Any:
    return ops.mean((output - target) ** 2)


class Everything(nn.Module):
    """What a net may have among its attributes, ties and shared modules included."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.table, self.limits = config, {"a": (1, 2.5), 3: [None, True]}, {1, 2}
        self.first = nn.LazyLinear(config.width)
        self.second = nn.Linear(config.width, config.width)
        self.second.weight = nn.Parameter(np.eye(config.width), requires_grad=False)
        self.tied = nn.Linear(config.width, config.width, bias=False)
        self.tied.weight = self.second.parameter("weight")
        self.norm = nn.BatchNorm1d(config.width)
        self.parts = nn.ModuleList([nn.Sequential(ops.relu, self.second), nn.ReLU()])
        self.apply_scale = functools.partial(scaled, by=float(np.float32(0.5)))
        self.offset = np.arange(config.width, dtype="float32")
        self.scale = nn.Constant(np.full(config.width, 2.0))
        self.kind = np.float32

    def forward(self, x: Any) -> Any:
        assert self.config == Config(self.config.width) and self.table == {"a": (1, 2.5), 3: [None, True]}
        for part in self.parts:
            x = part(self.norm(self.first(x))) if part is self.parts[0] else part(x)
        return self.apply_scale(self.tied(x)) * self.scale


class Doomed(nn.Module):
    """Ends the process that it runs in, in the second of two layers, if that is a worker."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.home = how, os.getpid()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Any) -> Any:
        x = self.first(x)
        if os.getpid() != self.home:
            print("last words", file=sys.stderr)
            if self.how == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.how == "segfault":
                ctypes.string_at(0)
            elif self.how == "hangs":
                time.sleep(600)
            elif self.how == "memory":
                raise MemoryError("Unable to allocate 1.00 EiB")
            elif self.how == "exits":
                os._exit(3)
        return self.second(x)
