"""Two classifiers of handwritten digits, written once, and the data to train them on.

The data are scikit-learn's bundled digits: 1,797 real images of 8 x 8 pixels, split by a fixed seed so that every class has
its share of the test set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from unimodule import Tensor, nn, ops

BATCH = 64


class MLP(nn.Module):
    """Two layers: 64 pixels, 256 hidden units, 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.LazyLinear(256)
        self.out = nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        x = ops.flatten(x, 1)
        return self.out(ops.relu(self.hidden(x)))


class LeNet(nn.Sequential):
    """LeNet's plan at 8 x 8 pixels: convolutions, average pooling between, dense layers on top.

    Smooth all through, as the original was. With ReLU and max pooling a rounding error can tip an input over a kink, after
    which two runs part for good, on one framework as well as between two.
    """

    def __init__(self) -> None:
        super().__init__(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.GELU(),
            nn.AvgPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.GELU(),
            nn.Flatten(),
            nn.LazyLinear(64),
            nn.GELU(),
            nn.LazyLinear(10),
        )


class Split(NamedTuple):
    """Images (N, 1, 8, 8), float32, and labels (N,), int64."""

    images: np.ndarray
    labels: np.ndarray


def load() -> tuple[Split, Split]:
    """The training and the test set, four to one, each class in proportion; pixels of mean 0 and deviation 1."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    train_x, test_x, train_y, test_y = train_test_split(
        data.images[:, None], data.target.astype("int64"), test_size=0.2, stratify=data.target, random_state=1
    )
    mean, deviation = train_x.mean(), train_x.std()
    train_x, test_x = (((x - mean) / deviation).astype("float32") for x in (train_x, test_x))
    return Split(train_x, train_y), Split(test_x, test_y)


def batches(data: Split, epochs: int, seed: int = 0) -> Iterator[Split]:
    """Full batches in an order that the seed fixes, epoch after epoch."""
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(data.images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield Split(data.images[chosen], data.labels[chosen])
