"""The shaken reference: noise of the right size, forward and backward, and no trace of it elsewhere."""

from __future__ import annotations

import numpy as np

import unimodule as um
from unimodule import nn, ops, registry
from unimodule.comparison.measure import FORWARD, GRADIENT, Case, Key, Runner, measure
from unimodule.comparison.shaking import shaken

UNIT = 2.0**-24
X = np.random.default_rng(1).normal(size=(3, 4))


class Expression(nn.Module):
    """Uses the operators that all frameworks share, methods beside them, and values in Python."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.linspace(-1, 1, 16).reshape(4, 4))

    def forward(self, x):
        y = 2 - (x @ self.weight + 1) / 2 * abs(-x) ** 2
        if float(ops.sum(y)) > 0 or bool(ops.all(y < 0)):
            y = np.ones(4) * y[0, :] + y.reshape((12,))[:4]
        return y, y.shape


def moved(net: nn.Module, phase: str, x=X, draws: int = 4) -> dict[Key, float]:
    oracle = net.clone().to("numpy", dtype="float64")
    case = Case((x,))
    base = measure(Runner(oracle.clone(), case), phase)
    found = dict.fromkeys(base, 0.0)
    for draw in range(draws):
        with shaken(oracle, case, UNIT, np.random.default_rng(draw)) as noisy:
            values = measure(Runner(*noisy), phase)
        assert values.keys() == base.keys()
        for key, value in values.items():
            assert value.shape == base[key].shape and value.dtype == base[key].dtype
            found[key] = max(found[key], float(np.abs(value - base[key]).max()))
    return found


def test_noise_has_the_size_of_a_rounding_unit() -> None:
    for phase in (FORWARD, GRADIENT):
        for key, distance in moved(Expression(), phase).items():
            exact = key.name in ("[1][0]",)  # a shape
            assert (distance == 0) is exact and distance < 1000 * UNIT, key


def test_what_does_not_round_has_the_noise_of_its_inputs_alone() -> None:
    class Moves(nn.Module):
        def forward(self, x):
            return ops.concat([ops.flip(x, axis=0), ops.permute_dims(x, (0, 1))], axis=1)

    (distance,) = moved(Moves(), FORWARD).values()
    assert UNIT < distance <= UNIT * np.abs(X).max() * 1.001


def test_derivatives_that_cancel_exactly_move() -> None:
    (distance,) = moved(nn.Softmax(-1), GRADIENT, X * 1000).values()
    assert distance > UNIT / 4


def test_a_saturated_slope_is_as_exact_as_the_output() -> None:
    """1 - tanh(12)**2 is 1.5e-10, which a kernel that squares the output has to 6e-8 only."""
    for net in (nn.Tanh(), nn.Sigmoid()):
        (distance,) = moved(net, GRADIENT, np.full((4, 4), 12.0)).values()
        assert UNIT / 100 < distance < 10 * UNIT
        (value,) = moved(net, FORWARD, np.full((4, 4), 12.0)).values()
        assert value < 2 * UNIT


def test_infinities_stay() -> None:
    class Masked(nn.Module):
        def forward(self, x):
            return ops.softmax(x + np.array([0.0, -np.inf, 0.0, -np.inf]), axis=-1)

    for phase in (FORWARD, GRADIENT):
        for distance in moved(Masked(), phase).values():
            assert np.isfinite(distance)


def test_the_shaken_backend_is_in_no_list() -> None:
    names = list(registry.infos())
    moved(nn.Tanh(), FORWARD)
    assert list(registry.infos()) == names
    assert [b.name for b in um.backends()] == names


def test_equal_numbers_stay_equal_where_they_are_to() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Tanh()).to("numpy", dtype="float64")
    x = np.repeat(np.random.default_rng(0).normal(size=(20, 1)), 3, axis=0)
    base = measure(Runner(net.clone(), Case((x,))), FORWARD)
    with shaken(net, Case((x,)), UNIT, np.random.default_rng(0), tied=True) as (noisy, case):
        np.testing.assert_array_equal(case.inputs[0], x)
        found = measure(Runner(noisy, case), FORWARD)
    for key, value in found.items():
        threes = value.reshape(20, 3)
        np.testing.assert_allclose(threes, threes[:, :1].repeat(3, axis=1), rtol=1e-13)
        off = np.abs(value - base[key])
        assert (off > 0).mean() > 0.9 and off.max() < 10 * UNIT
