"""Trainer: fit, evaluate and predict over batches, and runs that go on where they were killed.

What surrounds the training step is in files of its own: where batches come from (``_data``), what they add up to
(``_averages``), where a run stands (``_run``), how that is saved (``_saved``), and what else happens (``callbacks``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .._random import set_rng_state
from ..errors import ArgumentError
from ..nn.module import Module
from ..optim import Optimizer
from . import _checkpoint_file, _saved
from ._averages import Averages
from ._data import Reader, Source, Unpack, check_count, source_of, with_target, without_target
from ._evaluation import Evaluation, adapted, concatenated, keeping_modes
from ._objective import Objective, samples_of
from ._progress import reporter
from ._run import History, Run
from .callbacks import Callback, Logs
from .checkpoint import FilePath
from .metrics import resolve
from .step import train_step


class Trainer:
    """Trains, evaluates and runs a net over batches.

    Each batch is one call of ``um.train_step``: forward, loss, metrics, backward and update in one native program. A batch
    is a tuple ``(*inputs, target)`` of NumPy arrays or tensors of any backend, or nestings of them; it goes to the net's
    backend, device and float dtype.

    Args:
        net: the net.
        loss: a function or module of (output, target) that returns the mean over the batch.
        optimizer: the optimiser, usually of ``net.parameters()``.
        metrics: what to report beside the loss: ``"accuracy"``, ``"top5_accuracy"`` (any k), ``"binary_accuracy"``,
            ``"mse"``, ``"mae"``, functions of (output, target), ``train.Metric`` objects; or a dict from names to these.
            Functions are written in ``ops``, like a loss; see ``train.metrics`` for what they may return.
        unpack: makes ``(*inputs, target)`` of what the data yields, where that is no such tuple.
        nonfinite: ``"raise"``, where a loss that is infinite or NaN ends the run with an error, or ``"ignore"``.
        **options: of ``um.train_step``: ``compile``, ``accumulate``, ``clip_norm``, ``clip_value`` and the rest; those of
            the native compiler hold for evaluation, too.

    Attributes:
        net, optimizer: what was given.
        history: quantity -> its value for each epoch of the last run; None where an epoch has none.

    Raises:
        ArgumentError: an argument is not what it is said to be.

    Example:
        >>> import numpy as np, unimodule as um
        >>> from unimodule import nn, optim
        >>> net = nn.Linear(2, 2).to("numpy")
        >>> trainer = um.Trainer(net, nn.CrossEntropyLoss(), optim.SGD(net.parameters(), lr=0.5), metrics=["accuracy"])
        >>> x = np.array([[0.0, 1.0], [1.0, 0.0]], "float32")
        >>> history = trainer.fit((x, np.array([0, 1])), batch_size=1, epochs=20, verbose=0)
        >>> history["accuracy"][-1], trainer.predict([x]).argmax(1).tolist()
        (1.0, [0, 1])
    """

    def __init__(
        self,
        net: Module,
        loss: Callable[..., Any],
        optimizer: Optimizer,
        *,
        metrics: Any = (),
        unpack: Unpack | None = None,
        nonfinite: str = "raise",
        **options: Any,
    ) -> None:
        if nonfinite not in ("raise", "ignore"):
            raise ArgumentError(f"nonfinite expected 'raise' or 'ignore', got {nonfinite!r}")
        if unpack is not None and not callable(unpack):
            raise ArgumentError(f"unpack expected a function, got {unpack!r}")
        self._metrics = resolve(metrics)
        compiled = tuple(metric for metric in self._metrics if metric.training)
        train_step(net, loss, optimizer, **options)  # says what is wrong with them in its own words
        dtype = "float64" if net.dtype == "float64" else "float32"
        objective = Objective(loss, compiled, dtype) if compiled else None
        self.net, self.optimizer = net, optimizer
        self._loss: Any = loss if objective is None else objective
        self._objective = objective
        self._step = train_step(net, self._loss, optimizer, **options)
        self._evaluation = Evaluation(net, loss, self._metrics, dtype, options)
        self._unpack: Unpack = (lambda item: with_target(unpack(item))) if unpack else with_target
        self._check = nonfinite == "raise"
        self._run: Run | None = None
        self._callbacks: list[Callback] = []
        self._resume: Path | None = None
        self.history: History = {}

    # ------------------------------------------------------------------ where a run stands
    @property
    def epoch(self) -> int:
        """The present epoch of the run, from 0; after the last one, their number."""
        return 0 if self._run is None else self._run.epoch

    @property
    def epochs(self) -> int:
        """How many epochs the run is to have."""
        return 0 if self._run is None else self._run.epochs

    @property
    def batch(self) -> int:
        """Batches done in the present epoch."""
        return 0 if self._run is None else self._run.batch

    @property
    def batches(self) -> int | None:
        """Batches in an epoch; None where the data does not know."""
        return None if self._run is None else self._run.reader.length

    @property
    def steps(self) -> int:
        """Batches done in the run."""
        return 0 if self._run is None else self._run.steps

    @property
    def pending(self) -> int:
        """Batches accumulated since the last update."""
        return self._step.pending

    def averages(self) -> Logs:
        """Loss and metrics of the present epoch so far."""
        return {} if self._run is None else self._run.averages.result()

    def stop(self) -> None:
        """End the run: after the present epoch where it is at its end, else after the present batch, without noting the
        epoch. For callbacks.
        """
        if self._run is not None:
            self._run.stopped = True

    # ------------------------------------------------------------------ training
    def fit(
        self,
        data: Any,
        *,
        epochs: int = 1,
        validation: Any = None,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int | None = None,
        drop_last: bool = False,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        callbacks: Sequence[Callback] = (),
        resume: FilePath | None = None,
        verbose: int = 1,
    ) -> History:
        """Train.

        The net is put in training mode if it is not, and has its own mode again in the end; a part of a training net that
        was put in evaluation mode stays there. Validation runs after each epoch, in evaluation mode, and leaves buffers
        as they are.

        Args:
            data: an iterable of batches (a list, a torch DataLoader, a tf.data.Dataset, a generator); or, with
                ``batch_size``, whole arrays ``(*inputs, target)``.
            epochs: how many passes over the data; of a run that is resumed, those before included.
            validation: data to evaluate after each epoch; whole arrays in a tuple are cut by ``batch_size``.
            batch_size: cut whole arrays into batches of this size.
            shuffle: give whole arrays a new order in each epoch.
            seed: of these orders; by default one is drawn from the state that ``um.seed`` resets.
            drop_last: leave out a last, smaller batch of whole arrays.
            steps_per_epoch: end an epoch after so many batches, and go on with the data in the next. An iterable starts
                over when it ends, within an epoch, too.
            validation_steps: the same for the validation.
            callbacks: see ``train.Callback``; they are called in this order.
            resume: a checkpoint, or a folder of them, of which the newest whole one is taken; a folder that has none, or is
                not there yet, starts from the beginning. Data, callbacks and options are to be those of the run that is
                resumed; its backend may be another.
            verbose: 0 shows nothing; 1 a progress bar, or, where stdout is no terminal, a line for each epoch; 2 lines.

        Returns:
            ``history``: quantity -> its value for each epoch: ``"loss"``, metrics, with ``"val_"`` in front those of the
            validation, what callbacks added. It can be written as JSON.

        Raises:
            ArgumentError: an argument is not what it is said to be, or the data ends too early.
            NonFiniteError: a loss is not finite (see ``nonfinite``).
            StateDictError: the checkpoint is damaged or does not fit; net, optimiser and callbacks are as they were.
            FileNotFoundError: there is no checkpoint of that name.
        """
        if type(epochs) is not int or epochs < 0:
            raise ArgumentError(f"epochs expected a whole number >= 0, got {epochs!r}")
        if type(verbose) is not int or verbose not in (0, 1, 2):
            raise ArgumentError(f"verbose expected 0, 1 or 2, got {verbose!r}")
        for name, count in (("steps_per_epoch", steps_per_epoch), ("validation_steps", validation_steps)):
            if count is not None:
                check_count(name, count)
        if wrong := [c for c in callbacks if not isinstance(c, Callback)]:
            raise ArgumentError(f"callbacks expected train.Callback objects, got {wrong[0]!r}")
        source = source_of(
            data,
            self._unpack,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_last=drop_last,
        )
        checking = (
            None if validation is None else Reader(self._plain(validation, batch_size), validation_steps)
        )
        names = [metric.name for metric in self._metrics if metric.training]
        run = Run(epochs, Averages(names, self._check), Reader(source, steps_per_epoch), checking)
        self._run, self._resume = run, None if resume is None else Path(resume)
        self._callbacks = [*callbacks, *reporter(verbose)]
        with keeping_modes(self.net):
            if not self.net.training:
                self.net.train()
            return self._carry_out(run)

    def _carry_out(self, run: Run) -> History:
        """A run with its callbacks, of which each that has started is told of the end."""
        started: list[Callback] = []
        try:
            for callback in self._callbacks:
                callback.on_fit_start(self)
                started.append(callback)
            if self._resume is not None:
                self._go_on_from(self._resume, run)
            self.history = run.history
            while not run.over:
                self._train_epoch(run)
        finally:
            for callback in started:
                callback.on_fit_end(self)
        return run.history

    def _train_epoch(self, run: Run) -> None:
        if run.batch == 0:
            for callback in self._callbacks:
                callback.on_epoch_start(self)
        for batch in run.reader.epoch(run.batch):
            self._train_batch(run, batch)
            for callback in self._callbacks:
                callback.on_step_end(self)
            for callback in self._callbacks:
                callback.on_state_complete(self, False)
            if run.stopped:
                return
        logs = run.averages.result()
        if run.validation is not None:
            found = self._evaluation.means(run.validation.epoch(0))
            logs.update((f"val_{name}", value) for name, value in found.items())
        for callback in self._callbacks:
            callback.on_epoch_end(self, logs)
        run.finish_epoch(logs)
        for callback in self._callbacks:
            callback.on_state_complete(self, True)

    def _train_batch(self, run: Run, batch: Any) -> None:
        loss = self._step(*adapted(self.net, batch))
        measured = None if self._objective is None else self._objective.measured
        where = f"at batch {run.batch + 1} of epoch {run.epoch + 1}"
        run.averages.add(loss, measured, samples_of(batch), where)
        run.batch, run.steps = run.batch + 1, run.steps + 1

    def _plain(self, data: Any, batch_size: int | None, unpack: Unpack | None = None) -> Source:
        """Data that is gone through in its own order; only whole arrays in a tuple are cut."""
        whole = batch_size if isinstance(data, tuple) else None
        return source_of(data, unpack or self._unpack, batch_size=whole)

    # ------------------------------------------------------------------ evaluation
    def evaluate(self, data: Any, *, batch_size: int | None = None, steps: int | None = None) -> Logs:
        """Loss and metrics over data, in evaluation mode; modes and buffers of the net are as before.

        Args:
            data: as for ``fit``.
            batch_size: cut whole arrays ``(*inputs, target)`` into batches of this size.
            steps: end after so many batches.

        Returns:
            ``"loss"``, the mean of the batches' losses weighted by their samples, and the metrics.

        Raises:
            ArgumentError: an argument is not what it is said to be, or the data is empty or ends too early.
        """
        if steps is not None:
            check_count("steps", steps)
        source = source_of(data, self._unpack, batch_size=batch_size)
        return self._evaluation.means(Reader(source, steps).epoch(0))

    def predict(
        self, data: Any, *, batch_size: int | None = None, steps: int | None = None, targets: bool = False
    ) -> Any:
        """The net's outputs for data, in evaluation mode; modes and buffers of the net are as before.

        Args:
            data: an iterable of inputs; several inputs of the net stand in a tuple. With ``batch_size``, the whole array,
                or a tuple of them.
            batch_size: cut whole arrays into batches of this size.
            steps: end after so many batches.
            targets: whether the last of each tuple is a target, to be left out.

        Returns:
            NumPy arrays, the batches' outputs joined along the first axis, in the structure of the net's output.

        Raises:
            ArgumentError: an argument is not what it is said to be, or the data is empty or ends too early.
        """
        if steps is not None:
            check_count("steps", steps)
        unpack = (lambda item: self._unpack(item)[:-1]) if targets else without_target
        source = source_of(data, unpack, batch_size=batch_size)
        return concatenated(self._evaluation.outputs(Reader(source, steps).epoch(0)))

    # ------------------------------------------------------------------ checkpoints
    def save(self, path: FilePath) -> None:
        """Write the run to a file from which ``fit(..., resume=path)`` goes on. ``train.Checkpoint`` does it regularly.

        Args:
            path: where to, ``*.safetensors``; the folder must exist. An older file is replaced at once when the new one is
                complete.

        Raises:
            ArgumentError: there was no run yet, or a callback's state has something in it that cannot be saved.
            NonFiniteError: a loss that was not read yet is not finite.
            NotSupportedError: the backend cannot read its random state.
        """
        target = Path(path)
        if self._run is None:
            raise ArgumentError("there is no run to save: call fit first")
        if target.suffix != ".safetensors" or target.is_dir():
            raise ArgumentError(f"save expected the name of a file *.safetensors, got {str(path)!r}")
        _checkpoint_file.write(target, _saved.collected(*self._parts(self._run)))

    def _go_on_from(self, place: Path, run: Run) -> None:
        found = _checkpoint_file.newest(place)
        if found is None:
            return
        _saved.restore(found[1], *self._parts(run))
        for reader in (run.reader, run.validation):
            if reader is not None and reader.given:
                reader.open()
        set_rng_state(found[1]["random"])  # where loaders that have begun may draw from

    def _parts(self, run: Run) -> tuple[Any, ...]:
        """What a checkpoint consists of."""
        module = self._loss if isinstance(self._loss, Module) else None
        return self.net, module, self.optimizer, self._step, run, self._callbacks

    def resumed_from(self, folder: Path) -> bool:
        """Whether the run goes on from a checkpoint in ``folder``. For callbacks."""
        if self._resume is None:
            return False
        return folder.resolve() in (self._resume.resolve(), self._resume.resolve().parent)

    def net_state(self) -> _saved.Values:
        """A copy of the value of every variable of the net, as NumPy arrays."""
        return _saved.values_of(self.net)

    def load_net_state(self, values: _saved.Values) -> None:
        """Give the net what ``net_state`` returned.

        Raises:
            StateDictError: it does not fit; the net is as it was.
        """
        _saved.load_values(self.net, values)


__all__ = ["History", "Trainer"]
