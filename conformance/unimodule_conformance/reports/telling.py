"""A spec as people read it: the model as a tree, the inputs, the mode."""

from __future__ import annotations

from collections.abc import Mapping

from ..specs import Array, Fn, In, Node, Plain, Spec


def tell(spec: Spec) -> str:
    """A spec over a few lines.

    Example:
        >>> spec = Spec(Node("nn.Linear", (3, 2), {"bias": False}), (Array((4, 3), seed=5),), training=True)
        >>> print(tell(spec))
        nn.Linear(3, 2, bias=False)
        called with float32 (4, 3) normal, seed 5
        in train mode, float32, seed 0
    """
    inputs = [f"called with {_plain(array)}" for array in spec.inputs]
    mode = "train" if spec.training else "eval"
    last = f"in {mode} mode, {spec.dtype}, seed {spec.seed}"
    if spec.exact:
        last += ", at exact ties"
    if spec.error:
        last += f"; must raise {spec.error}"
    return "\n".join([*_node(spec.root, 0), *inputs, last])


def _node(node: Node, depth: int) -> list[str]:
    arguments = [_plain(value) for value in node.args]
    arguments += [f"{name}={_plain(value)}" for name, value in node.kwargs.items()]
    lines = ["  " * depth + f"{node.name}({', '.join(arguments)})"]
    for child in node.children:
        lines += _node(child, depth + 1)
    return lines


def _plain(value: Plain) -> str:
    if isinstance(value, In):
        return f"x{value.index}"
    if isinstance(value, Fn):
        return value.name
    if isinstance(value, Node):
        return _node(value, 0)[0]
    if isinstance(value, Array):
        what = (
            f"values {list(value.values)}" if value.values is not None else f"{value.fill}, seed {value.seed}"
        )
        return f"{value.dtype} {value.shape} {what}"
    if isinstance(value, tuple):
        inside = ", ".join(_plain(item) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_plain(item)}" for name, item in value.items()) + "}"
    return repr(value)


__all__ = ["tell"]
