"""Several resolutions of one problem: how they are chosen, and their extrapolation to spacing zero, with its error."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from qspin.methods.grid.axes import DVR, Differences, Elements, Scheme
from qspin.methods.grid.mesh import Resolution
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region

__all__ = [
    "FEWEST",
    "RATIO",
    "Series",
    "default_scheme",
    "extrapolate",
    "resolutions",
    "shrinks",
]

RATIO = 1.25  # of spacings between resolutions
FEWEST = 12  # points an axis of the coarsest mesh
# Points along each axis of a DVR, first and last mesh, by dimension; each mesh has RATIO times as many as the one before.
_FIRST, _LAST = {1: 32, 2: 24, 3: 20}, {1: 800, 2: 160, 3: 48}
# Points an axis where a region's walls cross the grid: one less than what many whole numbers divide, so that walls and corners
# at simple fractions of the box lie on points of all three.
_CUT = {1: (479, 599, 749), 2: (191, 239, 299), 3: (31, 39, 49)}
# Elements about centres, by dimension: degree, and the smallest of them in units of the centre's length.
_GRADED = {1: (8, 0.1), 2: (6, 0.1), 3: (4, 0.2)}
# Error of an extrapolated energy; measured, as the schemes' `caution` is, on random smooth potentials.
_SHARE, _DOUBT = 0.15, 1.5

Levels = Float[np.ndarray, " N"]


def _corners(problem: Problem) -> tuple[tuple[float, ...], ...]:
    return problem.domain.corners if isinstance(problem.domain, Region) else ()


def shrinks(problem: Problem, scheme: Scheme) -> bool:
    """Whether the meshes are of elements that shrink towards centres of V or corners of a region."""
    return isinstance(scheme, Elements) and bool(problem.centres or _corners(problem))


def default_scheme(problem: Problem) -> Scheme:
    """Elements where there are centres, and in regions whose walls lie on the edges of elements that their corners set;
    differences in other regions; else a DVR."""
    graded = Elements(_GRADED[problem.dim][0])
    if isinstance(problem.domain, Region):
        try:
            Resolution((0,) * problem.dim, graded, problem.centres).mesh(problem.domain)
        except ValueError:
            return Differences(2)
        return graded if _corners(problem) else Differences(2)
    return graded if problem.centres else DVR()


def resolutions(
    problem: Problem, scheme: Scheme, finest: tuple[int, ...] | None, states: int
) -> list[Resolution]:
    """The resolutions, coarsest first. A DVR without a `finest` shape has as many as it may take until energies stop changing;
    other schemes have three. Before them, elements that shrink have one like the middle one, of lower degree."""
    dim, domain, centres = problem.dim, problem.domain, problem.centres
    assert isinstance(domain, Box)
    if isinstance(scheme, Elements) and shrinks(problem, scheme):

        def graded_mesh(smallest: float, scheme: Scheme = scheme) -> Resolution:
            return Resolution((0,) * dim, scheme, centres, smallest)

        smallest = _GRADED[dim][1]
        if finest is not None:  # the smallest elements that this many points allow
            sizes = np.geomspace(1e-4, 10, 60).tolist()
            largest = (max(graded_mesh(s).shape(domain)) for s in sizes)
            smallest = next((s for s, n in zip(sizes, largest, strict=False) if n <= max(finest)), sizes[-1])
        lower = Elements(max(scheme.degree - 1, 1), scheme.ratio)
        steps = [smallest * scheme.ratio**k for k in (2, 1, 0)]
        return [graded_mesh(steps[1], lower), *map(graded_mesh, steps)]
    least = int(np.ceil(3 * states ** (1 / dim)))
    if finest is not None:
        shapes = _coarser(finest)
    elif isinstance(scheme, DVR):
        counts = [max(_FIRST[dim], least)]
        while len(counts) < 3 or counts[-1] * RATIO <= _LAST[dim]:
            counts.append(int(np.ceil(counts[-1] * RATIO)))
        shapes = [(n,) * dim for n in counts]
    elif isinstance(domain, Region) and 2 * least <= _CUT[dim][-1]:
        shapes = [(n,) * dim for n in _CUT[dim]]
    else:
        shapes = _coarser((max(_LAST[dim], 2 * least),) * dim)
    return [Resolution(shape, scheme, centres) for shape in shapes]


def _coarser(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Three shapes, coarsest first; odd stays odd and even even, so that a symmetric mesh stays symmetric."""

    def coarsen(n: int, factor: float) -> int:
        return max(FEWEST + n % 2, n - 2 * round((n + 1) * (1 - 1 / factor) / 2))

    return [*(tuple(coarsen(n, RATIO**k) for n in shape) for k in (2, 1)), shape]


@dataclass(frozen=True, eq=False)
class Series:
    """For each level: its energy on the finest mesh and extrapolated, its error, whether it settles, and the observed order
    (nan where it cannot be measured); and the expected order."""

    finest: Levels
    energies: Levels
    errors: Levels
    settled: Bool[np.ndarray, " N"]
    orders: Levels
    expected: float


def extrapolate(
    problem: Problem,
    scheme: Scheme,
    shapes: Sequence[tuple[int, ...]],
    levels: Sequence[Levels],
    residuals: Levels,
) -> Series:
    """E(h) = E + C h^p through the last three of the `levels`, on meshes of these shapes, gives p. Levels are extrapolated
    where least ≤ p ≤ 1.75·order, with p at most the order.

    The error of an extrapolated energy is 1.5 times the difference between using the observed and the expected power, and at
    least 0.15 of the distance to the finest mesh's energy. Beyond order 8 nothing is extrapolated: meshes this coarse are
    seldom on the asymptote, and their steps shrink unevenly. The error is then the last step times (step before / last
    step)^caution.
    """
    least, order, smooth = 1.0, float(scheme.order), np.zeros(len(residuals))
    spacings = [1 / (shape[0] + 1) for shape in shapes[-3:]]
    if isinstance(scheme, Elements) and shrinks(problem, scheme):
        # At a cusp the error falls as (smallest element)^dim, at a reentrant corner no faster. What one degree less changes
        # does not depend on h: steps smaller than it need not follow a power.
        least, order = 1.0 if problem.centres else 0.5, float(max(problem.dim, 2))
        spacings, smooth = [scheme.ratio**j for j in (2, 1, 0)], np.abs(levels[0] - levels[2])
    coarse, middle, fine = levels[-3:]
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
        last = last * np.maximum(np.abs(first) / np.maximum(last, 1e-300), 1) ** scheme.caution

    def step_to_zero(power: Levels | float) -> Levels:
        """The change from the finest mesh to spacing zero, if the error has that power."""
        return second / (ratio**power - 1)

    step = np.where(settled & ~tiny, step_to_zero(power), 0)
    observed_step = step_to_zero(np.where(regular, observed, order))
    uncertainty = np.abs(step - step_to_zero(order)) + np.abs(observed_step - step_to_zero(order))
    by_power = np.maximum(_SHARE * np.abs(step), _DOUBT * uncertainty)
    wandering = 4 * (np.abs(first) + np.abs(second))
    errors = np.where(tiny, last, np.where(settled, by_power, wandering)) + floor + smooth
    orders = np.where(regular & ~tiny, observed, np.nan)
    rank = np.argsort(fine - step, kind="stable")  # extrapolation may swap levels that nearly touch
    return Series(fine, (fine - step)[rank], errors[rank], settled[rank], orders[rank], order)
