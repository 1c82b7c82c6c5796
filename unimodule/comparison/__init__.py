"""One net on several backends, side by side: do they agree, and how closely?

``measure`` runs a net on one backend and hands back plain arrays; ``tolerance`` says how far float rounding may carry
them from the reference; ``run`` puts the two together; ``report`` holds the verdicts.
"""

from .report import Report, Row
from .run import compare

__all__ = ["Report", "Row", "compare"]
