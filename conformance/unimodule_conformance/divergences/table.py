"""The registry for people: the page of the documentation, and a witness to send upstream."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from . import native
from .model import Divergence

_TITLES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX", "mxnet": "MXNet"}

_HEAD = """\
# Known divergences

<!-- Written by `python -m unimodule_conformance.divergences --write docs/divergences.md`; edit the rows, not this page. -->

Where a framework's native behaviour differs from the [declared semantics](semantics.md). The adapters make up for nearly
all of it: that is what their code is for. This page is generated from the registry in `unimodule_conformance.divergences`,
where each row has a *witness*: a few lines of native code, with nothing of unimodule in them, that show the difference.
The [conformance suite](conformance.md) runs every witness, and is red when one shows no longer.

```console
$ python -m unimodule_conformance.divergences --check
$ python -m unimodule_conformance.divergences --show mxnet-where-gradient
```

The kinds: a **bug upstream** is wrong by the framework's own lights; a **declared choice** is one of several sensible
answers, of which unimodule has declared another; **unsupported** is missing; **precision** is right to fewer digits than
it could be. Rows marked † are not made up for: an error says so, the suite draws no such case, or it counts one as known.

{counts}
"""


_IMPORT = (
    "from unimodule_mxnet.loading import mx  #",
    "np.bool = bool\n        import mxnet as mx  # by this, with NumPy 1.26:",
)
"""How MXNet is imported here, and by itself."""


def page(rows: Sequence[Divergence]) -> str:
    """The page, as Markdown."""
    backends = list(dict.fromkeys(row.backend for row in rows))
    counts = ", ".join(f"{_title(b)} {sum(row.backend == b for row in rows)}" for b in backends)
    sections = [_section(backend, [row for row in rows if row.backend == backend]) for backend in backends]
    return "\n".join([_HEAD.format(counts=f"{len(rows)} rows: {counts}."), *sections])


def _title(backend: str) -> str:
    return _TITLES.get(backend, backend)


def _section(backend: str, rows: Sequence[Divergence]) -> str:
    lines = [
        f"## {_title(backend)}",
        "",
        "| id | concerns | kind | versions | natively | expected |",
        "|---|---|---|---|---|---|",
        *(_line(row) for row in rows),
        "",
    ]
    return "\n".join(lines)


def _line(row: Divergence) -> str:
    name = f"`{row.id.removeprefix(row.backend + '-')}`"
    name = f"[{name}]({row.link})" if row.link else name
    mark = "" if row.corrected else " †"
    cells = [name + mark, f"`{row.op}`", str(row.kind), f"`{row.versions}`", row.native, row.expected]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def script(row: Divergence) -> str:
    """A row's witness as a script that stands alone: it needs the framework and NumPy only."""
    helpers = inspect.getsource(native).replace("from __future__ import annotations\n", "")
    helpers = helpers[helpers.index("import sys") :].replace(*_IMPORT)
    body = inspect.getsource(row.witness)
    body = body[body.index("\ndef ") + 1 :] if not body.startswith("def ") else body
    module = inspect.getmodule(row.witness)
    constants = {
        name: value for name, value in vars(module).items() if name.isupper() and isinstance(value, int)
    }
    called = [
        inspect.getsource(helper)
        for name, helper in vars(module).items()
        if inspect.isfunction(helper)
        and helper.__module__ == row.witness.__module__
        and name in row.witness.__code__.co_names
    ]
    name = row.witness.__name__
    return "\n".join(
        [
            f'"""{_title(row.backend)} ({row.versions}): {row.native}.',
            "",
            f"Expected: {row.expected}.",
            '"""',
            "",
            "from __future__ import annotations",
            "",
            "import functools",
            "import math",
            helpers,
            *(f"{key} = {value!r}" for key, value in constants.items()),
            "",
            *called,
            body,
            "",
            f'print("it shows" if {name}() else "it does not show")',
        ]
    )


__all__ = ["page", "script"]
