"""Products of tensors (array API 2023.12; ``outer`` besides)."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes, ops
from ..backend import Tensor
from ..errors import ShapeError
from ._arguments import broadcast_shapes, many_axes, one_axis, shape_of
from ._dispatch import binary, checks, expect_tensor, gather, required

NUMERIC = dtypes.INTEGER + dtypes.FLOATING


@binary(only=NUMERIC)
@required
def matmul(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Matrix product; what ``@`` does.

    Args:
        x1: (..., M, K) or (K,).
        x2: (..., K, N) or (K,). Leading axes broadcast; a vector stands for a row on the left, a column on the right.

    Returns:
        (..., M, N), without the axis that a vector lacks.

    Raises:
        ShapeError: K differs, leading axes do not broadcast, or an operand is a scalar.

    Source: https://data-apis.org/array-api/2023.12/API_specification/generated/array_api.matmul.html

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.matmul(np.ones((5, 2, 3)), np.ones((3, 4))).shape
        (5, 2, 4)
    """


@checks("matmul")
def check_matmul(x1: Tensor, x2: Tensor, /) -> None:
    """Raise unless the shapes of a call of ``matmul`` fit.

    Raises:
        ShapeError: saying why they do not.
    """
    a, b = (tuple(getattr(x, "shape", ())) for x in (x1, x2))
    if not a or not b:
        raise ShapeError(f"ops.matmul expected matrices or vectors, got shapes {a} and {b}")
    if a[-1] != b[-2 if len(b) > 1 else -1]:
        raise ShapeError(
            f"ops.matmul got shapes {a} and {b}: {a[-1]} columns do not meet {b[-2 if len(b) > 1 else -1]} rows"
        )
    broadcast_shapes("matmul", a[:-2], b[:-2])


def matrix_transpose(x: Tensor, /) -> Tensor:
    """``x`` with its last two axes exchanged.

    Raises:
        ShapeError: it has fewer than two.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.matrix_transpose(np.ones((5, 2, 3))).shape
        (5, 3, 2)
    """
    expect_tensor("matrix_transpose", x)
    if (rank := len(shape_of(x))) < 2:
        raise ShapeError(f"ops.matrix_transpose expected at least two axes, got shape {shape_of(x)}")
    return ops.permute_dims(x, (*range(rank - 2), rank - 1, rank - 2))


def vecdot(x1: Tensor, x2: Tensor, /, *, axis: int = -1) -> Tensor:
    """Sum of products along an axis; the others broadcast.

    Args:
        x1, x2: numeric, of one size along ``axis``.
        axis: counted from the end (negative), as in the standard.

    Raises:
        ShapeError: the sizes differ, or there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.vecdot(np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones(2)).tolist()
        [3.0, 7.0]
    """
    backend, (x1, x2) = gather("vecdot", x1, x2)
    a, b = shape_of(x1), shape_of(x2)
    i, j = one_axis("vecdot", axis, len(a)), one_axis("vecdot", axis, len(b))
    if a[i] != b[j]:
        raise ShapeError(f"ops.vecdot got sizes {a[i]} and {b[j]} along axis {axis}")
    x1, x2 = ops.moveaxis(x1, i, -1), ops.moveaxis(x2, j, -1)
    products = ops.multiply(x1, x2)
    return ops.sum(products, axis=-1, dtype=backend.dtype(products))


def outer(x1: Tensor, x2: Tensor, /) -> Tensor:
    """Products of every element of a vector with every one of another: (M,) and (N,) give (M, N).

    Raises:
        ShapeError: one is not a vector.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.outer(np.array([1.0, 2.0]), np.array([3.0, 4.0])).tolist()
        [[3.0, 4.0], [6.0, 8.0]]
    """
    _, (x1, x2) = gather("outer", x1, x2)
    if len(shape_of(x1)) != 1 or len(shape_of(x2)) != 1:
        raise ShapeError(f"ops.outer expected two vectors, got shapes {shape_of(x1)} and {shape_of(x2)}")
    return ops.multiply(ops.expand_dims(x1, axis=1), ops.expand_dims(x2, axis=0))


def tensordot(x1: Tensor, x2: Tensor, /, *, axes: Any = 2) -> Tensor:
    """Sum of products over pairs of axes; the remaining axes of ``x1`` come first.

    Args:
        x1, x2: numeric.
        axes: how many last axes of ``x1`` meet first axes of ``x2``, or a pair of sequences naming them.

    Raises:
        ShapeError: there are no such axes, or their sizes differ.

    Example:
        >>> import numpy as np
        >>> tensordot(np.ones((2, 3)), np.ones((3, 4)), axes=1).shape
        (2, 4)
    """
    _, (x1, x2) = gather("tensordot", x1, x2)
    a, b = shape_of(x1), shape_of(x2)
    if isinstance(axes, int):
        if not 0 <= axes <= min(len(a), len(b)):
            raise ShapeError(f"ops.tensordot got axes={axes} for shapes {a} and {b}")
        left, right = tuple(range(len(a) - axes, len(a))), tuple(range(axes))
    else:
        left, right = (
            many_axes("tensordot", tuple(s), len(shape)) for s, shape in zip(axes, (a, b), strict=True)
        )
    if [a[i] for i in left] != [b[j] for j in right]:
        raise ShapeError(f"ops.tensordot got sizes that differ: axes {left} of {a} and {right} of {b}")
    rows = [i for i in range(len(a)) if i not in left]
    columns = [j for j in range(len(b)) if j not in right]
    inner = math.prod([a[i] for i in left])
    first = ops.reshape(ops.permute_dims(x1, (*rows, *left)), (math.prod([a[i] for i in rows]), inner))
    second = ops.reshape(
        ops.permute_dims(x2, (*right, *columns)), (inner, math.prod([b[j] for j in columns]))
    )
    return ops.reshape(ops.matmul(first, second), (*(a[i] for i in rows), *(b[j] for j in columns)))
