"""Trainer.fit does what the loop written by hand does; evaluation leaves the net as it is."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.errors import ArgumentError, CompileError, NonFiniteError
from unimodule.train import Callback, Metric

from .cases import OPTIMIZERS, assert_close, batches, everything, make_step, mlp, number, options


def trainer_of(net: nn.Module, opt: optim.Optimizer, **kwargs) -> um.Trainer:
    return um.Trainer(net, nn.CrossEntropyLoss(), opt, **options(net.backend or ""), **kwargs)


def simple(backend: str = "numpy", lr: float = 0.1, **kwargs) -> um.Trainer:
    """A small net on a backend that compiles nothing, for what no backend has a part in."""
    net = nn.Linear(5, 3).initialize(seed=0).to(backend)
    return trainer_of(net, optim.SGD(net.parameters(), lr=lr), **kwargs)


def uneven() -> list[tuple[np.ndarray, np.ndarray]]:
    """Batches of which the last is smaller."""
    return [*batches(2), *batches(1, rows=2)]


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_equals_the_loop_by_hand(backend, compile):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    trainer = trainer_of(net, opt, metrics=["accuracy", "top2_accuracy"], compile=compile, clip_norm=0.5)
    history = trainer.fit(uneven(), epochs=2, validation=uneven(), verbose=0)

    step = make_step(twin, twin_opt, compile=compile, clip_norm=0.5)
    for epoch in range(2):
        total = right = 0.0
        twin.train()
        for x, y in uneven():
            before = twin.clone()  # the outputs of the step, before the update
            right += float((um.to_numpy(before(x)).argmax(1) == y).sum())
            total += number(step(x, y)) * len(y)
        np.testing.assert_allclose(history["loss"][epoch], total / 14, rtol=2e-5)
        assert history["accuracy"][epoch] == pytest.approx(right / 14, abs=1e-12)
        twin.eval()
        outputs = np.concatenate([um.to_numpy(twin(x)) for x, _ in uneven()])
        targets = np.concatenate([y for _, y in uneven()])
        assert history["val_accuracy"][epoch] == pytest.approx(
            (outputs.argmax(1) == targets).mean(), abs=1e-12
        )
        lse = np.log(np.exp(outputs.astype("float64")).sum(1))
        expected = (lse - outputs[np.arange(14), targets]).mean()
        np.testing.assert_allclose(history["val_loss"][epoch], expected, rtol=1e-4)
    assert_close(everything(net, opt), everything(twin, twin_opt))
    assert list(history) == [
        "loss",
        "accuracy",
        "top2_accuracy",
        "val_loss",
        "val_accuracy",
        "val_top2_accuracy",
    ]
    assert json.loads(json.dumps(history)) == history
    assert trainer.history is history


def test_evaluate_and_predict(backend):
    net = mlp(backend)
    net(uneven()[0][0])  # running statistics other than at the start
    opt = optim.SGD(net.parameters(), lr=0.1)
    spread = Metric("spread", lambda output, y: np.ptp(um.to_numpy(output), axis=1), training=False)
    trainer = trainer_of(net, opt, metrics=["accuracy", spread])
    before = everything(net, opt)
    result = trainer.evaluate(uneven())
    x, y = (np.concatenate(column) for column in zip(*uneven(), strict=True))
    whole = trainer.evaluate((x, y), batch_size=5)
    predicted = trainer.predict([x for x, _ in uneven()])
    assert everything(net, opt).keys() == before.keys()
    for name, value in everything(net, opt).items():
        np.testing.assert_array_equal(value, before[name])
    assert net.training
    assert list(result) == ["loss", "accuracy", "spread"]
    assert result == pytest.approx(whole, rel=1e-5)
    expected = um.to_numpy(net.eval()(x))
    np.testing.assert_allclose(predicted, expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(trainer.predict(x, batch_size=4), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(trainer.predict(uneven(), targets=True), expected, rtol=2e-5, atol=1e-6)
    np.testing.assert_allclose(result["spread"], np.ptp(expected, axis=1).mean(), rtol=1e-5)
    assert not net.training


def test_a_net_that_has_no_backend_takes_that_of_the_batches(backend):
    net = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3)).initialize(seed=1)
    trainer = um.Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1), **options(backend))
    native = [tuple(um.convert(part, backend) for part in batch) for batch in batches(2)]
    with um.use_backend(backend):  # which says whose NumPy arrays are
        assert trainer.evaluate(native)["loss"] > 0
    history = trainer.fit(native, validation=native, verbose=0)
    assert net.backend == backend
    assert history["val_loss"][0] < history["loss"][0] * 2


def test_accumulation_goes_on_across_epochs(backend):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    trainer = trainer_of(net, opt, accumulate=2)
    trainer.fit(batches(3), epochs=3, verbose=0)
    assert trainer.pending == 1
    step = make_step(twin, twin_opt, accumulate=2)
    for _ in range(3):
        for batch in batches(3):
            step(*batch)
    assert_close(everything(net, opt), everything(twin, twin_opt))


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 2), nn.Linear(4, 2)

    def forward(self, pair, z):
        return {"sum": self.left(pair["a"]) + self.right(z), "left": (self.left(pair["a"]), 1)}


def test_several_inputs_and_nested_outputs(backend):
    rng = np.random.default_rng(0)
    data = [
        ({"a": rng.normal(size=(n, 3)).astype("float32")}, rng.normal(size=(n, 4)), rng.normal(size=(n, 2)))
        for n in (4, 2)
    ]
    net = TwoHeads().initialize(seed=0).to(backend)

    def loss(output, target):
        return nn.functional.mse_loss(output["sum"], target)

    def error(output, target):
        return ops.abs(output["sum"] - target)

    trainer = um.Trainer(net, loss, optim.Adam(net.parameters(), lr=0.1), metrics=[error], **options(backend))
    history = trainer.fit(data, epochs=12, verbose=0)
    assert history["error"][-1] < history["error"][0]
    outputs = trainer.predict([item[:2] for item in data])
    assert outputs["sum"].shape == outputs["left"][0].shape == (6, 2)
    assert outputs["left"][1] == 1
    whole = trainer.predict(trainer_input(data), batch_size=4)
    np.testing.assert_allclose(whole["sum"], outputs["sum"], rtol=1e-5, atol=1e-6)


def trainer_input(data):
    """The batches' inputs as whole arrays."""
    return {"a": np.concatenate([item[0]["a"] for item in data])}, np.concatenate([item[1] for item in data])


class Counting(nn.Module):
    """Has a buffer that counts calls in evaluation, too."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm = nn.Linear(5, 3), nn.BatchNorm1d(3)
        self.calls = nn.Buffer(0)

    def forward(self, x):
        self.calls = self.calls + 1
        return self.norm(self.linear(x))


def test_modes_and_buffers(backend):
    net = Counting().to(backend)
    net.norm.eval()  # a part that stays as it is
    modes = []

    class Look(Callback):
        def on_step_end(self, trainer):
            modes.append((net.training, net.norm.training))

    trainer = trainer_of(net, optim.SGD(net.parameters(), lr=0.1))
    trainer.fit(batches(2), epochs=2, validation=batches(3), callbacks=[Look()], verbose=0)
    assert modes == [(True, False)] * 4
    assert int(um.to_numpy(net.calls)) == 4
    assert int(um.to_numpy(net.norm.num_batches_tracked)) == 0
    net.eval()
    trainer.fit(batches(1), validation=batches(1), verbose=0)
    assert not net.training and not net.linear.training
    assert int(um.to_numpy(net.norm.num_batches_tracked)) == 1


# ---------------------------------------------------------------------- losses that are not finite
def test_a_loss_that_is_not_finite():
    bad = [(np.full((2, 5), np.nan, "float32"), np.array([0, 1]))]
    trainer = simple()
    with pytest.raises(NonFiniteError, match="nan at batch 6 of epoch 1"):
        trainer.fit([*batches(5), *bad], verbose=0)
    history = simple(nonfinite="ignore").fit(bad, verbose=0)
    assert math.isnan(history["loss"][0])
    assert math.isnan(simple().evaluate(bad)["loss"])


def test_losses_that_are_read_late(monkeypatch):
    """As on an accelerator: the same means, and the error names the batch."""
    from unimodule.train import _averages

    class Elsewhere:
        def __init__(self, backend):
            self._backend = backend

        def device(self, x):
            return "gpu:0"

        def __getattr__(self, name):
            return getattr(self._backend, name)

    expected = simple(metrics=["accuracy"]).fit(batches(40), verbose=0)
    real = um.registry.find_backend
    monkeypatch.setattr(_averages, "find_backend", lambda x: Elsewhere(real(x)))
    assert simple(metrics=["accuracy"]).fit(batches(40), verbose=0) == expected
    data = batches(40)
    data[20][0][0] = np.inf
    with pytest.raises(NonFiniteError, match="batch 21 of epoch 1"):
        simple().fit(data, verbose=0)


# ---------------------------------------------------------------------- what is shown
def test_lines_where_stdout_is_no_terminal(capsys):
    simple(metrics=["accuracy"]).fit(batches(2), epochs=2, validation=batches(1))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1/2  loss ") and " val_accuracy " in lines[0]
    simple().fit(batches(2), verbose=0)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("data", [batches(3), (batch for batch in batches(3))], ids=["known", "unknown"])
def test_a_bar_in_a_terminal(capsys, monkeypatch, data):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("unimodule.train._progress.REFRESH", 0.0)
    simple().fit(data)
    out = capsys.readouterr().out
    assert "epoch 1/1" in out and "loss" in out
    simple().fit(batches(3), verbose=2)
    assert capsys.readouterr().out.count("\n") == 1


# ---------------------------------------------------------------------- arguments
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.fit(batches(), epochs=-1), "epochs expected"),
        (lambda t: t.fit(batches(), epochs=1.0), "epochs expected"),
        (lambda t: t.fit(batches(), verbose=3), "verbose expected"),
        (lambda t: t.fit(batches(), steps_per_epoch=0), "steps_per_epoch expected"),
        (lambda t: t.fit(batches(), validation=batches(), validation_steps=-1), "validation_steps expected"),
        (lambda t: t.fit(batches(), callbacks=["early"]), "callbacks expected"),
        (lambda t: t.evaluate(batches(), steps=0), "steps expected"),
        (lambda t: t.predict(batches(), steps=True), "steps expected"),
        (lambda t: t.save("x.safetensors"), "call fit first"),
        (lambda t: simple(nonfinite="no"), "nonfinite expected"),
        (lambda t: simple(unpack=3), "unpack expected"),
        (lambda t: simple(accumulate=0), "accumulate expected"),
        (lambda t: um.Trainer(t.net, "mse", t.optimizer), "loss"),
        (lambda t: um.Trainer(t, t.optimizer, t.optimizer), "net"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ArgumentError, match=message):
        call(simple())


def test_no_epochs_and_no_run():
    trainer = simple()
    assert (trainer.epoch, trainer.epochs, trainer.batch, trainer.batches, trainer.steps) == (
        0,
        0,
        0,
        None,
        0,
    )
    assert trainer.averages() == {}
    trainer.stop()
    assert trainer.fit(batches(), epochs=0, verbose=0) == {}


def test_a_metric_that_reads_values_is_for_evaluation(backend):
    trainer = simple(backend, metrics={"host": lambda output, y: float(um.to_numpy(output).max())})
    if backend in ("numpy", "torch"):  # which run it as it is, or break the graph
        return
    with pytest.raises(CompileError):
        trainer.fit(batches(1), verbose=0)
