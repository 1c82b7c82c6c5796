"""MXNet by hand: hybridized Gluon nets, ``autograd`` around them, and Gluon's Trainer for a training step."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import BETAS, EPS, FAR, HEADS, LENGTH, LR, WIDTH, Call, Case, Hand


def block(kind: str) -> Any:
    """A Gluon net whose parameters come in the order of ours."""
    from unimodule_mxnet.loading import (
        mx,
    )  # MXNet 1.9.1 imports beside today's NumPy with the adapter's help only

    nn = mx.gluon.nn
    net = nn.HybridSequential()
    if kind == "MLP":
        net.add(nn.Dense(256, in_units=20), nn.Activation("relu"), nn.Dense(10, in_units=256))
        return net
    if kind == "CNN":
        net.add(nn.Conv2D(16, 3, padding=1, in_channels=3), nn.Activation("relu"), nn.MaxPool2D(2))
        net.add(nn.Conv2D(32, 3, padding=1, in_channels=16), nn.Activation("relu"), nn.MaxPool2D(2))
        net.add(nn.Flatten(), nn.Dense(10, in_units=32 * 64))
        return net

    class Layer(mx.gluon.HybridBlock):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Dense(3 * WIDTH, in_units=WIDTH, flatten=False)
            self.out = nn.Dense(WIDTH, in_units=WIDTH, flatten=False)
            self.near = nn.Dense(FAR, in_units=WIDTH, flatten=False)
            self.far = nn.Dense(WIDTH, in_units=FAR, flatten=False)
            self.norm1 = nn.LayerNorm(in_channels=WIDTH)
            self.norm2 = nn.LayerNorm(in_channels=WIDTH)

        def hybrid_forward(self, F: Any, x: Any) -> Any:
            def heads(t: Any) -> Any:  # (N, L, E) -> (N * heads, L, E / heads)
                return F.reshape(F.transpose(F.reshape(t, (0, 0, HEADS, -1)), (0, 2, 1, 3)), (-3, 0, 0))

            q, k, v = map(heads, F.split(self.qkv(x), num_outputs=3, axis=-1))
            scores = F.batch_dot(q, k, transpose_b=True) / float(np.sqrt(WIDTH // HEADS))
            mixed = F.reshape(F.batch_dot(F.softmax(scores), v), (-4, -1, HEADS, LENGTH, WIDTH // HEADS))
            mixed = F.reshape(F.transpose(mixed, (0, 2, 1, 3)), (0, 0, -3))
            x = self.norm1(x + self.out(mixed))
            return self.norm2(x + self.far(F.relu(self.near(x))))

    return Layer()


def by_hand(case: Case) -> Hand:
    from unimodule_mxnet.loading import mx

    names = list(case.weights)
    x, y = mx.nd.array(case.x), mx.nd.array(case.y)
    flags = {"static_alloc": True, "static_shape": True}

    def net() -> tuple[Any, list[Any]]:
        with mx.util.np_shape(False):  # or Gluon's convolutions take unknown sizes for 0
            new = block(case.kind)
        new.initialize()
        parameters = list(new.collect_params().values())
        for parameter, name in zip(parameters, names, strict=True):
            parameter.set_data(mx.nd.array(case.weights[name]))
        new.hybridize(**flags)
        return new, parameters

    plain, parameters = net()

    def gradient() -> Any:
        with mx.autograd.record():
            loss = plain(x).square().sum()
        loss.backward()
        return loss, {name: p.grad() for name, p in zip(names, parameters, strict=True)}

    def loop() -> Call:
        own, _ = net()
        gluon = mx.gluon.loss
        criterion = gluon.L2Loss(weight=2.0) if case.kind == "Transformer" else gluon.SoftmaxCELoss()
        criterion.hybridize(**flags)
        options = {"learning_rate": LR, "beta1": BETAS[0], "beta2": BETAS[1], "epsilon": EPS}
        trainer = mx.gluon.Trainer(own.collect_params(), "adam", options)

        def step() -> Any:
            with mx.autograd.record():
                loss = criterion(own(x), y).mean()
            loss.backward()
            trainer.step(1)
            return loss

        return step

    def wait(result: Any) -> None:
        if isinstance(result, tuple):
            for slope in result[1].values():
                slope.wait_to_read()
            result = result[0]
        result.wait_to_read()

    name = "hybridized Gluon"
    return Hand({name: lambda: plain(x)}, {name: gradient}, {name: loop()}, wait)
