"""Superpositions of a spectrum's states in time: ψ(x, t) = Σ c_n exp(-i E_n t) ψ_n(x), ħ = 1."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qspin.spectrum.spectrum import Spectrum

__all__ = ["Superposition", "superposition"]


@dataclass(frozen=True, eq=False)
class Superposition:
    """Σ c_n ψ_n with Σ|c_n|² = 1.

    Attributes:
        spectrum: whose states they are.
        coefficients: (N,) complex, normalised.
    """

    spectrum: Spectrum
    coefficients: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """(N,) |c_n|²: how probable each energy is. They do not change in time."""
        return np.abs(self.coefficients) ** 2

    @property
    def energy(self) -> float:
        """⟨H⟩ = Σ |c_n|² E_n."""
        return float(self.weights @ self.spectrum.energies)

    @property
    def period(self) -> float:
        """2π over the smallest difference between energies that take part: the slowest beat of the density.

        Levels no further apart than their errors count as one. A density that does not move has none: infinity.
        """
        taking_part = np.flatnonzero(self.weights > 1e-6)
        order = taking_part[np.argsort(self.spectrum.energies[taking_part])]
        energies, errors = self.spectrum.energies[order], self.spectrum.errors[order]
        gaps = np.diff(energies)
        floor = np.maximum(3 * np.hypot(errors[1:], errors[:-1]), 1e-9 * np.abs(energies).max())
        apart = gaps[gaps > floor]
        return float(2 * np.pi / apart.min()) if apart.size else np.inf

    def phased(self, time: float, origin: float = 0.0) -> np.ndarray:
        """c_n exp(-i (E_n - origin) t), (N,); an origin other than zero only turns the phase of the whole."""
        return self.coefficients * np.exp(-1j * (self.spectrum.energies - origin) * time)

    def __call__(self, x: Any, time: float) -> np.ndarray:
        """ψ(x, t) at points x (..., dim), complex (...). Time is in 1/energy."""
        return self.spectrum(x) @ self.phased(time)


def superposition(spectrum: Spectrum, coefficients: Any) -> Superposition:
    """Normalised coefficients on a spectrum's states.

    Args:
        coefficients: c_0, c_1, …, as many as you like up to N; or a mapping from states to numbers, {0: 1, 3: 1j}.

    Raises ValueError for more coefficients than states, states out of range, numbers that are not finite, or all zero.
    """
    n = spectrum.n_states
    given = np.zeros(n, complex)
    if isinstance(coefficients, Mapping):
        for state, value in coefficients.items():
            whole = isinstance(state, int | np.integer) and not isinstance(state, bool)
            if not whole or not 0 <= state < n:
                raise ValueError(f"superposition: states must lie in 0 … {n - 1}, got {state!r}.")
            given[state] = value
    else:
        try:
            listed = np.asarray(coefficients, complex)
        except (TypeError, ValueError):
            listed = np.empty((0, 0))
        if listed.ndim != 1 or not 1 <= len(listed) <= n:
            raise ValueError(
                f"superposition: coefficients must be 1 to {n} numbers, or a mapping from states to numbers, got "
                f"{coefficients!r}."
            )
        given[: len(listed)] = listed
    norm = float(np.linalg.norm(given))
    if not np.isfinite(norm) or norm == 0:
        raise ValueError(
            f"superposition: coefficients must be finite and not all zero, got {coefficients!r}."
        )
    return Superposition(spectrum, given / norm)
