"""Layers and functional forms take PyTorch's arguments, under its names, in its order, with its defaults."""

from __future__ import annotations

import inspect
import warnings

import pytest
import torch

from unimodule import nn


def arguments(fn):
    """(name, default) of each argument; a function stands for its name."""
    found = []
    for parameter in list(inspect.signature(fn).parameters.values()):
        if parameter.name == "self" or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = parameter.default
        found.append(
            (
                parameter.name,
                default.__name__ if callable(default) and default is not parameter.empty else default,
            )
        )
    return found


def shared(ours, theirs):
    """Names that both modules have and whose signature PyTorch declares in Python, without ``*args``."""
    for name in ours.__all__:
        other = getattr(theirs, name, None)
        if other is None or not callable(other):
            continue
        target = other.__init__ if inspect.isclass(other) else other
        try:
            parameters = inspect.signature(target).parameters.values()
        except ValueError:
            continue
        if not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
            yield name


NOT_LAYERS = {
    "Module",
    "Parameter",
    "Buffer",
    "RNNBase",
    "RNNCellBase",
    "ModuleDict",
    "ModuleList",
    "ParameterList",
}
LAYERS = sorted(set(shared(nn, torch.nn)) - NOT_LAYERS)
FUNCTIONS = sorted(set(shared(nn.functional, torch.nn.functional)))
WRITTEN_TO = "out"  # an argument that we never have: nothing is written in place


@pytest.mark.parametrize("name", LAYERS)
def test_constructor(name):
    assert arguments(getattr(nn, name).__init__) == arguments(getattr(torch.nn, name).__init__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = arguments(getattr(torch.nn.functional, name))
    assert arguments(getattr(nn.functional, name)) == [a for a in theirs if a[0] != WRITTEN_TO]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "RNN",
            "input_size hidden_size num_layers nonlinearity bias batch_first dropout bidirectional device dtype",
        ),
        ("GRU", "input_size hidden_size num_layers bias batch_first dropout bidirectional device dtype"),
        (
            "LSTM",
            "input_size hidden_size num_layers bias batch_first dropout bidirectional proj_size device dtype",
        ),
    ],
)
def test_constructor_of_recurrent_layers(name, wanted):
    """PyTorch declares them as overloads of ``*args``."""
    assert [argument for argument, _ in arguments(getattr(nn, name).__init__)] == wanted.split()
