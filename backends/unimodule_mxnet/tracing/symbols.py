"""nnvm's side of it: operators, nodes of a graph, and what they infer of shapes and dtypes."""

from __future__ import annotations

import ctypes
import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unimodule.errors import CompileError

from ..loading import mx
from ..operators import check_call, library

Symbol = Any
"""An ``mx.symbol.numpy._Symbol``."""

_Symbol = mx.symbol.numpy._symbol._Symbol
_base = mx.base

# Operators that draw numbers; MXNet does not say which they are.
_DRAWS = re.compile(
    r"(_npx_|_sparse_)?(d|D)ropout$|_?shuffle$|_npi_shuffle$|normal$|uniform$|_sample_|sample_|_random_(?!pdf)|random_(?!pdf)"
    r"|_image_random|_npx__image_random|_npi_(bernoulli|choice|exponential|gamma|gumbel|logistic|multinomial|normal|pareto"
    r"|powerd|random_randint|rayleigh|uniform|weibull)"
)


class Operator(NamedTuple):
    """What is to be known of an operator of MXNet's.

    Attributes:
        number: its handle, as ``_imperative_invoke`` takes it.
        name: its name in the registry.
        counted: the attribute that says how many arrays it takes, where it takes any number; else "".
        draws: whether it draws random numbers.
    """

    number: int
    name: str
    counted: str
    draws: bool


@functools.cache
def operator(number: int) -> Operator:
    """The operator with that handle."""
    text = [ctypes.c_char_p() for _ in range(4)]
    name, description, counted, returns = text
    count = _base.mx_uint()
    names, types, descriptions = (ctypes.POINTER(ctypes.c_char_p)() for _ in range(3))
    check_call(
        library.MXSymbolGetAtomicSymbolInfo(
            ctypes.c_void_p(number),
            *map(ctypes.byref, (name, description, count, names, types, descriptions, counted, returns)),
        )
    )
    known = (name.value or b"").decode()
    return Operator(number, known, (counted.value or b"").decode(), bool(_DRAWS.match(known)))


def named(name: str) -> Operator:
    """The operator of that name."""
    handle = _base.OpHandle()
    check_call(library.NNGetOpHandle(_base.c_str(name), ctypes.byref(handle)))
    return operator(handle.value)


Attributes = tuple[tuple[str, str], ...]


def attributes_of(op: Operator, keys: Sequence[str], values: Sequence[Any], inputs: int) -> Attributes:
    """Attributes as the text that MXNet passes them as, with the number of inputs where the operator asks for it."""
    found = [(key, str(value)) for key, value in zip(keys, values, strict=True)]
    if op.counted and op.counted not in keys:
        found.append((op.counted, str(inputs)))
    return tuple(found)


def variable(name: str) -> Symbol:
    """An input of a graph."""
    handle = _base.SymbolHandle()
    check_call(library.MXSymbolCreateVariable(_base.c_str(name), ctypes.byref(handle)))
    return _Symbol(handle)


def node(op: Operator, attributes: Attributes, inputs: Sequence[Symbol], name: str) -> Symbol:
    """An operator applied to what is in a graph already."""
    keys, values = [key for key, _ in attributes], [value for _, value in attributes]
    handle = _base.SymbolHandle()
    check_call(
        library.MXSymbolCreateAtomicSymbol(
            ctypes.c_void_p(op.number),
            _base.mx_uint(len(keys)),
            _base.c_str_array(keys),
            _base.c_str_array(values),
            ctypes.byref(handle),
        )
    )
    symbol = _Symbol(handle)
    check_call(
        library.MXSymbolCompose(
            symbol.handle,
            _base.c_str(name),
            _base.mx_uint(len(inputs)),
            None,
            _base.c_handle_array(inputs),
        )
    )
    return symbol


_BFLOAT16 = np.dtype([("bfloat16", np.uint16)])  # as MXNet's arrays give it


class Kind(NamedTuple):
    """Shape and dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Inferred(NamedTuple):
    """What an operator makes of arrays of given kinds.

    Attributes:
        outputs: the kind of each output.
        written: positions of the arguments that it writes into.
    """

    outputs: tuple[Kind, ...]
    written: tuple[int, ...]


@functools.lru_cache(maxsize=4096)
def infer(op: Operator, attributes: Attributes, kinds: tuple[Kind, ...]) -> Inferred:
    """Kinds of the outputs, as MXNet infers them when it runs the operator.

    Raises:
        MXNetError: the operator does not take such arrays.
        CompileError: the shapes depend on values.
    """
    if op.name == "amp_cast":  # MXNet infers nothing from bfloat16, which is no dtype of NumPy's
        target = dict(attributes)["dtype"]
        return Inferred((Kind(kinds[0].shape, _BFLOAT16 if target == "bfloat16" else np.dtype(target)),), ())
    names = [f"argument{i}" for i in range(len(kinds))]
    symbol = node(op, attributes, [variable(name) for name in names], op.name)
    arguments = set(symbol.list_arguments())
    written = symbol.list_auxiliary_states()
    if not arguments | set(written) <= set(names):
        raise CompileError(
            f"MXNet's operator {op.name} was called without all of its arrays: it cannot be recorded"
        )
    given = {name: kind for name, kind in zip(names, kinds, strict=True) if name in arguments}
    _, shapes, _ = symbol._infer_shape_impl(False, **{name: kind.shape for name, kind in given.items()})
    if shapes is None or any(n < 0 for shape in shapes for n in shape):
        raise CompileError(
            f"the shape of what MXNet's operator {op.name} returns depends on values, so that it cannot be recorded; "
            "use ops.where instead of a mask for an index"
        )
    _, dtypes, _ = symbol._infer_type_impl(False, **{name: kind.dtype for name, kind in given.items()})
    if dtypes is None:
        raise CompileError(f"MXNet cannot tell the dtype of what {op.name} returns before it runs")
    outputs = tuple(Kind(tuple(shape), np.dtype(dtype)) for shape, dtype in zip(shapes, dtypes, strict=True))
    return Inferred(outputs, tuple(names.index(name) for name in written))
