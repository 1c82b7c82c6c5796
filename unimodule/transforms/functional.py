"""functional_call, and what it shares with the gradients: clones of nets that hold given values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import _draws, dtypes, registry
from ..backend import Backend, Tensor
from ..errors import ArgumentError, BackendMismatchError, NotSupportedError, ShapeError, StateDictError
from ..nn._state import named_state
from ..nn.module import Module, clones_only
from ..nn.parameter import Buffer, Parameter, Variable
from ..registry import find_backend, get_backend

Tree = Any
"""A tensor, or any nesting of tuples, lists and dicts of them, with whatever else between."""


def map_tree(fn: Callable[[Any], Any], tree: Tree) -> Tree:
    """Apply ``fn`` to the leaves of nested tuples, lists and dicts; keeps named tuples."""
    if isinstance(tree, tuple):
        items = [map_tree(fn, item) for item in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else tuple(items)
    if isinstance(tree, list):
        return [map_tree(fn, item) for item in tree]
    if isinstance(tree, dict):
        mapped = {key: map_tree(fn, value) for key, value in tree.items()}
        return tree.with_values(mapped) if hasattr(tree, "with_values") else mapped
    return fn(tree)


def leaves(tree: Tree) -> list[Any]:
    """The leaves of nested tuples, lists and dicts."""
    found: list[Any] = []
    map_tree(found.append, tree)
    return found


def common_backend(args: Tree) -> Backend:
    """The backend in which a call with these arguments runs: that of its bound nets and native tensors, else the default.

    Raises:
        BackendMismatchError: they are of two backends.
    """
    names: dict[str, None] = {}
    for leaf in leaves(args):
        if isinstance(leaf, Module):
            if (home := leaf._home()) is not None:
                names[str(home.backend)] = None
        elif not isinstance(leaf, np.ndarray | np.generic) and (backend := find_backend(leaf)) is not None:
            names[backend.info.name] = None
    if len(names) > 1:
        raise BackendMismatchError(
            f"nets and tensors of {' and '.join(names)} met in one call; move one with net.to(...) or um.convert"
        )
    return get_backend(next(iter(names), None) or registry.current_backend())


def prepare(args: Tree, backend: Backend) -> Tree:
    """The arguments with unbound nets bound to ``backend`` and NumPy arrays converted to it."""
    nets = [leaf for leaf in leaves(args) if isinstance(leaf, Module)]
    for net in nets:
        if net.backend is None:
            net.to(backend.info.name)
    device = next((net.device for net in nets if net.device is not None), "cpu")
    float_dtype = nets[0].dtype if nets else None

    def convert(leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray | np.generic):
            return leaf
        array = np.asarray(leaf)
        kind = dtypes.canonical(array.dtype)
        dtype = float_dtype if float_dtype is not None and dtypes.is_floating(kind) else kind
        if find_backend(array) is backend and dtype == kind:
            return array
        return backend.from_numpy(array, dtype, device)

    return map_tree(convert, args)


def with_values(args: Tree, values: Mapping[int, Tensor]) -> tuple[Tree, list[tuple[Module, Module]]]:
    """``args`` with each net replaced by a functional clone that holds ``values`` (id of a handle -> tensor), and the
    pairs of original and cloned modules.
    """
    memo: dict[int, Module] = {}
    nets = {id(leaf): leaf for leaf in leaves(args) if isinstance(leaf, Module)}
    cloned = map_tree(
        lambda leaf: leaf.functional_clone(values, memo) if isinstance(leaf, Module) else leaf, args
    )
    pairs: dict[int, tuple[Module, Module]] = {}
    for net in nets.values():
        for module in net.modules():
            pairs[id(module)] = (module, memo[id(module)])
    return cloned, list(pairs.values())


class Assignment(NamedTuple):
    """A variable that a functional clone's forward assigned: ``module.name`` is to become ``value``."""

    module: Module
    name: str
    variable: Variable
    value: Tensor

    def carry_out(self) -> None:
        """Give the original module the value: into its variable, or, where it is itself a clone inside an outer
        functional call, into that clone alone.
        """
        if self.module._functional:
            self.module.__dict__[self.name] = self.value
        else:
            self.variable.write(self.value)


def assignments(pairs: Iterable[tuple[Module, Module]], values: Mapping[int, Tensor]) -> list[Assignment]:
    """What the forward of functional clones assigned; ``pairs`` and ``values`` as for ``with_values``."""
    found: dict[int, Assignment] = {}
    for original, clone in pairs:
        for name, variable in original._variables.items():
            before = values.get(id(variable), original.__dict__[name])
            after = clone.__dict__[name]
            if after is not before and after is not variable and isinstance(variable, Buffer | Parameter):
                found[id(variable)] = Assignment(original, name, variable, after)
    return list(found.values())


def holders(pairs: Iterable[tuple[Module, Module]], values: Mapping[int, Tensor]) -> list[Module]:
    """The original modules with a variable in ``values``: calling them instead of their clones would go past it."""
    return [original for original, _ in pairs if any(id(v) in values for v in original._variables.values())]


def held_values(net: Module) -> dict[int, Tensor]:
    """The tensor that each variable of a net has now, by the id of its handle: in a functional clone, the clone's."""
    values: dict[int, Tensor] = {}
    for module in net.modules():
        for name, variable in module._variables.items():
            values.setdefault(id(variable), module.__dict__[name])
    return values


def call_net(net: Module, *args: Any, **kwargs: Any) -> Any:
    """``net(*args, **kwargs)``, as a function of the net too."""
    return net(*args, **kwargs)


def materialize(fn: Callable[..., Any], args: Tree, kwargs: Any) -> None:
    """Give lazy parameters their shapes and values by one run of ``fn`` on clones; buffers stay as they are."""
    nets = [leaf for leaf in leaves((args, kwargs)) if isinstance(leaf, Module)]
    if any(module._lazy for net in nets for module in net.modules()):
        (cloned_args, cloned_kwargs), pairs = with_values((args, kwargs), {})
        with _draws.untouched(), _generator_kept(common_backend((args, kwargs))):
            fn(*cloned_args, **cloned_kwargs)
        for original, clone in pairs:
            original.learn_shapes(clone)


@contextmanager
def _generator_kept(backend: Backend) -> Iterator[None]:
    """The framework's own generator stands where it stood at the end of the block, where it can be read: a run that only
    finds shapes moves no later mask.
    """
    try:
        state = backend.rng_state()
    except NotSupportedError:
        yield
        return
    yield
    backend.set_rng_state(state)


def functional_call(
    net: Module, state: Mapping[str, Tensor], *args: Any, **kwargs: Any
) -> tuple[Any, dict[str, Tensor]]:
    """Call a net as a pure function of its state: ``y, new_state = f(state, inputs)``.

    The net is not touched: a shallow clone of its modules holds the given tensors and runs ``forward``. Works under the
    framework's own transformations (``jax.jit``, ``torch.func``, a gradient tape).

    Args:
        net: a net; it is bound to the backend of ``state`` if it is not bound yet.
        state: dotted name -> native tensor, as ``state_dict`` has them. Names that are left out keep the net's values.
        *args: inputs of the net; NumPy arrays are converted.
        **kwargs: further inputs.

    Returns:
        The output, and ``state`` with the buffers that the call changed.

    Raises:
        StateDictError: a name is not one of the net's.
        ShapeError: a tensor has another shape than the parameter.
        BackendMismatchError: state, net and inputs are not of one backend.

    Source: PyTorch ``torch.func.functional_call``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> state = {"weight": np.ones((1, 2), "float32"), "bias": np.zeros(1, "float32")}
        >>> y, _ = um.functional_call(net, state, np.array([[1.0, 2.0]], "float32"))
        >>> y.tolist()
        [[3.0]]
    """
    if not isinstance(net, Module):
        raise ArgumentError(f"functional_call expected a Module, got {type(net).__name__}")
    backend = common_backend((net, dict(state), args, kwargs))
    args, kwargs = prepare((net, args, kwargs), backend)[1:]
    materialize(lambda net, *a, **k: net(*a, **k), (net, *args), kwargs)
    known = dict(named_state(net)) | dict(net.named_variables())
    unknown = [name for name in state if name not in known]
    if unknown:
        raise StateDictError(f"functional_call: {type(net).__name__} has no {', '.join(unknown)}")
    values: dict[int, Tensor] = {}
    for name, value in state.items():
        variable = known[name]
        foreign = find_backend(value) is not backend or dtypes.canonical(value.dtype) != variable.dtype
        if isinstance(value, np.ndarray | np.generic) and foreign:
            value = backend.from_numpy(np.asarray(value), variable.dtype, net.device or "cpu")
        if backend.shape(value) != variable.shape:
            raise ShapeError(
                f"functional_call: {name} expected shape {variable.shape}, got {backend.shape(value)}"
            )
        values[id(variable)] = value
    clone, pairs = with_values(net, values)
    with clones_only(holders(pairs, values)):
        output = clone(*args, **kwargs)
    new = {id(a.variable): a.value for a in assignments(pairs, values)}
    names = {
        name: variable for name, variable in known.items() if name in state or isinstance(variable, Buffer)
    }
    return output, {
        name: new.get(id(variable), values.get(id(variable)))
        for name, variable in names.items()
        if id(variable) in new or id(variable) in values
    }
