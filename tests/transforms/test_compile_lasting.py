"""Compiled nets in threads, and over many calls."""

from __future__ import annotations

import gc
import threading
import tracemalloc

import numpy as np

import unimodule as um

from .models import assert_no_tracer, compiles, data, loss_of, mlp, normed, options, tensor


def test_threads_trace_and_call_at_once_without_a_trace_of_it(backend):
    net = normed().initialize(seed=0).to(backend).eval()
    fast = um.compile(net, **options(backend))
    gradients_of = um.value_and_grad(loss_of)
    compiled_gradients_of = um.compile(gradients_of, **options(backend))
    inputs = [tensor(data((3,), rows), backend) for rows in (1, 2, 3)]
    expected = [(um.to_numpy(net(x)), um.to_numpy(gradients_of(net, x)[1]["0.weight"])) for x in inputs]
    before = {name: um.to_numpy(t) for name, t in net.state_dict().items()}
    start, failures = threading.Barrier(8), []

    def work(number):
        try:
            start.wait()
            for turn in range(9):
                x, (y, slope) = inputs[(number + turn) % 3], expected[(number + turn) % 3]
                kind = (number + turn // 3) % 4
                if kind < 2:
                    got, want = um.to_numpy((net, fast)[kind](x)), y
                else:
                    run = (gradients_of, compiled_gradients_of)[kind - 2]
                    got, want = um.to_numpy(run(net, x)[1]["0.weight"]), slope
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert_no_tracer(net)
    assert all(not module._watchers for module in net.modules())
    for name, value in before.items():
        np.testing.assert_array_equal(um.to_numpy(net.state_dict()[name]), value, err_msg=name)


def test_a_signature_is_recorded_once_by_many_threads(backend):
    runs, net, x = [], mlp().to(backend), tensor(data((3,)), backend)
    fast = um.compile(lambda net, x: (runs.append(1), net(x))[1], **options(backend))
    start = threading.Barrier(4)

    def work():
        start.wait()
        fast(net, x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == (1 if compiles(backend) else 4)


def test_memory_does_not_grow(backend):
    net = normed().to(backend)
    fast = um.compile(net, **options(backend))
    run = um.compile(um.value_and_grad(loss_of), **options(backend))
    x = tensor(data((3,)), backend)

    def calls(count):
        for i in range(count):
            fast(x)
            if i % 4 == 0:
                run(net, x)
            if i % 50 == 0:
                net.train(i % 100 == 0)  # away from the quick way and back
        gc.collect()

    calls(200)
    tracemalloc.start()
    try:
        calls(100)
        before = tracemalloc.get_traced_memory()[0]
        calls(1000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # A hand-written compiled function on PyTorch grows by 20 bytes a call at first; a tensor kept is some hundreds.
    assert grown < 100_000, grown


def test_deleted_nets_leave_nothing(backend):
    run = um.compile(loss_of, **options(backend))
    x = tensor(data((3,)), backend)
    for _ in range(3):
        run(mlp().to(backend), x)
    gc.collect()
    programs = run.__closure__[0].cell_contents.__self__._programs
    assert len(programs) <= 1
