"""TensorFlow, imported without its greeting. The other files import it from here."""

from __future__ import annotations

import os
import sys
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def _quietly() -> Any:
    """TensorFlow's C++ side reads its log level once, while it is loaded; a level that the user has set stands."""
    if "tensorflow" in sys.modules or LEVEL in os.environ:
        import tensorflow
    else:
        os.environ[LEVEL] = "1"  # warnings and errors, without the notes on how it was built
        try:
            import tensorflow
        finally:
            del os.environ[LEVEL]
    return tensorflow


tf = _quietly()
raw = tf.raw_ops
"""The kernels themselves: half the Python of the public wrappers, and as public as they are."""

__all__ = ["raw", "tf"]
