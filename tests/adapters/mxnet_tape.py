"""What the tests of compiling for MXNet share."""

import numpy as np


def put(backend, values, dtype="float32"):
    return backend.from_numpy(np.asarray(values), dtype, "cpu")


def rand(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def taped(mx, fn, arrays, train_mode=True):
    """Value of ``fn(list)[0]``, and gradients of its squares' sum, by MXNet's own tape."""
    own = [x.detach() for x in arrays]
    for x in own:
        x.attach_grad()
    with mx.autograd.record(train_mode=train_mode):
        y = fn(own)[0]
        loss = (y * y).sum()
    loss.backward()
    return [y.asnumpy(), *(x.grad.asnumpy() for x in own)]
