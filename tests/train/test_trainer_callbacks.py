"""Callbacks: their hooks, early stopping, schedules."""

from __future__ import annotations

import math

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, optim
from unimodule.errors import ArgumentError, StateDictError
from unimodule.optim import lr_scheduler
from unimodule.train import Callback, EarlyStopping, LRSchedule

from .cases import batches


def trainer_of(lr: float = 0.1, **kwargs) -> um.Trainer:
    net = nn.Linear(5, 3).initialize(seed=0).to("numpy")
    opt = optim.SGD(net.parameters(), lr=lr)
    return um.Trainer(net, nn.CrossEntropyLoss(), opt, metrics=["accuracy"], **kwargs)


class Journal(Callback):
    def __init__(self):
        self.lines: list[str] = []

    def on_fit_start(self, trainer):
        self.lines.append(f"start {trainer.epoch}/{trainer.epochs}")

    def on_epoch_start(self, trainer):
        self.lines.append(f"epoch {trainer.epoch}")

    def on_step_end(self, trainer):
        assert trainer.averages()["loss"] > 0
        self.lines.append(f"step {trainer.steps} batch {trainer.batch}/{trainer.batches}")

    def on_epoch_end(self, trainer, logs):
        assert set(logs) == {"loss", "accuracy", "val_loss", "val_accuracy"}
        logs["extra"] = trainer.epoch
        self.lines.append(f"end {trainer.epoch}")

    def on_state_complete(self, trainer, epoch_ended):
        self.lines.append(f"complete {trainer.epoch}.{trainer.batch} {epoch_ended}")

    def on_fit_end(self, trainer):
        self.lines.append("over")


def test_the_order_of_the_hooks():
    journal = Journal()
    history = trainer_of().fit(batches(2), epochs=2, validation=batches(1), callbacks=[journal], verbose=0)
    epoch = [
        "epoch {0}", "step {1} batch 1/2", "complete {0}.1 False", "step {2} batch 2/2", "complete {0}.2 False",
        "end {0}", "complete {3}.0 True",
    ]  # fmt: skip
    expected = [line.format(e, 2 * e + 1, 2 * e + 2, e + 1) for e in range(2) for line in epoch]
    assert journal.lines == ["start 0/2", *expected, "over"]
    assert history["extra"] == [0.0, 1.0]


def test_every_hook_has_a_default():
    trainer_of().fit(batches(1), callbacks=[Callback()], verbose=0)
    assert Callback().state_dict() == {}
    Callback().load_state_dict({})


def test_the_end_is_told_to_those_who_have_started():
    class Broken(Callback):
        def on_fit_start(self, trainer):
            raise RuntimeError("broken")

    first, last = Journal(), Journal()
    with pytest.raises(RuntimeError, match="broken"):
        trainer_of().fit(batches(1), callbacks=[first, Broken(), last], verbose=0)
    assert first.lines == ["start 0/1", "over"] and last.lines == []


def test_stop_within_an_epoch():
    class Stop(Callback):
        def on_step_end(self, trainer):
            if trainer.steps == 3:
                trainer.stop()

    trainer = trainer_of()
    history = trainer.fit(batches(2), epochs=9, callbacks=[Stop()], verbose=0)
    assert len(history["loss"]) == 1 and trainer.steps == 3
    trainer.fit(batches(2), epochs=2, verbose=0)  # the next run begins anew
    assert trainer.steps == 4


def test_a_quantity_that_is_not_there_each_time():
    class Now(Callback):
        def on_epoch_end(self, trainer, logs):
            if trainer.epoch == 1:
                logs["now"] = 1

    history = trainer_of().fit(batches(1), epochs=3, callbacks=[Now()], verbose=0)
    assert history["now"] == [None, 1.0, None]


# ---------------------------------------------------------------------- early stopping
class Script(Callback):
    """Puts given values in the logs."""

    def __init__(self, *values: float):
        self.values = values

    def on_epoch_end(self, trainer, logs):
        logs["value"] = self.values[trainer.epoch]


@pytest.mark.parametrize(
    ("values", "options", "epochs", "best"),
    [
        ([3, 2, 2.5, 1, 0], {"patience": 1}, 3, 1),
        ([3, 2, 2.5, 1, 5, 5], {"patience": 2}, 6, 3),
        ([1, 2, 3, 2, 2, 9], {"patience": 2, "mode": "max"}, 5, 2),
        ([3, 2.9, 2.8, 2.4], {"patience": 2, "min_delta": 0.5}, 3, 0),
        ([math.nan, math.nan, 1, 0], {"patience": 2}, 2, None),
        ([3, 2, 1], {}, 3, 2),
    ],
)
def test_early_stopping(values, options, epochs, best):
    stopping = EarlyStopping("value", restore_best=True, **options)
    nets = {}

    class Keep(Callback):
        def on_epoch_end(self, trainer, logs):
            nets[trainer.epoch] = trainer.net_state()

    trainer = trainer_of()
    callbacks = [Script(*values), stopping, Keep()]
    history = trainer.fit(batches(2), epochs=len(values), callbacks=callbacks, verbose=0)
    assert len(history["loss"]) == epochs
    assert stopping.best_epoch == best
    if best is not None:
        assert stopping.best == values[best]
    for name, value in trainer.net_state().items():
        np.testing.assert_array_equal(value, nets[epochs - 1 if best is None else best][name])
    trainer.fit(batches(2), epochs=1, callbacks=callbacks, verbose=0)
    assert stopping.best_epoch == (0 if not math.isnan(values[0]) else None)  # it starts anew


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"patience": 0}, "patience expected"),
        ({"patience": 1.5}, "patience expected"),
        ({"mode": "best"}, "mode expected"),
        ({"min_delta": -1}, "min_delta expected"),
        ({"monitor": 3}, "monitor expected"),
    ],
)
def test_wrong_early_stopping(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        EarlyStopping(**kwargs)


def test_nothing_to_monitor():
    with pytest.raises(ArgumentError, match=r"no 'val_loss' to monitor.*validation"):
        trainer_of().fit(batches(1), callbacks=[EarlyStopping()], verbose=0)
    with pytest.raises(ArgumentError, match="no 'score' to monitor"):
        trainer_of().fit(batches(1), callbacks=[EarlyStopping("score")], verbose=0)


# ---------------------------------------------------------------------- schedules
SCHEDULES = {
    "StepLR": lambda opt: lr_scheduler.StepLR(opt, 2, gamma=0.5),
    "MultiStepLR": lambda opt: lr_scheduler.MultiStepLR(opt, [1, 3], gamma=0.5),
    "ExponentialLR": lambda opt: lr_scheduler.ExponentialLR(opt, 0.9),
    "CosineAnnealingLR": lambda opt: lr_scheduler.CosineAnnealingLR(opt, 5),
    "CosineAnnealingWarmRestarts": lambda opt: lr_scheduler.CosineAnnealingWarmRestarts(opt, 3),
    "LinearLR": lambda opt: lr_scheduler.LinearLR(opt, total_iters=4),
    "ConstantLR": lambda opt: lr_scheduler.ConstantLR(opt, total_iters=4),
    "PolynomialLR": lambda opt: lr_scheduler.PolynomialLR(opt, total_iters=4),
    "OneCycleLR": lambda opt: lr_scheduler.OneCycleLR(opt, 0.5, total_steps=20),
    "LambdaLR": lambda opt: lr_scheduler.LambdaLR(opt, lambda epoch: 0.7**epoch),
    "ReduceLROnPlateau": lambda opt: lr_scheduler.ReduceLROnPlateau(
        opt, factor=0.5, patience=0, threshold=0.5
    ),
    "SequentialLR": lambda opt: lr_scheduler.SequentialLR(
        opt, [lr_scheduler.LinearLR(opt, 0.5, total_iters=2), lr_scheduler.ExponentialLR(opt, 0.9)], [2]
    ),
}


def test_every_schedule_is_here():
    assert set(SCHEDULES) == set(lr_scheduler.__all__) - {"LRScheduler"}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("every", ["epoch", "step"])
def test_schedules(name, every):
    """The rates are those of a loop that steps the schedule by hand."""
    trainer, twin = trainer_of(), trainer_of()
    rates, expected = [], []

    class Rates(Callback):
        def on_step_end(self, trainer):
            rates.append(trainer.optimizer.param_groups[0]["lr"])

    schedule = LRSchedule(make(name, trainer.optimizer), every=every)
    history = trainer.fit(batches(3), epochs=4, callbacks=[Rates(), schedule], verbose=0)

    by_hand = make(name, twin.optimizer)
    plateau = isinstance(by_hand, lr_scheduler.ReduceLROnPlateau)
    step = um.train_step(twin.net, nn.CrossEntropyLoss(), twin.optimizer)
    for _ in range(4):
        losses = []
        for batch in batches(3):
            losses.append(float(step(*batch)))
            expected.append(twin.optimizer.param_groups[0]["lr"])
            if every == "step":
                by_hand.step(*[np.mean(losses)] * plateau)
        if every == "epoch":
            by_hand.step(*[np.mean(losses)] * plateau)
    np.testing.assert_allclose(rates, expected, rtol=1e-12)
    last = slice(2, None, 3) if every == "epoch" else slice(3, None, 3)
    assert history["lr"][:3] == pytest.approx(rates[last][:3])


def make(name, opt):
    """A schedule; OneCycleLR cycles momentum, which SGD has."""
    opt.param_groups[0]["momentum"] = 0.9
    return SCHEDULES[name](opt)


def test_steps_are_updates_where_gradients_accumulate():
    trainer = trainer_of(accumulate=2)
    schedule = lr_scheduler.ExponentialLR(trainer.optimizer, 0.5)
    trainer.fit(batches(5), callbacks=[LRSchedule(schedule, every="step")], verbose=0)
    assert schedule.last_epoch == 2


def test_what_a_plateau_listens_to():
    class Heard(lr_scheduler.ReduceLROnPlateau):
        heard: list[float] = []  # noqa: RUF012

        def step(self, metrics):
            self.heard.append(metrics)
            super().step(metrics)

    for monitor, key in ((None, "val_loss"), ("accuracy", "accuracy")):
        trainer = trainer_of()
        Heard.heard = []
        callbacks = [LRSchedule(Heard(trainer.optimizer), monitor=monitor)]
        history = trainer.fit(batches(2), epochs=2, validation=batches(1), callbacks=callbacks, verbose=0)
        assert Heard.heard == history[key]


def test_wrong_schedules():
    opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    with pytest.raises(ArgumentError, match="expected a schedule"):
        LRSchedule(opt)
    schedule = lr_scheduler.StepLR(opt, 1)
    with pytest.raises(ArgumentError, match="every expected"):
        LRSchedule(schedule, every="batch")
    with pytest.raises(ArgumentError, match="listens to nothing"):
        LRSchedule(schedule, monitor="loss")
    with pytest.raises(ArgumentError, match="another optimiser"):
        trainer_of().fit(batches(1), callbacks=[LRSchedule(schedule)], verbose=0)
    with pytest.raises(StateDictError, match="StepLR by epoch, the trainer a ExponentialLR"):
        LRSchedule(lr_scheduler.ExponentialLR(opt, 0.5)).load_state_dict(LRSchedule(schedule).state_dict())
    with pytest.raises(StateDictError, match="expected kind"):
        LRSchedule(schedule).load_state_dict({"every": 1})
