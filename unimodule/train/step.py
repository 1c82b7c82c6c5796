"""train_step: forward, loss, backward and update in one call, as one native program where the backend compiles.

The compiled form is in ``_compiled``; here is what surrounds it: how a call finds its program, the eager form, and how
results are written once a step has gone well.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import numpy as np

from .. import dtypes, ops
from .._changes import changes
from ..backend import Backend, Tensor
from ..errors import ArgumentError, CompileError, StateDictError
from ..nn._calling import recorder
from ..nn.module import Module
from ..nn.parameter import Parameter
from ..optim import Optimizer
from ..optim._checks import check_range
from ..optim._kept import Kept
from ..registry import find_backend
from ..transforms.functional import (
    assignments,
    common_backend,
    leaves,
    materialize,
    prepare,
    with_values,
)
from ..transforms.gradient import Gradients
from ._compiled import Call, Entry, Outcome, Programs
from ._course import Course
from ._plan import commit, put_back
from ._precision import LOW
from ._recipe import Gradient, Recipe, accumulated, all_finite
from .loss_scale import LossScale


class TrainStep:
    """What ``train_step`` returns: a callable that trains on one batch and gives its loss.

    Attributes:
        net: the net that it trains.
        optimizer: the optimiser that it steps.
        pending: how many batches have been accumulated since the last update.
        loss_scale: what the loss is multiplied by in float16, a ``LossScale``, or None.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> step = um.train_step(net, um.nn.MSELoss(), um.optim.SGD(net.parameters(), lr=0.1), accumulate=2)
        >>> _ = step(np.ones((3, 2), "float32"), np.ones((3, 1), "float32"))
        >>> step.pending
        1
    """

    def __init__(
        self,
        net: Module,
        loss: Callable[..., Any],
        optimizer: Optimizer,
        recipe: Recipe,
        compile: bool,
        options: dict[str, Any],
        loss_scale: LossScale | None = None,
    ) -> None:
        self.net, self.optimizer = net, optimizer
        self._nets = [net, loss] if isinstance(loss, Module) else [net]
        self._recipe, self._compile, self._compiles = recipe, compile, False
        self.loss_scale = loss_scale
        self._donates = bool(options.get("donate"))
        self._programs = Programs(recipe, optimizer, options)
        self._sums: Gradient = {}
        self._lock = threading.Lock()
        self._version = (-1, -1)
        self._entries: dict[Hashable, Entry] = {}
        self._wanted: list[Parameter] = []
        self._backend: Backend | None = None
        self._kept: Kept | None = None
        self._course: Course | None = None
        self._device_of: Callable[[Tensor], str] | None = None
        self._tensor_types: set[type] = set()
        self.pending = 0

    def __call__(self, *batch: Any) -> Tensor:
        """Train on one batch.

        Args:
            *batch: the net's inputs, and last the target: NumPy or native, or nestings of them.

        Returns:
            The loss before the update, a native scalar.

        Raises:
            ArgumentError: there is no target, or no trainable parameter of the optimiser is the net's.
            CompileError: the net or the loss reads the value of a tensor.
        """
        if not batch:
            raise ArgumentError("a training step expected (*inputs, target), got nothing")
        if recorder.get() is not None:
            raise CompileError(
                "a training step cannot be part of a compiled function: it is compiled by itself"
            )
        with self._lock:
            course, backend = self._course, self._backend
            if course is not None and not course.stands(changes.count):
                course = self._course = None
            if backend is None or (course is None and self._version != self._current()):
                backend = self._look(batch)
            tensors: list[Tensor] = []
            key: list[Hashable] = []
            for item in batch:
                if type(item) is np.ndarray:
                    item = prepare((self.net, item), backend)[1]
                if type(item) not in self._tensor_types:
                    return self._step(backend, self._converted(backend, batch), [], ())
                tensors.append(item)
                key += (item.shape, item.dtype)
                if self._device_of is not None:
                    key.append(self._device_of(item))
            known = tuple(key)
            if course is not None and (entry := course.entries.get(known)) is not None:
                return entry.follow(course, tensors)
            return self._step(backend, tensors, tensors, known)

    def _converted(self, backend: Backend, batch: tuple[Any, ...]) -> list[Any]:
        """A batch of nestings, Python values, or tensors of types that were not seen before."""
        _, batch = prepare((self._nets, batch), backend)
        tensors = [leaf for leaf in leaves(batch) if find_backend(leaf) is backend]
        if not all(map(backend.outlives_trace, tensors)):
            raise CompileError(
                "a training step takes tensors with values, not those of another compiled function"
            )
        self._tensor_types |= {type(x) for x in tensors}
        return list(batch)

    def _step(
        self, backend: Backend, batch: list[Any], tensors: list[Tensor], key: tuple[Hashable, ...]
    ) -> Tensor:
        """A step on native tensors; ``key`` tells them apart, where they are a batch of nothing else."""
        last = self.pending + 1 == self._recipe.accumulate
        if not self._compiles:
            return self._eager(backend, batch, last)
        course, self._course = self._course, None  # until this step has gone well
        kept, self._kept = self._kept if course is None else course.kept, None
        updates = None
        if last:
            again = self.optimizer.again() if kept is not None and self.optimizer._kept is kept else None
            updates = again or self.optimizer.packed(self.optimizer.updates(self._wanted))
        scale = None if self.loss_scale is None else self.loss_scale.scale
        call = Call(backend, self._nets, batch, self._wanted, self._sums, updates, scale)
        entry, full = None, (*key, call.signature())
        if key:
            entry = self._entries.get(full)
        if entry is not None:
            outcome = entry(call, tensors)
        else:
            entry, outcome = self._programs(call)
        for variable, value in outcome.buffers:
            variable.write(value)
        if updates is not None:
            if self._may_update(outcome.finite):
                self._kept = commit(self.optimizer, updates, outcome.results, outcome.slots)
            elif self._donates:
                put_back(self.optimizer, updates, outcome.results, outcome.slots)
        self._count(last, {id(p): s for p, s in zip(self._wanted, outcome.results, strict=False)})
        if key:
            self._entries[full] = entry
            if self._kept is not None and self._recipe.accumulate == 1 and scale is None:
                self._set_course(course, call, key, entry, outcome, self._kept)
        return outcome.loss

    def _set_course(
        self,
        course: Course | None,
        call: Call,
        key: Hashable,
        entry: Entry,
        outcome: Outcome,
        kept: Kept,
    ) -> None:
        """Have the next steps follow this one."""
        assert call.updates is not None
        if course is None:
            course = Course(self.optimizer, kept.updates, call.signature(), kept, self._version[0])
        elif call.signature() == course.signature:
            course.went_on(kept)
        entry.learn(call, outcome)
        course.entries[key] = entry
        self._course, self._kept = course, None  # the course has it, and the later ones

    def _eager(self, backend: Backend, batch: list[Any], last: bool) -> Tensor:
        """The step as it is written, on functional clones: buffers and all are written at the end."""
        clones, pairs = with_values(self._nets, {})
        scale = None
        if self.loss_scale is not None:
            scale = backend.from_numpy(np.asarray(self.loss_scale.scale), "float32", self.net.device or "cpu")
        loss, found = self._recipe.gradients(clones, batch, scale)
        assigned = assignments(pairs, {})  # before a step parts the originals from the clones
        gradients = accumulated(self._sums, {id(p): found[id(p)] for p in self._wanted})
        if last and self._wanted:
            finished = self._recipe.finish(list(gradients.values()), scale)
            handles = {str(i): p for i, p in enumerate(self._wanted)}
            if self._may_update(None if scale is None else all_finite(finished)):
                self.optimizer.step(Gradients(handles, finished))
        for assignment in assigned:
            assignment.carry_out()
        self._count(last, gradients)
        return loss

    def _may_update(self, finite: Tensor | None) -> bool:
        """Whether gradients are good for an update; the scale of the loss changes accordingly. Reading that waits for the
        device, as ``torch.amp.GradScaler`` does: how often the optimiser has stepped must be known.
        """
        if self.loss_scale is None or finite is None:
            return True
        good = bool(ops.item(finite))
        self.loss_scale.update(overflow=not good)
        return good

    def _count(self, last: bool, sums: Gradient) -> None:
        """Be done with a batch."""
        self.pending = 0 if last else self.pending + 1
        self._sums = {} if last else sums

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """What the next call depends on beside net, loss and optimiser: how many batches have been accumulated, and the
        sums of their gradients, as NumPy arrays by the parameter's number among the optimiser's.
        """
        with self._lock:
            sums: dict[int, np.ndarray[Any, Any]] = {}
            for number, p in enumerate(self.optimizer._handles()):
                if (value := self._sums.get(id(p))) is not None:
                    backend = find_backend(value)
                    assert backend is not None
                    sums[number] = backend.to_numpy(value)
            scale = None if self.loss_scale is None else self.loss_scale.state_dict()
            return {"pending": self.pending, "sums": sums, "loss_scale": scale}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave, of a step on any backend.

        Raises:
            StateDictError: it does not fit; the step is as it was.
        """
        handles = self.optimizer._handles()
        try:
            pending, given = int(state["pending"]), {int(k): np.asarray(v) for k, v in state["sums"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateDictError(
                f"the state of a training step expected pending and sums: {error}"
            ) from error
        if not 0 <= pending < self._recipe.accumulate:
            raise StateDictError(
                f"{pending} batches are accumulated, this step has accumulate={self._recipe.accumulate}"
            )
        for number, value in given.items():
            shape = handles[number].shape if 0 <= number < len(handles) else ()
            if len(shape) != value.ndim or any(
                n not in (None, m) for n, m in zip(shape, value.shape, strict=True)
            ):
                raise StateDictError(
                    f"the sum of gradients {number}, of shape {value.shape}, fits no parameter"
                )
        with self._lock:
            if self.loss_scale is not None and state.get("loss_scale") is not None:
                self.loss_scale.load_state_dict(state["loss_scale"])
            self.pending = pending
            self._sums = {id(handles[number]): value for number, value in given.items()}
            self._version = (-1, -1)  # the next call brings the sums to where the net is

    # ------------------------------------------------------------------ once for each state of the modules
    def _current(self) -> tuple[int, int]:
        """Stands still as long as neither any module nor the optimiser's list of parameters changes."""
        return changes.count, sum(len(group["params"]) for group in self.optimizer.param_groups)

    def _look(self, batch: tuple[Any, ...]) -> Backend:
        """See to it that the nets are bound, have their parameters, and stand together; take note of what they are."""
        net, *rest = self._nets
        for loss in rest:  # follows the net
            if net.backend is not None and (loss.backend, loss.device) != (net.backend, net.device):
                dtype = net.dtype if loss.backend is None else None
                loss.to(net.backend, device=net.device, dtype=dtype)
        backend = common_backend((self._nets, batch))
        native = self._converted(backend, batch)  # binds the nets, too
        materialize(self._recipe.objective, (self._nets, native), {})
        own = {id(p) for part in self._nets for p in part.parameters()}
        handles = [p for group in self.optimizer.param_groups for p in group["params"] if p.requires_grad]
        self._wanted = [p for p in handles if id(p) in own]
        if handles and not self._wanted:
            raise ArgumentError(
                f"no parameter of this {type(self.optimizer).__name__} belongs to the net or the loss"
            )
        self._sums = {
            id(p): self._moved(backend, p, self._sums[id(p)]) for p in self._wanted if id(p) in self._sums
        }
        self._compiles = self._compile and type(backend).compile is not Backend.compile
        self._backend, self._entries, self._version = backend, {}, self._current()
        self._course = None
        self._kept = self.optimizer.following(self._wanted)
        self._device_of = backend.device if len(backend.devices()) > 1 else None
        return backend

    def _moved(self, backend: Backend, parameter: Parameter, value: Tensor) -> Tensor:
        """A sum of gradients where its parameter is now."""
        source = find_backend(value)
        assert source is not None
        home = (parameter.dtype, backend.device(parameter.data))
        if source is backend and (source.dtype(value), source.device(value)) == home:
            return value
        return backend.from_numpy(source.to_numpy(value), *home)


def train_step(
    net: Module,
    loss: Callable[..., Any],
    optimizer: Optimizer,
    *,
    compile: bool = True,
    accumulate: int = 1,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    dtype: Any = None,
    loss_scale: LossScale | None = None,
    **options: Any,
) -> TrainStep:
    """A function that trains a net on one batch: forward, loss, backward and update as one native program.

    ``step(*inputs, target)`` computes ``loss(net(*inputs), target)`` and its gradients, has the optimiser update its
    parameters, and returns the loss from before the update. On a backend with a compiler all of it is one compiled
    call, made anew for new shapes or dtypes, train or eval, other trainable parameters or optimiser options that change
    the rule. Learning rate, step count and the like are inputs: changing them costs nothing, and so does loading a
    state into net or optimiser. The NumPy reference runs as it is. A step that raises leaves net and optimiser as they
    were.

    Args:
        net: the net, in training mode unless you say otherwise.
        loss: a function or module of (output, target) that returns a scalar. A module follows the net to its backend,
            and its parameters are trained where the optimiser has them.
        optimizer: the optimiser, usually of ``net.parameters()``; parameters that it lacks stay as they are.
        compile: False runs every step eagerly, as one debugs it.
        accumulate: update once every so many calls, by the mean of their gradients.
        clip_norm: scale the gradients of the optimiser's parameters so that their common norm is at most this, as
            ``optim.clip_grad_norm`` does, after accumulation.
        clip_value: bring each element of the gradients into [-clip_value, clip_value], before ``clip_norm``.
        dtype: "bfloat16" or "float16" for mixed precision: products of matrices and convolutions run in it, with
            parameters, losses, softmax, norms, sums and all that the optimiser does in float32, as ``torch.autocast`` has
            it (``docs/training.md`` has the list).
        loss_scale: how the loss is scaled, so that small gradients do not vanish; by default, in float16 only,
            ``LossScale()``.
        **options: handed to the native compiler, as by ``um.compile``.

    Returns:
        The step. NumPy arrays in a batch are converted; floats take the net's dtype.

    Raises:
        ArgumentError: an argument is not what it is said to be above.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> step = um.train_step(net, um.nn.MSELoss(), um.optim.SGD(net.parameters(), lr=0.1), clip_norm=1.0)
        >>> x, y = np.ones((3, 2), "float32"), np.full((3, 1), 5.0, "float32")
        >>> first, second = float(step(x, y)), float(step(x, y))
        >>> second < first
        True
    """
    if not isinstance(net, Module):
        raise ArgumentError(f"train_step expected a net, got {type(net).__name__}")
    if not callable(loss) or isinstance(loss, type):
        raise ArgumentError(f"train_step expected loss to be a module or a function, got {loss!r}")
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(f"train_step expected an optimiser, got {type(optimizer).__name__}")
    if type(accumulate) is not int or accumulate < 1:
        raise ArgumentError(f"accumulate expected a whole number >= 1, got {accumulate!r}")
    for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if limit is not None:
            check_range(name, limit, 0.0)
    low = None if dtype is None else dtypes.canonical(dtype)
    if low not in (None, "float32", *LOW):
        raise ArgumentError(f"dtype expected 'bfloat16', 'float16' or None, got {dtype!r}")
    low = low if low in LOW else None
    if loss_scale is not None and not isinstance(loss_scale, LossScale):
        raise ArgumentError(f"loss_scale expected a LossScale or None, got {loss_scale!r}")
    if loss_scale is None and low == "float16":
        loss_scale = LossScale()
    function = None if isinstance(loss, Module) else loss
    recipe = Recipe(function, accumulate, clip_norm, clip_value, low)
    return TrainStep(net, loss, optimizer, recipe, compile, options, loss_scale)
