"""The linear algebra of SpIN: moments, bias-corrected moving averages, ordering by Cholesky, the masked
gradient, Rayleigh–Ritz. No physics: u and Hu are arrays (batch, states).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

__all__ = [
    "Average",
    "Ordering",
    "all_finite",
    "masked_residual",
    "moment",
    "order",
    "orthogonalise_upwards",
    "principal_angles",
    "rayleigh_ritz",
    "whitening",
]


def moment(
    f: Float[Array, "batch m"], g: Float[Array, "batch n"], weights: Float[Array, " batch"]
) -> Float[Array, "m n"]:
    """Σ_b w_b f(x_b) g(x_b)ᵀ, an estimate of ∫ f gᵀ dx."""
    return (f * weights[:, None]).T @ g


class Average(eqx.Module):
    """An exponential moving average with the share of it that is data: total/mass has no start-up bias.

    `total` is an array, or a pytree of arrays.
    """

    total: Any
    mass: Float[Array, ""]

    @classmethod
    def zeros(cls, shape: tuple[int, ...], dtype: Any) -> "Average":
        """Of an array, before the first value."""
        return cls(jnp.zeros(shape, dtype), jnp.zeros((), dtype))

    def update(self, value: Any, rate: ArrayLike) -> "Average":
        """(1 - β)·old + β·new, for numerator and mass alike: with constant β the mass is 1 - (1 - β)^t."""
        rate = jnp.asarray(rate, self.mass.dtype)
        total = jax.tree.map(lambda old, new: (1 - rate) * old + rate * new, self.total, value)
        return Average(total, (1 - rate) * self.mass + rate)

    @property
    def value(self) -> Any:
        """The bias-corrected average."""
        return jax.tree.map(lambda total: total / self.mass, self.total)


class Ordering(NamedTuple):
    """L = chol(Σ), its inverse, and Λ = L⁻¹ Π L⁻ᵀ. v = L⁻¹u are the states in Gram–Schmidt order."""

    chol: Float[Array, "n n"]
    inverse: Float[Array, "n n"]
    eigenvalues: Float[Array, "n n"]


def order(sigma: Float[Array, "n n"], pi: Float[Array, "n n"]) -> Ordering:
    """Gram–Schmidt order of the states, by Cholesky of Σ (the paper's §4.1). NaN where Σ is not positive."""
    scale = 1 / jnp.sqrt(jnp.diagonal(sigma))  # states of any norm: factorise the correlation matrix
    chol = jnp.linalg.cholesky(sigma * scale[:, None] * scale) / scale[:, None]
    inverse = jax.scipy.linalg.solve_triangular(chol, jnp.eye(len(chol), dtype=chol.dtype), lower=True)
    return Ordering(chol, inverse, inverse @ ((pi + pi.T) / 2) @ inverse.T)


def masked_residual(
    v: Float[Array, "batch n"], hv: Float[Array, "batch n"], eigenvalues: Float[Array, "n n"]
) -> Float[Array, "batch n"]:
    """r_k = Hv_k - Σ_{j≤k} Λ_jk v_j; the paper's masked gradient (Eq. 12) is 2 r_k/L_kk pulled back."""
    return hv - v @ jnp.triu(eigenvalues)


def orthogonalise_upwards(
    f: Float[Array, "batch n"], v: Float[Array, "batch n"], weights: Float[Array, " batch"]
) -> Float[Array, "batch n"]:
    """f_k less its projection, on this batch, on v_1 … v_k (and on no higher state)."""
    overlap = moment(v, v, weights)
    inverse = order(overlap, overlap).inverse
    q = v @ inverse.T
    return f - q @ jnp.triu(moment(q, f, weights))


def rayleigh_ritz(
    sigma: np.ndarray, pi: np.ndarray, n_states: int | None = None, rank_tolerance: float = 1e-10
) -> tuple[np.ndarray, np.ndarray]:
    """Stationary values of cᵀΠc / cᵀΣc: energies (n,) ascending, coefficients (functions, n) with CᵀΣC = 1.

    Directions in which Σ, scaled to unit diagonal, is below `rank_tolerance` of its largest are left out. Rounding of 1e-16 in
    Σ and Π becomes 1e-16/tolerance in the energies: the default leaves six digits in the worst direction, and cuts only
    functions that agree to five (the square root). Raises ValueError where fewer than `n_states` directions remain.
    """
    wanted = len(sigma) if n_states is None else n_states
    whiten = whitening(sigma, rank_tolerance)
    if whiten.shape[1] < wanted:
        raise ValueError(
            f"rayleigh_ritz: only {whiten.shape[1]} of the functions are independent, {wanted} are needed."
        )
    energies, rotation = np.linalg.eigh(whiten.T @ ((pi + pi.T) / 2) @ whiten)
    return energies[:wanted], whiten @ rotation[:, :wanted]


def whitening(overlap: Float[np.ndarray, "m m"], rank_tolerance: float) -> Float[np.ndarray, "m rank"]:
    """W with WᵀΣW = 1 for an overlap Σ.

    Directions in which Σ, scaled to unit diagonal, is below `rank_tolerance` of its largest are left out.
    """
    scale = 1 / np.sqrt(np.maximum(np.diagonal(overlap), np.finfo(float).tiny))
    weights, vectors = np.linalg.eigh((overlap + overlap.T) / 2 * scale[:, None] * scale)
    kept = weights > rank_tolerance * weights[-1]
    return scale[:, None] * vectors[:, kept] / np.sqrt(weights[kept])


def principal_angles(overlap: np.ndarray) -> np.ndarray:
    """Angles (radians, ascending) between two subspaces, from the overlap (m, n) of orthonormal bases."""
    return np.arccos(np.clip(np.linalg.svd(overlap, compute_uv=False), 0, 1))


def all_finite(*arrays: Float[Array, "..."]) -> Bool[Array, ""]:
    """Whether every entry of every array is a finite number."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(a)) for a in arrays]))
