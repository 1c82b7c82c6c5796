"""Which module made the error? Each call that was watched, again on the reference, on the backend's own numbers.

A walk through the calls as they nest: the own code of each (``own``) is evaluated in float64 with everything else as the
backend had it. The difference is the error *created* there; what was passed on does not show. Most calls stay within what
every result may be off by; only one that does not is run shaken, to see how far rounding may carry this very piece of code.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from ..nn.module import Module
from ..transforms.functional import Tree
from .collect import Call, Collected
from .measure import PARAMETER_GRADIENT, Array, Case, Key
from .own import Given, OtherPath, Own, Port, evaluate, hollow
from .records import AGREES, DIFFERS, EAGER, FORWARD, GRADIENT, LayerRecord, Parting
from .shaking import shaken
from .tolerance import DRAWS, UNITS, distance, magnitude
from .verdict import Check, Noise, Verdict, judge, spread_of, terms_of

NOT_COMPARED = "not compared"


class _Noted(Exception):
    """A call could not be evaluated, and that is on record."""


@dataclasses.dataclass
class _Sum:
    """The gradient of a parameter: what the calls that use it contributed.

    Attributes:
        name: the parameter's.
        total: the sum so far.
        calls: which calls, and their arguments.
        scale: the largest magnitude among the gradients in any of them.
        terms: how many numbers each of its elements is the sum of.
        pending: whether one call's contribution was not all that the backend had.
    """

    name: str
    total: Array
    calls: list[tuple[Call, Tree]] = dataclasses.field(default_factory=list)
    scale: float = 0.0
    terms: float = 0.0
    pending: bool = False


class Replay:
    """The calls of one backend, again on the reference.

    Args:
        reference: the net in float64 on the reference, in the mode in which it was watched.
        found: what the backend gave.
        free: what the reference gave when it ran by itself, watched.
        dtype: the backend's float dtype.
        seed: of the noise.
    """

    def __init__(
        self, reference: Module, found: Collected, free: Collected, dtype: str, seed: int = 0
    ) -> None:
        self._net, self._found, self._dtype, self._seed = reference, found, dtype, seed
        self._free = {(call.path, call.call): call for call in free.calls.values()}
        self._array, self._free_array = found.array, free.array
        self._modules = dict(reference.named_modules())
        self._results: dict[int, Tree] = {}
        self._slopes = any(call.slopes for call in found.calls.values())
        self._names = {id(variable): name for name, variable in reference.named_variables()}
        self._sums: dict[int, _Sum] = {}
        self.records: list[LayerRecord] = []
        self.partings: list[Parting] = []

    def run(self, case: Case) -> None:
        """Fill ``records`` and ``partings``."""
        if 0 in self._found.calls:
            with contextlib.suppress(_Noted):
                self._visit(self._found.calls[0], hollow((case.inputs, {})))
        for total in self._sums.values():
            if total.pending or len(total.calls) > 1:
                self._judge_sum(total)
        forward = [record for record in self.records if record.direction == FORWARD]
        place = {record.order: i for i, record in enumerate(forward)}
        backward = [record for record in self.records if record.direction == GRADIENT]
        self.records = forward + sorted(backward, key=lambda record: -place.get(record.order, 0))
        self.partings = [
            Parting(r.path, r.type, r.call, r.direction, r.created, r.tolerance, r.detail)
            for r in self.records
            if r.verdict == DIFFERS
        ]

    # ------------------------------------------------------------------ one call
    def _visit(self, call: Call, arguments: Tree) -> Tree:
        """Judge a call and those inside it; returns its result in its structure."""
        module = self._modules[call.path]
        given = self._given(call)
        children = call.children

        def inside(number: int, path: str, inner: Tree) -> Tree:
            full = f"{call.path}.{path}" if call.path else path
            child = children[number] if number < len(children) else None
            if child is None or self._modules[child.path] is not self._net.get_submodule(full):
                raise OtherPath(f"the reference calls {full}, which was not called there")
            if child.order not in self._results:
                self._results[child.order] = self._visit(child, hollow(inner))
            return self._results[child.order]

        try:
            own = evaluate(module, arguments, given, inside, self._slopes)
        except Exception as error:
            self._failed(call, error)
            raise _Noted from error
        if not call.ended:
            raise _Noted
        self._judge_values(call, arguments, given, own)
        if self._slopes:
            self._judge_slopes(call, arguments, given, own)
        return own.output

    def _failed(self, call: Call, error: Exception) -> None:
        """Take note of a call that the reference could not evaluate."""
        if not call.ended:  # no wonder, and nothing to compare
            return
        if isinstance(error, OtherPath):
            self._record(call, FORWARD, DIFFERS, detail=str(error))
        elif isinstance(error, _Noted):
            self._record(call, FORWARD, NOT_COMPARED, detail="a module inside could not be compared")
        else:
            self._record(call, FORWARD, NOT_COMPARED, detail=f"the reference failed: {error}")

    def _given(self, call: Call) -> Given:
        values = {
            Port("in", -1, place): self._array(ref)
            for (side, place), ref in call.values.items()
            if side == "in"
        }
        slopes = {
            Port("out", -1, place): self._array(ref)
            for (side, place), ref in call.slopes.items()
            if side == "out"
        }
        for number, child in enumerate(call.children):
            for (side, place), ref in child.values.items():
                if side == "out":
                    values[Port("from", number, place)] = self._array(ref)
            for (side, place), ref in child.slopes.items():
                if side == "in":
                    slopes[Port("to", number, place)] = self._array(ref)
        return Given(values, slopes)

    def _had(self, call: Call, port: Port, slopes: bool) -> Array | None:
        """What the backend had at a port."""
        side = {"out": "out", "in": "in", "to": "in", "from": "out"}[port.side]
        owner = call if port.child < 0 else call.children[port.child]
        ref = (owner.slopes if slopes else owner.values).get((side, port.place))
        return None if ref is None else self._array(ref)

    # ------------------------------------------------------------------ verdicts
    def _judge_values(self, call: Call, arguments: Tree, given: Given, own: Own) -> None:
        checks = []
        largest = given.largest
        for port, expected in own.values.items():
            if (found := self._had(call, port, False)) is not None:
                terms = terms_of(port, expected, largest)
                checks.append(Check(port, found, expected, magnitude([expected]), terms))
        free = self._free.get((call.path, call.call))
        outs = {port.place: check for check in checks if (port := check.port).side == "out"}
        passed = [
            distance(check.found, self._free_array(ref))
            for place, check in outs.items()
            if free and (ref := free.values.get(("out", place))) and ref.shape == check.found.shape
        ]
        self._judge(call, FORWARD, checks, arguments, given, max(passed, default=None))

    def _judge_slopes(self, call: Call, arguments: Tree, given: Given, own: Own) -> None:
        checks = []
        common, largest = magnitude(own.slopes.values()), given.largest
        for port, expected in own.slopes.items():
            terms = terms_of(port, expected, largest)
            if port.side == "own":
                total = self._add(port, call, arguments, expected, common)
                total.terms += terms
                found = self._parameter_gradient(total.name)
                if found is None:
                    continue
                # It may be used elsewhere, too: what it is short of must wait for the rest.
                if judge(Check(port, found, expected, common, terms), Noise(), self._dtype).wrong:
                    total.pending = True
                    continue
            else:
                found = self._had(call, port, True)
                found = np.zeros(expected.shape, "float32") if found is None else found
            checks.append(Check(port, found, expected, common, terms))
        free = self._free.get((call.path, call.call))
        passed = [
            distance(check.found, self._free_array(ref))
            for check in checks
            if check.port.side == "in" and free and (ref := free.slopes.get(("in", check.port.place)))
            if ref.shape == check.found.shape
        ]
        if checks:
            self._judge(call, GRADIENT, checks, arguments, given, max(passed, default=None))

    def _judge(
        self,
        call: Call,
        direction: str,
        checks: list[Check],
        arguments: Tree,
        given: Given,
        absolute: float | None,
    ) -> None:
        """Note how a call's tensors compare: by what every result may be off by or, if that is not enough, by noise."""
        backward = direction == GRADIENT
        verdicts = [judge(check, Noise(), self._dtype) for check in checks]
        if any(verdict.error is not None and verdict.wrong for verdict in verdicts):
            noise = self._noise(call, arguments, given, backward)
            verdicts = [judge(check, noise.get(check.port, Noise()), self._dtype) for check in checks]
        if not checks:
            self._record(call, direction, AGREES)
            return
        worst = max(range(len(checks)), key=lambda i: verdicts[i].badness)
        shapes = [check.found.shape for check in checks if check.port.side == "out"]
        scale = max((c.scale for c in checks if c.port.side in ("out", "in")), default=checks[worst].scale)
        self._note(
            call, direction, verdicts[worst], checks[worst].port, scale, absolute, shapes[0] if shapes else ()
        )

    def _noise(self, call: Call, arguments: Tree, given: Given, backward: bool) -> dict[Port, Noise]:
        """How far noise carries the results of a call's own code, or its gradients, which are judged together."""
        module = self._modules[call.path]

        def inside(number: int, _: str, __: Tree) -> Tree:
            return self._results[call.children[number].order]

        def results(net: Module, given: Given) -> dict[Port, Array]:
            own = evaluate(net, arguments, given, inside, backward)
            return own.slopes if backward else own.values

        base = results(module, given)
        found = dict.fromkeys(base, Noise())
        case = Case((given.values, given.slopes))
        for draw in range(DRAWS):
            rng = np.random.default_rng([self._seed, draw, call.order])
            with shaken(module, case, UNITS[self._dtype], rng) as (noisy, shifted):
                moved = results(noisy, Given(*shifted.inputs))
            for port, value in moved.items():
                if port in base and value.shape == base[port].shape:
                    most, spread = found[port]
                    off = value - base[port]
                    found[port] = Noise(max(most, magnitude([off])), max(spread, spread_of(off)))
        if not backward:
            return found
        most = max((noise.most for noise in found.values()), default=0.0)
        return {port: noise._replace(most=most) for port, noise in found.items()}

    def _note(
        self,
        call: Call,
        direction: str,
        verdict: Verdict,
        port: Port,
        scale: float | None,
        absolute: float | None = None,
        shape: tuple[int, ...] = (),
        more: str = "",
    ) -> None:
        wrong = verdict.wrong
        self._record(
            call,
            direction,
            DIFFERS if wrong else AGREES,
            created=verdict.error,
            tolerance=verdict.tolerance,
            spread=verdict.spread,
            spread_tolerance=verdict.spread_tolerance,
            scale=scale,
            absolute=absolute,
            shape=shape,
            detail=f"{self._called(port, direction == GRADIENT)} {wrong}{more}" if wrong else "",
        )

    def _record(self, call: Call, direction: str, verdict: str, **numbers: Any) -> None:
        kind = type(self._modules[call.path]).__name__
        self.records.append(
            LayerRecord(call.path, kind, call.call, call.order, direction, verdict, **numbers)
        )

    @staticmethod
    def _called(port: Port, backward: bool) -> str:
        """What a tensor is called in a message."""
        what = {
            "out": "its result",
            "in": "its input",
            "to": f"what it gives to module {port.child} inside,",
            "from": f"the result of module {port.child} inside,",
            "own": port.place,
        }[port.side]
        place = "" if port.side == "own" else port.place
        return f"{'the gradient of ' if backward else ''}{what}{place and ' ' + place}:"

    # ------------------------------------------------------------------ parameters, which may be used more than once
    def _parameter_gradient(self, name: str) -> Array | None:
        values = self._found.modes[EAGER].values if EAGER in self._found.modes else {}
        ref = values.get(Key(PARAMETER_GRADIENT, name))
        return None if ref is None else self._array(ref)

    def _add(self, port: Port, call: Call, arguments: Tree, slope: Array, scale: float) -> _Sum:
        path, _, name = port.place.rpartition(".")
        variable = self._modules[call.path].get_submodule(path).parameter(name)
        total = self._sums.get(id(variable))
        if total is None:
            total = self._sums[id(variable)] = _Sum(self._names[id(variable)], np.zeros(slope.shape))
        total.total = total.total + slope
        total.calls.append((call, arguments))
        total.scale = max(total.scale, scale)
        return total

    def _judge_sum(self, total: _Sum) -> None:
        """The gradient of a parameter, by the noise of all the calls that use it."""
        found = self._parameter_gradient(total.name)
        if found is None:
            return
        port, scale = Port("own", -1, total.name), max(total.scale, magnitude([total.total]))
        check = Check(port, found, total.total, scale, total.terms)
        verdict = judge(check, Noise(), self._dtype)
        if verdict.wrong and verdict.error is not None:
            most = spread = 0.0
            for call, arguments in total.calls:
                noise = self._noise(call, arguments, self._given(call), True)
                most += max((one.most for one in noise.values()), default=0.0)
                spread += max((one.spread for one in noise.values()), default=0.0)
            verdict = judge(check, Noise(most, spread), self._dtype)
        order = total.calls[0][0].order
        known = [r for r in self.records if r.direction == GRADIENT and r.order == order]
        if known and (not verdict.wrong or known[0].verdict == DIFFERS):
            return
        self.records = [record for record in self.records if record not in known]
        count = len(total.calls)
        more = f" (of {count} calls together)" if count > 1 else ""
        self._note(total.calls[0][0], GRADIENT, verdict, port, scale, more=more)


__all__ = ["Replay"]
