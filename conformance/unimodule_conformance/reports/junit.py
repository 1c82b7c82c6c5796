"""JUnit XML, which every CI system reads: a suite for each backend, a test case for each check and family."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from ..outcome import Status
from ..running.results import Failure, Results

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Results) -> str:
    """The results as JUnit XML."""
    root = ET.Element("testsuites", name="unimodule conformance", time=f"{results.seconds:.1f}")
    for target in results.targets:
        _suite(root, results, target)
    if results.witnesses:
        suite = ET.SubElement(root, "testsuite", name="divergences")
        for witness in results.witnesses:
            case = ET.SubElement(suite, "testcase", classname="divergences", name=witness.id)
            if not witness.ok:
                _because(case, "failure", f"its witness is {witness.verdict}", witness.message)
            elif witness.verdict != "shows":
                ET.SubElement(case, "skipped", message=f"for {witness.versions}")
        _count(suite)
    if results.missing:
        suite = ET.SubElement(root, "testsuite", name="strategies")
        for name in results.missing:
            case = ET.SubElement(suite, "testcase", classname="strategies", name=name)
            _because(case, "failure", "has no strategy", "")
        _count(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _suite(root: ET.Element, results: Results, target: str) -> None:
    suite = ET.SubElement(root, "testsuite", name=target)
    told: dict[tuple[str, str], list[Failure]] = {}
    for failure in results.failures:
        if str(failure.target) == target:
            told.setdefault((failure.family, failure.check), []).append(failure)
    for (family, check, who), tally in sorted(results.tallies.items()):
        if who != target:
            continue
        case = ET.SubElement(suite, "testcase", classname=f"{target}.{family}", name=check)
        case.set("time", f"{tally.seconds:.3f}")
        if tally.red:
            errors = tally.of(Status.FAILED) == 0
            texts = [_told(failure) for failure in told.get((family, check), [])]
            text = "\n\n".join(texts) or "grouped with a failure of another family"
            _because(case, "error" if errors else "failure", f"{tally.red} of {tally.total} cases", text)
        elif tally.of(Status.SKIPPED) == tally.total:
            reason = next(iter(tally.reasons), "")
            ET.SubElement(case, "skipped", message=_clean(reason))
        else:
            parts = ", ".join(f"{count} {status}" for status, count in sorted(tally.counts.items()))
            ET.SubElement(case, "system-out").text = parts
    _count(suite)


def _told(failure: Failure) -> str:
    return "\n".join([failure.message, failure.spec, failure.shrinking, "", failure.script])


def _because(case: ET.Element, tag: str, message: str, text: str) -> None:
    ET.SubElement(case, tag, message=_clean(message)).text = _clean(text)


def _clean(text: str) -> str:
    """XML has no control characters, not even escaped."""
    return _UNPRINTABLE.sub("�", text)


def _count(suite: ET.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for tag, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")


__all__ = ["junit"]
