"""The compiled form of a training step: one native program for each signature, and how its tensors are gathered.

A program is a pure function of a flat list: the values of the nets' variables, the batch, the sums of gradients so far,
the optimiser's state, and one vector of step-dependent numbers for each of its updates. It returns the loss, the new
parameters and state (or the new sums), and the buffers that changed. Nothing is written before all of it is there.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _draws, ops
from ..backend import Backend, Tensor
from ..errors import CompileError
from ..nn.module import Module
from ..nn.parameter import Parameter, Variable
from ..ops._dispatch import kernel
from ..optim import Optimizer
from ..optim.optimizer import Update
from ..registry import find_backend
from ..transforms._compiler import ADVICE, building
from ..transforms._program import Captured, Program, modules_of, nets_of, sites
from ..transforms._signature import of_arguments, of_net
from ..transforms.functional import Tree, held_values, leaves
from ._course import Course
from ._plan import Rules, signature, slots_of, vectors_of
from ._recipe import Gradient, Recipe, accumulated, all_finite


class Outcome(NamedTuple):
    """What a program gave; nothing of it is written yet.

    Attributes:
        loss: the loss.
        results: the parameters' new values, or, where it was no update, the new sums of gradients.
        slots: the optimiser's new state.
        buffers: the buffers that the forward assigned, with their new values.
        finite: whether all gradients were finite, where the loss is scaled and it was an update: else the results and
            slots are not to be written, unless the old ones were donated, in which case they are these.
    """

    loss: Tensor
    results: Sequence[Tensor]
    slots: Sequence[Tensor]
    buffers: list[tuple[Variable, Tensor]]
    finite: Tensor | None


class Call(NamedTuple):
    """What a step is about.

    Attributes:
        backend: where it runs.
        nets: the net, and the loss where it is a module.
        batch: native inputs and target, with whatever else stands between.
        wanted: the parameters whose gradients are summed.
        sums: the gradients summed so far.
        updates: what the optimiser's step consists of; None where gradients are only summed.
        scale: what the loss is multiplied by, or None.
    """

    backend: Backend
    nets: list[Module]
    batch: Tree
    wanted: list[Parameter]
    sums: Gradient
    updates: Sequence[Update] | None
    scale: float | None

    def scales(self, native: bool) -> list[Tensor]:
        """The scale as a tensor, if there is one; as a NumPy array, where that will do."""
        if self.scale is None:
            return []
        host = np.asarray(self.scale, np.float32)
        if self.backend.compiled_takes_arrays and not native:
            return [host]
        return [self.backend.from_numpy(host, "float32", self.nets[0].device or "cpu")]

    def tensors(self) -> list[Tensor]:
        """The tensors of the batch."""
        return [leaf for leaf in leaves(self.batch) if find_backend(leaf) is self.backend]

    def state(self) -> list[Tensor]:
        """What a program takes behind the batch, but for the numbers of the updates."""
        return [*self.sums.values(), *slots_of(self.updates or ())]

    def replaced(self, nets: list[Module]) -> list[int]:
        """Where in the list of a program's tensors those stand whose successors it returns."""
        places = sites(nets)
        start = len(places) + len(self.tensors())
        if self.updates is None:
            return list(range(start, start + len(self.sums)))
        updated = {id(p) for update in self.updates for p in update.parameters}
        variables = [i for i, (_, _, variable) in enumerate(places) if id(variable) in updated]
        start += len(self.sums)
        return [*variables, *range(start, start + len(slots_of(self.updates)))]

    def signature(self) -> Hashable:
        """All that a program depends on, but for batch and nets."""
        about = tuple(map(id, self.wanted)) if self.updates is None else signature(self.updates)
        return (
            self.backend.info.name,
            _draws.portable(self.backend),
            tuple(self.sums),
            self.updates is None,
            about,
        )


class Entry:
    """One signature's program, with the places of its variables in the nets.

    Args:
        program: it.
        nets: the nets that it was made for.
        call: the call that it was made for.
    """

    __slots__ = ("_assigned", "_checked", "_places", "_results", "_run", "_slots", "_targets", "_written")

    def __init__(self, program: Program, nets: list[Module], call: Call) -> None:
        self._run = program.quick()
        updates = call.updates
        wanted = call.wanted if updates is None else [p for u in updates for p in u.parameters]
        self._results = 1 + len(wanted)
        self._slots = self._results + len(slots_of(updates or ()))
        self._checked = updates is not None and call.scale is not None
        self._places = [(module.__dict__, name) for module, name, _ in sites(nets)]
        modules = modules_of(nets)
        self._assigned = [modules[number]._variables[name] for number, name in program.assigned]
        self._written: list[tuple[Variable, int]] = []
        self._targets: list[tuple[dict[str, Any], str, int]] = []

    def learn(self, call: Call, outcome: Outcome) -> None:
        """Note where the results go, now that they have been written once."""
        self._written, self._targets = [], []
        wanted = [p for update in call.updates or () for p in update.parameters]
        start = len(outcome.results) + len(outcome.slots) + 1
        written: list[tuple[Variable, Tensor, int]] = [
            (p, value, i) for i, (p, value) in enumerate(zip(wanted, outcome.results, strict=True), 1)
        ]
        written += [(b, value, i) for i, (b, value) in enumerate(outcome.buffers, start)]
        for variable, value, i in written:
            if call.backend.rebinds and variable.data is value:
                self._targets += [(state, name, i) for state, name in variable.places()]
            else:
                self._written.append((variable, i))

    def follow(self, course: Course, tensors: Sequence[Tensor]) -> Tensor:
        """A step of a course, as short as can be: run it, write the results, return the loss."""
        vectors, scalars = course.rows[course.at]
        kept = course.kept
        values = [state[name] for state, name in self._places]
        outputs = self._run(*values, *tensors, *kept.tensors, *vectors)
        for state, name, i in self._targets:
            state[name] = outputs[i]
        for variable, i in self._written:
            variable.write(outputs[i])
        course.went_on(kept.after(scalars, outputs[self._results : self._slots]))
        return outputs[0]

    def __call__(self, call: Call, tensors: list[Tensor]) -> Outcome:
        """Run it on a batch with these tensors."""
        vectors = vectors_of(call.updates, native=False) if call.updates else ()
        values = [state[name] for state, name in self._places]
        return self.outcome(self._run(*values, *tensors, *call.state(), *vectors, *call.scales(native=False)))

    def outcome(self, outputs: Sequence[Tensor]) -> Outcome:
        """The outputs of the program, sorted."""
        first, last = self._results, self._slots
        finite = outputs[last] if self._checked else None
        assigned = outputs[last + self._checked :]
        buffers = list(zip(self._assigned, assigned, strict=True)) if self._assigned else []
        return Outcome(outputs[0], outputs[1:first], outputs[first:last], buffers, finite)


def _without_donation(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "donate"}


class Programs:
    """The programs of one training step.

    Args:
        recipe: what it computes.
        optimizer: whose rules it applies.
        options: the native compiler's.
    """

    def __init__(self, recipe: Recipe, optimizer: Optimizer, options: dict[str, Any]) -> None:
        self._recipe, self._optimizer, self._options = recipe, optimizer, options
        self._known: dict[Hashable, Program] = {}
        self._captured: list[Module] = []

    def __call__(self, call: Call) -> tuple[Entry, Outcome]:
        """Run a call's program, recorded first where there is none yet.

        Raises:
            CompileError: the net or the loss reads the value of a tensor.
        """
        while True:
            # A net that the loss has from elsewhere gives its values as inputs, too.
            captured = [net for net in self._captured if net._backend is call.backend]
            nets = nets_of((call.nets, captured))
            key = (call.signature(), of_arguments(call.batch, call.backend), *map(of_net, nets))
            program = self._known.get(key)
            if program is not None and program.is_of(nets):
                entry = Entry(program, nets, call)
                return entry, entry(call, call.tensors())
            try:
                return self._make(key, call, nets)
            except Captured as found:
                if not any(net is found.net for net in self._captured):
                    self._captured.append(found.net)

    def _make(self, key: Hashable, call: Call, nets: list[Module]) -> tuple[Entry, Outcome]:
        owner = weakref.ref(self)

        def forget(_: Any) -> None:
            if (programs := owner()) is not None:
                programs._known.pop(key, None)

        slots, vectors = slots_of(call.updates or ()), vectors_of(call.updates or (), native=True)
        scales = call.scales(native=True)
        arguments = (call.nets, call.batch, list(call.sums.values()), slots, vectors, scales)
        options = self._options
        if type(donate := options.get("donate")) is bool:
            options = {**options, "donate": call.replaced(nets)} if donate else _without_donation(options)
        program = Program(call.backend, self._body(call), (arguments, {}), nets, options, forget)
        values = [module.__dict__[name] for module, name, _ in sites(nets)]
        with building:
            try:
                outputs = program.run([*values, *call.tensors(), *call.state(), *vectors, *scales])
            except Exception as error:
                if call.backend.is_trace_error(error):
                    raise CompileError(ADVICE.format(type(error).__name__)) from error
                raise
        self._known[key] = program
        entry = Entry(program, nets, call)
        return entry, entry.outcome(outputs)

    def _body(self, call: Call) -> Callable[..., Any]:
        """The whole step as a pure function."""
        recipe, keys = self._recipe, tuple(call.sums)
        donated = bool(self._options.get("donate"))
        detach = kernel(call.backend, "stop_gradient")
        rules = None if call.updates is None else Rules(self._optimizer, call.updates)
        wanted = call.wanted if rules is None else rules.parameters

        def body(
            nets: list[Module],
            batch: Any,
            sums: list[Tensor],
            slots: list[Tensor],
            vectors: list[Tensor],
            scales: list[Tensor],
        ) -> tuple[Tensor, list[Tensor], list[Tensor], list[Tensor]]:
            before = dict(zip(keys, map(detach, sums), strict=True))
            held = {key: value for net in nets for key, value in held_values(net).items()}
            scale = detach(scales[0]) if scales else None
            loss, gradients = recipe.gradients(nets, batch, scale)
            found = list(accumulated(before, {id(p): gradients[id(p)] for p in wanted}).values())
            if rules is None:
                return loss, found, [], []
            values, finished = [held[id(p)] for p in wanted], recipe.finish(found, scale)
            new_values, new_slots = rules(values, finished, slots, vectors)
            if scale is None:
                return loss, new_values, new_slots, []
            finite = all_finite(finished)
            if donated:  # what is not to change must be handed back
                new_values = [ops.where(finite, n, v) for n, v in zip(new_values, values, strict=True)]
                new_slots = [ops.where(finite, n, s) for n, s in zip(new_slots, slots, strict=True)]
            return loss, new_values, new_slots, [finite]

        return body
