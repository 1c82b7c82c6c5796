"""``unimodule compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from .. import _random, registry
from ..comparison import compare as run
from ..comparison import page
from ..comparison.places import parse_places
from ._command import DISAGREE, Command, InputError, as_json, show, start
from ._sources import read_inputs, read_loss, read_net

_COUNT = click.IntRange(min=0)


@click.command(cls=Command, short_help="Run a net on several backends, side by side.")
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
@click.option(
    "--modes", metavar="MODES", default="eager,compiled", show_default=True, help="Separated by commas."
)
@click.option("--loss", metavar="NAME", help="A class of nn, a function of nn.functional, or FILE.py:OBJECT.")
@click.option("--target", metavar="SPEC", help="What the loss gets beside the output; like an input.")
@click.option("--train", is_flag=True, help="Compare outputs and gradients in training mode.")
@click.option("--steps", type=_COUNT, default=0, help="Take so many training steps, too.")
@click.option("--optimizer", metavar="NAME", default="SGD", show_default=True, help="For these, of um.optim.")
@click.option("--lr", type=float, default=0.01, show_default=True, help="Its learning rate.")
@click.option("--repeats", type=_COUNT, default=5, show_default=True, help="How often each thing is timed.")
@click.option("--no-layers", is_flag=True, help="Do not look at the modules one by one.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that another interpreter may take; what runs in this process has no limit.",
)
@click.option("--seed", type=_COUNT, default=0, show_default=True, help="Of inputs and of initial weights.")
@click.option("--html", metavar="FILE", help="Write the report as a page, too.")
@as_json
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    source: str,
    inputs: tuple[str, ...],
    weights: str | None,
    backends: str | None,
    more: tuple[str, ...],
    modes: str,
    loss: str | None,
    target: str | None,
    html: str | None,
    seed: int,
    no_layers: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a net on several backends and compare each with a float64 reference.

    OBJECT is a Module, or a class or function without required arguments that makes one. Inputs are random, or files:

    \b
      --input 2,20                  float32, normally distributed
      --input 2,3:float32:-1..1     uniformly distributed
      --input 4,16:int64:0..255     integers from 0 to 255
      --input x.npy                 also x.npz:KEY and x.safetensors:KEY

    With --backend alone, only those backends run; --backends NAMES adds others.

    Exit status: 0 if all agree, 1 if not, 2 if there is nothing to compare: a file is malformed, the net does not run.
    """  # noqa: D301 (click looks for the very character)
    if not inputs:
        raise InputError("there is no input; give the shape of each, such as --input 2,20")
    if html is not None and (Path(html).suffix not in (".html", ".htm") or not Path(html).parent.is_dir()):
        raise InputError(f"--html {html}: expected a file's name ending in .html, in a folder that is there")
    if html is not None:
        page.check()
    names = [] if backends is None else [name.strip() for name in backends.split(",")]
    chosen = [*names, *more] or None
    places = parse_places(chosen)
    _random.seed(seed)
    arrays = read_inputs(inputs, seed)
    wanted = read_inputs((target,), seed + 1)[0] if target else None
    criterion = None if loss is None else read_loss(loss)
    net = read_net(source, weights)
    start(p.backend for p in places if p.interpreter is None and registry.installed(p.backend))
    with np.errstate(all="ignore"):
        report = run(
            net,
            *arrays,
            backends=chosen,
            target=wanted,
            loss=criterion,
            modes=[mode.strip() for mode in modes.split(",")],
            layers=not no_layers,
            seed=seed,
            **options,
        )
    if html is not None:
        report.save(html)
    show(report, report.to_dict(), as_json)
    if not report.ok:
        ctx.exit(DISAGREE)
