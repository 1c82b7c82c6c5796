"""Devices by name: "cpu", "gpu:0". Only this process's devices count where several processes work together."""

from __future__ import annotations

from typing import Any

import jax

from unimodule.errors import DeviceError

from ._jit import Array

_names: dict[Any, str] = {}


def _local(platform: str) -> list[Any]:
    try:
        return list(jax.local_devices(backend=platform))
    except RuntimeError:  # JAX's word for a platform that is not there
        return []


def names() -> list[str]:
    """The devices there are. "cpu" is missing only where JAX was told to do without (JAX_PLATFORMS=cuda)."""
    return [*(["cpu"] if _local("cpu") else []), *(f"gpu:{i}" for i in range(len(_local("gpu"))))]


def name(device: Any) -> str:
    """The name of a JAX device. All host devices (XLA can be told to make several) are "cpu"."""
    try:
        return _names[device]
    except KeyError:
        pass
    if device.platform == "cpu":
        text = "cpu"
    else:
        peers = _local(device.platform)
        number = peers.index(device) if device in peers else device.id
        text = f"{device.platform}:{number}"
    _names[device] = text
    return text


def default() -> Any:
    """The device that JAX computes on when nothing else decides; honours ``jax.default_device``."""
    chosen = jax.config.jax_default_device
    if chosen is None:
        return jax.local_devices()[0]
    return jax.local_devices(backend=chosen)[0] if isinstance(chosen, str) else chosen


def find(device: str) -> Any:
    """The JAX device of a name.

    Raises:
        DeviceError: there is no such device.
    """
    platform, _, number = device.partition(":")
    found = _local(platform)
    index = int(number or 0)
    if index >= len(found):
        raise DeviceError(f"JAX has no device {device!r}; it has {', '.join(names())}")
    return found[index]


def target(device: str) -> Any:
    """What to pass to ``jax.device_put`` for new data: None for the default device.

    An array that was put on a device explicitly refuses to meet one that is sharded or lies elsewhere. On the default
    device that would keep a user from sharding a net's parameters, so there arrays stay free to follow.
    """
    return None if device == name(default()) else find(device)


def place(x: Array, device: str) -> Array:
    """A new array moved to ``device``; under a trace it stays, since the compiled function decides."""
    wanted = target(device)
    return x if wanted is None or isinstance(x, jax.core.Tracer) else jax.device_put(x, wanted)
