"""The best Gaussian: exact where V is harmonic, all wells found, and no settling where nothing confines."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.wells import gaussian_wells
from qspin.numerics.precision import double_precision


def problem(v, dim: int) -> qspin.Problem:  # type: ignore[no-untyped-def]
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Space(dim))


@double_precision()
def test_normal_coordinates_of_coupled_oscillators() -> None:
    """Energy ½Σν, and axes in which V is ½Σ ν y² (times ν for the width)."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(5, 5))
    matrix, place = a @ a.T + np.eye(5), rng.normal(size=5)
    (well,) = gaussian_wells(problem(lambda x: 0.5 * (x - place) @ jnp.asarray(matrix) @ (x - place), 5))
    frequencies = np.sqrt(np.linalg.eigvalsh(matrix))
    assert well.energy == pytest.approx(frequencies.sum() / 2, rel=1e-10)
    assert np.allclose(well.centre, place, atol=1e-6)
    assert np.allclose(well.axes.T @ matrix @ well.axes, np.diag(frequencies), atol=1e-6)
    assert np.allclose(2 * well.rates**2, frequencies, rtol=1e-8)


@double_precision()
def test_the_users_axes_are_kept_on_request() -> None:
    matrix = np.array([[2.0, 0.5], [0.5, 1.0]])
    (well,) = gaussian_wells(problem(lambda x: 0.5 * x @ jnp.asarray(matrix) @ x, 2), rotate=False)
    assert np.allclose(np.abs(well.axes) > 1e-12, np.eye(2)[:, ::-1])
    assert well.energy == pytest.approx((np.sqrt(2.0) + 1.0) / 2, rel=1e-9)


@double_precision()
def test_the_best_gaussian_in_a_quartic_well() -> None:
    """-½ψ″ + x⁴: 0.66799 (tabulated); the best Gaussian is 2 % above it, with A³ = 6 (A of exp(-½Ax²)); a sample finds it to a
    percent."""
    (well,) = gaussian_wells(problem(lambda x: jnp.sum(x**4), 1))
    width = 6 ** (1 / 3)
    assert well.energy == pytest.approx(width / 4 + 0.75 / width**2, rel=1.5e-2)
    assert 2 * well.rates[0] ** 2 == pytest.approx(width, rel=1.5e-2)


@double_precision()
def test_both_wells_are_found() -> None:
    wells = gaussian_wells(problem(lambda x: 2 * (x[0] ** 2 - 4) ** 2 + jnp.sum(x[1:] ** 2), 4))
    assert len(wells) == 2
    assert sorted(w.centre[0] for w in wells) == pytest.approx([-1.95, 1.95], abs=0.03)
    assert wells[0].energy == pytest.approx(wells[1].energy, rel=1e-6)


@double_precision()
@pytest.mark.parametrize("v", [lambda x: x[0] ** 2, lambda x: 0.0 * x[0], lambda x: x[0] ** 2 - x[1] ** 4])
def test_where_nothing_confines(v) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="does not confine along"):
        gaussian_wells(problem(v, 2))
