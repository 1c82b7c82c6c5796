"""Recurrent layers, attention and transformers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..specs import Array, Fn, In, Node
from .arrays import Shape
from .drawing import Drawer, link, subject

STEPS = ("normal", "ties", "saturated", "small")


def sequence(shape: Shape) -> bool:
    """(length, batch, features) or the like, not too large."""
    return len(shape) == 3 and 0 not in shape and math.prod(shape) <= 200


def some_sequence(d: Drawer) -> Shape:
    """Length, batch, features."""
    return d.integer(1, 4), d.integer(1, 3), d.integer(1, 4)


# ---------------------------------------------------------------------- recurrent layers
def _recurrent_arguments(d: Drawer, kind: str, hidden: int) -> dict[str, Any]:
    kwargs = d.options(num_layers=(2,), bias=(False,), batch_first=(True,), bidirectional=(True,))
    if kind == "RNN":
        kwargs.update(d.options(nonlinearity=("relu",)))
    if kind == "LSTM" and hidden > 1 and d.seldom(3):
        kwargs["proj_size"] = d.integer(1, hidden - 1)
    if kwargs.get("num_layers", 1) > 1 and d.seldom():
        kwargs["dropout"] = 0.5 if not d.training else 1.0
    return kwargs


def _recurrent(kind: str) -> None:
    def layer(d: Drawer, features: int) -> Node:
        hidden = d.integer(1, 4)
        return Node(f"nn.{kind}", (features, hidden), _recurrent_arguments(d, kind, hidden))

    def node(d: Drawer, shape: Shape) -> Node:
        """Its outputs, without the last states, for trees."""
        return Node("block.Pick", (0,), {}, (layer(d, shape[-1]),))

    def alone(d: Drawer) -> Node:
        length, batch, features = some_sequence(d)
        made = layer(d, features)
        kwargs = made.kwargs
        unbatched = d.seldom()
        lead = (length,) if unbatched else (batch, length) if kwargs.get("batch_first") else (length, batch)
        x = d.tensor((*lead, features), *STEPS)
        if d.flag():
            return made
        rows = kwargs.get("num_layers", 1) * (2 if kwargs.get("bidirectional") else 1)
        middle = () if unbatched else (batch,)
        hidden, state = made.args[1], kwargs.get("proj_size", made.args[1])
        h = d.tensor((rows, *middle, state), "unit", "zeros")
        hx: Any = (h, d.tensor((rows, *middle, hidden), "normal")) if kind == "LSTM" else h
        return Node("block.Apply", (x, hx), {}, (made,))

    link(f"nn.{kind}", node, sequence, some_sequence, STEPS, alone=alone)


for _kind in ("RNN", "GRU", "LSTM"):
    _recurrent(_kind)


def _cell(kind: str) -> None:
    @subject(f"nn.{kind}Cell", modes=False)
    def alone(d: Drawer) -> Node:
        features, hidden = d.integer(1, 4), d.integer(1, 4)
        lead = () if d.seldom() else (d.integer(1, 3),)
        kwargs = d.options(bias=(False,), **({"nonlinearity": ("relu",)} if kind == "RNN" else {}))
        made = Node(f"nn.{kind}Cell", (features, hidden), kwargs)
        x = d.tensor((*lead, features), *STEPS)
        if d.flag():
            return made
        h = d.tensor((*lead, hidden), "unit", "zeros")
        hx: Any = (h, d.tensor((*lead, hidden), "normal")) if kind == "LSTM" else h
        return Node("block.Apply", (x, hx), {}, (made,))


for _kind in ("RNN", "GRU", "LSTM"):
    _cell(_kind)


# ---------------------------------------------------------------------- the same as ops
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def _weights(d: Drawer, rows: int, features: int, state: int, bias: bool = True) -> tuple[Any, ...]:
    sizes = [(rows, features), (rows, state), *([(rows,), (rows,)] if bias else [])]
    found: tuple[Any, ...] = tuple(d.tensor(size, "unit") for size in sizes)
    return found if bias else (*found, None, None)


def _ops_cell(kind: str) -> None:
    @subject(f"ops.{kind}_cell")
    def cell(d: Drawer) -> Node:
        batch, features, hidden = d.integer(1, 3), d.integer(1, 4), d.integer(1, 3)
        tensors = [d.tensor((batch, features), *STEPS), d.tensor((batch, hidden), "unit")]
        if kind == "lstm":
            tensors.append(d.tensor((batch, hidden), "normal"))
        weights = _weights(d, GATES[kind] * hidden, features, hidden, d.flag())
        options = d.options(nonlinearity=("relu",)) if kind == "rnn" else {}
        return Node(f"ops.{kind}_cell", (*tensors, *weights), options)

    @subject(f"ops.{kind}_layer")
    def layer(d: Drawer) -> Node:
        (length, batch, features), hidden = some_sequence(d), d.integer(1, 3)
        projected = d.integer(1, hidden - 1) if kind == "lstm" and hidden > 1 and d.seldom() else 0
        state = projected or hidden
        tensors = [d.tensor((length, batch, features), *STEPS), d.tensor((batch, state), "unit")]
        if kind == "lstm":
            tensors.append(d.tensor((batch, hidden), "normal"))
        weights = _weights(d, GATES[kind] * hidden, features, state, d.flag())
        kwargs = d.options(reverse=(True,), **({"nonlinearity": ("relu",)} if kind == "rnn" else {}))
        if projected:
            kwargs["w_hr"] = d.tensor((projected, hidden), "unit")
        return Node(f"ops.{kind}_layer", (*tensors, *weights), kwargs)

    @subject(f"ops.{kind}")
    def stack(d: Drawer) -> Node:
        (length, batch, features), hidden = some_sequence(d), d.integer(1, 3)
        layers, ways = d.integer(1, 2), 2 if d.flag() else 1
        bias = d.flag()
        rows = layers * ways
        tensors = [d.tensor((length, batch, features), *STEPS), d.tensor((rows, batch, hidden), "unit")]
        if kind == "lstm":
            tensors.append(d.tensor((rows, batch, hidden), "normal"))
        widths = [features if i < ways else hidden * ways for i in range(rows)]
        weights = tuple(_weights(d, GATES[kind] * hidden, width, hidden, bias) for width in widths)
        kwargs = {"num_layers": layers, "bidirectional": ways == 2}
        kwargs.update(d.options(nonlinearity=("relu",)) if kind == "rnn" else {})
        return Node(f"ops.{kind}", (*tensors, weights), kwargs)


for _kind in GATES:
    _ops_cell(_kind)


# ---------------------------------------------------------------------- attention
def heads(d: Drawer, features: int) -> int:
    """A number of heads that divides the features."""
    return d.choice(*(k for k in range(1, features + 1) if features % k == 0))


def _mask(d: Drawer, shape: Shape, causal: bool = False) -> Any:
    """One that hides keys, but never the first: bool, or added to the scores; None as well."""
    kind = d.integer(0, 3 if causal else 2)
    if kind == 0:
        return None
    if kind == 3:
        rows, columns = shape[-2:]
        flat = tuple(j > i for i in range(rows) for j in range(columns)) * math.prod(shape[:-2])
        return Array(shape, "bool", values=flat)
    return d.recipe(shape, "hidden", dtype="bool") if kind == 1 else d.recipe(shape, "mask", "normal")


def _attention_options(d: Drawer) -> dict[str, Any]:
    kwargs = d.options(bias=(False,), add_bias_kv=(True,), add_zero_attn=(True,), batch_first=(True,))
    if d.seldom(6) and not d.training:
        kwargs["dropout"] = 0.3
    return kwargs


@subject("nn.MultiheadAttention")
def _attention(d: Drawer) -> Node:
    size = d.choice(4, 1, 2, 6)
    number, kwargs = heads(d, size), _attention_options(d)
    length, keys, batch = d.integer(1, 4), d.integer(1, 4), d.integer(1, 3)
    unbatched, alike = d.seldom(), d.flag()
    if alike:
        keys = length
    elif d.flag():
        kwargs.update(kdim=d.integer(1, 4), vdim=d.integer(1, 4))
    layer = Node("nn.MultiheadAttention", (size, number), kwargs)

    def placed(steps: int, features: int) -> In:
        lead = (steps,) if unbatched else (batch, steps) if kwargs.get("batch_first") else (steps, batch)
        return d.tensor((*lead, features), "normal", "ties", "large")

    query = placed(length, size)
    key = query if alike else placed(keys, kwargs.get("kdim", size))
    value = query if alike else placed(keys, kwargs.get("vdim", size))
    call = d.options(need_weights=(False,), average_attn_weights=(False,))
    count = 1 if unbatched else batch
    shape = (length, keys) if d.flag() else (count * number, length, keys)
    masks = {
        "attn_mask": _mask(d, shape, causal=True),
        "key_padding_mask": _mask(d, (keys,) if unbatched else (batch, keys)),
    }
    call.update({name: mask for name, mask in masks.items() if mask is not None})
    return Node("block.Apply", (query, key, value), call, (layer,))


def self_attention(d: Drawer, shape: Shape) -> Node:
    """Attention of a sequence to itself, for trees."""
    layer = Node("nn.MultiheadAttention", (shape[-1], heads(d, shape[-1])), {"batch_first": d.flag()})
    call = Node("block.Apply", (In(0), In(0), In(0)), {"need_weights": d.flag()}, (layer,))
    return Node("block.Pick", (0,), {}, (call,))


def _dot_product(name: str) -> None:
    @subject(name)
    def attention(d: Drawer) -> Node:
        lead, length, keys, size = d.shape(0, 2, side=3), d.integer(1, 4), d.integer(1, 4), d.integer(1, 4)
        if d.flag():  # which a causal mask must be aligned to
            keys = length + d.integer(1, 2)
        grouped = len(lead) >= 1 and d.seldom(5)
        less = (
            (*lead[:-1], d.choice(*(k for k in range(1, lead[-1] + 1) if lead[-1] % k == 0)))
            if grouped
            else lead
        )
        q = d.tensor((*lead, length, size), "normal", "saturated", "ties")
        k, v = d.tensor((*less, keys, size), "normal"), d.tensor((*less, keys, d.integer(1, 3)), "normal")
        kwargs = d.options(scale=(0.3, 2.0))
        if grouped:
            kwargs["enable_gqa"] = True
        kind = d.integer(0, 4)
        if kind in (1, 4):
            kwargs["is_causal"] = True
        elif kind == 2:
            kwargs["attn_mask"] = d.recipe((length, keys), "seen", dtype="bool")
        elif kind == 3:
            kwargs["attn_mask"] = d.recipe((*lead, length, keys), "mask", "normal")
        return Node(name, (q, k, v), kwargs)


_dot_product("F.scaled_dot_product_attention")
_dot_product("ops.scaled_dot_product_attention")


# ---------------------------------------------------------------------- transformers
def _transformer_options(d: Drawer) -> dict[str, Any]:
    kwargs = d.options(
        activation=("gelu", Fn("ops.tanh")),
        batch_first=(True,),
        norm_first=(True,),
        bias=(False,),
        layer_norm_eps=(1e-3,),
    )
    return {"dim_feedforward": d.integer(1, 4), "dropout": 0.0 if d.training else 0.1, **kwargs}


def encoder_layer(d: Drawer, shape: Shape) -> Node:
    """An encoder layer, for sequences of its features."""
    size = shape[-1]
    return Node("nn.TransformerEncoderLayer", (size, heads(d, size)), _transformer_options(d))


def _placed(d: Drawer, layer: Node, steps: int, batch: int) -> In:
    lead = (batch, steps) if layer.kwargs.get("batch_first") else (steps, batch)
    return d.tensor((*lead, layer.args[0]), "normal", "ties")


def _encoder(name: str, wrap: Callable[[Drawer, Node], Node], mask: str) -> None:
    @subject(name)
    def alone(d: Drawer) -> Node:
        layer = encoder_layer(d, (d.choice(2, 4, 3),))
        steps, batch = d.integer(1, 4), d.integer(1, 3)
        x = _placed(d, layer, steps, batch)
        masks = {
            mask: _mask(d, (steps, steps), causal=True),
            "src_key_padding_mask": _mask(d, (batch, steps)),
        }
        return Node(
            "block.Apply",
            (x,),
            {key: value for key, value in masks.items() if value is not None},
            (wrap(d, layer),),
        )


def _stack(name: str) -> Callable[[Drawer, Node], Node]:
    def wrap(d: Drawer, layer: Node) -> Node:
        kwargs = {"norm": Node("nn.LayerNorm", (layer.args[0],))} if d.flag() else {}
        return Node(name, (d.integer(1, 2),), kwargs, (layer,))

    return wrap


def _as_it_is(d: Drawer, layer: Node) -> Node:
    return layer


def _decoder(name: str, wrap: Callable[[Drawer, Node], Node]) -> None:
    @subject(name)
    def alone(d: Drawer) -> Node:
        size = d.choice(2, 4, 3)
        layer = Node("nn.TransformerDecoderLayer", (size, heads(d, size)), _transformer_options(d))
        steps, keys, batch = d.integer(1, 4), d.integer(1, 4), d.integer(1, 3)
        target, memory = _placed(d, layer, steps, batch), _placed(d, layer, keys, batch)
        masks = {
            "tgt_mask": _mask(d, (steps, steps), causal=True),
            "memory_mask": _mask(d, (steps, keys)),
            "tgt_key_padding_mask": _mask(d, (batch, steps)),
            "memory_key_padding_mask": _mask(d, (batch, keys)),
        }
        given = {key: value for key, value in masks.items() if value is not None}
        return Node("block.Apply", (target, memory), given, (wrap(d, layer),))


_encoder("nn.TransformerEncoderLayer", _as_it_is, "src_mask")
_encoder("nn.TransformerEncoder", _stack("nn.TransformerEncoder"), "mask")
_decoder("nn.TransformerDecoderLayer", _as_it_is)
_decoder("nn.TransformerDecoder", _stack("nn.TransformerDecoder"))
