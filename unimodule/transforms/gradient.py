"""value_and_grad and grad, over modules and tensors, in eager form.

Where the framework's tape watches live variables, the function runs on the nets as they are; elsewhere on functional
clones, and the buffers that they changed are written back, so that both leave a net in the same state.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .. import dtypes
from ..backend import Backend, Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ..nn.module import Module, clones_only
from ..nn.parameter import Parameter
from ..registry import find_backend
from .functional import (
    Assignment,
    assignments,
    common_backend,
    held_values,
    holders,
    leaves,
    map_tree,
    materialize,
    prepare,
    with_values,
)


class Gradients(dict[str, Tensor]):
    """The gradient of each trainable parameter of a net: dotted name -> native tensor.

    Attributes:
        parameters: the handle of each, by the same names, so that an optimiser finds its own whatever the names.
    """

    def __init__(self, parameters: dict[str, Parameter], gradients: Sequence[Tensor]) -> None:
        super().__init__(zip(parameters, gradients, strict=True))
        self.parameters = parameters

    def with_values(self, gradients: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> Gradients:
        """The same with other tensors, by the same names."""
        new = Gradients.__new__(Gradients)
        new.update(gradients)
        new.parameters = self.parameters
        return new


def value_and_grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns what ``fn`` returns and its gradient.

    Args:
        fn: a function of nets, tensors and anything else that returns a scalar tensor (``has_aux``: a pair of that and
            anything else).
        argnums: which positional arguments to differentiate with respect to: nets, tensors, or nested tuples, lists and
            dicts of them. NumPy arrays among all arguments are converted to the backend of the nets and tensors.
        has_aux: whether ``fn`` returns ``(loss, aux)``.

    Returns:
        A function of the same arguments. It returns ``(loss, gradient)``, or ``((loss, aux), gradient)`` with
        ``has_aux``. The gradient of a net is a dict, dotted name -> native tensor, with an entry for every trainable
        parameter, zeros where one took no part; of a tensor, a tensor; with several ``argnums``, a tuple. Buffers that
        ``fn`` changes are changed in the net, as in an ordinary call.

    Raises:
        ShapeError, DtypeError: ``fn`` did not return a floating scalar.
        ArgumentError: ``argnums`` names something that cannot be differentiated.

    Source: JAX ``jax.value_and_grad``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> net = um.nn.Linear(2, 1).to("numpy")
        >>> loss, grads = um.value_and_grad(lambda net, x: um.ops.sum(net(x)))(net, np.ones((3, 2), "float32"))
        >>> grads["weight"].tolist(), grads["bias"].tolist()
        ([[3.0, 3.0]], [3.0])
    """
    positions = _positions(argnums)

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if max(positions) >= len(args):
            raise ArgumentError(
                f"argnums={argnums} but the function was called with {len(args)} positional arguments"
            )
        backend = common_backend((args, kwargs))
        args, kwargs = prepare((args, kwargs), backend)
        materialize(fn, args, kwargs)
        targets = [args[i] for i in positions]
        values, parameters = _collect(targets, backend)

        def call(inner: list[Tensor]) -> tuple[Tensor, Any]:
            supplied = iter(inner)
            given = {id(p): next(supplied) for p in parameters}
            new_args = list(args)
            for i, target in zip(positions, targets, strict=True):
                new_args[i] = map_tree(
                    lambda leaf: leaf if not _is_target(leaf, backend) else next(supplied), target
                )
            pairs: list[tuple[Module, Module]] = []
            new_kwargs = kwargs
            if not backend.live_variables or any(_is_clone(leaf) for leaf in leaves((args, kwargs))):
                (new_args, new_kwargs), pairs = with_values((new_args, kwargs), given)
            with clones_only(holders(pairs, given)):
                result = fn(*new_args, **new_kwargs)
            loss, aux = result if has_aux else (result, None)
            _check_loss(loss, backend)
            made.extend(assignments(pairs, given))
            return loss, (aux, [a.value for a in made])

        made: list[Assignment] = []
        loss, (aux, assigned), gradients = backend.value_and_grad(call, values)
        for assignment, value in zip(made, assigned, strict=True):
            assignment._replace(value=value).carry_out()
        return ((loss, aux) if has_aux else loss), _arrange(targets, parameters, gradients, backend, argnums)

    return run


def grad(
    fn: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that returns the gradient of ``fn`` (with ``has_aux``, the pair of gradient and aux).

    Arguments and errors as ``value_and_grad``.

    Source: JAX ``jax.grad``.

    Example:
        >>> import numpy as np, unimodule as um
        >>> with um.use_backend("numpy"):
        ...     um.grad(lambda x: um.ops.sum(x * x))(np.array([1.0, 2.0])).tolist()
        [2.0, 4.0]
    """
    both = value_and_grad(fn, argnums, has_aux)

    @functools.wraps(fn)
    def run(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return run


def _positions(argnums: int | Sequence[int]) -> list[int]:
    numbers: list[Any] = list(argnums) if isinstance(argnums, list | tuple) else [argnums]
    if (
        not numbers
        or not all(type(n) is int and n >= 0 for n in numbers)
        or len(set(numbers)) != len(numbers)
    ):
        raise ArgumentError(f"argnums expected one or several different positions, got {argnums!r}")
    return numbers


def _is_clone(leaf: Any) -> bool:
    return isinstance(leaf, Module) and leaf._functional


def _is_target(leaf: Any, backend: Backend) -> bool:
    return not isinstance(leaf, Module) and find_backend(leaf) is backend


def _collect(targets: list[Any], backend: Backend) -> tuple[list[Tensor], list[Parameter]]:
    """The tensors to differentiate with respect to: the nets' trainable parameters, then the tensors among targets."""
    parameters: dict[int, Parameter] = {}
    held: dict[int, Tensor] = {}
    tensors: list[Tensor] = []

    def visit(leaf: Any) -> None:
        if isinstance(leaf, Module):
            parameters.update((id(p), p) for p in leaf.parameters() if p.requires_grad)
            held.update(held_values(leaf))
        elif _is_target(leaf, backend):
            if not dtypes.is_floating(backend.dtype(leaf)):
                raise DtypeError(f"gradients need a floating tensor, got {backend.dtype(leaf)}")
            tensors.append(leaf)
        elif leaf is not None:
            raise ArgumentError(
                f"cannot differentiate with respect to a {type(leaf).__name__}; expected a net or a tensor"
            )

    map_tree(visit, targets)
    return [held[i] for i in parameters] + tensors, list(parameters.values())


def _arrange(
    targets: list[Any],
    parameters: list[Parameter],
    gradients: list[Tensor],
    backend: Backend,
    argnums: int | Sequence[int],
) -> Any:
    """The gradients in the structure of the targets."""
    of_parameter = {id(p): g for p, g in zip(parameters, gradients, strict=False)}
    rest = iter(gradients[len(parameters) :])

    def gradient(leaf: Any) -> Any:
        if isinstance(leaf, Module):
            trainable = {name: p for name, p in leaf.named_parameters() if p.requires_grad}
            return Gradients(trainable, [of_parameter[id(p)] for p in trainable.values()])
        return next(rest) if _is_target(leaf, backend) else None

    out = tuple(map_tree(gradient, target) for target in targets)
    return out[0] if isinstance(argnums, int) else out


def _check_loss(loss: Any, backend: Backend) -> None:
    if find_backend(loss) is not backend:
        raise DtypeError(
            f"the function to differentiate expected to return a scalar {backend.info.name} tensor, got {type(loss).__name__}"
        )
    if backend.shape(loss) != ():
        raise ShapeError(
            f"the function to differentiate expected to return a scalar, got shape {backend.shape(loss)}"
        )
    if not dtypes.is_floating(backend.dtype(loss)):
        raise DtypeError(
            f"the function to differentiate expected to return a float, got {backend.dtype(loss)}"
        )
