"""TensorFlow, imported without its greeting. The other files import it from here."""

from __future__ import annotations

import sys
from typing import Any

from unimodule.backend import without_greeting

_GREETING = (
    rb"I\d{4} |WARNING: All log messages before absl::InitializeLog|To enable the following instructions"
)


def _import() -> Any:
    if "tensorflow" in sys.modules:
        import tensorflow
    else:
        with without_greeting(_GREETING):
            import tensorflow
    return tensorflow


tf = _import()
raw = tf.raw_ops
"""The kernels themselves: half the Python of the public wrappers, and as public as they are."""

__all__ = ["raw", "tf"]
