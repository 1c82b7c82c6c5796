"""``unimodule conformance``."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import click

RED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses."""


def _seconds(_: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """Seconds, as ``90``, ``90s``, ``20m`` or ``2h``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([smh]?)", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is no time; give seconds, or 20m, or 2h", param=parameter)
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


@click.command(short_help="Judge backends: do they compute what the declared semantics say?")
@click.option("--backends", metavar="NAMES", help="Separated by commas; by default all that are installed.")
@click.option("--device", default="cpu", show_default=True, help="cpu, gpu, gpu:1.")
@click.option(
    "--profile",
    type=click.Choice(["smoke", "ci", "thorough"]),
    default="smoke",
    show_default=True,
    help="How much is spent: minutes, a quarter of an hour, or until --max-time.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."
)
@click.option(
    "--report",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write results.json, junit.xml, index.html and a script for each failure here.",
)
@click.option("--checks", metavar="NAMES", help="Only these checks.")
@click.option(
    "--only", metavar="NAMES", help="Only cases of these layers and functions: nn.Conv2d,ops.where."
)
@click.option(
    "--max-time", callback=_seconds, metavar="TIME", help="Begin nothing new after this: 90, 20m, 2h."
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    metavar="N",
    help="Processes; by default one for each core, up to 8. 0 does all in this one.",
)
@click.option(
    "--replay",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="SPEC.json",
    help="Judge this one case: a file that a report wrote for a failure, or a spec.",
)
@click.option(
    "--list", "listing", is_flag=True, help="Print the names of checks, layers and functions, and stop."
)
@click.option(
    "--mutants",
    is_flag=True,
    help="Plant faults one by one and demand that each is caught, at profile ci unless told otherwise.",
)
@click.option(
    "--faults", metavar="PARTS", help="With --mutants: only faults whose names have one of these in them."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a scoreboard.")
def conformance(
    backends: str | None,
    device: str,
    profile: str,
    seed: int,
    directory: Path | None,
    checks: str | None,
    only: str | None,
    max_time: float | None,
    workers: int | None,
    replay: Path | None,
    listing: bool,
    mutants: bool,
    faults: str | None,
    as_json: bool,
) -> None:
    """Judge backends against the declared semantics, with generated models.

    Exit status: 0 where all is green, 1 where something is red, 2 where the command could not be carried out, 130 where
    it was interrupted and what it had found so far was green.
    """
    try:
        from .running.config import Config, ConfigError
        from .running.request import asked, available, chosen_backends, chosen_device
    except ImportError as error:
        raise click.UsageError(f"{error}; run: pip install 'unimodule[conformance]'") from error
    if listing:
        show(available(), as_json)
        return
    if mutants and not _given("profile"):
        profile = "ci"
    try:
        names = chosen_backends(_split(backends))
        config = asked(
            Config(
                backends=names,
                device=chosen_device(device, names),
                profile=profile,
                seed=seed,
                checks=_split(checks),
                only=_split(only),
                max_seconds=max_time,
                workers=min(os.cpu_count() or 1, 8) if workers is None else workers,
            )
        )
        if config.spending.rounds == 0 and max_time is None and replay is None:
            raise ConfigError(
                f"the profile {profile} runs until it is told to stop: give --max-time, such as 2h"
            )
        if replay is not None:
            sys.exit(_replay(replay, config, as_json))
        if mutants:
            sys.exit(_mutants(config, faults, directory, as_json))
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(_run(config, directory, as_json))


def _run(config: Any, directory: Path | None, as_json: bool) -> int:
    from .reports.progress import progress
    from .running import run

    with progress(sys.stderr) as shown:
        results = run(config, shown)
    if directory is not None:
        from .reports.files import write

        write(results, directory)
    if as_json:
        click.echo(results.to_json())
    else:
        from rich.console import Console

        from .reports.terminal import render

        width = None if sys.stdout.isatty() else 110
        Console(highlight=False, width=width).print(
            render(results, directory=str(directory or "")), crop=False
        )
    if not results.ok:
        return RED
    return INTERRUPTED if results.ended == "interrupted" else 0


def _given(option: str) -> bool:
    """Whether an option was given on the command line."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _mutants(config: Any, parts: str | None, directory: Path | None, as_json: bool) -> int:
    from .faults.runner import run_mutants
    from .faults.telling import line, table

    found = run_mutants(config, only=_split(parts), tell=lambda *what: click.echo(line(*what), err=True))
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "mutants.json").write_text(found.to_json(), encoding="utf-8")
    if as_json:
        click.echo(found.to_json())
    else:
        from rich.console import Console

        Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table(found))
    return 0 if found.ok else RED


def _replay(path: Path, config: Any, as_json: bool) -> int:
    from .running.replay import replay

    rows = replay(path, config)
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in rows], indent=1))
    else:
        for row in rows:
            click.echo(str(row))
    return RED if any(row.red for row in rows) else 0


def show(data: dict[str, list[str]], as_json: bool) -> None:
    """Print lists of names."""
    if as_json:
        click.echo(json.dumps(data, indent=1))
        return
    for title, names in data.items():
        click.echo(f"{title}:")
        for name in names:
            click.echo(f"  {name}")


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in (text or "").split(","))))


__all__ = ["conformance"]
