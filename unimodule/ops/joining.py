"""Several tensors made one, and one made several (array API 2023.12; ``split`` besides)."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import accumulate, pairwise

from .. import ops
from ..backend import Tensor
from ..errors import ArgumentError, ShapeError
from ._arguments import join, one_axis, shape_of
from ._dispatch import call, declare, expect_tensor, gather, required


@required
def concat_(arrays: list[Tensor], *, axis: int = 0) -> Tensor:
    """The kernel of ``concat``."""


declare(concat_)


def concat(arrays: Sequence[Tensor], /, *, axis: int | None = 0) -> Tensor:
    """Tensors one behind the other along an axis that they have; dtypes are promoted.

    Args:
        arrays: of equal shape but for ``axis``.
        axis: None flattens all of them first.

    Raises:
        ShapeError: the shapes do not fit, or there is no such axis.

    Example:
        >>> import numpy as np
        >>> concat([np.ones(2), np.zeros(1)])
        array([1., 1., 0.])
    """
    if not len(arrays):
        raise ArgumentError("ops.concat got no tensors")
    backend, found = gather("concat", *arrays)
    if axis is None:
        found, axis = (
            [ops.reshape(x, (-1,)) if 0 not in shape_of(x) else ops.reshape(x, (0,)) for x in found],
            0,
        )
    shapes = [shape_of(x) for x in found]
    axis = one_axis("concat", axis, len(shapes[0]))
    rest = {(*s[:axis], *s[axis + 1 :]) if len(s) > axis else None for s in shapes}
    if len(rest) > 1 or len({len(s) for s in shapes}) > 1:
        raise ShapeError(f"ops.concat along axis {axis} got shapes that differ elsewhere: {join(shapes)}")
    return found[0] if len(found) == 1 else call(backend, "concat", found, axis=axis)


def stack(arrays: Sequence[Tensor], /, *, axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis; dtypes are promoted.

    Raises:
        ShapeError: the shapes differ, or the new axis is out of range.

    Example:
        >>> import numpy as np, unimodule as um
        >>> um.ops.stack([np.zeros(3), np.ones(3)], axis=1).shape
        (3, 2)
    """
    if not len(arrays):
        raise ArgumentError("ops.stack got no tensors")
    _, found = gather("stack", *arrays)
    shapes = [shape_of(x) for x in found]
    if len(set(shapes)) > 1:
        raise ShapeError(f"ops.stack got tensors of different shapes: {join(shapes)}")
    axis = one_axis("stack", axis, len(shapes[0]) + 1)
    return concat([ops.expand_dims(x, axis=axis) for x in found], axis=axis)


def unstack(x: Tensor, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The slices of ``x`` along an axis, which they lack.

    Raises:
        ShapeError: there is no such axis.

    Example:
        >>> import numpy as np, unimodule as um
        >>> [x.tolist() for x in um.ops.unstack(np.array([[1, 2], [3, 4]]))]
        [[1, 2], [3, 4]]
    """
    expect_tensor("unstack", x)
    shape = shape_of(x)
    i = one_axis("unstack", axis, len(shape))
    lead = (slice(None),) * i
    return tuple(ops.getitem(x, (*lead, k)) for k in range(shape[i]))


def split_(x: Tensor, sizes: tuple[int, ...], *, axis: int) -> Sequence[Tensor]:
    """The kernel of ``split``."""
    lead, ends = (slice(None),) * axis, list(accumulate(sizes, initial=0))
    return [ops.getitem(x, (*lead, slice(a, b))) for a, b in pairwise(ends)]


declare(split_)


def split(x: Tensor, sections: int | Sequence[int], /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """``x`` cut along an axis.

    Args:
        x: any tensor.
        sections: the number of equal parts, or the sizes of the parts.
        axis: along which.

    Raises:
        ShapeError: the parts do not make up the axis.

    Example:
        >>> import numpy as np
        >>> split(np.arange(5), (2, 3))
        (array([0, 1]), array([2, 3, 4]))
    """
    backend = expect_tensor("split", x)
    shape = shape_of(x)
    i = one_axis("split", axis, len(shape))
    if isinstance(sections, Sequence):
        parts = tuple(operator.index(n) for n in sections)
    else:
        count = operator.index(sections)
        if count < 1 or shape[i] % count:
            raise ShapeError(f"ops.split cannot cut axis {axis} of shape {shape} into {count} equal parts")
        parts = (shape[i] // count,) * count
    if sum(parts) != shape[i] or min(parts, default=0) < 0:
        raise ShapeError(
            f"ops.split got sizes {parts} for axis {axis} of shape {shape}, which has {shape[i]}"
        )
    return tuple(call(backend, "split", x, parts, axis=i))
