"""The one model of errors: what an error is small against, which states are one level, and how far an energy lies above the
exact one, by its residual."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

__all__ = [
    "cuts_a_level",
    "degenerate_groups",
    "energy_scale",
    "fall_rates",
    "is_rough",
    "shared_in_levels",
    "temple_rates",
]

_LEAST = 1e-300  # instead of zero, to divide by


def energy_scale(energies: Float[np.ndarray, " n"]) -> float:
    """What an error is small against: the energies' range, or their size where they are all (nearly) one level."""
    size = float(np.abs(energies).max())
    spread = float(np.ptp(energies))
    return spread if spread > 1e-3 * size else size


def degenerate_groups(
    energies: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"], tolerance: float | None = None
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


def cuts_a_level(
    n: int,
    energies: Float[np.ndarray, " known"],
    errors: Float[np.ndarray, " known"],
    exact: Float[np.ndarray, " levels"] | None,
) -> bool:
    """Whether levels n - 1 and n are known to be degenerate: by the closed form, or by their energies."""
    if exact is not None and len(exact) > n:
        return bool(np.isclose(exact[n], exact[n - 1], rtol=1e-9, atol=1e-12 * np.abs(exact).max()))
    if len(energies) == n:
        return False
    pair = slice(n - 1, n + 1)
    return len(degenerate_groups(energies[pair], errors[pair])) == 1


def shared_in_levels(
    energies: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """Within a level the same error for all: which of its states comes out best is chance."""
    near = np.maximum(errors[:, None], errors) + 1e-7 * energy_scale(energies)
    level = np.abs(energies[:, None] - energies) <= near
    return np.where(level, errors, 0).max(1)


def fall_rates(
    energies: Float[np.ndarray, " n"],
    squares: Float[np.ndarray, " n"],
    energies_before: Float[np.ndarray, " n"],
    squares_before: Float[np.ndarray, " n"],
    otherwise: Float[np.ndarray, " n"] | None = None,
    least_drop: float = 1.0,
) -> Float[np.ndarray, " n"]:
    """α = (fall of the energy) / (fall of residual²), from an earlier or smaller trial space to the present one.

    With admixtures c_m of higher states, E - E_exact = Σ |c_m|² (E_m - E) and residual² = Σ |c_m|² (E_m - E)². Their ratio is
    one over the typical height of the admixtures, which changes little while both shrink. So α·residual² is how far the energy
    still lies above the exact one.

    Where residual² has dropped by no more than `least_drop` of what is left, it tells nothing. There the rate is that of
    `otherwise`; where that is None, the median of the positive rates takes the place of all others (zero where there is none).
    """
    drop = squares_before - squares
    told = drop > least_drop * squares
    rates = np.maximum(energies_before - energies, 0) / np.where(told, drop, 1)
    if otherwise is not None:
        return np.where(told, rates, otherwise)
    told &= rates > 0
    return np.where(told, rates, np.median(rates[told]) if told.any() else 0.0)


def is_rough(
    energies: Float[np.ndarray, " n"], residuals: Float[np.ndarray, " n"], share: float = 1e-2
) -> Bool[np.ndarray, " n"]:
    """Whether a residual is more than a share of the energies: then an error that is claimed beside it is not to be trusted."""
    return residuals > share * np.maximum(np.abs(energies), energy_scale(energies))


def temple_rates(
    energies: Float[np.ndarray, " known"],
    residuals: Float[np.ndarray, " n"],
    resolution: float | Float[np.ndarray, " n"],
) -> Float[np.ndarray, " n"]:
    """Temple's bound on α for the first n of the energies known: one over the gap to the next level.

    Energies nearer than three residuals, or than `resolution`, count as the same level. Where there is no other level, the
    scale of the energies takes the place of the gap.
    """
    gaps = np.abs(energies[:, None] - energies[: len(residuals)])
    gap = np.where(gaps > np.maximum(3 * residuals, resolution), gaps, np.inf).min(0)
    return 1 / np.where(np.isfinite(gap), gap, max(energy_scale(energies), _LEAST))
