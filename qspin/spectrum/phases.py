"""The sign, or complex phase, of each eigenfunction: one convention for every method, so that pictures of two runs agree.

ψ is multiplied so that ∫ ψ|ψ| g dx is positive (and real), where g grows along every axis, at a different rate on each: so the
outermost lobe towards large coordinates is positive, as of the Hermite functions or of p_x ∝ x. A rule by the largest value
flips by rounding where two lobes tie. Here even and odd functions, products of them, and these turned, keep a margin: of
∫ |ψ|² g at least 0.5 for twenty states of an oscillator, 0.25 for products turned by 45°, 0.08 for thirty states of a box, 0.01
for exp(8iφ) and for ten standing waves on a ring. Within a degenerate level no convention makes
*functions* unique: `Spectrum.rotate` does.
"""

import numpy as np

from qspin.spectrum.eigenfunctions import Eigenfunctions

__all__ = ["phase_factors", "with_fixed_phases"]

_RATE = 2.0  # of g along the first axis, over standard deviations of |ψ|²
_GOLDEN = 0.618
_LEAST = 1e-6  # of ∫ |ψ|² g: below, the integral is a tie


def phase_factors(points: np.ndarray, weights: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """The numbers (N,) of modulus 1 that make functions psi (P, N), known at points (P, dim) with weights (P,), obey the
    convention: ±1 for real functions, complex ones for complex.

    Where the integral ties all the same, the value of largest modulus decides; a function that is not finite keeps its sign.
    Costs O(P · dim · N) exponentials.
    """
    dim = points.shape[1]
    rates = _RATE * (1 + _GOLDEN * np.arange(dim) % 1) * min(1.0, np.sqrt(3 / dim))
    return np.array([_factor(points, weights, column, rates) for column in psi.T])


def _factor(points: np.ndarray, weights: np.ndarray, psi: np.ndarray, rates: np.ndarray) -> complex | float:
    density = np.abs(weights) * np.abs(psi) ** 2
    total = density.sum()
    if not (np.isfinite(total) and total > 0):
        return 1.0
    offset = points - density @ points / total
    deviation = np.maximum(np.sqrt(density @ offset**2 / total), 1e-300)
    growth = np.exp(
        2 * np.tanh(offset / deviation / 2) @ rates
    )  # bounded: tails are where functions are known worst
    overlap = np.sum(weights * psi * np.abs(psi) * growth)
    if np.abs(overlap) <= _LEAST * (density @ growth):
        overlap = psi[np.abs(psi).argmax()]
    factor = np.conj(overlap) / np.abs(overlap)
    return factor if np.iscomplexobj(psi) else float(np.sign(factor))


def with_fixed_phases(functions: Eigenfunctions) -> Eigenfunctions:
    """The functions by the convention. Costs their evaluation on their own quadrature."""
    points, weights = functions.quadrature()
    return functions.times(phase_factors(points, weights, functions(points)))
