"""``unimodule summary``."""

from __future__ import annotations

import click

from .. import _random, registry
from ..inspection import summary as run
from ._command import Command, as_json, show, start
from ._sources import read_inputs, read_net


@click.command(cls=Command, short_help="A net's layers, shapes and parameter counts.")
@click.argument("source", metavar="FILE.py:OBJECT")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    metavar="SPEC",
    help="SHAPE[:DTYPE[:LOW..HIGH]]; repeat it for each input.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the inputs.")
@as_json
def summary(source: str, inputs: tuple[str, ...], seed: int, as_json: bool) -> None:
    """Show a net's layers with their output shapes and parameter counts.

    OBJECT is a Module, or a class or function without required arguments that makes one. Without inputs there are no
    output shapes. It runs on the backend that it is bound to, else on the reference.
    """
    _random.seed(seed)
    arrays = read_inputs(inputs, seed)
    net = read_net(source)
    start([net.backend] if net.backend is not None else [])
    with registry.use_backend("numpy"):
        table = run(net, *arrays)
    show(table, table.to_dict(), as_json)
