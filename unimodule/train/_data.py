"""Where batches come from: iterables of them, iterators that end once, and whole arrays that are cut into batches.

What they have in common is a place: how many passes over the data have begun, and how many batches of the present one
have been given. A run that goes on from a checkpoint asks for the batches from that place on.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np

from .._random import check_seed, generator, get_rng_state, reserve, set_rng_state
from ..errors import ArgumentError, NotSupportedError, StateDictError
from ..registry import find_backend
from ..transforms.functional import leaves, map_tree

Batch = tuple[Any, ...]
"""``(*inputs, target)``; in ``predict`` the inputs alone."""
Unpack = Callable[[Any], Any]


class Source:
    """Batches in passes over the data.

    Attributes:
        length: the number of batches in a pass; None where that is not known.
        endless: whether another pass can begin.
    """

    length: int | None = None
    endless = True

    def open(self, number: int, skip: int) -> Iterator[Batch]:
        """Pass ``number``, without its first ``skip`` batches, which are gone through at once.

        Raises:
            ArgumentError: there are fewer, or there is no such pass.
        """
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """What the order of the batches depends on, as plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any], inside: bool) -> None:
        """Take over the order of a run that is resumed; ``inside``: in the middle of a pass.

        Raises:
            StateDictError: the batches of that pass would not be the same.
        """


class Arrays(Source):
    """Whole arrays, cut into batches along the first axis.

    Args:
        data: ``(*inputs, target)``: NumPy arrays, or tensors on the CPU; or nestings of them.
        batch_size: of all batches but perhaps the last.
        shuffle: whether each pass has an order of its own.
        seed: of these orders; None draws one when the first pass begins, from the state that ``um.seed`` resets.
        drop_last: leave out a last, smaller batch.
    """

    def __init__(
        self, data: Batch, batch_size: int, shuffle: bool, seed: int | None, drop_last: bool
    ) -> None:
        self._data = map_tree(_on_host, data)
        sizes = {a.shape[:1] for a in leaves(self._data) if isinstance(a, np.ndarray)}
        if len(sizes) != 1 or () in sizes:
            raise ArgumentError(
                f"whole arrays expected one common length of their first axes, got {sorted(sizes)}"
            )
        self._size = next(iter(sizes))[0]
        self._batch_size, self._shuffle, self._drop_last = batch_size, shuffle, drop_last
        self._given = self._seed = None if seed is None else check_seed(seed)
        full, rest = divmod(self._size, batch_size)
        self.length = full + (rest > 0 and not drop_last)

    def open(self, number: int, skip: int) -> Iterator[Batch]:
        assert self.length is not None
        order = self._order(number) if self._shuffle else None
        return (self._cut(i, order) for i in range(skip, self.length))

    def _cut(self, i: int, order: np.ndarray[Any, Any] | None) -> Batch:
        rows: Any = slice(i * self._batch_size, min((i + 1) * self._batch_size, self._size))
        if order is not None:
            rows = order[rows]
        cut: Batch = map_tree(lambda a: a[rows] if isinstance(a, np.ndarray) else a, self._data)
        return cut

    def _order(self, number: int) -> np.ndarray[Any, Any]:
        if self._seed is None:
            self._seed = int(generator(reserve()).integers(2**62))
        sequence = np.random.SeedSequence(self._seed, spawn_key=(number,))
        return np.random.Generator(np.random.Philox(sequence)).permutation(self._size)

    def state_dict(self) -> dict[str, Any]:
        return {
            "size": self._size,
            "batch_size": self._batch_size,
            "shuffle": self._shuffle,
            "drop_last": self._drop_last,
            "seed": self._seed if self._shuffle else None,
        }

    def load_state_dict(self, state: Mapping[str, Any], inside: bool) -> None:
        own = self.state_dict()
        if self._given is None:
            own["seed"] = state.get("seed")
        differing = [k for k, v in own.items() if state.get(k) != v]
        if inside and differing:
            texts = [f"{k}={state.get(k)!r}, now {own[k]!r}" for k in differing]
            raise StateDictError(f"the checkpoint is from within an epoch over {'; '.join(texts)}")
        if self._given is None and state.get("seed") is not None:
            self._seed = int(state["seed"])


class Passes(Source):
    """An iterable of batches that can be gone through again and again: a list, a DataLoader, a tf.data.Dataset.

    Where it has a method ``set_epoch``, that is told the number of each pass.
    """

    def __init__(self, data: Iterable[Any], unpack: Unpack) -> None:
        self._data, self._unpack = data, unpack
        if isinstance(data, Sized):
            with contextlib.suppress(TypeError):  # it does not know
                self.length = len(data)

    def open(self, number: int, skip: int) -> Iterator[Batch]:
        set_epoch = getattr(self._data, "set_epoch", None)
        if callable(set_epoch):
            set_epoch(number)
        return map(self._unpack, _skipped(iter(self._data), skip))


class Once(Source):
    """An iterator, such as a generator: its batches come once. A new one, for a run that goes on, begins at the start."""

    endless = False

    def __init__(self, data: Iterator[Any], unpack: Unpack) -> None:
        self._data, self._unpack = data, unpack

    def open(self, number: int, skip: int) -> Iterator[Batch]:
        if number:
            raise ArgumentError(
                "the batches come from an iterator that has ended: a generator gives them once. Pass something that can "
                "be iterated anew for each epoch (a list, a DataLoader, an object whose __iter__ starts over), or "
                "steps_per_epoch with a generator that lasts for all epochs"
            )
        return map(self._unpack, _skipped(self._data, skip))


def _skipped(items: Iterator[Any], count: int) -> Iterator[Any]:
    """The items after the first ``count``."""
    found = sum(1 for _ in itertools.islice(items, count))
    if found < count:
        raise ArgumentError(
            f"the run had seen {count} batches of this pass, but the data has {found}: it is not the same"
        )
    return items


def source_of(
    data: Any,
    unpack: Unpack,
    *,
    batch_size: int | None = None,
    shuffle: bool = False,
    seed: int | None = None,
    drop_last: bool = False,
) -> Source:
    """What batches come from.

    Args:
        data: an iterable of batches; with ``batch_size``, whole arrays ``(*inputs, target)``.
        unpack: makes ``(*inputs, target)`` of an item.
        batch_size, shuffle, seed, drop_last: see ``Arrays``.

    Raises:
        ArgumentError: it is none of these, or options do not go with it.
    """
    if batch_size is not None:
        check_count("batch_size", batch_size)
        if not isinstance(data, tuple | list | Mapping) and find_backend(data) is None:
            raise ArgumentError(
                f"batch_size= is for whole arrays, got {type(data).__name__}, which has batches of its own"
            )
        return Arrays(unpack(data), batch_size, shuffle, seed, drop_last)
    if shuffle or drop_last or seed is not None:
        raise ArgumentError(
            "shuffle, seed and drop_last are for whole arrays, which batch_size= cuts into batches"
        )
    if isinstance(data, tuple) and any(find_backend(item) is not None for item in data):
        raise ArgumentError("a tuple of arrays is a whole data set: pass batch_size=, or a list of batches")
    if isinstance(data, str | Mapping) or find_backend(data) is not None or not hasattr(data, "__iter__"):
        raise ArgumentError(
            f"expected an iterable of batches, or whole arrays with batch_size=, got {type(data).__name__}"
        )
    if isinstance(data, Iterator):
        return Once(data, unpack)
    return Passes(data, unpack)


def check_count(name: str, value: Any) -> None:
    """Raise ArgumentError unless it is a whole number >= 1."""
    if type(value) is not int or value < 1:
        raise ArgumentError(f"{name} expected a whole number >= 1, got {value!r}")


def with_target(item: Any) -> Batch:
    """``(*inputs, target)`` of a tuple or list.

    Raises:
        ArgumentError: it is something else.
    """
    if isinstance(item, tuple | list) and len(item) >= 2:
        return tuple(item)
    what = (
        f"{type(item).__name__} of {len(item)}"
        if isinstance(item, tuple | list | dict)
        else type(item).__name__
    )
    raise ArgumentError(
        f"a batch expected a tuple (*inputs, target), got a {what}; Trainer(..., unpack=) makes one of other things, "
        "as in unpack=lambda batch: (batch['image'], batch['label'])"
    )


def without_target(item: Any) -> Batch:
    """The inputs in a tuple or list, or the one input."""
    return tuple(item) if isinstance(item, tuple | list) else (item,)


def _on_host(leaf: Any) -> Any:
    backend = find_backend(leaf)
    return leaf if backend is None or isinstance(leaf, np.ndarray) else backend.to_numpy(leaf)


class Reader:
    """The batches of a run, epoch by epoch, from any place on.

    An epoch is a pass over the data, or, with ``steps``, so many batches; then passes follow one another without regard
    to epochs.

    Args:
        source: where they come from.
        steps: batches in an epoch, or None.
    """

    def __init__(self, source: Source, steps: int | None) -> None:
        self.source, self.steps = source, steps
        self._passes = self._given = 0  # passes that are over; batches that the present one has given
        self._present: Iterator[Batch] | None = None
        self._begun: dict[str, Any] | None = None  # the random state in which the present pass began

    @property
    def given(self) -> int:
        """Batches that the present pass has given."""
        return self._given

    @property
    def length(self) -> int | None:
        """Batches in an epoch, where that is known."""
        return self.source.length if self.steps is None else self.steps

    def epoch(self, done: int) -> Iterator[Batch]:
        """The batches of an epoch of which ``done`` have been given already.

        Raises:
            ArgumentError: there are none, or fewer than ``steps``.
        """
        if self.steps is None:
            yield from self._pass()
            if not self._given:
                raise ArgumentError("an epoch without batches: the data is empty")
            self._next_pass()
            return
        while done < self.steps:
            for batch in self._pass():
                done += 1
                yield batch
                if done == self.steps:
                    return
            if not self.source.endless or not self._given:
                raise ArgumentError(
                    f"the data ended after {done} of steps_per_epoch={self.steps} batches of an epoch"
                )
            self._next_pass()

    def _pass(self) -> Iterator[Batch]:
        if self._present is None:
            self.open()
        assert self._present is not None
        for batch in self._present:
            self._given += 1
            yield batch

    def open(self) -> None:
        """Begin the present pass, or go on in it. In the middle of one, this takes the random state in which it began,
        for a loader may draw its order from there, and leaves another.
        """
        if self._given and self._begun is not None:
            set_rng_state(self._begun)
        else:
            with contextlib.suppress(NotSupportedError):
                self._begun = get_rng_state()
        self._present = self.source.open(self._passes, self._given)

    def _next_pass(self) -> None:
        self._present, self._begun, self._given = None, None, 0
        self._passes += 1

    # ------------------------------------------------------------------ state
    def state_dict(self) -> dict[str, Any]:
        """The place, and what the order depends on."""
        return {
            "passes": self._passes,
            "given": self._given,
            "begun": self._begun if self._given else None,
            "source": self.source.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a place that ``state_dict`` gave.

        Raises:
            StateDictError: the batches would not be those that follow.
        """
        self.source.load_state_dict(state["source"], inside=state["given"] > 0)
        self._passes, self._given = int(state["passes"]), int(state["given"])
        self._begun, self._present = state["begun"], None
