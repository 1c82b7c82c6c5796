"""Every op of the contract, compiled for MXNet: value, shape, dtype and gradient against the oracle of the eager ones,
with the gradient taken through the compiled function and inside it."""

import pytest

from unimodule.errors import NotSupportedError

from .harness import NAMES, as_tuple, check, leaves, load, tree_map

if "mxnet" not in NAMES:
    pytest.skip("mxnet is not selected", allow_module_level=True)
pytest.importorskip("torch", reason="torch is the oracle")

from . import cases_core, cases_nn
from .oracles import ORACLES

CASES = cases_core.CASES + cases_nn.CASES


class Compiling:
    """The adapter with its functions compiled before they are called.

    ``inside``: gradients are taken inside the compiled function, not through it.
    """

    def __init__(self, backend, inside):
        self._backend = backend
        self._inside = inside
        self.functions = (
            backend.functions if inside else {n: self._compiled(f) for n, f in backend.functions.items()}
        )

    def __getattr__(self, name):
        return getattr(self._backend, name)

    def _compiled(self, fn):
        def call(*args, **kwargs):
            tensors = [x for x in leaves([args, kwargs]) if self._backend.is_tensor(x)]

            def of_list(values):
                supply = iter(values)
                new = tree_map(
                    lambda x: next(supply) if self._backend.is_tensor(x) else x, [list(args), kwargs]
                )
                result.append(fn(*new[0], **new[1]))
                return list(as_tuple(result[0]))

            result = []
            compiled = self._backend.compile(of_list)
            compiled(tensors)
            out = compiled(tensors)
            assert len(result) == 1
            return tuple(out) if isinstance(result[0], (tuple, list)) else out[0]

        return call

    def value_and_grad(self, fn, values):
        if not self._inside:
            return self._backend.value_and_grad(fn, values)

        def both(inner):
            loss, _, gradients = self._backend.value_and_grad(fn, inner)
            return [loss, *gradients]

        compiled = self._backend.compile(both)
        compiled(values)
        loss, *gradients = compiled(values)
        return loss, None, gradients


@pytest.mark.parametrize("inside", [False, True], ids=["through", "inside"])
@pytest.mark.parametrize(
    ("dtype", "case"),
    [
        pytest.param(
            dtype, case, id="-".join(filter(None, [dtype if case.floats else "exact", case.name, case.tag]))
        )
        for dtype in ("float32", "float64")
        for case in CASES
        if case.floats or dtype == "float32"
    ],
)
def test_op(dtype, case, inside):
    backend = load("mxnet")
    if inside and not (case.floats and case.grad):
        pytest.skip("there is no gradient")
    if backend.function(case.name) is None:
        pytest.skip("left to the default composition")
    try:
        check(Compiling(backend, inside), case, dtype, case.oracle or ORACLES[case.name])
    except NotSupportedError as error:
        pytest.skip(f"declared: {error}")
