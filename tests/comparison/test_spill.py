"""What a comparison keeps: in memory and on disk, and that it does not count as the net's."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from unimodule.comparison.memory import peak
from unimodule.comparison.spill import Spill

ARRAYS = [
    np.arange(6, dtype="float32").reshape(2, 3).T,
    np.full((), 2.5),
    np.zeros((0, 2)),
    np.array([True, False]),
    np.arange(5, dtype="int64")[::-1],
]


@pytest.mark.parametrize("memory", [None, 0, 30])
def test_arrays_come_back_as_they_were(memory: int | None) -> None:
    with Spill(memory) as spill:
        refs = [spill.put(array.copy()) for array in ARRAYS]
        for _ in range(2):
            for ref, array in zip(refs, ARRAYS, strict=True):
                back = spill.get(ref)
                assert (back.dtype, back.shape) == (array.dtype, array.shape)
                np.testing.assert_array_equal(back, array)
        assert spill.held <= (sum(a.nbytes for a in ARRAYS) if memory is None else memory)


def test_what_does_not_fit_into_memory_goes_to_disk() -> None:
    with Spill(100) as spill:
        for size, here in [(80, True), (40, False), (20, True), (1, False)]:
            assert (spill.put(np.zeros(size, "uint8")).here is not None) is here
        assert spill.held == 100


def test_kept_arrays_cannot_be_written_into() -> None:
    with Spill() as spill:
        back = spill.get(spill.put(np.zeros(3)))
        with pytest.raises(ValueError, match="read-only"):
            back[0] = 1


def test_a_file_that_is_too_short_is_an_error() -> None:
    with Spill(0) as spill:
        ref = spill.put(np.zeros(3))
        spill._file.truncate(8)
        with pytest.raises(EOFError):
            spill.get(ref)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps a mark that can be reset")
def test_what_is_kept_beside_is_left_out_of_the_peak() -> None:
    mib, kept = 1 << 20, []
    with peak() as most:
        for _ in range(8):
            own = np.ones(16 * mib, "uint8")  # the computation's, one at a time
            kept.append(np.ones(16 * mib, "uint8"))
            most.apart(len(kept) * 16 * mib)
            del own
    assert most.bytes is not None and 16 * mib <= most.bytes < 56 * mib, most.bytes
    assert most.total is not None and most.total > most.bytes
