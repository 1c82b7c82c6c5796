"""A Vision Transformer: an image as a sequence of patches, a class token in front, Transformer blocks, one linear layer.

    unimodule compare examples/vit.py:ViT --input 2,3,32,32

Source: Dosovitskiy et al., 2020, https://arxiv.org/abs/2010.11929
"""

from __future__ import annotations

from unimodule import Tensor, init, nn, ops


class Block(nn.Module):
    """Attention and a two-layer net, each behind a layer norm and beside a shortcut: (N, L, width) to the same shape."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        attended, _ = self.attention(y, y, y, need_weights=False)
        x = x + attended
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Images (N, 3, size, size) to scores (N, classes).

    Args:
        size: height and width of the images, a multiple of ``patch``.
        patch: height and width of a patch.
        width: features of each patch.
        heads: attention heads.
        layers: how many blocks.
        classes: how many scores.
    """

    def __init__(
        self,
        size: int = 32,
        patch: int = 8,
        width: int = 64,
        heads: int = 4,
        layers: int = 6,
        classes: int = 10,
    ) -> None:
        super().__init__()
        patches = (size // patch) ** 2
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(init.normal(std=0.02), shape=(1, 1, width))
        self.places = nn.Parameter(init.normal(std=0.02), shape=(1, patches + 1, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = ops.flatten(self.patches(images), 2)
        x = ops.permute_dims(x, (0, 2, 1))
        n, _, width = tuple(x.shape)
        x = ops.concat([ops.broadcast_to(self.token, (n, 1, width)), x], axis=1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])
