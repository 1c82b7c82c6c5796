"""The adapter contract: all that a framework must provide to run every unimodule model. Start here.

An adapter is a package with two things in it:

1. an ``INFO = BackendInfo(...)``, readable without importing the framework, that the entry-point group
   ``unimodule.backends`` points to;
2. a subclass of :class:`Backend`, named by ``INFO.adapter``, imported when the backend is first used.

The subclass answers for dtypes, devices, data in and out, parameters, gradients and random state with methods, and
for arithmetic with ``functions``, a dict from the name of an op to a plain function on native tensors. The names,
signatures and meaning are those of ``unimodule.ops`` (the array API standard plus PyTorch's functional ops), with the
arguments already made canonical (see ``REQUIRED`` and ``OPTIONAL`` below). What is in ``REQUIRED`` an adapter must
provide or declare in ``unsupported``. Everything else has a default composition of required ops, which works at once;
override it where the framework has a native kernel.

Adapters know nothing of modules and layers, and import nothing of unimodule but this file, ``errors`` and ``dtypes``.

What every function may rely on (the core has seen to it before it calls):

* every tensor is native to this backend; NumPy arrays and tensors of other backends never arrive;
* the tensors of a binary op have one dtype; at most one operand is a Python scalar, and never a float beside an
  integer tensor; a function that needs a float tensor (``exp``, ``mean``) gets one;
* dtypes are canonical strings ("float32"), devices are "cpu" or "gpu:0".

What it must do in return:

* never write into an argument; never return another dtype than the array API says; keep the device;
* be differentiable where the op is, with PyTorch's choice at kinks: relu'(0) = abs'(0) = sign'(x) = 0; max, min (over an
  axis) and maximum, minimum share the gradient evenly between ties; clip passes it at both bounds; max pooling gives it
  to the first of equals; ``where`` never leaks a NaN or infinity from the branch that was not taken;
* propagate NaN through max, min, maximum, minimum, clip, relu and softmax; ``argmax`` takes the first of equals;
* raise the framework's own error on bad shapes: the core turns it into ours.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np

from . import dtypes
from .errors import IntegerRangeError, NotSupportedError, OutOfRangeError

Tensor = Any
"""A native tensor of some backend. There is no tensor class of unimodule's own."""


@dataclasses.dataclass(frozen=True)
class BackendInfo:
    """What can be said of a backend without importing its framework.

    Attributes:
        name: how users call it: ``"torch"``.
        adapter: where its :class:`Backend` subclass is: ``"unimodule_torch.adapter:TorchBackend"``.
        framework: the import package whose presence means that the backend is installed.
        distribution: candidates for the name that pip knows it by, for the version.
        module_roots: top-level packages whose types are this backend's tensors.
        pip: what to type to install it.
        priority: place in the order in which a default backend is looked for; the lowest installed one wins.
    """

    name: str
    adapter: str
    framework: str
    distribution: tuple[str, ...]
    module_roots: tuple[str, ...]
    pip: str
    priority: int = 1000


class Backend(ABC):
    """One framework, as the core sees it. See the module's text for the whole contract."""

    info: ClassVar[BackendInfo]

    functions: Mapping[str, Callable[..., Any]]
    """Ops by name: all of ``REQUIRED`` but for ``unsupported``, and what is overridden of ``OPTIONAL``."""

    unsupported: ClassVar[frozenset[str]] = frozenset()
    """Names in ``REQUIRED`` that this framework cannot do; calling one is ``NotSupportedError``."""

    float_dtypes: ClassVar[frozenset[str]] = frozenset({"float32", "float64"})
    """Floating dtypes that a net may have here."""

    live_variables: ClassVar[bool] = False
    """Whether a variable is a mutable object that the framework's tape watches in place (``assign`` returns the same
    object, ``value_and_grad`` passes variables on unchanged). Where it is False, gradients go through a functional clone
    of the net."""

    keeps_buffers: ClassVar[bool] = False
    """Whether a buffer keeps its variable when it is assigned, because functions that the framework has recorded hold on
    to it. Elsewhere it gets a new one: what a forward read before the assignment stays as it was."""

    mixes_dtypes: ClassVar[bool] = False
    """Whether ops take tensors of several float dtypes and cast them themselves; of the backends that a training step in
    mixed precision makes, not of a framework's."""

    compiled_takes_arrays: ClassVar[bool] = False
    """Whether what ``compile`` returned, once recorded, takes NumPy arrays in place of tensors (of the same dtype, and to
    go where the others are) at less cost than ``from_numpy`` has."""

    rebinds: ClassVar[bool] = False
    """Whether ``assign`` returns ``value`` itself, and does nothing, where it is on the variable's device."""

    packs_below: ClassVar[int] = 0
    """In compiled training steps, a few tensors of an optimiser's state with fewer elements than this travel in one vector,
    with a count of the steps: for frameworks to which an argument and a result of a compiled call cost more than copying
    these. 1 for those that only gain by the count, which saves sending numbers in each step; 0 for none of it."""

    # ------------------------------------------------------------------ what it is
    @abstractmethod
    def version(self) -> str:
        """The framework's version."""

    @abstractmethod
    def is_tensor(self, x: object) -> bool:
        """Whether ``x`` is a native tensor (variables and tracers included)."""

    def is_concrete(self, x: Tensor) -> bool:
        """Whether ``x`` has a value now; False for the tracers and symbolic tensors of a compiler."""
        return True

    def outlives_trace(self, x: Tensor) -> bool:
        """Whether ``x`` may be kept in a net: False for anything that is valid only inside a running trace or gradient."""
        return self.is_concrete(x)

    # ------------------------------------------------------------------ dtypes and devices
    @abstractmethod
    def dtype(self, x: Tensor) -> str:
        """Canonical name of the dtype of ``x``."""

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """Shape of ``x`` as a tuple of Python integers."""
        return tuple(x.shape)

    @abstractmethod
    def devices(self) -> list[str]:
        """The devices there are: always ``"cpu"``, then ``"gpu:0"``, ``"gpu:1"``, ..."""

    @abstractmethod
    def device(self, x: Tensor) -> str:
        """The device that holds ``x``: ``"cpu"`` or ``"gpu:0"``."""

    @abstractmethod
    def to_device(self, x: Tensor, device: str) -> Tensor:
        """``x`` on ``device`` (which exists: the core has checked), differentiable where the framework can."""

    # ------------------------------------------------------------------ data in and out
    @abstractmethod
    def from_numpy(self, array: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        """A native tensor with a copy of ``array`` cast to ``dtype``. It owns its memory and stays valid outside any
        trace that is running.

        Raises:
            DtypeError: the framework has no such dtype, or needs a switch for it that is off (name the switch).
            IntegerRangeError: 64-bit integers must be carried in 32 bits here and one does not fit.
        """

    def send(self, numbers: np.ndarray[Any, Any], dtype: str, device: str) -> Tensor:
        """``from_numpy`` for what training steps send again and again: small float64 arrays, of few shapes."""
        return self.from_numpy(numbers, dtype, device)

    @abstractmethod
    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        """A copy of ``x`` on the host, gradient or not."""

    def item(self, x: Tensor) -> bool | int | float:
        """The one element of ``x`` as a Python scalar."""
        return self.to_numpy(x).reshape(()).item()  # type: ignore[no-any-return]

    # ------------------------------------------------------------------ parameters
    def variable(self, value: Tensor, *, trainable: bool) -> Tensor:
        """The object that a bound net holds for a parameter (``trainable``), constant or buffer: a leaf of the
        framework's own gradient machinery where there is such a thing. It does not share ``value``'s memory with
        anything the caller keeps.
        """
        return value

    def set_trainable(self, variable: Tensor, trainable: bool) -> Tensor:
        """Freeze or thaw a variable; returns the object to hold from now on."""
        return variable

    def assign(self, variable: Tensor, value: Tensor) -> Tensor:
        """Give ``variable`` a new value of the same shape and dtype; returns the object to hold from now on (the same
        one where variables are mutable).
        """
        return value

    # ------------------------------------------------------------------ gradients
    @abstractmethod
    def value_and_grad(
        self, fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
    ) -> tuple[Tensor, Any, list[Tensor]]:
        """Evaluate ``loss, aux = fn(values)`` and the gradient of the scalar ``loss`` with respect to each of
        ``values``; returns ``loss, aux, gradients``.

        ``fn`` must be called exactly once, with tensors of the same values; passing variables on unchanged (live, as
        leaves of the tape) spares the core a clone of the net. A gradient is zeros where a value took no part. Neither
        the loss, nor the gradients, nor the tensors in ``aux`` (any nesting of tuples, lists and dicts) may hold on to
        a tape or be a tracer of this call. May nest (gradients of gradients) where the framework can, else
        ``NotSupportedError``.
        """

    def watch_gradient(self, x: Tensor, note: Callable[[Tensor], None]) -> Tensor:
        """``x``, a float tensor with a value, as a tensor of its own: when the gradient of a running ``value_and_grad``
        comes back to it, ``note`` gets the gradient, which goes on as it is. Not called where none comes. For looking at
        gradients layer by layer; eager only.

        Raises:
            NotSupportedError: the framework has no such thing.
        """
        raise not_supported(self, "watching gradients")

    # ------------------------------------------------------------------ random state
    @abstractmethod
    def seed(self, seed: int) -> None:
        """Reset this framework's random state, from which dropout draws."""

    def rng_state(self) -> dict[str, Any]:
        """This framework's random state: numbers, strings and NumPy arrays by name. Only an adapter that has random
        numbers of its own (``random_uniform``) needs this and the next.

        Raises:
            NotSupportedError: it cannot be read.
        """
        if self.function("random_uniform") is not None:
            raise not_supported(self, "um.get_rng_state")
        return {}

    def set_rng_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what ``rng_state`` returned, in this process or another.

        Raises:
            ArgumentError, NotSupportedError: it cannot be set.
        """
        if state:
            raise not_supported(self, "um.set_rng_state")

    # ------------------------------------------------------------------ defaults that may stand
    def accelerate(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        """A faster version of ``fn``, a pure function of tensors and Python scalars that is called often with the same
        shapes (an optimiser's update rule).
        """
        return fn

    def foreach(self) -> Any:
        """An object (a module, say) with the functions of ``unimodule.optim.foreach.Foreach`` on lists of tensors, where
        the framework is quicker with lists, or None. Those that end in ``_`` may write into their first list, which can
        hold ``stop_gradient`` of a variable: a function that does so returns the same tensors, and the variable has then
        the new values.
        """
        return None

    def full_precision(self) -> AbstractContextManager[None]:
        """A ``with`` block in which float32 products are computed in full float32, where hardware or framework would
        round their operands (TF32, bfloat16). Comparisons run inside it. It restores what it found; it may be
        process-wide. Does nothing by default.
        """
        return nullcontext()

    def compile(
        self, fn: Callable[[list[Tensor]], list[Tensor]], **options: Any
    ) -> Callable[[list[Tensor]], list[Tensor]]:
        """A compiled version of ``fn``, a pure function of a list of tensors, by the framework's own compiler.

        The core makes one for each signature: all its calls have lists of the same length, shapes, dtypes and devices.
        ``fn`` itself runs once, at the first call, on tracers or on example values; what it returned then is not kept.
        The compiled function is differentiable where ``fn`` is (under ``value_and_grad`` and under the framework's own
        tape), may be called inside another compiled one, bakes none of the listed tensors in, and draws fresh random
        numbers from this backend's state on each call. ``options`` are the native compiler's. A backend without a
        compiler returns ``fn``. After its first call the result may have an attribute ``native``, a function of the
        same tensors as separate arguments, which saves what stands between the core and the compiled code.

        Raises:
            CompileError: at the first call, where ``fn`` reads a tensor's value or cannot be recorded faithfully.
        """
        return fn

    def vmap(
        self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor], axes: list[int]
    ) -> list[Tensor]:
        """``fn`` of each slice of ``values``, each along its own of ``axes`` (not negative; their sizes agree), with its
        results stacked along a new first axis. ``fn`` may close over tensors; random numbers differ between slices; all of
        it is differentiable. ``fn`` may be called more than once.

        Raises:
            NotSupportedError: the framework has no such thing.
        """
        raise not_supported(self, "um.vmap", "use ops.map")

    def checkpoint(self, fn: Callable[[list[Tensor]], list[Tensor]], values: list[Tensor]) -> list[Tensor]:
        """``fn(values)``, computed again in the backward pass, which keeps nothing of it but ``values``. ``fn`` may close
        over tensors, which get gradients too, and its random numbers are the same both times.

        Raises:
            NotSupportedError: the framework has no such thing.
        """
        raise not_supported(self, "um.checkpoint")

    def rounded(self, x: Tensor, dtype: str) -> Tensor:
        """``x``, a float32 tensor, rounded to values that ``dtype``, "float16" or "bfloat16", has; it stays float32. The
        gradient is rounded on its way back. Needed where ``dtype`` is not in ``float_dtypes``.
        """
        cast = self.functions["astype"]
        return cast(cast(x, dtype), "float32")

    def call_host(
        self,
        fn: Callable[..., np.ndarray[Any, Any]],
        tensors: list[Tensor],
        shape: tuple[int, ...],
        dtype: str,
    ) -> Tensor | None:
        """``fn`` of the tensors as NumPy arrays, on the host, whenever the computation runs: for numbers that a compiled
        program is to draw anew each time and that its framework cannot compute. No gradient goes through. None where the
        framework needs no such thing; then they are computed by ops.
        """
        return None

    def is_trace_error(self, error: BaseException) -> bool:
        """Whether a native error says that the value of a tensor was asked for while its computation was traced."""
        return False

    def check_indices(self, indices: Tensor, size: int, low: int = 0) -> None:
        """Raise ``OutOfRangeError`` unless ``low <= i < size`` for every index. Called before a gather, eagerly. May do
        nothing for tensors without a value, or on accelerators, where the look would stall the device.
        """
        if not self.is_concrete(indices) or self.device(indices) != "cpu":
            return
        host = self.to_numpy(indices)
        if host.size and not (low <= host.min() and host.max() < size):
            bad = host.min() if host.min() < low else host.max()
            raise OutOfRangeError(f"index {int(bad)} is out of range: expected {low} <= index < {size}")

    def function(self, name: str) -> Callable[..., Any] | None:
        """The adapter's function for an op, or None where the default composition is to be used."""
        return self.functions.get(name)


REQUIRED: dict[str, str] = {
    # elementwise, one tensor; float tensors only, but where it says otherwise
    **dict.fromkeys(
        "exp expm1 log log1p sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf".split(),
        "(x) -> x's dtype",
    ),
    **dict.fromkeys(["abs", "negative", "sign"], "(x) of any numeric dtype -> x's dtype; sign of NaN is NaN"),
    **dict.fromkeys(
        ["floor", "ceil", "round"], "(x) float (the core answers for integers); round half to even"
    ),
    "isnan": "(x) float -> bool",
    "logical_not": "(x) bool -> bool",
    "bitwise_invert": "(x) integer or bool -> same",
    # elementwise, two tensors of one dtype, or one and a Python scalar on either side; broadcasting
    **dict.fromkeys("add subtract multiply".split(), "(x1, x2) numeric -> same dtype"),
    "divide": "(x1, x2) float -> same dtype",
    "pow": "(x1, x2) numeric; gradients finite at base 0 where the exponent is >= 1",
    **dict.fromkeys(
        ["floor_divide", "remainder"],
        "(x1, x2) rounds towards -inf, remainder has the sign of x2 (Python's // and %)",
    ),
    **dict.fromkeys(["maximum", "minimum"], "(x1, x2) numeric; NaN wins; ties share the gradient"),
    "atan2": "(x1, x2) float",
    **dict.fromkeys(["equal", "less"], "(x1, x2) any dtype -> bool; NaN equals nothing"),
    **dict.fromkeys(["logical_and", "logical_or"], "(x1, x2) bool -> bool"),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), "(x1, x2) integer or bool"),
    **dict.fromkeys(
        ["bitwise_left_shift", "bitwise_right_shift"], "(x1, x2) integer; right shift keeps the sign"
    ),
    "where": "(condition, x1, x2) bool and two tensors of one dtype (never scalars); broadcasting",
    # reductions; axis is None, an integer or a tuple of integers, negative ones allowed; None is all axes
    **dict.fromkeys(
        ["sum", "prod"],
        "(x, *, axis=None, keepdims=False) numeric -> x's dtype (the core has cast small integers up)",
    ),
    **dict.fromkeys(
        ["max", "min"], "(x, *, axis=None, keepdims=False) numeric; NaN wins; ties share the gradient"
    ),
    **dict.fromkeys(["all", "any"], "(x, *, axis=None, keepdims=False) bool -> bool"),
    **dict.fromkeys(
        ["argmax", "argmin"], "(x, *, axis=None, keepdims=False) -> int64; first of equals; NaN wins"
    ),
    **dict.fromkeys(
        ["cumulative_sum", "cumulative_prod"], "(x, *, axis) -> x's dtype; axis is an integer; inclusive"
    ),
    "argsort": "(x, *, axis=-1, descending=False) -> int64; always stable; NaN sorts last ascending",
    # shape
    "reshape": "(x, shape) shape is a tuple of integers without -1",
    "permute_dims": "(x, axes)",
    "broadcast_to": "(x, shape)",
    "concat": "(arrays, *, axis=0) a list of tensors of one dtype; axis is an integer",
    "flip": "(x, *, axis=None)",
    "pad": "(x, widths, *, value=0.0) widths: one (before, after) pair of non-negative integers for each axis",
    # indexing; indices are integer tensors, already checked to be in range
    "getitem": "(x, key) key: a tuple of integers, slices (step > 0), None and ...; what x[key] is in NumPy",
    "take": "(x, indices, *, axis) indices of any shape replace the axis; gradients add up over repeats",
    "take_along_axis": "(x, indices, *, axis=-1) indices of x's rank, broadcast against x on the other axes",
    # the rest
    "matmul": "(x1, x2) numeric, one dtype; 1-D and batched operands as in the array API",
    "astype": "(x, dtype) differentiable from float to float; a float becomes an integer towards zero",
    "stop_gradient": "(x) the same values, cut off from any tape",
}
"""Op name -> signature and meaning. An adapter provides every one of these."""

OPTIONAL: dict[str, str] = {
    # spatial arguments are tuples with one entry for each spatial axis; x is (N, C, *spatial) for all ranks 1 to 3
    "linear": "(x, weight, bias) x (..., in), weight (out, in), bias (out,) or None",
    "conv": "(x, weight, bias, stride, padding, dilation, groups) weight (out, in/groups, *kernel); padding: a "
    "(before, after) pair of zeros for each axis",
    "conv_transpose": "(x, weight, bias, stride, padding, output_padding, dilation, groups) weight "
    "(in, out/groups, *kernel); padding: one integer for each axis",
    "max_pool": "(x, kernel, stride, padding, dilation, ceil_mode) pads with -inf; PyTorch's output size",
    "max_pool_with_indices": "as max_pool -> (values, int64 flat index into the spatial axes of x)",
    "avg_pool": "(x, kernel, stride, padding, ceil_mode, count_include_pad, divisor_override)",
    "adaptive_avg_pool": "(x, output_size)",
    "batch_norm": "(x, mean, var, weight, bias, eps) normalises axis 1 with given statistics; weight, bias may be None",
    "batch_norm_train": "(x, weight, bias, eps) -> (y, mean, biased variance over all axes but 1); only y need "
    "be differentiable",
    "layer_norm": "(x, normalized_shape, weight, bias, eps) over the last axes; weight, bias may be None",
    "group_norm": "(x, num_groups, weight, bias, eps) weight, bias are (C,) or None",
    "dropout": "(x, p) with 0 < p < 1: zero with probability p, scale the rest by 1 / (1 - p); a fresh mask each call",
    "embedding": "(indices, weight) rows of weight; indices already checked",
    "split": "(x, sizes, *, axis) -> a list of tensors; axis >= 0, sizes add up to x's and may be 0",
    "relu": "(x)",
    "sigmoid": "(x)",
    "silu": "(x)",
    "gelu": "(x, approximate) approximate is 'none' (erf) or 'tanh'",
    "elu": "(x, alpha)",
    "leaky_relu": "(x, negative_slope)",
    "softplus": "(x, beta, threshold) x itself where beta * x > threshold",
    **dict.fromkeys(["softmax", "log_softmax"], "(x, axis) NaN where a whole slice is -inf, as in PyTorch"),
    "logsumexp": "(x, *, axis=None, keepdims=False)",
    "scaled_dot_product_attention": "(q, k, v, mask, dropout_p, is_causal, scale) q (..., L, E), k (..., S, E), "
    "v (..., S, Ev), equal leading axes; mask None, bool (True takes part) or float (added); 0 <= dropout_p < 1; scale is "
    "a float",
    "lstm": "(x, h0, c0, weights, num_layers, bidirectional, dropout) x (T, N, I), h0 and c0 (layers * directions, N, "
    "...); weights: for each layer and direction a tuple (w_ih, w_hh, b_ih or None, b_hh or None, w_hr or None) in "
    "PyTorch's gate order; 0 <= dropout < 1, 0 outside training -> (y, h, c)",
    "gru": "(x, h0, weights, num_layers, bidirectional, dropout) as lstm -> (y, h)",
    "lstm_layer": "(x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, reverse) one direction of one layer -> (y, h, c)",
    "gru_layer": "(x, h0, w_ih, w_hh, b_ih, b_hh, reverse) -> (y, h)",
    "random_uniform": "(shape, dtype, device) in [0, 1), from the framework's random state; without it all random "
    "numbers come from unimodule's own generator",
}
"""Ops of neural networks whose default composition an adapter will want to override. Any other public op may be too."""

CONTROL_FLOW: dict[str, str] = {
    "cond": "(pred, true_fn, false_fn, operands) pred a bool tensor without axes, operands a list of tensors; the functions "
    "go from such a list to a list of tensors, of the same shapes and dtypes; only one of the two may be computed",
    "while_loop": "(cond_fn, body_fn, values, max_iters) values a list of tensors; cond_fn(values) -> bool tensor without "
    "axes; body_fn(values) -> a like list; max_iters an integer or None",
    "scan": "(f, carry, xs, length, reverse) f(carry, x) -> (carry, ys), all lists of tensors, x a slice of each of xs along "
    "its first axis, which has length >= 1 -> (carry, ys stacked along a new first axis)",
}
"""Control flow on values that are not known (``is_concrete`` is False): what the framework's compiler has of it. Known
values go through Python. The functions given may close over tensors, which get gradients too; an error that they raise
goes through as it is. Where an adapter has none: a scan is unrolled, a while_loop too if it has max_iters (each step kept
by a ``where``), and the rest is ``CompileError``.
"""


def check_int32(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``array`` of 64-bit integers as 32-bit ones, for frameworks that compute in 32 bits.

    Raises:
        IntegerRangeError: a value does not fit.
    """
    target = np.dtype("uint32" if array.dtype.kind == "u" else "int32")
    limits = np.iinfo(target)
    if array.size and (array.max() > limits.max or array.min() < limits.min):
        bad = array.max() if array.max() > limits.max else array.min()
        raise IntegerRangeError(
            f"{int(bad)} does not fit {target.name}, in which this backend carries {array.dtype}"
        )
    return array.astype(target)


@contextmanager
def without_greeting(pattern: bytes) -> Iterator[None]:
    """Keep lines that match a regular expression off stderr while a framework's libraries are loaded.

    They write to the file descriptor, and no setting keeps them from it. What comes there is held back and written
    afterwards, without those lines.
    """
    import tempfile  # only here, to keep importing unimodule light

    try:
        sys.stderr.flush()
        real = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            if rest := re.sub(rb"(?m)^(" + pattern + rb").*\n?", b"", held.read()):
                os.write(2, rest)


def not_supported(backend: Backend, what: str, instead: str = "") -> NotSupportedError:
    """The error with which an adapter declares a limit: it names the backend and, where there is one, the way out."""
    return NotSupportedError(
        f"backend {backend.info.name!r} does not support {what}{'; ' + instead if instead else ''}"
    )


__all__ = [
    "CONTROL_FLOW",
    "OPTIONAL",
    "REQUIRED",
    "Backend",
    "BackendInfo",
    "Tensor",
    "check_int32",
    "dtypes",
    "not_supported",
    "without_greeting",
]
