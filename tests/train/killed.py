"""Trains with checkpoints after every batch, and is killed meanwhile. Run by test_trainer_kill.py as a script.

killed.py BACKEND FOLDER RESULT           train, going on from FOLDER; the result goes to the file RESULT
killed.py BACKEND FOLDER RESULT KILLS     the same in processes that it forks and kills, so often
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

import unimodule as um
from unimodule import nn, optim
from unimodule.optim import lr_scheduler
from unimodule.train import Callback, Checkpoint, EarlyStopping, LRSchedule

EPOCHS, ROWS, BATCH = (
    12,
    90,
    8,
)  # 12 batches an epoch, the last one smaller; accumulated by two, across epochs


class Started(Callback):
    """Says so after the first batch, to whoever is waiting to kill."""

    said = False

    def on_step_end(self, trainer):
        if not self.said:
            self.said = True
            print("started", flush=True)


def train(backend: str, folder: str | None, result: Path, compile: bool, epochs: int = EPOCHS) -> None:
    """Everything that a run may consist of: dropout, running statistics, shuffling, accumulation, schedules by step and
    by metric, metrics, validation, early stopping.
    """
    um.seed(7)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 6)).astype("float32")
    y = (x[:, 0] * x[:, 1] > 0).astype("int64")
    net = nn.Sequential(
        nn.LazyLinear(16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    ).to(backend)
    opt = optim.AdamW(net.parameters(), lr=0.02)
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 1.5]), label_smoothing=0.1)
    trainer = um.Trainer(net, loss, opt, metrics=["accuracy"], accumulate=2, clip_norm=1.0, compile=compile)
    callbacks = [
        Started(),
        LRSchedule(lr_scheduler.CosineAnnealingLR(opt, T_max=40), every="step"),
        LRSchedule(lr_scheduler.ReduceLROnPlateau(opt, factor=0.9, patience=1)),
        EarlyStopping("val_loss", patience=epochs, restore_best=True),
    ]
    if folder is not None:
        callbacks.append(Checkpoint(folder, every_steps=1, keep=2, monitor="val_accuracy", mode="max"))
    history = trainer.fit(
        (x, y),
        epochs=epochs,
        validation=(x[:30], y[:30]),
        batch_size=BATCH,
        shuffle=True,
        callbacks=callbacks,
        resume=folder,
        verbose=0,
    )
    arrays = {k: v.tobytes().hex() for k, v in trainer.net_state().items()}
    state = opt.state_dict()["state"]
    for index, entry in state.items():
        for name, value in entry.items():
            host = np.asarray(value if isinstance(value, int | float) else um.to_numpy(value))
            arrays[f"{index} {name}"] = host.tobytes().hex()
    text = json.dumps({"history": history, "arrays": arrays, "steps": trainer.steps}, sort_keys=True)
    draft = result.with_suffix(".draft")
    draft.write_text(text)
    draft.replace(result)


def besiege(backend: str, folder: str, result: Path, kills: int) -> None:
    """Fork, kill at a random moment, and again; a run that comes through is compared and another one begins."""
    whole = result.with_suffix(".whole")
    expected = None
    moments = random.Random(0)
    done = runs = drafts = 0
    while done < kills or expected is None:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            train(backend, None if expected is None else folder, whole, compile=False)
            os._exit(0)
        if expected is not None and done < kills:
            time.sleep(moments.uniform(0.0, 0.25))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            done += 1
            place = Path(folder)
            drafts += place.is_dir() and any(path.suffix == ".tmp" for path in place.iterdir())
            continue
        assert os.waitstatus_to_exitcode(status) == 0, "a run failed"
        if expected is None:
            expected = whole.read_text()
        else:
            assert whole.read_text() == expected, f"run {runs} differs after {done} kills"
            runs += 1
            shutil.rmtree(folder)
    child = os.fork()
    if child == 0:
        train(backend, folder, whole, compile=False)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert whole.read_text() == expected, f"the last run differs after {done} kills"
    result.write_text(json.dumps({"kills": done, "runs": runs + 1, "drafts": drafts}))


if __name__ == "__main__":
    backend, folder, target = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    um.registry.get_backend(backend)
    if len(sys.argv) > 4:
        besiege(backend, folder, target, int(sys.argv[4]))
    else:
        train(backend, folder if folder != "-" else None, target, compile=True, epochs=4)
