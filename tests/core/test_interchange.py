"""A model of the real torch.nn and ours exchange their states, both ways, through memory and files, on every backend."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops

torch = pytest.importorskip("torch", reason="the other side of the exchange is the real torch.nn")

RNG = np.random.default_rng(5)
IMAGES = RNG.normal(size=(2, 3, 8, 8)).astype("float32")
IDS = RNG.integers(0, 11, size=(2, 6))


class Ours(nn.Module):
    """Every layer whose state has a layout of its own, in one model."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0))
        self.norm = nn.BatchNorm2d(4)
        self.dense = nn.Linear(4, 8)
        self.embedding = nn.Embedding(11, 8, padding_idx=0)
        self.lstm = nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, images, ids):
        features = self.dense(ops.mean(ops.relu(self.norm(self.conv(images))), axis=(2, 3)))
        tokens, _ = self.lstm(self.embedding(ids))
        tokens, _ = self.attention(tokens, tokens, tokens)
        return self.encoder(tokens + ops.expand_dims(features, axis=1))


class Theirs(torch.nn.Module):
    """The same, of torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 0))
        self.norm = torch.nn.BatchNorm2d(4)
        self.dense = torch.nn.Linear(4, 8)
        self.embedding = torch.nn.Embedding(11, 8, padding_idx=0)
        self.lstm = torch.nn.LSTM(8, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.encoder = torch.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, images, ids):
        features = self.dense(torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)))
        tokens, _ = self.lstm(self.embedding(ids))
        tokens, _ = self.attention(tokens, tokens, tokens)
        return self.encoder(tokens + features[:, None])


def theirs_after_use() -> Theirs:
    """Their model in evaluation mode, with running statistics that have seen data."""
    torch.manual_seed(0)
    net = Theirs()
    with torch.no_grad():
        net(torch.tensor(IMAGES), torch.tensor(IDS))
    return net.eval()


def expected_of(net: Theirs) -> np.ndarray:
    # In float64: what torch's float32 rounds away is not asked of the others.
    with torch.no_grad():
        return net.double()(torch.tensor(IMAGES).double(), torch.tensor(IDS)).numpy()


def assert_same_output(net: nn.Module, expected: np.ndarray) -> None:
    got = um.to_numpy(net.eval()(IMAGES, IDS))
    np.testing.assert_allclose(got, expected, rtol=0, atol=3e-6 * np.abs(expected).max())


def test_keys_shapes_and_dtypes_are_pytorchs():
    ours, theirs = Ours().to("numpy").state_dict(), Theirs().state_dict()
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        assert um.to_numpy(ours[name]).shape == tuple(value.shape), name
        assert str(um.to_numpy(ours[name]).dtype) == str(value.dtype).removeprefix("torch."), name


def test_their_state_dict_loads(backend):
    theirs = theirs_after_use()
    net = Ours().to(backend)
    result = net.load_state_dict(theirs.state_dict(), strict=True)
    assert result == ([], [])
    assert_same_output(net, expected_of(theirs))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_their_file_loads(backend, tmp_path, suffix):
    theirs = theirs_after_use()
    path = tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(theirs.state_dict(), path)
    else:
        from safetensors.torch import save_file

        save_file(theirs.state_dict(), path)
    net = Ours().to(backend)
    um.load(net, path)
    assert_same_output(net, expected_of(theirs))


def test_our_file_loads_into_theirs(backend, tmp_path):
    from safetensors.torch import load_file

    net = Ours().initialize(seed=1).to(backend)
    net(IMAGES, IDS)  # running statistics that have seen data
    path = tmp_path / "net.safetensors"
    um.save(net, path)
    theirs = Theirs()
    theirs.load_state_dict(load_file(path), strict=True)
    assert_same_output(net, expected_of(theirs.eval()))


def test_our_state_dict_loads_into_theirs(backend):
    net = Ours().initialize(seed=2).to(backend)
    theirs = Theirs()
    state = {name: torch.tensor(um.to_numpy(value)) for name, value in net.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    assert_same_output(net, expected_of(theirs.eval()))
