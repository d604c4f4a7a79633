"""`Eigenfunctions`: what every method's wavefunctions offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from qspin.problem.hamiltonian import Operator

__all__ = ["Eigenfunctions"]


class Eigenfunctions(ABC):
    """Orthonormal functions on a domain, with a rule to integrate them by."""

    @property
    @abstractmethod
    def n_states(self) -> int:
        """Number of functions, N."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Number of coordinates."""

    @abstractmethod
    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Values at points (P, dim) -> (P, N), float64, or complex."""

    @abstractmethod
    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, dim) and weights (P,) with Σ_p w_p f(x_p) ≈ ∫ f dx for products of these functions."""

    @abstractmethod
    def image(self, operator: Operator) -> np.ndarray:
        """(operator ψ_n)(x_p) at the points of `quadrature`, (P, N)."""

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        """Each function times a number, factors (N,), real or complex. Those that hold coefficients multiply them instead."""
        from qspin.spectrum.rotation import Rotated

        return Rotated(self, np.diag(factors))

    @abstractmethod
    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """JSON-able settings (with a key "kind") and arrays: what `qspin.load` makes the functions from."""
