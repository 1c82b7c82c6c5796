"""Checkpoints: resumed runs equal whole ones, on other backends too; what does not fit or is damaged changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, optim
from unimodule.errors import ArgumentError, NonFiniteError, StateDictError
from unimodule.optim import lr_scheduler
from unimodule.train import Callback, Checkpoint, EarlyStopping, LRSchedule, load_net
from unimodule.train import _checkpoint_file as files

from .cases import batches, everything, options

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(20, 5)).astype("float32"), RNG.integers(0, 3, 20)


class Setting:
    """A net and all that trains it, made anew as a new process would. It has no bias before the batch norm: its gradient
    would be nothing but rounding, which Adam blows up.
    """

    def __init__(self, backend: str = "numpy", hidden: int = 6, dropout: float = 0.3, **kwargs):
        net = nn.Sequential(
            nn.LazyLinear(hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, 3),
        )
        self.net = net.initialize(seed=1).to(backend)
        self.opt = optim.Adam(net.parameters(), lr=0.05)
        loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 1.0]))
        kwargs = {"metrics": ["accuracy"], "accumulate": 2, **options(backend), **kwargs}
        self.trainer = um.Trainer(self.net, loss, self.opt, **kwargs)

    def callbacks(self, *others: Callback) -> list[Callback]:
        schedule = lr_scheduler.CosineAnnealingLR(self.opt, 10)
        return [LRSchedule(schedule, "step"), EarlyStopping(patience=9, restore_best=True), *others]

    def fit(self, *others: Callback, **kwargs):
        arguments = {
            "data": (X, Y), "batch_size": 4, "epochs": 3, "shuffle": True, "validation": (X, Y),
            "callbacks": self.callbacks(*others), "verbose": 0, **kwargs,
        }  # fmt: skip
        data = arguments.pop("data")
        return self.trainer.fit(data, **arguments)

    def state(self) -> dict[str, np.ndarray]:
        return {**everything(self.net, self.opt), "lr": np.array(self.opt.param_groups[0]["lr"])}


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
        assert found[name].dtype == value.dtype


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with the checkpoints of a run after each of its batches."""
    folder = tmp_path_factory.mktemp("saved")
    um.seed(3)
    Setting().fit(Checkpoint(folder, every_steps=1, keep=None))
    return folder


# ---------------------------------------------------------------------- going on
def test_going_on_from_anywhere(backend, tmp_path):
    um.seed(3)
    whole = Setting(backend)
    history = whole.fit(Checkpoint(tmp_path / "all", every_steps=1, keep=None))
    paths = files.listed(tmp_path / "all")
    assert [files.step_of(path) for path in paths] == list(range(1, 16))
    for path in (paths[2], paths[4], paths[-1]):
        um.seed(99)
        again = Setting(backend)
        assert again.fit(resume=path) == history
        assert_equal(again.state(), whole.state())
        assert again.trainer.history == history


def test_more_epochs_than_before(saved):
    um.seed(3)
    whole = Setting()
    history = whole.fit(epochs=5)
    again = Setting()
    assert again.fit(epochs=5, resume=saved) == history
    assert_equal(again.state(), whole.state())


@pytest.mark.parametrize("other", ["torch", "jax", "tensorflow", "mxnet"])
def test_going_on_on_another_backend(other, tmp_path):
    if not um.registry.installed(other):
        pytest.skip(f"{other} is not installed")
    um.seed(3)
    whole = Setting(dropout=0.0)
    history = whole.fit(Checkpoint(tmp_path, every_steps=7, every_epochs=None))
    again = Setting(other, dropout=0.0)
    found = again.fit(resume=tmp_path / "checkpoint-00000007.safetensors")
    for name, values in history.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    for name, value in whole.state().items():
        np.testing.assert_allclose(again.state()[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert again.net.backend == other


def test_a_net_without_a_backend_or_shapes_goes_on(saved):
    again = Setting()
    plain = nn.Sequential(nn.LazyLinear(6, bias=False), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 3))
    with um.use_backend("numpy"):
        again.net, again.opt = plain, optim.Adam(plain.parameters(), lr=0.05)
        loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 1.0]))
        again.trainer = um.Trainer(plain, loss, again.opt, metrics=["accuracy"], accumulate=2)
        um.seed(3)
        whole = Setting()
        history = whole.fit()
        assert again.fit(resume=files.path_of(saved, 7)) == history
    assert_equal(again.state(), whole.state())


def test_a_loader_that_shuffles_by_its_framework_goes_on(tmp_path):
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))

    def run(**kwargs):
        loader = torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True)
        setting = Setting("torch", compile=False)
        saving = Checkpoint(tmp_path, every_steps=1, keep=None, overwrite=True)
        arguments = {"batch_size": None, "shuffle": False, "validation": [(X, Y)], **kwargs}
        return setting, setting.fit(saving, data=loader, **arguments)

    um.seed(3)
    whole, history = run()
    kept = tmp_path / "kept.safetensors"
    shutil.copy(files.path_of(tmp_path, 7), kept)
    um.seed(8)
    again, found = run(resume=kept)
    assert found == history
    assert_equal(again.state(), whole.state())


def test_one_shot_data_goes_on(tmp_path):
    def endless():
        while True:
            yield from batches(3)

    def run(**kwargs):
        um.seed(3)
        setting = Setting()
        arguments = {
            "batch_size": None,
            "shuffle": False,
            "steps_per_epoch": 4,
            "validation_steps": 2,
            **kwargs,
        }
        history = setting.fit(
            Checkpoint(tmp_path, every_steps=1, keep=None), data=endless(), validation=endless(), **arguments
        )
        return setting, history

    whole, history = run()
    again, found = run(resume=files.path_of(tmp_path, 6))
    assert found == history
    assert_equal(again.state(), whole.state())


def test_a_finished_run_is_not_run_again(saved):
    again = Setting()
    history = again.fit(resume=saved)
    assert len(history["loss"]) == 3 and again.trainer.steps == 15


def test_a_stopped_run_stays_stopped(tmp_path):
    class Stop(Callback):
        def on_epoch_end(self, trainer, logs):
            trainer.stop()

    Setting().fit(Stop(), Checkpoint(tmp_path))
    assert len(Setting().fit(Stop(), resume=tmp_path)["loss"]) == 1


def test_a_folder_without_checkpoints_starts_from_the_beginning(tmp_path):
    um.seed(3)
    history = Setting().fit(resume=tmp_path / "none")
    um.seed(3)
    assert Setting().fit(resume=tmp_path) == history
    with pytest.raises(FileNotFoundError):
        Setting().fit(resume=tmp_path / "none.safetensors")


def test_state_of_callbacks(tmp_path):
    class Count(Callback):
        def __init__(self):
            self.seen = {"steps": 0, ("odd", 1): np.arange(3), "list": [None, True, float("inf"), 2**70, "x"]}

        def on_step_end(self, trainer):
            self.seen["steps"] += 1

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    Setting().fit(Count(), Checkpoint(tmp_path))
    count = Count()
    Setting().fit(count, epochs=4, resume=tmp_path)
    assert count.seen["steps"] == 20
    np.testing.assert_array_equal(count.seen["odd", 1], np.arange(3))
    assert count.seen["list"] == [None, True, float("inf"), 2**70, "x"]


# ---------------------------------------------------------------------- the callback
def names(folder: Path) -> list[int]:
    return [files.step_of(path) for path in files.listed(folder)]


def test_which_are_kept(tmp_path):
    Setting().fit(Checkpoint(tmp_path / "a", every_steps=2, keep=3))
    assert names(tmp_path / "a") == [12, 14, 15]
    Setting().fit(Checkpoint(tmp_path / "b", every_steps=4, every_epochs=None, keep=None))
    assert names(tmp_path / "b") == [4, 8, 12]
    Setting().fit(Checkpoint(tmp_path / "c", every_epochs=2))
    assert names(tmp_path / "c") == [10]
    (tmp_path / "c" / ".checkpoint-00000010.safetensors.0123abcd.tmp").write_bytes(b"half")
    Setting().fit(Checkpoint(tmp_path / "c", overwrite=True))
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == [
        f"checkpoint-{n:08d}.safetensors" for n in (5, 10, 15)
    ]


class Values(Callback):
    def __init__(self, *values):
        self.values = values

    def on_epoch_end(self, trainer, logs):
        logs["value"] = self.values[trainer.epoch]


def test_the_best_is_kept(tmp_path):
    values = Values(0.5, 0.9, 0.7, 0.8)
    saving = Checkpoint(tmp_path / "a", keep=1, monitor="value", mode="max")
    setting = Setting()
    setting.fit(values, saving, epochs=4)
    assert names(tmp_path / "a") == [10, 20]
    assert saving.best == 0.9 and saving.best_path == files.path_of(tmp_path / "a", 10)
    only = Checkpoint(tmp_path / "b", monitor="value", best_only=True)
    Setting().fit(values, only, epochs=4)
    assert names(tmp_path / "b") == [5]
    again = Checkpoint(tmp_path / "a", keep=1, monitor="value", mode="max")
    Setting().fit(Values(0.5, 0.9, 0.7, 0.8, 0.85), again, epochs=5, resume=tmp_path / "a")
    assert names(tmp_path / "a") == [10, 25] and again.best == 0.9
    assert Checkpoint(tmp_path / "a").best is None


def test_going_back_leaves_what_came_after(tmp_path):
    saving = Checkpoint(tmp_path, every_steps=1, keep=4)
    Setting().fit(saving)
    assert names(tmp_path) == [12, 13, 14, 15]
    Setting().fit(Checkpoint(tmp_path, every_steps=1, keep=2), resume=files.path_of(tmp_path, 12), epochs=3)
    assert names(tmp_path) == [14, 15]
    back = Checkpoint(tmp_path, every_steps=3, every_epochs=None, keep=2)
    Setting().fit(back, resume=files.path_of(tmp_path, 14), epochs=3)
    assert names(tmp_path) == [14, 15]


def test_another_runs_folder(tmp_path):
    Setting().fit(Checkpoint(tmp_path))
    with pytest.raises(ArgumentError, match="checkpoints of an earlier run"):
        Setting().fit(Checkpoint(tmp_path))
    assert names(tmp_path) == [5, 10, 15]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"every_steps": 0}, "every_steps expected"),
        ({"every_epochs": -1}, "every_epochs expected"),
        ({"keep": 0}, "keep expected"),
        ({"every_epochs": None}, "every_steps or every_epochs"),
        ({"best_only": True}, "best_only needs"),
        ({"best_only": True, "monitor": "loss", "every_steps": 3}, "best_only needs"),
        ({"monitor": "loss", "mode": "best"}, "mode expected"),
    ],
)
def test_wrong_checkpoints(kwargs, message, tmp_path):
    with pytest.raises(ArgumentError, match=message):
        Checkpoint(tmp_path, **kwargs)


def test_no_checkpoint_of_a_loss_that_is_not_finite(tmp_path):
    bad = np.where(np.arange(20)[:, None] > 10, np.nan, X)
    with pytest.raises(NonFiniteError):
        Setting().fit(Checkpoint(tmp_path, every_steps=1), data=(bad, Y), shuffle=False)
    assert names(tmp_path) == [1, 2]


def test_save_by_hand(tmp_path):
    setting = Setting()
    setting.fit(epochs=1)
    with pytest.raises(ArgumentError, match="safetensors"):
        setting.trainer.save(tmp_path / "run.pt")
    with pytest.raises(FileNotFoundError):
        setting.trainer.save(tmp_path / "none" / "run.safetensors")
    setting.trainer.save(tmp_path / "run.safetensors")
    assert len(Setting().fit(resume=tmp_path / "run.safetensors")["loss"]) == 3


# ---------------------------------------------------------------------- the net alone
def test_load_net(saved, backend, tmp_path):
    net = nn.Sequential(nn.LazyLinear(6, bias=False), nn.BatchNorm1d(6), nn.Dropout(), nn.Linear(6, 3)).to(
        backend
    )
    assert load_net(net, files.path_of(saved, 7)) == ([], [])
    tree = files.read(files.path_of(saved, 7))["net"]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(um.to_numpy(value), tree[name])
    load_net(net, saved)
    with pytest.raises(StateDictError, match=r"checkpoint-00000015.*unexpected"):
        load_net(nn.Sequential(nn.Linear(5, 6), nn.Linear(6, 6)), saved)
    with pytest.raises(FileNotFoundError):
        load_net(net, tmp_path)


def test_ties_and_buffers_that_no_state_dict_has(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)
            self.b.weight = self.a.parameter("weight")
            self.calls = nn.Buffer(0, persistent=False)

        def forward(self, x):
            self.calls = self.calls + 1
            return self.b(self.a(x))

    def trainer_of():
        net = Tied().initialize(seed=0).to("numpy")
        return um.Trainer(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.1))

    data = [(np.ones((2, 3), "float32"), np.ones((2, 3), "float32"))] * 3
    first = trainer_of()
    first.fit(data, callbacks=[Checkpoint(tmp_path)], verbose=0)
    again = trainer_of()
    again.fit(data, epochs=2, resume=tmp_path, verbose=0)
    assert int(again.net.calls) == 6
    fresh = Tied().to("numpy")
    assert load_net(fresh, tmp_path) == ([], [])
    np.testing.assert_array_equal(fresh.b.weight, first.net.a.weight)
    assert int(fresh.calls) == 0
