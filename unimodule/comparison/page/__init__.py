"""A report as one HTML page that needs no other file and no network: the template, its style, and what they are given.

``texts`` says what was found in words, ``tables`` puts errors side by side, ``plots`` computes where points and bars go,
``images`` makes heat maps. The template decides nothing but the order.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from ...errors import ArgumentError
from ..records import FORWARD, GRADIENT
from . import images, plots, tables, texts

if TYPE_CHECKING:
    from ..report import Report


def page(report: Report) -> str:
    """The report as HTML.

    Raises:
        ArgumentError: Jinja2 is not installed.
    """
    return str(
        _template().render(
            report=report,
            findings=texts.findings(report),
            facts=texts.facts(report),
            places=texts.places(report),
            results=tables.results(report),
            against=tables.against(report),
            modules=[(d, tables.modules(report, d)) for d in (FORWARD, GRADIENT)],
            layers=[(d, plots.layers(report, d)) for d in (FORWARD, GRADIENT)],
            costs=plots.costs(report),
            pictures=images.pictures(report),
        )
    )


def check() -> None:
    """See whether a page can be made, before the work whose result is to be on it.

    Raises:
        ArgumentError: Jinja2 is not installed.
    """
    _template()


@functools.cache
def _template() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise ArgumentError(
            'an HTML report needs Jinja2, which is not installed: pip install "unimodule[report]"'
        ) from error
    environment = Environment(
        loader=PackageLoader(__name__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=texts.number, times=texts.times)
    return environment.get_template("page.html.jinja")


__all__ = ["check", "page"]
