"""Whole nets compiled for MXNet by way of functional clones, against the same nets eager: outputs, buffers, gradients."""

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops
from unimodule.transforms.functional import assignments, with_values

from .harness import NAMES, load

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)


class Classifier(nn.Module):
    """The last step of a recurrent net."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(12, 3)

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.out(y[:, -1])


class Attention(nn.Module):
    """Causal self-attention with a residual connection, and indexing and arithmetic on native tensors."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        y, _ = self.attention(x, x, x, need_weights=False)
        return self.norm(x + y)[:, 0] * 2 - ops.mean(x, axis=1)


def conv_net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 4, 3),
        nn.BatchNorm2d(4), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


NETS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), (6,)),
    "cnn": (conv_net, (3, 8, 8)),
    "lstm": (Classifier, (4, 5)),
    "attention": (Attention, (5, 8)),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), (5, 8)),
}


class Pure:
    """A net as a function of lists of tensors: its variables, then its input."""

    def __init__(self, net):
        self.net = net
        self.variables = [v for m in net.modules() for v in m._variables.values()]
        self.trainable = [i for i, v in enumerate(self.variables) if v in list(net.parameters())]
        self.changed = None
        self.runs = 0

    def tensors(self):
        return [v.data for v in self.variables]

    def forward(self, values):
        """The output, and what became of buffers."""
        self.runs += 1
        given = {id(v): x for v, x in zip(self.variables, values, strict=False)}
        clone, pairs = with_values(self.net, given)
        y = clone(values[-1])
        found = assignments(pairs, given)
        self.changed = [a.name for a in found]
        return [y, *(a.value for a in found)]

    def gradients(self, values):
        """The loss, what became of buffers, and the gradients."""
        backend = load("mxnet")

        def loss(leaves):
            new = list(values)
            for i, leaf in zip([*self.trainable, len(values) - 1], leaves, strict=True):
                new[i] = leaf
            y, *buffers = self.forward(new)
            return ops.sum(y * y), buffers

        value, buffers, gradients = backend.value_and_grad(
            loss, [*(values[i] for i in self.trainable), values[-1]]
        )
        return [value, *buffers, *gradients]


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NETS)
def test_net(name, training):
    backend = load("mxnet")
    make, shape = NETS[name]
    net = make().to("mxnet")
    net.initialize(seed=1)
    net.train(training)
    pure = Pure(net)
    compiled, inside = backend.compile(pure.forward), backend.compile(pure.gradients)

    def through(values):
        def loss(leaves):
            new = list(values)
            for i, leaf in zip([*pure.trainable, len(values) - 1], leaves, strict=True):
                new[i] = leaf
            y, *buffers = compiled(new)
            return ops.sum(y * y), buffers

        value, buffers, gradients = backend.value_and_grad(
            loss, [*(values[i] for i in pure.trainable), values[-1]]
        )
        return [value, *buffers, *gradients]

    rng = np.random.default_rng(0)
    for step in range(3):
        x = backend.from_numpy(rng.normal(size=(4, *shape)), "float32", "cpu")
        values = [*pure.tensors(), x]
        outputs, gradients = pure.forward(values), pure.gradients(values)
        if step == 0:
            for fn in (compiled, inside):
                fn(values)
            pure.runs = 0
        runs = pure.runs
        for got, want in [
            (compiled(values), outputs),
            (inside(values), gradients),
            (through(values), gradients),
        ]:
            want = [um.to_numpy(b) for b in want]
            scale = max(
                np.abs(b).max() for b in want
            )  # a gradient that cancels is as exact as its largest sibling
            for a, b in zip(map(um.to_numpy, got), want, strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6 * max(1, scale))
        assert pure.runs == runs, "the forward ran again"
        assert bool(pure.changed) == (name == "cnn" and training)
        for parameter in net.parameters():  # in place: the next step must see it
            parameter.data = parameter.data * 0.9
