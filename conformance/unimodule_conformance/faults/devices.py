"""Nets and tensors that are not on the device they should be on. They are planted on a backend with two devices that is
made for it (``twin``), or where no second device is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from unimodule import nn, ops, registry

from .model import Fault
from .planting import Bench, adapter, both, module, of_core, patch, raises, swap, wrong
from .twin import TWIN, Placed, registered


def _on_the_cpu(native: Any) -> Any:
    def call(*args: Any, **options: Any) -> Any:
        out = native(*args, **options)
        return Placed(out.inner, "cpu")

    return call


def _left_behind(native: Any) -> Any:
    return lambda self, backend, device, dtype: native(self, backend, "cpu", dtype)


def _anywhere(native: Any) -> Any:
    def parse_device(backend: Any, device: Any) -> Any:
        return device if device in backend.devices() else "cpu"

    return parse_device


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Constant(np.ones(1, "float32"))

    def forward(self, x: Any) -> Any:
        return x * self.factor


def _multiplied(b: Bench) -> str:
    twin = registry.get_backend(TWIN)
    x = twin.from_numpy(np.ones((1, 1)), "float32", "gpu:0")
    return twin.device(ops.matmul(x, x))


def _data(b: Bench) -> str:
    twin = registry.get_backend(TWIN)
    return twin.device(twin.from_numpy(np.ones(2), "float32", "gpu:0"))


def _constant(b: Bench) -> str:
    net = _Scaled().to(TWIN, device="gpu:0")
    return registry.get_backend(TWIN).device(net.parameter("factor").data)


def _of_twin(name: str, plant: Any, compute: Any, focus: tuple[str, ...]) -> Fault:
    control = wrong(TWIN, compute, "gpu:0")
    return Fault(f"{TWIN}: {name}", TWIN, "device", plant, control, focus, around=registered)


FAULTS: list[Fault] = [
    of_core(
        "device",
        "a device that is not there is the CPU",
        both(
            patch(module("unimodule.nn._placement"), "parse_device", _anywhere),
            patch(module("unimodule.registry"), "parse_device", _anywhere),
        ),
        lambda b: raises(lambda: nn.Linear(1, 1).to(b.backend, device="gpu:7")),
        "DeviceError",
        ("nn.Linear",),
    ),
    _of_twin(
        "a linear layer's output is on the CPU",
        swap(TWIN, matmul=_on_the_cpu),
        _multiplied,
        ("nn.Linear", "F.linear"),
    ),
    _of_twin(
        "constants stay behind when a net is moved",
        patch(lambda: nn.Constant, "converted", _left_behind),
        _constant,
        ("block.WithConstant",),
    ),
    _of_twin(
        "data goes to the CPU, whatever the device",
        patch(
            adapter(TWIN),
            "from_numpy",
            lambda native: lambda array, dtype, device: native(array, dtype, "cpu"),
        ),
        _data,
        ("nn.Linear",),
    ),
]
