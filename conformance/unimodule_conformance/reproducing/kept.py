"""What must be the same to the bit, and what must not: state, copies, files, constants, seeds, errors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, optim, registry
from unimodule.errors import CompileError, DtypeError, IntegerRangeError, StateDictError
from unimodule.state import load, save

from .computed import eager, projection
from .job import Array, Job, Results, bounds, buffers, labelled, results, same, size, state, told, wrong


def reporting(check: Callable[[Job], list[str]]) -> Callable[[Job], list[str]]:
    """A check whose errors are problems too."""

    def run(job: Job) -> list[str]:
        try:
            return check(job)
        except Exception as error:
            return [told(error)]

    return run


def halved(value: Array) -> Array:
    """Half of floats; others as they are."""
    return value * value.dtype.type(0.5) if value.dtype.kind == "f" else value


def altered(net: nn.Module) -> nn.Module:
    """The net with another state."""
    for _, variable in net.named_variables():
        variable.data = halved(variable.numpy())
    return net


def widened(found: Results) -> Results:
    """64-bit integers for those that a backend carries in 32 bits."""
    return {name: a.astype(f"{a.dtype.kind}8") if a.dtype.kind in "iu" else a for name, a in found.items()}


def state_dict(net: nn.Module) -> Results:
    """On the host."""
    return {name: ops.to_numpy(value) for name, value in net.state_dict().items()}


@reporting
def state_kept(job: Job) -> list[str]:
    """state_dict against the reference's; loaded again; with wrong entries."""
    net = job.there()
    taken = state_dict(net)
    expected = widened(state_dict(job.net.clone().to("numpy", dtype=job.dtype)))
    problems = same(expected, widened(taken), "state_dict")
    for what, source in (("native tensors", net.state_dict()), ("NumPy arrays", taken)):
        other = altered(net.clone())
        other.load_state_dict(source)
        problems += same(taken, state_dict(other), f"loaded from {what}")
    before = state(net)
    entries = {"extra": {**taken, "no.such.name": np.zeros(1, "float32")}}
    if taken:
        entries["misshapen"] = {name: a[None] for name, a in taken.items()}
        if len({id(value) for value in net.state_dict().values()}) == len(taken):
            entries["missing"] = dict(list(taken.items())[1:])
    for what, given in entries.items():
        try:
            net.load_state_dict(given)
            problems.append(f"a state with {what} entries was taken")
        except StateDictError:
            problems += same(before, state(net), f"after a refused state with {what} entries")
    return problems


@reporting
def transferred(job: Job) -> list[str]:
    """Moved to every other installed backend and back."""
    net = job.there()
    start, problems = state(net), []
    for other in registry.infos():
        if other == job.backend or not registry.installed(other):
            continue
        try:
            moved = net.clone().to(other, device="cpu")
        except (DtypeError, IntegerRangeError):
            continue
        problems += same(widened(start), widened(state(moved)), f"moved to {other}")
        loaded = altered(moved.clone())
        loaded.load_state_dict(net.state_dict())
        problems += same(widened(state_dict(net)), widened(state_dict(loaded)), f"loaded on {other}")
        back = moved.to(job.backend, device=job.device)
        problems += same(widened(start), widened(state(back)), f"back from {other}")
    return problems


@reporting
def cloned(job: Job) -> list[str]:
    """A clone has the same state and shares nothing."""
    net = job.there()
    before, copy = state(net), net.clone()
    problems = same(before, state(copy), "a clone's state")
    if copy.training != net.training:
        problems.append("a clone is in another mode")
    copy(*job.given())
    altered(copy)
    problems += same(before, state(net), "the net after its clone was changed")
    changed = state(copy)
    altered(net)
    return problems + same(changed, state(copy), "the clone after the net was changed")


@reporting
def saved(job: Job) -> list[str]:
    """Saved and loaded, here and on the reference backend."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        net = job.there()
        save(net, path)
        here, there = altered(net.clone()), altered(job.net.clone().to("numpy", dtype=job.dtype))
        load(here, path)
        load(there, path)
    start = state_dict(net)
    problems = same(start, state_dict(here), "loaded")
    return problems + same(widened(start), widened(state_dict(there)), "loaded on the reference backend")


@reporting
def on_devices(job: Job) -> list[str]:
    """Moved to another device and back."""
    places = [p for p in registry.get_backend(job.backend).devices() if p != job.device]
    if not places:
        return []
    net = job.there()
    start = state(net)
    net.to(device=places[0])
    problems = same(start, state(net), f"moved to {places[0]}")
    return problems + same(start, state(net.to(device=job.device)), f"back from {places[0]}")


@reporting
def pure(job: Job) -> list[str]:
    """functional_call with another state: gives what a net with that state gives, and leaves the net alone."""

    def way(job: Job, net: nn.Module, inputs: Any) -> Results:
        altered(net)
        return {**results(net(*inputs)), **buffers(net)}

    net = job.there()
    before = state(net)
    given = {
        name: ops.asarray(halved(v.numpy()), dtype=ops.dtype(v.data), like=v.data)
        for name, v in net.named_variables()
    }
    output, new = um.functional_call(net, given, *job.given())
    problems = same(before, state(net), "the net after functional_call")
    found = {f"buffer {name}": ops.to_numpy(new[name]) for name, _ in net.named_buffers()}
    return problems + wrong(bounds(job, way), {**results(output), **found})


@reporting
def constant(job: Job) -> list[str]:
    """Training changes nothing but what is trained."""
    net = job.there().eval()
    rule = optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.5)
    before = state(net)
    slopes: dict[str, Any] = {}
    for _ in range(2):
        _, slopes = um.value_and_grad(lambda net: projection(net(*job.given()), 0))(net)
        rule.step(slopes)
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    after = state(net)
    aliases = {n for n in after for t in trained if net_shares(net, n, t)}
    fixed = {name for name in before if name not in trained | aliases}
    problems = [f"{name} is not trained, and has a gradient" for name in sorted(slopes.keys() - trained)]
    problems += [f"{name} is trained, and has no gradient" for name in sorted(trained - slopes.keys())]
    return problems + same({n: before[n] for n in fixed}, {n: after[n] for n in fixed}, "after training")


def net_shares(net: nn.Module, one: str, other: str) -> bool:
    """Whether two names are of one variable."""
    held = dict(net.named_variables())
    return one == other or (one in held and other in held and held[one] is held[other])


@reporting
def tied(job: Job) -> list[str]:
    """Which names change when a parameter is set: as many as on the reference, in a clone and after a step too."""

    def ties(net: nn.Module) -> set[frozenset[str]]:
        found = set()
        for parameter in net.parameters():
            before, value = state_dict(net), parameter.numpy()
            parameter.data = value + np.ones((), value.dtype)
            after = state_dict(net)
            found.add(frozenset(n for n in before if before[n].tobytes() != after[n].tobytes()))
            parameter.data = value
        return found

    net = job.there()
    _, slopes = um.value_and_grad(lambda net: projection(net(*job.given()), 0))(net)
    optim.SGD(net.parameters(), lr=0.1).step(slopes)
    expected = ties(job.reference())
    nets = {"the net": net, "its clone": net.clone(), "its clone on numpy": net.clone().to("numpy")}
    problems = [
        f"{what} ties {ties(n)}, expected {expected}" for what, n in nets.items() if ties(n) != expected
    ]
    count = sum(p.requires_grad for p in net.parameters())
    return problems + ([f"{len(slopes)} gradients for {count} parameters"] if len(slopes) != count else [])


# ---------------------------------------------------------------------- seeds
def initial(make: Callable[[], nn.Module], job: Job) -> list[str]:
    """Initial values under a seed, against the reference's."""

    def drawn(backend: str, device: str) -> Results:
        um.seed(job.seed)
        net = make().to(backend, device=device, dtype=job.dtype).eval()
        with np.errstate(all="ignore"):
            net(*job.given())
        return {name: a for name, a in state(net).items() if a.dtype.kind == "f"}

    expected = drawn("numpy", "cpu")
    try:
        return same(expected, drawn(job.backend, job.device), "initial values")
    except Exception as error:
        return [told(error)]


def seeded(job: Job) -> list[str]:
    """Two runs under one seed are the same, eager and compiled; without a seed, calls differ."""
    problems = []
    for name, form in (("eager", eager), ("compiled", um.compile)):
        try:
            net = form(job.there())
            found = []
            for _ in range(2):
                um.seed(1)
                calls_of = [labelled(f"of call {i + 1}", results(net(*job.given()))) for i in range(12)]
                found.append({k: v for call in calls_of for k, v in call.items()})
            problems += [f"{name}: {p}" for p in same(found[0], found[1], "again under the same seed")]
            distinct = {b"".join(v.tobytes() for v in call.values()) for call in calls_of}
            if len(distinct) == 1 and len(different(job)) > 4:
                problems.append(f"{name}: twelve calls drew the same random numbers")
        except CompileError:
            pass
        except Exception as error:
            problems.append(f"{name}: {told(error)}")
    return problems


def different(job: Job) -> set[bytes]:
    """The different outputs that twelve calls on the reference give."""
    um.seed(1)
    net = job.reference()
    with np.errstate(all="ignore"):
        return {b"".join(v.tobytes() for v in results(net(*job.wide())).values()) for _ in range(12)}


def averaged(job: Job) -> list[str]:
    """Means over many calls, of outputs and gradients, against the reference's."""

    def sampled(net: nn.Module, inputs: Any, count: int) -> dict[str, Array]:
        um.seed(job.seed)
        both = um.value_and_grad(
            lambda net, *given: (lambda y: (projection(y, job.seed), y))(net(*given)), has_aux=True
        )
        rows = []
        with np.errstate(all="ignore"):
            for _ in range(count):
                try:
                    (_, output), slopes = both(net, *inputs)
                    found = {
                        **results(output),
                        **{f"gradient {n}": ops.to_numpy(g) for n, g in slopes.items()},
                    }
                except Exception:
                    found = results(net(*inputs))
                rows.append(
                    {
                        f"{what} of {n}": float(of(np.asarray(v, "float64")).mean())
                        for n, v in found.items()
                        for what, of in (
                            ("magnitude", np.abs),
                            ("square", np.square),
                            ("zeros", lambda v: v == 0),
                        )
                        if v.size and v.dtype.kind == "f"
                    }
                )
        return {name: np.asarray([row[name] for row in rows]) for name in rows[0]}

    expected = sampled(job.reference(), job.wide(), 192)
    try:
        found = sampled(job.there(), job.given(), 96)
    except Exception as error:
        return [told(error)]
    problems = []
    for name in expected.keys() & found.keys():
        ours, theirs = expected[name], found[name]
        spread = np.hypot(ours.std() / len(ours) ** 0.5, theirs.std() / len(theirs) ** 0.5)
        if abs(ours.mean() - theirs.mean()) > max(7 * spread, size(ours) / 96, 1e-9):
            problems.append(f"the mean {name} is {theirs.mean():.4g}, expected {ours.mean():.4g}")
    return sorted(problems)


def agreeing(job: Job) -> list[str]:
    """Whether the gradient by the inputs says what small steps do, under the same random numbers."""
    places = [i for i, a in enumerate(job.inputs) if a.dtype.kind == "f"]

    def count(net: nn.Module, inputs: Any) -> int:
        def value(*given: Any) -> float:
            um.seed(job.seed)
            return float(ops.item(projection(net(*given), job.seed)))

        def loss(net: nn.Module, *floats: Any) -> Any:
            given = list(inputs)
            for i, x in zip(places, floats, strict=True):
                given[i] = x
            return projection(net(*given), job.seed)

        um.seed(job.seed)
        by = tuple(range(1, 1 + len(places)))
        _, slopes = um.value_and_grad(loss, argnums=by)(net, *(inputs[i] for i in places))
        arrays = [ops.to_numpy(slope).astype("float64") for slope in slopes]
        rng, good = np.random.default_rng(job.seed), 0
        for _ in range(6):
            moves = {
                i: rng.choice([-(2.0**-6), 2.0**-6], inputs[i].shape).astype(inputs[i].dtype) for i in places
            }
            ends = [
                value(*(a + s * moves[i] if i in moves else a for i, a in enumerate(inputs))) for s in (1, -1)
            ]
            difference = (ends[0] - ends[1]) / 2
            predicted = sum(float((g * moves[i]).sum()) for i, g in zip(places, arrays, strict=True))
            scale = sum(float(np.abs(g).sum()) for g in arrays) * 2.0**-6
            good += abs(difference - predicted) <= 0.2 * max(abs(difference), abs(predicted)) + 0.02 * scale
        return good

    try:
        good = count(job.there(), job.given())
    except Exception as error:
        return [told(error)]
    return [f"only {good} of 6 differences agree with the gradient under the same seed"] if good <= 2 else []


# ---------------------------------------------------------------------- errors
def refused(
    make: Callable[[], nn.Module], inputs: Any, backend: str, device: str, dtype: str, error: str
) -> list[str]:
    """What is raised instead of ``error``, eager and compiled."""
    expected, problems = getattr(um, error), []
    by_value = error in ("OutOfRangeError", "IntegerRangeError")
    for name, form in (("eager", eager), ("compiled", um.compile)):
        if name == "compiled" and by_value:
            continue
        try:
            form(make().to(backend, device=device, dtype=dtype))(*inputs)
            problems.append(f"{name}: nothing was raised, expected {error}")
        except Exception as raised:
            if not isinstance(raised, expected) or not str(raised).strip():
                problems.append(f"{name}: {told(raised)}, expected {error}")
    return problems
