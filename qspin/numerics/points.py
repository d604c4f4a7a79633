"""Points that fill the unit cube evenly, their normal counterparts, and points with quadrature weights."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["Points", "golden_lattice", "normal_deviates"]


class Points(NamedTuple):
    """Points x_b and weights w_b: Σ_b w_b f(x_b) estimates ∫ f dx."""

    x: Float[Array, "batch dim"]
    weights: Float[Array, " batch"]


def golden_lattice(count: int, dim: int, offset: float = 0.5) -> Float[np.ndarray, "count dim"]:
    """Quasi-random points of the unit cube, frac(offset + b·α) for b = 0, 1, …, count - 1.

    α are powers of 1/φ, where φ is the root of φ^(dim + 1) = φ + 1 (Roberts 2018, the R_d sequence).
    """
    phi = 2.0
    for _ in range(64):
        phi = (1 + phi) ** (1 / (dim + 1))
    return (offset + np.outer(np.arange(count), phi ** -np.arange(1.0, dim + 1))) % 1.0


def normal_deviates(unit: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Standard normal numbers from uniform ones, held within the range that single precision resolves."""
    return jax.scipy.special.ndtri(jnp.clip(unit, 1e-6, 1 - 1e-6))
