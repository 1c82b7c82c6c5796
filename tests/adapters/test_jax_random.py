"""JAX's random state: keys, streams, seeds, threads."""

import threading

import numpy as np
import pytest

from .harness import NAMES, load
from .jax_alone import put, run_alone

jax = pytest.importorskip("jax")
pytestmark = pytest.mark.skipif("jax" not in NAMES, reason="jax is not selected")


@pytest.fixture
def backend():
    return load("jax")


@pytest.fixture
def op(backend):
    return backend.functions


def test_a_given_key_decides_the_draws(backend, op):
    x, key = put(backend, np.ones(64)), backend.fresh_key()
    with backend.use_key(key):
        first, second = backend.to_numpy(op["dropout"](x, 0.5)), backend.to_numpy(op["dropout"](x, 0.5))
    with backend.use_key(key):
        again = backend.to_numpy(op["dropout"](x, 0.5))
    assert np.array_equal(first, again) and not np.array_equal(first, second)


def test_a_compiled_step_draws_a_new_mask_from_each_key(backend, op):
    x, traces = put(backend, np.ones((8, 64))), []

    @jax.jit
    def step(key, x):
        traces.append(1)
        with backend.use_key(key):
            return op["dropout"](x, 0.5), op["random_uniform"]((64,), "float32", "cpu")

    backend.seed(0)
    keys = [backend.fresh_key() for _ in range(3)]
    masks = [backend.to_numpy(step(key, x)[0]) for key in keys]
    assert len(traces) == 1
    assert not np.array_equal(masks[0], masks[1]) and not np.array_equal(masks[1], masks[2])
    for mask in masks:
        assert 0.3 < (mask == 0).mean() < 0.7
    with backend.use_key(keys[1]):
        assert np.array_equal(backend.to_numpy(op["dropout"](x, 0.5)), masks[1]), "eager and compiled agree"
    backend.seed(0)
    assert np.array_equal(backend.to_numpy(step(backend.fresh_key(), x)[0]), masks[0])


def test_a_key_holds_for_its_thread_only(backend, op):
    x, found = put(backend, np.ones(256)), []
    backend.seed(1)
    expected = backend.to_numpy(op["dropout"](x, 0.5))
    backend.seed(1)
    with backend.use_key(jax.random.key(5)):
        thread = threading.Thread(target=lambda: found.append(backend.to_numpy(op["dropout"](x, 0.5))))
        thread.start()
        thread.join()
    assert np.array_equal(found[0], expected)


def test_threads_never_share_a_draw(backend):
    from unimodule_jax.random import Stream

    stream, numbers = Stream(jax.random.key(0)), []
    threads = [
        threading.Thread(target=lambda: numbers.extend(int(stream.draw()[1]) for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(800))


def test_a_stream_goes_on_when_its_counter_is_full(backend):
    from unimodule_jax import random

    stream = random.Stream(jax.random.key(0))
    stream._count = random._WORD
    last, number = stream.draw()
    new, first = stream.draw()
    assert number == random._WORD and first == 0
    assert not np.array_equal(jax.random.key_data(last), jax.random.key_data(new))


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 + 1, 2**63, -1])
def test_any_seed_is_taken_and_all_its_bits_count(backend, op, seed):
    x, draws = put(backend, np.ones(256)), []
    for s in (seed, seed ^ 2**40, seed):
        backend.seed(s)
        draws.append(backend.to_numpy(op["dropout"](x, 0.5)))
    assert np.array_equal(draws[0], draws[2]) and not np.array_equal(draws[0], draws[1])


def test_a_first_draw_under_jit_leaves_no_tracer():
    run_alone(
        """
        x = put(np.ones(64))
        jax.jit(lambda x: op["dropout"](x, 0.5))(x)
        op["dropout"](x, 0.5)
        """
    )


def test_attention_and_recurrence_draw_their_own_masks(backend, op):
    q = put(backend, np.random.default_rng(0).normal(size=(2, 8, 4)))
    weights = [tuple([put(backend, np.full((16, 4), 0.1))] * 2 + [None] * 3)] * 2
    h = put(backend, np.zeros((2, 8, 4)))
    calls = {
        "attention": lambda p: op["scaled_dot_product_attention"](q, q, q, None, p, False, 0.5),
        "lstm": lambda p: op["lstm"](q, h, h, weights, 2, False, p)[0],
    }
    for name, call in calls.items():
        assert not np.array_equal(backend.to_numpy(call(0.5)), backend.to_numpy(call(0.5))), name
        assert np.array_equal(backend.to_numpy(call(0.0)), backend.to_numpy(call(0.0))), name
