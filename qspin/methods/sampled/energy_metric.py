"""A step in the energy metric: conjugate gradients on what a change of parameters costs in energy, over sampled points.

A change δ of the parameters moves the states by a_k. Seen from the ground state ψ_0 its energy above ψ_0 is
Σ_k ∫ c|∇a_k - a_k ∇ln ψ_0|² dx, positive without any shift; γ·∫a_k² is added to it. One random direction ξ a point, whose
mean over directions is the gradient squared, stands for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

__all__ = ["energy_step"]

_NODE = 1e-3  # of the typical |ψ_0|: below, ∇ln ψ_0 is damped
_DAMPING = 1e-4  # of the metric's largest diagonal, seen by one product
_REACH = 0.3  # the largest change of the states, of their norm


def energy_step(
    states: Callable[[Any, Any], Any],
    params: Any,
    x: Any,
    root_weights: Any,
    kinetic: Any,
    gradient: Any,
    warm: Any,
    key: Any,
    weight: Any,
    iterations: int = 20,
) -> Any:
    """δ with (metric + damping)·δ = gradient, no longer than moves the states by 0.3 of themselves.

    Args:
        states: (params, point (dim,)) -> ψ (N,), ψ_0 first.
        x: (B, dim) points; root_weights: (B,) roots of their weights.
        kinetic: (dim,) c of -c ∂².
        gradient, warm: as params: half the gradient of Σ_k E_k, and where to begin.
        weight: γ, an energy: about the spacing of the levels.

    An iteration costs O(B) directional derivatives of the states and their transposes; memory O(B · network).
    """
    xi = jax.random.rademacher(key, x.shape, x.dtype) * jnp.sqrt(kinetic)

    def along(p: Any, point: Any, direction: Any) -> tuple[Any, Any]:
        return jax.jvp(lambda y: states(p, y), (point,), (direction,))

    ground, slope = (part[:, 0] for part in jax.vmap(along, (None, 0, 0))(params, x, xi))
    floor = _NODE * jnp.median(jnp.abs(ground)) + 1e-300
    steepness = slope * ground / (ground**2 + floor**2)

    def moved(p: Any) -> tuple[Any, Any]:
        a, da = jax.vmap(along, (None, 0, 0))(p, x, xi)
        w = root_weights[:, None]
        return jnp.sqrt(weight) * w * a, w * (da - a * steepness[:, None])

    _, push = jax.linearize(moved, params)
    pull = jax.linear_transpose(push, params)
    flat, unravel = ravel_pytree(gradient)

    def metric(v: Any) -> Any:
        return ravel_pytree(pull(push(unravel(v)))[0])[0]

    size = jnp.vdot(flat, metric(flat)) / jnp.maximum(jnp.vdot(flat, flat), 1e-300)
    found, _ = jax.scipy.sparse.linalg.cg(
        lambda v: metric(v) + _DAMPING * size * v,
        flat,
        x0=ravel_pytree(warm)[0],
        maxiter=iterations,
        tol=1e-3,
    )
    a, _ = push(unravel(found))
    change = jnp.sqrt(jnp.sum(a**2) / weight / a.shape[1])
    return unravel(found * jnp.minimum(1.0, _REACH / jnp.maximum(change, 1e-300)))
