"""Eigenfunctions of `Ritz`: combinations of neurons, evaluated anywhere, saved and loaded."""

from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.methods.spin.evaluate import PointwiseFunctions
from qspin.numerics.laplacian import Function
from qspin.spectrum.domain_record import describe_domain
from qspin.spectrum.eigenfunctions import Eigenfunctions

__all__ = ["RitzFunctions"]


@dataclass(frozen=True, eq=False)
class RitzFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ · tanh(W f(x) + b) · envelope(x) · exp(ik·x), with the rule that verified them."""

    coordinates: Coordinates
    frame: Frame
    neurons: Neurons
    combination: np.ndarray
    points: np.ndarray
    weights: np.ndarray

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.coordinates.domain.dim

    def psi(self) -> Function:
        def psi(x: Any) -> Any:
            hidden = jnp.tanh(
                self.neurons.weights @ self.coordinates.inputs(self.frame, x) + self.neurons.biases
            )
            psi = (hidden @ self.combination) * self.coordinates.envelope(self.frame, x)
            wave = self.coordinates.domain.wave_vector
            return psi * jnp.exp(1j * jnp.dot(jnp.asarray(wave), x)) if any(wave) else psi

        return psi

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, combination=self.combination * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kind": "ritz",
            "domain": describe_domain(self.coordinates.domain),
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.coordinates.centres],
            "jumps": [list(jump) for jump in self.coordinates.jumps],
        }
        arrays = {
            "mean": self.frame.mean, "whiten": self.frame.whiten, "decay": self.frame.decay, "lengths": self.frame.lengths,
            "hidden": self.neurons.weights, "biases": self.neurons.biases, "combination": self.combination,
            "points": self.points, "weights": self.weights,
        }  # fmt: skip
        return settings, {name: np.asarray(value) for name, value in arrays.items()}
