"""Eigenfunctions of `Ritz`: combinations of neurons, evaluated anywhere, saved and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspin.methods.locate.survey import Jump
from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.numerics.laplacian import Function
from qspin.problem.domain import Box, Centre, Domain
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, check_shapes
from qspin.spectrum.store import check_region, describe_domain

__all__ = ["RitzFunctions"]

_SHAPES = {
    "mean": "dim", "whiten": "dim dim", "decay": "decays", "lengths": "lengths", "hidden": "features inputs",
    "biases": "features", "combination": "features states", "points": "points dim", "weights": "points",
}  # fmt: skip


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

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "RitzFunctions":
        """What `record` gave, read back. Raises ValueError where the region's walls are not in the file."""
        assert isinstance(domain, Box)
        check_region(settings["domain"], domain)
        check_shapes(arrays, _SHAPES, dim=domain.dim)
        centres = tuple(Centre(tuple(row[:-3]), *row[-3:]) for row in settings["centres"])
        return cls(
            Coordinates(domain, centres, tuple(Jump(*jump) for jump in settings.get("jumps", ()))),
            Frame(*(arrays[name] for name in ("mean", "whiten", "decay", "lengths"))),
            Neurons(arrays["hidden"], arrays["biases"]),
            *(arrays[name] for name in ("combination", "points", "weights")),
        )
