"""One net on one backend: everything that is compared, as NumPy arrays.

A net is run in up to four phases: ``forward`` (one call), ``gradient`` (of a loss or projection), ``buffers`` (one call in
training mode, where the comparison is in evaluation mode) and ``steps`` (training). ``Runner`` holds the native functions
of one net, eager or compiled, so that the same functions can be timed; ``measure`` runs one phase and collects arrays.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops, optim
from ..nn.module import Module
from ..registry import find_backend, get_backend
from ..train import TrainStep, train_step
from ..transforms import compile as compile_function
from ..transforms.functional import Tree, map_tree, prepare
from ..transforms.gradient import value_and_grad

Array = np.ndarray[Any, Any]

OUTPUT, LOSS, INPUT_GRADIENT, PARAMETER_GRADIENT, BUFFER, STEP_LOSS, TRAINED, TRAINED_BUFFER = KINDS = (
    "output",
    "loss",
    "input gradient",
    "parameter gradient",
    "buffer",
    "step loss",
    "trained parameter",
    "trained buffer",
)
"""What is compared, in the order in which reports show it."""

FORWARD, GRADIENT, BUFFERS, STEPS = PHASES = ("forward", "gradient", "buffers", "steps")


class Key(NamedTuple):
    """Names one array: its kind, and which one of that kind (``""`` where there is only one)."""

    kind: str
    name: str


Values = dict[Key, Array]


@dataclasses.dataclass(frozen=True)
class Case:
    """What every backend is given: the same numbers, on the host.

    Attributes:
        inputs: positional inputs of the net, nested as they are given.
        loss: ``loss(output, target)``, or ``loss(output)`` without a target; None for a random projection.
        target: what ``loss`` gets beside the output.
        seed: of the projection.
        steps: how many training steps are taken.
        optimizer: by which optimiser of ``unimodule.optim``.
        lr: its learning rate.
    """

    inputs: tuple[Any, ...]
    loss: Callable[..., Any] | None = None
    target: Tree = None
    seed: int = 0
    steps: int = 0
    optimizer: str = "SGD"
    lr: float = 0.01

    @property
    def floats(self) -> dict[str, Array]:
        """The float arrays among the inputs, by their place: gradients are taken with respect to these."""
        return {path: leaf for path, leaf in flatten(self.inputs) if is_float(leaf)}


# ---------------------------------------------------------------------- running
class Runner:
    """The native functions of one net and what it is given.

    Args:
        net: a bound net; training steps change it.
        case: what it is given.
        compiled: whether the functions are compiled.
    """

    def __init__(self, net: Module, case: Case, compiled: bool = False) -> None:
        self.net, self.case, self.compiled = net, case, compiled
        backend = get_backend(str(net.backend))
        self._loss = _beside(net, case.loss)
        _, self._inputs, self._target = prepare((net, case.inputs, case.target), backend)
        places = case.floats
        self._floats = [leaf for path, leaf in flatten(self._inputs) if path in places]
        self._rest = map_structure(lambda path, leaf: None if path in places else leaf, self._inputs)
        self._net = compile_function(net) if compiled else net
        both = value_and_grad(self._scalar, (0, 1))
        self._both = compile_function(both) if compiled else both
        self._step: TrainStep | None = None

    def forward(self) -> Tree:
        """The net's outputs."""
        return self._net(*self._inputs)

    def gradient(self) -> tuple[Any, tuple[dict[str, Any], list[Any]]]:
        """The loss, and its gradients with respect to parameters and float inputs.

        Raises:
            ShapeError, DtypeError: the loss is no floating scalar.
        """
        beside = self._loss if isinstance(self._loss, Module) else None
        found: tuple[Any, tuple[dict[str, Any], list[Any]]] = self._both(
            self.net, self._floats, self._rest, self._target, beside
        )
        return found

    def step(self) -> Any:
        """The loss of one training step."""
        if self._step is None:
            optimizer = getattr(optim, self.case.optimizer)(self.net.parameters(), lr=self.case.lr)
            loss = self._loss if isinstance(self._loss, Module) else _AsLoss(self.case)
            self._step = train_step(self.net, loss, optimizer, compile=self.compiled)
        return self._step(*self._inputs, self._target)

    def _scalar(self, net: Module, floats: list[Any], rest: Tree, target: Tree, beside: Any) -> Any:
        supplied = iter(floats)
        places = self.case.floats
        inputs = map_structure(lambda path, leaf: next(supplied) if path in places else leaf, rest)
        output = net(*inputs)
        return beside(output, target) if beside is not None else _AsLoss(self.case)(output, target)


@dataclasses.dataclass(frozen=True)
class _AsLoss:
    """A case's loss as a function of output and target: the function given, or the projection."""

    case: Case

    def __call__(self, output: Tree, target: Tree) -> Any:
        loss = self.case.loss
        if loss is None:
            return _projection(output, self.case.seed)
        return loss(output) if target is None else loss(output, target)


def _beside(net: Module, loss: Any) -> Any:
    """The loss, moved to where the net is if it is a module."""
    if not isinstance(loss, Module):
        return loss
    return loss.clone().to(net.backend, device=net.device, dtype=net.dtype)


def _projection(output: Tree, seed: int) -> Any:
    """A scalar that every element of every float output moves, each by a weight of its own: the sum of y * w."""
    total: Any = None
    for path, leaf in flatten(output):
        if not is_float_tensor(leaf):
            continue
        shape = ops.shape(leaf)
        rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
        weights = rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)
        short = weights.astype("float16").astype("float64")  # the same numbers whatever the dtype
        term = ops.sum(ops.multiply(leaf, ops.asarray(short, dtype=ops.dtype(leaf), like=leaf)))
        total = term if total is None else ops.add(total, term)
    return total


def set_mode(net: Module, training: bool, quiet: Iterable[str] = ()) -> Module:
    """Put a net in training or evaluation mode, and the modules at the paths ``quiet`` in evaluation mode; returns it."""
    net.train(training)
    for path in quiet:
        net.get_submodule(path).__dict__["training"] = False
    return net


# ---------------------------------------------------------------------- collecting
def measure(runner: Runner, phase: str) -> Values:
    """Run one phase of a net and collect what is compared.

    Args:
        runner: of a net in the mode that the phase is to run in. ``buffers`` and ``steps`` change the net's state, and so
            does ``forward`` in training mode.
        phase: one of ``PHASES``.
    """
    return {FORWARD: _forward, GRADIENT: _gradient, BUFFERS: _buffers, STEPS: _steps}[phase](runner)


def _forward(runner: Runner) -> Values:
    found = {Key(OUTPUT, path): array for path, array in arrays_of(runner.forward())}
    return {**found, **_state(runner.net, BUFFER)} if runner.net.training else found


def _buffers(runner: Runner) -> Values:
    runner.forward()
    return _state(runner.net, BUFFER)


def _gradient(runner: Runner) -> Values:
    value, (parameters, slopes) = runner.gradient()
    found = {} if runner.case.loss is None else {Key(LOSS, ""): ops.to_numpy(value)}
    for path, slope in zip(runner.case.floats, slopes, strict=True):
        found[Key(INPUT_GRADIENT, path)] = ops.to_numpy(slope)
    for name, slope in parameters.items():
        found[Key(PARAMETER_GRADIENT, name)] = ops.to_numpy(slope)
    return found


def _steps(runner: Runner) -> Values:
    losses = [ops.to_numpy(runner.step()) for _ in range(runner.case.steps)]
    found = {Key(STEP_LOSS, f"[{i}]"): loss for i, loss in enumerate(losses)}
    for name, parameter in runner.net.named_parameters():
        if parameter.requires_grad:
            found[Key(TRAINED, name)] = parameter.numpy()
    return {**found, **_state(runner.net, TRAINED_BUFFER)}


def _state(net: Module, kind: str) -> Values:
    return {Key(kind, name): buffer.numpy() for name, buffer in net.named_buffers()}


# ---------------------------------------------------------------------- nested structures
def flatten(tree: Tree, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested tuples, lists and dicts, each with its place: ``[0]['logits']``."""
    if isinstance(tree, tuple | list):
        fields = getattr(tree, "_fields", None)
        for i, item in enumerate(tree):
            yield from flatten(item, path + (f".{fields[i]}" if fields else f"[{i}]"))
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from flatten(item, f"{path}[{key!r}]")
    else:
        yield path, tree


def map_structure(fn: Callable[[str, Any], Any], tree: Tree) -> Tree:
    """The tree with ``fn(place, leaf)`` in the place of each leaf."""
    places = iter([path for path, _ in flatten(tree)])
    return map_tree(lambda leaf: fn(next(places), leaf), tree)


def is_float(leaf: Any) -> bool:
    """Whether a leaf is a NumPy array of floats."""
    return isinstance(leaf, np.ndarray) and dtypes.is_floating(dtypes.canonical(leaf.dtype))


def is_float_tensor(leaf: Any) -> bool:
    """Whether a leaf is a tensor of floats, of whatever backend."""
    return find_backend(leaf) is not None and dtypes.is_floating(ops.dtype(leaf))


def arrays_of(output: Tree) -> Iterator[tuple[str, Array]]:
    """What can be compared of an output: its tensors and Python numbers."""
    for path, leaf in flatten(output):
        if find_backend(leaf) is not None:
            yield path, ops.to_numpy(leaf)
        elif isinstance(leaf, bool | int | float):
            yield path, np.asarray(leaf)


def on_host(tree: Tree, float_dtype: str) -> Tree:
    """The tree with its tensors as NumPy arrays, floats rounded to ``float_dtype``: what every backend gets."""

    def take(leaf: Any) -> Any:
        if find_backend(leaf) is None:
            return leaf
        array = np.asarray(leaf) if isinstance(leaf, np.ndarray | np.generic) else ops.to_numpy(leaf)
        return array.astype(dtypes.to_numpy_dtype(float_dtype)) if is_float(array) else array

    return map_tree(take, tree)


__all__ = [
    "BUFFER",
    "BUFFERS",
    "FORWARD",
    "GRADIENT",
    "INPUT_GRADIENT",
    "KINDS",
    "LOSS",
    "OUTPUT",
    "PARAMETER_GRADIENT",
    "PHASES",
    "STEPS",
    "STEP_LOSS",
    "TRAINED",
    "TRAINED_BUFFER",
    "Array",
    "Case",
    "Key",
    "Runner",
    "Values",
    "arrays_of",
    "flatten",
    "is_float",
    "is_float_tensor",
    "map_structure",
    "measure",
    "on_host",
    "set_mode",
]
