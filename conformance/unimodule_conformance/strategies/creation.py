"""Functions of ``ops`` that make tensors, ask what they are, or take functions."""

from __future__ import annotations

from typing import Any

from ..specs import In, Node, Plain
from .drawing import Drawer, some_features, subject
from .linear import linear_like

DTYPES = ("float32", "int32", "bool")


# ---------------------------------------------------------------------- new tensors
def _made(d: Drawer, made: Node) -> Node:
    """A new tensor, alone or added to an input."""
    if d.flag():
        d.differentiable = False
        return made
    d.tensor((), "normal")
    return Node("block.Branch", ("add",), {}, (Node("nn.Identity"), made))


def _filled(name: str, *more: Any) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape: Plain = d.shape(0, 3, zero=True)
        args = (shape, d.choice(*more)) if more else (shape,)
        if d.seldom():
            return _alone(d, Node(f"ops.{name}", args, {"dtype": d.choice("int32", "float32")}))
        return _made(d, Node(f"ops.{name}", args, {"dtype": "float32"}))


def _alone(d: Drawer, node: Node) -> Node:
    d.differentiable = False
    return node


_filled("zeros")
_filled("ones")
_filled("full", 2.5, -1.0, 0.5)


@subject("ops.empty")
def _empty(d: Drawer) -> Node:
    made = Node("ops.empty", (d.shape(0, 3, zero=True),), {"dtype": "float32"})
    known = Node("nn.Sequential", (), {}, (made, Node("ops.zeros_like", (In(0),))))
    d.tensor((), "normal")
    return Node("block.Branch", ("add",), {}, (Node("nn.Identity"), known))


@subject("ops.empty_like")
def _empty_like(d: Drawer) -> Node:
    d.tensor(some_features(d), "normal")
    made = Node("ops.empty_like", (In(0),))
    known = Node("nn.Sequential", (), {}, (made, Node("ops.zeros_like", (In(0),))))
    return Node("block.Branch", ("add",), {}, (Node("nn.Identity"), known))


def _like(name: str, *more: Any) -> None:
    @subject(f"ops.{name}")
    def alone(d: Drawer) -> Node:
        shape = d.shape(0, 3, zero=True)
        x = d.tensor(shape, "normal", "special")
        args = (x, d.choice(*more)) if more else (x,)
        node = Node(f"ops.{name}", args, d.options(dtype=("int32",)))
        return (
            node
            if "dtype" in node.kwargs
            else Node("block.Branch", ("add",), {}, (Node("nn.Identity"), node))
        )


_like("zeros_like")
_like("ones_like")
_like("full_like", 2, -1, 3)


@subject("ops.arange")
def _arange(d: Drawer) -> Node:
    kind = d.integer(0, 2)
    if kind == 0:
        return _alone(d, Node("ops.arange", (d.integer(0, 6),)))
    if kind == 1:
        return _alone(d, Node("ops.arange", d.choice((5, 0, -2), (1, 7, 3), (3, 1, 1), (-2, 3, 1))))
    return _made(
        d,
        Node("ops.arange", d.choice((0.0, 1.0, 0.25), (3, None, 1), (1.5, -1.0, -0.5)), {"dtype": "float32"}),
    )


@subject("ops.linspace")
def _linspace(d: Drawer) -> Node:
    args = (*d.choice((0.0, 1.0), (2.0, -1.0), (-3.0, 3.0)), d.integer(1, 6))
    return _made(d, Node("ops.linspace", args, {"dtype": "float32", **d.options(endpoint=(False,))}))


@subject("ops.eye")
def _eye(d: Drawer) -> Node:
    args = (d.integer(1, 4), *((d.integer(1, 4),) if d.flag() else ()))
    node = Node("ops.eye", args, {"k": d.integer(-2, 2), "dtype": d.choice("float32", "int32")})
    return _made(d, node) if node.kwargs["dtype"] == "float32" else _alone(d, node)


@subject("ops.asarray")
def _asarray(d: Drawer) -> Node:
    if d.flag():
        value = d.choice(0.5, (1.0, 2.0), ((1.0, -2.0), (3.5, 4.0)))
        return _made(d, Node("ops.asarray", (value,)))
    if d.flag():
        return _alone(d, Node("ops.asarray", (d.choice(3, (1, 2), True, (True, False)),)))
    d.tensor(some_features(d), "normal")
    return Node("ops.asarray", (In(0),), d.options(copy=(True,)))


@subject("ops.random_uniform")
def _uniform(d: Drawer) -> Node:
    return _alone(d, Node("ops.random_uniform", (d.shape(0, 3),), {"dtype": "float32"}))


# ---------------------------------------------------------------------- questions
def _question(name: str, block: str) -> None:
    @subject(f"ops.{name}", modes=False)
    def alone(d: Drawer) -> Node:
        d.tensor(some_features(d), "normal", "ties")
        return Node(f"block.{block}")


for _name, _block in {
    "shape": "Shaped",
    "dtype": "Typed",
    "device": "Placed",
    "to_device": "Placed",
    "convert": "Converted",
    "item": "Item",
    "to_numpy": "HostSum",
}.items():
    _question(_name, _block)

ABOUT: dict[str, tuple[tuple[str, ...], ...]] = {
    "can_cast": (("float32", "float64"), ("float64", "float32"), ("int32", "float32"), ("uint8", "int16")),
    "isdtype": (
        ("float32", "real floating"),
        ("int32", "real floating"),
        ("bool", "bool"),
        ("uint8", "integral"),
    ),
    "finfo": (("float32",), ("float16",)),
    "iinfo": (("int32",), ("int8",), ("uint8",)),
    "result_type": (("float32", "float32"), ("int32", "float32"), ("int8", "int32"), ("int8", "uint8")),
}


def _about(name: str) -> None:
    @subject(f"ops.{name}", modes=False)
    def alone(d: Drawer) -> Node:
        d.tensor(some_features(d), "ties" if name == "result_type" else "normal")
        d.differentiable = name != "result_type"
        return Node("block.Dtypes", (name, *d.choice(*ABOUT[name])))


for _name in ABOUT:
    _about(_name)


# ---------------------------------------------------------------------- functions of functions
def _flow(name: str, block: str, bodies: int, **options: tuple[Any, ...]) -> None:
    @subject(f"ops.{name}", modes=False)
    def alone(d: Drawer) -> Node:
        shape = d.shape(2, 3) if name in ("scan", "map") else some_features(d)
        inner = shape[1:] if name in ("scan", "map") else shape
        d.tensor(shape, "normal", "positive")
        return Node(
            f"block.{block}", (), d.options(**options), tuple(linear_like(d, inner) for _ in range(bodies))
        )


_flow("cond", "Cond", 2, limit=(-2.3,))
_flow("while_loop", "While", 1, limit=(3.3,), max_iters=(0, 1, 5))
_flow("fori_loop", "Fori", 1, lower=(1,), upper=(2, 0))
_flow("scan", "Scan", 1, reverse=(True,))
_flow("map", "Map", 1)
