"""What PyTorch computes for a case in float64: outputs, gradients, buffers, steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from unimodule.comparison.measure import flatten

from .. import optimisers
from ..measuring import (
    BUFFER,
    INPUT_GRADIENT,
    OUTPUT,
    PARAMETER,
    PARAMETER_GRADIENT,
    Key,
    Values,
    only,
    weights_of,
)
from ..phases import learning_rate, step_inputs, trains
from . import torch_nets

if TYPE_CHECKING:
    from ...case import Case


class Source:
    """PyTorch's answers for one case. Each may raise ``Untranslated``: something in the model has no counterpart."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def _net(self, training: bool) -> Any:
        """A fresh net: a call may leave other buffers in one."""
        reference = self.case.reference.net()
        state = {name: np.asarray(value) for name, value in reference.state_dict().items()}
        frozen = {name for name, parameter in reference.named_parameters() if not parameter.requires_grad}
        return torch_nets.net(self.case.spec.root, state, frozen, training)

    def forward(self) -> Values:
        """Outputs and buffers after a call, under the names that the reference's have."""
        net = self._net(self.case.spec.training)
        with torch.no_grad():
            output = net(*self._inputs(0))
        return {**self._outputs(output), **_buffers(net)}

    def backward(self) -> Values:
        """Gradients of the projection of the outputs."""
        if _certain(self.case):
            raise torch_nets.Untranslated("PyTorch rounds the 1e-12 in this gradient to float32")
        net, inputs = self._net(self.case.spec.training), self._inputs(0)
        floats = {i: x.requires_grad_() for i, x in enumerate(inputs) if x.is_floating_point()}
        parameters = {n: p for n, p in net.named_parameters() if p.requires_grad}
        loss = self._projected(net(*_copies(inputs)))
        wanted = [*floats.values(), *parameters.values()]
        slopes = (
            torch.autograd.grad(loss, wanted, allow_unused=True)
            if loss.requires_grad
            else [None] * len(wanted)
        )
        keys = [Key(INPUT_GRADIENT, f"[{i}]") for i in floats] + [
            Key(PARAMETER_GRADIENT, n) for n in parameters
        ]
        return {
            key: (torch.zeros_like(x) if slope is None else slope).numpy()
            for key, x, slope in zip(keys, wanted, slopes, strict=True)
        }

    def training(self) -> Values:
        """Parameters and buffers after each of two steps of gradient descent."""
        if any(node.kwargs.get("max_norm") for node in self.case.spec.root.walk()):
            raise torch_nets.Untranslated("PyTorch rescales the rows in place, unimodule what is looked up")
        net = self._net(self.case.spec.training or trains(self.case))
        rule = torch.optim.SGD(
            [p for p in net.parameters() if p.requires_grad], learning_rate(self.case), 0.5
        )
        found: Values = {}
        for step in range(2):
            rule.zero_grad()
            loss = self._projected(net(*_copies(self._inputs(step))))
            if loss.requires_grad:
                loss.backward()
            _no_gradient_is_zero(net)
            rule.step()
            state = {**_buffers(net), **_parameters(net)}
            found.update({Key(k.kind, f"{k.name} after step {step + 1}"): v for k, v in state.items()})
        return found

    def optimiser(self) -> Values:
        """Parameters after each step of the case's optimiser with the given gradients."""
        net = self._net(self.case.spec.training)
        name, options = optimisers.drawn(self.case.spec.seed)
        make = getattr(torch.optim, name, None) or _Lion
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # in which NAdam keeps its products
        rule = make([p for p in net.parameters() if p.requires_grad], **options)
        held = dict(net.named_parameters())
        found: Values = {}
        for step in range(optimisers.STEPS):
            for key, value in optimisers.gradients(
                self.case.reference.net(), self.case.spec.seed, step
            ).items():
                held[key].grad = torch.tensor(value.astype("float64"))
            rule.step()
            named = _parameters(net).items()
            found.update({Key(k.kind, f"{k.name} after step {step + 1} of {name}"): v for k, v in named})
        torch.set_default_dtype(before)
        return found

    def _inputs(self, step: int) -> list[Any]:
        return [torch.tensor(array) for array in step_inputs(self.case.reference.inputs(), step)]

    def _keys(self) -> list[Key]:
        return list(only(self.case.reference.values("forward"), OUTPUT))

    def _outputs(self, output: Any) -> Values:
        leaves = _leaves(output)
        keys = self._keys()
        if len(leaves) != len(keys):
            return {Key(OUTPUT, f"number {i}"): np.asarray(leaf) for i, leaf in enumerate(leaves)}
        pairs = zip(keys, leaves, strict=True)
        return {
            k: leaf.detach().numpy().copy() if isinstance(leaf, torch.Tensor) else np.asarray(leaf)
            for k, leaf in pairs
        }

    def _projected(self, output: Any) -> Any:
        leaves = _leaves(output)
        total = torch.zeros((), dtype=torch.float64)
        for key, leaf in zip(self._keys(), leaves, strict=True):
            if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
                weights = torch.tensor(weights_of(tuple(leaf.shape), key.name, self.case.spec.seed))
                total = total + (leaf * weights).sum()
        return total


def _certain(case: Case) -> bool:
    """Whether a cross-entropy is given probabilities of exactly 0 or 1."""
    names = {name.partition(".")[2] for name in case.spec.names}
    sure = any(array.dtype.kind == "f" and np.any((array == 0) | (array == 1)) for array in case.inputs)
    return sure and bool(names & {"BCELoss", "binary_cross_entropy"})


def _copies(inputs: list[Any]) -> list[Any]:
    """Of the inputs, differentiable ones: some layers write into theirs."""
    return [x.clone() if x.is_floating_point() else x for x in inputs]


def _leaves(output: Any) -> list[Any]:
    return [leaf for _, leaf in flatten(output) if leaf is not None]


def _buffers(net: Any) -> Values:
    return {Key(BUFFER, name): value.detach().numpy().copy() for name, value in net.named_buffers()}


def _parameters(net: Any) -> Values:
    return {Key(PARAMETER, name): value.detach().numpy().copy() for name, value in net.named_parameters()}


def _no_gradient_is_zero(net: Any) -> None:
    """unimodule gives zeros for a parameter that took no part, where PyTorch skips it: momentum tells them apart."""
    for parameter in net.parameters():
        if parameter.requires_grad and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


class _Lion:
    """Chen et al., https://arxiv.org/abs/2302.06675, algorithm 2: PyTorch has none."""

    def __init__(
        self, parameters: list[Any], lr: float, betas: tuple[float, float], weight_decay: float
    ) -> None:
        self.parameters, self.lr, self.betas, self.decay = parameters, lr, betas, weight_decay
        self.momenta = [torch.zeros_like(p) for p in parameters]

    def step(self) -> None:
        for parameter, momentum in zip(self.parameters, self.momenta, strict=True):
            update = torch.sign(self.betas[0] * momentum + (1 - self.betas[0]) * parameter.grad)
            parameter.data = parameter.data - self.lr * (update + self.decay * parameter.data)
            momentum.mul_(self.betas[1]).add_(parameter.grad, alpha=1 - self.betas[1])


__all__ = ["Source"]
