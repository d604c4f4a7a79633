"""Meshes: convergence at the scheme's order, symmetry, walls and centres, two routes to Hf."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.domain import Centre
from qspin.mesh import ORDERS, Mesh, graded_axis, uniform_axis
from qspin.runtime import double_precision


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("periodic", [False, True])
def test_a_stencil_of_order_p_converges_as_h_to_the_p(order: int, periodic: bool) -> None:
    """-(sin kx)'' = k² sin kx on [0, 1], k = 2π, on walls (odd about both) and around a ring."""
    k = 2 * np.pi
    errors, spacings = [], []
    for n in (23, 47):
        axis = uniform_axis(0.0, 1.0, n, order, periodic)
        f = np.sin(k * axis.points)
        errors.append(np.abs(axis.matrix @ f - k**2 * f).max())
        spacings.append(axis.points[1] - axis.points[0])
    rate = np.log(errors[0] / errors[1]) / np.log(spacings[0] / spacings[1])
    assert rate == pytest.approx(order, abs=0.15)


def test_no_point_lies_on_a_wall_and_the_spacing_fits() -> None:
    axis = uniform_axis(-1.0, 3.0, 7)
    assert np.allclose(np.diff(axis.points), 0.5)
    assert axis.points[0] == pytest.approx(-0.5)
    assert axis.points[-1] == pytest.approx(2.5)


@pytest.mark.parametrize("n_points", [100, 101])
@pytest.mark.parametrize("centres", [[(0.0, 1.0)], [(2.0, 0.3)], [(-3.0, 0.5), (1.0, 1.0)]])
def test_centres_fall_midway_between_graded_points(n_points: int, centres: list[tuple[float, float]]) -> None:
    axis = graded_axis(-20.0, 30.0, n_points, centres)
    assert (np.diff(axis.points) > 0).all()
    assert axis.points[0] > -20
    assert axis.points[-1] < 30
    for position, _ in centres:
        right = np.searchsorted(axis.points, position)
        left_gap, right_gap = position - axis.points[right - 1], axis.points[right] - position
        assert left_gap == pytest.approx(right_gap, rel=0.05)  # midway in t; in x up to the map's curvature
        assert axis.points[right] - axis.points[right - 1] < 0.2 * np.diff(axis.points).max()


def test_a_graded_axis_converges_at_second_order() -> None:
    """The harmonic oscillator knows nothing of the grading."""
    errors = []
    for n in (100, 200):
        axis = graded_axis(-8.0, 8.0, n, [(0.5, 0.7)])
        matrix = 0.5 * axis.matrix.toarray() + np.diag(0.5 * axis.points**2)
        errors.append(np.abs(np.linalg.eigvalsh(matrix)[:4] - (np.arange(4) + 0.5)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_matrices_are_symmetric() -> None:
    domain = qspin.Box([-5.0, -4.0], [5.0, 6.0])
    for centres in ((), (Centre((0.0, 0.0), 1.0, 1.0, -1.0),)):
        matrix = Mesh.build(domain, (20, 24), 2 if centres else 8, centres).kinetic(np.array([0.5, 1.5]))
        assert abs(matrix - matrix.T).max() < 1e-12 * abs(matrix).max()


def test_two_routes_to_hf() -> None:
    """H.matrix(mesh) @ f(points) against H(f)(points), anisotropic in box, mass and points."""
    h = qspin.Kinetic(mass=(1.0, 2.0)) + 0.5 * qspin.Potential(lambda x: x[0] ** 2 + x[0] * x[1] ** 2)
    mesh = Mesh.build(qspin.Box([-6.0, -5.0], [7.0, 6.0]), (120, 100), 8)

    def f(x):  # type: ignore[no-untyped-def]
        return jnp.exp(-jnp.sum((x - 0.3) ** 2)) * (1 + x[0])

    exact = mesh.values(h(f))
    assert np.abs(h.matrix(mesh) @ mesh.values(f) - exact).max() < 1e-4 * np.abs(exact).max()


def test_weights_integrate_and_cells_average_a_singular_potential() -> None:
    """∫ e^(-r)/r d²x = 2π: only right if the cells about the centre hold the average of 1/r."""
    centre = Centre((0.0, 0.0), 1.0, 1.0, -1.0)
    mesh = Mesh.build(qspin.Box.cube(30.0, dim=2), (160, 160), 2, [centre])
    value = mesh.weights @ mesh.values(lambda x: jnp.exp(-jnp.linalg.norm(x)) / jnp.linalg.norm(x))
    assert value == pytest.approx(2 * np.pi, rel=2e-3)
    with double_precision():
        assert np.isfinite(mesh.points).all()
