"""Training: a step of forward, loss, backward and update as one native program."""

from .step import TrainStep, train_step

__all__ = ["TrainStep", "train_step"]
