"""The pytest plugin: ``pytest --pyargs unimodule_conformance --unimodule-backend NAME``.

pytest imports this module in every run where unimodule is installed. It imports nothing of weight, adds options that no
one else has, and does nothing unless one of them is given; the tests are in ``suite``.
"""

from __future__ import annotations

import os
import secrets

import pytest

SEED = "UNIMODULE_CONFORMANCE_SEED"
"""Environment variable that carries the seed to the processes of pytest-xdist."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("unimodule", "conformance of backends of unimodule")
    group.addoption(
        "--unimodule-backend",
        action="append",
        default=[],
        metavar="NAME",
        help="judge this backend (may be repeated); together with --pyargs unimodule_conformance",
    )
    group.addoption("--unimodule-device", default="cpu", metavar="DEVICE", help="cpu (default), gpu, gpu:1")
    group.addoption(
        "--unimodule-profile",
        default="smoke",
        choices=["smoke", "ci"],
        help="how many cases: smoke (default) or ci",
    )
    group.addoption(
        "--unimodule-seed",
        type=int,
        default=None,
        metavar="N",
        help="of all that is drawn; by default 0 where the environment variable CI is set, a new one elsewhere",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Settle the seed, once for all processes."""
    if not config.getoption("--unimodule-backend"):
        return
    given = config.getoption("--unimodule-seed")
    if given is None:
        fresh = 0 if os.environ.get("CI") else secrets.randbelow(2**31)
        given = int(os.environ.setdefault(SEED, str(fresh)))
    config.option.unimodule_seed = given


def pytest_report_header(config: pytest.Config) -> str | None:
    """What is judged, and the seed that makes the same run again."""
    backends = config.getoption("--unimodule-backend")
    if not backends:
        return None
    profile, seed = config.getoption("--unimodule-profile"), config.getoption("--unimodule-seed")
    device = config.getoption("--unimodule-device")
    return f"unimodule conformance: {', '.join(backends)} on {device}, profile {profile}, --unimodule-seed {seed}"
