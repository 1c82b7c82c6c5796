"""save and load: safetensors."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open

import unimodule as um
from unimodule import nn

from .models import MLP, Affine, Counting, SharedHandle, SharedModule, assert_same_state, batch, values


def build():
    return nn.Sequential(Affine(3, 2), Counting())


def contents(path):
    return safetensors.numpy.load_file(path)


def test_round_trip_between_all_backends(backend, every_backend, tmp_path):
    net = build().to(backend)
    net(batch())
    path = tmp_path / "net.safetensors"
    assert um.save(net, path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]
    for other in every_backend:
        loaded = build().to(other)
        assert um.load(loaded, path) == ([], [])
        assert loaded.backend == other
        assert_same_state(values(net), values(loaded))
    unbound = build()
    um.load(unbound, str(path))
    assert unbound.backend is None
    assert_same_state(values(net), values(unbound.to(backend)))
    lazy = nn.Sequential(Affine(None, 2), Counting())
    um.load(lazy, path)
    assert lazy[0].parameter("weight").shape == (3, 2)


def test_the_file_is_the_state_dict(backend, tmp_path):
    net = build().to(backend)
    net(batch())
    um.save(net, tmp_path / "a")
    state = contents(tmp_path / "a")
    assert sorted(state) == sorted(net.state_dict())
    for name, tensor in net.state_dict().items():
        np.testing.assert_array_equal(state[name], um.to_numpy(tensor))
    assert state["1.calls"].dtype == np.int64 and state["1.calls"] == 1
    assert state["0.weight"].dtype == np.float32
    with safe_open(tmp_path / "a", framework="numpy") as file:
        assert file.metadata() == {"format": "pt", "unimodule": um.__version__}


def test_layout_of_non_contiguous_values(tmp_path):
    net = nn.Module()
    array = np.arange(6, dtype="float32").reshape(2, 3).T
    net.w = nn.Parameter(array)
    net.empty = nn.Buffer(np.zeros((0, 3), "float32"))
    um.save(net, tmp_path / "a")
    np.testing.assert_array_equal(contents(tmp_path / "a")["w"], array)
    assert contents(tmp_path / "a")["empty"].shape == (0, 3)


def test_half_precisions(adapter, backend, tmp_path):
    for dtype in adapter.float_dtypes & {"float16", "bfloat16"}:
        net = Counting().to(backend, dtype=dtype)
        um.save(net, tmp_path / "a")
        with safe_open(tmp_path / "a", framework="numpy") as file:
            assert file.get_slice("weight").get_dtype() == {"float16": "F16", "bfloat16": "BF16"}[dtype]
        loaded = Counting().to(backend, dtype=dtype)
        loaded.parameter("weight").data = [0.0, 0.0]
        um.load(loaded, tmp_path / "a")
        assert_same_state(values(net), values(loaded))
        wide = Counting().to("numpy")
        um.load(wide, tmp_path / "a")
        assert wide.weight.dtype == np.float32
        np.testing.assert_array_equal(wide.weight, [2, 3])


def test_bfloat16_from_elsewhere(backend, tmp_path):
    safetensors.numpy.save_file({"w": np.array([1.5, -2], ml_dtypes.bfloat16)}, tmp_path / "a")
    net = nn.Module()
    net.w = nn.Parameter([0.0, 0.0])
    net.to(backend)
    um.load(net, tmp_path / "a")
    np.testing.assert_array_equal(um.to_numpy(net.w), np.array([1.5, -2], "float32"))


# ---------------------------------------------------------------------- ties
@pytest.mark.parametrize("kind", [SharedHandle, SharedModule])
def test_tied_tensors_are_stored_under_every_name_and_loaded_from_any(kind, backend, tmp_path):
    net = kind().to(backend)
    um.save(net, tmp_path / "all")
    state = contents(tmp_path / "all")
    assert {"first.weight", "second.weight"} <= set(state)
    for dropped in ("first.weight", "second.weight"):
        partly = {n: a for n, a in state.items() if n != dropped}
        safetensors.numpy.save_file(partly, tmp_path / "one")
        loaded = kind().to(backend)
        assert um.load(loaded, tmp_path / "one") == ([], [])
        assert_same_state(values(net), values(loaded))
    gone = {n: a for n, a in state.items() if not n.endswith("weight")}
    safetensors.numpy.save_file(gone, tmp_path / "none")
    with pytest.raises(um.StateDictError, match=r"missing keys: first\.weight, second\.weight"):
        um.load(kind().to(backend), tmp_path / "none")


def test_pytorch_reads_our_files_and_we_read_its(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_model

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Module(), torch.nn.Module()
            for layer in (self.first, self.second):
                layer.weight = torch.nn.Parameter(torch.randn(3, 3))
                layer.bias = torch.nn.Parameter(torch.randn(3))
            self.second.weight = self.first.weight

    ours, theirs = SharedHandle().to("torch"), Tied()
    um.save(ours, tmp_path / "ours")
    theirs.load_state_dict(load_file(tmp_path / "ours"))
    assert torch.equal(theirs.second.weight, ours.second.weight)
    other = Tied()
    save_model(other, str(tmp_path / "theirs"))  # stores a tied tensor once
    um.load(ours, tmp_path / "theirs")
    assert torch.equal(ours.second.weight, other.first.weight)


# ---------------------------------------------------------------------- writing is all or nothing
def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "net"
    um.save(Affine(3, 2).to("numpy"), path)
    before = path.read_bytes()
    with pytest.raises(um.UninitializedError):
        um.save(MLP(None), path)

    def break_off(state, filename, metadata=None):
        Path(filename).write_bytes(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.numpy, "save_file", break_off)
    with pytest.raises(OSError, match="disk full"):
        um.save(Affine(3, 2).to("numpy"), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["net"]


def test_saving_over_a_file_and_through_a_link(tmp_path):
    net = Affine(3, 2).to("numpy")
    (tmp_path / "real").mkdir()
    path, link = tmp_path / "real" / "net", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    um.save(net, link)
    assert link.is_symlink() and not path.is_symlink()
    um.load(Affine(3, 2), path)
    fresh = tmp_path / "fresh"
    um.save(net, fresh)
    assert os.stat(fresh).st_mode & 0o777 == 0o666 & ~_umask()
    fresh.chmod(0o640)
    um.save(net, fresh)
    assert os.stat(fresh).st_mode & 0o777 == 0o640


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_where_nothing_can_be_saved(tmp_path):
    net = Affine(3, 2).to("numpy")
    with pytest.raises(um.StateDictError, match="is a directory"):
        um.save(net, tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no directory .*missing"):
        um.save(net, tmp_path / "missing" / "net")
    for function in (um.save, um.load):
        with pytest.raises(um.ArgumentError, match="expected a Module, got dict"):
            function(net.state_dict(), tmp_path / "a")


# ---------------------------------------------------------------------- what cannot be loaded
def _file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


def _good(tmp_path):
    um.save(build().to("numpy"), tmp_path / "good")
    return (tmp_path / "good").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda good: b"", "it is empty"),
        (lambda good: good[:6], "neither a safetensors file nor a PyTorch file"),
        (lambda good: good[:40], "damaged or cut short"),
        (lambda good: good[:-1], "damaged or cut short"),
        (lambda good: good + b"more", "damaged or cut short"),
        (lambda good: b"\xff" * 8 + good[8:], "damaged or cut short"),
        (
            lambda good: good[:8] + good[8:].replace(b'"F32"', b'"X32"'),
            "damaged or cut short, or has an unknown dtype",
        ),
        (lambda good: b"hello, this is text", "neither a safetensors file nor a PyTorch file"),
        (lambda good: b"PK\x03\x04" + good, "damaged or cut short"),
        (lambda good: b"\x89HDF\r\n\x1a\n" + good, "neither a safetensors file nor a PyTorch file"),
    ],
)
def test_a_broken_file_names_itself_and_changes_nothing(backend, tmp_path, spoil, match):
    path = _file(tmp_path, "broken.safetensors", spoil(_good(tmp_path)))
    net = build().to(backend)
    before = values(net)
    with pytest.raises(um.StateDictError, match=match) as caught:
        um.load(net, path)
    assert str(path) in str(caught.value) and "The net is as it was" in str(caught.value)
    assert_same_state(before, values(net))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("0.bias"), r"missing keys: 0\.bias"),
        (lambda s: s.update(extra=np.ones(1)), "unexpected keys: extra"),
        (lambda s: s.update({"0.bias": np.ones(3)}), r"0\.bias expected shape \(2,\), got \(3,\)"),
        (lambda s: s.update({"1.calls": np.ones(())}), r"1\.calls expected dtype int64, got float64"),
    ],
)
def test_a_file_that_does_not_fit_names_itself_and_the_keys(backend, tmp_path, change, match):
    state = values(build().to("numpy"))
    change(state)
    path = tmp_path / "other"
    safetensors.numpy.save_file(state, path)
    net = build().to(backend)
    before = values(net)
    with pytest.raises(ValueError, match=match) as caught:
        um.load(net, path)
    assert isinstance(caught.value, um.StateDictError) and str(path) in str(caught.value)
    assert_same_state(before, values(net))


def test_not_strict(tmp_path):
    safetensors.numpy.save_file({"bias": np.ones(2), "extra": np.ones(1)}, tmp_path / "a")
    net = Affine(3, 2).to("numpy")
    assert um.load(net, tmp_path / "a", strict=False) == (["weight"], ["extra"])
    np.testing.assert_array_equal(net.bias, [1, 1])


def test_paths_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing"):
        um.load(MLP(), tmp_path / "nothing")
    with pytest.raises(um.StateDictError, match="is a directory"):
        um.load(MLP(), tmp_path)
    with pytest.raises(um.StateDictError, match="has no entries"):
        um.save(MLP().initialize(seed=0), tmp_path / "a")
        um.load(MLP(), tmp_path / "a", entry="model")


def test_saving_imports_no_framework(tmp_path):
    code = (
        "import sys, numpy as np, unimodule as um\n"
        "net = um.nn.Linear(3, 2).to('numpy', dtype='bfloat16')\n"
        f"um.save(net, {str(tmp_path / 'a')!r}); um.load(net, {str(tmp_path / 'a')!r})\n"
        "assert not {'torch', 'tensorflow', 'jax', 'mxnet'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
