"""TensorFlow, imported without its greeting. The other files import it from here."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_GREETING = re.compile(rb"^(I\d{4} |WARNING: All log messages before absl::InitializeLog).*\n?", re.MULTILINE)


@contextmanager
def _without_greeting() -> Iterator[None]:
    """While TensorFlow's libraries are loaded they write to the file descriptor of stderr how they were built. No
    variable keeps them from it, so what comes there is held back and written afterwards, without those notes.
    """
    try:
        sys.stderr.flush()
        real = os.dup(2)
    except (AttributeError, OSError, ValueError):  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real, 2)
            os.close(real)
            held.seek(0)
            if rest := _GREETING.sub(b"", held.read()):
                os.write(2, rest)


def _import() -> Any:
    if "tensorflow" in sys.modules:
        import tensorflow
    else:
        with _without_greeting():
            import tensorflow
    return tensorflow


tf = _import()
raw = tf.raw_ops
"""The kernels themselves: half the Python of the public wrappers, and as public as they are."""

__all__ = ["raw", "tf"]
