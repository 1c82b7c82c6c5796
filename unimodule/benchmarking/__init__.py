"""What a net costs in time and memory on each backend: eager and compiled, forward and training, at several batch sizes.

``report`` is the result, as plain data: start there. ``run`` is ``bench``: it has one worker process for each backend
(``child`` is this process's end of it, ``worker`` the other) and asks them for samples in turns (``turns``).
"""

from .report import BenchPlace, BenchReport, Measurement
from .run import bench

__all__ = ["BenchPlace", "BenchReport", "Measurement", "bench"]
