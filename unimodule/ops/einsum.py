"""Einstein summation, lowered to ``matmul``: the native versions differ in speed by orders of magnitude."""

from __future__ import annotations

import math
from collections.abc import Sequence

from .. import ops
from ..backend import Backend, Tensor
from ..errors import ArgumentError, ShapeError
from ._arguments import Shape, shape_of
from ._dispatch import gather


def einsum(subscripts: str, /, *operands: Tensor) -> Tensor:
    """Sums of products named by letters: ``"bij,bjk->bik"`` is a batch of matrix products.

    Tensors are contracted from the left, two at a time.

    Args:
        subscripts: a letter for each axis of each operand, separated by commas, then ``->`` and the letters of the
            result; without an arrow these are the letters that occur once, in alphabetic order. ``...`` stands for axes
            that broadcast. A letter that occurs twice in one operand takes its diagonal.
        operands: numeric tensors; dtypes are promoted.

    Raises:
        ArgumentError: the subscripts are malformed, or not one for each operand.
        ShapeError: they do not match the shapes.

    Source: https://numpy.org/doc/stable/reference/generated/numpy.einsum.html

    Example:
        >>> import numpy as np
        >>> einsum("ij,kj->ik", np.ones((1, 3)), np.ones((2, 3)))
        array([[3., 3.]])
    """
    if not operands:
        raise ArgumentError("ops.einsum got no tensors")
    backend, found = gather("einsum", *operands)
    terms, result = _parse(subscripts, [shape_of(x) for x in found])
    pairs = [_diagonal(x, term) for x, term in zip(found, terms, strict=True)]
    sizes = _sizes(pairs)
    x, term = pairs[0]
    for k, (y, other) in enumerate(pairs[1:], start=1):
        wanted = set(result).union(*(t for _, t in pairs[k + 1 :]))
        x, term = _contract(backend, (x, term), (y, other), wanted, sizes)
    x, term = _sum_out(backend, x, term, set(result))
    x = ops.broadcast_to(x, tuple(sizes[c] for c in term))
    return ops.permute_dims(x, tuple(term.index(c) for c in result))


def _parse(subscripts: str, shapes: list[Shape]) -> tuple[list[str], str]:
    """A letter for each axis of each operand and of the result; the axes of ``...`` get symbols of their own."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ArgumentError(f"ops.einsum got {len(shapes)} tensors for {subscripts!r}")
    counts = []
    for term, shape in zip(terms, shapes, strict=True):
        letters = term.replace("...", "", 1)
        if not all(c.isascii() and c.isalpha() for c in letters):
            raise ArgumentError(f"ops.einsum cannot read {term!r} in {subscripts!r}")
        counts.append(len(shape) - len(letters))
        if counts[-1] < 0 or (counts[-1] and "..." not in term):
            raise ShapeError(f"ops.einsum cannot match {term!r} in {subscripts!r} to shape {shape}")
    symbols = [chr(0x2460 + i) for i in range(max(counts))][::-1]  # counted from the right: they broadcast
    terms = [
        t.replace("...", "".join(symbols[len(symbols) - n :])) for t, n in zip(terms, counts, strict=True)
    ]
    letters = "".join(terms)
    if not arrow:
        right = "..." + "".join(sorted(c for c in set(letters) if c.isascii() and letters.count(c) == 1))
    result = right.replace("...", "".join(symbols), 1)
    if len(set(result)) != len(result) or set(result) - set(letters):
        raise ArgumentError(
            f"ops.einsum got {subscripts!r}, whose result names an axis twice or one that is not there"
        )
    return terms, result


def _diagonal(x: Tensor, term: str) -> tuple[Tensor, str]:
    """Axes of one letter in one operand made a single last one."""
    for letter in dict.fromkeys(term):
        while term.count(letter) > 1:
            i = term.index(letter)
            j = term.index(letter, i + 1)
            shape = shape_of(x)
            n = shape[i]
            if shape[j] != n:
                raise ShapeError(f"ops.einsum got sizes {n} and {shape[j]} for the letter {letter!r}")
            rest = [k for k in range(len(shape)) if k not in (i, j)]
            flat = ops.reshape(ops.permute_dims(x, (*rest, i, j)), (*(shape[k] for k in rest), n * n))
            x = ops.take(flat, ops.arange(0, n * n, n + 1, like=x), axis=len(rest))
            term = "".join(term[k] for k in rest) + letter
    return x, term


def _sizes(pairs: Sequence[tuple[Tensor, str]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for x, term in pairs:
        for letter, n in zip(term, shape_of(x), strict=True):
            known = sizes.setdefault(letter, n)
            if known != n and (letter.isascii() or 1 not in (known, n)):
                raise ShapeError(f"ops.einsum got sizes {known} and {n} for the axis {letter!r}")
            sizes[letter] = n if known == 1 else known
    return sizes


def _sum_out(backend: Backend, x: Tensor, term: str, wanted: set[str]) -> tuple[Tensor, str]:
    gone = tuple(i for i, c in enumerate(term) if c not in wanted)
    if not gone:
        return x, term
    return ops.sum(x, axis=gone, dtype=backend.dtype(x)), "".join(c for c in term if c in wanted)


def _contract(
    backend: Backend,
    first: tuple[Tensor, str],
    second: tuple[Tensor, str],
    wanted: set[str],
    sizes: dict[str, int],
) -> tuple[Tensor, str]:
    """One product of two operands, with every letter summed that nobody wants any more."""
    (x, a), (y, b) = first, second
    x, a = _sum_out(backend, x, a, wanted | set(b))
    y, b = _sum_out(backend, y, b, wanted | set(a))
    shared = [c for c in a if c in b]
    batch, inner = [c for c in shared if c in wanted], [c for c in shared if c not in wanted]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    x, y = _arranged(x, a, sizes, batch, rows, inner), _arranged(y, b, sizes, batch, inner, columns)
    product = ops.matmul(x, y) if inner else ops.multiply(x, y)
    term = "".join((*batch, *rows, *columns))
    return ops.reshape(product, tuple(sizes[c] for c in term)), term


def _arranged(x: Tensor, term: str, sizes: dict[str, int], *groups: list[str]) -> Tensor:
    """``x`` with its axes in groups: the batch as it is, each of the other groups made one axis."""
    order = [c for group in groups for c in group]
    x = ops.permute_dims(x, tuple(term.index(c) for c in order))
    x = ops.broadcast_to(x, tuple(sizes[c] for c in order))  # only axes of "..." may still have size 1
    return ops.reshape(
        x, (*(sizes[c] for c in groups[0]), *(math.prod([sizes[c] for c in group]) for group in groups[1:]))
    )
