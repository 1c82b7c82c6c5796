"""What a training step costs beside a loop written by hand in the framework: um.train_step on every backend that compiles.

    python benchmarks/train_step.py                      # all, each in a process of its own
    python benchmarks/train_step.py --backends jax --cases 'MLP, 2' --seconds 5 --json

The nets of ``cases.py`` with Adam, from the same weights on the same batch; the Transformer block has a squared error, the
others cross-entropy. By hand means what an expert writes (``by_hand_*.py``): on PyTorch ``torch.compile`` of net and loss
with ``torch.optim.Adam(foreach=True)`` behind it, and the same eager; on JAX one ``jax.jit`` of loss, gradients and update;
on TensorFlow one ``tf.function`` of all that with Adam's fused kernel; on MXNet a hybridized Gluon net and Gluon's Trainer.
"""

from __future__ import annotations

import numpy as np
from cases import make, ours
from tables import Rows, by_hand, main, row
from timing import interleaved


def measure(backend: str, name: str, seconds: float) -> Rows:
    """A case's step on one backend, in this process."""
    case = make(name)
    theirs, own = by_hand(backend, case), ours(case, backend)
    contenders = theirs.steps | own.steps
    losses = {
        who: [
            float(np.asarray(x.asnumpy() if hasattr(x, "asnumpy") else x).reshape(()))
            for x in (step() for _ in range(3))
        ]
        for who, step in contenders.items()
    }
    for who, loss in losses.items():
        np.testing.assert_allclose(loss, losses["unimodule"], rtol=1e-4, err_msg=f"{name}, {who}")
    return {name: row(interleaved(contenders, theirs.wait, seconds, slice_seconds=0.01))}


if __name__ == "__main__":
    main(__file__, __doc__ or "", measure)
