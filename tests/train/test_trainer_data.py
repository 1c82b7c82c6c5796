"""Where a Trainer takes batches from."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, optim
from unimodule.errors import ArgumentError

X = np.arange(22, dtype="float32").reshape(11, 2) / 22
Y = np.arange(11) % 3


def trainer_of(backend: str = "numpy", **kwargs) -> um.Trainer:
    """Not compiled: where batches come from has nothing to do with that."""
    net = nn.Linear(2, 3).initialize(seed=0).to(backend)
    opt = optim.SGD(net.parameters(), lr=0.1)
    return um.Trainer(net, nn.CrossEntropyLoss(), opt, compile=False, **kwargs)


def listed(x=X, y=Y, size: int = 4) -> list[tuple]:
    return [(x[i : i + size], y[i : i + size]) for i in range(0, len(x), size)]


def state(trainer: um.Trainer) -> list[np.ndarray]:
    return list(trainer.net_state().values())


def expected(data: list[tuple], backend: str = "numpy", **kwargs) -> tuple[dict, list[np.ndarray]]:
    trainer = trainer_of(backend)
    return trainer.fit(data, verbose=0, **kwargs), state(trainer)


def assert_same(trainer: um.Trainer, history: dict, wanted: tuple[dict, list[np.ndarray]]) -> None:
    assert history == wanted[0]
    for found, value in zip(state(trainer), wanted[1], strict=True):
        np.testing.assert_array_equal(found, value)


# ---------------------------------------------------------------------- kinds of data
def test_whole_arrays(backend):
    trainer = trainer_of(backend)
    history = trainer.fit((X, Y), batch_size=4, epochs=2, validation=(X, Y), verbose=0)
    assert_same(trainer, history, expected(listed(), backend, epochs=2, validation=listed()))


def test_float64_arrays_take_the_dtype_of_the_net(backend):
    trainer = trainer_of(backend)
    history = trainer.fit((X.astype("float64"), Y), batch_size=4, verbose=0)
    assert_same(trainer, history, expected(listed(), backend))


@pytest.mark.parametrize("source", ["torch", "tensorflow", "jax", "mxnet"])
def test_batches_of_any_framework(backend, source):
    if not um.registry.installed(source):
        pytest.skip(f"{source} is not installed")
    um.registry.get_backend(source)
    data = [(um.convert(x, source), um.convert(y, source)) for x, y in listed()]
    trainer = trainer_of(backend)
    history = trainer.fit(data, validation=data, verbose=0)
    assert_same(trainer, history, expected(listed(), backend, validation=listed()))
    whole = trainer_of(backend)
    data = tuple(um.convert(part, source) for part in (X, Y))
    assert_same(whole, whole.fit(data, batch_size=4, verbose=0), expected(listed(), backend))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_torch_data_loader(backend, dtype):
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.tensor(X.astype(dtype)), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4)
    trainer = trainer_of(backend)
    history = trainer.fit(loader, epochs=2, validation=loader, verbose=0)
    assert trainer.batches == 3
    assert_same(trainer, history, expected(listed(), backend, epochs=2, validation=listed()))
    outputs = trainer.predict(loader, targets=True)
    np.testing.assert_allclose(outputs, um.to_numpy(trainer.net(X)), rtol=1e-5, atol=1e-6)


def test_tensorflow_dataset(backend):
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    trainer = trainer_of(backend)
    history = trainer.fit(dataset, epochs=2, validation=dataset, verbose=0)
    assert trainer.batches == 3
    assert_same(trainer, history, expected(listed(), backend, epochs=2, validation=listed()))
    endless = trainer_of(backend)
    endless.fit(dataset.repeat(), steps_per_epoch=3, verbose=0)
    assert endless.batches == 3


def test_unpack():
    trainer = trainer_of(unpack=lambda item: (item["x"], item["y"]))
    data = [{"x": x, "y": y} for x, y in listed()]
    history = trainer.fit(data, validation=data, verbose=0)
    assert_same(trainer, history, expected(listed(), validation=listed()))
    whole = trainer_of(unpack=lambda item: (item["x"], item["y"]))
    assert_same(whole, whole.fit({"x": X, "y": Y}, batch_size=4, verbose=0), expected(listed()))


# ---------------------------------------------------------------------- order
def seen(data, **kwargs) -> list[list[int]]:
    """Which samples the net sees, batch by batch."""
    found: list[list[int]] = []

    class Watched(nn.Linear):
        def forward(self, x):
            found.append(np.rint(x[:, 0] * 11).astype(int).tolist())
            return super().forward(x)

    net = Watched(2, 3).to("numpy")
    um.Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.1)).fit(data, verbose=0, **kwargs)
    return found


def test_shuffling():
    first = seen((X, Y), batch_size=4, shuffle=True, seed=3, epochs=2)
    assert first == seen((X, Y), batch_size=4, shuffle=True, seed=3, epochs=2)
    assert first != seen((X, Y), batch_size=4, shuffle=True, seed=4, epochs=2)
    epochs = [[row for batch in part for row in batch] for part in (first[:3], first[3:])]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(11))
    um.seed(0)
    by_state = seen((X, Y), batch_size=4, shuffle=True)
    assert by_state != seen((X, Y), batch_size=4, shuffle=True)
    um.seed(0)
    assert by_state == seen((X, Y), batch_size=4, shuffle=True)


def test_the_last_batch_may_be_left_out():
    assert [len(b) for b in seen((X, Y), batch_size=4)] == [4, 4, 3]
    assert [len(b) for b in seen((X, Y), batch_size=4, drop_last=True)] == [4, 4]


def test_steps_per_epoch_goes_on_with_the_data():
    wanted = [b for _ in range(4) for b in seen(listed())][:8]
    assert seen(listed(), epochs=2, steps_per_epoch=4) == wanted
    assert seen((X, Y), batch_size=4, epochs=2, steps_per_epoch=4) == wanted
    assert seen((batch for _ in range(3) for batch in listed()), epochs=2, steps_per_epoch=4) == wanted


def test_validation_steps():
    trainer = trainer_of()
    endless = (batch for _ in range(99) for batch in listed())
    history = trainer.fit(listed(), epochs=2, validation=endless, validation_steps=2, verbose=0)
    assert len(history["val_loss"]) == 2
    assert trainer.evaluate(listed(), steps=1) == trainer.evaluate(listed()[:1])
    assert trainer.predict(X, batch_size=4, steps=2).shape == (8, 3)


def test_set_epoch_is_told():
    class Loader(list):
        told: list[int] = []  # noqa: RUF012

        def set_epoch(self, epoch):
            self.told.append(epoch)

    trainer_of().fit(Loader(listed()), epochs=3, verbose=0)
    assert Loader.told == [0, 1, 2]


# ---------------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        ((X, Y), {}, "pass batch_size="),
        (X, {}, "expected an iterable of batches"),
        ({"x": X}, {}, "expected an iterable of batches"),
        (3, {}, "expected an iterable of batches"),
        ("abc", {}, "expected an iterable of batches"),
        ((X, Y), {"batch_size": 0}, "batch_size expected"),
        ((X, Y), {"batch_size": 2.0}, "batch_size expected"),
        ((X, Y[:5]), {"batch_size": 2}, "one common length"),
        ((X, np.array(1)), {"batch_size": 2}, "one common length"),
        (iter(listed()), {"batch_size": 2}, "has batches of its own"),
        (X, {"batch_size": 2}, r"\(\*inputs, target\)"),
        (listed(), {"shuffle": True}, "shuffle, seed and drop_last are for whole arrays"),
        (listed(), {"seed": 1}, "shuffle, seed and drop_last are for whole arrays"),
        (listed(), {"drop_last": True}, "shuffle, seed and drop_last are for whole arrays"),
        ([X, X], {}, "unpack="),
        ([{"x": X}], {}, "unpack="),
        ([(X,)], {}, "tuple of 1"),
        ([], {}, "the data is empty"),
        ((X[:0], Y[:0]), {"batch_size": 4}, "the data is empty"),
        ((batch for batch in listed()), {"epochs": 2}, "a generator gives them once"),
        (
            (batch for batch in listed()),
            {"epochs": 2, "steps_per_epoch": 2},
            "ended after 1 of steps_per_epoch=2",
        ),
        ([], {"steps_per_epoch": 2}, "ended after 0 of"),
        (listed(), {"epochs": 2, "validation": iter(listed())}, "a generator gives them once"),
        (listed(), {"validation": []}, "the data is empty"),
        (listed(), {"validation": (X, Y)}, "pass batch_size="),
    ],
)
def test_data_that_is_refused(data, kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        trainer_of().fit(data, verbose=0, **kwargs)


def test_evaluation_refuses_too():
    with pytest.raises(ArgumentError, match="the data is empty"):
        trainer_of().evaluate([])
    with pytest.raises(ArgumentError, match="the data is empty"):
        trainer_of().predict([])
    with pytest.raises(ArgumentError, match="unpack="):
        trainer_of().predict([X], targets=True)
