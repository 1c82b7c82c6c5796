"""Learning-rate schedules: PyTorch's names, arguments and rates, step by step.

A schedule is plain arithmetic on the host. It changes ``lr`` (``OneCycleLR`` momentum and betas, too) in the optimiser's
``param_groups``, which compiled steps read anew each time.
"""

from .composite import LambdaLR, SequentialLR
from .cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from .one_cycle import OneCycleLR
from .plateau import ReduceLROnPlateau
from .scheduler import LRScheduler
from .stepwise import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
