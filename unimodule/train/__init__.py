"""Training: a step of forward, loss, backward and update as one native program; and the Trainer around it."""

from . import metrics
from .callbacks import Callback, EarlyStopping, LRSchedule
from .checkpoint import Checkpoint, load_net
from .loss_scale import LossScale
from .metrics import Metric
from .step import TrainStep, train_step
from .trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "LRSchedule",
    "LossScale",
    "Metric",
    "TrainStep",
    "Trainer",
    "load_net",
    "metrics",
    "train_step",
]
