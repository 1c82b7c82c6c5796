"""What a net computes on a backend, against the reference in float64."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

import unimodule as um
from unimodule import Backend, nn, ops, optim, registry
from unimodule.errors import CompileError
from unimodule.train import train_step

from .job import (
    Inputs,
    Job,
    Results,
    Way,
    bounds,
    buffers,
    is_tensor,
    labelled,
    leaves,
    results,
    rolled,
    size,
    told,
    wrong,
)

Form = Callable[[Any], Any]


def eager(call: Any) -> Any:
    """As it is."""
    return call


# ---------------------------------------------------------------------- ways of running a net
def calls(form: Form) -> Way:
    """Two calls on different inputs."""

    def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
        call: Any = form(net)
        found: Results = {}
        for i in range(2):
            found |= labelled(f"of call {i + 1}", {**results(call(*rolled(inputs, i))), **buffers(net)})
        return found

    return run


def projection(output: Any, seed: int) -> Any:
    """A scalar that each element of each float output moves by a weight of its own."""
    total: Any = None
    for path, leaf in leaves(output, ""):
        if is_tensor(leaf) and "float" in ops.dtype(leaf):
            rng = np.random.default_rng([seed, zlib.crc32(path.encode())])
            shape = ops.shape(leaf)
            weights = (rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape)).astype("float16")
            term = ops.sum(ops.multiply(leaf, ops.asarray(weights, dtype=ops.dtype(leaf), like=leaf)))
            total = term if total is None else ops.add(total, ops.astype(term, ops.dtype(total)))
    return total


def slopes(form: Form) -> Way:
    """Gradients of a projection of the output, by parameters and float inputs, for two inputs."""

    def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
        places = [i for i, a in enumerate(inputs) if a.dtype.kind == "f"]

        def loss(net: nn.Module, floats: Any, rest: Any) -> Any:
            ours, theirs = iter(floats), iter(rest)
            given = (next(ours) if i in places else next(theirs) for i in range(len(inputs)))
            output = net(*given)
            return projection(output, job.seed), output

        both: Any = form(um.value_and_grad(loss, argnums=(0, 1), has_aux=True))
        found: Results = {}
        for step in range(2):
            given = rolled(inputs, step)
            floats = [given[i] for i in places]
            rest = [a for i, a in enumerate(given) if i not in places]
            (_, output), (parameters, by_input) = both(net, floats, rest)
            step_found = {**results(output), **buffers(net)}
            step_found |= {
                f"gradient of input {i}": ops.to_numpy(g) for i, g in zip(places, by_input, strict=True)
            }
            step_found |= {f"gradient of {name}": ops.to_numpy(g) for name, g in parameters.items()}
            found |= labelled(f"of call {step + 1}", step_found)
        return found

    return run


def learning_rate(job: Job) -> float:
    """Small beside the steepest gradient; a power of two."""
    with np.errstate(all="ignore"):
        found = slopes(eager)(job, job.reference(), job.wide())
    steepest = max(
        (size(value) for name, value in found.items() if name.endswith("of call 1") and "gradient" in name)
    )
    return float(2.0 ** np.floor(np.log2(0.125 / max(steepest, 0.125))))


def steps(compiled: bool) -> Callable[[float, bool], Way]:
    """Two steps of gradient descent with momentum, written out or by ``um.train_step``."""

    def with_rate(rate: float, training: bool) -> Way:
        def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
            net.train(training)
            rule = optim.SGD([p for p in net.parameters() if p.requires_grad], lr=rate, momentum=0.5)
            step: Any = train_step(net, lambda y, _: projection(y, job.seed), rule) if compiled else None
            found: Results = {}
            for i in range(2):
                given = rolled(inputs, i)
                if step is not None:
                    step(*given, np.zeros((), "float32"))
                else:
                    loss = um.value_and_grad(lambda net, *given: projection(net(*given), job.seed))
                    rule.step(loss(net, *given)[1])
                parameters = {f"parameter {name}": p.numpy() for name, p in net.named_parameters()}
                found |= labelled(f"after step {i + 1}", {**buffers(net), **parameters})
            return found

        return run

    return with_rate


def optimised(name: str, options: dict[str, Any]) -> Way:
    """Three steps of an optimiser with given gradients."""

    def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
        rule = getattr(optim, name)([p for p in net.parameters() if p.requires_grad], **options)
        found: Results = {}
        for step in range(3):
            gradients = {}
            for i, (path, p) in enumerate(net.named_parameters()):
                if p.requires_grad:
                    rng = np.random.default_rng([job.seed, step, i])
                    shape = p.numpy().shape
                    drawn = (rng.choice([-1.0, 1.0], shape) * rng.uniform(0.2, 1.5, shape)).astype("float32")
                    gradients[path] = ops.asarray(drawn, dtype=ops.dtype(p.data), like=p.data)
            rule.step(gradients)
            parameters = {f"parameter {path}": p.numpy() for path, p in net.named_parameters()}
            found |= labelled(f"after step {step + 1}", parameters)
        return found

    return run


def modes(trainable: bool) -> Way:
    """A call in eval mode, one in train mode, one in eval mode again."""

    def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
        found: Results = {}
        for i, training in enumerate((False, True, False) if trainable else (False, False)):
            output = net.train(training)(*rolled(inputs, i))
            found |= labelled(f"of call {i + 1}", {**results(output), **buffers(net)})
        return found

    return run


def altered_again(job: Job, net: nn.Module, inputs: Inputs) -> Results:
    """A call with every float of the state halved, and one in the other mode."""
    _halve(net)
    found = labelled("with another state", results(net(*inputs)))
    return found | labelled("in eval mode", results(net.eval()(*inputs)))


def recompiled(job: Job, net: nn.Module, inputs: Inputs) -> Results:
    """The same of a compiled net that has run three times before."""
    start = {name: variable.numpy() for name, variable in net.named_variables()}
    fast: Any = um.compile(net)
    given = tuple(ops.asarray(a, backend=job.backend, device=job.device) for a in inputs)
    for _ in range(3):
        fast(*given)
    for name, variable in net.named_variables():
        variable.data = start[name]
    _halve(net)
    found = labelled("with another state", results(fast(*given)))
    return found | labelled("in eval mode", results(fast.eval()(*given)))


def _halve(net: nn.Module) -> None:
    for _, variable in net.named_variables():
        value = variable.numpy()
        if value.dtype.kind == "f":
            variable.data = value * value.dtype.type(0.5)


def branches(form: Form) -> Way:
    """Calls on inputs of either sign and several sizes."""

    def run(job: Job, net: nn.Module, inputs: Inputs) -> Results:
        call: Any = form(net)
        found: Results = {}
        for factor in (1.0, -1.0, 1 / 64, 16.0):
            given = (a * a.dtype.type(factor) if a.dtype.kind == "f" else a for a in inputs)
            found |= labelled(f"for inputs times {factor:g}", results(call(*given)))
        return found

    return run


# ---------------------------------------------------------------------- against the reference
def parted(job: Job, way: Callable[[Form], Way], refusable: bool = False) -> list[str]:
    """What differs from the reference, eager and compiled. A net that reads values may refuse to be compiled."""
    expected = bounds(job, way(eager))
    problems = []
    for name, form in (("eager", eager), ("compiled", um.compile)):
        try:
            found = way(form)(job, job.there(), job.given())
        except CompileError as error:
            problems += [] if refusable else [f"{name}: {told(error)}"]
        except Exception as error:
            problems.append(f"{name}: {told(error)}")
        else:
            problems += [f"{name}: {problem}" for problem in wrong(expected, found)]
    return problems


def departed(job: Job, expected: Way, way: Way) -> list[str]:
    """What differs from the reference, run in a way of its own."""
    try:
        return wrong(bounds(job, expected), way(job, job.there(), job.given()))
    except Exception as error:
        return [told(error)]


def through(job: Job) -> list[str]:
    """Gradients that go through a compiled net, from outside, and are not the reference's."""
    return departed(job, slopes(eager), lambda job, net, inputs: slopes(eager)(job, um.compile(net), inputs))


def structured(job: Job) -> list[str]:
    """Outputs whose place, dtype or shape is another than on the reference backend."""

    def outline(net: nn.Module) -> dict[str, str]:
        output = net(*job.given())
        return {
            path: f"{ops.dtype(leaf)} {ops.shape(leaf)}" if is_tensor(leaf) else type(leaf).__name__
            for path, leaf in leaves(output)
        }

    with np.errstate(all="ignore"):
        expected = outline(job.net.clone().to("numpy", dtype=job.dtype))
    try:
        found = outline(job.there())
    except Exception as error:
        return [told(error)]
    paths = dict.fromkeys([*expected, *found])
    narrow = {path: expected.get(path, "nothing").replace("int64", "int32") for path in paths}
    return [
        f"{path}: {found.get(path, 'nothing')}, expected {expected.get(path, 'nothing')}"
        for path in paths
        if found.get(path, "nothing") not in (expected.get(path, "nothing"), narrow[path])
    ]


def retraced(job: Job) -> list[str]:
    """Whether a compiled function's Python runs again for a second call with the same shapes."""
    runs: list[int] = []
    if type(registry.get_backend(job.backend)).compile is Backend.compile:
        return []  # there is no compiler

    def loss(net: nn.Module, *inputs: Any) -> Any:
        runs.append(1)
        return projection(net(*inputs), job.seed)

    try:
        step, net = um.compile(um.value_and_grad(loss)), job.there()
        step(net, *job.given())
        first = len(runs)
        step(net, *rolled(job.given(), 1))
    except Exception as error:
        return [] if isinstance(error, CompileError) else [f"compiled: {told(error)}"]
    return (
        [f"Python ran {len(runs) - first} more times for a second call of the same shapes"]
        if len(runs) > first
        else []
    )


def against(job: Job, way: Way, outside: Results) -> list[str]:
    """What the reference computes in float64 against what a source outside unimodule computed."""
    allowed, found = bounds(job, way), way(job, job.reference(), job.wide())
    expected = {
        n: allowed[n]._replace(reference=value) if n in allowed else None for n, value in outside.items()
    }
    missing = [f"{name}: missing" for name, bound in expected.items() if bound is None]
    known = {name: bound for name, bound in expected.items() if bound is not None}
    return missing + wrong(known, {name: found[name] for name in known if name in found})


# ---------------------------------------------------------------------- where it starts
def first_divergence(job: Job) -> str:
    """The first module, in the order in which they return, whose output is not the reference's to a few roundings."""

    def watch(net: nn.Module, inputs: Inputs) -> list[tuple[str, Results]]:
        seen: list[tuple[str, Results]] = []
        for path, module in list(net.named_modules()):
            forward = module.forward

            def watched(*args: Any, path: str = path, forward: Any = forward, **kwargs: Any) -> Any:
                output = forward(*args, **kwargs)
                seen.append((path, results(output)))
                return output

            module.forward = watched  # type: ignore[method-assign]
        net(*inputs)
        return seen

    try:
        with np.errstate(all="ignore"):
            expected = watch(job.reference(), job.wide())
        found = watch(job.there(), job.given())
    except Exception as error:
        return f"the modules could not be watched: {told(error)}"
    unit = 2.0**-24 if job.dtype == "float32" else 2.0**-53
    for (path, ours), (_, theirs) in zip(expected, found, strict=False):
        for name in ours.keys() & theirs.keys():
            with np.errstate(all="ignore"):
                narrow = ours[name].astype(theirs[name].dtype)
            scale = 64 * unit * size(ours[name]) if ours[name].dtype.kind == "f" else 0.0
            if narrow.shape != theirs[name].shape or not np.allclose(
                theirs[name], narrow, rtol=0, atol=scale, equal_nan=True
            ):
                return f"the first module that parts from the reference: {path or 'the net itself'}"
    return "no module parts from the reference in a plain forward pass"
