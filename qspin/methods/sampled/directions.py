"""How a batch in many dimensions becomes energies and a gradient: the Ritz rotation of all features, or SpIN's masked order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from qspin.methods.spin.estimators import AveragedCovariance, Batch
from qspin.numerics.pencil import Average
from qspin.numerics.points import Points

__all__ = ["Direction", "MaskedOrder", "Order", "RitzRotation", "lowest", "outside"]

_JITTER = 1e-9


class Direction(NamedTuple):
    """What a batch says: energies (N,), ψ and residuals (B, N), combinations (M, N), and half the gradient of Σ_k E_k."""

    energies: Any
    psi: Any
    residual: Any
    combination: Any
    gradient: Any


class Order(ABC):
    """How states are made of M features."""

    @abstractmethod
    def n_features(self, n_states: int) -> int:
        """M, where nothing else is asked."""

    @abstractmethod
    def direction(
        self, f: Any, hf: Any, overlap: Average, energy: Average, n_states: int, pull: Callable[[Any], Any]
    ) -> Direction:
        """From f and Hf (B, M), times root weights, and averages of E[f fᵀ] and E[f (Hf)ᵀ]; `pull` takes a cotangent of f."""


@dataclass(frozen=True)
class RitzRotation(Order):
    """The N lowest combinations of all features; what trains is the part of their residuals that no combination holds.

    Nothing is gained by a combination that a rotation finds anyway, and none can make the features dependent. M features cost
    O(B·M²) a step.
    """

    def n_features(self, n_states: int) -> int:
        return n_states + n_states // 4 + 6

    def direction(
        self, f: Any, hf: Any, overlap: Average, energy: Average, n_states: int, pull: Callable[[Any], Any]
    ) -> Direction:
        energies, c = lowest(overlap.value, energy.value, n_states)
        psi = f @ c
        residual = outside(f, hf @ c - psi * energies)
        return Direction(energies, psi, residual, c, pull(residual @ c.T))


@dataclass(frozen=True)
class MaskedOrder(Order):
    """SpIN's: state k is made of the first k features, and its gradient is masked so that no lower one feels it."""

    def n_features(self, n_states: int) -> int:
        return n_states

    def direction(
        self, f: Any, hf: Any, overlap: Average, energy: Average, n_states: int, pull: Callable[[Any], Any]
    ) -> Direction:
        batch = Batch(Points(f, jnp.ones(len(f))), f, hf, pull)  # the points themselves are not asked for
        gradient, _, ordering = AveragedCovariance().gradient(batch, overlap, energy, None, 0.0)
        c = ordering.inverse.T
        psi, energies = f @ c, jnp.diagonal(ordering.eigenvalues)
        half = jax.tree.map(lambda g: g / 2, gradient)
        return Direction(energies, psi, hf @ c - psi * energies, c, half)


def lowest(overlap: Any, energy: Any, n: int) -> tuple[Any, Any]:
    """The n lowest of the pencil, its noise symmetrised: energies, and combinations (M, n)."""
    scale, chol = _factor(overlap)
    p = (energy + energy.T) / 2 * scale[:, None] * scale
    solve = partial(jax.scipy.linalg.solve_triangular, chol, lower=True)
    a = solve(solve(p).T)
    values, vectors = jnp.linalg.eigh((a + a.T) / 2)
    c = jax.scipy.linalg.solve_triangular(chol.T, vectors[:, :n], lower=False)
    return values[:n], c * scale[:, None]


def outside(f: Any, residual: Any) -> Any:
    """Less its projection, on these points, on the span of the features: what that holds a rotation finds."""
    scale, chol = _factor(f.T @ f)
    inside = jax.scipy.linalg.cho_solve((chol, True), scale[:, None] * (f.T @ residual))
    return residual - f @ (scale[:, None] * inside)


def _factor(overlap: Any) -> tuple[Any, Any]:
    """Scales (M,) that make the diagonal one, and the Cholesky factor of what that leaves, held off singular."""
    scale = 1 / jnp.sqrt(jnp.diagonal(overlap))
    return scale, jnp.linalg.cholesky(overlap * scale[:, None] * scale + _JITTER * jnp.eye(len(scale)))
