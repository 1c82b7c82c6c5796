"""One net in several places, side by side: do they agree, how closely, where do they part, and what does each cost?

``report`` and ``records`` are the result, as plain data: start there. ``run`` puts it together: ``perform`` runs a net in
one place and sends arrays (``measure``) and the calls of its modules (``recording``), ``collect`` keeps them on disk,
``tolerance`` says how far float rounding may carry a result from the reference, ``judge`` compares.
"""

from .records import BackendRow, LayerRecord, ModeResult, Pair, Parting, Picture, TensorError, Timing
from .report import Report
from .run import compare

__all__ = [
    "BackendRow",
    "LayerRecord",
    "ModeResult",
    "Pair",
    "Parting",
    "Picture",
    "Report",
    "TensorError",
    "Timing",
    "compare",
]
