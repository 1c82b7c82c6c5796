"""``unimodule backends``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from .. import registry
from ._command import Command, as_json, show, start


@click.command(cls=Command, short_help="Which backends work here, and their devices.")
@as_json
def backends(as_json: bool) -> None:
    """Show every backend: its framework's version, its devices, and what to do where it is missing.

    Imports the installed frameworks, to see whether they work.
    """
    known = registry.backends()
    failed = start(status.name for status in known if status.installed)
    data = [_described(status, failed.get(status.name)) for status in known]
    show(_table(data), data, as_json)


def _described(status: registry.BackendStatus, error: str | None) -> dict[str, Any]:
    works = status.installed and error is None
    fields = dataclasses.asdict(status)
    return {
        **fields,
        "why_not": status.why_not or error,
        "works": works,
        "devices": status.devices if works else [],
    }


def _table(data: list[dict[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("Backend", "Version", "Devices"):
        table.add_column(heading, overflow="fold")
    table.add_column("")
    for row in data:
        note = Text("default", "bold") if row["default"] else Text(row["why_not"] or "", "red")
        if row["default"] and row["why_not"]:
            note.append(f": {row['why_not']}", "red")
        table.add_row(row["name"], row["version"] or "", ", ".join(row["devices"]), note)
    return table
