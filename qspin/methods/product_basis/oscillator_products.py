"""Sets of products of oscillator functions by their quanta, and the place of each in its set."""

from dataclasses import dataclass
from functools import cached_property
from math import factorial, prod

import numpy as np

__all__ = ["Products", "lowest_products", "quanta_below"]


def quanta_below(weights: np.ndarray, cut: float) -> np.ndarray:
    """All n (M, dim) ≥ 0 with Σ weights_i n_i ≤ cut, axis by axis."""
    quanta, left = np.zeros((1, 0), np.int64), np.array([cut])
    for weight in weights:
        counts = np.floor(left / weight + 1e-9).astype(int) + 1
        parent = np.repeat(np.arange(len(left)), counts)
        new = np.arange(len(parent)) - np.repeat(np.cumsum(counts) - counts, counts)
        quanta = np.column_stack([quanta[parent], new])
        left = left[parent] - weight * new
    return quanta


def lowest_products(weights: np.ndarray, most: int) -> np.ndarray:
    """The `most` n (M, dim) of least Σ weights_i n_i, ascending."""
    # A simplex of volume `most` holds at least as many corners of unit cubes.
    cut = (most * factorial(len(weights))) ** (1 / len(weights)) * prod(weights ** (1 / len(weights)))
    quanta = quanta_below(weights, float(cut))
    return quanta[np.argsort(quanta @ weights, kind="stable")[:most]]


@dataclass(frozen=True, eq=False)
class Products:
    """Basis functions by their quanta (M, dim), and a number for each that an operator may lead to: it moves by ≤ `reach`."""

    quanta: np.ndarray
    reach: int

    @cached_property
    def bases(self) -> np.ndarray:
        """Possible quanta an axis, (dim,)."""
        return self.quanta.max(axis=0) + self.reach + 1

    @cached_property
    def strides(self) -> np.ndarray:
        """What one quantum adds to the key, (dim,)."""
        return np.concatenate([[1], np.cumprod(self.bases[:-1])])

    @cached_property
    def keys(self) -> np.ndarray:
        """(M,)."""
        return self.quanta @ self.strides

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(self.keys)
        return self.keys[order], order

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Place of each key, -1 where it is none of ours."""
        known, order = self._sorted
        place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[place] == keys, order[place], -1)

    def decoded(self, keys: np.ndarray) -> np.ndarray:
        """Quanta of keys."""
        return keys[:, None] // self.strides % self.bases
