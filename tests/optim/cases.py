"""The runs that every optimiser is judged by: a small net, fixed batches, sets of options, and the float64 reference."""

from __future__ import annotations

import contextlib
import functools

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

STEPS = 50
OPTIONS = {  # maximised gently: the loss has no maximum
    "SGD": [
        {"lr": 0.1},
        {"lr": 0.05, "momentum": 0.9},
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.02},
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
        {"lr": 0.002, "momentum": 0.5, "maximize": True},
    ],
    "Adam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.02, "amsgrad": True, "betas": (0.5, 0.6)},
        {"lr": 0.002, "maximize": True, "weight_decay": 0.1},
    ],
    "AdamW": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.5, "amsgrad": True},
        {"lr": 0.002, "maximize": True, "weight_decay": 0.0},
    ],
    "Adagrad": [
        {"lr": 0.05},
        {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.3, "eps": 1e-3},
        {"lr": 0.002, "maximize": True},
    ],
    "RMSprop": [
        {"lr": 0.01},
        {"lr": 0.01, "alpha": 0.8, "momentum": 0.7, "weight_decay": 0.05, "eps": 1e-3},
        {"lr": 0.005, "centered": True, "eps": 1e-2},
        {"lr": 0.001, "centered": True, "momentum": 0.5, "maximize": True, "eps": 1e-2},
    ],
    "Adadelta": [
        {},
        {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.1, "maximize": True},
    ],
    "Adamax": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05},
        {"lr": 0.002, "maximize": True},
    ],
    "NAdam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.95), "momentum_decay": 0.1, "weight_decay": 0.05},
        {"lr": 0.02, "weight_decay": 0.5, "decoupled_weight_decay": True, "eps": 1e-3},
        {"lr": 0.002, "maximize": True},
    ],
    "RAdam": [
        {"lr": 0.02},
        {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.05, "eps": 1e-3},
        {
            "lr": 0.02,
            "betas": (0.9, 0.5),
            "weight_decay": 0.5,
            "decoupled_weight_decay": True,
        },  # never adaptive
        {"lr": 0.002, "maximize": True},
    ],
    "Lion": [
        {"lr": 0.01},
        {"lr": 0.01, "betas": (0.5, 0.8), "weight_decay": 0.5},
        {"lr": 0.001, "maximize": True},
    ],
}
CASES = [
    pytest.param(name, o, id=f"{name}-{i}") for name, sets in OPTIONS.items() for i, o in enumerate(sets)
]
FEW = [
    pytest.param(name, o, id=f"{name}-{i}") for name, sets in OPTIONS.items() for i, o in enumerate(sets[:2])
]


INTRICATE = {  # what a compiled step has most to get right in: slots that depend on each other, switches, counted steps
    "SGD": {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    "Adam": {"lr": 0.02, "amsgrad": True, "betas": (0.5, 0.6), "eps": 1e-3, "weight_decay": 0.05},
    "AdamW": {"lr": 0.02, "amsgrad": True, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.5},
    "Adagrad": {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.05, "initial_accumulator_value": 0.3},
    "RMSprop": {"lr": 0.01, "centered": True, "momentum": 0.7, "weight_decay": 0.05, "eps": 1e-2},
    "Adadelta": {"lr": 0.5, "rho": 0.7, "eps": 1e-3, "weight_decay": 0.05},
    "Adamax": {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.05},
    "NAdam": {"lr": 0.02, "momentum_decay": 0.1, "weight_decay": 0.5, "decoupled_weight_decay": True},
    "RAdam": {"lr": 0.02, "betas": (0.8, 0.95), "weight_decay": 0.5, "decoupled_weight_decay": True},
    "Lion": {"lr": 0.01, "betas": (0.5, 0.8), "weight_decay": 0.5},
}


def make_net(backend: str, activation=ops.tanh) -> nn.Module:
    net = nn.Sequential(nn.Linear(5, 7), activation, nn.Linear(7, 3))
    return net.initialize(seed=3).to(backend)


@functools.cache
def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        (rng.normal(size=(4, 5)).astype("float32"), rng.normal(size=(4, 3)).astype("float32"))
        for _ in range(STEPS)
    ]


def loss_fn(net, x, y):
    return nn.functional.mse_loss(net(x), y)


def gradients(net, batch: int = 0):
    """The gradients of one batch, in the net's own dtype."""
    x, y = batches()[batch]
    return um.value_and_grad(loss_fn)(net, x, y)[1]


def make_optimizer(name: str, net: nn.Module, options: dict) -> optim.Optimizer:
    return getattr(optim, name)(net.parameters(), **options)


class ReferenceLion:
    """Lion in float64, line by line from algorithm 2 of Chen et al. 2023, on tensors with ``.grad``."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
        self.params = list(params)
        self.m = [np.zeros(tuple(p.shape)) for p in self.params]
        self.param_groups = [{"lr": lr}]
        (self.beta1, self.beta2), self.decay, self.maximize = betas, weight_decay, maximize

    def zero_grad(self):
        for p in self.params:
            p.grad = None

    def step(self):
        for i, p in enumerate(self.params):
            g = p.grad.numpy().copy()
            if self.maximize:
                g = -g
            theta = p.detach().numpy()  # the parameter's own memory
            c = self.beta1 * self.m[i] + (1 - self.beta1) * g
            theta[...] = theta - self.param_groups[0]["lr"] * (np.sign(c) + self.decay * theta)
            self.m[i] = self.beta2 * self.m[i] + (1 - self.beta2) * g


def their_net(torch, net: nn.Module):
    """The same net with the same weights in torch.nn, in float64."""
    theirs = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)).double()
    theirs.load_state_dict({k: torch.tensor(um.to_numpy(v)).double() for k, v in net.state_dict().items()})
    return theirs


def their_optimizer(torch, name: str, theirs, options: dict):
    kind = ReferenceLion if name == "Lion" else getattr(torch.optim, name)
    return kind(theirs.parameters(), **options)


def their_steps(torch, theirs, opt, first: int, last: int, gamma: float = 1.0) -> None:
    """Steps on batches ``first`` to ``last``; the rate is multiplied by ``gamma`` after each."""
    for x, y in batches()[first:last]:
        opt.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(x).double()), torch.tensor(y).double()).backward()
        opt.step()
        opt.param_groups[0]["lr"] *= gamma


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="torch.optim is the oracle")


@contextlib.contextmanager
def double(torch):
    """PyTorch with float64 as its default, in which it then counts, too (NAdam's product of momenta)."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


REFERENCES: dict[str, dict[str, np.ndarray]] = {}


def reference(torch, name: str, options: dict, gamma: float = 1.0) -> dict[str, np.ndarray]:
    """The weights after the same run with torch.nn and torch.optim in float64, the rate falling by ``gamma``."""
    key = f"{name} {options} {gamma}"
    if key not in REFERENCES:
        theirs = their_net(torch, make_net("numpy"))
        with double(torch):
            their_steps(torch, theirs, their_optimizer(torch, name, theirs, options), 0, STEPS, gamma)
        REFERENCES[key] = {k: v.numpy() for k, v in theirs.state_dict().items()}
    return REFERENCES[key]
