"""`Spectrum.bounds`: enclosures of V, coarse lower bounds, intervals; and what is refused."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.bounds.coarse import lower_bounds
from qspin.methods.bounds.enclosure import Enclosure

TURNED = np.array([0.5, 0.5]) @ np.sqrt([0.7, 1.3]) + [0.0, np.sqrt(0.7)]  # oscillators turned by 45°
OSCILLATOR = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic()), qspin.Box(-8.0, 8.0)
)


@pytest.fixture(scope="module")
def oscillator():
    return qspin.solve(OSCILLATOR, 2, method=qspin.Grid())


def bounds_of(oscillator, v, box, energies):
    """The bounds of as many states of another problem: only the energies of a spectrum are read."""
    problem = qspin.Problem(qspin.Kinetic() + qspin.Potential(v), box)
    e = np.asarray(energies, float)
    same = replace(
        oscillator, energies=e, errors=0 * e, residuals=0 * e, converged=e < np.inf, wall_shifts=None
    )
    return same.bounds(problem)


def everything(x):
    """Every operation that has an enclosure."""
    y = jnp.array([[1.0, 2.0], [3.0, 4.0]]) @ x
    smooth = (
        jnp.sin(x[0]) * jnp.cos(y[1])
        + jnp.tan(0.2 * x[0])
        + jnp.sinh(x[1])
        - jnp.cosh(x[0])
        + jnp.arctan(y[0])
    )
    special = (
        jax.scipy.special.erf(x[1]) + jax.nn.sigmoid(y[0]) + jnp.tanh(y[1]) + jnp.expm1(x[0]) + jnp.exp2(x[1])
    )
    roots = (
        jnp.sqrt(1 + x[0] ** 2)
        + jax.lax.rsqrt(2 + x[1] ** 2)
        + jnp.cbrt(x[0] + 9)
        + (x[1] + 9) ** 1.5
        + (x[0] + 9) ** x[1]
    )
    logs = (
        jnp.log(9 + y[0] / 8)
        + jnp.log1p(x[0] ** 2)
        + jnp.exp(-jnp.square(x[0])) / (3 + x[1])
        + (x[0] + 8) ** -3
    )
    return (
        smooth
        + special
        + roots
        + logs
        + x @ x
        + jnp.sum(jnp.concatenate([x, -y]) ** 3)
        + jnp.stack([x, y])[1, 0]
    )


def test_taylor_series_contain_v(x64):
    rng, half, order = np.random.default_rng(0), 0.05, 7
    centres = rng.uniform(-1.5, 1.5, (40, 2))
    enclosure, widths = Enclosure(everything, 2), np.full((40, 2), half)
    about, over = enclosure(centres, 0 * widths, order), enclosure(centres, widths, order + 1)
    offsets = rng.uniform(-half, half, (40, 2))
    values, errors = np.zeros(40), np.zeros(40)
    for k, (middle, radius) in enumerate([*about, over[-1]]):
        monomials = np.array([offsets[:, 0] ** (k - i) * offsets[:, 1] ** i for i in range(k + 1)])
        values += (middle * monomials).sum(0) * (k <= order)
        errors += ((radius + (k > order) * np.abs(middle)) * np.abs(monomials)).sum(0)
    true = np.asarray(jax.jit(jax.vmap(everything))(centres + offsets))
    assert (np.abs(true - values) <= errors + 1e-12).all() and np.median(errors) < 1e-8
    low, high = over[0][0][0] - over[0][1][0], over[0][0][0] + over[0][1][0]
    assert ((low <= true) & (true <= high)).all()


def test_series_of_a_polynomial_ends():
    terms = Enclosure(lambda x: x[0] ** 4 - x[0], 1)(np.array([[2.0]]), np.array([[0.5]]), 6)
    assert terms[5] is None and terms[6] is None
    low, high = (terms[0][0] - terms[0][1]).item(), (terms[0][0] + terms[0][1]).item()
    assert low <= 1.5**4 - 2.5 and high >= 2.5**4 - 1.5 and high - low < 40


@pytest.mark.parametrize("cut", [1.5, 3.0])
def test_coarse_bounds_lie_below(cut):
    """Of the plane oscillator, in a box with room; and of a box with walls that matter, where V is 0."""
    plane = Enclosure(qspin.potentials.harmonic(), 2)
    low = lower_bounds(plane, [(-7.0, 7.0)] * 2, np.array([0.5, 0.5]), 4.5, 300, 128, cut)[:6]
    assert (low < [1, 2, 2, 3, 3, 3]).all() and (low > np.array([1, 2, 2, 3, 3, 3]) - 0.3).all()
    flat = Enclosure(lambda x: 0.0 * x[0], 1)
    low = lower_bounds(flat, [(0.0, np.pi), (0.0, 1.0)], np.array([1.0, 0.0]), 20.0, 50, 64, cut)[:4]
    assert (low <= [1, 4, 9, 16]).all() and np.allclose(low, [1, 4, 9, 16], atol=1e-6)


@pytest.mark.parametrize(
    ("v", "box", "exact", "width"),
    [
        (qspin.potentials.harmonic(), qspin.Box(-12.0, 11.0), np.arange(6) + 0.5, 1e-9),
        (lambda x: 0.0 * x[0], qspin.Box(0.0, np.pi), np.arange(1, 4) ** 2 / 2, 1e-9),
        (qspin.potentials.poschl_teller(2.0), qspin.Box(-14.0, 14.0), [-2.0, -0.5], 1e-8),
        (qspin.potentials.morse(10.0, 1.0), qspin.Box(-2.0, 20.0), qspin.exact.morse(10.0, 1.0)(2), 1e-8),
        (lambda x: x @ x / 2 + 0.3 * x[0] * x[1], qspin.Box.cube(5.5, dim=2), TURNED, 1e-9),
        (lambda x: 0.0 * x[1], qspin.Box([0.0, 0.0], [np.pi, np.pi]), [1.0, 2.5, 2.5, 4.0, 5.0, 5.0], 1e-9),
    ],
)
def test_intervals_contain_closed_forms(oscillator, v, box, exact, width):
    """Narrow ones; the wells' walls shift levels by less than 1e-9."""
    bounds = bounds_of(oscillator, v, box, exact)
    assert (bounds.lower <= bounds.energies + 1e-9).all() and (bounds.upper >= bounds.energies - 1e-9).all()
    assert bounds.widths.max() < width and (bounds.rounding <= bounds.widths + 1e-15).all()
    moved = replace(bounds, energies=bounds.energies + 1e-6)
    assert np.allclose(moved.distances, 1e-6, rtol=0.1) and "At most" in str(bounds)


def test_the_spectrum_knows_its_problem_or_says_so(oscillator, tmp_path):
    assert oscillator.bounds().distances.max() < 1e-9
    loaded = qspin.load(oscillator.save(tmp_path / "s.npz"))
    with pytest.raises(ValueError, match=r"does not know its Hamiltonian .* spectrum.bounds\(problem\)"):
        loaded.bounds()
    assert loaded.bounds(OSCILLATOR).distances.max() < 1e-9


@pytest.mark.parametrize(
    ("v", "box", "said"),
    [
        (lambda x: jnp.where(x[0] < 0, 0.0, 1.0), qspin.Box(-3.0, 3.0), "JAX operation"),
        (lambda x: jnp.abs(x[0]), qspin.Box(-9.0, 9.0), "operation 'abs'"),
        (lambda x: x[0].astype(jnp.float32) ** 2, qspin.Box(-9.0, 9.0), "operation 'convert_element_type'"),
        (lambda x: jnp.sqrt(x[0] ** 2), qspin.Box(-9.0, 9.0), "not smooth enough near"),
        (lambda x: 1 / x[0], qspin.Box(0.0, 9.0), "no finite lower bound near"),
        (qspin.potentials.harmonic(), qspin.Box(-9.0, 9.0, periodic=True), "walls on all sides"),
    ],
)
def test_refusals(oscillator, v, box, said):
    with pytest.raises(ValueError, match=said):
        bounds_of(oscillator, v, box, [0.5, 1.5])


def test_more_refusals(oscillator):
    with pytest.raises(ValueError, match="one and two dimensions, this problem has 3"):
        bounds_of(oscillator, qspin.potentials.harmonic(), qspin.Box.cube(5.0, dim=3), [1.5])
    with pytest.raises(ValueError, match="width must be positive"):
        oscillator.bounds(width=0.0)
