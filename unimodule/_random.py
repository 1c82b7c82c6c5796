"""Random numbers: the seed, the initial values of parameters, and the state of everything that draws.

Initial values come from NumPy's Philox and are the same on every backend. Each net reserves one stream when it is bound
or initialised, and each of its parameters draws from its own substream, numbered in the order of
``named_parameters()``. A lazy parameter, drawn later, gets the numbers that it would have got at once.

Dropout and its like draw from the framework's own generator, or from the portable one (``_draws``).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from . import _draws, registry
from .errors import ArgumentError

_lock = threading.Lock()
_root: tuple[int, ...] = (int.from_bytes(os.urandom(8), "little"),)
_streams = 0
_VERSION = 1
_PORTABLE = 2**63  # beside the streams of parameters, so that drawing a mask moves no initial value

Stream = tuple[int, ...]
"""Names one reproducible sequence of random numbers."""


def seed(seed: int, *, portable: bool | None = None) -> None:
    """Reset all random state: the initial values drawn from now on, and dropout on every backend.

    Args:
        seed: a non-negative integer.
        portable: True makes every backend draw dropout's masks and all other random numbers from one bit generator,
            Threefry-2x32, so that they are the same on every backend, eager and compiled; False, from the framework's
            own, which is quicker. None leaves it as it is, False at first.

    Raises:
        ArgumentError: ``seed`` is not a non-negative integer.

    Source: Salmon et al., https://doi.org/10.1145/2063384.2063405

    Example:
        >>> import unimodule as um
        >>> um.seed(0, portable=True)
        >>> [round(float(x), 4) for x in um.ops.random_uniform(3, backend="numpy")]
        [0.1884, 0.1567, 0.5772]
        >>> um.seed(0, portable=False)
    """
    checked = check_seed(seed)
    _reset((checked,), 0)
    if portable is not None:
        _set_portable(bool(portable))
    registry.seed_all(checked)


def check_seed(seed: Any) -> int:
    """The seed as a Python integer.

    Raises:
        ArgumentError: it is not a non-negative integer.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ArgumentError(f"a seed is a non-negative integer, got {seed!r}")
    return int(seed)


def _reset(root: Stream, streams: int) -> None:
    global _root, _streams
    with _lock:
        _root, _streams = root, streams
    key = np.random.SeedSequence(root[0], spawn_key=(*root[1:], _PORTABLE)).generate_state(2)
    _draws.ROOT.reset((int(key[0]), int(key[1])))


_reset(_root, 0)


def _set_portable(on: bool) -> None:
    if on != _draws.everywhere():
        _draws.set_everywhere(on)
        registry.forget_lookups()


# ---------------------------------------------------------------------- initial values
def reserve() -> Stream:
    """The next unused stream."""
    global _streams
    with _lock:
        _streams += 1
        return (*_root, _streams - 1)


def generator(stream: Stream) -> np.random.Generator:
    """A generator at the start of ``stream``."""
    # Not as one list of entropy: SeedSequence pads that with zeros, so that (3, 1) and (3, 1, 0) would be one stream.
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(stream[0], spawn_key=stream[1:])))


# ---------------------------------------------------------------------- saving and restoring
def get_rng_state() -> dict[str, Any]:
    """The state of everything random: what decides initial values and masks from now on.

    Returns:
        A dict of numbers, strings, NumPy arrays, and lists and dicts of them, which can be pickled, or written as JSON
        once arrays are lists: ``"portable"`` is the core's, and ``"backends"`` has the framework's own generator state of
        each backend in use.

    Raises:
        NotSupportedError: an adapter in use cannot read its framework's state.

    Example:
        >>> import numpy as np, unimodule as um
        >>> state = um.get_rng_state()
        >>> first = um.ops.dropout(np.ones(100), 0.5)
        >>> um.set_rng_state(state)
        >>> bool((um.ops.dropout(np.ones(100), 0.5) == first).all())
        True
    """
    default_seed, states = registry.rng_states()
    with _lock:
        root, streams = list(_root), _streams
    portable = {"root": root, "streams": streams, "everywhere": _draws.everywhere(), **_draws.ROOT.state()}
    return {"version": _VERSION, "seed": default_seed, "portable": portable, "backends": states}


def set_rng_state(state: Mapping[str, Any]) -> None:
    """Go back to a state that ``get_rng_state`` returned, in this process or another.

    The next initial values and masks are then those that followed it, eager and compiled, on every backend that is in
    use or will be. A backend that was not in use when the state was taken starts from the seed that was in force.

    Args:
        state: the dict.

    Raises:
        ArgumentError: it is no such dict; everything stays as it was.

    Example:
        >>> import unimodule as um
        >>> um.set_rng_state(um.get_rng_state())
    """
    try:
        if state["version"] != _VERSION:
            raise ArgumentError(f"set_rng_state knows states of version {_VERSION}, not {state['version']!r}")
        portable, default_seed = state["portable"], state["seed"]
        root = tuple(int(part) for part in portable["root"])
        streams = int(portable["streams"])
        key = (int(portable["key"][0]), int(portable["key"][1]))
        draws, on = int(portable["draws"]), bool(portable["everywhere"])
        states = {str(name): dict(value) for name, value in state["backends"].items()}
        default_seed = None if default_seed is None else check_seed(default_seed)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ArgumentError(
            f"set_rng_state expected what get_rng_state returned; it lacks or misplaces {error}"
        ) from error
    registry.restore_rng_states(default_seed, states)
    _reset(root, streams)
    _draws.ROOT.reset(key, draws)
    _set_portable(on)
