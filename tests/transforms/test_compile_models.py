"""Compiled equals eager for every model of the source texts and for a net of each family.

Output, gradient and buffers; train and eval; at two batch sizes; with the weights it began with, after an update, and after
a load. Masks come from the portable bit generator, so that dropout drops the same both times.
"""

from __future__ import annotations

import pytest

import unimodule as um
from unimodule import nn, ops

from .models import (
    CNN,
    NETS,
    Recurrent,
    assert_close,
    assert_no_tracer,
    assert_same_state,
    chapter,
    compiles,
    data,
    loss_of,
    options,
    step,
    tensor,
)


def halved(x, size):
    """The chapter's ``while size(x) > 1: x = x / 2`` for a compiler."""
    return ops.while_loop(lambda x: size(x) > 1, lambda x: x / 2, x, max_iters=24)


class FixedHiddenMLP(chapter.FixedHiddenMLP):
    def forward(self, x):
        x = ops.relu(self.linear(x) @ self.rand_weight + 1)
        return ops.sum(halved(self.linear(x), lambda x: ops.sum(ops.abs(x))))


class FancyMLP(chapter.FancyMLP):
    def forward(self, x):
        x = ops.relu(self.linear(x))
        x = ops.relu(x @ self.rand_weight + 1)
        x = halved(ops.relu(self.linear(x)), chapter.norm)
        return ops.sum(ops.where(chapter.norm(x) < 0.8, x * 10, x))  # MXNet's compiler has no branches


def chimera():
    return nn.Sequential(*list(chapter.chimera().children())[:-1], FixedHiddenMLP())


def cnn():
    """No bias in front of the normalisation, where its gradient is nothing but rounding."""
    net = CNN(p=0.5)
    net.body[0].bias = None
    return net


MODELS = {name: net for name, net in NETS.items() if name.startswith("chapter")}
MODELS |= {
    f"chapter: {name}": (build, (chapter.FEATURES,))
    for name, build in (("FixedHiddenMLP", FixedHiddenMLP), ("FancyMLP", FancyMLP), ("chimera", chimera))
}
MODELS |= {
    "MLP": NETS["MLP"],
    "CNN": (cnn, (2, 6, 6)),
    "LSTM": (Recurrent, (5, 3)),
    "Transformer": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0.25, batch_first=True), 2
        ),
        (5, 8),
    ),
}


def test_no_model_of_the_chapter_is_missing():
    assert {name.removeprefix("chapter: ") for name in MODELS} >= set(chapter.MODELS)


@pytest.fixture
def portable():
    state = um.get_rng_state()
    um.seed(0, portable=True)
    yield
    um.seed(0, portable=False)
    um.set_rng_state(state)


@pytest.mark.parametrize("name", MODELS)
def test_compiled_equals_eager(backend, name, portable):
    if not compiles(backend):
        pytest.skip("it has no compiler")
    build, shape = MODELS[name]
    net = build().initialize(seed=0).to(backend)
    net(tensor(data(shape), backend))  # lazy layers get their shapes
    other = net.clone()
    loaded = {key: um.to_numpy(value) for key, value in other.state_dict().items()}
    loaded = {key: value * 0.75 if value.dtype.kind == "f" else value + 1 for key, value in loaded.items()}
    fast = um.compile(net, **options(backend))
    gradients_of = um.value_and_grad(loss_of)
    compiled_gradients_of = um.compile(gradients_of, **options(backend))
    slopes = None
    for weights in ("first", "updated", "loaded"):
        if weights == "updated":
            step(net, slopes)
            step(other, slopes)
        elif weights == "loaded":
            net.load_state_dict(loaded)
            other.load_state_dict(loaded)
        for training in (True, False):
            net.train(training)
            other.train(training)
            for rows in (2, 3):
                x = tensor(data(shape, rows, seed=rows), backend)
                where = f"{weights}, {'train' if training else 'eval'}, {rows}"
                um.seed(rows)
                want = other(x)
                um.seed(rows)
                assert_close(fast(x), want, f"{where}: output")
                assert_same_state(net, other)
                um.seed(rows)
                want = gradients_of(other, x)
                um.seed(rows)
                assert_close(compiled_gradients_of(net, x), want, f"{where}: gradient")
                assert_same_state(net, other)
                if training:
                    slopes = want[1]
    assert_no_tracer(net)
