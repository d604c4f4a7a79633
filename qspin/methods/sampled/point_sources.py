"""Where the points of training in many dimensions come from: reference densities, or walkers in the states' own density."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.sampled.metropolis import Walkers, start, walk
from qspin.methods.sampled.sampled_evaluation import Sampled
from qspin.numerics.checks import whole

__all__ = ["MetropolisWalkers", "PointSource", "ReferencePoints"]

_EDGE = 1e-9  # of the unit cube, where a normal coordinate is infinite


class PointSource(ABC):
    """Settings only; what is kept from step to step is a pytree, the randomness is the key."""

    takes_circles = True

    def init(self, sampled: Sampled, lattice: np.ndarray) -> Any:
        """What is kept, at the start."""
        del sampled, lattice

    @abstractmethod
    def draw(
        self, sampled: Sampled, lattice: np.ndarray, log_density: Callable[[Any], Any], kept: Any, key: Any
    ) -> tuple[Any, Any, Any, dict[str, Any]]:
        """Points x (B, dim), ½ ln of their weights (B,), what is kept, and what to report.

        `lattice` (B, dim + 1) fills the unit cube evenly; `log_density` is ln Σ_k |ψ_k|² at one point.
        """


@dataclass(frozen=True)
class ReferencePoints(PointSource):
    """Independent points from the mixture of the reference products' densities: quasi-random, or `random`."""

    random: bool = False

    def draw(
        self, sampled: Sampled, lattice: np.ndarray, log_density: Callable[[Any], Any], kept: Any, key: Any
    ) -> tuple[Any, Any, Any, dict[str, Any]]:
        if self.random:
            unit = jax.random.uniform(key, lattice.shape, float)
        else:
            unit = (jnp.asarray(lattice) + jax.random.uniform(key, lattice.shape[1:])) % 1
        return *sampled.points(unit), kept, {}


@dataclass(frozen=True)
class MetropolisWalkers(PointSource):
    """Walkers in Σ_k |ψ_k|², all moved `moves` times a step (MALA; see `metropolis`): where reference densities are no good.

    Reports the share of moves accepted, and `correlation`, of ln density from one step to the next over the walkers. Costs
    `moves` gradients of the states a walker and step.
    """

    moves: int = 4
    takes_circles = False

    def __post_init__(self) -> None:
        whole("MetropolisWalkers: moves", self.moves)

    def init(self, sampled: Sampled, lattice: np.ndarray) -> Walkers:
        x, _ = sampled.points(jnp.clip(jnp.asarray(lattice), _EDGE, 1 - _EDGE))
        return Walkers(x, jnp.zeros(len(x)), jnp.zeros_like(x), jnp.asarray(0.3), jnp.asarray(0.0))

    def draw(
        self, sampled: Sampled, lattice: np.ndarray, log_density: Callable[[Any], Any], kept: Any, key: Any
    ) -> tuple[Any, Any, Any, dict[str, Any]]:
        scale = np.linalg.norm(sampled.ansatz.references[0].axes, axis=1) / np.sqrt(2)
        before = start(log_density, kept.x, kept.step)
        after = walk(log_density, before, key, self.moves, scale)
        report = {
            "acceptance": after.accepted,
            "correlation": jnp.corrcoef(before.log, after.log)[0, 1],
        }
        return after.x, -after.log / 2 - np.log(len(after.x)) / 2, after, report
