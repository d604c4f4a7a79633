"""Shapes, blocks, which parameters an output feels, and what can be pickled."""

import functools
import pickle
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.methods.spin.networks import MLP, BlockSparseMLP, SeparateMLPs, softplus

INPUTS, OUTPUTS = 3, 5
NETWORKS = [MLP((12, 12)), BlockSparseMLP((12, 12, 12)), SeparateMLPs((8, 6))]
each_network = pytest.mark.parametrize("network", NETWORKS, ids=lambda n: type(n).__name__)


@functools.cache
def init(network, seed):
    """Eager: the random numbers of every network have the same few shapes, each compiled once."""
    return network.init(jax.random.key(seed), INPUTS, OUTPUTS)


def make(network, n_outputs=OUTPUTS, dtype=jnp.float32):
    """Random parameters of the right shapes; `init` itself takes a second to compile."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: network.init(key, INPUTS, n_outputs, dtype), jax.random.key(0))
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape), dtype), shapes)


def evaluate(function, params, z):
    """function(params, z) at many points; compiled, as all of the library's calls are."""
    return jax.jit(jax.vmap(function, in_axes=(None, 0)))(params, z)


Z = jnp.array([0.3, -0.8, 1.1], jnp.float32)


@each_network
@pytest.mark.parametrize("n_outputs", [1, 2, 7])
def test_shapes(network, n_outputs):
    params = jax.eval_shape(lambda key: network.init(key, INPUTS, n_outputs), jax.random.key(0))
    assert jax.eval_shape(network, params, Z).shape == (n_outputs,)
    groups = n_outputs if isinstance(network, SeparateMLPs) else 1
    hidden = jax.eval_shape(network.hidden_activations, params, Z)
    assert hidden.shape == (groups, network.hidden[-1])


@each_network
@pytest.mark.usefixtures("x64", "strict_promotion")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_parameters_and_outputs_have_the_type_asked_for(network, dtype):
    key = jax.random.key(0)
    params = jax.eval_shape(lambda k: network.init(k, INPUTS, OUTPUTS, dtype), key)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    assert jax.eval_shape(network, params, Z.astype(dtype)).dtype == dtype


@each_network
def test_the_same_key_gives_the_same_parameters(network):
    first, same, other = (init(network, seed) for seed in (0, 0, 1))
    for a, b, c in zip(*map(jax.tree.leaves, (first, same, other)), strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, c)


@each_network
def test_outputs_start_of_order_one_and_differ(network):
    z = jax.random.uniform(jax.random.key(1), (500, INPUTS), minval=-1, maxval=1)
    outputs = evaluate(network, init(network, 0), z)
    assert outputs.std(0).min() > 0.02 and jnp.abs(outputs).max() < 20
    assert np.linalg.matrix_rank(outputs) == OUTPUTS


@each_network
@pytest.mark.usefixtures("x64")
def test_outputs_are_linear_in_the_hidden_activations(network):
    """u_k = a_k · hidden(z) + b_k with the same (a_k, b_k) at every z: fitted exactly by least squares."""
    params = make(network, dtype=jnp.float64)
    z = jax.random.normal(jax.random.key(1), (200, INPUTS))
    both = evaluate(lambda p, x: (network(p, x), network.hidden_activations(p, x)), params, z)
    outputs, hidden = map(np.asarray, both)
    for k in range(OUTPUTS):
        group = hidden[:, k if hidden.shape[1] == OUTPUTS else 0]
        design = np.hstack([group, np.ones((200, 1))])
        fit = np.linalg.lstsq(design, outputs[:, k], rcond=1e-14)[0]
        np.testing.assert_allclose(design @ fit, outputs[:, k], atol=1e-9)


def test_mlp_is_the_formula():
    network = MLP((16, 12))
    (w1, b1), (w2, b2), (w3, b3) = jax.tree.map(np.asarray, make(network))
    expected = np.tanh(np.tanh(np.asarray(Z) @ w1 + b1) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(jax.jit(network)(make(network), Z), expected, rtol=1e-5, atol=1e-6)


# --- the paper's blocks


@pytest.mark.parametrize("hidden", [(64,), (64, 64), (128, 128, 128, 128), (30, 17, 50)])
@pytest.mark.parametrize("n_outputs", [1, 2, 9])
def test_blocks_part_with_depth(hidden, n_outputs):
    first, *middle, last = masks = BlockSparseMLP(hidden).masks(INPUTS, n_outputs)
    assert tuple(m.shape for m in masks) == tuple(pairwise((INPUTS, *hidden, n_outputs)))
    assert first.all()
    # In the last layer each output reads one block of neighbours, of a share 1/L of the last hidden layer.
    for column in last.T:
        read = np.flatnonzero(column)
        assert np.array_equal(read, np.arange(read[0], read[-1] + 1))
        assert abs(len(read) - hidden[-1] / len(masks)) <= 2
    assert np.array_equal(np.argmax(last, axis=0), np.sort(np.argmax(last, axis=0)))
    shares = [m.mean() for m in masks]
    if n_outputs > 1:
        assert all(a >= b for a, b in pairwise(shares))
    # No output reads a neuron that its block in the layer before did not make.
    for above, below in pairwise([*middle, last]):
        assert above.any(axis=0)[below.any(axis=1)].all()


def test_the_number_of_outputs_a_neuron_serves_falls_with_depth():
    """Counted from the outputs back, through the masks: all at the first hidden layer, few at the last."""
    network, n_outputs = BlockSparseMLP((120,) * 4), 9
    masks = network.masks(INPUTS, n_outputs)
    served, reach = [], np.eye(n_outputs, dtype=bool)
    for mask in masks[::-1]:
        reach = mask.astype(int) @ reach > 0
        served.append(reach.sum(axis=1).mean())
    inputs, first, *others = served[::-1]
    assert inputs == first == n_outputs
    assert all(a >= b for a, b in pairwise([first, *others]))
    # Blocks of 1/5, their starts a tenth apart, overlap in pairs: 9 blocks of 24 neurons on 120.
    assert others[-1] == pytest.approx(9 * 24 / 120)
    assert others[-1] < others[-2] < n_outputs


def test_the_papers_block_positions():
    """L = 3, K = 3, 30 wide: blocks of 2/3 start at 0, 1/6, 1/3; of 1/3 at 0, 1/3, 2/3."""
    _, middle, last = BlockSparseMLP((30, 30)).masks(2, 3)
    expected = np.zeros((30, 30), dtype=bool)
    for start in (0, 5, 10):
        expected[start : start + 20, start : start + 20] = True
    assert np.array_equal(middle, expected)
    assert [np.flatnonzero(column).tolist() for column in last.T] == [
        list(range(start, start + 10)) for start in (0, 10, 20)
    ]


def test_weights_outside_the_blocks_are_zero_and_stay_zero():
    network = NETWORKS[1]
    params = init(network, 0)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(network(p, Z) ** 2)))(params)
    masks = network.masks(INPUTS, OUTPUTS)
    values, slopes = jax.tree.map(np.asarray, (params, gradient))
    for (weight, _), (slope, _), mask in zip(values, slopes, masks, strict=True):
        assert np.array_equal(weight != 0, mask)
        assert np.all(slope[~mask] == 0.0)
        assert np.any(slope[mask] != 0.0)
    filled = jax.tree.map(lambda p: jnp.asarray(np.where(p == 0, np.float32(7), p)), params)
    outputs = [evaluate(network, p, Z[None]) for p in (filled, params)]
    np.testing.assert_array_equal(*outputs)  # and do not matter


def test_an_output_feels_its_own_block_alone():
    network = BlockSparseMLP((30, 30))
    jacobian = jax.jit(jax.jacobian(lambda p: network(p, Z)))(make(network, 3))
    last = network.masks(INPUTS, 3)[-1]
    for k in range(3):
        felt = np.asarray(jacobian[1][1])[k] != 0  # biases of the last hidden layer
        assert np.array_equal(felt, last[:, k])


# --- separate networks


def test_separate_outputs_share_no_parameter():
    network = SeparateMLPs((8, 6))
    params = make(network)
    jacobian = jax.jit(jax.jacobian(lambda p: network(p, Z)))(params)
    for leaf in map(np.asarray, jax.tree.leaves(jacobian)):  # (output, network, ...)
        for k in range(OUTPUTS):
            for j in range(OUTPUTS):
                assert (np.abs(leaf[k, j]).max() == 0.0) == (k != j)


def test_a_separate_output_is_an_mlp_of_its_own():
    network = SeparateMLPs((8, 6))
    params = make(network)
    one = jax.jit(MLP((8, 6)))
    alone = [one(jax.tree.map(lambda p, k=k: np.asarray(p)[k], params), Z)[0] for k in range(OUTPUTS)]
    np.testing.assert_allclose(jax.jit(network)(params, Z), alone, rtol=1e-5, atol=1e-6)


# --- settings


@pytest.mark.parametrize("kind", [MLP, BlockSparseMLP, SeparateMLPs])
def test_hidden_widths_may_be_given_in_several_ways(kind):
    assert kind([16, 12]).hidden == kind((np.int64(16), 12)).hidden == (16, 12)
    assert kind(16).hidden == (16,)
    assert hash(kind([16])) == hash(kind((16,)))


@pytest.mark.parametrize("kind", [MLP, BlockSparseMLP, SeparateMLPs])
@pytest.mark.parametrize("hidden", [(), (16, 0), (-3,), (2.5,), (2**31,), "wide", None])
def test_widths_that_are_none_are_refused(kind, hidden):
    with pytest.raises(
        ValueError, match=f"{kind.__name__}: hidden must be a sequence of positive layer widths"
    ):
        kind(hidden)


# --- softplus


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_softplus_and_its_derivatives_to_rounding(x64, dtype):
    """Against NumPy's log(1 + eˣ); the derivative 1/(1 + e^-x) and the second one besides."""
    x = np.concatenate([np.linspace(-60, 60, 2401), [0.0, -0.0, 1e-3]]).astype(dtype)
    eps = float(jnp.finfo(dtype).eps)
    slope = jax.grad(softplus)
    values = jax.jit(jax.vmap(lambda y: (softplus(y), slope(y), jax.grad(slope)(y))))(x)
    logistic = 1 / (1 + np.exp(-x))
    expected = np.logaddexp(0, x), logistic, logistic / (1 + np.exp(x))
    for found, true, units in zip(values, expected, (1, 2, 2), strict=True):
        np.testing.assert_allclose(found, true, rtol=8 * eps, atol=units * eps)


@pytest.mark.parametrize(  # names without addresses of functions: workers must collect the same ones
    "network",
    [MLP(), BlockSparseMLP(), SeparateMLPs((3,), jax.nn.gelu), MLP(8, abs)],
    ids=["tanh", "sparse", "gelu", "abs"],
)
def test_settings_can_be_pickled(network):
    """JAX's functions go by their names, other activations as Python pickles them."""
    assert pickle.loads(pickle.dumps(network)) == network
