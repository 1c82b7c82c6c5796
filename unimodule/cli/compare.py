"""``unimodule compare``."""

from __future__ import annotations

import click
import numpy as np

from .. import _random, registry
from ..comparison import compare as run
from ._command import DISAGREE, Command, InputError, as_json, show, start
from ._sources import read_inputs, read_net


@click.command(cls=Command, short_help="Run a net on several backends, side by side.")
@click.argument("source", metavar="FILE.py:OBJECT")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SPEC",
    help="SHAPE[:DTYPE[:LOW..HIGH]]; repeat it for each input.",
)
@click.option("--backends", metavar="NAMES", help="Separated by commas; by default all that are installed.")
@click.option("--weights", metavar="FILE", help="The net's state: safetensors, or a PyTorch state_dict.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of inputs and of initial weights.",
)
@as_json
@click.pass_context
def compare(
    ctx: click.Context,
    source: str,
    inputs: tuple[str, ...],
    backends: str | None,
    weights: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Run a net on several backends and compare each with a float64 reference.

    OBJECT is a Module, or a class or function without required arguments that makes one. Inputs are random:

    \b
      --input 2,20                  float32, normally distributed
      --input 2,3:float32:-1..1     uniformly distributed
      --input 4,16:int64:0..255     integers from 0 to 255

    Exit status: 0 if all agree, 1 if not, 2 if the net does not run.
    """  # noqa: D301 (click looks for the very character)
    if not inputs:
        raise InputError("there is no input; give the shape of each, such as --input 2,20")
    _random.seed(seed)
    arrays = read_inputs(inputs, seed)
    names = _names(backends)
    net = read_net(source, weights)
    start(name for name in names if registry.installed(name))
    with np.errstate(all="ignore"):
        report = run(net, *arrays, backends=names, seed=seed)
    show(report, report.to_dict(), as_json)
    if not report.ok:
        ctx.exit(DISAGREE)


def _names(text: str | None) -> list[str]:
    if text is None:
        return [name for name in registry.infos() if registry.installed(name)]
    return [registry.info(name.strip()).name for name in text.split(",")]
