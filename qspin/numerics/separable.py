"""Separable problems: the lowest sums of one-dimensional levels, one from each axis, and Hermite polynomials and functions."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

__all__ = [
    "half_integers",
    "hermite_functions",
    "hermite_polynomials",
    "lowest_products",
    "products_below",
    "separable",
    "squares_from_one",
    "squares_in_pairs",
]

_DEGENERATE = 1e-6  # of the sum
_WRITTEN_OUT = 24  # orders up to which no loop is compiled


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


def products_below(
    ladders: Float[np.ndarray, "dim rungs"], highest: float
) -> Int[np.ndarray, "products dim"]:
    """All quantum numbers n with Σ_i ladders[i, n_i] ≤ highest, in lexicographic order; each ladder ascends from zero."""
    quanta, left = np.zeros((1, 0), np.int64), np.array([highest])
    for ladder in ladders:
        counts = np.searchsorted(ladder, left, side="right")
        parents = np.repeat(np.arange(len(left)), counts)
        new = np.arange(len(parents)) - np.repeat(np.cumsum(counts) - counts, counts)
        quanta = np.column_stack([quanta[parents], new])
        left = left[parents] - ladder[new]
    return quanta


def lowest_products(
    ladders: Float[np.ndarray, "dim rungs"], count: int
) -> tuple[Int[np.ndarray, "products dim"], Float[np.ndarray, " products"]]:
    """Quantum numbers and sums of the `count` lowest products, and of all others that are degenerate with the last of them.

    Each ladder ascends from zero, the excitation energies of one axis; infinity stands for a rung that does not exist.
    """
    sums = np.zeros(1)
    for ladder in ladders:
        sums = _lowest_pair_sums(sums, ladder, count)
    highest = sums[np.isfinite(sums)][-1]
    quanta = products_below(ladders, float(highest * (1 + _DEGENERATE)))
    sums = np.zeros(len(quanta))
    for ladder, axis in zip(ladders, quanta.T, strict=True):
        sums = sums + ladder[axis]
    order = np.argsort(sums, kind="stable")
    return quanta[order], sums[order]


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


def hermite_functions(y: Float[Array, "*shape"], most: int) -> Float[Array, "{most+1} *shape"]:
    """h_0 … h_most at y, orthonormal on the line; h_0 = π^(-1/4) exp(-y²/2)."""
    return _recurrence(y, np.pi**-0.25 * jnp.exp(-(y**2) / 2), most)


def hermite_polynomials(y: Float[Array, "*shape"], most: int) -> Float[Array, "{most+1} *shape"]:
    """H_0 … H_most at y, orthonormal under the weight exp(-y²)/√π; H_0 = 1."""
    return _recurrence(y, jnp.ones_like(y), most)


def _recurrence(
    y: Float[Array, "*shape"], first: Float[Array, "*shape"], most: int
) -> Float[Array, "{most+1} *shape"]:
    def step(pair: tuple[Array, Array], n: Any) -> tuple[tuple[Array, Array], Array]:
        before, last = pair
        new = y * (2 / (n + 1)) ** 0.5 * last - (n / (n + 1)) ** 0.5 * before
        return (last, new), new

    pair, values = (jnp.zeros_like(first), first), [first]
    if most > _WRITTEN_OUT:
        return jnp.concatenate(
            [first[None], jax.lax.scan(step, pair, jnp.arange(most, dtype=first.dtype))[1]]
        )
    for n in range(most):
        pair, new = step(pair, n)
        values.append(new)
    return jnp.stack(values)
