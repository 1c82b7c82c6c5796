"""Which public names a run must meet, and whether the tables of strategies know them all."""

from __future__ import annotations

from unimodule import nn, ops

from .drawing import NAMES

_DTYPE = "a dtype's name; dtypes are drawn as arguments of ops.astype and of functions that make tensors"
_NUMBER = "a number"

EXCLUDED: dict[str, str] = {
    "nn.Module": "the base class; every block of a model is one",
    "nn.RNNBase": "the base class of RNN, LSTM and GRU, without a forward",
    "nn.RNNCellBase": "the base class of the cells, without a forward",
    "nn.functional": "a module; its functions are subjects of their own",
    "nn.init": "a module of initialisers: their numbers are random, and parameters are drawn anew",
    **{f"ops.{name}": _NUMBER for name in ("e", "inf", "nan", "pi")},
    "ops.newaxis": "None, for indexing: drawn in the keys of ops.getitem",
    **{
        f"ops.{name}": _DTYPE
        for name in (
            "bfloat16 bool float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
        )
    },
}
"""Public names that have no strategy, and why."""


def public() -> tuple[str, ...]:
    """Every public name of ``nn``, ``nn.functional`` and ``ops``."""
    spaces = {"nn": nn, "F": nn.functional, "ops": ops}
    return tuple(f"{kind}.{name}" for kind, space in spaces.items() for name in space.__all__)


def missing() -> tuple[str, ...]:
    """Public names with neither a strategy nor a reason to have none.

    A new layer or function stands here until it has one; while anything does, the suite fails.
    """
    return tuple(name for name in public() if name not in NAMES and name not in EXCLUDED)


def stale() -> tuple[str, ...]:
    """Names with a strategy, or a reason to have none, that are not public any more, or have both."""
    known = set(public())
    return tuple(n for n in (*NAMES, *EXCLUDED) if n not in known or (n in NAMES and n in EXCLUDED))


__all__ = ["EXCLUDED", "missing", "public", "stale"]
