"""Module: attributes, names, iteration, modes, what it refuses, how it looks."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import unimodule as um
from unimodule import nn

from .models import MLP, Affine, Counting, SharedModule, batch


class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Parameter([1.0])
        self.block = nn.Sequential(Affine(3, 3), Counting())
        self.first = nn.Parameter([2.0])
        self.head = Affine(3, 1)


def test_names_stand_in_the_order_of_registration_own_ones_first():
    net = Nested()
    assert [n for n, _ in net.named_parameters()] == [
        "last",
        "first",
        "block.0.weight",
        "block.0.bias",
        "block.1.weight",
        "block.1.frozen",
        "head.weight",
        "head.bias",
    ]
    assert [n for n, _ in net.named_constants()] == ["block.1.scale"]
    assert [n for n, _ in net.named_buffers()] == ["block.1.total", "block.1.calls"]
    assert [n for n, _ in net.named_modules()] == ["", "block", "block.0", "block.1", "head"]
    assert [n for n, _ in net.named_children()] == ["block", "head"]
    assert [type(m) for m in net.children()] == [nn.Sequential, Affine]
    assert [p.name for p in net.parameters()] == [n for n, _ in net.named_parameters()]


def test_names_are_those_of_pytorch():
    torch = pytest.importorskip("torch")

    def build(library, parameter):
        class Inner(library.Module):
            def __init__(self):
                super().__init__()
                self.b = parameter()
                self.a = parameter()

        class Net(library.Module):
            def __init__(self):
                super().__init__()
                self.z = Inner()
                self.y = parameter()
                self.x = library.ModuleList([Inner(), Inner()])
                self.w = library.ModuleDict({"k": Inner()})
                self.v = self.z

        return Net()

    ours = build(nn, lambda: nn.Parameter([1.0]))
    theirs = build(torch.nn, lambda: torch.nn.Parameter(torch.ones(1)))
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert [n for n, _ in ours.named_children()] == [n for n, _ in theirs.named_children()]
    assert list(ours.state_dict()) == list(theirs.state_dict())


def test_a_module_in_two_places_is_listed_once():
    net = SharedModule()
    assert [n for n, _ in net.named_modules()] == ["", "first"]
    assert len(list(net.children())) == 1
    assert [n for n, _ in net.named_parameters()] == ["first.weight", "first.bias"]


def test_get_submodule():
    net = Nested()
    assert net.get_submodule("") is net
    assert net.get_submodule("block.1") is net.block[1]
    with pytest.raises(um.ModuleError, match=r"no submodule 'block.9': no '9' in \['0', '1'\]"):
        net.get_submodule("block.9")


def test_parameter_gives_the_handle_and_says_what_there_is():
    net = Affine(3, 2)
    assert net.parameter("weight") is next(net.parameters())
    with pytest.raises(
        um.ModuleError, match=r"Affine has no parameter 'wieght'; it has \['weight', 'bias'\]"
    ):
        net.parameter("wieght")


# ---------------------------------------------------------------------- attributes
def test_an_attribute_reads_as_the_native_tensor_once_bound(backend):
    net = Affine(3, 2)
    assert isinstance(net.weight, nn.Parameter)
    net.to(backend)
    assert um.backend_of(net.weight) == backend
    assert net.weight is net.parameter("weight").data


def test_assigning_replaces_removes_and_deletes(backend):
    net = MLP().to(backend)
    replacement = Affine(4, 5)
    net.out = replacement
    assert net.out is replacement and replacement.backend == backend
    assert net(batch()).shape[1] == 5
    net.out = None
    assert net.out is None
    assert [n for n, _ in net.named_children()] == ["hidden"]
    net.hidden.bias = None
    assert [n for n, _ in net.named_parameters()] == ["hidden.weight"]
    del net.hidden
    assert list(net.parameters()) == []
    assert not hasattr(net, "hidden")


def test_deleting_a_parameter_forgets_it():
    net = Affine(3, 2)
    del net.bias
    assert [n for n, _ in net.named_parameters()] == ["weight"]
    assert not hasattr(net, "bias")
    with pytest.raises(AttributeError):
        del net.bias


def test_a_new_parameter_on_a_bound_net_is_bound_at_once(backend):
    net = MLP().to(backend, dtype="float32")
    net.extra = nn.Parameter(np.ones(3))
    assert um.backend_of(net.extra) == backend
    assert next(n for n, _ in net.named_parameters()) == "extra"
    assert net.parameter("extra").dtype == "float32"


def test_a_parameter_may_become_a_module_and_back():
    net = Nested()
    net.head = nn.Parameter([1.0])
    assert "head" not in dict(net.named_children())
    assert "head" in dict(net.named_parameters())
    net.head = Affine(1, 1)
    assert "head" not in dict(net.named_parameters())
    assert "head.weight" in dict(net.named_parameters())


def test_a_submodule_is_not_replaced_by_something_else():
    net = MLP()
    with pytest.raises(
        um.ModuleError, match=r"MLP.hidden is a submodule and expected a Module or None, got int"
    ):
        net.hidden = 3


def test_a_constant_cannot_be_assigned(backend):
    net = Counting().to(backend)
    with pytest.raises(um.ModuleError, match="'scale' is a Constant"):
        net.scale = net.scale * 2


@pytest.mark.parametrize("name", ["", "a.b"])
def test_malformed_names_are_refused(name):
    net = nn.Module()
    with pytest.raises(um.ModuleError, match="non-empty name without dots"):
        net.add_module(name, Affine(1, 1))
    with pytest.raises(um.ModuleError, match="non-empty name without dots"):
        net.register_parameter(name, nn.Parameter([1.0]))


@pytest.mark.parametrize("name", ["forward", "to", "training", "parameters", "_variables"])
def test_names_of_the_class_are_refused(name):
    with pytest.raises(um.ModuleError, match=f"{name} exists already"):
        nn.Module().add_module(name, Affine(1, 1))


def test_add_module_takes_modules_only():
    with pytest.raises(um.ModuleError, match=r"add_module\('a'\) expected a Module, got str"):
        nn.Module().add_module("a", "b")
    net = nn.Module()
    head = Affine(1, 1)
    net.add_module("head", head)
    assert net.head is head
    net.add_module("head", head)
    with pytest.raises(um.ModuleError, match="weight exists already"):
        nn.Sequential(Affine(1, 1))[0].add_module("weight", head)


def test_registering_by_name():
    net = nn.Module()
    net.register_parameter("w", nn.Parameter([1.0]))
    net.register_buffer("b", np.zeros(2), persistent=False)
    net.register_constant("c", [1.0, 2.0])
    net.register_parameter("nothing", None)
    assert net.nothing is None
    assert [n for n, _ in net.named_variables()] == ["w", "b", "c"]
    assert list(net.state_dict()) == ["w", "c"]
    with pytest.raises(um.ModuleError, match="'v' expected a Parameter, got Buffer"):
        net.register_parameter("v", nn.Buffer([1.0]))


# ---------------------------------------------------------------------- what is refused
class Forgetful(nn.Module):
    def __init__(self, build):
        self.build = build()

    def forward(self, x):
        return x


@pytest.mark.parametrize("build", [lambda: Affine(1, 1), lambda: nn.Parameter([1.0])])
def test_forgotten_super_init_on_assignment(build):
    with pytest.raises(um.ModuleError, match=r"call super\(\).__init__\(\) first in Forgetful.__init__"):
        Forgetful(build)


@pytest.mark.parametrize(
    "use",
    [
        lambda net: net(np.ones(2, "float32")),
        lambda net: net.to("numpy"),
        lambda net: net.state_dict(),
        lambda net: nn.Sequential(net).to("numpy"),
        lambda net: list(net.parameters()),
        lambda net: net.train(),
        lambda net: net.clone(),
        lambda net: um.summary(net),
        lambda net: net.register_buffer("b", np.ones(2)),
        lambda net: net.named_children().__next__(),
    ],
    ids=[
        "call",
        "to",
        "state_dict",
        "inside",
        "parameters",
        "train",
        "clone",
        "summary",
        "register",
        "children",
    ],
)
def test_forgotten_super_init_on_use(use):
    with pytest.raises(um.ModuleError, match=r"super\(\).__init__\(\)"):
        use(Forgetful(lambda: 3))


class Hiding(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.layers = hidden

    def forward(self, x):
        return x


@pytest.mark.parametrize(
    "hide",
    [
        lambda m: [m],
        lambda m: (1, m),
        lambda m: {"a": m},
        lambda m: [[m]],
        lambda m: {"a": [m]},
    ],
)
@pytest.mark.parametrize(
    "what", [lambda: Affine(1, 1), lambda: nn.Parameter([1.0])], ids=["module", "parameter"]
)
def test_modules_in_plain_containers_are_refused(hide, what):
    net = nn.Sequential(Hiding(hide(what())))
    uses = [
        lambda: net.to("numpy"),
        lambda: net(np.ones(2, "float32")),
        net.state_dict,
        lambda: um.summary(net),
    ]
    for use in uses:
        with pytest.raises(
            um.ModuleError, match=r"Sequential\.0\.layers is a plain (list|tuple|dict).*nn\.ModuleList"
        ):
            use()


def test_modules_put_into_a_list_after_binding_are_refused_when_the_net_is_moved(backend):
    net = Hiding([]).to(backend)
    net.layers.append(Affine(1, 1))
    with pytest.raises(um.ModuleError, match=r"Hiding\.layers is a plain list"):
        net.to(dtype="float32")


def test_forward_that_is_not_defined():
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r"Nothing does not define forward"):
        Nothing().to("numpy")(np.ones(2))


# ---------------------------------------------------------------------- modes
def test_train_and_eval_reach_every_module():
    net = Nested()
    assert all(m.training for m in net.modules())
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.block.train()
    assert [m.training for m in net.modules()] == [False, True, True, True, False]
    with pytest.raises(um.ArgumentError, match="expected a bool"):
        net.train(1)


def test_requires_grad_freezes_parameters_only(backend):
    net = Counting().to(backend)
    assert net.requires_grad_(False) is net
    assert [p.requires_grad for p in net.parameters()] == [False, False]
    net.requires_grad_()
    assert [p.requires_grad for p in net.parameters()] == [True, True]
    assert not any(v.requires_grad for v in [*net.constants(), *net.buffers()])


def test_apply_visits_children_first():
    net = Nested()
    seen = []
    assert net.apply(seen.append) is net
    assert seen == [net.block[0], net.block[1], net.block, net.head, net]


# ---------------------------------------------------------------------- looks
def test_repr():
    net = nn.Sequential(um.ops.relu, nn.ModuleDict({"a": Affine(3, 2)}))
    assert repr(net) == ("Sequential(\n  (0): Function(relu)\n  (1): ModuleDict(\n    (a): Affine()\n  )\n)")
    assert repr(nn.Module()) == "Module()"
    assert repr(nn.Parallel(um.ops.relu, axis=1)) == "Parallel(\n  axis=1\n  (0): Function(relu)\n)"


def test_repr_is_pytorchs():
    torch = pytest.importorskip("torch")
    assert repr(nn.Sequential(nn.ModuleList([nn.Sequential()]))) == repr(
        torch.nn.Sequential(torch.nn.ModuleList([torch.nn.Sequential()]))
    )


def test_repr_of_handles():
    net = MLP()
    next(net.parameters())
    assert (
        repr(nn.Parameter(um.init.zeros(), shape=(None, 3))) == "Parameter(shape=(None, 3), dtype='float32')"
    )
    assert repr(nn.Buffer(0)) == "Buffer(shape=(), dtype='int64')"
    assert repr(next(net.parameters())) == "Parameter 'hidden.weight'(shape=(3, 4), dtype='float32')"


# ---------------------------------------------------------------------- copies
@pytest.mark.parametrize("copier", [lambda net: net.clone(), copy.deepcopy], ids=["clone", "deepcopy"])
def test_a_copy_shares_nothing(backend, copier):
    net = nn.Sequential(Counting(), Affine(2, 2)).to(backend).eval()
    before = {n: v.numpy() for n, v in net.named_variables()}
    other = copier(net)
    assert other.backend == backend and not other.training
    assert [n for n, _ in other.named_variables()] == list(before)
    for (name, mine), (_, theirs) in zip(net.named_variables(), other.named_variables(), strict=True):
        assert mine is not theirs and type(mine) is type(theirs)
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
        theirs.data = theirs.numpy() + 1
        np.testing.assert_array_equal(mine.numpy(), before[name])
    other(np.ones((3, 2), "float32"))
    for name, handle in net.named_variables():
        np.testing.assert_array_equal(handle.numpy(), before[name])
    assert other[0].parameter("calls").item() == 2


def test_a_copy_keeps_frozen_parameters_frozen(backend):
    net = Counting().to(backend).clone()
    assert [p.requires_grad for p in net.parameters()] == [True, False]
    grads = um.grad(lambda net, x: um.ops.sum(net(x)))(net, np.ones((1, 2), "float32"))
    assert list(grads) == ["weight"]


def test_a_copy_of_an_unbound_net_draws_for_itself():
    net = MLP()
    other = net.clone()
    assert other.backend is None
    net.to("numpy"), other.to("numpy")
    assert not np.array_equal(net.hidden.weight, other.hidden.weight)


def test_a_copy_of_a_net_in_a_plain_attribute_graph():
    class Owner:
        def __init__(self, net):
            self.net = net

    owner = copy.deepcopy(Owner(MLP().to("numpy")))
    assert owner.net(batch()).shape == (2, 2)


def test_bound_methods_follow_the_copy(backend):
    class Method(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Affine(3, 2)
            self.run = self.layer.forward

        def forward(self, x):
            return self.run(x)

    net = Method().to(backend)
    other = copy.deepcopy(net)
    for p in other.parameters():
        p.data = np.zeros(p.shape)
    np.testing.assert_array_equal(um.to_numpy(other(batch())), np.zeros((2, 2)))
    grads = um.grad(lambda net, x: um.ops.sum(net(x)))(net, batch())
    np.testing.assert_allclose(um.to_numpy(grads["layer.bias"]), [2, 2])
