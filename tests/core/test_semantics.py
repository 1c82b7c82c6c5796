"""The declared semantics, row by row, on every backend: the same class of error, and a message that names the module's
path, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops

X = np.ones((2, 4), "float32")


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x):
        return self.dense(x)


class Net(nn.Module):
    """Modules at known paths, each of which can be called wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 2, 3), nn.LayerNorm(5), nn.BatchNorm1d(6)])
        self.embedding = nn.Embedding(7, 4)
        self.lstm = nn.LSTM(4, 3)
        self.attention = nn.MultiheadAttention(8, 2)
        self.constant = nn.Constant(np.ones((4, 3)))

    def forward(self, x, which):
        if which == "matmul":
            return x @ self.constant
        if which == "add":
            return ops.add(x, self.constant)
        if which == "concat":
            return ops.concat([x, self.constant], axis=0)
        if which == "reshape":
            return ops.reshape(x, (3, 5))
        if which == "sum":
            return ops.sum(x, axis=7)
        return self.get_submodule(which)(x)


def zeros(*shape):
    return np.zeros(shape, "float32")


WRONG_SHAPES = [
    # which, input, path in the message, words in the message
    ("inner", zeros(2, 5), "Net.inner.dense", ["4", "(2, 5)"]),
    ("blocks.0", zeros(2, 4, 8, 8), "Net.blocks.0", ["3", "(2, 4, 8, 8)"]),
    ("blocks.0", zeros(2, 3), "Net.blocks.0", ["(2, 3)"]),
    ("blocks.1", zeros(2, 4), "Net.blocks.1", ["5", "(2, 4)"]),
    ("blocks.2", zeros(2, 4), "Net.blocks.2", ["6", "4"]),
    ("lstm", zeros(5, 2, 3), "Net.lstm", ["4", "3"]),
    ("add", zeros(2, 4), "Net", ["(2, 4)", "(4, 3)"]),
    ("concat", zeros(2, 4), "Net", ["(2, 4)", "(4, 3)"]),
    ("reshape", zeros(2, 4), "Net", ["(2, 4)", "(3, 5)"]),
    ("sum", zeros(2, 4), "Net", ["7"]),
]


@pytest.mark.parametrize(
    ("which", "x", "path", "words"), WRONG_SHAPES, ids=[f"{w}-{x.shape}" for w, x, _, _ in WRONG_SHAPES]
)
def test_a_wrong_shape_is_a_shape_error_that_says_where(backend, which, x, path, words):
    net = Net().to(backend)
    with pytest.raises(um.ShapeError) as caught:
        net(x, which)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.startswith(f"{path} (") and caught.value.module_path == path
    assert all(word in message for word in words), message


def test_a_wrong_dtype_is_a_dtype_error_that_says_where(backend):
    net = Net().to(backend)
    with pytest.raises(um.DtypeError, match=r"^Net\.embedding \(Embedding\): .*float32") as caught:
        net(zeros(2, 3), "embedding")
    assert isinstance(caught.value, TypeError)
    with pytest.raises(um.DtypeError, match=r"^Net\.inner\.dense \(Linear\): .*int"):
        net(np.ones((2, 4), "int32"), "inner")


def test_float64_is_honoured_or_refused_never_narrowed(backend, has_float64):
    if has_float64:
        net = Net().to(backend, dtype="float64")
        assert ops.dtype(net(X, "inner")) == "float64"
        assert ops.dtype(ops.asarray(np.ones(2), backend=backend)) == "float64"
        return
    for attempt in (
        lambda: Net().to(backend, dtype="float64"),
        lambda: ops.asarray(np.ones(2), backend=backend),
        lambda: ops.astype(ops.ones((2,), backend=backend), "float64"),
    ):
        with pytest.raises(um.DtypeError, match="jax_enable_x64"):
            attempt()


def test_float64_numpy_takes_the_nets_dtype(backend):
    net = Net().to(backend)
    assert ops.dtype(net(X.astype("float64"), "inner")) == "float32"
    assert {v.dtype for _, v in net.named_variables() if v.dtype != "int64"} == {"float32"}


def test_int64_is_kept_or_range_checked(backend):
    small = ops.asarray(np.array([1, 2**31 - 1]), backend=backend)
    assert um.to_numpy(small).tolist() == [1, 2**31 - 1]
    try:
        big = ops.asarray(np.array([2**40]), backend=backend)
    except um.IntegerRangeError as error:
        assert isinstance(error, OverflowError)
        assert ops.dtype(small) == "int32"
        assert str(2**40) in str(error)
    else:
        assert um.to_numpy(big).tolist() == [2**40]


def test_counters_are_int64_in_files(backend, tmp_path):
    from safetensors.numpy import load_file

    net = nn.BatchNorm1d(4).to(backend)
    net(X)
    um.save(net, tmp_path / "n.safetensors")
    counter = load_file(tmp_path / "n.safetensors")["num_batches_tracked"]
    assert counter.dtype == np.int64
    assert counter == 1


@pytest.mark.parametrize("bad", [7, -1])
def test_an_index_out_of_range_is_an_index_error(backend, bad):
    net = Net().to(backend)
    with pytest.raises(um.OutOfRangeError, match=r"Net\.embedding \(Embedding\)") as caught:
        net(np.array([0, bad]), "embedding")
    assert isinstance(caught.value, IndexError)
    logits = ops.zeros((2, 3), backend=backend)
    with pytest.raises(um.OutOfRangeError, match=r"3|-1"):
        nn.functional.cross_entropy(logits, np.array([0, 3 if bad > 0 else -1]))
    with pytest.raises(um.OutOfRangeError):
        ops.take(logits, ops.asarray(np.array([bad]), backend=backend), axis=1)


def test_a_tensor_of_another_backend_is_refused_with_the_way_out(backend):
    others = [b.name for b in um.backends() if b.installed and b.name not in (backend, "numpy")]
    if backend == "numpy" or not others:
        pytest.skip("there is one framework only, and NumPy arrays are data to every backend")
    net = Net().to(backend)
    foreign = ops.asarray(X, backend=others[0])
    with pytest.raises(um.BackendMismatchError, match=r"net\.to\(.*um\.convert") as caught:
        net(foreign, "inner")
    assert isinstance(caught.value, TypeError)
    with pytest.raises(um.BackendMismatchError, match=r"um\.convert"):
        ops.add(ops.asarray(X, backend=backend), foreign)
    with pytest.raises(um.BackendMismatchError):
        nn.functional.linear(foreign, net.inner.dense.weight)


def test_a_device_that_is_not_there_is_refused_before_any_work(backend):
    net = Net().to(backend)
    before = net.inner.dense.weight
    for device in ("gpu:63", "tpu", "cpu:5", "gpu:-1", ""):
        with pytest.raises(um.DeviceError) as caught:
            net.to(device=device)
        assert isinstance(caught.value, RuntimeError)
    with pytest.raises(um.DeviceError):
        ops.zeros((2,), backend=backend, device="gpu:63")
    assert net.device == "cpu"
    assert net.inner.dense.weight is before


def test_a_constant_has_no_gradient_no_update_and_no_decay(backend):
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 3)
            self.scale = nn.Constant(np.full(3, 2.0))

        def forward(self, x):
            return self.dense(x) * self.scale

    net = Scaled().to(backend)
    twin = net.clone()
    opt = um.optim.SGD(net.parameters(), lr=0.1, weight_decay=0.5)
    _, grads = um.value_and_grad(lambda net, x: ops.sum(net(x)))(net, X)
    opt.step(grads)
    assert set(grads) == {"dense.weight", "dense.bias"}
    assert um.to_numpy(net.scale).tolist() == [2.0, 2.0, 2.0]
    assert "scale" in net.state_dict()
    assert um.to_numpy(twin.scale).tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(um.ModuleError, match="Constant"):
        net.scale = np.ones(3)
    assert um.to_numpy(net.to("numpy").scale).tolist() == [2.0, 2.0, 2.0]


def test_products_are_full_float32(backend):
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(64, 64)).astype("float32") for _ in range(2))
    with um.registry.get_backend(backend).full_precision():
        product = um.to_numpy(ops.matmul(ops.asarray(a, backend=backend), ops.asarray(b, backend=backend)))
    exact = a.astype("float64") @ b.astype("float64")
    assert np.abs(product - exact).max() < 1e-5 * np.abs(exact).max()


def test_a_backend_that_is_not_installed_says_what_to_type():
    info = um.BackendInfo(
        name="absent",
        adapter="nowhere:Nothing",
        framework="no_such_framework",
        distribution=("no-such-framework",),
        module_roots=("no_such_framework",),
        pip='pip install "unimodule[absent]"',
    )
    um.registry.register(info)
    try:
        with pytest.raises(um.BackendNotInstalledError, match=r'pip install "unimodule\[absent\]"') as caught:
            Net().to("absent")
        assert isinstance(caught.value, ImportError)
    finally:
        um.registry.infos().pop("absent")
    with pytest.raises(um.UnknownBackendError, match="numpy"):
        Net().to("absent")


def test_a_forgotten_super_init_is_said(backend):
    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Linear(4, 3)

    with pytest.raises(um.ModuleError, match=r"super\(\).__init__\(\)"):
        Forgetful()


@pytest.mark.parametrize("container", [list, tuple, lambda modules: {"a": modules[0], "b": modules[1]}])
def test_modules_in_a_plain_container_are_refused_with_the_way_out(backend, container):
    class Hiding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = container([nn.Linear(4, 4), nn.Linear(4, 4)])

        def forward(self, x):
            return x

    with pytest.raises(um.ModuleError, match=r"Hiding\.layers.*nn\.ModuleList"):
        Hiding().to(backend)
    with um.use_backend(backend), pytest.raises(um.ModuleError, match=r"Hiding\.layers"):
        Hiding()(X)
