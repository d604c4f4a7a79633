"""Mean-field products: exact where V is a sum, and points spread as they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.mean_field import (
    OPEN,
    PERIODIC,
    WALLED,
    Reference,
    logarithm,
    product_reference,
    series,
)
from qspin.methods.locate.wells import Well, gaussian_wells
from qspin.numerics.precision import double_precision


def problem(v, domain: qspin.Box) -> qspin.Problem:  # type: ignore[no-untyped-def]
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), domain)


def separable() -> tuple[qspin.Problem, Reference]:
    omega = np.array([1.0, 1.3, 0.8])
    p = problem(lambda x: jnp.sum(0.5 * omega**2 * x**2 + 0.1 * x**4), qspin.Box.cube(9.0, dim=3))
    return p, product_reference(p, gaussian_wells(p)[0], (OPEN,) * 3, 8)


@double_precision()
def test_sums_of_one_dimensional_levels() -> None:
    _, reference = separable()
    levels = []
    for w in (0.8, 1.0, 1.3):
        v = qspin.Potential(lambda x, w=w: 0.5 * w**2 * x[0] ** 2 + 0.1 * x[0] ** 4)
        one = qspin.Problem(qspin.Kinetic() + v, qspin.Box.cube(9.0, dim=1))
        levels.append(qspin.solve(one, 4, qspin.Grid()).energies)
    sums = np.sort(sum(np.meshgrid(*levels, indexing="ij")).ravel())
    assert reference.n_products >= 8
    assert reference.energies[:8] == pytest.approx(sums[:8] - sums[0], rel=1e-6)
    assert (reference.levels.sum(1)[:2] == [0, 1]).all()


@double_precision()
def test_three_kinds_of_axes() -> None:
    """A harmonic axis, walls with nothing between, and a circle: levels n, n²π²/8, and n²π²/2 in pairs."""
    p = problem(
        lambda x: 0.5 * x[0] ** 2, qspin.Box([-9.0, -1.0, -1.0], [9.0, 1.0, 1.0], [False, False, True])
    )
    well = Well(np.zeros(3), np.diag([1.0, 1.0, 1.0]), np.full(3, np.sqrt(0.5)), 0.0)
    reference = product_reference(p, well, (OPEN, WALLED, PERIODIC), 12)
    wanted = np.sort(
        [
            n + np.pi**2 / 8 * (m**2 - 1) + np.pi**2 / 2 * k**2
            for n in range(9)
            for m in range(1, 4)
            for k in (0, 1, 1, 2, 2)
            if k < 3
        ]
    )
    assert reference.energies[:12] == pytest.approx(wanted[:12], abs=1e-6)


@double_precision()
@pytest.mark.parametrize("kind", [OPEN, WALLED, PERIODIC])
def test_series_and_logarithms_know_their_derivatives(kind: int) -> None:
    z, bent = jnp.array([0.3]), jnp.asarray(0.1 * np.random.default_rng(0).normal(size=(1, 5)))
    for function in (lambda t: series((kind,), t, 7)[0][0], lambda t: logarithm((kind,), bent, t)[0]):
        _, first, second = series((kind,), z, 7) if function(z).shape == (7,) else logarithm((kind,), bent, z)
        assert jnp.allclose(jax.jacfwd(function)(z)[:, 0], first.ravel(), rtol=1e-10)
        assert jnp.allclose(jax.jacfwd(jax.jacfwd(function))(z)[:, 0, 0], second.ravel(), rtol=1e-9)


@double_precision()
def test_points_have_the_density_they_say() -> None:
    """Of a known normal density the weighted points give the integral and the second moments."""
    _, reference = separable()
    unit = jax.random.uniform(jax.random.key(0), (100_000, 4))
    x = reference.points(unit)
    y = (np.asarray(x) - reference.centre) @ np.linalg.inv(reference.axes).T
    density = np.exp(-np.sum(y**2, axis=1)) * np.pi**-1.5 / abs(np.linalg.det(reference.axes))
    share = density / np.exp(np.asarray(reference.log_density(x)))
    assert share.mean() == pytest.approx(1.0, abs=0.01)
    assert (share[:, None] * y**2).mean(0) == pytest.approx(np.full(3, 0.5), abs=0.01)
    assert np.isneginf(reference.log_density(x + 1e3)).all()
