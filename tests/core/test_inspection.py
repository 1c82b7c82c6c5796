"""summary and record_calls."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import unimodule as um
from unimodule import _random, nn, ops
from unimodule.inspection import record_calls

from .models import MLP, Affine, Counting, SharedHandle, SharedModule, assert_same_state, batch, values


def rows(summary):
    return {row.path: row for row in summary.rows}


# ---------------------------------------------------------------------- summary
def test_counts_and_shapes(backend):
    net = nn.Sequential(Affine(2, 3), ops.relu, nn.Sequential(Affine(3, 2), Counting())).to(backend)
    s = um.summary(net, batch(5, 2))
    assert (s.name, s.backend) == ("Sequential", backend)
    assert [(r.path, r.kind, r.outputs) for r in s.rows] == [
        ("", "Sequential", ([5, 2],)),
        ("0", "Affine", ([5, 3],)),
        ("1", "Function", ([5, 3],)),
        ("2", "Sequential", ([5, 2],)),
        ("2.0", "Affine", ([5, 2],)),
        ("2.1", "Counting", ([5, 2],)),
    ]
    assert [(r.parameters, r.trainable, r.other, r.bytes) for r in s.rows] == [
        (0, 0, 0, 0),
        (9, 9, 0, 36),
        (0, 0, 0, 0),
        (0, 0, 0, 0),
        (8, 8, 0, 32),
        (4, 2, 5, 16 + 8 + 8 + 8),
    ]
    assert (s.parameters, s.trainable, s.other, s.bytes, s.lazy) == (21, 19, 5, 108, [])


@pytest.mark.parametrize("build", [SharedHandle, SharedModule])
def test_tied_parameters_count_once(backend, build):
    net = build().to(backend)
    s = um.summary(net)
    assert s.parameters == sum(int(np.prod(p.shape)) for p in net.parameters())
    if build is SharedHandle:
        assert (rows(s)["second"].parameters, rows(s)["second"].tied) == (3, 9)
        assert "3 (+9 tied)" in str(s)


def test_without_inputs():
    s = um.summary(MLP())
    assert s.backend is None and s.parameters == 26
    assert all(r.outputs == () for r in s.rows)
    assert "Output" not in str(s)
    lazy = um.summary(MLP(None))
    assert lazy.lazy == ["hidden.weight", "out.weight"] and lazy.parameters == 6
    assert "Not counted, of unknown shape: hidden.weight, out.weight" in str(lazy)


def test_nothing_about_the_net_changes(backend):
    net = nn.Sequential(Counting(), nn.Dropout(0.5)).to(backend).train()
    net[0](batch(2, 2))
    before, objects, attributes = values(net), dict(net[0].__dict__), set(net[0].__dict__)
    x = ops.asarray(np.ones((2, 2), "float32"), backend=backend)
    um.seed(3)
    drawn = um.to_numpy(net[1](x))
    um.seed(3)
    um.summary(net, x)
    np.testing.assert_array_equal(um.to_numpy(net[1](x)), drawn)  # no random number was used
    assert_same_state(before, values(net))
    assert set(net[0].__dict__) == attributes
    assert all(net[0].__dict__[k] is v for k, v in objects.items())
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("inputs", [None, 3])
def test_an_unbound_net_stays_unbound_and_is_drawn_as_ever(backend, inputs):
    um.seed(4)
    want = values(MLP().to("numpy"))
    um.seed(4)
    net = MLP(inputs)
    with um.use_backend(backend):
        s = um.summary(net, batch())
    assert net.backend is None and s.parameters == 26 and s.lazy == []
    assert not any(p.has_value for p in net.parameters())
    assert net.hidden.parameter("weight").shape == (inputs, 4)
    net.to("numpy")
    net(batch())
    assert_same_state(want, values(net))
    assert _random._streams == 1


def test_a_lazy_net_that_is_bound_stays_lazy(backend):
    net = MLP(None).to(backend)
    assert um.summary(net, batch()).parameters == 26
    assert not net.hidden.parameter("weight").has_value
    assert um.to_numpy(net(batch(2, 5))).shape == (2, 2)


def test_outputs_of_every_structure(backend):
    class Many(nn.Module):
        def forward(self, x):
            return {"a": x, "b": [x[0], (x, None)]}, 3

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Function(lambda x: x[:, 1:])

        def forward(self, x):
            return self.layer(self.layer(x))

    (row,) = um.summary(Many().to(backend), batch()).rows
    assert row.outputs == (({"a": [2, 3], "b": ([3], ([2, 3], "NoneType"))}, "int"),)
    s = um.summary(Twice().to(backend), batch())
    assert rows(s)["layer"].outputs == ([2, 2], [2, 1])
    assert "(2, 2); (2, 1) x2" in str(s)


def test_it_runs_in_evaluation_mode(backend):
    class Mode(nn.Module):
        def forward(self, x):
            return x if self.training else ops.sum(x)

    net = Mode().to(backend)
    assert um.summary(net, batch()).rows[0].outputs == ([],)
    assert net.training


def test_text_and_json(backend):
    s = um.summary(MLP().to(backend), batch())
    text = str(s)
    assert text == repr(s) and "\x1b" not in text
    for part in (
        "hidden",
        "Affine",
        "(2, 4)",
        "Parameters: 26 (26 trainable, 0 frozen)",
        "Size: 104 bytes",
        backend,
    ):
        assert part in text
    assert len({len(line) for line in text.splitlines() if line.startswith(("┃", "│"))}) == 1
    data = json.loads(json.dumps(s.to_dict()))
    assert data["total"] == {"parameters": 26, "trainable": 26, "other": 0, "bytes": 104, "lazy": []}
    assert data["modules"][1]["path"] == "hidden" and data["modules"][1]["outputs"] == [[2, 4]]


def test_in_colour_where_rich_prints_it():
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, force_terminal=True, width=100).print(um.summary(MLP()))
    assert "\x1b" in out.getvalue() and "hidden" in out.getvalue()


def test_names_that_look_like_markup():
    net = nn.ModuleDict({"[red]": Affine(1, 1)})
    assert "[red]" in str(um.summary(net))


@pytest.mark.parametrize("shape", [(2, 3), [2, 3]])
def test_a_shape_is_no_input(shape):
    with pytest.raises(um.ArgumentError, match=r"numpy\.zeros\(\(2, 3\), 'float32'\)"):
        um.summary(MLP(), shape)


def test_errors(backend):
    with pytest.raises(um.ArgumentError, match="expected a Module, got list"):
        um.summary([MLP()])
    net = MLP().to(backend)
    net.hidden = nn.Function(lambda x: ops.reshape(x, (7,)))
    with pytest.raises(um.ShapeError, match=r"MLP\.hidden \(Function\)"):
        um.summary(net, batch())
    assert not net.hidden._functional and "forward" not in net.hidden.__dict__


# ---------------------------------------------------------------------- record_calls
def test_calls_in_the_order_in_which_they_return(backend):
    net = nn.Sequential(MLP(), ops.relu).to(backend)
    calls = record_calls(net, [batch()])
    assert [c.path for c in calls] == ["0.hidden", "0.out", "0", "1", ""]
    for call in calls:
        assert call.module is net.get_submodule(call.path)
        args, kwargs = call.inputs
        np.testing.assert_array_equal(um.to_numpy(call.module(*args, **kwargs)), um.to_numpy(call.output))
    path, module, inputs, output = calls[-1]
    assert path == "" and module is net and kwargs == {}
    assert um.backend_of(inputs[0][0]) == um.backend_of(output) == backend


def test_calls_with_keywords_and_repeats(backend):
    class Repeats(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Scales()

        def forward(self, x, *, times):
            for i in range(times):
                x = self.layer(x, by=i)
            return x

    class Scales(nn.Module):
        def forward(self, x, *, by):
            return x * by

    calls = record_calls(Repeats().to(backend), [batch()], {"times": 3})
    assert [c.path for c in calls] == ["layer"] * 3 + [""]
    assert [c.inputs[1]["by"] for c in calls[:3]] == [0, 1, 2]


def test_recording_keeps_mode_and_state(backend):
    net = nn.Sequential(Counting()).to(backend)
    record_calls(net, [batch(2, 2)])
    assert net[0].parameter("calls").item() == 0

    class Mode(nn.Module):
        def forward(self, x):
            return x * (2 if self.training else 3)

    mode = Mode().to(backend)
    for training, factor in ((True, 2), (False, 3)):
        (call,) = record_calls(mode.train(training), [np.ones(1)])
        assert um.to_numpy(call.output)[0] == factor


def test_a_shared_module_goes_by_its_first_name(backend):
    calls = record_calls(SharedModule().to(backend), [batch()])
    assert [c.path for c in calls] == ["first", "first", ""]


def test_an_error_comes_through(backend):
    net = nn.Sequential(Affine(3, 2), nn.Function(lambda x: 1 / 0)).to(backend)
    with pytest.raises(ZeroDivisionError):
        record_calls(net, [batch()])
    assert "forward" not in net[0].__dict__
