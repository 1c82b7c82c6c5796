"""A core that keeps the wrong state: running statistics, optimisers, modes, constants, copies, files."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

import unimodule as um
from unimodule import nn, ops, optim
from unimodule.nn import functional as F
from unimodule.state import load, save

from .model import Fault
from .planting import Bench, both, module, of_core, patch


def _class(name: str) -> Any:
    space, _, attribute = name.partition(".")
    return lambda: getattr({"nn": nn, "optim": optim}[space], attribute)


# ---------------------------------------------------------------------- layers in train and eval mode
def _running(b: Bench) -> Any:
    """The running mean and variance after one batch of -1 and 3, from 0 and 1 with momentum 0.25."""
    net = b.net(nn.BatchNorm1d(1, momentum=0.25))
    net.train()(b.tensor([[-1.0], [3.0]]))
    return [net.parameter(name).numpy().item() for name in ("running_mean", "running_var")]


def _biased(native: Any) -> Any:
    return lambda self, mean, var, momentum, unbias=1.0: native(self, mean, var, momentum)


def _mirrored(native: Any) -> Any:
    return lambda self, mean, var, momentum, unbias=1.0: native(self, mean, var, 1 - momentum, unbias)


BATCH = ("nn.BatchNorm1d", "nn.BatchNorm2d")
LAYERS = [
    of_core(
        "state",
        "the running variance is the biased one",
        patch(_class("nn.BatchNorm1d"), "_move", _biased),
        _running,
        [0.25, 0.75 + 0.25 * 8],
        BATCH,
    ),
    of_core(
        "state",
        "the running statistics take momentum for 1 - momentum",
        patch(_class("nn.BatchNorm1d"), "_move", _mirrored),
        _running,
        [0.25, 0.75 + 0.25 * 8],
        BATCH,
    ),
    of_core(
        "state",
        "dropout is active in evaluation",
        patch(
            _class("nn.Dropout"),
            "forward",
            lambda native: lambda self, input: F.dropout(input, self.p, training=True),
        ),
        lambda b: b.numpy(b.net(nn.Dropout(0.5)).eval()(b.tensor(np.ones(100)))),
        np.ones(100),
        ("nn.Dropout",),
    ),
    of_core(
        "gradient",
        "padding_idx has a gradient",
        both(
            *(
                patch(
                    module(f"unimodule.nn.{name}embedding"),
                    "lookup",
                    lambda native: lambda backend, i, w, padding, *rest: native(backend, i, w, None, *rest),
                )
                for name in ("", "functional.")
            )
        ),
        lambda b: b.slopes(lambda w, i: F.embedding(i, w, padding_idx=0), [[1.0], [1.0]], np.array([0, 1])),
        [[0.0], [2.0]],
        ("nn.Embedding", "F.embedding"),
    ),
]


# ---------------------------------------------------------------------- optimisers
def _stepped(make: Any, steps: int = 2) -> Any:
    """A parameter that starts at 1 after steps with the gradient 0.5."""

    def run(b: Bench) -> Any:
        net = b.net(nn.Linear(1, 1, bias=False), weight=[[1.0]])
        rule = make(net.parameters())
        for _ in range(steps):
            rule.step({"weight": b.tensor([[0.5]])})
        return net.parameter("weight").numpy().item()

    return run


def _uncorrected(native: Any) -> Any:
    return lambda self, options, scalars, fresh: {
        **native(self, options, scalars, fresh),
        "step_size": options["lr"],
        "correction": 1.0,
    }


def _other_momentum(native: Any) -> Any:
    def numbers(self: Any, options: Any, scalars: Any, fresh: bool) -> Any:
        n = native(self, options, scalars, fresh)
        return {**n, "momentum": 1 - n["momentum"]}

    return numbers


def _eps_inside(native: Any) -> Any:
    def update(do: Any, on: Any, values: Any, gradients: Any, slots: Any, n: Any) -> Any:
        if on["momentum"] or on["centered"] or on["maximize"] or on["weight_decay"]:
            return native(do, on, values, gradients, slots, n)
        v = do.addcmul_(do.scale_(slots["square_avg"], n["alpha"]), gradients, gradients, n["rate"])
        root = do.sqrt_(do.shift(v, n["eps"]))
        return do.addcdiv_(values, gradients, root, -n["lr"]), {"square_avg": v}

    return update


def _coupled(native: Any) -> Any:
    return lambda self, options, scalars: {
        **native(self, options, scalars),
        "decoupled_weight_decay": False,
    }


TRAINED = ("nn.Linear", "block.WithParameter", "nn.Conv1d")
OPTIMISERS = [
    of_core(
        "state",
        "Adam leaves its bias correction out",
        patch(_class("optim.Adam"), "numbers", _uncorrected),
        _stepped(lambda p: optim.Adam(p, lr=0.1)),
        1 - 0.2,
        TRAINED,
        tolerance=1e-5,
    ),
    of_core(
        "state",
        "SGD takes momentum for 1 - momentum",
        patch(_class("optim.SGD"), "numbers", _other_momentum),
        _stepped(lambda p: optim.SGD(p, lr=0.1, momentum=0.75)),
        1 - 0.05 - 0.1 * 0.5 * 1.75,
        TRAINED,
    ),
    of_core(
        "state",
        "RMSprop adds eps inside the root",
        patch(_class("optim.RMSprop"), "update", _eps_inside),
        _stepped(lambda p: optim.RMSprop(p, lr=0.1, alpha=0.0, eps=0.5), 1),
        1 - 0.1 * 0.5 / (0.5 + 0.5),
        TRAINED,
    ),
    of_core(
        "state",
        "AdamW decays as Adam does",
        patch(_class("optim.AdamW"), "switches", _coupled),
        _stepped(lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.5), 1),
        0.95 - 0.1,
        TRAINED,
        tolerance=1e-5,
    ),
]


# ---------------------------------------------------------------------- constants
class _Fixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(np.ones(1, "float32"))
        self.constant = nn.Constant(np.ones(1, "float32"))

    def forward(self, x: Any) -> Any:
        return x * self.weight * self.constant


def _with_constants(native: Any) -> Any:
    def arrange(targets: Any, parameters: Any, gradients: Any, backend: Any, argnums: Any) -> Any:
        found = native(targets, parameters, gradients, backend, argnums)
        if len(targets) != 1 or not isinstance(targets[0], nn.Module):
            return found
        more = dict(targets[0].named_constants())
        slopes = [ops.ones_like(c.data) for c in more.values()]
        return type(found)({**found.parameters, **more}, [*found.values(), *slopes])

    return arrange


def _remembering(native: Any) -> Any:
    def named_parameters(self: nn.Module) -> Any:
        for name, parameter in native(self):
            parameter.__dict__["_seen_in"] = weakref.ref(self)
            yield name, parameter

    return named_parameters


def _decaying(native: Any) -> Any:
    def step(self: Any, gradients: Any) -> None:
        native(self, gradients)
        nets = {id(n): n for p in self._handles() if (r := p.__dict__.get("_seen_in")) and (n := r())}
        for net in nets.values():
            for constant in net.constants():
                if "float" in constant.dtype:
                    constant.write(constant.data * (1 - self.param_groups[0]["lr"] * 0.1))

    return step


def _constant_after_a_step(b: Bench) -> Any:
    net = b.net(_Fixed())
    optim.SGD(net.parameters(), lr=0.1, weight_decay=0.1).step({"weight": b.tensor([1.0])})
    return net.parameter("constant").numpy().item()


CONSTANTS = [
    of_core(
        "gradient",
        "a constant receives a gradient",
        patch(module("unimodule.transforms.gradient"), "_arrange", _with_constants),
        lambda b: sorted(um.grad(lambda net, x: ops.sum(net(x)))(b.net(_Fixed()), b.tensor([1.0]))),
        ["weight"],
        ("block.WithConstant",),
    ),
    of_core(
        "state",
        "weight decay reaches constants",
        both(
            patch(_class("nn.Module"), "named_parameters", _remembering),
            patch(_class("optim.SGD"), "step", _decaying),
        ),
        _constant_after_a_step,
        1.0,
        ("block.WithConstant",),
    ),
]


# ---------------------------------------------------------------------- ties, copies, moves
class _Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
        self.two.weight = self.one.weight

    def forward(self, x: Any) -> Any:
        return self.one(x) + self.two(x)


def _counted_once(native: Any) -> Any:
    def functional_clone(self: nn.Module, values: Any, memo: Any = None) -> Any:
        memo = {} if memo is None else memo
        outermost = not memo
        new = native(self, values, memo)
        if outermost:
            seen: set[int] = set()
            for original in self.modules():
                for name, variable in original._variables.items():
                    if id(variable) in seen and id(variable) in values:
                        clone = memo[id(original)]
                        clone.__dict__[name] = ops.stop_gradient(clone.__dict__[name])
                    seen.add(id(variable))
        return new

    return functional_clone


def _tied_gradient(b: Bench) -> Any:
    net = b.net(_Tied(), one__weight=[[1.0]])
    (gradient,) = um.grad(lambda net, x: ops.sum(net(x)))(net, b.tensor([[3.0]])).values()
    return b.numpy(gradient).item()


def _training_again(native: Any) -> Any:
    def rebind(self: nn.Module, *args: Any) -> None:
        native(self, *args)
        for one in self.modules():
            one.__dict__["training"] = True

    return rebind


def _transposed(native: Any) -> Any:
    def state_dict(self: nn.Module) -> Any:
        found = native(self)
        return {n: ops.permute_dims(v, (1, 0)) if len(v.shape) == 2 else v for n, v in found.items()}

    return state_dict


def _without_buffers(native: Any) -> Any:
    def load_state_dict(self: nn.Module, state: Any, strict: bool = True) -> Any:
        kept = {name: buffer.numpy() for name, buffer in self.named_buffers()}
        found = native(self, state, strict)
        for name, buffer in self.named_buffers():
            buffer.data = kept[name]
        return found

    return load_state_dict


def _loaded(b: Bench) -> Any:
    first, second = (b.net(nn.BatchNorm1d(1), running_mean=[value]) for value in (3.0, 5.0))
    second.load_state_dict(first.state_dict())
    return second.parameter("running_mean").numpy()


def _shared_clone(b: Bench) -> Any:
    net = b.net(nn.Linear(1, 1, bias=False), weight=[[1.0]])
    net.clone().parameter("weight").data = np.zeros((1, 1), "float32")
    return net.parameter("weight").numpy()


def _backwards(native: Any) -> Any:
    def host_state(net: nn.Module) -> Any:
        return {
            n: np.ascontiguousarray(a.reshape(-1, order="F").reshape(a.shape)) for n, a in native(net).items()
        }

    return host_state


def _saved(b: Bench) -> Any:
    weight = np.arange(4.0, dtype="float32").reshape(2, 2)
    net = b.net(nn.Linear(2, 2, bias=False), weight=weight)
    with tempfile.TemporaryDirectory() as folder:
        save(net, Path(folder) / "net.safetensors")
        load(net, Path(folder) / "net.safetensors")
    return net.parameter("weight").numpy()


COPIES = [
    of_core(
        "gradient",
        "tied weights count once",
        patch(_class("nn.Module"), "functional_clone", _counted_once),
        _tied_gradient,
        6.0,
        ("block.Tied",),
    ),
    of_core(
        "state",
        "state_dict holds matrices transposed",
        patch(_class("nn.Module"), "state_dict", _transposed),
        lambda b: b.numpy(b.net(nn.Linear(2, 1), weight=[[1.0, 2.0]]).state_dict()["weight"]),
        [[1.0, 2.0]],
        ("nn.Linear",),
    ),
    of_core(
        "state",
        "load_state_dict leaves buffers as they were",
        patch(_class("nn.Module"), "load_state_dict", _without_buffers),
        _loaded,
        [3.0],
        ("nn.BatchNorm1d", "block.WithBuffer"),
    ),
    of_core(
        "state",
        "a clone shares its parameters with the net",
        patch(_class("nn.Parameter"), "__deepcopy__", lambda native: lambda self, memo: self),
        _shared_clone,
        [[1.0]],
        ("nn.Linear",),
    ),
    of_core(
        "state",
        "a net that is moved is in train mode again",
        patch(_class("nn.Module"), "_rebind", _training_again),
        lambda b: b.net(nn.Dropout(0.5).eval()).training,
        False,
        ("nn.Dropout", "nn.BatchNorm1d"),
    ),
    of_core(
        "state",
        "files hold arrays in Fortran's order",
        patch(module("unimodule.state.files"), "host_state", _backwards),
        _saved,
        [[0.0, 1.0], [2.0, 3.0]],
        ("nn.Linear",),
    ),
]

FAULTS: list[Fault] = [*LAYERS, *OPTIMISERS, *CONSTANTS, *COPIES]
