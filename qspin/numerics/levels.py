"""Energies by themselves: which are degenerate as far as their errors can tell, and what an error is small against."""

from __future__ import annotations

import numpy as np

__all__ = ["cuts_a_level", "degenerate_groups", "energy_scale"]


def energy_scale(energies: np.ndarray) -> float:
    """What an error is small against: the energies' range, or their size where they are all (nearly) one level."""
    size = float(np.abs(energies).max())
    spread = float(np.ptp(energies))
    return spread if spread > 1e-3 * size else size


def degenerate_groups(
    energies: np.ndarray, errors: np.ndarray, tolerance: float | None = None
) -> list[list[int]]:
    """Index groups of neighbours that differ by no more than three combined errors, or than `tolerance`."""
    floor = 1e-9 * np.abs(energies).max(initial=0.0)  # rounding
    groups: list[list[int]] = [[0]]
    for k in range(1, len(energies)):
        allowed = tolerance if tolerance is not None else max(3 * np.hypot(errors[k - 1], errors[k]), floor)
        if abs(energies[k] - energies[k - 1]) <= allowed:
            groups[-1].append(k)
        else:
            groups.append([k])
    return groups


def cuts_a_level(n: int, energies: np.ndarray, errors: np.ndarray, exact: np.ndarray | None) -> bool:
    """Whether levels n - 1 and n are known to be degenerate: by the closed form, or by their energies."""
    if exact is not None and len(exact) > n:
        return bool(np.isclose(exact[n], exact[n - 1], rtol=1e-9, atol=1e-12))
    if len(energies) == n:
        return False
    pair = slice(n - 1, n + 1)
    return len(degenerate_groups(energies[pair], errors[pair])) == 1
