"""The pytest plugin: ``pytest --pyargs unimodule_conformance --unimodule-backend NAME``.

pytest imports this module in every run where unimodule is installed: it imports nothing of weight, and does nothing
unless the suite's own tests are collected.
"""

from __future__ import annotations
