"""LeNet-5: two convolutions with pooling, three dense layers, for images of 28 x 28 pixels.

    unimodule compare examples/lenet.py:LeNet --input 4,1,28,28

Source: LeCun et al., 1998, http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf
"""

from __future__ import annotations

from unimodule import Tensor, nn, ops


class LeNet(nn.Module):
    """Images (N, 1, 28, 28) to scores (N, classes). Smooth all through, as the original was."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.AvgPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.pool(ops.tanh(self.conv1(images)))
        x = self.pool(ops.tanh(self.conv2(x)))
        x = ops.tanh(self.fc1(ops.flatten(x, 1)))
        return self.fc3(ops.tanh(self.fc2(x)))
