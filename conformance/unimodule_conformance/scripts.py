"""A script that reproduces a failure, and needs unimodule and the frameworks only.

It makes the net and its inputs, runs what the check runs on the backend and on the float64 reference, prints what differs and
the first module that parts, and exits with 1 if the failure shows, with 0 if not. The same failure gives the same text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from . import blocks, building, flow, pools, questions
from .oracle import optimisers
from .outcome import Target
from .reproducing import computed, job, kept
from .reproducing.inlining import inlined
from .running.environment import WIDE
from .specs import Array, Fn, In, Node, Plain, Spec

LITERAL = 24
"""Arrays of at most so many elements are written out; others are drawn in the script."""

Root = tuple[str, str]
"""A module of this package, and a name in it that the script needs."""


def script(spec: Spec, target: Target, check: str, message: str) -> str:
    """The script.

    Args:
        spec: the failing case.
        target: where it fails.
        check: the name of the check that fails.
        message: what it said.
    """
    roots: list[Root] = [(building.__name__, "redraw")]
    model = expression(spec.root, roots)
    inputs = "".join(f"        {array_expression(given, spec.dtype, roots)},\n" for given in spec.inputs)
    names, body = _body(spec, target, check)
    roots += [(job.__name__, "finish"), *names]
    imports, definitions = inlined(roots)
    needed = ("import numpy as np", "from unimodule import nn", "from unimodule import registry")
    lines = _grouped({*imports, *needed, *_numbers(model + inputs + body)})
    given = f"(\n{inputs}    )" if inputs else "()"
    parts = [
        f'"""{_about(target, check, message)}"""',
        f"# The case: {spec.to_json()}",
        "from __future__ import annotations",
        _environment(spec, check) + "\n".join(lines),
        "# The net and what it is called with.",
        f"def model() -> nn.Module:\n    return {_indented(model)}",
        f"def make() -> nn.Module:\n    net = model()\n    redraw(net, {spec.seed})\n"
        f"    return net.to(dtype={spec.dtype!r}).train({spec.training})",
        f"def inputs() -> tuple[np.ndarray, ...]:\n    return {given}",
        "# What the check does.",
        definitions,
        "# What it finds.",
        body,
    ]
    return "\n\n".join(parts) + "\n"


def _about(target: Target, check: str, message: str) -> str:
    lines = textwrap.wrap(message.replace("\\", "/").replace('"""', "'''"), 110) or [""]
    first = f"The check {check!r} fails on {target}."
    return "\n".join([first, "", *lines, "", "Exits with 1 if the failure shows, with 0 if not.\n"])


def _grouped(imports: Iterable[str]) -> list[str]:
    """Import lines, those from one module in one."""
    plain = sorted(line for line in imports if line.startswith("import "))
    parted: dict[str, list[str]] = {}
    for line in sorted(set(imports) - set(plain)):
        module, _, name = line.removeprefix("from ").partition(" import ")
        parted.setdefault(module, []).append(name)
    return [*plain, *(f"from {module} import {', '.join(names)}" for module, names in sorted(parted.items()))]


def _environment(spec: Spec, check: str) -> str:
    """Lines that let every backend have float64, where the case needs it: before any framework is imported."""
    if "float64" not in (spec.dtype, check):
        return ""
    lines = (f"os.environ.setdefault({name!r}, {value!r})" for name, value in sorted(WIDE.items()))
    return "\n".join(["import os\n", *lines]) + "\n\n"


def _numbers(text: str) -> Iterable[str]:
    """What literals of special floats need."""
    return [f"from math import {name}" for name in ("inf", "nan") if name in text]


# ---------------------------------------------------------------------- what is run
_EITHER = "parted(job, calls, {refusable}) + parted(job, slopes, {refusable})"
_STEPS = "departed(job, steps(False)(learning_rate(job), {trained}), steps({compiled})(learning_rate(job), {trained}))"
_COMPUTED: Mapping[str, tuple[str, str]] = {
    "structure": ("structured", "structured(job)"),
    "values": ("parted calls", "parted(job, calls, {refusable})"),
    "float64": ("parted calls slopes", _EITHER),
    "gradients": ("parted slopes", "parted(job, slopes, {refusable})"),
    "compiled": ("parted calls slopes retraced", _EITHER + " + retraced(job)"),
    "control flow": ("parted branches", "parted(job, branches, {refusable})"),
    "compiled state": (
        "departed altered_again recompiled through",
        "departed(job, altered_again, recompiled) + through(job)",
    ),
    "modes": ("departed modes", "departed(job, modes({trainable}), modes({trainable}))"),
    "training": ("departed steps learning_rate", _STEPS.replace("{compiled}", "False")),
    "train step": ("departed steps learning_rate", _STEPS.replace("{compiled}", "True")),
    "optimiser": ("departed optimised", "departed(job, optimised(*{optimiser}), optimised(*{optimiser}))"),
}
"""By check: what of ``reproducing.computed`` it needs, and the expression that says what is wrong."""

_OF_GRADIENTS: Mapping[str, str] = {
    "slopes": " + parted(job, slopes, {refusable})",
    "retraced": " + retraced(job)",
    "through": " + through(job)",
}
"""What is left out where nothing has a gradient."""

_KEPT: Mapping[str, str] = {
    "state": "state_kept",
    "transfer": "transferred",
    "clone": "cloned",
    "saving": "saved",
    "devices": "on_devices",
    "purity": "pure",
    "constants": "constant",
    "tied": "tied",
    "determinism": "seeded",
    "statistics": "averaged",
    "random gradient": "agreeing",
}
"""By check: the function of ``reproducing.kept``."""


def _body(spec: Spec, target: Target, check: str) -> tuple[list[Root], str]:
    """What the script needs, and its last lines."""
    if check == "errors" and spec.error:
        arguments = f"{target.backend!r}, {target.device!r}, {spec.dtype!r}, {spec.error!r}"
        return [(kept.__name__, "refused")], f"finish(refused(make, inputs(), {arguments}))"
    dtype = "float64" if check == "float64" else spec.dtype
    made = (
        f"job = Job(\n    prepared(make(), inputs(), {spec.dtype!r}, {spec.training}),\n    inputs(),\n"
        f"    backend={target.backend!r},\n    device={target.device!r},\n    dtype={dtype!r},\n"
        f"    seed={spec.seed},\n    exact={spec.exact},\n)"
    )
    names: list[Root] = [(job.__name__, "Job"), (job.__name__, "prepared")]
    if check.startswith("core "):
        return _core(
            spec, check.removeprefix("core "), names, made.replace(f"dtype={dtype!r}", "dtype='float64'")
        )
    if check == "initial values":
        names.append((kept.__name__, "initial"))
        call = "initial(model, job)"
    elif check in _KEPT:
        names.append((kept.__name__, _KEPT[check]))
        call = f"{_KEPT[check]}(job)"
    else:
        needed, template = _COMPUTED.get(check, _COMPUTED["compiled"])
        if not spec.differentiable:
            for name, term in _OF_GRADIENTS.items():
                needed, template = needed.replace(name, ""), template.replace(term, "")
        names += [(computed.__name__, name) for name in needed.split()]
        call = template.format(**_arguments(spec))
    lines = f"with registry.get_backend({target.backend!r}).full_precision():\n    problems = {call}"
    if not spec.random:
        names.append((computed.__name__, "first_divergence"))
        lines += "\n    if problems:\n        problems.append(first_divergence(job))"
    return names, f"{made}\n{lines}\nfinish(problems)"


def _core(spec: Spec, what: str, names: list[Root], made: str) -> tuple[list[Root], str]:
    """The reference backend in float64 against the numbers that a source outside unimodule gave for this case."""
    ways = {
        "values": [("forward", "calls(eager)", "calls eager")],
        "gradients": [("backward", "slopes(eager)", "slopes eager")],
        "steps": [
            ("training", "steps(False)(learning_rate(job), {trained})", "steps learning_rate"),
            ("optimiser", "optimised(*{optimiser})", "optimised"),
        ],
    }[what]
    lines, arguments = [made, "problems = []"], _arguments(spec)
    for phase, way, needed in ways:
        outside = "".join(
            f"    {name!r}: {_literal(value)},\n" for name, value in _outside(spec, phase).items()
        )
        lines.append(f"outside = {{\n{outside}}}")
        lines.append(f"problems += against(job, {way.format(**arguments)}, outside)")
        names += [(computed.__name__, name) for name in (*needed.split(), "against")]
    return names, "\n".join([*lines, "finish(problems)"])


def _outside(spec: Spec, phase: str) -> dict[str, np.ndarray[Any, Any]]:
    """What the sources of the core's checks say, under the names that results have in scripts."""
    from .case import Case
    from .oracle.outside.torch_source import Source

    case = Case(spec)
    with np.errstate(all="ignore"):
        paths = list(job.results(case.reference.net()(*case.reference.inputs())))
        given = getattr(Source(case), phase)()
    outputs, call = iter(paths), "" if phase in ("training", "optimiser") else " of call 1"
    found = {}
    for (kind, name), value in given.items():
        if kind == "output":
            label = next(outputs, name)
        elif kind == "input gradient":
            label = f"gradient of input {name.strip('[]')}"
        elif kind == "parameter gradient":
            label = f"gradient of {name}"
        else:
            label = f"{kind} {name.partition(' of ')[0]}"
        found[label + call] = np.asarray(value)
    return found


def _literal(value: np.ndarray[Any, Any]) -> str:
    return f"np.array({value.tolist()!r}, {value.dtype.name!r})" + _reshaped(value)


def _arguments(spec: Spec) -> dict[str, object]:
    trainable = not replace(spec, training=True).random
    flowing = any(node.name.startswith("block.") for node in spec.root.walk())
    return {
        "refusable": spec.reads_values or flowing,
        "trainable": trainable,
        "trained": spec.training or trainable,
        "optimiser": optimisers.drawn(spec.seed),
    }


# ---------------------------------------------------------------------- the net and its inputs
def expression(node: Node, roots: list[Root]) -> str:
    """Python that makes the module of a node; the names that it needs are added to ``roots``."""
    kind, _, name = node.name.partition(".")
    parts = [expression(child, roots) for child in node.children]
    if kind in ("F", "ops"):
        roots.append((blocks.__name__, "Apply"))
        head, parts = "Apply", [_function(node.name, roots)]
    elif kind == "block":
        home = next(m for m in (blocks, flow, questions) if name in m.__all__)
        roots.append((home.__name__, name))
        head = name
    else:
        head = f"nn.{name}"
    parts += [_plain(value, roots) for value in node.args]
    parts += [f"{key}={_plain(value, roots)}" for key, value in node.kwargs.items()]
    line = f"{head}({', '.join(parts)})"
    if not node.children or (len(line) < 80 and "\n" not in line):
        return line
    inside = ",\n".join(textwrap.indent(part, "    ") for part in parts)
    return f"{head}(\n{inside},\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def _function(name: str, roots: list[Root]) -> str:
    kind, _, rest = name.partition(".")
    if kind == "ops":
        roots.append((blocks.__name__, "ops"))
    return f"ops.{rest}" if kind == "ops" else f"nn.functional.{rest}"


def _plain(value: Plain, roots: list[Root]) -> str:
    """An argument as Python."""
    if isinstance(value, In):
        roots.append(("unimodule_conformance.specs", "In"))
        return f"In({value.index})"
    if isinstance(value, Fn):
        return _function(value.name, roots)
    if isinstance(value, Node):
        return expression(value, roots)
    if isinstance(value, Array):
        return array_expression(value, "float32", roots)
    if isinstance(value, tuple):
        inside = ", ".join(_plain(item, roots) for item in value)
        return f"({inside},)" if len(value) == 1 else f"({inside})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_plain(item, roots)}" for key, item in value.items()) + "}"
    return "..." if value is ... else repr(value)


def array_expression(given: Array, dtype: str, roots: list[Root]) -> str:
    """Python that makes an array: its elements, or the draw from its pool."""
    kind = dtype if given.dtype.startswith("float") else given.dtype
    host = building.array(given, dtype)
    if given.values is not None or host.size <= LITERAL or given.fill.partition(":")[0] in pools.LABELS:
        if not kind.startswith("float"):
            return f"np.array({host.tolist()!r}, {kind!r})" + _reshaped(host)
        narrow = host.astype("float32")
        made = f"np.array({_floats(narrow)}, 'float32')" + _reshaped(host)
    else:
        roots.append((pools.__name__, given.fill))
        made = f"{given.fill}(np.random.default_rng({given.seed}), {given.shape})"
        made += ".astype('float32')" if kind.startswith("float") else f".astype({kind!r})"
    return made if kind == "float32" or not kind.startswith("float") else f"{made}.astype({kind!r})"


def _reshaped(host: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> str:
    """What a list of no elements does not say."""
    return "" if host.size else f".reshape({host.shape})"


def _floats(host: np.ndarray[tuple[int, ...], np.dtype[Any]]) -> str:
    """Nested lists of the shortest digits that give these float32 numbers."""
    if host.ndim:
        return f"[{', '.join(_floats(row) for row in host)}]"
    return str(host[()])


__all__ = ["array_expression", "expression", "script"]
