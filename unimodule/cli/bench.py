"""``unimodule bench``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import _random
from ..benchmarking import bench as run
from ..benchmarking import plot as plots
from ..comparison.places import parse_places
from ._command import DISAGREE, Command, InputError, as_json, show
from ._sources import read_inputs, read_loss, read_net


@click.command(cls=Command, short_help="What a net costs in time and memory on several backends.")
@click.argument("source", metavar="FILE.py:OBJECT")
@click.option("--input", "inputs", multiple=True, metavar="SPEC", help="An input; repeat it for each.")
@click.option("--weights", metavar="FILE", help="The net's state: safetensors, or a PyTorch state_dict.")
@click.option("--backends", metavar="NAMES", help="Separated by commas; by default all that are installed.")
@click.option(
    "--backend",
    "more",
    multiple=True,
    metavar="NAME=PYTHON",
    help="A backend under another interpreter, such as torch-2.11=/env/bin/python; repeat it for each.",
)
@click.option("--batch", "batches", metavar="SIZES", help="Batch sizes, separated by commas: 1,8,64.")
@click.option(
    "--modes", metavar="MODES", default="eager,compiled", show_default=True, help="Separated by commas."
)
@click.option(
    "--what",
    metavar="NAMES",
    default="forward,train",
    show_default=True,
    help="Among forward, gradient and train, separated by commas.",
)
@click.option("--loss", metavar="NAME", help="A class of nn, a function of nn.functional, or FILE.py:OBJECT.")
@click.option("--target", metavar="SPEC", help="What the loss gets beside the output; like an input.")
@click.option("--optimizer", metavar="NAME", default="SGD", show_default=True, help="Of um.optim.")
@click.option("--lr", type=float, default=0.01, show_default=True, help="Its learning rate.")
@click.option("--repeats", type=click.IntRange(min=1), default=20, show_default=True, help="How many rounds.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a first call or a sample may take.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of inputs and weights."
)
@click.option("--plot", metavar="FILE", help="Draw the result, too: a name ending in .svg, .png or .pdf.")
@as_json
@click.pass_context
def bench(
    ctx: click.Context,
    /,
    source: str,
    inputs: tuple[str, ...],
    weights: str | None,
    backends: str | None,
    more: tuple[str, ...],
    batches: str | None,
    modes: str,
    what: str,
    loss: str | None,
    target: str | None,
    seed: int,
    plot: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure time and memory of a net on several backends, each in a process of its own, in turns.

    OBJECT and the inputs are written as for `unimodule compare`. With --batch, the inputs and the target that are as long
    as the first input are cut or repeated along their first axis to each of the sizes.

    Exit status: 0 if everything ran, 1 if something did not, 2 if there is nothing to measure.
    """
    if not inputs:
        raise InputError("there is no input; give the shape of each, such as --input 2,20")
    if plot is not None:
        if not Path(plot).absolute().parent.is_dir():
            raise InputError(f"--plot {plot}: there is no folder {Path(plot).parent}")
        plots.check(Path(plot))
    names = [] if backends is None else [name.strip() for name in backends.split(",")]
    chosen = [*names, *more] or None
    parse_places(chosen)
    _random.seed(seed)
    arrays = read_inputs(inputs, seed)
    wanted = read_inputs((target,), seed + 1)[0] if target else None
    criterion = None if loss is None else read_loss(loss)
    net = read_net(source, weights)
    with _progress() as progress:
        report = run(
            net,
            *arrays,
            backends=chosen,
            batches=None if batches is None else _sizes(batches),
            modes=[mode.strip() for mode in modes.split(",")],
            what=[name.strip() for name in what.split(",")],
            target=wanted,
            loss=criterion,
            seed=seed,
            progress=progress.update,
            **options,
        )
    if plot is not None:
        report.save(plot)
    show(report, report.to_dict(), as_json)
    if not report.ok:
        ctx.exit(DISAGREE)


def _sizes(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() and int(part) for part in parts):
        raise InputError(f"--batch {text}: expected whole numbers >= 1 separated by commas, such as 1,8,64")
    return [int(part) for part in parts]


def _progress() -> Any:
    """Shows on a terminal what is being done."""
    from rich.console import Console

    return Console(stderr=True).status("starting")
