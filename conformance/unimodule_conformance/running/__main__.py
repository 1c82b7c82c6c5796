"""``python -m unimodule_conformance.running DIR/results.json ...`` prints the table of costs that reports come to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .costs import measured
from .results import Results

if __name__ == "__main__":
    reports = [Results.from_json(Path(path).read_text("utf-8")) for path in sys.argv[1:]]
    print(json.dumps(measured(reports), indent=1, sort_keys=True))
