"""Metropolis sampling: many walkers at once, moved along the gradient of a density's logarithm (MALA), steps tuned.

Where no reference density is close to the states', points come from Σ_k |ψ_k|² itself. They are correlated from one draw to the
next; how strongly is measured. Source: Roberts and Tweedie, Bernoulli 2, 341 (1996).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

__all__ = ["Walkers", "autocorrelation_time", "start", "walk"]

_WANTED = 0.57  # acceptance at which MALA moves fastest in many dimensions (Roberts and Rosenthal 1998)
_ADAPTED = 0.05  # change of ln step for a whole unit of acceptance


class Walkers(NamedTuple):
    """Points x (B, dim), ln density (B,) and its gradient (B, dim) there, the step, and the share of moves accepted last."""

    x: Any
    log: Any
    slope: Any
    step: Any
    accepted: Any


def start(log_density: Callable[[Any], Any], x: Any, step: Any) -> Walkers:
    """Walkers at points x (B, dim); `log_density` is of one point."""
    log, slope = jax.vmap(jax.value_and_grad(log_density))(x)
    return Walkers(x, log, slope, jnp.asarray(step, x.dtype), jnp.asarray(_WANTED, x.dtype))


def walk(
    log_density: Callable[[Any], Any], walkers: Walkers, key: Any, moves: int, scale: Any = 1.0
) -> Walkers:
    """Every walker moved `moves` times; `scale` (dim,) are lengths over which the density varies along each axis.

    Each move proposes x + ½ε²s²∇ln p + εs·ξ and takes it with the probability that keeps p stationary. The step follows the
    acceptance towards 0.57: keep it fixed (ignore the new one) where samples must be exact. Costs `moves` gradients a walker.
    """

    def proposal_log(to: Any, x: Any, slope: Any, step: Any) -> Any:
        away = (to - x) / scale - step**2 / 2 * scale * slope
        return -jnp.sum(away**2, axis=1) / (2 * step**2)

    def move(walkers: Walkers, key: Any) -> tuple[Walkers, None]:
        x, log, slope, step, _ = walkers
        noise_key, choice_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, x.shape, x.dtype)
        to = x + step**2 / 2 * scale**2 * slope + step * scale * noise
        new_log, new_slope = jax.vmap(jax.value_and_grad(log_density))(to)
        finite = jnp.isfinite(new_log) & jnp.all(jnp.isfinite(new_slope), axis=1)
        ratio = new_log - log + proposal_log(x, to, new_slope, step) - proposal_log(to, x, slope, step)
        taken = finite & (jnp.log(jax.random.uniform(choice_key, log.shape, log.dtype)) < ratio)
        share = jnp.mean(taken.astype(log.dtype))
        return Walkers(
            jnp.where(taken[:, None], to, x),
            jnp.where(taken, new_log, log),
            jnp.where(taken[:, None], new_slope, slope),
            step * jnp.exp(_ADAPTED * (share - _WANTED)),
            share,
        ), None

    scale = jnp.broadcast_to(jnp.asarray(scale, walkers.x.dtype), walkers.x.shape[1:])
    return jax.lax.scan(move, walkers, jax.random.split(key, moves))[0]


def autocorrelation_time(series: np.ndarray) -> float:
    """Draws that one independent sample costs, 1 + 2·Σ_t ρ(t), from a quantity (draws, walkers); averaged over walkers and
    summed up to the first t of five times the sum so far (Sokal's window)."""
    centred = series - series.mean()
    variance = (centred**2).mean()
    if not variance > 0:
        return 1.0
    total = 1.0
    for lag in range(1, len(series)):
        total += 2 * float((centred[lag:] * centred[:-lag]).mean() / variance)
        if lag >= 5 * total:
            break
    return max(total, 1.0)
