"""A compiled training step does what the loop written by hand does: parameters, optimiser state, buffers, losses."""

from __future__ import annotations

import numpy as np
import pytest

import unimodule as um
from unimodule import nn, ops, optim

from .cases import (
    OPTIMIZERS,
    assert_close,
    batches,
    everything,
    make_step,
    mlp,
    number,
    options,
    plain_step,
)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_equals_the_loop_by_hand(backend, name, compile):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = OPTIMIZERS[name](net.parameters()), OPTIMIZERS[name](twin.parameters())
    step = make_step(net, opt, compile=compile)
    by_hand = plain_step(twin, twin_opt)
    for x, y in batches():
        np.testing.assert_allclose(number(step(x, y)), number(by_hand(x, y)), rtol=2e-5)
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_float64(backend, has_float64):
    if not has_float64:
        pytest.skip(f"{backend} runs in 32 bits in this process; the 64-bit pass has this case")
    net, twin = mlp(backend, "float64"), mlp(backend, "float64")
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for x, y in batches():  # float32 arrays, which take the net's dtype
        np.testing.assert_allclose(number(step(x, y)), number(by_hand(x, y)), rtol=1e-12)
    assert_close(everything(net, opt), everything(twin, twin_opt), atol=1e-13, rtol=1e-10)


@pytest.mark.parametrize("limits", [{"clip_norm": 0.1}, {"clip_value": 0.05, "clip_norm": 0.2}])
def test_clipping(backend, limits):
    def clip(grads):
        if "clip_value" in limits:
            grads = optim.clip_grad_value(grads, limits["clip_value"])
        return optim.clip_grad_norm(grads, limits["clip_norm"])[0]

    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (optim.SGD(n.parameters(), lr=0.5) for n in (net, twin))
    step, by_hand = make_step(net, opt, **limits), plain_step(twin, twin_opt, clip)
    for x, y in batches(3):
        step(x, y)
        by_hand(x, y)
    assert_close(everything(net, opt), everything(twin, twin_opt))


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_accumulation_steps_by_the_mean_of_the_gradients(backend, compile):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    step = make_step(net, opt, compile=compile, accumulate=3, clip_norm=0.3)
    before = everything(net, opt)
    sums: dict[str, np.ndarray] = {}
    grad = um.value_and_grad(lambda net, x, y: nn.functional.cross_entropy(net(x), y))
    for i, (x, y) in enumerate(batches(7)):
        loss, grads = grad(twin, x, y)
        np.testing.assert_allclose(number(step(x, y)), number(loss), rtol=2e-5)
        sums = {k: ops.add(sums[k], g) if sums else g for k, g in grads.items()}
        if i == 1:  # no update yet, but the running statistics are those of two batches
            assert step.pending == 2
            after = everything(net, opt)
            assert {k for k in after if not np.array_equal(after[k], before[k])} == {
                "net.1.running_mean", "net.1.running_var", "net.1.num_batches_tracked"
            }  # fmt: skip
        if i % 3 == 2:
            twin_opt.step(optim.clip_grad_norm({k: g / 3 for k, g in sums.items()}, 0.3)[0])
            sums = {}
    assert step.pending == 1
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_a_new_learning_rate_counts_and_costs_no_new_trace(backend):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    runs = []
    for i, (x, y) in enumerate(batches()):
        for o in (opt, twin_opt):
            o.param_groups[0]["lr"] = 0.01 / (i + 1)
        step(x, y)
        by_hand(x, y)
        runs.append(net._runs.count)
    assert_close(everything(net, opt), everything(twin, twin_opt))
    if backend != "numpy":
        assert runs[0] == runs[-1] == 1


def test_new_shapes_modes_and_options_are_recorded_once_each(backend):
    if backend == "numpy":
        pytest.skip("nothing is compiled")
    net = mlp(backend)
    opt = OPTIMIZERS["SGD"](net.parameters())
    step = make_step(net, opt)

    def runs_of(x, y):
        before = net._runs.count
        step(x, y)
        return net._runs.count - before

    small, large = batches(1, rows=4)[0], batches(1, rows=7)[0]
    assert [runs_of(*small), runs_of(*large), runs_of(*small), runs_of(*large)] == [1, 1, 0, 0]
    net.eval()
    frozen = {k: um.to_numpy(v) for k, v in net.state_dict().items() if "running" in k}
    assert [runs_of(*small), runs_of(*small)] == [1, 0]
    for name, value in frozen.items():
        np.testing.assert_array_equal(um.to_numpy(net.state_dict()[name]), value)
    net.train()
    assert runs_of(*small) == 0
    opt.param_groups[0]["weight_decay"] = 0.0  # another rule
    assert [runs_of(*small), runs_of(*small)] == [1, 0]


def test_frozen_parameters_stay_and_thawed_ones_move(backend):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["AdamW"](n.parameters()) for n in (net, twin))
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for i, (x, y) in enumerate(batches(4)):
        for n in (net, twin):
            n.net[3].requires_grad_(i % 2 == 1)
        before = um.to_numpy(net.net[3].weight)
        step(x, y)
        by_hand(x, y)
        assert np.array_equal(before, um.to_numpy(net.net[3].weight)) == (i % 2 == 0)
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_parameters_that_the_optimiser_lacks_stay(backend):
    net = mlp(backend)
    before = um.to_numpy(net.net[0].weight)
    step = make_step(net, optim.SGD(net.net[5].parameters(), lr=0.1))
    head = um.to_numpy(net.net[5].weight)
    step(*batches(1)[0])
    np.testing.assert_array_equal(um.to_numpy(net.net[0].weight), before)
    assert not np.array_equal(um.to_numpy(net.net[5].weight), head)


def test_loaded_states_are_seen(backend):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    step = make_step(net, opt)
    data = batches(4)
    for x, y in data[:2]:
        step(x, y)
    state, opt_state = net.state_dict(), opt.state_dict()
    state = {k: um.to_numpy(v).copy() for k, v in state.items()}
    step(*data[2])
    expected = everything(net, opt)
    step(*data[3])
    net.load_state_dict(state)
    opt.load_state_dict(opt_state)
    step(*data[2])
    assert_close(everything(net, opt), expected, atol=0, rtol=0)
    twin.load_state_dict(state)
    twin_opt.load_state_dict(opt_state)
    plain_step(twin, twin_opt)(*data[2])
    assert_close(everything(twin, twin_opt), expected)


def test_eager_and_compiled_steps_take_turns(backend):
    net, twin = mlp(backend), mlp(backend)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    compiled, by_hand, other = make_step(net, opt), plain_step(twin, twin_opt), plain_step(net, opt)
    for i, (x, y) in enumerate(batches(4)):
        (other if i % 2 else compiled)(x, y)
        by_hand(x, y)
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_dropout_draws_a_new_mask_each_step_and_a_seed_repeats_it(backend):
    def losses():
        net = nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 1)).initialize(seed=0).to(backend)
        step = um.train_step(net, nn.MSELoss(), optim.SGD(net.parameters(), lr=0.0), **options(backend))
        um.seed(5)
        x, y = np.ones((4, 64), "float32"), np.zeros((4, 1), "float32")
        return [number(step(x, y)) for _ in range(4)]

    first = losses()
    assert len(set(first)) == 4
    assert losses() == first


@pytest.mark.parametrize("compile", [True, False], ids=["compiled", "eager"])
def test_a_step_that_raises_changes_nothing(backend, compile):
    net = mlp(backend)
    opt = OPTIMIZERS["Adam"](net.parameters())
    step = make_step(net, opt, compile=compile)
    x, y = batches(1)[0]
    step(x, y)
    before = everything(net, opt)
    with pytest.raises(um.ShapeError):
        step(x, y[:-1])  # the forward has run by then, batch norm and all
    with pytest.raises(um.ShapeError):
        step(x[:, :-1], y)
    assert_close(everything(net, opt), before, atol=0, rtol=0)
    step(x, y)


def test_a_lazy_net_that_was_never_called(backend):
    net = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3)).to(backend).initialize(seed=1)
    twin = nn.Sequential(nn.LazyLinear(6), nn.ReLU(), nn.LazyLinear(3)).to(backend).initialize(seed=1)
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    step, by_hand = make_step(net, opt), plain_step(twin, twin_opt)
    for x, y in batches(2):
        step(x, y)
        by_hand(x, y)
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_losses_as_functions_several_inputs_and_trainable_losses(backend):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, pair, scale):
            return (self.a(pair["left"]) + self.b(pair["right"])) * scale

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(np.ones(2))

        def forward(self, output, target):
            return ops.mean((output * self.gain - target) ** 2)

    x, y = batches(1)[0][0], np.ones((6, 2), "float32")
    results = []
    for compile in (True, False):
        net, loss = Two().initialize(seed=0).to(backend), Scaled()
        opt = optim.SGD([*net.parameters(), *loss.parameters()], lr=0.1)
        step = um.train_step(net, loss, opt, compile=compile, **options(backend))
        results.append([number(step({"left": x, "right": 2 * x}, 0.5, y)) for _ in range(3)])
        assert not np.allclose(um.to_numpy(loss.gain), 1.0)
    np.testing.assert_allclose(*results, rtol=1e-5)
    net = Two().to(backend)
    own = options(backend)
    step = um.train_step(
        net, lambda out, y: ops.mean((out - y) ** 2), optim.SGD(net.parameters(), lr=0.1), **own
    )
    first = number(step({"left": x, "right": x}, 0.5, y))
    assert number(step({"left": x, "right": x}, 0.5, y)) < first


def test_a_teacher_from_a_closure_is_read_anew(backend):
    teacher, net = nn.Linear(5, 2).to(backend), nn.Linear(5, 2).to(backend)
    step = um.train_step(
        net,
        lambda out, x: ops.mean((out - teacher(x)) ** 2),
        optim.SGD(net.parameters(), lr=0.0),
        **options(backend),
    )
    x = batches(1)[0][0]
    first = number(step(x, x))
    teacher.load_state_dict(net.state_dict())
    assert first > 1e-4
    assert number(step(x, x)) == pytest.approx(0.0, abs=1e-12)


def test_a_net_moves_between_backends_in_the_middle(backend):
    net, twin = mlp("numpy"), mlp("numpy")
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    loss = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 3.0]))
    step = um.train_step(net, loss, opt, accumulate=2, **options(backend))
    reference = um.train_step(
        twin, nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 3.0])), twin_opt, accumulate=2
    )
    data = batches(4)
    for x, y in data[:3]:
        step(x, y)
        reference(x, y)
    net.to(backend)
    assert um.backend_of(step(*data[3])) == backend
    reference(*data[3])
    assert_close(everything(net, opt), everything(twin, twin_opt))


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script_method"
)  # PyTorch's own, on the compiler's first import
def test_inductor():
    pytest.importorskip("torch")
    net, twin = mlp("torch"), mlp("torch")
    opt, twin_opt = (OPTIMIZERS["AdamW"](n.parameters()) for n in (net, twin))
    step, by_hand = um.train_step(net, nn.CrossEntropyLoss(), opt), plain_step(twin, twin_opt)
    for x, y in batches(3):
        np.testing.assert_allclose(number(step(x, y)), number(by_hand(x, y)), rtol=2e-5)
    assert_close(everything(net, opt), everything(twin, twin_opt))


def test_wrong_arguments():
    net = nn.Linear(2, 1).to("numpy")
    opt, loss = optim.SGD(net.parameters(), lr=0.1), nn.MSELoss()
    for arguments, wrong in [
        ((lambda x: x, loss, opt), {}),
        ((net, "mse", opt), {}),
        ((net, nn.MSELoss, opt), {}),
        ((net, loss, net.parameters()), {}),
        ((net, loss, opt), {"accumulate": 0}),
        ((net, loss, opt), {"accumulate": True}),
        ((net, loss, opt), {"clip_norm": -1.0}),
        ((net, loss, opt), {"clip_value": "1"}),
    ]:
        with pytest.raises(um.ArgumentError):
            um.train_step(*arguments, **wrong)
    x, y = np.ones((3, 2), "float32"), np.ones((3, 1), "float32")
    with pytest.raises(um.ArgumentError, match="inputs"):
        um.train_step(net, loss, opt)()
    with pytest.raises(um.ArgumentError, match="belongs"):
        um.train_step(nn.Linear(2, 1), loss, opt)(x, y)
    with pytest.raises(um.ShapeError):
        um.train_step(net, nn.MSELoss(reduction="none"), opt)(x, y)


def test_reading_a_value_is_an_error_that_says_what_to_do(backend):
    if backend == "numpy":
        pytest.skip("nothing is compiled")
    net = nn.Linear(5, 3).to(backend)

    def loss(out, y):
        return ops.mean(out) if float(ops.item(ops.sum(out))) > 0 else ops.sum(out)

    opt = optim.SGD(net.parameters(), lr=0.1)
    step = um.train_step(net, loss, opt, **options(backend))
    before = everything(net, opt)
    with pytest.raises(um.CompileError, match=r"ops\.cond"):
        step(*batches(1)[0])
    assert_close(everything(net, opt), before, atol=0, rtol=0)
    eager = um.train_step(net, loss, opt, compile=False)
    eager(*batches(1)[0])


def test_jax_donation_leaves_no_deleted_arrays():
    pytest.importorskip("jax")
    net, twin = mlp("jax"), mlp("jax")
    opt, twin_opt = (OPTIMIZERS["Adam"](n.parameters()) for n in (net, twin))
    net.net[5].requires_grad_(False)
    twin.net[5].requires_grad_(False)
    step = um.train_step(net, nn.CrossEntropyLoss(), opt, donate=True, accumulate=2)
    plain = um.train_step(twin, nn.CrossEntropyLoss(), twin_opt, accumulate=2)
    held = net.net[0].weight
    x, y = batches(1)[0]
    x, y = ops.asarray(x, backend="jax"), ops.asarray(y, backend="jax")
    for _ in range(6):  # the batch is not given away
        step(x, y)
        plain(x, y)
    assert held.is_deleted()
    assert_close(everything(net, opt), everything(twin, twin_opt), atol=0, rtol=0)
    net(x)


def test_a_frozen_net_only_gathers_statistics(backend):
    net = mlp(backend).requires_grad_(False)
    step = make_step(net, optim.SGD(net.parameters(), lr=0.1))
    before = {k: um.to_numpy(v).copy() for k, v in net.state_dict().items()}
    step(*batches(1)[0])
    after = net.state_dict()
    assert {k for k in before if not np.array_equal(before[k], um.to_numpy(after[k]))} == {
        "net.1.running_mean", "net.1.running_var", "net.1.num_batches_tracked"
    }  # fmt: skip


def test_layers_and_groups_added_in_between_are_trained(backend):
    net = nn.Sequential(nn.Linear(5, 3)).initialize(seed=0).to(backend)
    opt = optim.Adam(net.parameters())
    step = make_step(net, opt)
    x, y = batches(1)[0]
    losses = [step(x, y)]
    net.append(nn.Linear(3, 3))
    opt.add_param_group({"params": net[1].parameters(), "lr": 0.5})
    losses += [step(x, y), step(x, y)]
    assert opt.state_dict()["state"][2]["step"] == 2
    assert len({number(loss) for loss in losses}) == 3  # each a tensor of its own


def test_a_step_inside_a_compiled_function_is_refused():
    jax = pytest.importorskip("jax")
    net = mlp("jax")
    step = make_step(net, optim.SGD(net.parameters(), lr=0.1))
    x, y = batches(1)[0]
    for wrap in (um.compile, jax.jit):
        with pytest.raises(um.CompileError, match="training step"):
            wrap(lambda x: step(x, y))(ops.asarray(x, backend="jax"))
    step(x, y)
    with pytest.raises(um.CompileError, match="training step"):
        jax.jit(lambda x: step(x, y))(x)
