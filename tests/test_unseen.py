"""A well between the points of a solution: found, and said; sound solutions are left alone."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.survey import survey


def narrow(half: float) -> qspin.Problem:
    """A well of width one and depth two, whose lowest level is -1.1877, in a box that may be far wider."""
    well = qspin.Potential(lambda x: -2 * jnp.exp(-jnp.sum((x - 0.3) ** 2)))
    return qspin.Problem(qspin.Kinetic() + well, qspin.Box.cube(half, dim=1))


def test_a_grid_that_steps_over_a_well_says_so() -> None:
    missed = qspin.solve(narrow(3000.0), 2, qspin.Grid(scheme=qspin.dvr(), points=64))
    assert missed.energies[0] > -1.0
    assert not missed.converged.any()
    assert "a well was missed" in missed.status and "at x = (0." in missed.status
    assert (np.abs(missed.energies[:1] + 1.1877) <= missed.errors[:1]).all()


def test_elements_too_long_for_a_well_say_so() -> None:
    """-1.8242 ± 7e-3 and a converged 5e-7 for -1.1877 and -0.0754: three meshes agreed on what their points saw."""
    coarse = qspin.solve(narrow(3000.0), 2, qspin.Grid(points=64))
    assert not coarse.converged.any() and "too far apart" in coarse.status
    assert (np.abs(coarse.energies - [-1.18772, -0.07543]) <= 3 * coarse.errors).all()
    fine = qspin.solve(narrow(3000.0), 2, qspin.Grid())
    assert fine.converged.all() and fine.energies == pytest.approx([-1.18771952, -0.07543243], abs=1e-7)


def test_a_grid_that_resolves_it_is_left_alone() -> None:
    problem = narrow(12.0)
    spectrum = qspin.solve(problem, 1, qspin.Grid())
    assert spectrum.converged.all() and spectrum.energies[0] == pytest.approx(-1.187719517, abs=1e-8)
    assert survey(problem).noting_missed_wells(spectrum) is spectrum


def test_a_flat_potential_has_no_wells() -> None:
    """The lowest plane wave has the energy of V itself, give or take rounding."""
    ring = qspin.Problem(qspin.Kinetic(), qspin.Box([0.0], [1.0], periodic=True))
    spectrum = qspin.solve(ring, 3, qspin.Grid())
    assert spectrum.converged.all() and len(spectrum.groups()) == 2


def test_more_states_than_are_bound_are_refused_in_space() -> None:
    """The same well binds two states; in four dimensions none."""
    for dim, n in ((1, 3), (4, 1)):
        well = qspin.Potential(lambda x: -2 * jnp.exp(-jnp.sum(x**2)))
        problem = qspin.Problem(qspin.Kinetic() + well, qspin.Space(dim))
        with pytest.raises(ValueError, match=r"binds fewer than n_states|does not confine"):
            qspin.solve(problem, n, qspin.Grid() if dim == 1 else None)
