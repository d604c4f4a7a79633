"""Axes by three schemes: convergence at the scheme's order, walls, interpolation, records."""

import numpy as np
import pytest

from qspin.methods.grid.axes import ORDERS, Axis, Interval, Scheme, differences, dvr, elements


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("periodic", [False, True])
def test_a_stencil_of_order_p_converges_as_h_to_the_p(order: int, periodic: bool) -> None:
    """-(sin kx)'' = k² sin kx on [0, 1], k = 2π, on walls (odd about both) and around a ring."""
    k = 2 * np.pi
    errors, spacings = [], []
    for n in (23, 47):
        axis = differences(order).axis(Interval(0.0, 1.0, periodic), n)
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
        matrix = elements(degree).axis(Interval(0.0, 1.0), n * degree - 1).matrix.toarray()
        errors.append(np.abs(np.linalg.eigvalsh(matrix)[1] - (2 * np.pi) ** 2))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2 * degree, abs=0.4)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_series_is_exact_for_what_it_holds(periodic: bool) -> None:
    """All eigenvalues: (πj/L)² between walls, (2πj/L)² around a ring."""
    axis = dvr().axis(Interval(-1.0, 2.0, periodic), 11)
    j = np.sort(np.abs(np.fft.fftfreq(11, 1 / 11))) * 2 if periodic else np.arange(1, 12)
    np.testing.assert_allclose(np.linalg.eigvalsh(axis.matrix.toarray()), (np.pi * j / 3) ** 2, atol=1e-10)


def test_no_point_lies_on_a_wall_and_the_spacing_fits() -> None:
    axis = differences(2).axis(Interval(-1.0, 3.0), 7)
    assert np.allclose(np.diff(axis.points), 0.5)
    assert axis.points[0] == pytest.approx(-0.5)
    assert axis.points[-1] == pytest.approx(2.5)
    assert np.allclose(dvr().axis(Interval(-1.0, 3.0), 7).points, axis.points)


@pytest.mark.parametrize("periodic", [False, True])
def test_functions_on_elements_are_polynomials_between_nodes(periodic: bool) -> None:
    axis = elements(10).between(Interval(0.0, 3.0, periodic), np.array([0.0, 0.5, 1.0, 3.0]))

    def f(x: np.ndarray) -> np.ndarray:
        return np.sin(2 * np.pi * x / 3)

    x = np.linspace(0, 3, 50)
    index, share = axis.scheme.local_basis(axis, x)
    np.testing.assert_allclose(np.sum(f(axis.points)[index] * share, axis=1), f(x), atol=2e-7)


@pytest.mark.parametrize("scheme", [differences(4), dvr(), elements(3)], ids=repr)
@pytest.mark.parametrize("periodic", [False, True])
def test_an_axis_is_made_again_from_its_record(scheme: Scheme, periodic: bool) -> None:
    axis = scheme.axis(Interval(0.0, 2.0, periodic, 0.3 if periodic else 0.0), 20)
    again = Axis.from_record(axis.record())
    np.testing.assert_array_equal(again.points, axis.points)
    np.testing.assert_array_equal(again.matrix.toarray(), axis.matrix.toarray())
    np.testing.assert_array_equal(again.weights, axis.weights)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: differences(3), "differences: order must be one of"),
        (lambda: elements(0), "elements: degree must be an integer from 1 to 16, got 0"),
        (lambda: elements(17), "got 17"),
    ],
)
def test_bad_schemes(make, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=said):
        make()


def test_functions_begin_with_a_power_at_a_wall() -> None:
    """u'' = -0.21 u/x² + … has solutions x^0.3: √x^(2·0.3)(1 - x²) and its image are exact on elements with that power."""
    s, edges = 0.3, np.array([0.0, 0.1, 0.4, 1.0])
    axis = elements(6).between(Interval(0.0, 1.0), edges, (s, 0.0))
    x = np.linspace(0.01, 0.99, 9)
    psi = axis.points**s * (1 - axis.points**2)
    np.testing.assert_allclose(axis.at(x) @ psi, x**s * (1 - x**2), atol=1e-12)
    second = s * (s - 1) * x ** (s - 2) - (s + 2) * (s + 1) * x**s
    np.testing.assert_allclose(axis.at(x, 2) @ psi + axis.bend(x) * x**s * (1 - x**2), second, rtol=1e-8)


def test_derivatives_by_every_scheme() -> None:
    """sin 2πx on a ring of length 1, twice differentiated between its points."""
    x = np.linspace(0.03, 0.95, 7)
    for scheme, n, tolerance in ((differences(8), 40, 1e-5), (dvr(), 15, 1e-9), (elements(8), 40, 1e-4)):
        axis = scheme.axis(Interval(0.0, 1.0, True), n)
        values = axis.at(x, 2) @ np.sin(2 * np.pi * axis.points)
        np.testing.assert_allclose(values, -((2 * np.pi) ** 2) * np.sin(2 * np.pi * x), atol=40 * tolerance)
