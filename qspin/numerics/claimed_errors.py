"""Errors that are claimed, read off residuals and the fall of energies between two spaces."""

import numpy as np

from qspin.numerics.levels import energy_scale

__all__ = ["claimed_errors", "shared_in_levels"]

_SAFETY = 8.0  # of errors read off residuals


def claimed_errors(
    energies: np.ndarray, residuals: np.ndarray, fewer: np.ndarray, rougher: np.ndarray, k: int
) -> np.ndarray:
    """8·α·r²: the energy falls with the squared residual, at a rate α seen between two spaces, at most Temple's 1/gap."""
    own, fall = residuals[:k] ** 2, np.maximum(fewer - energies[:k], 0)
    drop = rougher**2 - own
    gaps = np.abs(energies[:, None] - energies[None, :k])
    apart = gaps > np.maximum(3 * residuals[:k], 1e-8 * energy_scale(energies))
    gap = np.where(apart, gaps, np.inf).min(0)
    temple = 1 / np.where(np.isfinite(gap), gap, max(energy_scale(energies), 1e-300))
    # Where residuals hardly drop they say little: then the fall itself is the estimate.
    rate = fall / np.maximum(drop, np.maximum(own, 1e-300))
    rate = np.minimum(np.maximum(rate, 0.5 * np.median(rate)), temple)
    return _SAFETY * rate * own


def shared_in_levels(energies: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Within a level the same error for all: which of its states comes out best is chance."""
    level = np.abs(energies[:, None] - energies) <= np.maximum(errors[:, None], errors) + 1e-7 * energy_scale(
        energies
    )
    return np.where(level, errors, 0).max(1)
