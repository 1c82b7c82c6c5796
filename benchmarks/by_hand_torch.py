"""PyTorch by hand: ``torch.compile`` of modules, and of functions of parameters; loops around ``torch.optim``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cases import BETAS, EPS, FAR, HEADS, LR, WIDTH, Call, Case, Hand

OPTIONS: dict[str, Any] = {"fullgraph": True, "dynamic": False}


def module(kind: str) -> Any:
    from torch import nn

    if kind == "MLP":
        return nn.Sequential(nn.Linear(20, 256), nn.ReLU(), nn.Linear(256, 10))
    if kind == "CNN":
        blocks = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        blocks += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(32 * 64, 10))
    return nn.TransformerEncoderLayer(WIDTH, HEADS, FAR, dropout=0.0, batch_first=True)


def function(kind: str) -> Callable[[dict[str, Any], Any], Any]:
    import torch.nn.functional as F

    def mlp(p: dict[str, Any], x: Any) -> Any:
        return F.linear(F.relu(F.linear(x, p["0.weight"], p["0.bias"])), p["2.weight"], p["2.bias"])

    def cnn(p: dict[str, Any], x: Any) -> Any:
        for i in ("0", "3"):
            x = F.max_pool2d(F.relu(F.conv2d(x, p[f"{i}.weight"], p[f"{i}.bias"], padding=1)), 2)
        return F.linear(x.flatten(1), p["7.weight"], p["7.bias"])

    def transformer(p: dict[str, Any], x: Any) -> Any:
        n, length, width = x.shape
        qkv = F.linear(x, p["self_attn.in_proj_weight"], p["self_attn.in_proj_bias"])
        q, k, v = (t.view(n, length, HEADS, -1).transpose(1, 2) for t in qkv.chunk(3, -1))
        heads = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, length, width)
        x = x + F.linear(heads, p["self_attn.out_proj.weight"], p["self_attn.out_proj.bias"])
        x = F.layer_norm(x, (width,), p["norm1.weight"], p["norm1.bias"])
        far = F.relu(F.linear(x, p["linear1.weight"], p["linear1.bias"]))
        far = F.linear(far, p["linear2.weight"], p["linear2.bias"])
        return F.layer_norm(x + far, (width,), p["norm2.weight"], p["norm2.bias"])

    return {"MLP": mlp, "CNN": cnn, "Transformer": transformer}[kind]


def by_hand(case: Case) -> Hand:
    import torch
    from torch import nn

    x, y = torch.tensor(case.x), torch.tensor(case.y)
    p = {name: torch.tensor(value) for name, value in case.weights.items()}
    apply = function(case.kind)

    def net() -> Any:
        new = module(case.kind)
        new.load_state_dict(p)
        return new

    compiled_net, compiled = torch.compile(net(), **OPTIONS), torch.compile(apply, **OPTIONS)
    slopes = torch.func.grad_and_value(lambda p, x: apply(p, x).square().sum())
    gradient = torch.compile(lambda p, x: slopes(p, x)[::-1], **OPTIONS)

    criterion = nn.MSELoss() if case.kind == "Transformer" else nn.CrossEntropyLoss()

    def loop(forward: Callable[[Any], Callable[..., Any]]) -> Call:
        own = net()
        optimizer = torch.optim.Adam(own.parameters(), lr=LR, betas=BETAS, eps=EPS, foreach=True)
        loss_of = forward(lambda a, b: criterion(own(a), b))

        def step() -> Any:
            with torch.enable_grad():
                optimizer.zero_grad()
                loss = loss_of(x, y)
                loss.backward()
                optimizer.step()
            return loss.detach()

        return step

    return Hand(
        {"torch.compile(net)": lambda: compiled_net(x), "torch.compile(function)": lambda: compiled(p, x)},
        {"torch.compile(function)": lambda: gradient(p, x)},
        {"torch.compile": loop(torch.compile), "eager": loop(lambda fn: fn)},
    )
