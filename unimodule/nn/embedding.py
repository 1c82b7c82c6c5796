"""Embedding tables."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from ..ops.embedding import expect_integers
from . import init
from ._layer import place
from .functional._arguments import integer
from .functional.embedding import lookup, row_index
from .module import Module
from .parameter import Initializer, Parameter


class Embedding(Module):
    """A table of vectors, looked up by integer.

    Args:
        num_embeddings: number of rows.
        embedding_dim: size of a row.
        padding_idx: a row that is zero at first and gets no gradient; counted from the end where negative.
        max_norm: rows that are looked up and longer than this are scaled to it. Unlike PyTorch's layer, this one returns
            them scaled but leaves the table as it is: only buffers change in a forward.
        norm_type: the exponent p of that norm.
        scale_grad_by_freq: divide the gradient of each row by the number of times that it is looked up in a batch.
        sparse: taken for PyTorch's sake; gradients are dense.
        _weight, _freeze: for ``from_pretrained``.
        device, dtype: where the layer is to be, and its float dtype.

    Attributes:
        weight: (num_embeddings, embedding_dim), drawn from N(0, 1).

    Shape:
        integers (...) -> (..., embedding_dim).

    Raises:
        ArgumentError: ``padding_idx`` is out of range.
        OutOfRangeError: an index is out of range (eager on CPU).
        DtypeError: the input is not of integers.

    Source: https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html

    Example:
        >>> import numpy as np
        >>> from unimodule import nn
        >>> nn.Embedding(10, 3, padding_idx=0).to("numpy")(np.asarray([[0, 4], [9, 0]]))[0, 0]
        array([0., 0., 0.], dtype=float32)
    """

    num_embeddings: int
    embedding_dim: int
    weight: Any

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.num_embeddings = integer("Embedding", "num_embeddings", num_embeddings, 0)
        self.embedding_dim = integer("Embedding", "embedding_dim", embedding_dim, 0)
        self.padding_idx = row_index("Embedding", padding_idx, self.num_embeddings)
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        shape = (self.num_embeddings, self.embedding_dim)
        if _weight is None:
            self.weight = Parameter(_rows(self.padding_idx), shape=shape, requires_grad=not _freeze)
        else:
            if tuple(_weight.shape) != shape:
                raise ShapeError(f"Embedding expected _weight {shape}, got {tuple(_weight.shape)}")
            self.weight = Parameter(_weight, requires_grad=not _freeze)
        self._lookup_only = self.padding_idx is None and max_norm is None and not scale_grad_by_freq
        place(self, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        expect_integers(input)
        assert self._backend is not None
        if self._lookup_only:
            self._backend.check_indices(input, self.num_embeddings)
            return ops.embedding(input, self.weight)
        return lookup(
            self._backend,
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
        )

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Any,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Self:
        """A layer that holds a given table (rows, features).

        Args:
            embeddings: an array, or a tensor of any backend; it is copied.
            freeze: whether the table is not to be trained.
            padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse: as for the class. The row ``padding_idx`` keeps
                its value.

        Raises:
            ArgumentError: ``embeddings`` has not two axes.

        Example:
            >>> import numpy as np
            >>> from unimodule import nn
            >>> nn.Embedding.from_pretrained(np.asarray([[1.0, 2.3], [4.0, 5.1]])).to("numpy")(np.asarray([1]))
            array([[4. , 5.1]], dtype=float32)
        """
        embeddings = np.asarray(embeddings) if isinstance(embeddings, list | tuple) else embeddings
        if len(embeddings.shape) != 2:
            raise ArgumentError(
                f"from_pretrained expected a table with two axes, got {tuple(embeddings.shape)}"
            )
        rows, columns = embeddings.shape
        return cls(
            rows,
            columns,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
            _weight=embeddings,
            _freeze=freeze,
        )

    def extra_repr(self) -> str:
        """The sizes, and the options that are not the defaults."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        if self.sparse:
            text += ", sparse=True"
        return text


def _rows(padding_idx: int | None) -> Initializer:
    """Rows from N(0, 1), the one at ``padding_idx`` zero."""

    def draw(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray[Any, Any]:
        rows = init.normal()(shape, rng)
        if padding_idx is not None:
            rows[padding_idx] = 0
        return rows

    return draw


__all__ = ["Embedding"]
