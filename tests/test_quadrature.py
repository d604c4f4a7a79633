"""Rules: exact on what they are exact for, about centres and in corners, and volumes whole."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.ritz.quadrature import about_centres, in_box, lattice, panels
from qspin.problem.domain import Centre


def centre(*position: float) -> Centre:
    return Centre(position, 1.0, 1.0, -1.0)


def test_panels_take_polynomials_and_kinks_on_their_edges() -> None:
    x, w = panels([-1.0, 0.3, 2.0], 20)
    assert w @ x**7 == pytest.approx((2.0**8 - 1) / 8, rel=1e-9)
    assert w @ np.abs(x - 0.3) == pytest.approx((1.3**2 + 1.7**2) / 2)


def test_a_product_rule_with_a_periodic_axis() -> None:
    box = qspin.Box([0.0, 0.0], [1.0, 2 * np.pi], periodic=[False, True])
    rule = in_box(box, [(0.0, 1.0), (0.0, 1.0)], (6, 9))
    assert rule.weights @ (rule.points[:, 0] ** 3 * np.cos(rule.points[:, 1]) ** 2) == pytest.approx(
        np.pi / 4
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_singular_and_cusped_functions_about_a_centre(dim: int) -> None:
    """∫ e^{-2r}/r over space: π in 3D, π in 2D (2π/2); in 1D ∫ e^{-2r} = 1 instead."""
    box = qspin.Box.cube(30.0, dim=dim)
    rule = about_centres(box, [centre(*(0.0,) * dim)], 40, 16, 15.0)
    r = np.linalg.norm(rule.points, axis=1)
    value = rule.weights @ (np.exp(-2 * r) / (r if dim > 1 else 1))
    assert value == pytest.approx({1: 1.0, 2: np.pi, 3: np.pi}[dim], rel=1e-9)


@pytest.mark.parametrize("position", [(0.3, -0.2), (1.0, 0.0)])
def test_beyond_the_nearest_wall_the_whole_box_is_covered(position: tuple[float, float]) -> None:
    box = qspin.Box([-1.0, -1.0], [1.0, 2.0])
    rule = about_centres(box, [centre(*position)], 24, 48, 1e9)
    assert rule.weights.sum() == pytest.approx(6.0, rel=1e-7)
    assert rule.weights @ rule.points[:, 1] ** 2 == pytest.approx(2 * 3.0, rel=1e-7)


def test_the_box_about_a_centre_in_three_dimensions() -> None:
    box = qspin.Box([-1.0, -1.0, -2.0], [1.0, 1.0, 1.0])
    rule = about_centres(box, [centre(0.1, 0.0, 0.2)], 20, 40, 1e9)
    assert rule.weights.sum() == pytest.approx(12.0, rel=1e-7)


@pytest.mark.parametrize("walls", [30.0, 12.0])
@pytest.mark.parametrize("dim", [2, 3])
def test_two_centres_in_confocal_coordinates(dim: int, walls: float) -> None:
    """∫ e^{-2r}/r is π in 2D, 2·π/2 in 3D, about either end of a tilted axis; walls at 12 cut nothing that counts."""
    ends = [(0.8, 0.6), (-0.8, -0.6)] if dim == 2 else [(0.6, 0.0, 0.8), (-0.6, 0.0, -0.8)]
    rule = about_centres(qspin.Box.cube(walls, dim=dim), [centre(*e) for e in ends], 24, 24, 15.0)
    assert len(rule) == 24**dim and jnp.isfinite(rule.points).all()
    assert np.abs(rule.points).max() <= walls
    for e in ends:
        r = np.linalg.norm(rule.points - np.array(e), axis=1)
        assert rule.weights @ (np.exp(-2 * r) / r) == pytest.approx(np.pi, rel=1e-8)


def test_confocal_coordinates_end_at_walls() -> None:
    """Walls only make kinks where functions have faded; with none faded the volume is right to a percent."""
    box = qspin.Box([-3.0, -4.0, -3.0], [3.0, 3.0, 5.0])
    rule = about_centres(box, [centre(0.0, 0.0, 0.5), centre(0.0, 0.5, 0.0)], 16, 40, 3.5)
    radius = 3.5 + np.sqrt(0.125)
    spheroid = 4 / 3 * np.pi * radius * (radius**2 - 0.125)
    assert 0.8 * spheroid < rule.weights.sum() < spheroid
    inside = np.linalg.norm(rule.points - [0.0, 0.25, 0.25], axis=1) < 2.5
    assert rule.weights[inside].sum() == pytest.approx(4 / 3 * np.pi * 2.5**3, rel=0.03)


def test_three_centres_share_space() -> None:
    """∫ Σ e^{-2|x-c|}/|x-c| = 3π by Becke's partition."""
    corners = [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0), (0.0, 1.5, 0.0)]
    rule = about_centres(qspin.Box.cube(30.0, dim=3), [centre(*c) for c in corners], 48, 32, 15.0)
    total = 0.0
    for c in corners:
        r = np.linalg.norm(rule.points - np.array(c), axis=1)
        total += rule.weights @ (np.exp(-2 * r) / r)
    assert total == pytest.approx(3 * np.pi, rel=1e-5)
    assert jnp.isfinite(rule.points).all()


def test_transplanted_panels_need_fewer_points_for_waves() -> None:
    x, w = panels([-1.0, 1.0], 32)
    t, v = np.polynomial.legendre.leggauss(32)
    k = 50.0
    exact = 2 * np.sin(k) / k
    assert abs(w @ np.cos(k * x) - exact) < 1e-5 < abs(v @ np.cos(k * t) - exact)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_a_lattice_is_exact_for_what_has_faded_at_its_edge(dim: int) -> None:
    """A normal density, turned and stretched, and its second moments."""
    rng = np.random.default_rng(1)
    mean, factor = rng.normal(size=dim), np.eye(dim) + 0.3 * rng.normal(size=(dim, dim))
    covariance = factor @ factor.T
    shape = np.linalg.inv(factor) / 8.0
    rule = lattice(mean, shape, np.linalg.inv(factor), 1.0, 24.0**dim, np.full(dim, 0.3))
    assert len(rule) == pytest.approx(24**dim, rel=0.1)
    d = rule.points - mean
    density = rule.weights * np.exp(-0.5 * np.einsum("pi,ij,pj->p", d, np.linalg.inv(covariance), d))
    total = np.sqrt(np.linalg.det(2 * np.pi * covariance))
    assert density.sum() == pytest.approx(total, rel=1e-9)
    assert (d * density[:, None]).T @ d / total == pytest.approx(covariance, rel=1e-9, abs=1e-9)
