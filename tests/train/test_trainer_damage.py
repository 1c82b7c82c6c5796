"""Checkpoints that are damaged, foreign or do not fit: StateDictError, and everything is as it was."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import unimodule as um
from unimodule import nn, optim
from unimodule.errors import ArgumentError, StateDictError
from unimodule.optim import lr_scheduler
from unimodule.train import Callback, Checkpoint, EarlyStopping, LRSchedule
from unimodule.train import _checkpoint_file as files
from unimodule.train._encoding import decode, encode

from .test_trainer_checkpoint import Setting, X, Y, assert_equal


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A folder with the checkpoints of a run after each of its batches."""
    folder = tmp_path_factory.mktemp("saved")
    Setting().fit(Checkpoint(folder, every_steps=1, keep=None))
    return folder


def refused(setting: Setting, path: Path, message: str, *callbacks: Callback, **kwargs) -> None:
    """Going on from there is refused, and changes nothing."""
    setting.fit(*callbacks, epochs=1)  # some state of its own
    schedule = lr_scheduler.CosineAnnealingLR(setting.opt, 10)
    stopping = EarlyStopping(patience=9)
    own = kwargs.pop("callbacks", [LRSchedule(schedule, "step"), stopping, *callbacks])
    before, random, rate = setting.state(), str(um.get_rng_state()), schedule.state_dict()
    with pytest.raises(StateDictError, match=message):
        setting.fit(callbacks=own, resume=path, **kwargs)
    assert_equal(setting.state(), before)
    assert str(um.get_rng_state()) == random
    assert schedule.state_dict() == rate and stopping.best_epoch is None
    assert setting.trainer.pending == 1
    assert setting.net.training


# ---------------------------------------------------------------------- damage
def test_every_truncation_is_noticed(saved, tmp_path):
    whole = files.path_of(saved, 7).read_bytes()
    bad = tmp_path / "bad.safetensors"
    for size in [0, 1, 8, 9, 100, *range(200, len(whole), len(whole) // 20), len(whole) - 1]:
        bad.write_bytes(whole[:size])
        with pytest.raises(StateDictError):
            files.read(bad)
    refused(Setting(), bad, "damaged or truncated")


def test_every_flipped_bit_is_noticed(saved, tmp_path):
    whole = files.path_of(saved, 7).read_bytes()
    expected = files.read(files.path_of(saved, 7))
    bad = tmp_path / "bad.safetensors"
    rng = np.random.default_rng(0)
    noticed = 0
    for place in rng.integers(0, len(whole), 150):
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        bad.write_bytes(data)
        try:
            assert str(files.read(bad)) == str(expected)  # a version number or the like
        except StateDictError:
            noticed += 1
    assert noticed > 140


def rewritten(path: Path, change, **header: str) -> None:
    """Change a checkpoint's content, with checksums that fit."""
    content = files.read(path)
    change(content)
    files.write(path, content)
    if header:
        data = path.read_bytes()
        (size,) = struct.unpack("<Q", data[:8])
        parsed = json.loads(data[8 : 8 + size])
        parsed["__metadata__"].update(header)
        text = json.dumps(parsed).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("net", {}, "missing 0.weight"),
        ("optimizer", {"kind": "Adam"}, "param_groups"),
        ("optimizer", {"kind": "SGD"}, "optimiser is SGD, the trainer's Adam"),
        ("optimizer", {"kind": "Adam", "state": {}, "param_groups": []}, "sizes"),
        ("step", {}, "pending"),
        ("step", {"pending": 5, "sums": {}}, "accumulate=2"),
        ("step", {"pending": 1, "sums": {0: np.ones(3)}}, "fits no parameter"),
        ("step", {"pending": 1, "sums": {77: np.ones(3)}}, "fits no parameter"),
        ("run", {}, "missing or malformed"),
        ("run", None, "missing or malformed"),
        ("callbacks", [], "no LRSchedule, EarlyStopping"),
        (
            "callbacks",
            [["LRSchedule", True, {}], ["EarlyStopping", True, {}]],
            "expected kind, every, scheduler",
        ),
        ("callbacks", 3, "missing or malformed"),
        ("random", {}, "missing or malformed"),
        ("random", {"version": 1, "seed": None, "portable": {}, "backends": {}}, "missing or malformed"),
        ("loss", {}, "missing"),
    ],
)
def test_parts_that_are_wrong(saved, tmp_path, part, value, message):
    path = shutil.copy(files.path_of(saved, 7), tmp_path / "wrong.safetensors")
    rewritten(path, lambda content: content.update({part: value}))
    refused(Setting(), path, message)
    rewritten(path, lambda content: content.pop(part))
    refused(Setting(), path, "missing or malformed")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"unimodule.checkpoint": "2"}, "version 2"),
        ({"content": "{}"}, "checksum of its header"),
        ({"checksum": "1"}, "checksum of its header"),
    ],
)
def test_headers_that_are_wrong(saved, tmp_path, header, message):
    path = shutil.copy(files.path_of(saved, 7), tmp_path / "wrong.safetensors")
    rewritten(path, lambda content: None, **header)
    refused(Setting(), path, message)


def test_foreign_files(saved, tmp_path):
    um.save(nn.Linear(2, 1).to("numpy"), tmp_path / "net.safetensors")
    refused(Setting(), tmp_path / "net.safetensors", "no checkpoint of a Trainer")
    (tmp_path / "text.safetensors").write_text("not tensors")
    refused(Setting(), tmp_path / "text.safetensors", "no checkpoint")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(StateDictError, match="is a directory"):
        files.read(tmp_path / "folder.safetensors")
    save_file({"a": np.ones(2)}, tmp_path / "bare.safetensors")
    refused(Setting(), tmp_path / "bare.safetensors", "no checkpoint of a Trainer")


def test_a_damaged_newest_one_is_passed_over_with_a_warning(saved, tmp_path):
    for step in (6, 7):
        shutil.copy(files.path_of(saved, step), tmp_path)
    newest = files.path_of(tmp_path, 7)
    newest.write_bytes(newest.read_bytes()[:-9])
    setting = Setting()
    with pytest.warns(UserWarning, match="going on from .*checkpoint-00000006"):
        setting.fit(resume=tmp_path)
    assert setting.trainer.steps == 15
    files.path_of(tmp_path, 6).write_bytes(b"")
    refused(Setting(), tmp_path, "no checkpoint in .* is whole")


# ---------------------------------------------------------------------- whole files that do not fit
def other_optimizer() -> Setting:
    setting = Setting()
    setting.opt = optim.AdamW(setting.net.parameters(), lr=0.1)
    loss = nn.CrossEntropyLoss(weight=np.ones(3))
    setting.trainer = um.Trainer(setting.net, loss, setting.opt, metrics=["accuracy"], accumulate=2)
    return setting


@pytest.mark.parametrize(
    ("make", "kwargs", "message"),
    [
        (lambda: Setting(hidden=7), {}, "0.weight expected shape"),
        (lambda: Setting(metrics=["mse"]), {"epochs": 0}, "metrics accuracy, the trainer mse"),
        (lambda: Setting(metrics=[]), {}, "unexpected|has no state|loss"),
        (other_optimizer, {}, "optimiser is Adam, the trainer's AdamW"),
        (Setting, {"batch_size": 5}, "batch_size=4, now 5"),
        (Setting, {"seed": 5}, "seed="),
        (Setting, {"shuffle": False}, "shuffle=True, now False"),
        (Setting, {"data": (X[:9], Y[:9])}, "size=20, now 9"),
        (Setting, {"callbacks": []}, "has LRSchedule, EarlyStopping, unlike the trainer"),
        (Setting, {"steps_per_epoch": 1}, "steps_per_epoch is 1"),
    ],
)
def test_what_does_not_fit(saved, make, kwargs, message):
    setting = make()
    if setting.trainer._metrics and setting.trainer._metrics[0].name == "mse":
        with pytest.raises(StateDictError, match="metrics accuracy, the trainer mse"):
            setting.fit(resume=files.path_of(saved, 7))
        return
    refused(setting, files.path_of(saved, 7), message, **kwargs)


def test_at_the_end_of_an_epoch_the_data_may_change(saved):
    history = Setting().fit(resume=files.path_of(saved, 10), batch_size=7, seed=3, data=(X[:14], Y[:14]))
    assert len(history["loss"]) == 3


def test_data_that_has_become_shorter(tmp_path):
    data = [(X[i : i + 2], Y[i : i + 2]) for i in range(0, 20, 2)]
    arguments = {"batch_size": None, "shuffle": False, "validation": data}
    Setting().fit(Checkpoint(tmp_path, every_steps=7, every_epochs=None), data=data, epochs=1, **arguments)
    with pytest.raises(ArgumentError, match="had seen 7 batches of this pass, but the data has 5"):
        Setting().fit(resume=tmp_path, data=data[:5], **arguments)


def test_a_callback_whose_state_cannot_be_saved(tmp_path):
    class Odd(Callback):
        def state_dict(self):
            return {"this": self}

    with pytest.raises(ArgumentError, match=r"callbacks.*: a Odd cannot be part of a checkpoint"):
        Setting().fit(Odd(), Checkpoint(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_callback_that_refuses_its_state_leaves_the_others_as_they_were(saved, tmp_path):
    class Refusing(Callback):
        refuses = False

        def state_dict(self):
            return {"refuses": self.refuses}

        def load_state_dict(self, state):
            if self.refuses:
                raise KeyError("no")

    Setting().fit(Refusing(), Checkpoint(tmp_path))
    refusing = Refusing()
    refusing.refuses = True
    with pytest.raises(StateDictError, match="malformed"):
        Setting().fit(refusing, resume=tmp_path)


# ---------------------------------------------------------------------- the encoding
def test_the_encoding():
    tree = {
        "numbers": [1, -(2**80), 0.1, float("inf"), -float("inf"), np.float32(0.5), np.int64(3), True, None],
        "tuples": ((1, "a"), ()),
        "keys": {1: "a", (2, 3): {"$array": "x"}, "b": None},
        "arrays": [np.arange(3), np.float16(2.0) * np.ones((2, 0)), np.array(True)],
    }
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(encode(tree, "t", arrays), allow_nan=False)
    back = decode(json.loads(text), arrays)
    assert str(back) == str({**tree, "numbers": [*tree["numbers"][:5], 0.5, 3, True, None]})
    nan = decode(encode(float("nan"), "t", arrays), arrays)
    assert nan != nan


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", np.array(["a"]), np.array([None]), 1j])
def test_what_cannot_be_encoded(value):
    with pytest.raises(ArgumentError, match="cannot be part of a checkpoint"):
        encode({"x": value}, "t", {})


@pytest.mark.parametrize(
    "value", [{"$array": "none"}, {"$what": 1}, {"$pairs": [1]}, {"$float": "x"}, {"$tuple": 3}]
)
def test_what_cannot_be_decoded(value):
    with pytest.raises(StateDictError):
        decode([value], {})


def test_names_that_would_meet():
    with pytest.raises(ArgumentError, match="stands twice"):
        encode({"a": {"b": np.ones(1)}, "a.b": np.ones(1)}, "t", {})
