"""Densities of states in many dimensions along one or two coordinates, the others integrated over: what pictures can show."""

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.sampled.sampled_evaluation import Sampled
from qspin.methods.sampled.sampled_functions import SampledFunctions
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision
from qspin.spectrum.eigenfunctions import Rotated
from qspin.spectrum.spectrum import Spectrum

__all__ = ["marginal"]

_BLOCK = 8192


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
    combination = functions.combination @ turn
    sampled = Sampled(functions.domain, None, functions.ansatz, functions.n_states)
    lattice = golden_lattice(_BLOCK, dim + 1, offset=0.0)

    @jax.jit
    def block(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        unit = (jnp.asarray(lattice) + jax.random.uniform(key, (dim + 1,))) % 1
        x, shift = sampled.points(jnp.clip(unit, 1e-9, 1 - 1e-9))
        psi = sampled.values(functions.params, x, shift) @ jnp.asarray(combination)
        return x[:, np.array(axes)], jnp.abs(psi) ** 2

    parts = [block(jax.random.fold_in(jax.random.key(1), b)) for b in range(-(-points // _BLOCK))]
    x, density = (np.concatenate([np.asarray(p[i]) for p in parts]) for i in range(2))
    edges = []
    for column in x.T:
        order = np.argsort(column)
        share = np.cumsum(density.sum(1)[order])
        low, high = np.interp([(1 - span) / 2, (1 + span) / 2], share / share[-1], column[order])
        edges.append(np.linspace(low, high, bins + 1))
    found = np.stack(
        [np.histogramdd(x, edges, weights=column, density=True)[0] for column in density.T], axis=-1
    )
    return edges, found
