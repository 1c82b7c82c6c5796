"""Makes the adapters importable from a checkout, and turns on 64 bits where a framework needs to be asked early."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "backends"):
    if str(folder) not in sys.path:
        sys.path.append(str(folder))

if os.environ.get("UNIMODULE_TEST_X64") == "1":
    os.environ["JAX_ENABLE_X64"] = "1"  # read once, when JAX is imported
