"""V as a polynomial in the coordinates of a well: by least squares, its misfit known, and whether it is bounded below."""

from math import factorial
from typing import NamedTuple

import numpy as np
import scipy.linalg
from scipy.special import ndtri

from qspin.methods.locate.wells import Well
from qspin.numerics.points import golden_lattice
from qspin.numerics.separable import products_below
from qspin.problem.problem import Problem

__all__ = ["Polynomial", "check_bounded", "fit_polynomial"]

_MISFIT = 1e-9  # of V's deviation, beyond which V is no polynomial
_ROUNDING = 1e-12  # of the largest coefficient
_REACH = 1.5  # deviation of the points that V is fitted on, in widths of the Gaussian


class Polynomial(NamedTuple):
    """Σ_t coefficients_t ∏_i y_i^powers_ti: (T, dim) integers, (T,)."""

    powers: np.ndarray
    coefficients: np.ndarray

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """At points (P, dim): (P,)."""
        total = np.zeros(len(y))
        for powers, coefficient in zip(self.powers, self.coefficients, strict=True):
            total += coefficient * np.prod(y**powers, axis=1)
        return total

    @property
    def top(self) -> "Polynomial":
        """The terms of highest degree."""
        degrees = self.powers.sum(axis=1)
        return Polynomial(*(part[degrees == degrees.max(initial=0)] for part in self))


def fit_polynomial(problem: Problem, well: Well, degree: int) -> tuple[Polynomial, float]:
    """V in the coordinates of a well, by least squares in normalised Hermite polynomials, and its misfit on fresh points.

    Of T monomials time O(T³), memory O(T²). ValueError, naming the worst point, where no polynomial fits.
    """
    for d in sorted({2, *range(4, degree, 2), degree}):
        powers = products_below(np.tile(np.arange(d + 1.0), (problem.dim, 1)), float(d))
        n_fit = 3 * len(powers) + 200
        z = ndtri(golden_lattice(n_fit + 512, problem.dim))
        points = well.centre + _REACH * z @ well.axes.T
        values, design = problem.potential_values(points), _hermite_products(z, powers)
        mean, spread = values.mean(), values.std()
        # Rows over the root of the Christoffel function: far points, where polynomials are large, do not rule the fit.
        row = 1 / np.linalg.norm(design[:n_fit], axis=1)
        fit = _least_squares(design[:n_fit] * row[:, None], (values - mean)[:n_fit] * row)
        off = np.abs(design[n_fit:] @ fit + mean - values[n_fit:])
        if off.max() <= _MISFIT * spread:
            v = _monomials(powers, np.where(np.abs(fit) > off.max(), fit, 0.0), mean)
            return v, float(np.abs(v(_REACH * z[n_fit:]) - values[n_fit:]).max())
    worst = ", ".join(f"{c:.6g}" for c in points[n_fit + off.argmax()])
    raise ValueError(
        f"ProductBasis: V of {problem.name} is not a polynomial of degree ≤ {degree}: the best one is off by {off.max():.1e} "
        f"at x = ({worst}), where V varies by {spread:.1e}. Raise degree, or use another method."
    )


def _least_squares(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Normal equations, refined: ten times as fast as an SVD, and as exact for a design as well-conditioned as this."""
    factor = scipy.linalg.cho_factor(design.T @ design)
    solution = np.zeros(design.shape[1])
    for _ in range(4):
        solution = solution + scipy.linalg.cho_solve(factor, design.T @ (values - design @ solution))
    return solution


def _monomials(powers: np.ndarray, fit: np.ndarray, constant: float) -> Polynomial:
    """From Hermite products of y/_REACH, and a constant, to powers of y; what is only rounding is dropped."""
    one = _hermite_coefficients(int(powers.max()))
    change = np.ones((len(powers), len(powers)))
    for axis in powers.T:
        change *= one[axis][:, axis]
    coefficients = fit @ change
    coefficients[np.abs(coefficients) < _ROUNDING * np.abs(coefficients).max()] = 0.0
    coefficients[powers.sum(axis=1) == 0] += constant
    kept = coefficients != 0
    return Polynomial(powers[kept], coefficients[kept] * _REACH ** -powers[kept].sum(axis=1).astype(float))


def _hermite_coefficients(degree: int) -> np.ndarray:
    """He_n(z)/√n! = Σ_k [n, k] z^k."""
    one = np.zeros((degree + 1, degree + 1))
    for n in range(degree + 1):
        one[n, : n + 1] = np.polynomial.hermite_e.herme2poly([0] * n + [1]) / np.sqrt(float(factorial(n)))
    return one


def _hermite_products(z: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """∏_i He_{k_i}(z_i)/√k_i! at points (P, dim): (P, T)."""
    one = _hermite_coefficients(int(powers.max()))
    design = np.ones((len(z), len(powers)))
    for i in range(z.shape[1]):
        design *= (np.vander(z[:, i], len(one), increasing=True) @ one.T)[:, powers[:, i]]
    return design


def check_bounded(problem: Problem, v: Polynomial) -> None:
    """Raise ValueError where V falls without bound in some direction: by its terms of highest degree, on random directions."""
    y = np.random.default_rng(0).normal(size=(4096, problem.dim))
    values = v.top(y / np.linalg.norm(y, axis=1, keepdims=True))
    if values.min() < -1e-9 * np.abs(values).max():
        degree = v.top.powers.sum(axis=1)[0]
        raise ValueError(
            f"ProductBasis: V of {problem.name} falls without bound far out, by its terms of degree {degree}: in all of space "
            "there is no lowest state. Use a method that knows the walls: qspin.Grid() or qspin.Ritz()."
        )
