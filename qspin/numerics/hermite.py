"""Hermite polynomials and functions by their three-term recurrence: the states of a harmonic oscillator."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["hermite_functions", "hermite_polynomials"]

_WRITTEN_OUT = 24  # orders up to which no loop is compiled


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
