"""Eigenfunctions of `SampledRitz`: combinations of product functions, evaluated anywhere, saved and loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from qspin.methods.sampled.product_ansatz import ProductAnsatz
from qspin.methods.sampled.product_reference import Reference
from qspin.numerics.laplacian import Function
from qspin.problem.domain import Domain
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, check_shapes

__all__ = ["SampledFunctions"]

_TABLES = (
    "centre", "axes", "rates", "bent", "modals", "pairs", "slots", "levels", "energies", "edges", "density", "cumulated",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SampledFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ f(x; params), with the points and weights that inner products are taken on."""

    ansatz: ProductAnsatz
    params: Any
    combination: np.ndarray
    domain: Domain
    points: np.ndarray
    weights: np.ndarray

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.domain.dim

    def psi(self) -> Function:
        return lambda x: self.ansatz.values(self.params, x) @ jnp.asarray(self.combination)

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return replace(self, combination=self.combination * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kinds": [list(r.kinds) for r in self.ansatz.references],
            "widths": list(self.ansatz.widths),
        }
        arrays = {"combination": self.combination, "points": self.points, "weights": self.weights}
        for w, (reference, layers) in enumerate(zip(self.ansatz.references, self.params, strict=True)):
            arrays |= {f"reference/{w}/{name}": getattr(reference, name) for name in _TABLES}
            for i, (matrix, bias) in enumerate(layers):
                arrays |= {f"layer/{w}/{i}/matrix": matrix, f"layer/{w}/{i}/bias": bias}
        return settings, {name: np.asarray(value) for name, value in arrays.items()}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> "SampledFunctions":
        """What `record` gave, read back."""
        shapes = {"combination": "functions states", "points": "points dim", "weights": "points"}
        check_shapes(arrays, shapes, dim=domain.dim)
        references, params = [], []
        for w, kinds in enumerate(settings["kinds"]):
            tables = {name: arrays[f"reference/{w}/{name}"] for name in _TABLES}
            references.append(Reference(tuple(kinds), **tables))
            layers = range(len(settings["widths"]) + 2)
            params.append([(arrays[f"layer/{w}/{i}/matrix"], arrays[f"layer/{w}/{i}/bias"]) for i in layers])
        ansatz = ProductAnsatz(tuple(references), tuple(settings["widths"]))
        return cls(ansatz, params, arrays["combination"], domain, arrays["points"], arrays["weights"])
