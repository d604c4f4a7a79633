"""The Jacobian of Algorithm 1 by two routes: through the layers, and one pull-back for each pair of states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.spin.estimators import LayeredJacobian, PulledBackJacobian
from qspin.methods.spin.wavefunction import Wavefunction
from qspin.numerics.points import Points
from qspin.problem.domain import Centre

NETWORKS = [
    qspin.MLP((5, 7)),
    qspin.SeparateMLPs((6, 4)),
    qspin.BlockSparseMLP((10, 10, 10)),
    qspin.BlockSparseMLP((8,), jnp.tanh),
]
CENTRE = Centre((0.0, 0.0), 1.0, 2.0, -0.5)


def both(network, n_states, centres):
    wavefunction = Wavefunction(network, qspin.Box.cube(4.0, dim=2), n_states, centres)
    params = wavefunction.init(jax.random.key(1), float)
    x = jax.random.uniform(jax.random.key(2), (20, 2), minval=-4.0, maxval=4.0)
    points = Points(x, jax.random.uniform(jax.random.key(3), (20,)))
    u, vjp = jax.vjp(lambda p: jax.vmap(lambda y: wavefunction(p, y))(x), params)
    layered = LayeredJacobian(wavefunction, params, points, u)
    return layered, PulledBackJacobian(lambda c: vjp(c)[0], u, points.weights), params


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: f"{type(n).__name__}-{len(n.hidden)}")
@pytest.mark.parametrize("centres", [(), (CENTRE,)], ids=["plain", "centre"])
@pytest.mark.parametrize("n_states", [1, 2, 5])
def test_both_routes_contract_to_the_same_gradient(x64, network, centres, n_states):
    """For any upper triangular coefficients; what lies below the diagonal is not read."""
    layered, pulled, params = both(network, n_states, centres)
    coefficients = jax.random.normal(jax.random.key(4), (n_states, n_states))
    found = jax.jit(lambda c: layered.contract(c, layered.moments()))(coefficients)
    expected = pulled.contract(coefficients, pulled.moments())
    assert jax.tree.structure(found) == jax.tree.structure(params) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * max(np.abs(b).max(), 1e-300))


def test_separate_networks_need_one_network_a_pair(x64):
    layered, _, params = both(qspin.SeparateMLPs((6, 4)), 5, ())
    size = sum(leaf.size for leaf in jax.tree.leaves(jax.eval_shape(layered.moments)))
    assert size == 15 * sum(leaf.size for leaf in jax.tree.leaves(params)) / 5
