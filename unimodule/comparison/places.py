"""Where a net is to run, as users write it: ``torch``, ``jax:gpu:0``, ``mxnet@/path/to/python``, ``torch-2.11=/path/to/python``."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable

from .. import registry
from ..errors import ArgumentError


@dataclasses.dataclass(frozen=True)
class Place:
    """A backend, a device, and the Python that runs it.

    Attributes:
        label: what reports call it.
        backend: the backend's name.
        device: "cpu", "gpu", "gpu:1".
        interpreter: path of another Python, None for this one.
    """

    label: str
    backend: str
    device: str = "cpu"
    interpreter: str | None = None


def parse_place(text: str) -> Place:
    """A place from ``BACKEND[:DEVICE][@PYTHON]``, or ``LABEL=PYTHON`` where the label begins with a backend's name.

    Raises:
        UnknownBackendError: no backend has such a name.
        ArgumentError: there is no such interpreter, or the text is no text.

    Example:
        >>> parse_place("numpy:gpu:1")
        Place(label='numpy:gpu:1', backend='numpy', device='gpu:1', interpreter=None)
    """
    if not isinstance(text, str):
        raise ArgumentError(f"expected the name of a backend, got {text!r}")
    label, mark, python = text.partition("=")
    if mark:
        name = max((n for n in registry.infos() if label.startswith(n)), key=len, default=label)
        return Place(label, registry.info(name).name, "cpu", _interpreter(python, text))
    what, mark, python = text.partition("@")
    name, _, device = what.partition(":")
    interpreter = _interpreter(python, text) if mark else None
    return Place(text, registry.info(name).name, device or "cpu", interpreter)


def _interpreter(path: str, text: str) -> str:
    found = shutil.which(path) if path else None
    if found is None:
        raise ArgumentError(f"{text!r}: there is no Python interpreter {path!r}")
    return found


def parse_places(backends: str | Iterable[str] | None) -> list[Place]:
    """The places to compare, each once; by default this process with every installed backend.

    Raises:
        ArgumentError: there are none, or two have one label.
    """
    if backends is None:
        return [Place(name, name) for name in registry.infos() if registry.installed(name)]
    places = [parse_place(text) for text in ([backends] if isinstance(backends, str) else backends)]
    if not places:
        raise ArgumentError("compare() expected the names of backends, got none")
    places = list(dict.fromkeys(places))
    labels = [place.label for place in places]
    if twice := {label for label in labels if labels.count(label) > 1}:
        raise ArgumentError(f"compare() got {', '.join(sorted(twice))} more than once")
    return places


__all__ = ["Place", "parse_place", "parse_places"]
