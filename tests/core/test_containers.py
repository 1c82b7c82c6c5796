"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict, Parallel, repeat, Function."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import unimodule as um
from unimodule import init, nn, ops

from .models import Affine, batch


def kinds(container):
    return [type(m).__name__ for m in container]


# ---------------------------------------------------------------------- Sequential
def test_sequential_applies_in_order(backend):
    net = nn.Sequential(Affine(3, 4), ops.relu, Affine(4, 2)).to(backend)
    x = batch()
    want = net[2](ops.relu(net[0](x)))
    np.testing.assert_array_equal(um.to_numpy(net(x)), um.to_numpy(want))


def test_sequential_of_nothing_is_the_identity(backend):
    x = um.ops.asarray(batch(), backend=backend)
    assert nn.Sequential().to(backend)(x) is x


def test_sequential_is_built_of_modules_functions_and_lists():
    modules = [Affine(3, 4), ops.relu]
    for net in (nn.Sequential(*modules), nn.Sequential(modules), nn.Sequential(tuple(modules))):
        assert kinds(net) == ["Affine", "Function"] and len(net) == 2


def test_sequential_is_built_of_a_dict():
    net = nn.Sequential(OrderedDict(body=Affine(3, 3), act=ops.tanh))
    assert [n for n, _ in net.named_children()] == ["body", "act"]
    assert net.body is net[0]
    assert list(net.append(ops.relu)._modules) == ["body", "act", "2"]


def test_sequential_grows():
    net = nn.Sequential()
    assert net.append(ops.relu) is net
    assert net.add(ops.tanh, ops.abs) is net
    assert net.extend([ops.exp]) is net
    assert net.insert(0, Affine(1, 1)) is net
    assert [str(m.extra_repr()) for m in net] == ["", "relu", "tanh", "abs", "exp"]
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3", "4"]
    net.add_module("head", nn.Sequential())
    assert net[-1] is net.head


def test_sequential_indexing():
    net = nn.Sequential(*(Affine(1, 1) for _ in range(5)))
    assert net[0] is net[-5] is next(iter(net))
    assert isinstance(net[1:3], nn.Sequential)
    assert list(net[1:3]) == [net[1], net[2]]
    assert list(net[::-2]) == [net[4], net[2], net[0]]
    assert len(net[3:3]) == 0
    assert net[2] in net and Affine(1, 1) not in net
    for index in (5, -6):
        with pytest.raises(um.OutOfRangeError, match=f"has 5 modules, got index {index}"):
            net[index]
        with pytest.raises(IndexError):
            net[index] = Affine(1, 1)
        with pytest.raises(IndexError):
            del net[index]
    with pytest.raises(um.OutOfRangeError):
        net.insert(7, ops.relu)


def test_a_slice_shares_its_modules(backend):
    net = nn.Sequential(Affine(3, 4), ops.relu, Affine(4, 2)).to(backend)
    assert net[:2][0] is net[0]
    assert um.to_numpy(net[:2](batch())).shape == (2, 4)
    assert net[:1].backend in (backend, None)


def test_sequential_assignment_and_deletion():
    net = nn.Sequential(*(Affine(1, 1) for _ in range(4)))
    first, last = net[0], net[3]
    net[1] = ops.relu
    assert kinds(net) == ["Affine", "Function", "Affine", "Affine"]
    del net[1]
    assert [n for n, _ in net.named_children()] == ["0", "1", "2"]
    del net[1:2]
    assert list(net) == [first, last]
    assert [n for n, _ in net.named_parameters()] == ["0.weight", "0.bias", "1.weight", "1.bias"]
    named = nn.Sequential(OrderedDict(a=Affine(1, 1), b=Affine(1, 1)))
    del named[0]
    assert list(named._modules) == ["b"]
    with pytest.raises(um.ModuleError, match="named modules"):
        named.insert(0, ops.relu)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (3, "expected modules or functions, got int"),
        ("relu", "expected modules or functions, got str"),
        (None, "expected modules or functions, got NoneType"),
        (Affine, r"expected a module, got the class Affine; write Affine\(...\)"),
    ],
)
@pytest.mark.parametrize(
    "build", [nn.Sequential, nn.Parallel, lambda m: nn.ModuleList([m]), lambda m: nn.Sequential().append(m)]
)
def test_what_is_no_module(build, bad, match):
    with pytest.raises(um.ModuleError, match=match):
        build(bad)


def test_one_module_twice_is_tied(backend):
    layer = Affine(3, 3)
    net = nn.Sequential(layer, layer).to(backend)
    assert len(net) == 2 and len(list(net.parameters())) == 2
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    y = um.to_numpy(net(batch()))
    np.testing.assert_allclose(y, um.to_numpy(layer(layer(batch()))), rtol=1e-6)
    assert net.clone()[0] is not layer
    other = net.clone()
    assert other[0] is other[1]


# ---------------------------------------------------------------------- ModuleList, ModuleDict
def test_module_list():
    net = nn.ModuleList(Affine(1, 1) for _ in range(2))
    net.append(Affine(1, 1)).extend([Affine(1, 1)]).insert(0, Affine(2, 2))
    assert len(net) == 5 and net[0].parameter("weight").shape == (2, 2)
    popped = net.pop()
    assert len(net) == 4 and popped not in net
    assert net.pop(0).parameter("weight").shape == (2, 2)
    assert [n for n, _ in net.named_children()] == ["0", "1", "2"]
    assert isinstance(net[1:], nn.ModuleList) and len(net[1:]) == 2
    with pytest.raises(IndexError):
        nn.ModuleList().pop()


def test_module_list_has_no_forward():
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        nn.ModuleList([Affine(1, 1)]).to("numpy")(batch())


def test_module_dict():
    a, b = Affine(1, 1), Affine(2, 2)
    net = nn.ModuleDict({"a": a})
    net["b"] = b
    net.update({"a": b})
    net.update([("c", a)])
    assert list(net) == list(net.keys()) == ["a", "b", "c"]
    assert list(net.values()) == [b, b, a] and dict(net.items())["c"] is a
    assert "a" in net and "z" not in net and len(net) == 3
    assert net.pop("c") is a
    del net["b"]
    with pytest.raises(KeyError):
        net["b"]
    with pytest.raises(KeyError):
        del net["b"]
    net.clear()
    assert len(net) == 0
    with pytest.raises(um.ModuleError, match="expected a Module, got str"):
        net["x"] = "y"


def test_module_dict_takes_no_name_of_its_own():
    with pytest.raises(um.ModuleError, match="keys exists already"):
        nn.ModuleDict({"keys": Affine(1, 1)})


# ---------------------------------------------------------------------- ParameterList, ParameterDict
class Weighted(nn.Module):
    def __init__(self, container):
        super().__init__()
        self.weights = container

    def forward(self, x):
        values = self.weights if isinstance(self.weights, nn.ParameterList) else self.weights.values()
        for w in values:
            x = x * w
        return x


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.ParameterList([nn.Parameter([2.0]), np.array([3.0])]),
        lambda: nn.ParameterDict({"a": nn.Parameter([2.0]), "b": [3.0]}),
    ],
)
def test_parameters_in_containers_are_trained(backend, build):
    net = Weighted(build()).to(backend)
    loss, grads = um.value_and_grad(lambda net, x: ops.sum(net(x)))(net, np.ones((1,), "float32"))
    assert ops.item(loss) == 6
    assert [float(um.to_numpy(g)[0]) for g in grads.values()] == [3, 2]
    assert len(net.state_dict()) == 2


def test_parameter_list(backend):
    net = nn.ParameterList([nn.Parameter([1.0])])
    net.append([2.0]).extend([nn.Constant([3.0])])
    net.to(backend)
    assert len(net) == 3 and [um.backend_of(t) for t in net] == [backend] * 3
    assert net[-1] is net[2]
    assert [n for n, _ in net.named_parameters()] == ["0", "1"]
    net[0] = nn.Parameter([5.0])
    np.testing.assert_array_equal(um.to_numpy(net[0]), [5])
    for index in (3, -4):
        with pytest.raises(um.OutOfRangeError, match="has 3 parameters"):
            net[index]
    assert "(0): Parameter" in repr(net)


def test_parameter_dict(backend):
    net = nn.ParameterDict({"a": nn.Parameter(init.ones(), shape=(2,))}).to(backend)
    net["b"] = np.zeros(3)
    net.update({"c": nn.Constant([1.0])})
    assert list(net) == ["a", "b", "c"] and "b" in net and len(net) == 3
    assert [um.to_numpy(t).shape for t in net.values()] == [(2,), (3,), (1,)]
    assert [name for name, _ in net.items()] == list(net.keys())
    del net["b"]
    for use in (lambda: net["b"], lambda: net.__delitem__("b")):
        with pytest.raises(KeyError):
            use()


# ---------------------------------------------------------------------- Parallel, repeat, Function
def test_parallel_concatenates(backend):
    net = nn.Parallel(Affine(3, 2), ops.relu, Affine(3, 4), axis=-1).to(backend)
    x = batch()
    y = um.to_numpy(net(x))
    assert y.shape == (2, 9)
    np.testing.assert_allclose(y[:, :2], um.to_numpy(net[0](x)), rtol=1e-6)
    np.testing.assert_array_equal(y[:, 2:5], np.maximum(x, 0))
    assert um.to_numpy(nn.Parallel([ops.relu, ops.relu], axis=0).to(backend)(x)).shape == (4, 3)
    assert len(net[:2]) == 2 and net[:2].axis == -1
    with pytest.raises(um.ArgumentError, match="at least one net"):
        nn.Parallel()
    with pytest.raises(um.ShapeError):
        nn.Parallel(Affine(3, 2), ops.relu, axis=0).to(backend)(x)


def test_repeat(backend):
    net = nn.repeat(lambda: Affine(3, 3), 4).to(backend)
    assert isinstance(net, nn.Sequential) and len(net) == 4
    assert len({id(m) for m in net}) == 4
    assert not np.array_equal(um.to_numpy(net[0].weight), um.to_numpy(net[1].weight))
    assert len(nn.repeat(lambda: ops.relu, 2)) == 2
    assert len(nn.repeat(lambda: Affine(1, 1), 0)) == 0
    layer = Affine(1, 1)
    for arguments, match in (
        ((lambda: layer, 2), "the same module twice"),
        ((layer, 2), "expected a function that returns a new module, got Affine"),
        ((lambda: Affine(1, 1), -1), "non-negative integer"),
        ((lambda: Affine(1, 1), 1.0), "non-negative integer"),
        ((lambda: Affine(1, 1), True), "non-negative integer"),
    ):
        with pytest.raises(um.ArgumentError, match=match):
            nn.repeat(*arguments)


def test_function(backend):
    net = nn.Function(lambda x, *, by: x * by).to(backend)
    np.testing.assert_array_equal(um.to_numpy(net(np.ones(2, "float32"), by=3.0)), [3, 3])
    assert repr(nn.Function(ops.relu)) == "Function(relu)"
    with pytest.raises(um.ModuleError, match="expected a callable, got int"):
        nn.Function(3)


def test_a_function_that_is_a_module_is_a_submodule(backend):
    net = nn.Sequential(nn.Function(Affine(3, 2))).to(backend)
    assert [n for n, _ in net.named_parameters()] == ["0.function.weight", "0.function.bias"]
    assert um.to_numpy(net(batch())).shape == (2, 2)
