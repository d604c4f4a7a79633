"""`Ritz` past three dimensions: Hψ pointwise on quasi-random points, and the projected problem that is then not symmetric.

Where no product rule can follow, integrals come from samples. ⟨∇ψ, ∇ψ'⟩ has their full noise (6.5e-4 where the pointwise Hψ
on the same 2046 points gave 5e-7): the error of ⟨ψ, Hψ'⟩ in the sample's own inner product vanishes with Hψ - Eψ. The
projected matrix is real but not symmetric: complex pairs can come out, near the real axis where the sample splits a level.
"""

import numpy as np
import scipy.linalg
from scipy.special import ndtri

from qspin.methods.ritz.quadrature import Rule
from qspin.methods.ritz.rayleigh_ritz import Sums, diagonal, residuals

__all__ = ["lowest_real", "sampled", "strong_ritz_functions"]

_WIDER = 1.3  # than the states: width of the normal density that points are drawn from
_REAL = 1e-2  # imaginary part of an energy that counts as real, of the largest |E| kept


def sampled(
    mean: np.ndarray,
    whiten: np.ndarray,
    window: np.ndarray,
    faded: np.ndarray,
    count: int,
    wider: float,
    seed: int,
) -> Rule:
    """Scrambled Sobol points: normal along coordinates whiten·(x - mean) of axes where states have faded, uniform over the
    window else.

    Weights are one over the density. Where some axis has not faded, `whiten` must be diagonal.
    """
    from scipy.stats import qmc  # half a second to import

    dim = len(mean)
    unit = qmc.Sobol(dim, seed=seed).random(2 ** int(np.ceil(np.log2(count))))[:count]
    unit = np.clip(unit, 1e-12, 1 - 1e-12)
    normal = ndtri(unit)
    scale = _WIDER * wider
    z = np.where(faded, scale * normal, 0.0)
    points = mean + z @ np.linalg.inv(whiten).T
    widths = window[:, 1] - window[:, 0]
    points = np.where(faded, points, window[:, 0] + widths * unit)
    density = np.where(faded, np.exp(-(normal**2) / 2) / np.sqrt(2 * np.pi) / scale, 1.0).prod(axis=1)
    if faded.all():
        density = density * abs(np.linalg.det(whiten))
    else:
        density = density * np.where(faded, np.diag(whiten), 1 / widths).prod()
    return Rule(points, 1 / (count * density))


def lowest_real(strong: np.ndarray, overlap: np.ndarray | None, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest energies of overlap⁻¹·strong, in order, and real vectors.

    A complex pair close to the real axis is a level that the sample splits into its complex: it counts as two states at its
    real part, their vectors spanning its own. Others are left out. Raises ValueError where fewer than `most` are left.
    """
    values, vectors = scipy.linalg.eig(strong, overlap)
    order = np.lexsort((values.imag, values.real))
    values, vectors = values[order], vectors[:, order]
    scale = np.abs(values.real[:most]).max()
    kept = np.flatnonzero(np.abs(values.imag) <= _REAL * max(scale, 1e-300))[:most]
    if len(kept) < most:
        raise ValueError(
            f"Ritz: only {len(kept)} of {most} energies came out real; ask for fewer states, or use more points (max_points)."
        )
    # Of a pair the one with the negative imaginary part comes first: it gives the real vector, the other the imaginary one.
    paired = np.where(values.imag[kept] > 0, vectors[:, kept].imag, vectors[:, kept].real)
    return values.real[kept], paired / np.linalg.norm(paired, axis=0)


def strong_ritz_functions(sums: Sums, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, residuals |Hψ - Eψ| and the rotation to normalised functions, from the nonsymmetric projection."""
    overlap = sums.overlap[part, part]
    energies, rotation = lowest_real(sums.strong[part, part], overlap, len(overlap))
    rotation = rotation / np.sqrt(diagonal(overlap, rotation))
    return energies, residuals(sums, part, energies, rotation), rotation
