"""The best Gaussian for a potential: it shows where the ground state is, its normal coordinates, and their widths.

For H = -Σ c_i ∂_i² + V and ψ ∝ exp(-½ q·A q), q = (x - x₀)/√c, the energy ½ tr A + ⟨V⟩ is stationary where ⟨∇V⟩ = 0 and
A² = ½⟨∇²V⟩ (in q): the self-consistent harmonic approximation. Several starts find several wells.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import ndtri

from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box
from qspin.problem.problem import Problem

__all__ = ["Well", "gaussian_wells"]

_POINTS = 512
_STARTS = 12
_PASSES = 60
_STEP = 0.7
_WIDEST = 1e6  # a direction counts as free when its width has grown by this factor
_APART = 2.0  # Gaussians whose means are farther apart than this, in widths, count as two wells
_BLOCK = 64  # Hessians held at a time


class Well(NamedTuple):
    """x = centre + axes·y: in y (dim,) the Gaussian is exp(-|y|²/2) and the kinetic energy -Σ rates_i² ∂²/∂y_i².

    `energy` is the Gaussian's, ½Σ rates² + ⟨V⟩.
    """

    centre: np.ndarray
    axes: np.ndarray
    rates: np.ndarray
    energy: float


def gaussian_wells(problem: Problem, seed: int = 0, rotate: bool = True) -> list[Well]:
    """Stationary Gaussians at different places, lowest energy first; `rotate=False` keeps to the user's axes.

    Costs 12 · 60 · 512 Hessians of V at most. Raises ValueError where V falls without bound, where a direction confines
    nothing, or where no start gives finite numbers.
    """
    count = max(_POINTS, 64 * -(-problem.dim // 16))
    normal = ndtri(golden_lattice(count // 2, problem.dim))
    # First and second moments exact: in pairs, and whitened.
    normal = np.concatenate([normal, -normal])
    normal = np.linalg.solve(np.linalg.cholesky(normal.T @ normal / count), normal.T).T
    wells: list[Well] = []
    for place, width in _starts(problem, seed, _STARTS):
        well = _best_gaussian(problem, normal, place, width, rotate)
        if well is None:
            continue
        if all(min(_distance(o, well), _distance(well, o)) > _APART for o in wells):
            wells.append(well)
        else:  # the better of two at the same place
            wells = [well if _distance(o, well) <= _APART and well.energy < o.energy else o for o in wells]
    if not wells:
        raise ValueError(
            f"Potential of {problem.name}: no Gaussian settles in it from {_STARTS} starts. V must rise in every direction "
            "(no continuous spectrum) and be finite; scale the coordinates so that states are of order one wide, or give a "
            "qspin.Box."
        )
    return sorted(wells, key=lambda w: w.energy)


def _distance(of: Well, other: Well) -> float:
    """The distance between two wells, in the first one's widths."""
    return float(np.linalg.norm(np.linalg.solve(of.axes, other.centre - of.centre)))


def _moments(potential: Callable[..., Array]) -> Callable[..., Any]:
    """Means over points (P, dim) of V, ∇V and ∇²V, compiled; the same function for equal potentials."""
    with suppress(TypeError):
        return _compiled_moments(potential)
    return _compiled_moments.__wrapped__(potential)


@lru_cache(maxsize=16)
def _compiled_moments(potential: Callable[..., Array]) -> Callable[..., Any]:
    gradient = jax.grad(potential)

    def at(x: Float[Array, " dim"]) -> tuple[Array, Array, Array]:
        return potential(x), gradient(x), jax.jacfwd(gradient)(x)

    @jax.jit
    def moments(x: Float[Array, "points dim"]) -> tuple[Array, Array, Array]:
        blocks = x.reshape(-1, min(_BLOCK, len(x)), x.shape[1])
        parts = jax.lax.map(lambda b: jax.tree.map(partial(jnp.mean, axis=0), jax.vmap(at)(b)), blocks)
        return jax.tree.map(partial(jnp.mean, axis=0), parts)

    return moments


def _starts(problem: Problem, seed: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Places and widths to start from: the middle of the box at three scales, then narrow Gaussians at random places."""
    rng = np.random.default_rng(seed)
    domain = problem.domain
    if isinstance(domain, Box):
        middle, size = np.asarray(domain.centre), np.asarray(domain.lengths)
        first = [(middle, f * size) for f in (0.15, 0.03, 0.25)]
        random_starts = [
            (middle + size * rng.uniform(-0.35, 0.35, problem.dim), 0.02 * size)
            for _ in range(count - len(first))
        ]
        return first + random_starts
    zero, one = np.zeros(problem.dim), np.ones(problem.dim)
    first = [(zero, f * one) for f in (1.0, 0.1, 5.0)]
    return first + [
        (rng.normal(size=problem.dim) * rng.choice([1.0, 3.0]), 0.2 * one) for _ in range(count - 3)
    ]


def _best_gaussian(
    problem: Problem,
    normal: Float[np.ndarray, "points dim"],
    place: Float[np.ndarray, " dim"],
    width: Float[np.ndarray, " dim"],
    rotate: bool,
) -> Well | None:
    """The Gaussian that the iteration from one start converges to; None where numbers are not finite."""
    moments, c = _moments(problem.local.potential), problem.local.coefficients
    root = np.sqrt(c)
    rates, rotation, centre = c / (2 * width**2), np.eye(problem.dim), np.array(place, float)
    lower = np.full(problem.dim, -np.inf)
    upper = -lower
    least = np.zeros(problem.dim)
    if isinstance(problem.domain, Box):
        lower, upper = np.asarray(problem.domain.lower), np.asarray(problem.domain.upper)
        least = c / (2 * (0.3 * (upper - lower)) ** 2)  # no wider than uniform
    first, energies = rates.min(), []
    with np.errstate(all="ignore"):
        for step in range(_PASSES):
            # ψ² has variance 1/(2 rate) along each axis of q = turnᵀ (x - centre)/√c.
            x = centre + root * ((normal / np.sqrt(2 * rates)) @ rotation.T)
            x = (
                np.clip(x, lower + 1e-9 * (upper - lower), upper - 1e-9 * (upper - lower))
                if np.isfinite(lower).all()
                else x
            )
            value, slope, curve = (np.asarray(part) for part in moments(x))
            if not (np.isfinite(value) and np.isfinite(slope).all() and np.isfinite(curve).all()):
                return None
            energies.append(float(value + rates.sum() / 2))
            curve = curve * np.multiply.outer(root, root)
            values, vectors = np.linalg.eigh(curve) if rotate else (np.diag(curve), np.eye(problem.dim))
            # Where V curves down, wider by half at most.
            floor = (vectors**2).T @ ((rotation**2) @ rates) / 2
            new = np.sqrt(np.maximum(values, 0) / 2)
            new = np.maximum(np.maximum(new, floor), (vectors**2).T @ least)
            move = vectors @ ((vectors.T @ (root * slope)) / np.maximum(2 * new**2, 1e-300))
            longest = np.abs((vectors.T @ move) * np.sqrt(new)).max()
            move *= _STEP / max(1.0, longest / 2)
            centre = np.clip(centre - root * move, lower, upper)
            rates, rotation = new, vectors
            if rates.min() < first / _WIDEST:
                weak = root * rotation[:, rates.argmin()]
                if np.isfinite(lower).all():
                    break
                where = ", ".join(f"{d:.2g}" for d in weak / np.linalg.norm(weak))
                raise ValueError(
                    f"Potential of {problem.name}: V does not confine along ({where}): the best Gaussian there is "
                    f"{np.sqrt(first / rates.min()):.1g} times as wide as at first and still growing, so the spectrum is "
                    "continuous. Give a qspin.Box, or a potential that rises."
                )
            if step > 8 and abs(energies[-1] - energies[-6]) < 1e-10 * abs(energies[-1]) + 1e-14:
                break
    if len(energies) >= 20 and energies[-1] < -1e3 * (abs(energies[0]) + rates.sum()):
        raise ValueError(
            f"Potential of {problem.name}: V falls without bound, or to the walls of the box: Gaussians reach "
            f"{energies[len(energies) // 2]:.3g}, then {energies[-1]:.3g} at x = ({', '.join(f'{v:.3g}' for v in centre)}). In "
            "space there is no lowest state; in a Box, where the walls hold it, use qspin.SpIN()."
        )
    if not np.isfinite(energies[-1]):
        return None
    order = np.argsort(rates)
    rates, rotation = rates[order], rotation[:, order]
    return Well(centre, root[:, None] * rotation / np.sqrt(rates), np.sqrt(rates), energies[-1])
