"""Which optimiser a case is trained with, and the gradients that it is given: drawn by the case's seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from unimodule import nn, optim

from .measuring import Array

Drawn = tuple[str, dict[str, Any]]

OPTIMISERS: tuple[Drawn, ...] = (
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.7, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.03}),
    ("Adam", {"lr": 0.03, "betas": (0.7, 0.9), "eps": 1e-2, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.03, "weight_decay": 0.2, "decoupled_weight_decay": True, "maximize": True}),
    ("AdamW", {"lr": 0.03, "betas": (0.8, 0.95), "weight_decay": 0.3}),
    ("AdamW", {"lr": 0.03, "weight_decay": 0.3, "amsgrad": True}),
    ("Adamax", {"lr": 0.03, "betas": (0.7, 0.9), "eps": 1e-3}),
    ("Adamax", {"lr": 0.03, "weight_decay": 0.2, "maximize": True}),
    ("NAdam", {"lr": 0.03, "betas": (0.7, 0.9), "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.03, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("RAdam", {"lr": 0.03, "betas": (0.8, 0.9), "eps": 1e-3}),
    ("RAdam", {"lr": 0.03, "weight_decay": 0.2, "decoupled_weight_decay": True}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.2, "eps": 1e-3}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "weight_decay": 0.2}),
    ("Adadelta", {"lr": 0.7, "rho": 0.8, "eps": 1e-2}),
    ("Adadelta", {"lr": 0.7, "weight_decay": 0.2, "maximize": True}),
    ("RMSprop", {"lr": 0.03, "alpha": 0.8, "eps": 1e-2}),
    ("RMSprop", {"lr": 0.03, "momentum": 0.6, "centered": True, "eps": 1e-1, "weight_decay": 0.2}),
    ("Lion", {"lr": 0.03, "betas": (0.8, 0.9), "weight_decay": 0.2}),
)
"""Every optimiser, with options that make its rule's terms tell: neither 0 nor 1, and no two alike."""

STEPS = 3


def drawn(seed: int) -> Drawn:
    """The optimiser of a case."""
    return OPTIMISERS[int(np.random.default_rng([seed, 1]).integers(len(OPTIMISERS)))]


def make(name: str, options: dict[str, Any], parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimiser, for the handles of a net."""
    made: optim.Optimizer = getattr(optim, name)(parameters, **options)
    return made


def gradients(net: nn.Module, seed: int, step: int) -> dict[str, Array]:
    """Gradients for the trainable parameters of a net, none near zero: where a rule divides by their magnitude, or takes
    their sign, rounding would decide the step.
    """
    found: dict[str, Array] = {}
    for index, (name, parameter) in enumerate(net.named_parameters()):
        if parameter.requires_grad:
            rng = np.random.default_rng([seed, step, index])
            shape = parameter.numpy().shape
            found[name] = (rng.choice([-1.0, 1.0], shape) * rng.uniform(0.2, 1.5, shape)).astype("float32")
    return found


__all__ = ["OPTIMISERS", "STEPS", "drawn", "gradients", "make"]
