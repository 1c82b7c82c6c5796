"""um.train_step(dtype="bfloat16" or "float16"): which op runs in what, against PyTorch's autocast and GradScaler, overflow."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.train import LossScale

from .cases import number, options

LOW = ["bfloat16", "float16"]
UNIT = {"bfloat16": 2.0**-8, "float16": 2.0**-11}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(8, 5)).astype("float32")
Y = RNG.integers(0, 3, 8)
IMAGES = RNG.normal(size=(4, 1, 6, 6)).astype("float32")
WORDS = RNG.integers(0, 7, (4, 3))


def mlp(backend: str) -> nn.Module:
    layers = nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)
    )
    return layers.initialize(seed=3).to(backend)


def make(net: nn.Module, opt: optim.Optimizer, low: str, compile: bool = True, **kwargs: Any) -> Any:
    native = options(net.backend or "") if compile else {}
    return um.train_step(net, nn.CrossEntropyLoss(), opt, dtype=low, compile=compile, **native, **kwargs)


def values(net: nn.Module) -> dict[str, np.ndarray]:
    return {name: um.to_numpy(value).copy() for name, value in net.state_dict().items()}


# ---------------------------------------------------------------------- which op runs in what
class Probe(nn.Module):
    """Notes the dtype of all that its forward computes, in an object that clones share."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 4)
        self.norm = nn.LayerNorm(4)
        self.batch_norm = nn.BatchNorm1d(4)
        self.lstm = nn.LSTM(4, 4)
        self.attention = nn.MultiheadAttention(4, 2)
        self.shift = nn.Parameter(np.ones(4, "float32"))
        self.square = nn.Parameter(np.eye(4, dtype="float32"))
        self._seen: Any = Seen()

    def forward(self, x: Any) -> Any:
        note = self._seen.note
        low = note("linear", self.linear(x))
        note("relu", ops.relu(low))
        note("low + low", low + low)
        note("low + 1", low + 1)
        note("low + float32", low + self.shift)
        note("low @ float32", low @ self.square)
        note("einsum", ops.einsum("ni,ij->nj", low, self.square))
        note("softmax", ops.softmax(low, -1))
        note("layer norm", self.norm(low))
        note("batch norm of low", self.batch_norm(low))
        note("batch norm of float32", self.batch_norm(low + self.shift))
        note("sum", ops.sum(low, axis=0))
        note("mean", ops.mean(low, axis=0))
        note("max", ops.max(low, axis=0))
        note("exp", ops.exp(low))
        note("concat of both", ops.concat([low, self.norm(low)], axis=0))
        note("where of both", ops.where(low > 0, low, self.shift))
        note("index", low[0])
        note("astype", ops.astype(low, "float32"))
        note("stop_gradient", ops.stop_gradient(low))
        note("zeros like", ops.zeros((4,), like=low))
        sequence = ops.expand_dims(low, axis=1)
        note("lstm", self.lstm(sequence)[0])
        note("attention", self.attention(sequence, sequence, sequence, need_weights=False)[0])
        note("float32 of before", x)
        return low


class Seen:
    def __init__(self) -> None:
        self.dtypes: dict[str, str] = {}

    def note(self, name: str, x: Any) -> Any:
        self.dtypes[name] = ops.dtype(x)
        return x


IN_LOW = (
    "linear",
    "relu",
    "low + low",
    "low + 1",
    "low @ float32",
    "einsum",
    "batch norm of low",
    "max",
    "index",
    "stop_gradient",
    "lstm",
    "attention",
)


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("compile", [False, True])
def test_which_op_runs_in_what(backend, low, compile):
    net = Probe().initialize(seed=0).to(backend)
    step = make(net, optim.SGD(net.parameters(), lr=0.1), low, compile)
    seen = [ops.dtype(step(X, Y % 4))]
    assert seen == ["float32"]
    found = net._seen.dtypes
    zeros = {"zeros like"}  # of the dtype that was asked for, which is the default
    assert {name for name, dtype in found.items() if dtype == low} - zeros == set(IN_LOW)
    assert {dtype for name, dtype in found.items() if name not in IN_LOW} - {low} == {"float32"}
    assert {p.dtype for p in net.parameters()} == {"float32"}
    assert {ops.dtype(v) for v in net.state_dict().values()} <= {"float32", "int64", "int32"}


def test_the_guide_lists_what_is_cast():
    from pathlib import Path

    from unimodule.train._precision import IN_FLOAT32, IN_LOW, ROUNDED

    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    for name in IN_LOW | IN_FLOAT32 | ROUNDED:
        assert f"`{name}`" in text, name


# ---------------------------------------------------------------------- nets
class Sequences(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 8)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
        self.gru = nn.GRU(8, 8, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, words: Any) -> Any:
        return self.out(self.gru(self.encoder(self.embedding(words)))[0][:, -1])


class Loops(nn.Module):
    """Operators, control flow and a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(um.init.normal(), shape=(5, 5))
        self.bias = nn.Parameter(np.ones(5, "float32"))

    def forward(self, x: Any) -> Any:
        state, _ = ops.scan(
            lambda s, row: (ops.tanh(s + ops.matmul(row, self.weight) + self.bias), None), x[0], x
        )
        state = ops.fori_loop(0, 2, lambda i, s: ops.tanh(ops.matmul(s, self.weight)), state)
        return x @ self.weight + state


NETS = {
    "cnn": (
        lambda: nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.ConvTranspose2d(4, 3, 2),
            nn.AdaptiveAvgPool2d(1),
            nn.Dropout(0.2),
            nn.Flatten(),
        ),
        (IMAGES, np.arange(4) % 3),
    ),
    "sequences": (Sequences, (WORDS, np.arange(4) % 3)),
    "loops": (Loops, (X, Y)),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.GELU(), nn.LazyLinear(3)), (X, Y)),
}


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("name", NETS)
def test_nets(backend, name, low):
    """Compiled and eager like the same steps in float32, to some roundings in the low dtype."""
    build, (x, y) = NETS[name]
    losses = {}
    for kind, compile in ((None, False), (low, False), (low, True)):
        um.seed(1, portable=True)
        net = build().initialize(seed=2).to(backend)
        step = make(net, optim.AdamW(net.parameters(), lr=1e-2), kind, compile)
        losses[kind, compile] = [number(step(x, y)) for _ in range(4)]
    um.seed(0, portable=False)
    for compile in (False, True):
        np.testing.assert_allclose(losses[low, compile], losses[None, False], rtol=0.02 + 4 * UNIT[low])
    assert losses[low, False] != losses[None, False]


# ---------------------------------------------------------------------- against PyTorch
def torch_steps(
    low: str, init_scale: float, interval: int, clip: float | None, count: int
) -> tuple[Any, Any, list[float]]:
    """The loop of PyTorch's guide to mixed precision."""
    torch = pytest.importorskip("torch")
    mine = mlp("torch")
    net = torch.nn.Sequential(
        torch.nn.Linear(5, 8, bias=False),
        torch.nn.BatchNorm1d(8),
        torch.nn.ReLU(),
        torch.nn.Linear(8, 6),
        torch.nn.Tanh(),
        torch.nn.Linear(6, 3),
    )
    net.load_state_dict({name: value.clone() for name, value in mine.state_dict().items()})
    opt = torch.optim.Adam(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale, growth_interval=interval, enabled=low == "float16")
    losses = []
    for _ in range(count):
        opt.zero_grad()
        with torch.autocast("cpu", getattr(torch, low)):
            out = net(torch.from_numpy(X))
        loss = torch.nn.functional.cross_entropy(out.float(), torch.from_numpy(Y))
        scaler.scale(loss).backward()
        if clip is not None:
            scaler.unscale_(opt)
            torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        scaler.step(opt)
        scaler.update()
        losses.append(float(loss.detach()))
    return net, scaler, losses


@pytest.mark.parametrize("compile", [False, True])
@pytest.mark.parametrize(
    ("low", "init_scale", "interval", "clip"),
    [("bfloat16", 1.0, 1, None), ("float16", 2.0**14, 5, None), ("float16", 2.0**24, 50, 0.5)],
)
def test_against_pytorch(backend, low, init_scale, interval, clip, compile):
    """2**24 is too much for float16: the first updates are left out."""
    theirs, scaler, expected = torch_steps(low, init_scale, interval, clip, 12)
    net = mlp(backend)
    scale = LossScale(init_scale, growth_interval=interval) if low == "float16" else None
    opt = optim.Adam(net.parameters(), lr=0.01)
    step = make(net, opt, low, compile, clip_norm=clip, loss_scale=scale)
    losses = [number(step(X, Y)) for _ in range(12)]
    np.testing.assert_allclose(losses, expected, rtol=8 * UNIT[low])
    if scale is not None:
        assert scale.state_dict() == scaler.state_dict()
        assert scale.scale != init_scale
    counts = {entry["step"] for entry in opt.state_dict()["state"].values()}
    skipped = 0 if init_scale < 2**20 else int(12 - next(iter(counts)))
    assert len(counts) == 1 and (skipped > 0) == (init_scale > 2**20)
    for name, value in theirs.state_dict().items():
        if "num_batches" not in name:
            # Adam's first steps have the size of the learning rate, whatever the gradient is.
            np.testing.assert_allclose(
                values(net)[name], value.numpy(), atol=40 * UNIT[low] * 0.1, err_msg=name
            )


# ---------------------------------------------------------------------- overflow, growth, state
@pytest.mark.parametrize("compile", [False, True])
def test_overflow_leaves_the_update_out(backend, compile):
    net = mlp(backend)
    opt = optim.Adam(net.parameters(), lr=0.01)
    scale = LossScale(2.0**40)
    step = make(net, opt, "float16", compile, loss_scale=scale)
    before = values(net)
    loss = number(step(X, Y))
    after = values(net)
    assert np.isfinite(loss) and scale.scale == 2.0**39
    assert not opt.state_dict()["state"]
    for name, value in before.items():
        if name.startswith("1.") and name not in ("1.weight", "1.bias"):  # running statistics, as in PyTorch
            assert (after[name] != value).any()
        else:
            np.testing.assert_array_equal(after[name], value)
    for _ in range(25):
        step(X, Y)
    assert scale.scale > 2.0**12
    assert opt.state_dict()["state"][0]["step"] > 0 and np.isfinite(number(step(X, Y)))
    assert (values(net)["0.weight"] != before["0.weight"]).any()


def test_overflow_when_memory_was_donated():
    pytest.importorskip("jax")
    nets = [mlp("jax") for _ in range(2)]
    opts = [optim.Adam(net.parameters(), lr=0.01) for net in nets]
    steps = [
        make(net, opt, "float16", donate=donate, loss_scale=LossScale(2.0**14, growth_interval=2))
        for net, opt, donate in zip(nets, opts, (False, True), strict=True)
    ]
    for _ in range(3):
        assert number(steps[0](X, Y)) == number(steps[1](X, Y))
    for step in steps:
        step.loss_scale.scale = 2.0**40
        step(X, Y)
        assert step.loss_scale.scale == 2.0**39
        step.loss_scale.scale = 2.0**10
    for _ in range(3):
        assert number(steps[0](X, Y)) == number(steps[1](X, Y))
    assert opts[0].state_dict()["state"][0]["step"] == opts[1].state_dict()["state"][0]["step"] == 6


def test_growth():
    scale = LossScale(4.0, growth_interval=2)
    net = mlp("numpy")
    step = make(net, optim.SGD(net.parameters(), lr=0.1), "float16", loss_scale=scale)
    seen = []
    for _ in range(5):
        step(X, Y)
        seen.append(scale.scale)
    assert seen == [4.0, 8.0, 8.0, 16.0, 16.0]
    largest = LossScale(float(np.finfo("float32").max), growth_interval=1)
    largest.update(overflow=False)
    assert largest.scale == float(np.finfo("float32").max)


@pytest.mark.parametrize("low", LOW)
def test_a_step_goes_on_from_its_state(backend, low):
    def build() -> tuple[nn.Module, optim.Optimizer, Any]:
        net = mlp(backend)
        opt = optim.Adam(net.parameters(), lr=0.01)
        scale = LossScale(2.0**20, growth_interval=2) if low == "float16" else None
        return net, opt, make(net, opt, low, accumulate=2, clip_norm=1.0, loss_scale=scale)

    net, opt, step = build()
    for _ in range(5):
        step(X, Y)
    saved = values(net), opt.state_dict(), step.state_dict()
    expected = [number(step(X, Y)) for _ in range(5)]
    other, other_opt, other_step = build()
    other.load_state_dict(saved[0])
    other_opt.load_state_dict(saved[1])
    other_step.load_state_dict(saved[2])
    assert [number(other_step(X, Y)) for _ in range(5)] == expected
    if low == "float16":
        assert other_step.loss_scale.state_dict() == step.loss_scale.state_dict()
        json.dumps(step.loss_scale.state_dict())


def test_the_state_is_pytorchs():
    torch = pytest.importorskip("torch")
    scaler = torch.amp.GradScaler("cpu")
    assert LossScale().state_dict() == scaler.state_dict()
    mine = LossScale(8.0, growth_interval=7)
    scaler.load_state_dict(mine.state_dict())
    mine.load_state_dict(scaler.state_dict())
    assert mine.scale == 8.0 and scaler.get_growth_interval() == 7


@pytest.mark.parametrize("compile", [False, True])
def test_accumulation_and_clipping_are_of_unscaled_gradients(backend, compile):
    weights = []
    for low, scale in ((None, None), ("float16", LossScale(2.0**12))):
        net = mlp(backend)
        opt = optim.SGD(net.parameters(), lr=1.0)
        step = make(net, opt, low, compile, accumulate=2, clip_norm=0.05, clip_value=0.03, loss_scale=scale)
        start = values(net)
        for i in range(2):
            step(X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4])
        weights.append({name: v - start[name] for name, v in values(net).items() if "running" not in name})
    for name, change in weights[0].items():
        np.testing.assert_allclose(weights[1][name], change, atol=1e-3, err_msg=name)
        assert np.abs(change).max() <= 0.03 or "num" in name


# ---------------------------------------------------------------------- nets that the loss has from elsewhere; errors
@pytest.mark.parametrize("compile", [False, True])
def test_a_teacher(backend, compile):
    teacher, net = mlp(backend), mlp(backend)
    teacher.initialize(seed=9)

    def loss(output: Any, x: Any) -> Any:
        return nn.functional.mse_loss(output, um.stop_gradient(teacher(x)))

    native = options(backend) if compile else {}
    opt = optim.SGD(net.parameters(), lr=0.1)
    step = um.train_step(net, loss, opt, dtype="bfloat16", compile=compile, **native)
    before = values(teacher)
    losses = [number(step(X, X)) for _ in range(5)]
    after = values(teacher)
    assert losses[-1] < losses[0]
    assert (after["1.running_mean"] != before["1.running_mean"]).any()
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])


def test_refuses(backend):
    net = mlp(backend)
    opt = optim.SGD(net.parameters(), lr=0.1)
    for wrong in ("float64", "int8"):
        with pytest.raises(um.ArgumentError, match="bfloat16"):
            make(net, opt, wrong)
    with pytest.raises(um.ArgumentError, match="LossScale"):
        make(net, opt, "float16", loss_scale=3.0)
    for kwargs in ({"init_scale": 0}, {"growth_factor": 1}, {"backoff_factor": 1}, {"growth_interval": 0}):
        with pytest.raises(um.ArgumentError):
            LossScale(**kwargs)
    with pytest.raises(um.StateDictError):
        LossScale().load_state_dict({"scale": 1.0})
    assert make(net, opt, "float32").loss_scale is None and make(net, opt, "bfloat16").loss_scale is None
