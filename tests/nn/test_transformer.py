"""Transformer layers and stacks against torch.nn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.parity import assert_same_as_torch

import unimodule as um
from unimodule import nn, ops
from unimodule.errors import ArgumentError, ShapeError

RNG = np.random.default_rng(0)
WIDTH, HEADS, INNER = 6, 2, 10
SOURCE, MEMORY = RNG.normal(size=(4, 3, WIDTH)), RNG.normal(size=(5, 3, WIDTH))
CAUSAL = np.triu(np.ones((4, 4), bool), 1)
PADDED = np.asarray([[False] * 4, [False, False, False, True], [False, False, True, True]])

OPTIONS = [
    {},
    {"norm_first": True, "activation": "gelu"},
    {"bias": False, "layer_norm_eps": 1e-3},
]
MASKS = [
    {},
    {"src_mask": CAUSAL},
    {"src_mask": CAUSAL, "is_causal": True},
    {"src_mask": CAUSAL, "src_key_padding_mask": PADDED},
    {"src_mask": RNG.normal(size=(4, 4))},
]


def layer(module, kind, **options):
    return getattr(module, f"Transformer{kind}Layer")(WIDTH, HEADS, INNER, 0.0, **options)


def check(backend, make, *inputs, modes=(True,), **call):
    # In evaluation torch.nn takes a fast path only where no gradient is wanted; the helper's first step is such a one.
    assert_same_as_torch(backend, make(nn), make(torch.nn), *inputs, modes=modes, same_repr=False, **call)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_encoder_layer(backend, options):
    check(backend, lambda m: layer(m, "Encoder", **options), SOURCE, modes=(True, False))


@pytest.mark.parametrize("masks", MASKS, ids=lambda m: "-".join(m) or "none")
def test_encoder_layer_with_masks(backend, masks):
    check(backend, lambda m: layer(m, "Encoder"), SOURCE, **masks)


def test_encoder_layer_batch_first_and_unbatched(backend):
    check(backend, lambda m: layer(m, "Encoder", batch_first=True), SOURCE)
    check(backend, lambda m: layer(m, "Encoder"), SOURCE[:, 0])


def test_encoder_layer_with_a_function(backend):
    check(backend, lambda m: layer(m, "Encoder", activation=m.functional.silu), SOURCE)


def test_encoder_layer_with_a_module(backend):
    check(backend, lambda m: layer(m, "Encoder", activation=m.PReLU()), SOURCE)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_decoder_layer(backend, options):
    padded = np.pad(PADDED, ((0, 0), (0, 1)), constant_values=True)
    check(backend, lambda m: layer(m, "Decoder", **options), SOURCE, MEMORY)
    check(
        backend,
        lambda m: layer(m, "Decoder", **options),
        SOURCE,
        MEMORY,
        tgt_mask=CAUSAL,
        memory_key_padding_mask=padded,
        tgt_is_causal=True,
    )


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")
def test_encoder(backend):
    def make(module):
        return module.TransformerEncoder(layer(module, "Encoder"), 2, norm=module.LayerNorm(WIDTH))

    check(backend, make, SOURCE)
    check(backend, make, SOURCE, mask=CAUSAL, src_key_padding_mask=PADDED)
    check(backend, make, SOURCE, mask=CAUSAL, is_causal=True)


def test_decoder(backend):
    check(
        backend,
        lambda m: m.TransformerDecoder(layer(m, "Decoder"), 2, norm=m.LayerNorm(WIDTH)),
        SOURCE,
        MEMORY,
        tgt_mask=CAUSAL,
    )


def test_layers_of_a_stack_are_independent():
    net = nn.TransformerEncoder(layer(nn, "Encoder"), 2).initialize(seed=0)
    first, second = (block.linear1.parameter("weight").numpy() for block in net.layers)
    assert not np.array_equal(first, second)
    assert len(list(net.parameters())) == 2 * len(list(layer(nn, "Encoder").parameters()))


def test_dropout(backend):
    um.seed(0)
    net = nn.TransformerEncoderLayer(WIDTH, HEADS, INNER, dropout=0.5).to(backend)
    x = SOURCE.astype("float32")
    assert not np.array_equal(um.to_numpy(net(x)), um.to_numpy(net(x)))
    net.eval()
    np.testing.assert_array_equal(um.to_numpy(net(x)), um.to_numpy(net(x)))


def test_wrong_calls(backend):
    with pytest.raises(ArgumentError, match="TransformerEncoderLayer expected activation 'relu', 'gelu'"):
        layer(nn, "Encoder", activation="tanh")
    net = nn.TransformerEncoder(layer(nn, "Encoder"), 1).to(backend)
    with pytest.raises(ShapeError, match=r"TransformerEncoder\.layers\.0\.self_attn \(MultiheadAttention\)"):
        net(ops.asarray(np.zeros((4, 3, 5), "float32"), backend=backend))
