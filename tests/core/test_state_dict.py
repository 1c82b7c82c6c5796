"""state_dict and load_state_dict."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops

from .models import MLP, Affine, Counting, SharedHandle, SharedModule, assert_same_state, batch, values


def ones_like(net):
    return {name: np.ones_like(array) for name, array in values(net).items()}


def test_names_and_order(backend):
    net = nn.Sequential(Counting(), Affine(2, 2)).to(backend)
    assert list(net.state_dict()) == [
        "0.weight",
        "0.frozen",
        "0.scale",
        "0.total",
        "0.calls",
        "1.weight",
        "1.bias",
    ]
    assert all(um.backend_of(t) == backend for t in net.state_dict().values())


def test_buffers_follow_parameters_as_in_pytorch():
    net = nn.Module()
    net.b = nn.Buffer([1.0])
    net.p = nn.Parameter([1.0])
    net.register_buffer("hidden", [1.0], persistent=False)
    assert list(net.state_dict()) == ["p", "b"]


def test_of_an_unbound_net():
    net = Counting()
    assert isinstance(net.state_dict()["weight"], np.ndarray)
    with pytest.raises(um.UninitializedError, match=r"hidden\.weight"):
        MLP().state_dict()
    assert list(MLP().initialize(seed=0).state_dict()) == [
        "hidden.weight",
        "hidden.bias",
        "out.weight",
        "out.bias",
    ]


def test_is_cut_off_from_the_tape(backend):
    net = MLP().to(backend)
    state = net.state_dict()
    if backend == "torch":
        assert not any(t.requires_grad for t in state.values())
    for t in state.values():
        assert um.to_numpy(t).dtype == np.float32


@pytest.mark.parametrize("build", [MLP, Counting, SharedHandle, SharedModule])
def test_round_trip_through_every_kind_of_tensor(backend, every_backend, build):
    for source in every_backend:
        net, other = build().to(backend), build().to(source)
        for v in [*other.parameters(), *other.constants(), *other.buffers()]:
            v.data = np.full(v.shape, 3)
        result = net.load_state_dict(other.state_dict())
        assert result == ([], []) and result.missing_keys == [] and result.unexpected_keys == []
        assert_same_state(values(net), values(other))
        assert net.backend == backend


def test_loading_keeps_the_live_objects_in_step(backend):
    net = MLP().to(backend)
    handle = net.hidden.parameter("weight")
    net.load_state_dict(ones_like(net))
    assert handle.data is net.hidden.weight
    np.testing.assert_array_equal(
        um.to_numpy(net(np.zeros((1, 3), "float32"))), um.to_numpy(net(np.zeros((1, 3))))
    )
    np.testing.assert_array_equal(handle.numpy(), np.ones((3, 4)))


def test_a_loaded_array_stays_the_callers(backend):
    net = Affine(3, 2).to(backend)
    state = ones_like(net)
    net.load_state_dict(state)
    state["bias"][:] = 9
    np.testing.assert_array_equal(um.to_numpy(net.bias), [1, 1])


def test_loading_into_a_net_without_a_backend_or_shapes(backend):
    trained = MLP(3).to("numpy")
    net = MLP(None)
    net.load_state_dict(trained.state_dict())
    assert net.hidden.parameter("weight").shape == (3, 4)
    lazy = MLP(None).to(backend)
    lazy.load_state_dict(trained.state_dict())
    for loaded in (net.to(backend), lazy):
        assert_same_state(values(loaded), values(trained))
        expected = trained(batch())
        # The state is exact; sums of products may round differently, by the size of their terms.
        np.testing.assert_allclose(
            um.to_numpy(loaded(batch())), expected, rtol=0, atol=2**-22 * np.abs(expected).max()
        )


def test_dtypes_are_cast_to_the_nets(backend):
    net = Counting().to(backend)
    state = {
        name: array.astype("float64" if array.dtype.kind == "f" else "int32")
        for name, array in values(net).items()
    }
    net.load_state_dict(state)
    assert um.to_numpy(net.weight).dtype == np.float32
    net.load_state_dict({**state, "weight": np.array([1, 2])})
    np.testing.assert_array_equal(um.to_numpy(net.weight), [1, 2])
    with pytest.raises(um.StateDictError, match="calls expected dtype int64, got float32"):
        net.load_state_dict({**state, "calls": np.float32(1.5)})


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("hidden.bias"), "missing keys: hidden.bias"),
        (lambda s: s.update(extra=np.ones(1)), "unexpected keys: extra"),
        (lambda s: s.update({"out.bias": np.ones(3)}), r"out.bias expected shape \(2,\), got \(3,\)"),
        (lambda s: s.update({"out.bias": np.ones((2, 1))}), r"out.bias expected shape \(2,\), got \(2, 1\)"),
        (lambda s: s.update({"out.bias": "text"}), "out.bias is no tensor of numbers but str"),
        (lambda s: s.update({"out.bias": None}), "out.bias is no tensor of numbers but NoneType"),
        (lambda s: s.update({"out.bias": [[1.0], [1.0, 2.0]]}), "out.bias cannot be read as a tensor"),
        (lambda s: s.update({"out.bias": np.array([1j, 2j])}), "out.bias is no tensor of numbers"),
    ],
)
def test_what_does_not_fit_changes_nothing(backend, change, match):
    net = MLP().to(backend)
    before = values(net)
    state = ones_like(net)
    change(state)
    with pytest.raises(um.StateDictError, match=match) as caught:
        net.load_state_dict(state)
    assert "The net is as it was" in str(caught.value) and "MLP" in str(caught.value)
    assert_same_state(before, values(net))


def test_every_problem_is_named_at_once():
    net = MLP().to("numpy")
    with pytest.raises(ValueError) as caught:
        net.load_state_dict({"hidden.weight": np.ones((1, 1)), "x": np.ones(1), 3: np.ones(1)})
    for part in (
        "missing keys: hidden.bias, out.weight, out.bias",
        "unexpected keys: x, 3",
        r"hidden.weight expected",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("what", [None, 3, [("a", 1)], "file.pt"])
def test_what_is_no_mapping(what):
    with pytest.raises(um.StateDictError, match="expected a mapping"):
        MLP().load_state_dict(what)


def test_not_strict(backend):
    net = MLP().to(backend)
    before = values(net)
    result = net.load_state_dict({"hidden.bias": np.full(4, 5.0), "extra": np.ones(1)}, strict=False)
    assert result.missing_keys == ["hidden.weight", "out.weight", "out.bias"]
    assert result.unexpected_keys == ["extra"]
    before["hidden.bias"][:] = 5
    assert_same_state(before, values(net))
    with pytest.raises(um.StateDictError, match="expected shape"):
        net.load_state_dict({"hidden.bias": np.ones(5)}, strict=False)


@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
def test_tied_tensors_must_agree(backend, build):
    net = build().to(backend)
    before = values(net)
    state = ones_like(net)
    assert {"first.weight", "second.weight"} <= set(state)
    state["second.weight"] = state["second.weight"] * 2
    with pytest.raises(um.StateDictError, match=r"first\.weight and second\.weight are one tied tensor"):
        net.load_state_dict(state)
    assert_same_state(before, values(net))


def test_a_counter_is_int64_in_files_whatever_carries_it(backend):
    from unimodule.nn._state import host_state

    net = Counting().to(backend)
    net(np.ones((1, 2), "float32"))
    assert host_state(net)["calls"].dtype == np.int64
    assert host_state(net)["calls"] == 1


def test_an_integer_that_does_not_fit_is_refused_and_changes_nothing(backend):
    net = Counting().to(backend)
    state = {**values(net), "calls": np.int64(2**40), "weight": np.array([7.0, 7.0])}
    try:
        net.load_state_dict(state)
    except OverflowError as error:
        assert isinstance(error, um.IntegerRangeError)
        np.testing.assert_array_equal(um.to_numpy(net.weight), [2, 3])
    else:
        assert net.parameter("calls").item() == 2**40


def test_gradients_follow_loaded_values(backend):
    net = Affine(2, 1).to(backend)
    net.load_state_dict({"weight": [[1.0], [2.0]], "bias": [0.0]})
    loss, grads = um.value_and_grad(lambda net, x: ops.sum(net(x) ** 2))(net, np.ones((1, 2), "float32"))
    assert ops.item(loss) == 9
    np.testing.assert_allclose(um.to_numpy(grads["weight"]), [[6], [6]])
