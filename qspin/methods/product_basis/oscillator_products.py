"""Sets of products of oscillator functions by their quanta, and the place of each in its set."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Products"]


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
