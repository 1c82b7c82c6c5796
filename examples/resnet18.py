"""ResNet-18: four stages of residual blocks with batch norm.

    unimodule compare examples/resnet18.py:small --input 4,3,64,64 --train

``small`` has an eighth of the channels, for a comparison in a minute on two cores; ``ResNet18`` is the original.

Source: He et al., 2015, https://arxiv.org/abs/1512.03385
"""

from __future__ import annotations

from unimodule import Tensor, nn, ops


class Block(nn.Module):
    """Two convolutions and a shortcut: (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = ops.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return ops.relu(y + self.shortcut(x))


class ResNet18(nn.Module):
    """Images (N, 3, H, W) to scores (N, classes).

    Args:
        width: channels of the first stage; each later stage has twice as many as the one before.
        classes: how many scores.
    """

    def __init__(self, width: int = 64, classes: int = 1000) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.Sequential()
        inputs = width
        for stage in range(4):
            outputs, stride = width << stage, 1 if stage == 0 else 2
            self.stages.append(nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1)))
            inputs = outputs
        self.head = nn.Linear(inputs, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stages(self.stem(images))
        return self.head(ops.mean(x, axis=(2, 3)))


def small() -> ResNet18:
    """ResNet-18 with 8 channels in its first stage, and ten classes."""
    return ResNet18(width=8, classes=10)
