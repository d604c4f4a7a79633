"""Signs and phases of eigenfunctions: positive by one integral, whatever the method and its noise."""

import jax.numpy as jnp
import numpy as np
import pytest
from known_spectra import oscillator
from stored_spectra import stored

import qspin
from qspin.numerics.precision import double_precision
from qspin.numerics.separable import hermite_functions
from qspin.spectrum.rotation import phase_factors

LINE = np.linspace(-9, 9, 1201)[:, None]
EVEN = np.full(1201, 18 / 1200)


@pytest.fixture(scope="module")
@double_precision()
def hermite() -> np.ndarray:
    return np.asarray(hermite_functions(jnp.asarray(LINE[:, 0]), 19)).T


def plane(hermite: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products h_m(x) h_n(y), m, n < 5, on a coarser grid."""
    x, h = LINE[::12, 0], hermite[::12, :5]
    points = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    return points, np.ones(len(points)), np.einsum("am,bn->abmn", h, h).reshape(len(points), 25)


def test_hermite_functions_keep_their_usual_signs(hermite):
    np.testing.assert_array_equal(phase_factors(LINE, EVEN, hermite), np.ones(20))
    np.testing.assert_array_equal(phase_factors(LINE, EVEN, -hermite), -np.ones(20))
    points, weights, products = plane(hermite)
    np.testing.assert_array_equal(phase_factors(points, weights, products), np.ones(25))


def test_noise_and_other_points_flip_nothing(hermite):
    """1 % of noise, other weights, a hundredth of the points, a shift of the coordinate, another length."""
    rng = np.random.default_rng(0)
    for _ in range(10):
        noisy = hermite + 0.01 * np.abs(hermite).max() * rng.normal(size=hermite.shape) * (np.abs(LINE) < 7)
        np.testing.assert_array_equal(phase_factors(LINE, EVEN, noisy), np.ones(20))
    few = np.sort(rng.choice(1201, 400, replace=False))
    np.testing.assert_array_equal(phase_factors(LINE[few], EVEN[few], hermite[few, :8]), np.ones(8))
    np.testing.assert_array_equal(phase_factors(30 + 5 * LINE, EVEN, hermite), np.ones(20))


def test_states_of_a_box(hermite):
    """sin(nπx): the lobe at the upper wall is positive."""
    x = np.linspace(0, 1, 2001)
    n = np.arange(1, 31)
    factors = phase_factors(x[:, None], np.full(2001, 1 / 2000), np.sin(np.pi * np.outer(x, n)))
    np.testing.assert_array_equal(factors, (-1.0) ** (n + 1))


def test_complex_functions_are_turned_not_flipped(hermite):
    """exp(imφ) of a ring, to whatever phase it had; a real function stays real."""
    points, weights, _ = plane(hermite)
    r, angle = np.hypot(*points.T), np.arctan2(points[:, 1], points[:, 0])
    m = np.arange(-6, 7)
    rings = r[:, None] ** np.abs(m) * np.exp(1j * np.outer(angle, m) - r[:, None] ** 2 / 2)
    turned = rings * np.exp(1j * np.linspace(0, 5, 13))
    fixed = [psi * phase_factors(points, weights, psi) for psi in (rings, turned)]
    np.testing.assert_allclose(fixed[0], fixed[1], atol=1e-9)
    np.testing.assert_allclose(np.abs(phase_factors(points, weights, turned)), 1)
    assert phase_factors(points, weights, r[:, None]).dtype == float


def test_a_tie_is_left_to_the_largest_value():
    """Two points mirrored in a third: whatever grows along x + 0·y cannot tell; on one node nothing can."""
    np.testing.assert_array_equal(phase_factors(np.zeros((1, 1)), np.ones(1), np.array([[-2.0]])), [-1])
    tie = np.array([[-1.0], [1.0]])
    assert phase_factors(np.zeros((2, 1)), np.ones(2), tie)[0] == -1


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_what_has_no_sign_keeps_its_own(value):
    np.testing.assert_array_equal(phase_factors(LINE, EVEN, np.full((1201, 2), value)), [1, 1])


def test_every_method_gives_the_same_signs(tmp_path):
    """A tilted double well by three grids and a basis; and from files, an oscillator by Ritz."""
    v = qspin.Potential(lambda x: 0.25 * x[0] ** 4 - x[0] ** 2 + 0.05 * x[0])
    problem = qspin.Problem(qspin.Kinetic() + v, qspin.Box.cube(5.0, dim=1))
    methods = [
        qspin.Grid(),
        qspin.Grid(points=200, scheme=qspin.differences(4)),
        qspin.Grid(points=200, scheme=qspin.elements(6)),
        qspin.ProductBasis(max_functions=60),
    ]
    x = np.linspace(-4, 4, 81)[:, None]
    values = []
    for method in methods:
        spectrum = qspin.solve(problem, 6, method)
        values.append(spectrum(x))
    for other in values[1:]:
        np.testing.assert_allclose(other, values[0], atol=0.02)
    np.testing.assert_array_equal(qspin.load(spectrum.save(tmp_path / "s.npz"))(x), values[-1])
    ritz, hermite = stored("ritz"), oscillator(2, 1)
    np.testing.assert_allclose(ritz(x), hermite(x), atol=0.02)
