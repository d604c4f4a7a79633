"""Energies of separable problems: the lowest sums of one-dimensional levels, one from each axis."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

__all__ = ["half_integers", "separable", "squares_from_one", "squares_in_pairs"]


def half_integers(n: int) -> Float[np.ndarray, " n"]:
    """½, 3/2, 5/2, …: of oscillators."""
    return np.arange(n) + 0.5


def squares_from_one(n: int) -> Float[np.ndarray, " n"]:
    """1, 4, 9, …: between walls."""
    return np.arange(1.0, n + 1) ** 2


def squares_in_pairs(n: int) -> Float[np.ndarray, " n"]:
    """0, 1, 1, 4, 4, …: k = 0, +1, -1, +2, -2."""
    return ((np.arange(n) + 1) // 2).astype(float) ** 2


def separable(
    scales: Float[np.ndarray, " dim"], ladder: Callable[[int], Float[np.ndarray, " n"]], n: int
) -> Float[np.ndarray, " n"]:
    """The lowest n of Σ_i scale_i · ladder(n)[j_i] over all j, ascending.

    Axes of one scale are summed in units of it, where the sums are exact, so that their degenerate levels
    come out equal to the last bit; levels degenerate across different scales agree to rounding.
    """
    rungs = ladder(n)
    excitations = rungs - rungs[0]
    total = np.zeros(1)
    for scale, axes in zip(*np.unique(scales, return_counts=True), strict=True):
        alike = np.zeros(1)
        for _ in range(axes):
            alike = _lowest_pair_sums(alike, excitations, n)
        total = _lowest_pair_sums(total, scale * alike, n)
    return scales.sum() * rungs[0] + total


def _lowest_pair_sums(
    a: Float[np.ndarray, " _"], b: Float[np.ndarray, " _"], n: int
) -> Float[np.ndarray, " _"]:
    """The lowest n of a_i + b_j, ascending, for ascending a and b.

    At least (i + 1)(j + 1) sums are no larger than a_i + b_j, so pairs with (i + 1)(j + 1) > n can be left
    out; about n log n remain.
    """
    row_lengths = np.minimum(n // np.arange(1, a.size + 1), b.size)
    row_starts = np.cumsum(row_lengths) - row_lengths
    columns = np.arange(row_lengths.sum()) - np.repeat(row_starts, row_lengths)
    sums = np.repeat(a, row_lengths) + b[columns]
    if sums.size > n:
        sums = np.partition(sums, n - 1)[:n]
    return np.sort(sums)
