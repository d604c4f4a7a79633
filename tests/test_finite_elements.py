"""Spectral elements: exactness for polynomials, grading, and integrals that are singular at a corner."""

import numpy as np
import pytest

from qspin.numerics.finite_elements import (
    corner_quadrature,
    differentiation,
    gauss_lobatto,
    lagrange,
    singular_products,
    stiffness_and_mass,
    touching,
)


@pytest.mark.parametrize("degree", [1, 2, 5, 8, 16])
def test_gauss_lobatto_integrates_to_degree_2p_minus_1(degree: int) -> None:
    x, w = gauss_lobatto(degree)
    assert (x[0], x[-1]) == (-1, 1)
    np.testing.assert_allclose(x, -x[::-1], atol=1e-15)
    for power in range(2 * degree):
        assert w @ x**power == pytest.approx((1 + (-1) ** power) / (power + 1), abs=1e-13)


@pytest.mark.parametrize("degree", [1, 4, 9])
def test_polynomials_are_interpolated_and_differentiated_exactly(degree: int) -> None:
    nodes, _ = gauss_lobatto(degree)
    p = np.polynomial.Polynomial(np.random.default_rng(0).normal(size=degree + 1))
    x = np.concatenate([np.linspace(-1, 1, 7), nodes])
    np.testing.assert_allclose(lagrange(nodes, x) @ p(nodes), p(x), atol=1e-12)
    np.testing.assert_allclose(differentiation(nodes) @ p(nodes), p.deriv()(nodes), atol=1e-11)
    np.testing.assert_allclose(lagrange(nodes, nodes), np.eye(degree + 1), atol=1e-14)


def test_stiffness_and_mass_are_those_of_the_axis() -> None:
    """Mass sums to the length; a constant has no stiffness, and x² the energy ∫ 4x²."""
    edges = np.array([-1.0, -0.2, 0.5, 2.0])
    nodes, stiffness, mass = stiffness_and_mass(edges, 4)
    assert mass.sum() == pytest.approx(3)
    np.testing.assert_allclose(stiffness @ np.ones(len(nodes)), 0, atol=1e-12)
    assert len(nodes) == 13
    f = nodes**2
    assert f @ stiffness @ f == pytest.approx(4 / 3 * (8 + 1))


def test_with_a_power_the_form_is_that_of_the_solution_at_the_wall() -> None:
    """f = x^s (1 - x): ∫ x^2s ((1 - x)')² = 1/(2s + 1), less ∫ f² s(s - 1)/x² ; and ∫ f², by the weights of the nodes."""
    s = 0.8
    edges = np.array([0.0, 1e-4, 1e-2, 0.1, 0.4, 1.0])
    nodes, stiffness, mass = stiffness_and_mass(edges, 8, (s, 0.0))
    f = nodes**s * (1 - nodes)
    assert f @ (mass * f) == pytest.approx(1 / (2 * s + 1) - 2 / (2 * s + 2) + 1 / (2 * s + 3), rel=1e-7)
    singular = s * (s - 1) * (1 / (2 * s - 1) - 2 / (2 * s) + 1 / (2 * s + 1))
    assert f @ stiffness @ f == pytest.approx(1 / (2 * s + 1) - singular, rel=1e-3)


@pytest.mark.parametrize(
    ("dim", "exact"), [(1, None), (2, 2 * np.log(1 + np.sqrt(2))), (3, 1.1900386819897766)]
)
def test_the_corner_rule_integrates_one_over_r(dim: int, exact: float | None) -> None:
    """∫ 1/|t| over the unit square and cube, in closed form; polynomials in any dimension."""
    t, w = corner_quadrature(dim, 16)
    assert w.sum() == pytest.approx(1, rel=1e-13)
    assert w @ t[:, 0] ** 3 == pytest.approx(1 / 4, rel=1e-12)
    if exact is not None:
        assert w @ (1 / np.linalg.norm(t, axis=1)) == pytest.approx(exact, rel=1e-10)


@pytest.mark.parametrize("sides", [[0.5, 0.3], [-0.5, 0.3], [0.5, -0.3], [-0.5, -0.3]])
def test_products_with_a_potential(sides: list[float]) -> None:
    """Against a plain product rule for a smooth V; their sum is ∫ V, since the functions sum to one."""
    corner, signed = np.array([0.2, -0.1]), np.array(sides)

    def smooth(x: np.ndarray) -> np.ndarray:
        return 1 + x[:, 0] ** 2 * x[:, 1]

    degree = 3
    found = singular_products(smooth, corner, signed, degree, 10)
    low, high = np.minimum(corner, corner + signed), np.maximum(corner, corner + signed)
    g, w = np.polynomial.legendre.leggauss(10)
    nodes, _ = gauss_lobatto(degree)
    grid = np.stack(
        np.meshgrid(*[(a + b) / 2 + (b - a) / 2 * g for a, b in zip(low, high, strict=True)], indexing="ij"),
        -1,
    )
    weights = np.multiply.outer(w, w).ravel() * (high - low).prod() / 4
    basis = np.einsum("ai,bj->abij", lagrange(nodes, g), lagrange(nodes, g)).reshape(100, -1)
    expected = basis.T @ ((weights * smooth(grid.reshape(-1, 2)))[:, None] * basis)
    np.testing.assert_allclose(found, expected, atol=1e-13)
    coulomb = singular_products(lambda x: 1 / np.linalg.norm(x - corner, axis=1), corner, signed, degree, 12)
    t, u = np.abs(signed)
    exact = t * np.arcsinh(u / t) + u * np.arcsinh(t / u)
    assert coulomb.sum() == pytest.approx(exact, rel=1e-9)
    np.testing.assert_allclose(coulomb, coulomb.T, atol=1e-14)


def test_which_elements_touch_a_point() -> None:
    edges = [np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0])]
    assert touching(edges, (1.0, 0.0)) == [(0, 0), (1, 0)]
    assert touching(edges, (0.0, 1.0)) == [(0, 0)]
