"""Looking into a net while it runs: every module's calls recorded, and a table of its layers.

How a call is watched. A functional clone of the net runs instead of the net, and each module of it gets a ``forward`` of
its own in its ``__dict__``, which notes what comes out. The net itself is untouched, other threads see nothing, and
ordinary calls pay nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from . import dtypes
from .errors import ArgumentError
from .nn.module import Module
from .nn.parameter import Parameter, Variable
from .registry import find_backend


# ---------------------------------------------------------------------- calls
class Call(NamedTuple):
    """One call of one module.

    Attributes:
        path: the module's dotted path in the net, ``""`` for the net itself; the first one, if it has several.
        module: the module of the net (not the copy that ran).
        inputs: what its ``forward`` got: ``(args, kwargs)``.
        output: what its ``forward`` returned.
    """

    path: str
    module: Module
    inputs: tuple[tuple[Any, ...], dict[str, Any]]
    output: Any


def record_calls(net: Module, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None) -> list[Call]:
    """Run a net and record the calls of it and all modules below it, in the order in which they return: a module's
    children stand before it, and the net's own call is the last.

    The net stays as it is, buffers included. A net that is not bound or has lazy parameters runs as a copy that is bound
    and drawn for the occasion; it stays unbound. Random numbers are drawn as in an ordinary call (dropout).

    Args:
        net: the net.
        args: its inputs, as in ``net(*args, **kwargs)``.
        kwargs: further inputs.

    Returns:
        The calls, with all inputs and outputs, which stay in memory as long as the list does.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Sequential(um.ops.relu, um.ops.abs).to("numpy")
        >>> [(call.path, type(call.module).__name__) for call in record_calls(net, [np.ones(3)])]
        [('0', 'Function'), ('1', 'Function'), ('', 'Sequential')]
    """
    calls: list[Call] = []
    _watch(net, args, kwargs or {}, calls.append)
    return calls


def _watch(
    net: Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    note: Callable[[Call], None],
    training: bool | None = None,
) -> Module:
    """Run a copy of the net, with ``note`` called for each call; returns the copy."""
    net._check_tree()
    copies: dict[int, Module] = {}
    if net.backend is not None and all(v.has_value for _, v in net.named_variables()):
        copy = net.functional_clone({}, copies)
    else:
        copy = independent_clone(net)  # which binding and shapes to come may change
        copies = {id(m): c for m, c in zip(net.modules(), copy.modules(), strict=True)}
    if training is not None:
        copy.train(training)
    for path, original in net.named_modules():
        _observe(copies[id(original)], path, original, note)
    copy(*args, **kwargs)
    return copy


def _observe(copy: Module, path: str, original: Module, note: Callable[[Call], None]) -> None:
    forward = copy.forward

    def observed(*args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        note(Call(path, original, (args, kwargs), output))
        return output

    copy.__dict__["forward"] = observed


def independent_clone(net: Module, seed: int = 0) -> Module:
    """A clone that may be bound and drawn: its random streams are its own, so that the net's are drawn as if this had
    never been. ``seed`` says what is drawn for parameters that have no value yet.
    """
    clone = net.clone()
    for index, (_, variable) in enumerate(clone.named_variables()):
        if not variable.has_value and variable.stream is None:
            variable.stream = (seed, index)
    return clone


# ---------------------------------------------------------------------- the table
@dataclasses.dataclass(frozen=True)
class Row:
    """One module in a :class:`Summary`. Counts are of elements, of the module alone, without those below it.

    Attributes:
        path: dotted path, ``""`` for the net itself.
        kind: name of the class.
        outputs: the shapes of what each call returned (nested as the output is), one entry a call; empty without inputs.
        parameters: in parameters that no module before it has.
        trainable: how many of these are trained.
        tied: in parameters that a module before it has too.
        other: in constants and buffers.
        bytes: size of parameters, constants and buffers, tied ones aside.
        lazy: names of parameters, constants and buffers whose shape is not known; they are not in the counts.
    """

    path: str
    kind: str
    outputs: tuple[Any, ...]
    parameters: int
    trainable: int
    tied: int
    other: int
    bytes: int
    lazy: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Summary:
    """The layers of a net; ``print`` shows a table.

    Attributes:
        name: the net's class.
        backend: the backend that it is bound to, or None.
        rows: one for each module, in the order of ``named_modules()``.
    """

    name: str
    backend: str | None
    rows: tuple[Row, ...]

    @property
    def parameters(self) -> int:
        """Elements of all parameters, tied ones counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """Elements of the parameters that are trained."""
        return sum(row.trainable for row in self.rows)

    @property
    def other(self) -> int:
        """Elements of constants and buffers."""
        return sum(row.other for row in self.rows)

    @property
    def bytes(self) -> int:
        """Size of parameters, constants and buffers."""
        return sum(row.bytes for row in self.rows)

    @property
    def lazy(self) -> list[str]:
        """Dotted names of what has no known shape yet, and is in no count."""
        return [f"{row.path}.{name}".lstrip(".") for row in self.rows for name in row.lazy]

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON takes it."""
        totals = {key: getattr(self, key) for key in ("parameters", "trainable", "other", "bytes", "lazy")}
        rows = [dataclasses.asdict(row) for row in self.rows]
        return {"name": self.name, "backend": self.backend, "modules": rows, "total": totals}

    def __rich__(self) -> Any:
        """The table, for ``rich.print`` and consoles."""
        from rich.console import Group
        from rich.table import Table

        table = Table(title=self.name + (f" on {self.backend}" if self.backend else ""))
        shown = any(row.outputs for row in self.rows)
        table.add_column("Module", no_wrap=True)
        table.add_column("Class", no_wrap=True)
        if shown:
            table.add_column("Output")
        for heading in ("Parameters", "Trainable", "Other", "Bytes"):
            table.add_column(heading, justify="right", no_wrap=True)
        for row in self.rows:
            count = (
                f"{row.parameters:,}"
                + (f" (+{row.tied:,} tied)" if row.tied else "")
                + (" + ?" if row.lazy else "")
            )
            cells = [row.path or "(net)", row.kind, *([_outputs(row.outputs)] if shown else []), count]
            table.add_row(*cells, f"{row.trainable:,}", f"{row.other:,}", f"{row.bytes:,}")
        return Group(table, *self._totals())

    def _totals(self) -> list[str]:
        lines = [
            f"Parameters: {self.parameters:,} ({self.trainable:,} trainable, {self.parameters - self.trainable:,} frozen)",
            f"Constants and buffers: {self.other:,}",
            f"Size: {self.bytes:,} bytes",
        ]
        if self.lazy:
            lines.append(f"Not counted, of unknown shape: {', '.join(self.lazy)}")
        return lines

    def __str__(self) -> str:
        """The table as plain text, as wide as it needs to be."""
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(
            file=text, force_terminal=False, color_system=None, width=10_000, highlight=False, markup=False
        ).print(self)
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    __repr__ = __str__


def summary(net: Module, *inputs: Any, **kwargs: Any) -> Summary:
    """A table of a net's modules: class, output shape, parameters.

    With inputs the net runs once, in evaluation mode and as a copy: neither its state nor its mode changes, and a net
    that is not bound stays so. Without inputs there are no output shapes, and lazy parameters are not counted.

    Args:
        net: the net.
        *inputs: what it is called with: NumPy arrays or native tensors.
        **kwargs: further inputs.

    Returns:
        A :class:`Summary`, which ``print`` shows as a table and ``to_dict`` turns into plain data.

    Raises:
        ArgumentError: ``net`` is no module, or a shape was given in place of an input (it says nothing of the dtype).

    Example:
        >>> import numpy as np, unimodule as um
        >>> s = um.summary(um.nn.Linear(3, 2), np.ones((5, 3), "float32"))
        >>> s.parameters, s.rows[0].outputs
        (8, ([5, 2],))
    """
    if not isinstance(net, Module):
        raise ArgumentError(f"summary() expected a Module, got {type(net).__name__}")
    for value in (*inputs, *kwargs.values()):
        if isinstance(value, list | tuple) and value and all(type(n) is int for n in value):
            raise ArgumentError(
                f"summary() expected an array or tensor, got {value!r}; for an input of that shape write "
                f"numpy.zeros({tuple(value)}, 'float32')"
            )
    outputs: dict[str, list[Any]] = {}
    net._check_tree()
    shown = net
    if inputs or kwargs:
        shown = _watch(
            net,
            inputs,
            kwargs,
            lambda call: outputs.setdefault(call.path, []).append(_shapes(call.output)),
            False,
        )
    counted: set[int] = set()
    rows = [_row(path, module, outputs.get(path, []), counted) for path, module in shown.named_modules()]
    return Summary(type(net).__name__, net.backend, tuple(rows))


def _row(path: str, module: Module, outputs: list[Any], counted: set[int]) -> Row:
    parameters = trainable = tied = other = size = 0
    lazy = []
    for name, variable in module._variables.items():
        if not variable.shape_known:
            lazy.append(name)
            continue
        elements, again = _elements(variable), id(variable) in counted
        counted.add(id(variable))
        if isinstance(variable, Parameter):
            tied += elements if again else 0
            parameters += 0 if again else elements
            trainable += elements if variable.requires_grad and not again else 0
        elif not again:
            other += elements
        size += 0 if again else elements * dtypes.to_numpy_dtype(variable.dtype).itemsize
    return Row(
        path, type(module).__name__, tuple(outputs), parameters, trainable, tied, other, size, tuple(lazy)
    )


def _elements(variable: Variable) -> int:
    product = 1
    for size in variable.shape:
        product *= size or 0
    return product


def _shapes(value: Any) -> Any:
    """The shapes of the tensors in an output, in its structure; other things by the name of their class."""
    if isinstance(value, list | tuple):
        return tuple(_shapes(item) for item in value)
    if isinstance(value, dict):
        return {str(key): _shapes(item) for key, item in value.items()}
    backend = find_backend(value)
    return type(value).__name__ if backend is None else list(backend.shape(value))


def _outputs(outputs: Sequence[Any]) -> str:
    """The different shapes of a module's outputs, and how many calls there were."""
    different = list(dict.fromkeys(_text(shape) for shape in outputs))
    return "; ".join(different) + (f" x{len(outputs)}" if len(outputs) > 1 else "")


def _text(shape: Any) -> str:
    if isinstance(shape, list):
        return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
    if isinstance(shape, tuple):
        return f"[{', '.join(map(_text, shape))}]"
    if isinstance(shape, dict):
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in shape.items()) + "}"
    return str(shape)


__all__ = ["Call", "Row", "Summary", "independent_clone", "record_calls", "summary"]
