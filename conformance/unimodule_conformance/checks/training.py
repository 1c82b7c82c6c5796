"""Steps of training: parameters, buffers, constants, ties, optimisers."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn
from unimodule.train import train_step as make_step

from ..building import build
from ..case import Case
from ..oracle import optimisers
from ..oracle.judging import judge
from ..oracle.measuring import backward
from ..oracle.phases import training
from ..outcome import Outcome, Status, Target
from ..specs import Spec
from .applying import constant, sharing, trainable
from .judged import TargetError, cannot_compile, judged, on
from .registry import check
from .running import compiling, held
from .same import differing, held_state


@functools.lru_cache(maxsize=512)
def _has_parameters(key: str) -> bool:
    return any(parameter.requires_grad for parameter in build(Spec.from_json(key)).parameters())


def trains(spec: Spec) -> bool:
    """It has parameters, and steps of training can be judged by value."""
    return trainable(spec) and _has_parameters(spec.to_json())


@check("training", applies=trains, cost=8.0)
@judged
def steps(case: Case, target: Target) -> Outcome:
    """Parameters and buffers after each of two steps of gradient descent are the reference's."""
    return held(case, target, "training")


@check("optimiser", applies=trains, cost=2.0)
@judged
def optimiser(case: Case, target: Target) -> Outcome:
    """Parameters after each of three steps of an optimiser, which the seed draws, are the reference's."""
    return held(case, target, "optimiser")


@check("train step", applies=trains, cost=30.0)
@judged
def train_step(case: Case, target: Target) -> Outcome:
    """Two steps of um.train_step leave what two steps written out leave."""
    step: Any = functools.partial(make_step, **compiling(target).keywords)
    try:
        with on(target):
            found = training(case, True, step)(case.net(target), case.inputs)
    except TargetError as error:
        return cannot_compile(case, error)
    return judge(case, "training", found, case.spec.dtype)


@check("constants", applies=lambda spec: trains(spec) and constant(spec), cost=6.0)
@judged
def constants(case: Case, target: Target) -> Outcome:
    """Constants, frozen parameters and, in eval mode, buffers: no gradient, no update, no weight decay, to the bit."""
    with on(target):
        net = case.net(target).eval()
        trained = {name for name, parameter in net.named_parameters() if parameter.requires_grad}
        before = held_state(net)
        moving = _aliases(net.clone(), trained)  # found while every value is still a finite number
        slopes = {
            key.name for key in backward(net, case.inputs, case.spec.seed) if key.kind == "parameter gradient"
        }
        rule = um.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.5)
        for _ in range(2):
            _, gradients = um.value_and_grad(_loss)(net, case.inputs)
            rule.step(gradients)
        after = held_state(net)
    if extra := slopes - trained:
        return Outcome(Status.FAILED, f"{sorted(extra)[0]} is not trained, and has a gradient")
    if lost := trained - slopes:
        return Outcome(Status.FAILED, f"{sorted(lost)[0]} is trained, and has no gradient")
    fixed = before.keys() - moving
    if changed := differing({n: before[n] for n in sorted(fixed)}, {n: after[n] for n in sorted(fixed)}):
        return Outcome(Status.FAILED, f"training changed what is not trained: {changed}")
    return Outcome(Status.PASSED)


def _loss(net: nn.Module, inputs: tuple[object, ...]) -> object:
    from ..oracle.measuring import projection

    return projection(net(*inputs), 0)


def _aliases(net: nn.Module, names: set[str]) -> set[str]:
    """All names in the state of the parameters of these names."""
    held_as = dict(net.named_parameters())
    return {alias for name in names for alias in sharing_names(net, held_as[name])}


def sharing_names(net: nn.Module, parameter: nn.Parameter) -> frozenset[str]:
    """The names in the state that change when a parameter is set: more than one where it is tied."""
    before, value = held_state(net), parameter.numpy()
    parameter.data = value + np.ones((), value.dtype)
    after = held_state(net)
    parameter.data = value
    return frozenset(name for name in before if differing({name: before[name]}, {name: after[name]}))


@check("tied", applies=lambda spec: trains(spec) and sharing(spec), cost=6.0)
@judged
def tied(case: Case, target: Target) -> Outcome:
    """Tied parameters are one: one gradient, one update, and still one in a clone and on another backend."""
    reference = _ties(case.reference.net())
    with on(target):
        net = case.net(target)
        name, options = optimisers.drawn(case.spec.seed)
        rule = optimisers.make(name, options, net.parameters())
        _, gradients = um.value_and_grad(_loss)(net, case.inputs)
        rule.step(gradients)
        found = {
            "the net": _ties(net),
            "its clone": _ties(net.clone()),
            "its clone moved to the reference backend": _ties(net.clone().to("numpy")),
        }
        state, count = held_state(net), len(gradients)
    if count != sum(parameter.requires_grad for parameter in case.reference.net().parameters()):
        return Outcome(Status.FAILED, f"there are {count} gradients, not one for each parameter")
    for what, ties in found.items():
        if ties != reference:
            return Outcome(Status.FAILED, f"{what} ties {_shown(ties)}, expected {_shown(reference)}")
    for names in reference:
        first, *others = sorted(names)
        for other in others:
            if differing({"": state[first]}, {"": state[other]}):
                return Outcome(Status.FAILED, f"{first} and {other} are tied, and differ after a step")
    return Outcome(Status.PASSED)


def _ties(net: nn.Module) -> frozenset[frozenset[str]]:
    return frozenset(sharing_names(net, parameter) for parameter in net.parameters())


def _shown(ties: frozenset[frozenset[str]]) -> str:
    return "; ".join(sorted(" = ".join(sorted(names)) for names in ties if len(names) > 1)) or "nothing"


__all__ = ["constants", "optimiser", "steps", "tied", "train_step", "trains"]
