"""What a compiled call of a net costs, against compiled code written by hand in the framework's own words.

    python benchmarks/compiled.py                          # torch, jax, tensorflow and mxnet, each in a process of its own
    python benchmarks/compiled.py --backends jax --cases "MLP, 2" --seconds 5 --json

By hand is what an engineer writes who knows the framework (``by_hand_*.py``). All contenders hold the same weights and
must return the same numbers; they take turns (``timing.py``). "gradient" is the loss ``sum(y * y)`` with the gradient of
every parameter. On PyTorch the gradient is a compiled function of a dict of parameters, the quickest there is.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from cases import Call, Hand, make, ours
from tables import Rows, by_hand, main, row
from timing import interleaved


def measure(backend: str, name: str, seconds: float) -> Rows:
    """A case's forward and gradient on one backend, in this process."""
    case = make(name)
    theirs, own = by_hand(backend, case), ours(case, backend)
    without_tape: Any = contextlib.nullcontext
    if backend == "torch":
        import torch

        without_tape = (
            torch.no_grad
        )  # all contenders alike: inference, and gradients that are computed inside
    rows: Rows = {}
    with without_tape():
        for what, contenders in (
            (name, theirs.forward | own.forward),
            (f"{name}, gradient", theirs.gradient | own.gradient),
        ):
            check(what, contenders)
            rows[what] = row(interleaved(contenders, waiting(theirs), seconds))
    return rows


def waiting(hand: Hand) -> Any:
    """Waits for our results as for theirs, which may be of another class."""

    def wait(result: Any) -> None:
        if isinstance(result, tuple) and hasattr(result[1], "values"):
            for slope in result[1].values():
                getattr(slope, "wait_to_read", getattr(slope, "block_until_ready", bool_of))()
            result = result[0]
        hand.wait(result)

    return wait


def bool_of() -> None:
    """For tensors that are there when the call returns."""


def check(what: str, contenders: dict[str, Call]) -> None:
    """See to it that all return the same."""
    results = {name: flat(call()) for name, call in contenders.items()}
    want = results["unimodule"]
    for name, got in results.items():
        for a, b in zip(got, want, strict=True):
            scale = max(1.0, float(np.abs(b).max()))
            np.testing.assert_allclose(
                a.reshape(b.shape), b, rtol=1e-3, atol=1e-3 * scale, err_msg=f"{what}, {name}"
            )


def flat(result: Any) -> list[np.ndarray[Any, Any]]:
    """Tensors of nested tuples and dicts, dicts by name."""
    if isinstance(result, tuple | list):
        return [array for item in result for array in flat(item)]
    if hasattr(result, "values") and hasattr(result, "keys"):
        return [array for name in sorted(result.keys()) for array in flat(result[name])]
    return [result.asnumpy() if hasattr(result, "asnumpy") else np.asarray(result)]


if __name__ == "__main__":
    main(__file__, __doc__ or "", measure)
