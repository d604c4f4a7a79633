"""A problem's centres, its potential's values, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from qspin.methods.locate.survey import survey
from qspin.problem.domain import Box
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem


def coulomb(charge=1.0, centre=0.0):
    return lambda x: -charge / jnp.linalg.norm(x - centre)


def hydrogen(dim, mass, charge=1.0, half_width=20.0):
    v = Potential(coulomb(charge), singularities=[(0.0,) * dim])
    return Problem(Kinetic(mass=mass) + v, Box.cube(half_width, dim=dim))


# --- centres


@pytest.mark.parametrize(
    ("dim", "mass", "charge", "length"),
    [(2, 0.5, 1.0, 1.0), (2, 1.0, 1.0, 0.5), (3, 1.0, 1.0, 1.0), (3, 1.0, 2.0, 0.5), (2, 0.5, 2.0, 0.5)],
)
@pytest.mark.parametrize("half_width", [20.0, 50.0])
def test_a_coulomb_centres_strength_length_and_cusp(dim, mass, charge, length, half_width):
    """Kato: ψ ∝ 1 - Z/(c (dim - 1)) r with c = 1/(2 mass)."""
    (centre,) = hydrogen(dim, mass, charge, half_width).centres
    assert centre.position == (0.0,) * dim
    assert centre.strength == pytest.approx(charge, rel=1e-8)
    assert centre.length == pytest.approx(length, rel=1e-8)
    assert centre.cusp == pytest.approx(-1 / length, rel=1e-8)


def test_each_of_several_centres_is_read_without_the_others():
    """The other nucleus adds a constant near the first, to second order in the radius of 4e-6."""
    places = [(-1.0, 0.0, 0.0), (1.0, 0.5, 0.0)]
    v = Potential(
        lambda x: sum(
            coulomb(z, jnp.asarray(p, x.dtype))(x) for z, p in zip([1.0, 3.0], places, strict=True)
        ),
        singularities=places,
    )
    first, second = Problem(Kinetic() + v, Box.cube(20.0, dim=3)).centres
    assert (first.position, second.position) == tuple(places)
    assert first.strength == pytest.approx(1.0, abs=1e-9)
    assert second.strength == pytest.approx(3.0, abs=1e-9)
    assert second.cusp == pytest.approx(-3.0, abs=1e-9)


def test_a_constant_in_the_potential_does_not_count_as_charge():
    v = Potential(lambda x: coulomb()(x) + 1000.0, singularities=[(0.0, 0.0)])
    (centre,) = Problem(Kinetic(mass=0.5) + v, Box.cube(50.0, dim=2)).centres
    assert centre.cusp == pytest.approx(-1.0, abs=1e-9)


def test_a_repulsive_centre_bends_upwards():
    (centre,) = hydrogen(3, 1.0, charge=-1.0).centres
    assert (centre.strength, centre.length, centre.cusp) == pytest.approx((-1.0, 1.0, 1.0), rel=1e-8)


def test_no_cusp_is_claimed_where_none_is_known():
    (anisotropic,) = hydrogen(2, mass=(0.5, 1.0)).centres
    (line,) = hydrogen(1, mass=1.0).centres
    smooth = Potential(lambda x: jnp.sum(x**2), singularities=[(0.0, 0.0)])
    (harmless,) = Problem(Kinetic() + smooth, Box.cube(1.0, dim=2)).centres
    assert anisotropic.cusp == line.cusp == harmless.cusp == 0.0
    assert anisotropic.length == pytest.approx(0.75, rel=1e-8)  # of the mean of 1/(2 mass)
    assert harmless.length == pytest.approx(0.05 * 2.0)  # as wide as a length may be


def test_without_singularities_there_are_no_centres():
    assert Problem(Kinetic(), Box(0.0, 1.0)).centres == ()


# --- the potential's values


def test_potential_values_are_float64_whatever_the_flag():
    problem = Problem(Kinetic() + 2.0 * Potential(lambda x: jnp.sum(x**2)), Box.cube(1.0, dim=2))
    points = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    values = problem.potential_values(points)
    assert values.dtype == np.float64 and values.shape == (50,)
    np.testing.assert_allclose(values, 2 * (points**2).sum(1), rtol=1e-14)


@pytest.mark.parametrize(
    ("v", "value"),
    [
        (lambda x: jnp.log(x[0]), "nan"),
        (lambda x: jnp.where(x[1] > 0.5, jnp.inf, 0.0), "inf"),
        (lambda x: jnp.where(x[0] < -1 + 1e-7, -jnp.inf, 0.0), "-inf"),  # at the wall alone
    ],
)
def test_a_potential_that_is_not_finite_is_refused_at_a_named_point(v, value):
    problem = Problem(Kinetic() + Potential(v), Box.cube(1.0, dim=2))
    with pytest.raises(ValueError, match=r"must be finite at every sampled point") as refused:
        survey(problem).check()
    message = str(refused.value)
    assert f"Potential: V is {value} at x = (" in message
    named = [float(c) for c in message.split("x = (")[1].split(")")[0].split(",")]
    assert not np.isfinite(float(v(jnp.asarray(named))))


def test_an_undeclared_centre_in_the_middle_is_found_and_a_declared_one_accepted():
    box = Box.cube(5.0, dim=2)
    with pytest.raises(ValueError, match=r"V is -inf at x = \(0, 0\).*singularities="):
        survey(Problem(Kinetic() + Potential(coulomb()), box)).check()
    survey(Problem(Kinetic() + Potential(coulomb(), singularities=[(0.0, 0.0)]), box)).check()


# --- the closed form


def test_exact_energies_give_one_more_where_there_is_one():
    def three_levels(n):
        if n > 3:
            raise ValueError("only three")
        return np.arange(n) + 0.5

    problem = Problem(Kinetic(), Box(0.0, 1.0), exact=three_levels)
    assert problem.exact_energies(2).tolist() == [0.5, 1.5, 2.5]
    assert problem.exact_energies(3).tolist() == [0.5, 1.5, 2.5]
    assert problem.exact_energies(4) is None
    assert Problem(Kinetic(), Box(0.0, 1.0)).exact_energies(2) is None


# --- what is refused


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"hamiltonian": jnp.sum}, r"hamiltonian must be an operator such as Kinetic\(\)"),
        ({"domain": [(-1, 1)]}, "domain must be a Box"),
        ({"exact": [1.0, 2.0]}, r"exact must be a function n -> \(n,\)"),
    ],
)
def test_a_problem_of_the_wrong_things_is_refused(wrong, message):
    problem = object.__new__(Problem)  # past __init__, where the suite's own check of types would come first
    problem.__dict__.update({"hamiltonian": Kinetic(), "domain": Box.cube(1.0, dim=2)} | wrong)
    with pytest.raises(TypeError, match=message):
        problem.__post_init__()


@pytest.mark.parametrize(
    ("hamiltonian", "message"),
    [
        (Potential(jnp.sum), "needs a positive kinetic energy on every axis"),
        (-Kinetic(), "needs a positive kinetic energy"),
        (Kinetic() - Kinetic(), "needs a positive kinetic energy"),
        (
            Kinetic() + Potential(coulomb(), singularities=[(3.0, 0.0)]),
            r"singularity \(3.0, 0.0\) lies outside",
        ),
        (Kinetic(mass=(1.0,)), "mass has 1 entries, the domain has 2 axes"),
        (Kinetic() + Potential(lambda x: x), "must be a scalar for one point"),
    ],
)
def test_a_hamiltonian_that_does_not_fit_is_refused(hamiltonian, message):
    with pytest.raises(ValueError, match=message):
        Problem(hamiltonian, Box.cube(1.0, dim=2))
