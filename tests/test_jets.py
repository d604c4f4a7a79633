"""Jets against derivatives of derivatives."""

import jax
import jax.numpy as jnp
import numpy as np

from qspin.numerics.laplacian import concatenate, seed
from qspin.numerics.precision import double_precision


@double_precision()
def test_a_network_in_one_pass() -> None:
    """Values, gradients and Σ c_i ∂_i² of a small network with products, against the trace of its Hessian."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(3, 5)), rng.normal(size=(5, 4))
    rates, x = np.array([0.5, 1.0, 2.0]), jnp.asarray(rng.normal(size=3))

    def plain(x):  # type: ignore[no-untyped-def]
        out = jnp.tanh(x @ first + 0.3) @ second
        return jnp.concatenate([out[:2] * out[2:], 3 * out[:1]])

    y = seed(x, jnp.asarray(rates))
    out = y.linear(first).raised(0.3).tanh().linear(second)
    jet = concatenate([out.at(slice(0, 2)).times(out.at(slice(2, 4))), out.at(slice(0, 1)).scaled(3.0)])
    hessian = jax.hessian(plain)(x)
    assert jnp.allclose(jet.value, plain(x), rtol=1e-13)
    assert jnp.allclose(jet.slope, rates[:, None] * jax.jacobian(plain)(x).T, rtol=1e-12)
    assert jnp.allclose(jet.bend, jnp.einsum("mii,i->m", hessian, rates**2), rtol=1e-12)
