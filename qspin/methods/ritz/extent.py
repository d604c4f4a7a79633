"""How far the states of `Ritz` reach: the ellipsoid or the window outside of which ψ counts as zero."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qspin.methods.locate.survey import survey
from qspin.methods.ritz.features import Frame
from qspin.problem.domain import Box
from qspin.problem.problem import Problem

__all__ = ["FADED", "Extent", "extent", "filled_part"]

FADED = 16.0  # ψ counts as zero below exp(-FADED) = 1e-7, whose square enters integrals
_NARROWEST, _WIDEST = 4.5, 9.0  # half-widths of a window, at least and at most, in standard deviations


class Extent(NamedTuple):
    """Coordinates `frame` scaled to the states. The ellipsoid |shape·(x - mean)| ≤ 1 contains the states but for e^-FADED.

    `window` are the ends along each axis of the box; `decays` the exponents of ψ there (FADED, or less at a wall), (dim, 2);
    `unbounded` says that no wall is within reach, so that the axes are the states' own.
    """

    frame: Frame
    shape: np.ndarray
    window: np.ndarray
    decays: np.ndarray
    unbounded: bool

    @property
    def faded(self) -> np.ndarray:
        """(dim,): True for axes at both ends of which functions vanish."""
        return np.all(self.decays > 0.8 * FADED, axis=1)


def extent(problem: Problem, mean: np.ndarray, covariance: np.ndarray, highest: float) -> Extent:
    """The extent along the principal axes of the covariance where no wall is within reach; else along the axes of the box.

    `highest` is the energy of the highest state. Cost: 400 evaluations of V an axis.
    """
    domain = problem.domain
    assert isinstance(domain, Box)
    values, axes = np.linalg.eigh(covariance)
    own = np.sqrt(np.maximum(values, 1e-12 * values.max()))
    for turn, deviation in ((axes.T, own), (np.eye(problem.dim), np.sqrt(np.diag(covariance)))):
        pairs = zip(turn, deviation, strict=True)
        ends = np.array([[_reach_along(problem, highest, mean, s * e, d) for s in (-1, 1)] for e, d in pairs])
        reach, decays = ends[..., 0], ends[..., 1]
        # Features must vanish where the points of a rule end: beyond, their energy would not be counted.
        rates = np.where(decays > 2, decays / (reach / deviation[:, None]) ** 2, np.inf).min(1)
        rates = np.where(np.isfinite(rates), np.clip(rates, 0.2, 1.2), 0.25)
        frame = Frame(mean, turn / deviation[:, None], rates)
        shape = np.sqrt(rates / FADED)[:, None] * frame.whiten
        window = np.stack([mean - reach[:, 0], mean + reach[:, 1]], axis=-1)
        spread = np.linalg.norm(np.linalg.inv(shape), axis=1)
        clear = (mean - spread > domain.lower).all() and (mean + spread < domain.upper).all()
        candidate = Extent(frame, shape, window, decays, bool(clear))
        if clear and candidate.faded.all():
            break
    return candidate._replace(unbounded=bool(clear and candidate.faded.all()))


def _reach_along(
    problem: Problem, highest: float, mean: np.ndarray, direction: np.ndarray, deviation: float
) -> tuple[float, float]:
    """How far ψ reaches along a line, and its decay there. It ends where the semiclassical decay is FADED, or at the wall."""
    domain = problem.domain
    assert isinstance(domain, Box)
    along = np.abs(direction) > 1e-12
    ahead = np.where(direction > 0, np.asarray(domain.upper) - mean, mean - np.asarray(domain.lower))
    wall = float((ahead[along] / np.abs(direction[along])).min())
    if np.asarray(domain.periodic)[along].any():
        return wall, 0.0
    t = np.linspace(0, _WIDEST * deviation, 200)
    x = mean + np.minimum(t, (1 - 1e-9) * wall)[:, None] * direction
    stiffness = float(direction**2 @ problem.local.coefficients)
    barrier = np.maximum(problem.potential_values(x) - highest, 0) / stiffness
    action = np.concatenate([[0], np.cumsum(np.sqrt(barrier[1:]) * np.diff(t))])
    action -= action[np.flatnonzero(barrier == 0)[-1]] if (barrier == 0).any() else 0  # beyond the last well
    far = float(t[min(int(np.searchsorted(action, FADED)), len(t) - 1)])
    far = max(far, _NARROWEST * deviation)
    return (far, FADED) if far < wall else (wall, min(float(np.interp(wall, t, action)), FADED))


def filled_part(problem: Problem, n_states: int) -> Problem:
    """The problem in the part of a one-dimensional box outside of which ψ is below exp(-3·FADED)."""
    box = problem.domain
    assert isinstance(box, Box)
    if problem.dim > 1 or box.periodic[0] or problem.centres or survey(problem).poles:
        return problem
    x, v = survey(problem).sample
    order, level = np.argsort(x[:, 0]), survey(problem).level(n_states)
    x, v = x[order, 0], v[order]
    rate = np.sqrt(np.maximum(v - level, 0) / problem.local.coefficients[0])
    action = np.concatenate([[0], np.cumsum(np.minimum(rate[1:], rate[:-1]) * np.diff(x))])
    inside = np.flatnonzero(v < level)
    first = int(np.searchsorted(action, action[inside[0]] - 3 * FADED)) - 1
    last = int(np.searchsorted(action, action[inside[-1]] + 3 * FADED))
    lower = x[first] if first >= 0 else box.lower[0]
    upper = x[last] if last < len(x) else box.upper[0]
    if upper - lower > 0.8 * box.lengths[0]:
        return problem
    return replace(problem, domain=Box(lower, upper, mask=box.mask))
