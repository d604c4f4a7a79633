"""The referee for four to eight dimensions: against closed forms, one-dimensional sums and grids; never below the truth."""

import itertools
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import qspin
from qspin import exact, potentials
from qspin.methods.product_basis.basis import Polynomial, position_powers, window
from qspin.methods.product_basis.driver import ProductBasis
from qspin.numerics.precision import double_precision
from qspin.numerics.separable import hermite_functions, lowest_products, products_below


def problem_of(v: Any, dim: int, half_width: float = 12.0, **options: Any) -> qspin.Problem:
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(half_width, dim=dim), **options)


def solve(problem: qspin.Problem, n: int, **settings: Any) -> qspin.Spectrum:
    return qspin.solve(problem, n, ProductBasis(**settings))


def sums_of(levels: list[np.ndarray], n: int) -> np.ndarray:
    return np.sort([sum(choice) for choice in itertools.product(*levels)])[:n]


def assert_upper_bounds(spectrum: qspin.Spectrum, truth: np.ndarray, doubt: Any = 0.0) -> None:
    """Above the truth, by no more than claimed; `doubt` in the truth itself, and rounding."""
    off = spectrum.energies - truth
    slack = doubt + 1e-12 * np.abs(truth).max()
    assert (off >= -slack).all()
    assert (off <= spectrum.errors + slack).all()


def test_oscillators_are_exact() -> None:
    omegas = (1.0, 1.5, 2.0, 2.5)
    problem = problem_of(potentials.harmonic(omegas), 4, exact=exact.harmonic(omegas))
    spectrum = solve(problem, 30, max_functions=600)
    assert np.abs(spectrum.energies - exact.harmonic(omegas)(30)).max() < 1e-10
    assert (spectrum.errors < 1e-10).all()
    assert spectrum.converged.all()


@pytest.fixture(scope="module")
def quartics() -> qspin.Spectrum:
    """½ ω² q² + 0.05 q⁴ on four axes, in few functions."""
    omega = np.array([1.0, 1.2, 1.5, 1.9])
    return solve(problem_of(lambda q: jnp.sum(0.5 * omega**2 * q**2 + 0.05 * q**4), 4), 12, max_functions=900)


def test_separable_quartics_are_sums_within_the_claimed_error(quartics: qspin.Spectrum) -> None:
    levels, doubt = [], 0.0
    for omega in (1.0, 1.2, 1.5, 1.9):
        one = solve(
            problem_of(lambda q, w=omega: 0.5 * w**2 * q[0] ** 2 + 0.05 * q[0] ** 4, 1), 8, tolerance=1e-12
        )
        levels.append(one.energies)
        doubt += one.errors.max()
    assert_upper_bounds(quartics, sums_of(levels, 12), doubt)
    assert quartics.errors.max() < 1e-4  # and not by claiming nothing


def test_one_dimension_against_bender_and_orszag() -> None:
    """-u'' + x⁴: 1.060362090484."""
    problem = qspin.Problem(
        qspin.Kinetic(mass=0.5) + qspin.Potential(potentials.quartic()), qspin.Box.cube(8.0, dim=1)
    )
    spectrum = solve(problem, 2)
    assert spectrum.energies[0] == pytest.approx(1.060362090484, abs=1e-11)
    assert spectrum.errors[0] < 1e-10


def test_coupled_oscillators_have_their_normal_modes() -> None:
    """Different masses, a random symmetric force matrix: ω² are eigenvalues of m^(-½) K m^(-½)."""
    rng = np.random.default_rng(3)
    masses, root = np.array([1.0, 2.0, 0.5, 3.0, 1.5]), rng.normal(size=(5, 5))
    force = root @ root.T + np.eye(5)
    omegas = np.sqrt(np.linalg.eigvalsh(force / np.sqrt(np.outer(masses, masses))))
    centre = rng.normal(size=5)
    problem = qspin.Problem(
        qspin.Kinetic(mass=tuple(masses))
        + qspin.Potential(lambda x: 0.5 * (x - centre) @ jnp.asarray(force, x.dtype) @ (x - centre) - 7.0),
        qspin.Box.cube(14.0, dim=5),
    )
    spectrum = solve(problem, 20, max_functions=600)
    assert np.abs(spectrum.energies - (exact.harmonic(tuple(omegas))(20) - 7.0)).max() < 1e-9


def bound_henon_heiles(x: Any) -> Any:
    """With λ²/16 r⁴ (Eastes & Marcus), which bounds it from below."""
    strength, square = 0.2, x[0] ** 2 + x[1] ** 2
    return 0.5 * square + strength * (x[0] ** 2 * x[1] - x[1] ** 3 / 3) + strength**2 / 16 * square**2


def test_two_dimensions_against_a_grid() -> None:
    problem = problem_of(bound_henon_heiles, 2, 9.0)
    grid = qspin.solve(problem, 8, qspin.Grid())
    for most in (60, 2000):
        spectrum = solve(problem, 8, max_functions=most)
        assert_upper_bounds(spectrum, grid.energies, grid.errors)
    assert spectrum.errors.max() < 1e-9


def test_the_error_falls_with_the_basis_and_holds() -> None:
    """A chain of anharmonic springs in four dimensions; truth from many more functions."""

    def chain(q: Any) -> Any:
        return 0.5 * jnp.sum(q**2) + 0.1 * jnp.sum((q[1:] - q[:-1]) ** 4)

    problem = problem_of(chain, 4)
    truth = solve(problem, 8, max_functions=4000)
    assert truth.errors.max() < 2e-9
    errors = []
    for most in (150, 450, 1350):
        spectrum = solve(problem, 8, max_functions=most)
        assert_upper_bounds(spectrum, truth.energies, truth.errors)
        assert np.median((spectrum.energies - truth.energies) / spectrum.errors) > 0.1  # nor far too large
        errors.append(spectrum.errors.max())
    assert errors[0] > 10 * errors[1] > 100 * errors[2]


def test_all_of_a_degenerate_level_is_found() -> None:
    """½ r² + 0.1 r⁴ in four dimensions: levels of 1, 4, 9 and 1 states."""
    problem = problem_of(lambda q: 0.5 * jnp.sum(q**2) + 0.1 * jnp.sum(q**2) ** 2, 4)
    spectrum = solve(problem, 15, max_functions=1500)
    assert [len(group) for group in spectrum.groups()] == [1, 4, 9, 1]


def test_both_members_of_a_doublet() -> None:
    """A double well on one of four axes, its wells six widths apart: sums of levels of one axis, which a grid knows."""

    def well(x: Any) -> Any:
        return 0.1 * (x**2 - 9.0) ** 2

    rest = np.array([1.0, 1.3, 1.7])
    problem = problem_of(lambda q: well(q[2]) + 0.5 * jnp.sum(rest**2 * q[np.array([0, 1, 3])] ** 2), 4)
    spectrum = solve(problem, 6, max_functions=1000)
    one = qspin.solve(problem_of(lambda q: well(q[0]), 1, 9.0), 6, qspin.Grid())
    levels = [one.energies, *((np.arange(6) + 0.5) * w for w in (1.0, 1.3, 1.7))]
    assert_upper_bounds(spectrum, sums_of(levels, 6), one.errors.max())
    splitting = spectrum.energies[1] - spectrum.energies[0]
    assert 0 < splitting < 1e-3
    assert splitting == pytest.approx(one.energies[1] - one.energies[0], abs=2 * spectrum.errors[1])


def test_walls_within_reach_are_in_the_error() -> None:
    """An oscillator in a box too small, in two dimensions: energies of free space, and an error that covers the walls."""
    problem = problem_of(potentials.harmonic((1.0, 1.0)), 2, 3.5)
    spectrum = solve(problem, 3, max_functions=200)
    grid = qspin.solve(problem, 3, qspin.Grid())
    assert spectrum.energies == pytest.approx([1.0, 2.0, 2.0], abs=1e-10)
    raised = grid.energies - spectrum.energies
    assert (raised <= 2 * spectrum.errors).all()
    assert (raised >= spectrum.errors / 4).all()
    assert "States 0–2: the energy is that of free space" in spectrum.status
    assert not spectrum.converged.any()


def test_functions_are_orthonormal_and_solve_the_equation(quartics: qspin.Spectrum) -> None:
    """On the quasi-random quadrature of 8192 points, to a few per cent; residuals as in the matrix; the virial theorem."""
    points, weights = quartics.eigenfunctions.quadrature()
    psi = quartics(points)
    assert np.abs(psi.T @ (weights[:, None] * psi) - np.eye(12)).max() < 0.03
    omega = np.array([1.0, 1.2, 1.5, 1.9])

    def v(q: Any) -> Any:
        return jnp.sum(0.5 * omega**2 * q**2 + 0.05 * q**4)

    off = quartics.eigenfunctions.image(qspin.Kinetic() + qspin.Potential(v)) - psi * quartics.energies
    assert np.sqrt(weights @ off**2) == pytest.approx(quartics.residuals, rel=0.3)
    slope = quartics.expect(lambda q: jnp.sum(omega**2 * q**2 + 0.2 * q**4))
    assert quartics.energies - quartics.expect(v) == pytest.approx(slope / 2, rel=0.03)


def test_the_ground_state_of_an_oscillator_is_a_gaussian() -> None:
    omegas = np.array([1.0, 1.5, 2.0])
    spectrum = solve(problem_of(potentials.harmonic(tuple(omegas)), 3), 3, max_functions=100)
    x = np.random.default_rng(0).normal(size=(40, 3))
    gaussian = np.prod(omegas / np.pi) ** 0.25 * np.exp(-(x**2 @ omegas) / 2)
    assert np.abs(spectrum(x)[:, 0]) == pytest.approx(gaussian, abs=1e-9)
    assert spectrum(np.zeros((0, 3))).shape == (0, 3)


def test_recorded_and_restored_they_are_the_same(quartics: qspin.Spectrum, tmp_path: Path) -> None:
    functions = quartics.eigenfunctions
    again = qspin.load(quartics.save(tmp_path / "quartics.npz")).eigenfunctions
    x = np.random.default_rng(1).uniform(-2, 2, (20, 4))
    assert np.array_equal(functions(x), again(x))
    assert np.array_equal(functions.quadrature()[0], again.quadrature()[0])


@pytest.mark.parametrize(
    ("v", "said"),
    [
        (
            lambda q: jnp.sum(q**2) + jnp.exp(-(q[0] ** 2)),
            r"not a polynomial of degree ≤ 6.*at x = \(.*Raise degree",
        ),
        (
            lambda q: jnp.sum(q**2) + 0.1 * jnp.sum(q**8),
            r"not a polynomial of degree ≤ 6",
        ),
        (
            lambda q: 0.5 * jnp.sum(q**2) + 0.3 * q[0] ** 3,
            r"falls without bound far out, .* only 0 functions end before",
        ),
    ],
    ids=["exponential", "eighth degree", "cubic"],
)
def test_what_is_no_bounded_polynomial_is_refused(v: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        solve(problem_of(v, 2, 5.0), 2, max_functions=100)


def test_levels_of_a_well_behind_a_barrier(tmp_path: Path) -> None:
    """A quartic force field of water (cm⁻¹; harmonic frequencies and derivatives of V), which falls far out: its levels agree
    with a grid's in a box of ±5. A note says that V falls."""
    terms = [
        ([3, 0, 0], -352.2), ([2, 1, 0], -92.8), ([1, 2, 0], 120.4), ([0, 3, 0], -1807.8), ([1, 0, 2], 233.0),
        ([0, 1, 2], -1813.4), ([4, 0, 0], -103.2), ([3, 1, 0], 46.8), ([2, 2, 0], 13.2), ([2, 0, 2], -10.4),
        ([1, 3, 0], -84.0), ([0, 4, 0], 744.0), ([0, 2, 2], 770.8), ([1, 1, 2], -91.6), ([0, 0, 4], 775.2),
    ]  # fmt: skip
    written = ", ".join(f"[{powers}, {k}]" for powers, k in terms)
    path = tmp_path / "water.toml"
    path.write_text(f"units = 'cm^-1'\nfrequencies = [1639.13, 3799.52, 3899.8]\nterms = [{written}]\n")
    field = potentials.force_field(path)
    masses = tuple(1 / np.array([1639.13, 3799.52, 3899.8]))
    box = qspin.Box.cube(5.0, dim=3)
    spectrum = solve(qspin.Problem(qspin.Kinetic(mass=masses) + qspin.Potential(field), box), 2)
    assert spectrum.energies == pytest.approx([4635.1104, 6241.8149], abs=2e-4)
    assert spectrum.converged.all() and (spectrum.errors < 1e-3).all()
    assert [note.kind for note in spectrum.notes][:1] == ["falls"]
    assert "behind a barrier of 11260" in spectrum.status


def test_states_leave_through_a_low_barrier() -> None:
    """½q² - 0.1q³ falls beyond 10/3, where it is 50/27: the lowest state tunnels, and what lies above is no state."""
    v = window(Polynomial(np.array([[2], [3]]), np.array([0.5, -0.1])), np.sqrt([0.5]))
    assert v.distance == pytest.approx(10 / 3, rel=0.02) and v.barrier == pytest.approx(50 / 27, rel=1e-3)
    action = quad(lambda q: np.sqrt(max(q**2 - 0.2 * q**3 - 2.0, 0)), 1, 5, points=[1.75, 4.5], limit=200)[0]
    assert v.leaving(np.array([1.0, 3.0])) == pytest.approx(
        [np.exp(-2 * action), 1.0], rel=0.05
    )  # radii 2 % apart


def test_a_fall_along_a_ray_where_the_highest_terms_vanish_is_seen() -> None:
    """x⁴ + ½x² + ½y² - 0.1y³ falls along y alone; (x² - y²)² + ½x² + ½y² nowhere, although its highest terms vanish."""
    powers = np.array([[4, 0], [2, 0], [0, 2], [0, 3], [0, 4], [2, 2]])
    rates = np.sqrt([0.5, 0.5])
    falls, rises = (
        window(Polynomial(powers, np.array(c)), rates)
        for c in ([1, 0.5, 0.5, -0.1, 0, 0], [1, 0.5, 0.5, 0, 1, -2])
    )
    assert falls.barrier == pytest.approx(50 / 27, rel=1e-3) and falls.distance == pytest.approx(
        10 / 3, rel=0.02
    )
    assert np.isinf(rises.barrier) and (rises.leaving(np.ones(2)) == 0).all()


def test_higher_degrees_where_they_are_asked_for() -> None:
    problem = problem_of(lambda q: 0.5 * jnp.sum(q**2) + 0.01 * q[0] ** 8, 2, 6.0)
    spectrum = solve(problem, 4, max_functions=1000, degree=8)
    grid = qspin.solve(problem, 4, qspin.Grid())
    assert_upper_bounds(spectrum, grid.energies, grid.errors)


@pytest.mark.parametrize(
    ("problem", "n", "said"),
    [
        (problem_of(potentials.harmonic(1.0), 9), 2, "1 to 8 dimensions, got 9"),
        (problem_of(potentials.harmonic(1.0), 4), 50, "less than a fourth of the 200 functions, got 50"),
        (
            qspin.Problem(
                qspin.Kinetic() + qspin.Potential(potentials.coulomb(), singularities=[(0.0, 0.0, 0.0)]),
                qspin.Box.cube(20.0, dim=3),
            ),
            2,
            "declared singular",
        ),
        (qspin.Problem(qspin.Kinetic(), qspin.Box([0.0], [1.0], periodic=True)), 2, "not periodic"),
        (qspin.Problem(qspin.graph_laplacian(3, [(0, 1), (1, 2)]), qspin.Nodes(3)), 1, "matrices"),
    ],
)
def test_what_it_cannot_do_is_refused(problem: qspin.Problem, n: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        solve(problem, n, max_functions=200)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"max_functions": 5}, "max_functions must be an integer of at least 20, got 5"),
        ({"degree": 1}, "degree must be an integer of at least 2, got 1"),
        ({"tolerance": 2.0}, "tolerance must be from 1e-14 to 1, got 2.0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ProductBasis(**settings)


# --- the parts


def test_sets_of_products() -> None:
    weights = np.array([0.7, 1.0, 1.9])
    ladders = np.outer(weights, np.arange(60))
    few = {tuple(n) for n in products_below(ladders, 6.0).tolist()}
    assert few == {n for n in itertools.product(range(10), repeat=3) if np.dot(weights, n) <= 6.0}
    for most in (1, 7, 500):
        quanta, sums = lowest_products(ladders, most)
        assert len(quanta) >= most and sums == pytest.approx(quanta @ weights)
        assert (np.diff(sums) >= 0).all() and sums[-1] == pytest.approx(sums[most - 1], rel=1e-6)
        assert len(products_below(ladders, sums[-1] + 1e-6)) == len(quanta)  # none below the last is missing
    ladders[0, 2:] = np.inf  # an axis with two functions
    assert lowest_products(ladders, 100)[0][:, 0].max() == 1
    assert len(lowest_products(ladders[:1], 100)[0]) == 2


def test_powers_of_the_position_by_quadrature() -> None:
    """⟨m|y^k|n⟩ by Gauss–Hermite, exact for these degrees."""
    y, w = np.polynomial.hermite.hermgauss(30)
    with double_precision():
        h = np.asarray(hermite_functions(jnp.asarray(y), 12)) * np.exp(y**2 / 2) * np.sqrt(w)
    table = position_powers(8, 4)
    for k, shift, n in itertools.product(range(5), range(-4, 5), range(9)):
        expected = h[n + shift] @ (y**k * h[n]) if n + shift >= 0 else 0.0
        assert table[k, 4 + shift, n] == pytest.approx(expected, abs=1e-11)
