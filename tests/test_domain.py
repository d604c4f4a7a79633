"""The box and its masks, the other domains, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.problem.domain import Box, PolynomialMask, SquareRootMask

MASKS = [SquareRootMask(), PolynomialMask()]
BOXES = {
    "interval": Box(-1.0, 3.0),
    "asymmetric": Box([0.0, -2.0], [1.0, 5.0]),
    "anisotropic": Box([-1.0, -10.0, -0.1], [1.0, 10.0, 0.1]),
}


def each(f, x):
    """f at each of many points, compiled as the library's calls are."""
    return jax.jit(jax.vmap(f))(x)


def on_the_walls(box, rng, n=20):
    """Points with one coordinate on a wall, n for each wall."""
    lower, upper = np.asarray(box.lower), np.asarray(box.upper)
    for axis in range(box.dim):
        for wall in (lower[axis], upper[axis]):
            points = lower + (upper - lower) * rng.uniform(0.2, 0.8, (n, box.dim))
            points[:, axis] = wall
            yield axis, np.sign(wall - box.centre[axis]), points


# --- masks


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("mask", "name"), [(MASKS[0], "interval"), (MASKS[0], "anisotropic"), (MASKS[1], "asymmetric")]
)
def test_a_mask_vanishes_on_the_walls_with_finite_slope(mask, name):
    box = Box(BOXES[name].lower, BOXES[name].upper, mask=mask)
    masked = jax.jit(jax.vmap(box.boundary_mask))
    for axis, outward, points in on_the_walls(box, np.random.default_rng(0)):
        value = masked(jnp.asarray(points))
        assert np.abs(value).max() < 20 * np.finfo(float).eps  # x is scaled with a few roundings
        step = 1e-6 * box.lengths[axis]
        points[:, axis] -= outward * step
        inward_slope = masked(jnp.asarray(points)) / step * box.lengths[axis]
        # d mask/dt is 1 (square root) or 2 (polynomial) at the wall, twice that over the length, times the
        # other axes' masks at |t| < 0.6: each from 0.2 to 1. The step adds terms of its own size.
        assert (inward_slope > 1.999 * 0.2 ** (box.dim - 1)).all() and (inward_slope < 4.001).all()


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_zero_outside(mask):
    box = Box([-1.0, 0.0], [1.0, 3.0], mask=mask)
    outside = jnp.array([[1.1, 1.0], [-5.0, 1.0], [0.0, -0.01], [0.0, 1e6], [2.0, 9.0]])
    assert np.array_equal(each(box.boundary_mask, outside), np.zeros(5))


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("box", BOXES.values(), ids=BOXES)
def test_derivatives_are_finite_inside_on_the_walls_and_outside(mask, box):
    box = Box(box.lower, box.upper, mask=mask)
    t = np.array([-1.5, -1.0, -1 + 1e-6, -0.3, 0.0, 0.5, 1 - 1e-6, 1.0, 40.0])
    grid = np.stack(np.meshgrid(*[t] * box.dim, indexing="ij"), -1).reshape(-1, box.dim)
    x = jnp.asarray(np.asarray(box.centre) + grid * np.asarray(box.lengths) / 2, jnp.float32)
    for function in (box.boundary_mask, jax.grad(box.boundary_mask), jax.hessian(box.boundary_mask)):
        assert np.isfinite(each(function, x)).all()


@pytest.mark.usefixtures("x64")
def test_the_papers_mask_is_the_papers_formula():
    d = np.array([50.0, 3.0])
    box = Box(-d, d)  # arrays are fine too
    x = np.random.default_rng(0).uniform(-d, d, (100, 2))
    paper = np.prod((np.sqrt(2 * d**2 - x**2) - d) / d, axis=1)
    np.testing.assert_allclose(each(box.boundary_mask, jnp.asarray(x)), paper, rtol=0, atol=1e-14)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("mask", MASKS)
def test_the_mask_is_one_in_the_middle_up_to_its_height(mask):
    box = Box([0.0, -2.0], [1.0, 5.0], mask=mask)
    height = float(mask(jnp.zeros(())))
    assert float(box.boundary_mask(jnp.asarray(box.centre))) == pytest.approx(height**2, rel=1e-14)


@pytest.mark.usefixtures("x64")
def test_a_product_mask_has_the_products_hessian_even_where_a_factor_vanishes():
    box = Box.cube(1.0, dim=2, mask=PolynomialMask())
    x = jnp.array([1 - 1e-9, 0.3])
    expected = [[-2 * (1 - x[1] ** 2), 4 * x[0] * x[1]], [4 * x[0] * x[1], -2 * (1 - x[0] ** 2)]]
    np.testing.assert_allclose(jax.jit(jax.hessian(box.boundary_mask))(x), np.array(expected), atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_periodic_axes_carry_no_mask():
    half = Box([-1.0, -1.0], [1.0, 1.0], periodic=[True, False])
    line = Box(-1.0, 1.0)
    for a in (-1.0, 0.2, 1.0, 7.0):
        assert half.boundary_mask(jnp.array([a, 0.4])) == line.boundary_mask(jnp.array([0.4]))
    assert Box.cube(1.0, dim=3, periodic=True).boundary_mask(jnp.array([1.0, -1.0, 8.0])) == 1.0
    gradient = jax.jit(jax.grad(half.boundary_mask))(jnp.array([1.0, 0.4]))
    assert gradient[0] == 0.0 and np.isfinite(gradient).all()


# --- the box


def test_measures():
    box = Box([-1.0, 0.0], [1.0, 3.0])
    assert (box.dim, box.lengths, box.centre, box.volume) == (2, (2.0, 3.0), (0.0, 1.5), 6.0)
    assert Box(0, 2) == Box([0.0], [2.0])  # whole numbers, and one dimension without brackets


def test_scaled_runs_from_minus_one_to_one():
    box = Box([-1.0, 2.0], [3.0, 2.5])
    x = jnp.array([box.lower, box.centre, box.upper])
    np.testing.assert_allclose(each(box.scaled, x), [[-1, -1], [0, 0], [1, 1]], atol=1e-6)


def test_contains():
    box = Box([-1.0, 0.0], [1.0, 3.0])
    points = np.array([[0.0, 1.0], [1.0, 3.0], [1.01, 1.0], [0.0, -0.01], [np.nan, 1.0]])
    assert box.contains(points).tolist() == [True, True, False, False, False]


def test_cube():
    assert Box.cube(50.0, dim=2) == Box([-50.0, -50.0], [50.0, 50.0])
    assert Box.cube(2, dim=3, periodic=True).periodic == (True, True, True)
    assert Box.cube(1.0, dim=1, mask=PolynomialMask()).mask == PolynomialMask()


def test_boxes_are_equal_hashable_and_frozen():
    assert hash(Box.cube(1.0, dim=2)) == hash(Box([-1.0, -1.0], [1.0, 1.0]))
    assert Box.cube(1.0, dim=2) != Box.cube(1.0, dim=2, periodic=True)
    with pytest.raises(AttributeError):
        Box.cube(1.0, dim=2).lower = (0.0, 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Box([0.0, 0.0], [1.0, 1.0, 1.0]), "Box: lower has 2 entries, upper has 3 entries."),
        (
            lambda: Box([0.0, 1.0], [1.0, 1.0]),
            "on axis 1 lower must be less than upper, got lower=1, upper=1",
        ),
        (lambda: Box([2.0], [1.0]), "on axis 0 lower must be less"),
        (lambda: Box([0.0], [np.inf]), "upper must be finite, got inf"),
        (lambda: Box([np.nan], [1.0]), "lower must be finite, got nan"),
        (lambda: Box([], []), "lower must not be empty"),
        (lambda: Box([[0.0]], [[1.0]]), "lower must be a real number, got [0.0]"),
        (lambda: Box([0.0, 0.0], [1.0, 1.0], periodic=[True]), "periodic must be a bool, or 2 of them"),
        (lambda: Box([0.0, 0.0], [1.0, 1.0], periodic=["x", "y"]), "periodic must be a bool, or 2 of them"),
        (lambda: Box.cube(1.0, dim=0), "dim must be an integer from 1 to 1000, got 0"),
        (lambda: Box.cube(1.0, dim=2.5), "dim must be an integer from 1 to 1000, got 2.5"),
        (lambda: Box.cube(-1.0, dim=2), "half_width must be positive, got -1.0"),
        (lambda: Box.cube(np.inf, dim=2), "half_width must be positive"),
        (lambda: Box.cube("wide", dim=2), "half_width must be a real number, got 'wide'"),
    ],
)
def test_wrong_boxes_are_refused(make, message):
    with pytest.raises((TypeError, ValueError), match=re.escape(message)):
        make()


# --- other domains


def spread(domain, n=4096):
    """Points spread as the measure."""
    return np.asarray(domain.from_unit(qspin.QuasiRandom().unit(jax.random.key(0), n, domain.dim)))


def test_a_gaussian_is_a_normal_density():
    """Moments of quasi-random points, whose error falls nearly as 1/n."""
    domain = qspin.Gaussian([1.0, -2.0], [0.5, 2.0])
    x = spread(domain)
    assert (domain.dim, domain.volume) == (2, 1.0)
    z = (x - np.array(domain.mean)) / np.array(domain.deviation)
    for power, moment in ((1, 0.0), (2, 1.0), (3, 0.0), (4, 3.0)):
        np.testing.assert_allclose((z**power).mean(0), moment, atol=0.1)
    np.testing.assert_allclose(np.mean(z[:, 0] * z[:, 1]), 0, atol=0.01)
    np.testing.assert_allclose(jax.vmap(lambda p: domain.inputs(p, 3.0))(jnp.asarray(x)), z, atol=1e-5)
    assert domain.all_points() is None
    assert float(domain.boundary_mask(jnp.asarray([99.0, 99.0]))) == 1.0


def test_one_deviation_serves_all_coordinates():
    assert qspin.Gaussian([0.0, 0.0], 2.0) == qspin.Gaussian([0.0, 0.0], [2.0, 2.0])
    assert qspin.Gaussian() == qspin.Gaussian([0.0], [1.0])


def test_nodes_are_counted_once():
    domain = qspin.Nodes(7)
    nodes, counts = np.unique(spread(domain, 700), return_counts=True)
    np.testing.assert_array_equal(nodes, np.arange(7))
    assert (np.abs(counts - 100) <= 2).all()  # a lattice of golden slope
    assert (domain.dim, domain.volume) == (1, 7.0)
    np.testing.assert_array_equal(domain.all_points()[:, 0], np.arange(7))
    assert float(domain.from_unit(jnp.ones((1, 1)))[0, 0]) == 6  # the end of the last cell


@pytest.mark.parametrize(
    ("features", "shape"), [(3, (3, 3)), (np.arange(4.0), (4, 1)), (np.ones((5, 2)), (5, 2))]
)
def test_what_a_network_sees_of_a_node(features, shape):
    domain = qspin.Nodes(features)
    assert domain.features.shape == shape
    for i in range(shape[0]):
        np.testing.assert_allclose(domain.inputs(jnp.asarray([float(i)]), 3.0), domain.features[i])


def test_nodes_are_equal_where_their_features_are():
    table = np.random.default_rng(0).normal(size=(4, 2))
    same, other = qspin.Nodes(table.copy()), qspin.Nodes(table + 1)
    assert qspin.Nodes(table) == same != other
    assert hash(qspin.Nodes(table)) == hash(same)
    assert repr(same) != repr(other)
    assert "4 nodes, 2 features" in repr(same)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: qspin.Gaussian([0.0], 0.0), "Gaussian: deviation must be positive"),
        (lambda: qspin.Gaussian([0.0, 0.0], [1.0] * 3), "deviation must be one number or 2 of them"),
        (lambda: qspin.Gaussian([np.inf]), "Gaussian: mean must be finite, got inf"),
        (lambda: qspin.Nodes(0), "Nodes: features must be an integer from 1 to 10000, got 0"),
        (lambda: qspin.Nodes([[np.nan]]), "finite table"),
        (lambda: qspin.Nodes(np.ones((2, 2, 2))), "finite table"),
    ],
)
def test_bad_domains(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "box",
    [
        Box(-6.0, 6.0),
        Box([0.0, -1.5], [2.0, 1.0], periodic=(True, False), wave_vector=(0.3, 0.0)),
        Box.cube(1.0, dim=3, mask=PolynomialMask()),
    ],
)
def test_a_box_is_shown_as_the_call_that_makes_it(box):
    assert eval(repr(box)) == box
