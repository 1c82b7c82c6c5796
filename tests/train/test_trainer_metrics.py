"""Metrics against NumPy, and exact over batches of different sizes."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.errors import ArgumentError, ShapeError
from unimodule.train import Metric, metrics

RNG = np.random.default_rng(0)


def ratio(pair) -> float:
    total, count = (float(um.ops.item(part)) for part in pair)
    return total / count


def of(backend, *arrays):
    return [um.convert(np.asarray(a), backend) for a in arrays]


@pytest.mark.parametrize("shape", [(7, 4), (3, 4, 5), (2, 4, 3, 2)])
def test_classification(backend, shape):
    scores = RNG.normal(size=shape).astype("float32").round(1)  # with ties
    targets = RNG.integers(0, 4, shape[:1] + shape[2:])
    targets.flat[0] = -100
    counts = targets != -100
    output, target = of(backend, scores, targets)
    expected = ((scores.argmax(1) == targets) & counts).sum() / counts.sum()
    assert ratio(metrics.accuracy(output, target)) == pytest.approx(expected, abs=1e-6)
    order = np.argsort(-scores, axis=1, kind="stable")
    for k in (1, 2, 4, 9):
        hit = (order[:, :k] == np.expand_dims(targets, 1)).any(1) & counts
        found = metrics.top_k_accuracy(output, target, k=k)
        assert ratio(found) == pytest.approx(hit.sum() / counts.sum(), abs=1e-6)


def test_a_single_sample_probabilities_and_nan(backend):
    output, target, likely = of(
        backend, np.float32([0.1, 0.7, 0.2]), np.array(1), np.float32([0.1, 0.8, 0.1])
    )
    assert ratio(metrics.accuracy(output, target)) == ratio(metrics.accuracy(output, likely)) == 1.0
    output, target = of(backend, np.float32([[np.nan, 0.7, 0.2]]), np.array([0]))
    assert ratio(metrics.top_k_accuracy(output, target, k=3)) == 0.0


def test_binary_and_regression(backend):
    a, b = RNG.normal(size=(2, 6, 2)).astype("float32")
    output, target, labels = of(backend, a, b, (b > 0).astype("int64"))
    for threshold in (0.5, 0.0):
        found = ratio(metrics.binary_accuracy(output, labels, threshold=threshold))
        assert found == pytest.approx(((a > threshold) == (b > 0)).mean(), abs=1e-6)
    np.testing.assert_allclose(
        um.to_numpy(metrics.mean_squared_error(output, target)), (a - b) ** 2, rtol=1e-6
    )
    np.testing.assert_allclose(
        um.to_numpy(metrics.mean_absolute_error(output, target)), np.abs(a - b), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("metric", "output", "target"),
    [
        (metrics.accuracy, (3, 2), (2,)),
        (metrics.accuracy, (3, 2), (3, 1)),
        (metrics.accuracy, (), ()),
        (metrics.top_k_accuracy, (3, 2), (3, 2)),
        (metrics.binary_accuracy, (3, 1), (3,)),
        (metrics.mean_squared_error, (3, 1), (3,)),
        (metrics.mean_absolute_error, (3, 1), (3,)),
    ],
)
def test_shapes_that_do_not_fit(metric, output, target):
    with pytest.raises(ShapeError):
        metric(np.zeros(output, "float32"), np.zeros(target, "int64"))


def test_means_are_those_of_all_samples_at_once(backend):
    x = RNG.normal(size=(11, 3)).astype("float32")
    y = RNG.normal(size=(11, 2)).astype("float32")
    net = nn.Linear(3, 2).initialize(seed=0).to(backend)

    def scalar(output, target):
        return ops.mean(ops.square(output - target))

    def pair(output, target):
        return ops.sum(ops.abs(output - target)), output.shape[0] * 2

    named = {
        "mse": "mse",
        "mae": "mae",
        "scalar": scalar,
        "pair": pair,
        "near": functools.partial(metrics.binary_accuracy, threshold=0.0),
        "rows": Metric("other", lambda output, target: ops.sum(output - target, axis=1)),
        "host": Metric("host", lambda output, target: float(um.to_numpy(output).max()), training=False),
    }
    opt = optim.SGD(net.parameters(), lr=0.0)
    compiler = {"backend": "aot_eager"} if backend == "torch" else {}
    trainer = um.Trainer(net, nn.MSELoss(), opt, metrics=named, **compiler)
    history = trainer.fit((x, y), batch_size=4, verbose=0)
    found = trainer.evaluate((x, y), batch_size=4)
    out = um.to_numpy(net(x)).astype("float64")
    expected = {
        "mse": ((out - y) ** 2).mean(),
        "mae": np.abs(out - y).mean(),
        "scalar": ((out - y) ** 2).mean(),
        "pair": np.abs(out - y).mean(),
        "near": ((out > 0) == (y > 0.5)).mean(),
        "rows": (out - y).sum(1).mean(),
        "host": sum(out[i : i + 4].max() * len(out[i : i + 4]) for i in (0, 4, 8)) / 11,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5)
        if name != "host":
            assert history[name][0] == pytest.approx(value, rel=1e-5)
    assert "host" not in history
    assert found["loss"] == pytest.approx(expected["mse"], rel=1e-5)


def test_float64_is_measured_in_float64(backend, has_float64):
    if not has_float64:
        pytest.skip(f"{backend} runs in 32 bits in this process; the 64-bit pass has this case")
    net = nn.Linear(3, 1).initialize(seed=0).to(backend, dtype="float64")
    compiler = {"backend": "aot_eager"} if backend == "torch" else {}
    trainer = um.Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.0), metrics=["mse"], **compiler)
    x, y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 1))
    history = trainer.fit((x, y), batch_size=5, verbose=0)
    assert history["mse"][0] == pytest.approx(((um.to_numpy(net(x)) - y) ** 2).mean(), rel=1e-13)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("accuracy", "expected a list"),
        (3, "expected a list"),
        (["acuracy"], "no metric is called 'acuracy'"),
        (["top_accuracy"], "no metric"),
        (["mse", "mse"], "'mse' cannot have this name"),
        ({"loss": "mse"}, "'loss' cannot"),
        ({"val_mse": "mse"}, "'val_mse' cannot"),
        ([lambda output, target: output], "has no name"),
        ([3], "a name or a function"),
        ([Metric], "a name or a function"),
    ],
)
def test_wrong_metrics(given, message):
    net = nn.Linear(2, 1)
    with pytest.raises(ArgumentError, match=message):
        um.Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.1), metrics=given)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda output, target: (ops.sum(output), 1, 1), "3 values"),
        (lambda output, target: (output, 1), r"shape \(5, 1\)"),
    ],
)
def test_wrong_results(function, message):
    net = nn.Linear(3, 1).to("numpy")
    trainer = um.Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.0), metrics={"m": function})
    with pytest.raises(ArgumentError, match=message):
        trainer.fit((np.ones((5, 3)), np.ones((5, 1))), batch_size=5, verbose=0)
