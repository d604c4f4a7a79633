"""What V does that smooth functions do not expect: jumps of it or its slope across an axis, and falls without bound."""

from typing import NamedTuple

import numpy as np

from qspin.problem.domain import Box
from qspin.problem.problem import Problem

__all__ = ["Jump", "find_jumps", "refuse_bottomless"]

_SCAN = 2049  # points along each line to begin with
_ZOOMS = 24  # by four each
_LINES = 6


class Jump(NamedTuple):
    """V jumps (order 0) or its slope does (order 1) where x[axis] = position."""

    axis: int
    position: float
    order: int


def find_jumps(problem: Problem, at_most: int = 8) -> tuple[Jump, ...]:
    """Jumps that at least two parallel lines share, by axis and position; none where there are Coulomb-like centres. Cost: some
    thousand evaluations of V an axis.

    A difference of V that stays as the interval shrinks is a jump; a difference of slopes that stays, a kink. More than
    `at_most` of them along an axis are taken for noise, and none is returned for that axis.
    """
    domain = problem.domain
    assert isinstance(domain, Box)
    if problem.centres:
        return ()
    rng = np.random.default_rng(0)
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    found: list[Jump] = []
    for axis in range(problem.dim):
        lines = lower + (upper - lower) * rng.uniform(
            0.3, 0.7, (_LINES if problem.dim > 1 else 1, problem.dim)
        )
        seen = [_along(problem, line, axis, lower[axis], upper[axis]) for line in lines]
        near = 1e-6 * (upper[axis] - lower[axis])
        shared: list[Jump] = []
        for jump in (jump for line in seen for jump in line):
            times = sum(any(abs(jump.position - other.position) < near for other in line) for line in seen)
            if times >= min(2, len(lines)) and not any(
                abs(jump.position - s.position) < near for s in shared
            ):
                shared.append(jump)
        if len(shared) <= at_most:
            found.extend(sorted(shared, key=lambda jump: jump.position))
    return tuple(found)


def _along(problem: Problem, line: np.ndarray, axis: int, low: float, high: float) -> list[Jump]:
    def v(t: np.ndarray) -> np.ndarray:
        points = np.tile(line, (len(t), 1))
        points[:, axis] = t
        return problem.potential_values(points)

    margin = 1e-9 * (high - low)
    t = np.linspace(low + margin, high - margin, _SCAN)
    values = v(t)
    if not np.isfinite(values).all():
        return []
    jumps: list[Jump] = []
    for order, sizes in ((0, np.abs(np.diff(values))), (1, np.abs(np.diff(values, 2)))):
        typical = np.median(sizes)
        # Larger than its neighbours two steps away, as a jump is and a steep slope is not.
        beside = np.maximum(np.roll(sizes, 3), np.roll(sizes, -3))
        beside[:3], beside[-3:] = sizes[3:6].max(), sizes[-6:-3].max()
        floor = 1e-9 * np.ptp(values)
        places = np.flatnonzero(sizes > np.maximum(1.5 * beside, np.maximum(2 * typical, floor)))
        for place in places[:64]:
            position = _zoomed(v, t[max(place - 1, 0)], t[min(place + 2 + order, _SCAN - 1)], order)
            if position is not None and not any(
                abs(position - j.position) < 1e-6 * (high - low) for j in jumps
            ):
                jumps.append(Jump(axis, float(position), order))
    return sorted(jumps, key=lambda j: j.position)


def _zoomed(v, low: float, high: float, order: int) -> float | None:  # type: ignore[no-untyped-def]
    """The place of a jump between low and high, or None if the difference fades as the interval shrinks."""
    first = None
    for zoom in range(_ZOOMS):
        t = np.linspace(low, high, 13)
        step = t[1] - t[0]
        differences = np.abs(np.diff(v(t), order + 1))
        largest = int(differences.argmax())
        size = differences[largest] / step**order
        if first is None:
            first = size
        elif size < 0.4 * first:
            return None
        middle, half = t[largest] + (order + 1) * step / 2, 1.5 * step
        fine = 1e-13 * max(abs(low), abs(high)) if order == 0 else 1e-5 * max(abs(low), abs(high), 1e-3)
        low, high = middle - half, middle + half
        if half < fine and zoom > 3:
            break
    return (low + high) / 2


def refuse_bottomless(problem: Problem) -> None:
    """ValueError where V falls without bound at a point that is no declared centre: the lowest of ever closer points."""
    rng = np.random.default_rng(0)
    domain = problem.domain
    assert isinstance(domain, Box)
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    x = rng.uniform(lower, upper, (4093, problem.dim))
    v = problem.potential_values(x)
    best, lowest, radius = x[v.argmin()], [float(v.min())], (upper - lower) / 16
    for _ in range(14):
        x = best + radius * rng.uniform(-1, 1, (1000, problem.dim))
        x = np.clip(x, lower + 1e-9 * (upper - lower), upper - 1e-9 * (upper - lower))
        v = problem.potential_values(x)
        if v.min() < lowest[-1]:
            best = x[v.argmin()]
        lowest.append(min(float(v.min()), lowest[-1]))
        radius = radius / 4
    near = any(
        np.linalg.norm(best - c.position) < 1e-3 * np.linalg.norm(upper - lower) for c in problem.centres
    )
    first, second, third = (lowest[k] - lowest[k + 4] for k in (-13, -9, -5))
    if not near and third > 8 * second > 64 * first > 0:  # like 1/r, by about 256
        where = ", ".join(f"{c:.6g}" for c in best)
        raise ValueError(
            f"Ritz: V falls without bound near x = ({where}): {lowest[-3]:.3g}, {lowest[-2]:.3g}, {lowest[-1]:.3g}, closer and "
            "closer. Declare a Coulomb-like centre in Potential(V, singularities=[...]), or soften V."
        )
