"""Elementwise functions of ``ops``: unary, binary, logical, of bits."""

from __future__ import annotations

from typing import Any

from ..specs import In, Node
from . import arrays
from .arrays import BREAKS, EDGES, SPECIAL, Shape
from .drawing import Drawer, any_shape, function, link, some_shape, subject

INTEGERS = ("int32", "int64", "int8")

ANYWHERE = (*EDGES, *SPECIAL)
UNARY: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("abs sign".split(), (*ANYWHERE, *BREAKS)),
    **dict.fromkeys(
        "floor ceil round trunc".split(),
        ("halves", "halves", "halves", "halves", "normal", "special", "large"),
    ),
    **dict.fromkeys("isnan isinf isfinite negative positive square".split(), ANYWHERE),
    **dict.fromkeys("atan asinh erf tanh sin cos".split(), (*EDGES, "some_nan")),
    **dict.fromkeys("exp expm1 cosh sinh".split(), ("normal", "zeros", "saturated", "small", "special")),
    **dict.fromkeys("acos asin atanh".split(), ("unit", "small")),
    **dict.fromkeys("log log2 log10 sqrt".split(), ("positive", "large", "special")),
    "acosh": ("above_one", "large"),
    "log1p": ("positive", "unit", "small", "large"),
    "reciprocal": ("nonzero", "positive", "special"),
    "rsqrt": ("positive", "large"),
    "signbit": ("infinite", "normal", "ties"),
    "tan": ("unit", "small"),
}
"""Each with the pools of its input: where it is defined, and where it is not."""

OF_INTEGERS = frozenset(
    "abs sign square negative positive isnan isinf isfinite floor ceil round trunc".split()
)
FLAT = frozenset("sign floor ceil round trunc isnan isinf isfinite signbit".split())
LINKED = frozenset("abs atan asinh erf tanh sin cos negative square positive".split())
"""Unary functions that take every number: trees may hold them."""


def integers(d: Drawer, shape: Shape, *fills: str, dtypes: tuple[str, ...] = INTEGERS) -> In:
    """An input of integers."""
    d.differentiable = False
    return d.tensor(shape, *(fills or ("integers",)), dtype=d.choice(*dtypes))


def _unary(name: str, fills: tuple[str, ...]) -> None:
    def alone(d: Drawer) -> Node:
        shape = d.shape(0, 3, zero=True)
        if name in OF_INTEGERS and d.seldom(6):
            return Node(f"ops.{name}", (integers(d, shape),))
        d.differentiable = not name.startswith("is") and name != "signbit"
        return Node(f"ops.{name}", (d.tensor(shape, *fills),))

    if name in LINKED:
        link(
            f"ops.{name}", lambda d, shape: function(f"ops.{name}"), any_shape, some_shape, fills, alone=alone
        )
    else:
        subject(f"ops.{name}")(alone)


for _name, _fills in UNARY.items():
    _unary(_name, _fills)

# ---------------------------------------------------------------------- binary
ARITHMETIC: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys("add subtract multiply".split(), (ANYWHERE, ANYWHERE)),
    **dict.fromkeys(
        "maximum minimum".split(),
        (("zeros", "ties", "zeros", "normal", "special"), ("zeros", "ties", "zeros", "normal", "equal")),
    ),
    "divide": (("normal", "zeros", "special"), ("nonzero", "positive", "zeros")),
    "floor_divide": (("nonzero", "large"), ("nonzero", "positive")),
    "remainder": (("nonzero", "positive"), ("nonzero", "positive")),
    "atan2": (("normal", "nonzero"), ("nonzero", "positive")),
    "hypot": (("normal", "nonzero"), ("nonzero", "positive")),
    "logaddexp": (("normal", "saturated"), ("normal", "saturated")),
    "copysign": (("nonzero", "infinite"), ("nonzero", "infinite")),
    "nextafter": (("normal", "nonzero"), ("normal", "nonzero")),
}
COMPARISONS = "equal not_equal less less_equal greater greater_equal".split()
OF_INTEGERS_TOO = frozenset(
    [*"add subtract multiply maximum minimum floor_divide remainder".split(), *COMPARISONS]
)


def two_shapes(d: Drawer) -> tuple[Shape, Shape]:
    """Two shapes that broadcast, in either order, now and then both stretched."""
    shape = d.shape(0, 3, zero=True)
    other = d.draw(arrays.broadcast_to(shape))
    if len(other) == len(shape) and d.seldom(3):
        # What one has of size 1 the other may keep: both are stretched.
        shape = tuple(1 if n != m or (n > 1 and d.flag()) else n for n, m in zip(shape, other, strict=True))
        shape = tuple(m if n == 1 and m == 1 else n for n, m in zip(shape, other, strict=True))
    return (other, shape) if d.flag() else (shape, other)


def _operands(
    d: Drawer, first: tuple[str, ...], second: tuple[str, ...], scalars: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Two tensors, or a tensor and a Python number on either side."""
    kind = d.integer(0, 3)
    if kind == 1:
        return d.tensor(some_shape(d), *first), d.choice(*scalars)
    if kind == 2:
        return d.choice(*scalars), d.tensor(some_shape(d), *second)
    left, right = two_shapes(d)
    return d.tensor(left, *first), d.tensor(right, *second)


def _integer_operands(d: Drawer, name: str) -> tuple[Any, ...]:
    left, right = two_shapes(d)
    pool = "counts" if name in ("floor_divide", "remainder") else "integers"
    dtype = d.choice(*INTEGERS)
    x = integers(d, left, dtypes=(dtype,))
    kind = d.integer(0, 2)
    if kind == 1:
        return x, d.choice(2, 3, -2)
    if kind == 2 and name not in ("floor_divide", "remainder"):  # promoted to the float
        return x, d.tensor(right, "normal", "ties")
    return x, integers(d, right, pool, dtypes=(dtype,))


def _binary(name: str, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        if name in OF_INTEGERS_TOO and d.seldom(3):
            return Node(f"ops.{name}", _integer_operands(d, name))
        d.differentiable = name not in COMPARISONS and name != "nextafter"
        scalars = (0.0, 1.0, -0.5, 3) if name in ("maximum", "minimum") else (1.5, -0.5, 2, 3)
        operands = _operands(d, first, second, scalars)
        if name == "divide" and any(given.fill == "zeros" for given in d.inputs):
            d.differentiable = False
        return Node(f"ops.{name}", operands)


for _name, (_first, _second) in ARITHMETIC.items():
    _binary(_name, _first, _second)
for _name in COMPARISONS:
    _binary(_name, ("ties", "normal", "special"), ("ties", "equal", "special"))


@subject("ops.pow")
def _pow(d: Drawer) -> Node:
    kind = d.integer(0, 3)
    if kind == 0:
        left, right = two_shapes(d)
        return Node("ops.pow", (d.tensor(left, "positive"), d.tensor(right, "normal", "ties")))
    if kind == 1:
        return Node("ops.pow", (d.tensor(some_shape(d), "normal", "zeros", "ties"), d.choice(2, 3, 1, 2.0)))
    if kind == 2:
        return Node("ops.pow", (d.choice(2.0, 0.5), d.tensor(some_shape(d), "normal", "ties")))
    return Node("ops.pow", (integers(d, some_shape(d), dtypes=("int32",)), d.choice(2, 3)))


@subject("ops.clip")
def _clip(d: Drawer) -> Node:
    shape = d.shape(0, 3, zero=True)
    if d.seldom(6):
        return Node("ops.clip", (integers(d, shape), *d.choice((1, 3), (-2, 2))))
    x = d.tensor(shape, "normal", *BREAKS, "ties", "special")
    kind = d.integer(0, 3)
    if kind == 0:
        return Node("ops.clip", (x, *d.choice((-0.5, 1.0), (-0.7, 0.9), (1.0, -1.0))))
    if kind == 1:
        return Node("ops.clip", (x, None, d.choice(0.5, 1.0)))
    if kind == 2:
        return Node("ops.clip", (x,), {"min": d.choice(0.5, -1.0)})
    low = d.tensor(d.draw(arrays.broadcast_to(shape)), "unit", "ties")
    return Node("ops.clip", (x, low, d.choice(None, 1.5)))


def _logical(name: str, unary: bool = False) -> None:
    @subject(f"ops.{name}", dtypes=False)
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        left, right = two_shapes(d)
        x = d.tensor(left, "bools", dtype="bool")
        return Node(f"ops.{name}", (x,) if unary else (x, d.tensor(right, "bools", dtype="bool")))


def _bits(name: str, unary: bool = False) -> None:
    @subject(f"ops.{name}", dtypes=False)
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        left, right = two_shapes(d)
        if d.seldom():
            x = d.tensor(left, "bools", dtype="bool")
            return Node(f"ops.{name}", (x,) if unary else (x, d.tensor(right, "bools", dtype="bool")))
        dtype = d.choice("int32", "int64", "int8", "uint8")
        pool = "counts" if dtype == "uint8" else "integers"
        x = d.tensor(left, pool, dtype=dtype)
        if unary:
            return Node(f"ops.{name}", (x,))
        return Node(f"ops.{name}", (x, 6 if d.seldom() else d.tensor(right, pool, dtype=dtype)))


def _shift(name: str) -> None:
    @subject(f"ops.{name}", dtypes=False)
    def alone(d: Drawer) -> Node:
        d.differentiable = False
        left, right = two_shapes(d)
        dtype = d.choice("int32", "int64")
        return Node(
            f"ops.{name}", (d.tensor(left, "integers", dtype=dtype), d.tensor(right, "counts", dtype=dtype))
        )


for _name in ("logical_and", "logical_or", "logical_xor", "logical_not"):
    _logical(_name, _name == "logical_not")
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_invert"):
    _bits(_name, _name == "bitwise_invert")
for _name in ("bitwise_left_shift", "bitwise_right_shift"):
    _shift(_name)


@subject("ops.where")
def _where(d: Drawer) -> Node:
    left, right = two_shapes(d)
    mask = d.tensor(
        d.draw(arrays.broadcast_to(left if len(left) >= len(right) else right)), "bools", dtype="bool"
    )
    kind = d.integer(0, 3)
    if kind == 1:
        return Node("ops.where", (mask, d.tensor(left, "normal", "special"), d.choice(0.5, 0)))
    if kind == 2:
        return Node("ops.where", (mask, d.choice(0, -1.5), d.tensor(right, "normal", "special")))
    if kind == 3 and d.flag():
        return Node("ops.where", (mask, integers(d, left, dtypes=("int32",)), 0))
    return Node("ops.where", (mask, d.tensor(left, "normal", "special"), d.tensor(right, "normal", "ties")))
