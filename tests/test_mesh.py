"""Meshes: convergence at the scheme's order, symmetry, walls and centres, two routes to Hf."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.domain import Centre
from qspin.mesh import (
    ORDERS,
    Differences,
    Elements,
    Mesh,
    Scheme,
    axis_of,
    differences,
    dvr,
    dvr_axis,
    element_axis,
    elements,
    uniform_axis,
)
from qspin.runtime import double_precision

CENTRE = Centre((0.0, 0.0), 1.0, 1.0, -1.0)


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


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_elements_of_degree_p_converge_as_h_to_the_2p(degree: int) -> None:
    """Eigenvalues of -d²/dx² on [0, 1] between walls, (nπ)²."""
    errors = []
    for n in (6, 12):
        matrix = element_axis(0.0, 1.0, False, np.linspace(0, 1, n + 1), degree).matrix.toarray()
        errors.append(np.abs(np.linalg.eigvalsh(matrix)[1] - (2 * np.pi) ** 2))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2 * degree, abs=0.4)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_series_is_exact_for_what_it_holds(periodic: bool) -> None:
    """All eigenvalues: (πj/L)² between walls, (2πj/L)² around a ring."""
    axis = dvr_axis(-1.0, 2.0, 11, periodic)
    j = np.sort(np.abs(np.fft.fftfreq(11, 1 / 11))) * 2 if periodic else np.arange(1, 12)
    np.testing.assert_allclose(np.linalg.eigvalsh(axis.matrix.toarray()), (np.pi * j / 3) ** 2, atol=1e-10)


def test_no_point_lies_on_a_wall_and_the_spacing_fits() -> None:
    axis = uniform_axis(-1.0, 3.0, 7)
    assert np.allclose(np.diff(axis.points), 0.5)
    assert axis.points[0] == pytest.approx(-0.5)
    assert axis.points[-1] == pytest.approx(2.5)
    assert np.allclose(dvr_axis(-1.0, 3.0, 7).points, axis.points)


@pytest.mark.parametrize("scheme", [differences(8), dvr(), elements(6)], ids=repr)
@pytest.mark.parametrize("centres", [(), (CENTRE,)], ids=["plain", "centre"])
def test_matrices_are_symmetric(scheme: Scheme, centres: tuple[Centre, ...]) -> None:
    domain = qspin.Box([-5.0, -4.0], [5.0, 6.0])
    mesh = Mesh.build(domain, (20, 24), scheme, centres)
    for matrix in (
        mesh.kinetic(np.array([0.5, 1.5])),
        mesh.multiplication(lambda x: -1 / jnp.linalg.norm(x) + x[0]),
    ):
        assert np.isfinite(matrix.data).all()
        assert abs(matrix - matrix.T).max() < 1e-12 * abs(matrix).max()


@pytest.mark.parametrize(
    ("scheme", "points"), [(differences(8), 120), (dvr(), 60), (elements(10), 100)], ids=repr
)
def test_two_routes_to_hf(scheme: Scheme, points: int) -> None:
    """H.matrix(mesh) on √w f against √w H(f), anisotropic in box and mass; of elements in the weak sense."""
    h = qspin.Kinetic(mass=(1.0, 2.0)) + 0.5 * qspin.Potential(lambda x: x[0] ** 2 + x[0] * x[1] ** 2)
    mesh = Mesh.build(qspin.Box([-6.0, -5.0], [7.0, 6.0]), (points, points - 10), scheme)

    def f(x):  # type: ignore[no-untyped-def]
        return jnp.exp(-jnp.sum((x - 0.3) ** 2)) * (1 + x[0])

    def g(x):  # type: ignore[no-untyped-def]
        return jnp.exp(-jnp.sum((x + 0.2) ** 2) / 2)

    root = np.sqrt(mesh.weights)
    image = h.matrix(mesh) @ (root * mesh.values(f)) / root
    exact = mesh.values(h(f))
    if isinstance(scheme, Elements):  # at an element's end the second derivative is a jump of slopes
        weak = mesh.weights @ (mesh.values(g) * image)
        assert weak == pytest.approx(mesh.weights @ (mesh.values(g) * exact), rel=1e-8)
    else:
        assert (
            np.abs(image - exact).max()
            < (1e-4 if isinstance(scheme, Differences) else 1e-8) * np.abs(exact).max()
        )


@pytest.mark.parametrize("dim", [2, 3])
def test_a_singular_potential_between_two_functions(dim: int) -> None:
    """⟨e^-r|1/r|e^-r⟩ is π in the plane, and in space; the function's own cusp limits the elements beside it."""
    centre = Centre((0.0,) * dim, 1.0, 1.0, -1.0)
    mesh = Mesh.build(qspin.Box.cube(16.0, dim), (0,) * dim, elements(4), [centre], 0.1)
    f = np.sqrt(mesh.weights) * mesh.values(lambda x: jnp.exp(-jnp.linalg.norm(x)))
    v = mesh.multiplication(lambda x: 1 / jnp.linalg.norm(x))
    assert f @ v @ f == pytest.approx(np.pi, rel=2e-3 if dim == 3 else 3e-4)


def test_equally_spaced_points_that_hit_a_centre_hold_the_cells_average() -> None:
    """∫ 1/r over a square cell of side h about the centre is 4 h ln(1 + √2)."""
    mesh = Mesh.build(qspin.Box.cube(3.0, dim=2), (5, 5), differences(2), [CENTRE])
    v = mesh.multiplication(lambda x: 1 / jnp.linalg.norm(x)).diagonal().reshape(5, 5)
    assert v[2, 2] == pytest.approx(4 * np.log(1 + np.sqrt(2)), rel=1e-6)
    assert v[2, 3] == pytest.approx(1.0)


@pytest.mark.parametrize("periodic", [False, True])
def test_functions_on_elements_are_polynomials_between_nodes(periodic: bool) -> None:
    axis = element_axis(0.0, 3.0, periodic, np.array([0.0, 0.5, 1.0, 3.0]), 10)

    def f(x: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * x / 3)

    x = np.linspace(0, 3, 50)
    index, share = axis.local_basis(x)
    np.testing.assert_allclose(np.sum(f(axis.points)[index] * share, axis=1), f(x), atol=2e-7)


@pytest.mark.parametrize("scheme", [differences(4), dvr(), elements(3)], ids=repr)
@pytest.mark.parametrize("periodic", [False, True])
def test_an_axis_is_made_again_from_its_record(scheme: Scheme, periodic: bool) -> None:
    axis = scheme.axis(0.0, 2.0, periodic, 20, [] if periodic else [(0.5, 0.1)])
    again = axis_of(axis.record())
    np.testing.assert_array_equal(again.points, axis.points)
    np.testing.assert_array_equal(again.matrix.toarray(), axis.matrix.toarray())
    np.testing.assert_array_equal(again.weights, axis.weights)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: differences(3), "differences: order must be one of"),
        (lambda: elements(0), "elements: degree must be an integer from 1 to 16, got 0"),
        (lambda: elements(17), "got 17"),
        (lambda: elements(4, ratio=1.0), "ratio must be above 1"),
    ],
)
def test_bad_schemes(make, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        make()


def test_points_are_finite_and_weights_fill_the_box() -> None:
    with double_precision():
        for scheme in (differences(2), elements(4)):
            mesh = Mesh.build(qspin.Box.cube(3.0, dim=2), (24, 24), scheme, [CENTRE])
            assert np.isfinite(mesh.points).all()
            assert 0.75 * 36 < mesh.weights.sum() <= 36 + 1e-9  # less what stands on the walls
