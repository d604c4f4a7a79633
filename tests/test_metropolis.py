"""MALA: known moments, acceptance near its aim, and correlation that is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.methods.sampled.metropolis import autocorrelation_time, start, walk
from qspin.numerics.precision import double_precision


@double_precision()
def test_a_correlated_normal_density_and_a_double_well() -> None:
    """Covariances of the first; both wells of the second in equal shares."""
    covariance = np.array([[1.0, 0.6], [0.6, 0.5]])
    inverse = jnp.asarray(np.linalg.inv(covariance))

    def normal(x):  # type: ignore[no-untyped-def]
        return -x @ inverse @ x / 2

    def wells(x):  # type: ignore[no-untyped-def]
        return -((x[0] ** 2 - 1) ** 2) - x[1] ** 2

    x = jax.random.normal(jax.random.key(0), (4000, 2))
    moved = walk(normal, start(normal, x, 0.5), jax.random.key(1), 150)
    assert np.cov(np.asarray(moved.x).T) == pytest.approx(covariance, abs=0.06)
    assert moved.accepted == pytest.approx(0.57, abs=0.08)
    moved = walk(wells, start(wells, jnp.abs(x), 0.5), jax.random.key(2), 300)
    assert np.mean(np.asarray(moved.x[:, 0]) > 0) == pytest.approx(0.5, abs=0.05)


@double_precision()
def test_points_where_the_density_is_not_finite_are_never_taken() -> None:
    def half(x):  # type: ignore[no-untyped-def]
        return jnp.where(x[0] > 0, -x[0], jnp.nan)

    moved = walk(half, start(half, jnp.ones((500, 1)), 1.0), jax.random.key(0), 200)
    assert np.asarray(moved.x).min() > 0
    assert np.mean(moved.x) == pytest.approx(1.0, abs=0.15)


def test_the_correlation_of_a_known_series() -> None:
    """x ← ρx + noise has 1 + 2ρ/(1 - ρ) = (1 + ρ)/(1 - ρ) draws for an independent one."""
    rng, rho = np.random.default_rng(0), 0.8
    x = np.zeros((4000, 50))
    for t in range(1, 4000):
        x[t] = rho * x[t - 1] + rng.normal(size=50)
    assert autocorrelation_time(x[100:]) == pytest.approx(9.0, rel=0.1)
    assert autocorrelation_time(np.ones((10, 3))) == 1.0
