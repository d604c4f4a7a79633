"""How a gradient in many dimensions becomes a step of the parameters: Adam, or conjugate gradients in the energy metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from qspin.methods.sampled.directions import Direction
from qspin.methods.sampled.energy_metric import energy_step
from qspin.methods.sampled.sampled_evaluation import Sampled
from qspin.numerics.checks import whole

__all__ = ["Adam", "EnergyMetric", "Place", "Update"]

_FEW = 12  # dimensions up to which Adam's rate is as given


class Place(NamedTuple):
    """Where training stands: parameters, what the batch said, x (B, dim) and ½ ln of their weights (B,), the `share` of a full
    step, which falls from 1 to 0 in training, and a random key."""

    sampled: Sampled
    params: Any
    found: Direction
    x: Any
    shift: Any
    share: Any
    key: Any


class Update(ABC):
    """Settings only; what is kept from step to step is a pytree like the parameters."""

    @abstractmethod
    def default_steps(self, dim: int) -> int:
        """Steps, where nothing else is asked."""

    def init(self, params: Any) -> Any:
        """What is kept, at the start."""
        del params

    @abstractmethod
    def change(self, kept: Any, at: Place) -> tuple[Any, Any]:
        """What to add to the parameters, and what is kept."""


@dataclass(frozen=True)
class Adam(Update):
    """Adam (Kingma and Ba, ICLR 2015); `learning_rate` is divided by √(dim/12) past 12 dimensions."""

    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise ValueError(f"Adam: learning_rate must be positive, got {self.learning_rate!r}.")

    def default_steps(self, dim: int) -> int:
        return 2000 if dim < 32 else 600

    def init(self, params: Any) -> Any:
        return optax.scale_by_adam().init(params)

    def change(self, kept: Any, at: Place) -> tuple[Any, Any]:
        unit, kept = optax.scale_by_adam().update(at.found.gradient, kept, at.params)
        # Every entry moves alike: a form of dim² entries, and the log factor with it, would move dim times as far.
        slower = min(1.0, float(np.sqrt(_FEW / at.sampled.domain.dim)))
        rate = self.learning_rate * slower * at.share
        return [
            [*jax.tree.map(lambda u: -rate * u, layers), jax.tree.map(lambda u: -rate * slower * u, forms)]
            for *layers, forms in unit
        ], kept


@dataclass(frozen=True)
class EnergyMetric(Update):
    """Conjugate gradients on what a change costs in energy (see `energy_metric`), `iterations` a step.

    Of the few, large steps of second order each costs some 80 gradients; on the problems measured Adam was faster.
    """

    iterations: int = 20

    def __post_init__(self) -> None:
        whole("EnergyMetric: iterations", self.iterations)

    def default_steps(self, dim: int) -> int:
        return 200

    def change(self, kept: Any, at: Place) -> tuple[Any, Any]:
        ansatz, found = at.sampled.ansatz, at.found
        axes = ansatz.references[0].axes * ansatz.references[0].rates
        kinetic = jnp.asarray(np.sum(axes**2, axis=1))  # c of -c ∂², from the reference's coordinates
        spacing = (found.energies[-1] - found.energies[0]) / max(len(found.energies) - 1, 1)
        weight = jnp.maximum(spacing, 1e-3 * jnp.abs(found.energies[0]))
        delta = energy_step(
            lambda p, point: ansatz.values(p, point) @ found.combination, at.params, at.x, jnp.exp(at.shift), kinetic,
            found.gradient, jax.tree.map(jnp.zeros_like, at.params), at.key, weight, self.iterations,
        )  # fmt: skip
        return jax.tree.map(lambda d: -at.share * d, delta), kept
