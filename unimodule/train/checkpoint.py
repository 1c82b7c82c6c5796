"""Checkpoint: the callback that keeps a run on the disk; and the net of a checkpoint on its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ArgumentError, StateDictError
from ..nn.module import LoadResult, Module
from ..state.files import with_ties
from . import _checkpoint_file as files
from ._data import check_count
from .callbacks import Best, Callback, Logs, expect

if TYPE_CHECKING:
    from .trainer import Trainer

FilePath = str | os.PathLike[str]


class Checkpoint(Callback):
    """Save the run in a folder, so that ``fit(..., resume=folder)`` goes on from there to the very same next step.

    Each checkpoint is one file, ``checkpoint-<steps>.safetensors``: net, optimiser, schedules, place in the data, sums of
    loss and metrics, history, random state. It is written aside and renamed when it is complete, so that a process
    killed at any moment leaves whole files.

    Args:
        folder: where to; it is made if need be.
        every_steps: save after every so many batches; None, not within an epoch.
        every_epochs: save after every so many epochs; None, not at their ends.
        keep: how many of the newest to keep; None keeps all. With ``monitor``, the best one stays as well.
        monitor: a quantity among an epoch's logs, such as ``"val_loss"``, that says which is the best.
        mode: ``"min"``, where less is better, or ``"max"``.
        best_only: save only after epochs that are the best so far.
        overwrite: a folder that holds another run's checkpoints is an error, unless ``fit`` resumes from it; True removes
            them.

    Attributes:
        best: the best value monitored.
        best_path: the checkpoint after the epoch that had it, or None.

    Raises:
        ArgumentError: an argument is not what it is said to be, or they do not go together.

    Example:
        >>> import tempfile
        >>> from unimodule.train import Checkpoint
        >>> Checkpoint(tempfile.mkdtemp(), every_steps=100, keep=2).best_path
    """

    essential: ClassVar[bool] = False

    def __init__(
        self,
        folder: FilePath,
        every_steps: int | None = None,
        every_epochs: int | None = 1,
        keep: int | None = 3,
        monitor: str | None = None,
        mode: str = "min",
        best_only: bool = False,
        overwrite: bool = False,
    ) -> None:
        for name, value in (("every_steps", every_steps), ("every_epochs", every_epochs), ("keep", keep)):
            if value is not None:
                check_count(name, value)
        if best_only and (monitor is None or every_steps is not None or every_epochs is None):
            raise ArgumentError(
                "best_only needs monitor= and every_epochs=, and does not go with every_steps="
            )
        if every_steps is None and every_epochs is None:
            raise ArgumentError("a Checkpoint expected every_steps or every_epochs, got neither")
        self.folder = Path(folder)
        self.every_steps, self.every_epochs, self.keep = every_steps, every_epochs, keep
        self.best_only, self.overwrite = best_only, overwrite
        self._best = None if monitor is None else Best(monitor, mode)
        self._best_name: str | None = None
        self._improved = False

    @property
    def best(self) -> float | None:
        """See the class."""
        return None if self._best is None else self._best.value

    @property
    def best_path(self) -> Path | None:
        """See the class."""
        path = None if self._best_name is None else self.folder / self._best_name
        return path if path is not None and path.exists() else None

    # ------------------------------------------------------------------ hooks
    def on_fit_start(self, trainer: Trainer) -> None:
        """Prepare the folder, and start anew."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files.remove_drafts(self.folder)
        if self._best is not None:
            self._best.reset()
        self._best_name, self._improved = None, False
        present = files.listed(self.folder)
        if not present or trainer.resumed_from(self.folder):
            return
        if not self.overwrite:
            raise ArgumentError(
                f"{self.folder} holds {len(present)} checkpoints of an earlier run: pass fit(resume={str(self.folder)!r}) to "
                "go on with it, or another folder, or Checkpoint(overwrite=True)"
            )
        for path in present:
            path.unlink(missing_ok=True)

    def on_epoch_end(self, trainer: Trainer, logs: Logs) -> None:
        """See whether it is the best."""
        if self._best is not None:
            self._improved = self._best.improved(logs)

    def on_state_complete(self, trainer: Trainer, epoch_ended: bool) -> None:
        """Save, if it is time to."""
        improved, self._improved = self._improved and epoch_ended, False
        if epoch_ended:
            regular = self.every_epochs is not None and trainer.epoch % self.every_epochs == 0
            due = improved or (regular and not self.best_only)
        else:
            due = self.every_steps is not None and trainer.steps % self.every_steps == 0
        if due:
            path = files.path_of(self.folder, trainer.steps)
            if improved:
                self._best_name = path.name
            trainer.save(path)
            self._clear_up(trainer.steps)

    def _clear_up(self, steps: int) -> None:
        """Remove the checkpoints that are not to be kept, and those after this one: they are of a run that was left when
        this one went on from an older checkpoint.
        """
        present = files.listed(self.folder)
        own = [path for path in present if files.step_of(path) <= steps]
        for path in present:
            old = self.keep is not None and path not in own[-self.keep :] and path.name != self._best_name
            if old or path not in own:
                path.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """See ``Callback``."""
        return {} if self._best is None else {"best": self.best, "best_name": self._best_name}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``Callback``."""
        expect(self, state, ("best", "best_name"))
        if (state["best"] is None) != (self._best is None):
            raise StateDictError(
                "one of checkpoint and trainer has a Checkpoint that monitors, the other not"
            )
        if self._best is not None:
            self._best.value = state["best"]
        self._best_name = state["best_name"]


def load_net(net: Module, path: FilePath, strict: bool = True) -> LoadResult:
    """Give a net the values that the net of a checkpoint has.

    Args:
        net: the net, on any backend or none yet; it changes only if everything fits.
        path: a checkpoint, or a folder of them, of which the newest whole one is taken.
        strict: whether missing and unexpected names are errors.

    Returns:
        The missing and the unexpected names, which are empty with ``strict``.

    Raises:
        StateDictError: it is no checkpoint, damaged, or does not fit; the net is as it was.
        FileNotFoundError: there is none.

    Example:
        >>> import numpy as np, tempfile, unimodule as um
        >>> from unimodule.train import Checkpoint, load_net
        >>> folder, net = tempfile.mkdtemp(), um.nn.Linear(2, 1).to("numpy")
        >>> trainer = um.Trainer(net, um.nn.MSELoss(), um.optim.SGD(net.parameters(), lr=0.1))
        >>> data = [(np.ones((3, 2), "float32"), np.ones((3, 1), "float32"))]
        >>> _ = trainer.fit(data, callbacks=[Checkpoint(folder)], verbose=0)
        >>> load_net(um.nn.Linear(2, 1), folder)
        LoadResult(missing_keys=[], unexpected_keys=[])
    """
    found = files.newest(Path(path))
    if found is None:
        raise FileNotFoundError(f"there is no checkpoint in {path}")
    place, content = found
    persistent = {k: v for k, v in content["net"].items() if k not in content["transient"]}
    try:
        return net.load_state_dict(with_ties(net, persistent), strict)
    except StateDictError as error:
        raise StateDictError(f"{place}: {error}") from error
