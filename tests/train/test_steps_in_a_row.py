"""Steps that follow each other take a shorter way through Python: what it must not miss, and what it must not keep."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

from .cases import OPTIMIZERS, Counted, assert_close, batches, everything, make_step, mlp, number, plain_step

STEPS = 90  # more than one table of numbers has
DATA = batches(6)


def wide(backend: str) -> Counted:
    """Small and large parameters, of which a scalar."""
    net = nn.Sequential(nn.Linear(5, 300, bias=False), nn.Tanh(), nn.PReLU(), nn.Linear(300, 3))
    return Counted(net).initialize(seed=1).to(backend)


def pair(backend, make=OPTIMIZERS["Adam"], net=wide):
    """Two nets of the same weights, each with an optimiser and its state as a function."""
    nets = [net(backend) for _ in range(2)]
    optimizers = [make(n.parameters()) for n in nets]
    return [(n, o, lambda n=n, o=o: everything(n, o)) for n, o in zip(nets, optimizers, strict=True)]


@pytest.mark.parametrize(
    "make",
    [
        *OPTIMIZERS.values(),
        lambda p: optim.SGD(p, lr=0.05),
        lambda p: optim.RAdam(p, lr=0.01),
        lambda p: optim.NAdam(p, lr=0.01),
    ],
    ids=[*OPTIMIZERS, "SGD without state", "RAdam", "NAdam"],
)
def test_many_steps_equal_the_loop_by_hand(backend, make):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend, make)
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for i in range(STEPS):
        if i in (20, 21, 70):
            for each in (opt, twin_opt):
                each.param_groups[0]["lr"] *= 0.5
        x, y = DATA[i % 6]
        np.testing.assert_allclose(number(step(x, y)), number(by_hand(x, y)), rtol=1e-3, atol=1e-5)
        if i in (8, 40):  # reading it does not disturb the steps
            assert_close(state(), expected(), atol=1e-4, rtol=1e-3)
    assert_close(state(), expected(), atol=2e-4, rtol=1e-3)


def test_a_schedule_that_sets_a_rate_for_each_step(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend)
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    schedules = [optim.lr_scheduler.ExponentialLR(o, gamma=0.8) for o in (opt, twin_opt)]
    for i in range(14):
        step(*DATA[i % 6])
        by_hand(*DATA[i % 6])
        for schedule in schedules:
            schedule.step()
    assert_close(state(), expected(), atol=2e-5, rtol=2e-4)


def test_a_state_taken_in_between_goes_on_to_the_very_same(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend)
    step, other = make_step(net, opt), make_step(twin, twin_opt)
    for i in range(37):
        step(*DATA[i % 6])
    saved = {name: um.to_numpy(value).copy() for name, value in net.state_dict().items()}
    saved_opt = opt.state_dict()
    for i in range(12):  # elsewhere in its table
        other(*DATA[i % 6])
    twin.load_state_dict(saved)
    twin_opt.load_state_dict(saved_opt)
    for i in range(37, 37 + STEPS):
        step(*DATA[i % 6])
        other(*DATA[i % 6])
    assert_close(state(), expected(), atol=0, rtol=0)


def test_what_happens_between_two_steps_is_seen(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend)
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    eager = plain_step(net, opt)

    def between(i, net, opt):
        if i == 12:
            net.net[0].weight = ops.multiply(net.net[0].weight, 0.5)
        elif i == 14:
            next(iter(net.parameters())).data = np.full((300, 5), 0.01, "float32")
        elif i == 16:
            opt.param_groups[0]["betas"] = [0.8, 0.99]
        elif i == 17:
            opt.param_groups[0]["betas"][0] = 0.7  # a list can change in place
        elif i == 18:
            opt.param_groups[0]["weight_decay"] = 0.01  # another rule
        elif i == 20:
            opt.param_groups[0] = {**opt.param_groups[0]}  # another group of the same content
        elif i == 21:
            opt.param_groups[0]["lr"] = 0.002
        elif i == 23:
            net.net[3].requires_grad_(False)
        elif i == 25:
            net.net[3].requires_grad_(True)
        elif i == 27:
            net.anything = i  # may be part of the forward

    for i in range(34):
        between(i, net, opt)
        between(i, twin, twin_opt)
        x, y = DATA[i % 6]
        if i % 10 == 9:
            x, y = x[:4], y[:4]
        loss = (eager if i == 30 else step)(x, y)
        np.testing.assert_allclose(number(loss), number(by_hand(x, y)), rtol=1e-4, err_msg=f"step {i}")
    assert_close(state(), expected(), atol=5e-5, rtol=5e-4)


def test_two_steps_share_an_optimiser(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend)
    first, second, by_hand = make_step(net, opt), make_step(net, opt), plain_step(twin, twin_opt)
    for i in range(24):
        (first if i // 2 % 2 else second)(*DATA[i % 6])
        by_hand(*DATA[i % 6])
    assert_close(state(), expected(), atol=2e-5, rtol=2e-4)


def test_groups_of_their_own_options(backend):
    def make(parameters):
        first, *rest = parameters
        return optim.AdamW([{"params": [first], "lr": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=0.005)

    (net, opt, state), (twin, twin_opt, expected) = pair(backend, make)
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for i in range(30):
        if i == 15:
            opt.param_groups[1]["lr"] = twin_opt.param_groups[1]["lr"] = 0.001
        step(*DATA[i % 6])
        by_hand(*DATA[i % 6])
    assert_close(state(), expected(), atol=2e-5, rtol=2e-4)


def test_a_step_that_raises_in_between_is_not_counted(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend)
    step, other = make_step(net, opt), make_step(twin, twin_opt)
    for i in range(12):
        if i in (5, 10):
            before = state()
            with pytest.raises(Exception, match=r"."):
                step(np.ones((6, 4), "float32"), DATA[0][1])
            assert_close(state(), before, atol=0, rtol=0)
        step(*DATA[i % 6])
        other(*DATA[i % 6])
    assert_close(state(), expected(), atol=0, rtol=0)


@pytest.mark.parametrize("donate", [False, True])
def test_nothing_is_held_twice(donate):
    jax = pytest.importorskip("jax")

    def count():
        gc.collect()
        return sum(a.size == 1500 for a in jax.live_arrays())

    others = count()
    net = wide("jax")
    opt = OPTIMIZERS["Adam"](net.parameters())
    step = um.train_step(net, nn.CrossEntropyLoss(), opt, donate=donate)
    x, y = (ops.asarray(a, backend="jax") for a in DATA[0])
    sizes = []
    for i in range(STEPS):
        step(x, y)
        if i in (3, 30, 80):
            sizes.append(count() - others)
        if i == 29:
            opt.state_dict()
    assert sizes == [3, 3, 3]  # the weight of the first layer and its two slots


def test_the_numbers_of_a_failing_future_do_not_fail_now(backend):
    class Limited(optim.SGD):
        def numbers(self, options, scalars, fresh):
            if scalars["step"] > 20:
                raise ZeroDivisionError("step 21")
            return super().numbers(options, scalars, fresh)

    net = wide(backend)
    step = make_step(net, Limited(net.parameters(), lr=0.01))
    for i in range(20):
        step(*DATA[i % 6])
    with pytest.raises(ZeroDivisionError, match="step 21"):
        step(*DATA[0])


def test_batchnorm_statistics_follow(backend):
    (net, opt, state), (twin, twin_opt, expected) = pair(backend, net=mlp)
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for i in range(12):
        if i == 8:
            net.eval()
            twin.eval()
        step(*DATA[i % 6])
        by_hand(*DATA[i % 6])
    assert_close(state(), expected(), atol=2e-5, rtol=2e-4)
