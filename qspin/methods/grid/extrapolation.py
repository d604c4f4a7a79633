"""Three resolutions of one problem: which, and what they say of spacing zero and of the error that is left."""

from dataclasses import dataclass

import numpy as np

__all__ = ["FEWEST", "RATIO", "Series", "coarser", "extrapolated"]

RATIO = 1.25  # of spacings between resolutions
FEWEST = 12  # points an axis of the coarsest mesh
# Error of an extrapolated energy; measured, as the schemes' `caution` is, on random smooth potentials.
_SHARE, _DOUBT = 0.15, 1.5


def coarser(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Three shapes, coarsest first; odd stays odd and even even, so that a symmetric mesh stays symmetric."""

    def fewer(n: int, factor: float) -> int:
        return max(FEWEST + n % 2, n - 2 * round((n + 1) * (1 - 1 / factor) / 2))

    return [*(tuple(fewer(n, RATIO**k) for n in shape) for k in (2, 1)), shape]


@dataclass(frozen=True, eq=False)
class Series:
    """What three resolutions say of each level, (N,) each: `finest` and extrapolated energies, errors, whether they settle,
    and the observed order, nan where none can be told."""

    finest: np.ndarray
    energies: np.ndarray
    errors: np.ndarray
    settled: np.ndarray
    orders: np.ndarray


def extrapolated(
    levels: list[np.ndarray],
    spacings: list[float],
    orders: tuple[float, float],
    caution: float,
    residuals: np.ndarray,
    smooth: np.ndarray,
) -> Series:
    """E(h) = E + C h^p through three spacings gives p; extrapolated where least ≤ p ≤ 1.75·order, with p at most the order.

    The error of an extrapolated energy is 1.5 times what it matters whether the observed or the expected power is used, and at
    least 0.15 of the distance to the finest mesh's energy. Beyond order 8 nothing is extrapolated: meshes this coarse are
    seldom on the asymptote, and their steps shrink unevenly. The error is then the last step times (step before / last
    step)^caution.
    `smooth` is an error that does not depend on h: steps smaller than it are not asked for a power.
    """
    coarse, middle, fine = levels
    least, order = orders
    ratio = spacings[1] / spacings[2]
    first, second = coarse - middle, middle - fine
    floor = 1e-11 * np.abs(fine).max() + residuals
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log(np.abs(first / second)) / np.log(ratio)
    tiny = np.abs(second) <= 10 * floor
    # An order far above the scheme's is two errors of opposite sign passing through zero, not accuracy.
    regular = (first * second > 0) & (observed >= least) & (observed <= 1.75 * order)
    tiny |= ~regular & (np.abs(first) + np.abs(second) <= smooth)
    settled = regular | tiny
    power = np.clip(np.where(np.isfinite(observed), observed, order), least, order)
    last = np.abs(second)
    if order > 8:
        settled = tiny | (last <= np.abs(first))
        tiny = settled
        last = last * np.maximum(np.abs(first) / np.maximum(last, 1e-300), 1) ** caution

    def beyond(power: np.ndarray | float) -> np.ndarray:
        """From the finest mesh to spacing zero, by that power."""
        return second / (ratio**power - 1)

    step = np.where(settled & ~tiny, beyond(power), 0)
    free = beyond(np.where(regular, observed, order))
    doubt = np.abs(step - beyond(order)) + np.abs(free - beyond(order))
    extrapolated = np.maximum(_SHARE * np.abs(step), _DOUBT * doubt)
    wandering = 4 * (np.abs(first) + np.abs(second))
    errors = np.where(tiny, last, np.where(settled, extrapolated, wandering)) + floor + smooth
    # Extrapolation may swap levels that nearly touch.
    rank = np.argsort(fine - step, kind="stable")
    return Series(
        fine,
        (fine - step)[rank],
        errors[rank],
        settled[rank],
        np.where(regular & ~tiny, observed, np.nan)[rank],
    )
