"""Eigenfunctions of `SampledRitz`: combinations of product functions, evaluated anywhere, saved and loaded; and their
densities along one or two coordinates, the others integrated over, which is what pictures can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Inexact, PyTree

from qspin.methods.sampled.ansatz import ProductAnsatz, Reference
from qspin.numerics.laplacian import Function
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Box, Domain
from qspin.spectrum.eigenfunctions import Eigenfunctions, PointwiseFunctions, Rotated, check_shapes, combined
from qspin.spectrum.spectrum import Spectrum

__all__ = ["SampledFunctions", "marginal"]

_BLOCK = 8192  # points at a time
_TABLES = tuple(field.name for field in fields(Reference) if field.name != "kinds")


@dataclass(frozen=True, eq=False)
class SampledFunctions(PointwiseFunctions):
    """ψ(x) = combinationᵀ f(x; params), with the points and weights that inner products are taken on."""

    ansatz: ProductAnsatz
    params: PyTree
    combination: Inexact[np.ndarray, "features states"]
    domain: Domain
    points: Float[np.ndarray, "points dim"]
    weights: Float[np.ndarray, " points"]

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.domain.dim

    def psi(self) -> Function:
        return combined(Partial(self.ansatz.values, self.params), self.combination)

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
    ) -> SampledFunctions:
        """Read back what `record` gave."""
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


@double_precision()
def marginal(
    spectrum: Spectrum, axes: tuple[int, ...], bins: int = 60, points: int = 262_144, span: float = 0.999
) -> tuple[list[np.ndarray], np.ndarray]:
    """∫ |ψ_k|² over all coordinates but one or two.

    Args:
        spectrum: of `SampledRitz`, or of `Ritz` past three dimensions.
        axes: one or two of the coordinates x_i.
        bins: of the histogram along each.
        points: fresh sample points; the noise of a bin is about √(bins / points) of its height.
        span: share of the states' density that the histogram reaches over.

    Returns the bin edges along each axis, and densities (bins, …, N) that integrate to one. Costs O(points · M · dim) time.
    Raises ValueError for axes out of range, or a spectrum whose functions were not sampled.
    """
    functions, dim = spectrum.eigenfunctions, spectrum.domain.dim
    turn = functions.matrix if isinstance(functions, Rotated) else np.eye(spectrum.n_states)
    functions = functions.functions if isinstance(functions, Rotated) else functions
    if not isinstance(functions, SampledFunctions):
        raise ValueError(
            f"marginal: serves spectra of SampledRitz, which can draw points of their own; this is {spectrum.method}. In up to "
            "three dimensions use plot_orbitals."
        )
    if len(axes) not in (1, 2) or len(set(axes)) != len(axes) or not all(0 <= a < dim for a in axes):
        raise ValueError(f"marginal: axes must be one or two different ones of 0 … {dim - 1}, got {axes!r}.")
    combination = jnp.asarray(functions.combination @ turn)
    ansatz, params, box = functions.ansatz, functions.params, functions.domain
    assert isinstance(box, Box)
    lattice = jnp.asarray(golden_lattice(_BLOCK, dim + 1, offset=0.0))

    @jax.jit
    def block(key: Array) -> tuple[Array, Array]:
        unit = (lattice + jax.random.uniform(key, (dim + 1,))) % 1
        x, shift = ansatz.points(jnp.clip(unit, 1e-9, 1 - 1e-9), box)
        psi = jax.vmap(lambda point, s: ansatz.values(params, point, s))(x, shift) @ combination
        return x[:, np.array(axes)], jnp.abs(psi) ** 2

    parts = [block(jax.random.fold_in(jax.random.key(1), b)) for b in range(-(-points // _BLOCK))]
    x, density = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in range(2))
    edges = []
    for column in x.T:
        order = np.argsort(column)
        share = np.cumsum(density.sum(1)[order])
        low, high = np.interp([(1 - span) / 2, (1 + span) / 2], share / share[-1], column[order])
        edges.append(np.linspace(low, high, bins + 1))
    counts = [np.histogramdd(x, edges, weights=column, density=True)[0] for column in density.T]
    return edges, np.stack(counts, axis=-1)
