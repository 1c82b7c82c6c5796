"""Every schedule against torch.optim.lr_scheduler: each rate to the last bit, restarts, resuming, errors. No backend."""

from __future__ import annotations

import inspect
import json
import math

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, optim
from unimodule.optim import lr_scheduler

from .cases import torch as torch  # a fixture

EPOCHS = 70
OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.3, "momentum": 0.9}),
    "Adam": ("Adam", {"lr": 0.02}),
}


class Halving:
    def __init__(self, every):
        self.every = every

    def __call__(self, epoch):
        return 0.5 ** (epoch // self.every)


# Schedule -> what to make it from, given the module (ours or PyTorch's) and the optimiser.
SCHEDULES = {
    "step": lambda m, o: m.StepLR(o, 10, gamma=0.5),
    "step-default": lambda m, o: m.StepLR(o, step_size=7),
    "multistep": lambda m, o: m.MultiStepLR(o, [40, 5, 20, 20], gamma=0.7),
    "exponential": lambda m, o: m.ExponentialLR(o, 0.93),
    "constant": lambda m, o: m.ConstantLR(o, factor=0.25, total_iters=12),
    "constant-default": lambda m, o: m.ConstantLR(o),
    "linear": lambda m, o: m.LinearLR(o, 0.1, 0.8, total_iters=30),
    "linear-default": lambda m, o: m.LinearLR(o),
    "polynomial": lambda m, o: m.PolynomialLR(o, total_iters=40, power=1.7),
    "cosine": lambda m, o: m.CosineAnnealingLR(o, T_max=13, eta_min=0.001),
    "cosine-long": lambda m, o: m.CosineAnnealingLR(o, EPOCHS),
    "restarts": lambda m, o: m.CosineAnnealingWarmRestarts(o, 11, eta_min=0.01),
    "restarts-longer": lambda m, o: m.CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2),
    "cycle": lambda m, o: m.OneCycleLR(o, max_lr=0.5, total_steps=EPOCHS),
    "cycle-linear": lambda m, o: m.OneCycleLR(
        o,
        0.4,
        epochs=10,
        steps_per_epoch=8,
        pct_start=0.2,
        anneal_strategy="linear",
        base_momentum=0.7,
        div_factor=10,
    ),
    "cycle-three": lambda m, o: m.OneCycleLR(
        o, [0.4, 0.2], total_steps=EPOCHS, three_phase=True, final_div_factor=50.0
    ),
    "cycle-no-momentum": lambda m, o: m.OneCycleLR(o, 0.5, total_steps=EPOCHS, cycle_momentum=False),
    "lambda": lambda m, o: m.LambdaLR(o, lambda epoch: 0.95**epoch),
    "lambdas": lambda m, o: m.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), Halving(9)]),
    "sequential": lambda m, o: m.SequentialLR(
        o, [m.LinearLR(o, 0.1, total_iters=8), m.CosineAnnealingLR(o, 20), m.StepLR(o, 6)], milestones=[8, 30]
    ),
    "sequential-restarts": lambda m, o: m.SequentialLR(
        o, [m.ConstantLR(o, 0.1, 5), m.CosineAnnealingWarmRestarts(o, 6, 2)], milestones=[10]
    ),
    "sequential-multistep": lambda m, o: m.SequentialLR(
        o, [m.ExponentialLR(o, 0.9), m.MultiStepLR(o, [3, 9]), m.PolynomialLR(o, 10)], [4, 20]
    ),
}


def ours(kind: str = "SGD") -> optim.Optimizer:
    """An optimiser with two groups that has taken a step, so that nothing warns."""
    name, options = OPTIMIZERS[kind]
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1)).to("numpy")
    groups = [{"params": list(net[0].parameters())}, {"params": list(net[1].parameters()), "lr": 0.05}]
    opt = getattr(optim, name)(groups, **options)
    opt.step({p.name: np.zeros(p.shape, "float32") for p in net.parameters()})
    return opt


def theirs(torch, kind: str = "SGD"):
    name, options = OPTIMIZERS[kind]
    a, b = (torch.nn.Parameter(torch.zeros(2)) for _ in range(2))
    return getattr(torch.optim, name)([{"params": [a]}, {"params": [b], "lr": 0.05}], **options)


def their_step(opt, schedule, *args):
    opt.step()
    schedule.step(*args)


def assert_same_groups(mine, other):
    for group, expected in zip(mine.param_groups, other.param_groups, strict=True):
        for name in (
            "lr",
            "momentum",
            "betas",
            "initial_lr",
            "max_lr",
            "min_lr",
            "max_momentum",
            "base_momentum",
        ):
            assert (name in group) == (name in expected), name
            if name in expected:
                assert np.all(np.equal(group[name], expected[name])), (name, group[name], expected[name])


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_rates_are_torchs(torch, make, kind):
    mine, other = ours(kind), theirs(torch, kind)
    schedule, expected = make(lr_scheduler, mine), make(torch.optim.lr_scheduler, other)
    for _ in range(EPOCHS):
        assert schedule.get_last_lr() == expected.get_last_lr()
        assert schedule.get_last_lr() == [group["lr"] for group in mine.param_groups]
        assert schedule.last_epoch == expected.last_epoch
        assert_same_groups(mine, other)
        schedule.step()
        their_step(other, expected)


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_resumes_from_its_state(make):
    """From plain data, JSON even; the optimiser's own state brings the present rates."""
    straight, first, second = ours(), ours(), ours()
    expected, half, resumed = (make(lr_scheduler, opt) for opt in (straight, first, second))
    for _ in range(33):
        expected.step()
        half.step()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(json.loads(json.dumps(half.state_dict())))
    for _ in range(33, EPOCHS):
        expected.step()
        resumed.step()
        assert resumed.get_last_lr() == expected.get_last_lr()
        assert resumed.last_epoch == expected.last_epoch
        assert_same_groups(second, straight)


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_states_go_to_torch_and_back(torch, make):
    mine, other = ours(), theirs(torch)
    schedule, expected = make(lr_scheduler, mine), make(torch.optim.lr_scheduler, other)
    for _ in range(25):
        schedule.step()
        their_step(other, expected)
    new_mine, new_other = ours(), theirs(torch)
    new_schedule, new_expected = make(lr_scheduler, new_mine), make(torch.optim.lr_scheduler, new_other)
    for target, source in ((new_mine, other), (new_other, mine)):
        for group, loaded in zip(target.param_groups, source.param_groups, strict=True):
            group.update({k: v for k, v in loaded.items() if k != "params"})
    new_schedule.load_state_dict(expected.state_dict())
    new_expected.load_state_dict(schedule.state_dict())
    for _ in range(25, 60):
        schedule.step()
        new_schedule.step()
        their_step(new_other, new_expected)
        assert schedule.get_last_lr() == new_schedule.get_last_lr() == new_expected.get_last_lr()


@pytest.mark.parametrize(
    "make",
    [
        lambda m, o, e: m.StepLR(o, 10, last_epoch=e),
        lambda m, o, e: m.CosineAnnealingLR(o, 13, last_epoch=e),
        lambda m, o, e: m.LinearLR(o, total_iters=40, last_epoch=e),
        lambda m, o, e: m.ExponentialLR(o, 0.9, last_epoch=e),
        lambda m, o, e: m.OneCycleLR(o, 0.5, total_steps=EPOCHS, last_epoch=e),
    ],
    ids=["step", "cosine", "linear", "exponential", "cycle"],
)
def test_last_epoch_goes_on(torch, make):
    mine, other = ours(), theirs(torch)
    with pytest.raises(um.ArgumentError, match="initial_lr"):
        make(lr_scheduler, mine, 5)
    for opt, module in ((mine, lr_scheduler), (other, torch.optim.lr_scheduler)):
        schedule = make(module, opt, -1)
        opt.step() if opt is other else None
        for _ in range(21):
            schedule.step()
    schedule, expected = make(lr_scheduler, mine, 20), make(torch.optim.lr_scheduler, other, 20)
    for _ in range(30):
        assert schedule.get_last_lr() == expected.get_last_lr()
        schedule.step()
        their_step(other, expected)


def test_restarts_can_be_sought(torch):
    for mult in (1, 2):
        mine, other = ours(), theirs(torch)
        schedule = lr_scheduler.CosineAnnealingWarmRestarts(mine, 5, mult)
        expected = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(other, 5, mult)
        for epoch in (0.5, 3, 5, 7.25, 14.9, 15, 34, 35.5, 2, None, None):
            schedule.step(epoch)
            expected.step(epoch)
            assert schedule.get_last_lr() == expected.get_last_lr()
            assert (schedule.T_cur, schedule.T_i, schedule.last_epoch) == (
                expected.T_cur,
                expected.T_i,
                expected.last_epoch,
            )


PLATEAUS = [
    {},
    {"factor": 0.5, "patience": 2, "cooldown": 3},
    {"mode": "max", "patience": 0, "threshold": 0.05},
    {"threshold_mode": "abs", "threshold": 0.1, "patience": 1, "min_lr": [0.05, 0.001]},
    {"mode": "max", "threshold_mode": "abs", "patience": 3, "factor": 0.3, "eps": 0.01},
]


@pytest.mark.parametrize("options", PLATEAUS)
def test_plateau_is_torchs(torch, options):
    mine, other, resumed = ours(), theirs(torch), ours()
    schedule = lr_scheduler.ReduceLROnPlateau(mine, **options)
    expected = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    later = None
    metrics = np.abs(np.random.default_rng(2).normal(size=80)) + np.linspace(1, 0, 80) ** 3
    metrics[40] = math.nan
    for epoch, metric in enumerate(metrics):
        if epoch == 30:
            resumed.load_state_dict(mine.state_dict())
            later = lr_scheduler.ReduceLROnPlateau(resumed)
            later.load_state_dict(expected.state_dict())
        schedule.step(float(metric))
        expected.step(float(metric))
        assert schedule.get_last_lr() == expected.get_last_lr()
        assert schedule.state_dict() == expected.state_dict()
        if later is not None:
            later.step(np.float64(metric))
            assert later.get_last_lr() == schedule.get_last_lr()


def test_plateau_takes_a_native_loss(adapter):
    schedule = lr_scheduler.ReduceLROnPlateau(ours(), patience=0, factor=0.5)
    for _ in range(2):
        schedule.step(adapter.from_numpy(np.array(1.5), "float32", "cpu"))
    assert schedule.get_last_lr() == [0.15, 0.025] and schedule.best == 1.5


@pytest.mark.parametrize("name", [name for name in lr_scheduler.__all__ if name != "LRScheduler"])
def test_signatures_are_torchs(torch, name):
    ours, theirs = (
        {k: p.default for k, p in inspect.signature(getattr(m, name)).parameters.items()}
        for m in (lr_scheduler, torch.optim.lr_scheduler)
    )
    assert list(ours) == list(theirs) and ours == theirs


def test_two_schedules_multiply(torch):
    mine, other = ours(), theirs(torch)
    pairs = [
        (m.ExponentialLR(o, 0.9), m.StepLR(o, 5))
        for m, o in ((lr_scheduler, mine), (torch.optim.lr_scheduler, other))
    ]
    other.step()
    for _ in range(60):
        for schedules in pairs:
            for schedule in schedules:
                schedule.step()
        assert_same_groups(mine, other)


def test_a_constant_factor_of_zero_ends():
    """PyTorch divides by zero in the end."""
    schedule = lr_scheduler.ConstantLR(ours(), factor=0.0, total_iters=2)
    rates = [schedule.get_last_lr()]
    for _ in range(3):
        schedule.step()
        rates.append(schedule.get_last_lr())
    assert rates == [[0.0, 0.0], [0.0, 0.0], [0.3, 0.05], [0.3, 0.05]]


def test_stepping_before_the_optimiser_warns():
    net = nn.Linear(2, 1).to("numpy")
    schedule = lr_scheduler.StepLR(optim.SGD(net.parameters()), 3)
    with pytest.warns(UserWarning, match="before the optimiser"):
        schedule.step()


def test_bad_arguments():
    opt = ours()
    lion = optim.Adagrad(nn.Linear(2, 1).parameters())
    m = lr_scheduler
    for make in (
        lambda: m.StepLR(None, 3),
        lambda: m.StepLR(opt, 0),
        lambda: m.ConstantLR(opt, 1.5),
        lambda: m.LinearLR(opt, 0.0),
        lambda: m.LinearLR(opt, end_factor=1.2),
        lambda: m.LinearLR(opt, total_iters=0),
        lambda: m.PolynomialLR(opt, 0),
        lambda: m.CosineAnnealingLR(opt, 0),
        lambda: m.CosineAnnealingWarmRestarts(opt, 0),
        lambda: m.CosineAnnealingWarmRestarts(opt, 5, T_mult=1.5),
        lambda: m.CosineAnnealingWarmRestarts(opt, 5).step(-1),
        lambda: m.OneCycleLR(opt, 0.1),
        lambda: m.OneCycleLR(opt, 0.1, total_steps=0),
        lambda: m.OneCycleLR(opt, 0.1, epochs=3),
        lambda: m.OneCycleLR(opt, 0.1, 10, pct_start=1.5),
        lambda: m.OneCycleLR(opt, 0.1, 10, anneal_strategy="sine"),
        lambda: m.OneCycleLR(opt, [0.1], 10),
        lambda: m.OneCycleLR(lion, 0.1, 10),
        lambda: m.LambdaLR(opt, [abs]),
        lambda: m.SequentialLR(opt, [], []),
        lambda: m.SequentialLR(opt, [m.StepLR(opt, 3)], [2]),
        lambda: m.SequentialLR(opt, [m.StepLR(ours(), 3)], []),
        lambda: m.SequentialLR(opt, [m.ReduceLROnPlateau(opt)], []),
        lambda: m.ReduceLROnPlateau(opt, "lower"),
        lambda: m.ReduceLROnPlateau(opt, threshold_mode="percent"),
        lambda: m.ReduceLROnPlateau(opt, factor=1.0),
        lambda: m.ReduceLROnPlateau(opt, min_lr=[0.1]),
    ):
        with pytest.raises(um.ArgumentError):
            make()
    cycle = m.OneCycleLR(opt, 0.1, total_steps=3)
    for _ in range(3):
        cycle.step()
    with pytest.raises(um.ArgumentError, match="3 steps"):
        cycle.step()


def test_a_state_that_does_not_fit_is_refused():
    opt = ours()
    m = lr_scheduler
    sequence = m.SequentialLR(opt, [m.StepLR(opt, 3), m.StepLR(opt, 4)], [5])
    good = sequence.state_dict()
    plateau = m.ReduceLROnPlateau(opt)
    for schedule, bad in (
        (m.StepLR(opt, 3), {}),
        (m.StepLR(opt, 3), m.ExponentialLR(opt, 0.9).state_dict()),
        (m.LambdaLR(opt, float), {**m.LambdaLR(opt, float).state_dict(), "lr_lambdas": []}),
        (sequence, {**good, "_schedulers": good["_schedulers"][:1]}),
        (sequence, {**good, "last_epoch": 7, "_schedulers": [good["_schedulers"][0], {}]}),
        (plateau, {**plateau.state_dict(), "mode": "lower"}),
    ):
        before = schedule.state_dict()
        with pytest.raises(um.StateDictError):
            schedule.load_state_dict(bad)
        assert schedule.state_dict() == before
