"""State that is taken out, put in, copied, moved and saved: always to the bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unimodule import nn, ops
from unimodule.errors import DeviceError, DtypeError, IntegerRangeError, StateDictError
from unimodule.registry import get_backend, infos, installed
from unimodule.state import load, save

from ..case import Case
from ..oracle.judging import judge
from ..oracle.measuring import Array, backward, forward
from ..oracle.phases import halved
from ..oracle.reference import REFERENCE
from ..outcome import Outcome, Status, Target
from .applying import stateful
from .judged import judged, on
from .registry import check
from .same import differing, held_state


def _altered(net: nn.Module, *, loadable: bool = False) -> nn.Module:
    """The net with another state; where ``loadable``, only what a state_dict brings back is another."""
    kept = net.state_dict() if loadable else dict(net.named_variables())
    for name, variable in net.named_variables():
        if name not in kept:
            continue
        value = variable.numpy()
        variable.data = halved(value) if value.dtype.kind == "f" else value
    return net


def _failed(what: str, difference: str) -> Outcome | None:
    return Outcome(Status.FAILED, f"{what}: {difference}") if difference else None


def _wide(state: dict[str, Array]) -> dict[str, Array]:
    """With 64-bit integers, which some backends carry in 32 bits, as 64-bit ones."""
    return {n: a.astype(f"{a.dtype.kind}8") if a.dtype.kind in "iu" else a for n, a in state.items()}


@check("state", applies=stateful)
@judged
def state(case: Case, target: Target) -> Outcome:
    """state_dict has the reference's names and the very numbers; loaded again it restores them; a wrong one is refused."""
    expected = _wide(held_state(case.net(Target(REFERENCE))))
    with on(target):
        net = case.net(target)
        keys = list(net.state_dict())
        taken = {name: ops.to_numpy(value) for name, value in net.state_dict().items()}
        first = held_state(net)
        other = _altered(net.clone(), loadable=True)
        other.load_state_dict(net.state_dict())
        native = held_state(other)
        _altered(other, loadable=True).load_state_dict(taken)
        hosted = held_state(other)
    if keys != list(case.net(Target(REFERENCE)).state_dict()):
        return Outcome(Status.FAILED, f"state_dict has {keys}")
    found = [("the state", first), ("the state loaded", native), ("the state loaded from NumPy", hosted)]
    for what, arrays in found:
        if difference := differing(expected, _wide(arrays)):
            return Outcome(Status.FAILED, f"{what}: {difference}")
    return _refused(net, taken, target) or Outcome(Status.PASSED)


def _refused(net: nn.Module, taken: dict[str, Array], target: Target) -> Outcome | None:
    """Missing, extra and misshapen entries: ``StateDictError``, and the net is as it was."""
    before = held_state(net)
    shifted = {name: array[None] for name, array in taken.items()}
    wrong = {"extra": {**taken, "no.such.name": np.zeros(1, "float32")}}
    if taken:
        wrong |= {"missing": dict(list(taken.items())[1:]), "misshapen": shifted}
    for what, entries in wrong.items():
        if what == "missing" and len({id(v) for v in net.state_dict().values()}) < len(taken):
            continue  # a tied one may be given by its other name
        try:
            net.load_state_dict(entries)
        except StateDictError:
            pass
        except Exception as error:
            return Outcome(
                Status.FAILED, f"a state with {what} entries raised {type(error).__name__}: {error}"
            )
        else:
            return Outcome(Status.FAILED, f"a state with {what} entries was taken")
        with on(target):
            if difference := differing(before, held_state(net)):
                return Outcome(
                    Status.FAILED, f"a refused state with {what} entries changed the net: {difference}"
                )
    return None


def _others(target: Target) -> Iterator[str]:
    return (name for name in infos() if name != target.backend and installed(name))


@check("transfer", applies=stateful, cost=5.0)
@judged
def transfer(case: Case, target: Target) -> Outcome:
    """Moved to every other installed backend and back, and loaded there from a state_dict, a net is the same to the bit."""
    with on(target):
        net = case.net(target)
        start = held_state(net)
        taken = net.state_dict()
    for name in _others(target):
        try:
            with on(target):
                moved = net.clone().to(name, device="cpu")
        except Exception as error:
            if isinstance(error.__cause__, DtypeError | IntegerRangeError):
                continue  # that one has no such dtype: said, not lost
            raise
        with on(target):
            there = held_state(moved)
            loaded = _altered(moved.clone(), loadable=True)
            loaded.load_state_dict(taken)
            put = held_state(loaded)
            back = held_state(moved.to(target.backend, device=target.device))
            mode = moved.training
        for what, arrays in (
            (f"moved to {name}", there),
            (f"loaded on {name}", put),
            (f"back from {name}", back),
        ):
            if failed := _failed(what, differing(_wide(start), _wide(arrays))):
                return failed
        if mode != case.spec.training:
            return Outcome(Status.FAILED, f"moved to {name} and back, the net is in another mode")
    return Outcome(Status.PASSED)


@check("clone", applies=stateful, cost=2.0)
@judged
def clone(case: Case, target: Target) -> Outcome:
    """A clone has the same state, mode and output, and shares nothing: what happens to one leaves the other alone."""
    with on(target):
        net = case.net(target)
        before, frozen = held_state(net), [p.requires_grad for p in net.parameters()]
        copy = net.clone()
        same = differing(before, held_state(copy))
        flags = [p.requires_grad for p in copy.parameters()] == frozen and copy.training == net.training
        copy.train(case.spec.training)
        found = forward(copy, case.inputs)
        if case.spec.differentiable:
            backward(copy, case.inputs, case.spec.seed)
        _altered(copy)
        untouched = differing(before, held_state(net))
        changed = held_state(copy)
        _altered(_altered(net))
        apart = differing(changed, held_state(copy))
    for what, difference in (
        ("a clone's state", same),
        ("the net after its clone was changed", untouched),
        ("the clone after the net was changed", apart),
    ):
        if difference:
            return Outcome(Status.FAILED, f"{what}: {difference}")
    if not flags:
        return Outcome(Status.FAILED, "a clone is in another mode, or other parameters of it are frozen")
    return Outcome(Status.PASSED) if case.spec.random else judge(case, "forward", found, case.spec.dtype)


@check("saving", applies=stateful, cost=4.0)
@judged
def saving(case: Case, target: Target) -> Outcome:
    """Saved to a safetensors file and loaded, here and on the reference backend, a net is the same to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.safetensors"
        with on(target):
            net = case.net(target)
            start = {name: ops.to_numpy(value) for name, value in net.state_dict().items()}
            save(net, path)
            other = _altered(net.clone(), loadable=True)
            load(other, path)
            here = {name: ops.to_numpy(value) for name, value in other.state_dict().items()}
            elsewhere = _altered(case.net(Target(REFERENCE)))
            load(elsewhere, path)
            there = {name: ops.to_numpy(value) for name, value in elsewhere.state_dict().items()}
    return (
        _failed("loaded from a file", differing(start, here))
        or _failed("loaded from a file on the reference backend", differing(_wide(start), _wide(there)))
        or Outcome(Status.PASSED)
    )


@check("devices", applies=stateful, cost=2.0)
@judged
def devices(case: Case, target: Target) -> Outcome:
    """Moved to another device and back, a net is the same to the bit, and computes the same there; one that is not there is
    refused.
    """
    backend = get_backend(target.backend)
    if wrong := _moved_nowhere(case.net(target), f"gpu:{len(backend.devices())}"):
        return Outcome(Status.FAILED, wrong)
    places = [place for place in backend.devices() if place != target.device]
    if not places:
        return Outcome(Status.SKIPPED, "there is no other device")
    with on(target):
        net = case.net(target)
        start = held_state(net)
        net.to(device=places[0])
        there, place = held_state(net), net.device
        stayed = [name for name, v in net.named_variables() if backend.device(v.data) != places[0]]
        found = forward(net.clone(), case.inputs)
        outputs = _leaves(net.clone()(*case.inputs))
        elsewhere = {backend.device(y) for y in outputs if backend.is_tensor(y)} - {places[0]}
        back = held_state(net.to(device=target.device))
    if place != places[0]:
        return Outcome(Status.FAILED, f"moved to {places[0]}, the net says that it is on {place}")
    if stayed:
        return Outcome(Status.FAILED, f"the net was moved to {places[0]}, its {stayed[0]} was not")
    if elsewhere:
        return Outcome(Status.FAILED, f"a net on {places[0]} has an output on {elsewhere.pop()}")
    if failed := _failed(f"moved to {places[0]}", differing(start, there)):
        return failed
    if failed := _failed(f"back from {places[0]}", differing(start, back)):
        return failed
    return Outcome(Status.PASSED) if case.spec.random else judge(case, "forward", found, case.spec.dtype)


def _leaves(output: object) -> list[object]:
    parts = list(output.values()) if isinstance(output, dict) else output
    return [leaf for part in parts for leaf in _leaves(part)] if isinstance(parts, list | tuple) else [output]


def _moved_nowhere(net: nn.Module, device: str) -> str:
    """What is wrong with the refusal of a device that there is not."""
    try:
        net.to(device=device)
    except DeviceError:
        return ""
    except Exception as error:
        return f"moved to {device}, which is not there, raised {type(error).__name__}: {error}"
    return f"moved to {device}, which is not there, raised nothing"


__all__ = ["clone", "devices", "saving", "state", "transfer"]
