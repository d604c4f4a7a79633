"""Meshes: symmetry, centres, two routes to Hf."""

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.grid.axes import Differences, Elements, Interval, Scheme, differences, dvr, elements
from qspin.methods.grid.mesh import Mesh, mesh_of
from qspin.numerics.precision import double_precision, evaluated
from qspin.problem.domain import Centre

CENTRE = Centre((0.0, 0.0), 1.0, 1.0, -1.0)


def mesh_with(
    shape: tuple[int, ...], scheme: Scheme, box: qspin.Box, centres: tuple[Centre, ...] = ()
) -> Mesh:
    """Equal spacings; elements shrink towards the centres, from both sides by halves."""
    axes = []
    for n, low, high in zip(shape, box.lower, box.upper, strict=True):
        if isinstance(scheme, Elements) and centres:
            away = 2.0 ** -np.arange(8)
            edges = np.concatenate([low * away, [0.0], high * away[::-1]])
            axes.append(scheme.between(Interval(low, high), edges))
        else:
            axes.append(scheme.axis(Interval(low, high), n))
    return mesh_of(box, tuple(axes), centres)


def values(function, mesh: Mesh) -> np.ndarray:  # type: ignore[no-untyped-def]
    return evaluated(function, mesh.points)


def multiplication(function, mesh: Mesh):  # type: ignore[no-untyped-def]
    return mesh.operator(qspin.Potential(function).local_form(mesh.dim)).potential


@pytest.mark.parametrize("scheme", [differences(8), dvr(), elements(6)], ids=repr)
@pytest.mark.parametrize("centres", [(), (CENTRE,)], ids=["plain", "centre"])
def test_matrices_are_symmetric(scheme: Scheme, centres: tuple[Centre, ...]) -> None:
    domain = qspin.Box([-5.0, -4.0], [5.0, 6.0])
    mesh = mesh_with((20, 24), scheme, domain, centres)
    h = qspin.Kinetic(mass=(1.0, 0.3)) + qspin.Potential(lambda x: -1 / jnp.linalg.norm(x) + x[0])
    operator = mesh.operator(h.local_form(2))
    for matrix in (operator.matrix, operator.potential):
        assert np.isfinite(matrix.data).all()
        assert abs(matrix - matrix.T).max() < 1e-12 * abs(matrix).max()


@pytest.mark.parametrize(
    ("scheme", "points"), [(differences(8), 120), (dvr(), 60), (elements(10), 100)], ids=repr
)
def test_two_routes_to_hf(scheme: Scheme, points: int) -> None:
    """its matrix on √w f against √w H(f), anisotropic in box and mass; of elements in the weak sense."""
    h = qspin.Kinetic(mass=(1.0, 2.0)) + 0.5 * qspin.Potential(lambda x: x[0] ** 2 + x[0] * x[1] ** 2)
    mesh = mesh_with((points, points - 10), scheme, qspin.Box([-6.0, -5.0], [7.0, 6.0]))

    def f(x):  # type: ignore[no-untyped-def]
        return jnp.exp(-jnp.sum((x - 0.3) ** 2)) * (1 + x[0])

    def g(x):  # type: ignore[no-untyped-def]
        return jnp.exp(-jnp.sum((x + 0.2) ** 2) / 2)

    root = np.sqrt(mesh.weights)
    image = mesh.operator(h.local_form(2)).matrix @ (root * values(f, mesh)) / root
    exact = values(h(f), mesh)
    if isinstance(scheme, Elements):  # at an element's end the second derivative is a jump of slopes
        weak = mesh.weights @ (values(g, mesh) * image)
        assert weak == pytest.approx(mesh.weights @ (values(g, mesh) * exact), rel=1e-8)
    else:
        assert (
            np.abs(image - exact).max()
            < (1e-4 if isinstance(scheme, Differences) else 1e-8) * np.abs(exact).max()
        )


@pytest.mark.parametrize("dim", [2, 3])
def test_a_singular_potential_between_two_functions(dim: int) -> None:
    """⟨e^-r|1/r|e^-r⟩ is π in the plane, and in space; the function's own cusp limits the elements beside it."""
    centre = Centre((0.0,) * dim, 1.0, 1.0, -1.0)
    mesh = mesh_with((0,) * dim, elements(4), qspin.Box.cube(16.0, dim), (centre,))
    f = np.sqrt(mesh.weights) * values(lambda x: jnp.exp(-jnp.linalg.norm(x)), mesh)
    v = multiplication(lambda x: 1 / jnp.linalg.norm(x), mesh)
    assert f @ v @ f == pytest.approx(np.pi, rel=2e-3 if dim == 3 else 3e-4)


def test_equally_spaced_points_that_hit_a_centre_hold_the_cells_average() -> None:
    """∫ 1/r over a square cell of side h about the centre is 4 h ln(1 + √2)."""
    mesh = mesh_with((5, 5), differences(2), qspin.Box.cube(3.0, dim=2), (CENTRE,))
    v = multiplication(lambda x: 1 / jnp.linalg.norm(x), mesh).diagonal().reshape(5, 5)
    assert v[2, 2] == pytest.approx(4 * np.log(1 + np.sqrt(2)), rel=1e-6)
    assert v[2, 3] == pytest.approx(1.0)


def test_points_are_finite_and_weights_fill_the_box() -> None:
    with double_precision():
        for scheme in (differences(2), elements(4)):
            mesh = mesh_with((24, 24), scheme, qspin.Box.cube(3.0, dim=2), (CENTRE,))
            assert np.isfinite(mesh.points).all()
            assert 0.75 * 36 < mesh.weights.sum() <= 36 + 1e-9  # less what stands on the walls
