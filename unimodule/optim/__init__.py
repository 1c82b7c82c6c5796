"""Optimisers with PyTorch's exact update rules, written once in neutral terms."""

from .adam import Adam
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer"]
