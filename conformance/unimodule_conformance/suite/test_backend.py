"""One test for each check and family: ``pytest --pyargs unimodule_conformance --unimodule-backend NAME``."""

from __future__ import annotations

from collections import Counter

import pytest

from unimodule_conformance.outcome import Status
from unimodule_conformance.running import Config, ConfigError
from unimodule_conformance.running.known import Witnessed, loaded, rows, witness
from unimodule_conformance.running.request import asked, chosen_backends, chosen_device
from unimodule_conformance.running.surface import unlisted
from unimodule_conformance.suite.cases import RED, Part, outcomes, parts, told


def _config(config: pytest.Config) -> Config:
    wanted = config.getoption("--unimodule-backend")
    if not wanted:
        raise pytest.UsageError("name the backend to judge: --unimodule-backend NAME")
    try:
        names = chosen_backends(wanted)
        for name, (_, why) in {name: loaded(name) for name in names}.items():
            if why:
                raise pytest.UsageError(f"backend {name!r} cannot be loaded: {why}")
        device = chosen_device(config.getoption("--unimodule-device"), names)
        return asked(
            Config(
                names,
                device,
                config.getoption("--unimodule-profile"),
                config.getoption("--unimodule-seed"),
            )
        )
    except ConfigError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each part of the plan, and for each divergence."""
    config = _config(metafunc.config)
    if "part" in metafunc.fixturenames:
        found = parts(config)
        metafunc.parametrize("part", found, ids=[part.id for part in found])
    if "row" in metafunc.fixturenames:
        mine = [row for row in rows() if row.backend in config.backends]
        metafunc.parametrize("row", mine, ids=[row.id for row in mine])


def test_conforms(part: Part, request: pytest.FixtureRequest, record_property: object) -> None:
    """Every case of a family passes a check."""
    config = _config(request.config)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    failed = []
    for item, outcome in outcomes(config, part):
        counts[outcome.status.value] += 1
        if outcome.status in RED:
            failed.append((item, outcome))
        elif outcome.message:
            reasons[outcome.message] += 1
    if callable(record_property):
        for status, count in sorted(counts.items()):
            record_property(status, count)
    if failed:
        pytest.fail(told(config, part, failed, counts), pytrace=False)
    if not counts[Status.PASSED.value] and not counts[Status.WEAK.value]:
        why = reasons.most_common(1)[0][0] if reasons else ""
        pytest.skip(f"{', '.join(counts)}: {why}")


def test_every_public_name_has_a_strategy() -> None:
    """A new layer or function cannot be forgotten."""
    assert not unlisted()


def test_divergence_still_shows(row: object) -> None:
    """What the registry says about a framework is so."""
    found: Witnessed = witness(row)  # type: ignore[arg-type]
    if found.verdict == "elsewhere":
        pytest.skip(f"concerns {found.versions}; here is {found.installed or 'none'}")
    assert found.ok, f"the witness is {found.verdict}: {found.message}"
