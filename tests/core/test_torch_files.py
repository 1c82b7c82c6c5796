"""Loading PyTorch files: right values, nothing executed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import unimodule as um
from unimodule import nn

from .models import Affine, assert_same_state, values

torch = pytest.importorskip("torch")

ZIP, LEGACY = True, False
FORMATS = pytest.mark.parametrize("new", [ZIP, LEGACY], ids=["zip", "legacy"])


def save(obj, path, new=ZIP):
    torch.save(obj, path, _use_new_zipfile_serialization=new)
    return path


class Holder(nn.Module):
    """A net with a buffer of each entry's shape and dtype."""

    def __init__(self, state):
        super().__init__()
        for name, tensor in state.items():
            array = (
                tensor.detach().float().numpy() if tensor.dtype == torch.bfloat16 else tensor.detach().numpy()
            )
            self.register_buffer(name, nn.Buffer(np.zeros_like(array), dtype=str(tensor.dtype)))


def awkward():
    base = torch.arange(24.0).reshape(2, 3, 4)
    return OrderedDict(
        plain=torch.randn(3, 2),
        transposed=base.permute(2, 0, 1),
        window=base[1, 1:, 1:3],
        shared=base[0],
        scalar=torch.tensor(2.5),
        expanded=torch.tensor([1.0, 2.0]).expand(3, 2),
        empty=torch.zeros(0, 3),
        trained=torch.nn.Parameter(torch.randn(2)),
        stepped=torch.arange(10.0)[1::3],
        f64=torch.randn(2, dtype=torch.float64),
        f16=torch.randn(2).half(),
        bf16=torch.randn(5).bfloat16(),
        i64=torch.tensor([2**40, -1]),
        i32=torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        i16=torch.tensor([-5, 5], dtype=torch.int16),
        i8=torch.tensor([-128, 127], dtype=torch.int8),
        u8=torch.tensor([0, 255], dtype=torch.uint8),
        flag=torch.tensor([True, False, True]),
        counter=torch.tensor(7),
    )


@FORMATS
def test_every_kind_of_tensor(tmp_path, new):
    state = awkward()
    if new:
        state["u16"] = torch.tensor([0, 65535], dtype=torch.uint16)
    net = Holder(state).to("numpy")
    assert um.load(net, save(state, tmp_path / "a.pt", new)) == ([], [])
    for name, tensor in state.items():
        got = net.parameter(name).numpy()
        want = tensor.detach()
        assert got.dtype.name == str(want.dtype).removeprefix("torch."), name
        np.testing.assert_array_equal(
            got.astype("float64"),
            want.double().numpy() if want.dtype != torch.uint16 else [0, 65535],
            err_msg=name,
        )
    assert net.parameter("i64").numpy().tolist() == [2**40, -1]


@FORMATS
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_other_pickle_protocols(tmp_path, new, protocol):
    net = Affine(3, 2).to("numpy")
    state = {"weight": torch.randn(3, 2), "bias": torch.randn(2)}
    path = tmp_path / "a.pt"
    torch.save(state, path, pickle_protocol=protocol, _use_new_zipfile_serialization=new)
    if (
        not new and protocol != 2
    ):  # its magic number then looks different; PyTorch never wrote such files by itself
        with pytest.raises(um.StateDictError, match="neither a safetensors file nor a PyTorch file"):
            um.load(net, path)
        return
    um.load(net, path)
    np.testing.assert_array_equal(net.bias, state["bias"].numpy())


@FORMATS
def test_a_whole_pytorch_net(backend, tmp_path, new):
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(16, 2)
    )
    ours = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)).to(backend)
    x = torch.randn(2, 3, 4, 4)
    theirs(x)
    um.load(ours, save(theirs.state_dict(), tmp_path / "net.pth", new))
    assert_same_state(values(ours), {n: t.numpy() for n, t in theirs.state_dict().items()})
    theirs.eval(), ours.eval()
    np.testing.assert_allclose(um.to_numpy(ours(x.numpy())), theirs(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_big_endian_files(tmp_path):
    source = save({"bias": torch.tensor([1.0, 2.0]), "weight": torch.ones(3, 2)}, tmp_path / "a.pt")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "b.pt", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            elif "/data/" in name:
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            new.writestr(name, content)
    net = Affine(3, 2).to("numpy")
    um.load(net, tmp_path / "b.pt")
    np.testing.assert_array_equal(net.bias, [1, 2])
    assert net.bias.dtype == np.float32 and net.bias.dtype.isnative


# ---------------------------------------------------------------------- checkpoints
def sd():
    return {"weight": torch.ones(3, 2), "bias": torch.ones(2)}


@FORMATS
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3, "args": {"lr": 0.1, "name": "x"}},
        lambda s: {"model": s, "step": torch.tensor(5)},
        lambda s: {
            "net": s,
            "optimizer": {
                "state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.ones(2)}},
                "param_groups": [{"lr": 1}],
            },
        },
        lambda s: OrderedDict(s),
    ],
)
def test_the_one_state_dict_of_a_checkpoint(tmp_path, new, wrap):
    net = Affine(3, 2).to("numpy")
    um.load(net, save(wrap(sd()), tmp_path / "a.ckpt", new))
    np.testing.assert_array_equal(net.weight, np.ones((3, 2)))


@FORMATS
def test_one_of_several_state_dicts(tmp_path, new):
    ema = {name: t * 2 for name, t in sd().items()}
    path = save({"model": sd(), "ema": ema, "epoch": 3}, tmp_path / "a.pt", new)
    net = Affine(3, 2).to("numpy")
    before = values(net)
    with pytest.raises(
        um.StateDictError, match=r"several state_dicts; choose one with entry='model'.*'ema' \(state_dict\)"
    ):
        um.load(net, path)
    with pytest.raises(um.StateDictError, match="entry 'epoch' is no state_dict"):
        um.load(net, path, entry="epoch")
    assert_same_state(before, values(net))
    um.load(net, path, entry="ema")
    np.testing.assert_array_equal(net.bias, [2, 2])


@FORMATS
@pytest.mark.parametrize(
    ("obj", "match"),
    [
        ([1, 2], "holds a list, not a state_dict"),
        (torch.ones(2), "holds a tensor, not a state_dict"),
        ({"lr": 0.1, "layers": [3, 4]}, r"holds no state_dict but 'lr' \(float\), 'layers' \(list\)"),
        ({"weight": torch.ones(3, 2), "bias": "text"}, "bias is no tensor of numbers but str"),
        (
            {"weight": torch.ones(3, 2), "bias": torch.ones(2, dtype=torch.complex64)},
            "bias is no tensor of numbers",
        ),
        ({"weight": torch.ones(3, 2)}, "missing keys: bias"),
        ({**sd(), "more": torch.ones(1)}, "unexpected keys: more"),
        ({**sd(), "bias": torch.ones(3)}, r"bias expected shape \(2,\), got \(3,\)"),
    ],
)
def test_what_is_no_fitting_state_dict(tmp_path, new, obj, match):
    net = Affine(3, 2).to("numpy")
    before = values(net)
    with pytest.raises(um.StateDictError, match=match) as caught:
        um.load(net, save(obj, tmp_path / "a.pt", new))
    assert str(tmp_path / "a.pt") in str(caught.value)
    assert_same_state(before, values(net))


def test_tied_tensors_stored_once(tmp_path):
    net = nn.ModuleList([Affine(3, 3)] * 2).to("numpy")
    um.load(net, save({"1.weight": torch.eye(3), "0.bias": torch.ones(3)}, tmp_path / "a.pt"))
    np.testing.assert_array_equal(net[0].weight, np.eye(3))


# ---------------------------------------------------------------------- nothing is executed
class Payload:
    def __init__(self, function, *args):
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@FORMATS
@pytest.mark.parametrize("where", ["root", "value", "key"])
def test_a_payload_is_not_executed(tmp_path, new, where):
    mark = tmp_path / "executed"
    payload = Payload(os.mkdir, str(mark))
    obj = {"root": payload, "value": {**sd(), "x": payload}, "key": {**sd(), payload: 1}}[where]
    path = save(obj, tmp_path / "evil.pt", new)
    net = Affine(3, 2).to("numpy")
    before = values(net)
    with pytest.raises(um.StateDictError, match=r"asks for (posix|nt|os)\.mkdir.*nothing was executed"):
        um.load(net, path)
    assert not mark.exists()
    assert_same_state(before, values(net))
    pickle.loads(pickle.dumps(payload))  # the payload works, where it is let
    assert mark.exists()


@pytest.mark.parametrize(
    "function",
    [
        eval,
        exec,
        getattr,
        setattr,
        __import__,
        print,
        type,
        os.system,
        subprocess.Popen,
        torch.load,
        torch.Tensor,
        np.ndarray,
        OrderedDict.fromkeys,
    ],
)
def test_no_other_name_is_resolved(tmp_path, function):
    if function is OrderedDict.fromkeys:
        data = b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93."
    else:
        data = pickle.dumps(function, 4)
    with pytest.raises(um.StateDictError, match="asks for"):
        um.load(Affine(3, 2), _archive(tmp_path, data))


def _archive(tmp_path, data, **records):
    path = tmp_path / "made.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", data)
        for name, content in records.items():
            archive.writestr(f"a/data/{name.removeprefix('s')}", content)
    return path


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "code",
    [
        REBUILD
        + b"N}X\x0c\x00\x00\x00__defaults__K\x01s\x86b.",  # BUILD would set an attribute of the stand-in
        REBUILD + b"}X\x01\x00\x00\x00aK\x01sb.",
        b"ccollections\nOrderedDict\nN}X\x08\x00\x00\x00__init__K\x01s\x86b.",
        b"ctorch\nFloatStorage\n}X\x05\x00\x00\x00dtypeX\x06\x00\x00\x00objectsb.",
        b"ctorch\nFloatStorage\n)R.",  # a storage class is not to be called
        b"ctorch\nfloat32\n)R.",
        b"ctorch\nSize\nK\x05\x85R.",
        REBUILD + b")R.",
        REBUILD + b"(K\x01K\x02K\x03K\x04tR.",
        b"X\x01\x00\x00\x00xQ.",  # a persistent id that is no storage
        b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuX\x01\x00\x00\x00ntQ.",
        b"\x82\x01.",  # the extension registry
        b"Kar\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x02}",
        b"",
        b"garbage",
        b"}" * 3 + b"s.",
        b"(" * 5000,
    ],
)
def test_hand_made_pickles(tmp_path, code):
    net = Affine(3, 2).to("numpy")
    before = values(net)
    with pytest.raises(um.StateDictError):
        um.load(net, _archive(tmp_path, code if code.startswith(b"\x80") else b"\x80\x02" + code))
    assert_same_state(before, values(net))
    um.load(net, save(sd(), tmp_path / "good.pt"))  # and the next file is read as ever
    np.testing.assert_array_equal(net.bias, [1, 1])


def _with(numbers, storage=b"\0" * 8, count=2, kind="FloatStorage"):
    """A file with {"bias": a tensor of given offset, shape and strides}."""

    class Pickler(pickle._Pickler):
        dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

        def persistent_id(self, obj):
            return ("storage", Name("torch", kind), "0", "cpu", count) if obj is STORAGE else None

    class Name:
        def __init__(self, module, name):
            self.text = f"c{module}\n{name}\n".encode()

    def save_name(self, obj):
        self.write(obj.text)

    Pickler.dispatch[Name] = save_name
    STORAGE = object()
    offset, shape, strides = numbers
    out = io.BytesIO()
    pickler = Pickler(out, 2)

    class Call:
        def __reduce__(self):
            return _call, (STORAGE, offset, shape, strides, False, None)

    def _call():
        pass

    def save_function(self, obj):
        self.write(REBUILD)

    Pickler.dispatch[type(_call)] = save_function
    pickler.dump({"bias": Call(), "weight": Call()})
    return out.getvalue(), storage


@pytest.mark.parametrize(
    "numbers",
    [
        (1, (2,), (1,)),
        (0, (3,), (1,)),
        (0, (2,), (2,)),
        (0, (2, 2), (1, 1)),
        (-1, (2,), (1,)),
        (0, (-2,), (1,)),
        (0, (2,), (-1,)),
        (0, (2,), (1, 1)),
        (0, (2.0,), (1,)),
        (True, (2,), (1,)),
        (0, (10**30,), (1,)),
        (10**30, (1,), (1,)),
        (0, (2,), (2**62,)),
        (0, (1,) * 100, (1,) * 100),
        (0, ("2",), (1,)),
    ],
)
def test_tensors_outside_their_storage(tmp_path, numbers):
    data, storage = _with(numbers)
    with pytest.raises(um.StateDictError, match=r"made\.pt"):
        um.load(Affine(3, 2).to("numpy"), _archive(tmp_path, data, s0=storage))


def test_a_tensor_inside_its_storage(tmp_path):
    data, storage = _with((1, (2,), (0,)), storage=struct.pack("<2f", 5, 6))
    net = nn.Module()
    net.bias, net.weight = nn.Buffer([0.0, 0.0]), nn.Buffer([0.0, 0.0])
    um.load(net.to("numpy"), _archive(tmp_path, data, s0=storage))
    np.testing.assert_array_equal(net.bias, [6, 6])


def test_a_huge_tensor_of_one_element_is_not_spread_out(tmp_path):
    data, storage = _with((0, (10**6, 10**6), (0, 0)))
    with pytest.raises(um.StateDictError, match=r"bias expected shape \(2,\), got \(1000000, 1000000\)"):
        um.load(Affine(3, 2).to("numpy"), _archive(tmp_path, data, s0=storage))


def test_bools_are_zero_or_one(tmp_path):
    data, storage = _with((0, (2,), (1,)), storage=b"\x00\x02", kind="BoolStorage")
    net = nn.Module()
    net.bias, net.weight = nn.Buffer([True, False]), nn.Buffer([True, False])
    um.load(net.to("numpy"), _archive(tmp_path, data, s0=storage))
    assert net.bias.view("uint8").tolist() == [0, 1]


@FORMATS
def test_damage(tmp_path, new):
    good = save(sd(), tmp_path / "good.pt", new).read_bytes()
    net = Affine(3, 2).to("numpy")
    before = values(net)
    for length in {*range(17, len(good) - 1, 37), len(good) - 1}:
        path = tmp_path / "cut.pt"
        path.write_bytes(good[:length])
        with pytest.raises(um.StateDictError, match=r"cut\.pt"):
            um.load(net, path)
    assert_same_state(before, values(net))


def test_damaged_records(tmp_path):
    source = save(sd(), tmp_path / "good.pt")

    def rewrite(change, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(tmp_path / "bad.pt", "w", compression) as new:
            for name in old.namelist():
                if (content := change(name, old.read(name))) is not None:
                    new.writestr(name, content)
        return tmp_path / "bad.pt"

    cases = [
        (lambda n, c: None if n.endswith("data/0") else c, 0, "record good/data/0 is missing"),
        (lambda n, c: c[:-4] if n.endswith("data/0") else c, 0, "lies outside its storage"),
        (lambda n, c: None if n.endswith("data.pkl") else c, 0, "no single data.pkl"),
        (lambda n, c: c, zipfile.ZIP_DEFLATED, "is compressed"),
    ]
    for change, compression, match in cases:
        with pytest.raises(um.StateDictError, match=match):
            um.load(Affine(3, 2), rewrite(change, compression))
    flipped = bytearray(source.read_bytes())
    flipped[flipped.index(struct.pack("<f", 1.0) * 6)] ^= 1
    (tmp_path / "flipped.pt").write_bytes(flipped)
    with pytest.raises(um.StateDictError, match="CRC"):
        um.load(Affine(3, 2), tmp_path / "flipped.pt")


def test_no_pytorch_is_needed(tmp_path):
    path = save({**sd(), "half": torch.ones(2).bfloat16()}, tmp_path / "a.pt")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import unimodule as um, numpy as np\n"
        "class N(um.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.weight, self.bias, self.half = um.nn.Parameter(np.zeros((3, 2))), um.nn.Parameter(np.zeros(2)), um.nn.Buffer([0., 0.])\n"
        f"net = N().to('numpy'); um.load(net, {str(path)!r})\n"
        "assert net.weight.sum() == 6 and net.half.sum() == 2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
