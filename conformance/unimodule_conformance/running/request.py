"""Makes a configuration of what was asked for, or says why it cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unimodule import registry
from unimodule.errors import UnimoduleError

from ..checks.registry import CHECKS
from .config import Config, ConfigError, checked
from .groups import names


def chosen_backends(wanted: Sequence[str]) -> tuple[str, ...]:
    """The backends to judge: those asked for, or all that are installed.

    Raises:
        ConfigError: one is unknown or not installed, or none is.
    """
    found = checked(tuple(registry.infos()), wanted, "backend")
    for name in found:
        if not registry.installed(name):
            raise ConfigError(f"backend {name!r} is not installed; run: {registry.info(name).pip}")
    found = found or tuple(name for name in registry.infos() if registry.installed(name))
    if not found:
        raise ConfigError("no backend is installed")
    return found


def chosen_device(device: str, backends: Sequence[str]) -> str:
    """A device by its canonical name, which every one of ``backends`` must have.

    Raises:
        ConfigError: the name is none, or a backend lacks the device.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu" and not index:
        return "cpu"  # every backend has one, and no framework has to be imported to know
    if kind not in ("gpu", "cuda") or not (index.isdigit() or not index):
        raise ConfigError(f"no device is called {device!r}; there are cpu, gpu, gpu:1, ...")
    canonical = f"gpu:{index or 0}"
    for name in backends:
        try:
            have = registry.get_backend(name).devices()
        except UnimoduleError as error:
            raise ConfigError(str(error)) from error
        if canonical not in have:
            raise ConfigError(f"backend {name!r} has no {canonical}; it has: {', '.join(have)}")
    return canonical


def asked(config: Config) -> Config:
    """The configuration with its names of checks and cases checked.

    Raises:
        ConfigError: one is unknown; the text names the nearest.
    """
    return replace(
        config,
        checks=checked(tuple(CHECKS), config.checks, "check"),
        only=checked(names(), config.only, "layer or function"),
    )


def available() -> dict[str, list[str]]:
    """The names that ``--checks`` and ``--only`` take."""
    return {"checks": [f"{c.name}: {c.about}" for c in CHECKS.values()], "names": list(names())}


__all__ = ["asked", "available", "chosen_backends", "chosen_device"]
