"""Which meshes a problem is solved on: equal spacings, finer from one to the next, with their extrapolation; or elements that
are halved where V or ψ need it, by degrees that rise."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gamma, pi, prod
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import brentq

from qspin.methods.grid.axes import DVR, Elements, Interval, Scheme
from qspin.methods.grid.eigensolver import Eigenpairs
from qspin.methods.grid.mesh import Mesh, MeshOperator, along, mesh_of
from qspin.methods.locate.survey import Jump, survey
from qspin.numerics.errors import energy_scale
from qspin.numerics.finite_elements import wall_factor
from qspin.numerics.precision import double_precision, evaluated
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.eigenfunctions import tensor_points

__all__ = [
    "DEGREES",
    "FEWEST",
    "MOST",
    "MOST_EQUAL",
    "RATIO",
    "Layout",
    "Series",
    "by_degrees",
    "by_spacings",
    "first_layouts",
    "halved",
    "mesh_from",
    "spacings",
    "uniform_points",
]

RATIO = 1.25  # of spacings between meshes
FEWEST = 12  # points an axis of the coarsest mesh
# Points along each axis of a DVR, first and last mesh, by dimension; each mesh has RATIO times as many as the one before.
_FIRST, MOST_EQUAL = {1: 32, 2: 24, 3: 20}, {1: 800, 2: 120, 3: 48}
# Points an axis where a region's walls cross the grid: one less than what many whole numbers divide, so that walls and corners
# at simple fractions of the box lie on points of all three.
_CUT = {1: (479, 599, 749), 2: (191, 239, 299), 3: (31, 39, 49)}
DEGREES = {1: 12, 2: 8, 3: 4}  # of elements, by dimension
MOST = {1: 20_000, 2: 40_000, 3: 200_000}  # unknowns of a mesh of elements
_CROSSING = {
    1: 24.0,
    2: 16.0,
    3: 9.0,
}  # h ∫ |E - V| / c of an element: the square of the phase of ψ across it
_FADED = 15.0  # semiclassical decay beyond which V does not matter
_CORNER = 1e-5  # of the box: the length of elements at a region's corners
_SINGULAR = {1: 0.1, 2: 0.03, 3: 0.15}  # of the length of a centre: of elements beside it
_GEOMETRIC = np.geomspace(
    1e-8, 1.0, 161
)  # distances from a point at which V along a line is looked at, shares of the box
# Error of an extrapolated energy; measured on random smooth potentials.
_SHARE, _DOUBT, _CAUTION = 0.15, 1.5, 0.3
_SMALL = 1e-9  # of the energies: steps between degrees that need not fall

Levels = Float[np.ndarray, " N"]


# --- equal spacings


def spacings(
    problem: Problem, scheme: Scheme, finest: tuple[int, ...] | None, states: int
) -> list[tuple[int, ...]]:
    """The shapes, coarsest first: three, or of a DVR without a `finest` one as many as it may take until energies stop
    changing."""
    dim = problem.dim
    least = int(np.ceil(3 * states ** (1 / dim)))
    if finest is not None:
        return _coarser(finest)
    if isinstance(scheme, DVR):
        counts = [max(_FIRST[dim], least)]
        while len(counts) < 3 or counts[-1] * RATIO <= MOST_EQUAL[dim]:
            counts.append(int(np.ceil(counts[-1] * RATIO)))
        return [(n,) * dim for n in counts]
    if isinstance(problem.domain, Region) and 2 * least <= _CUT[dim][-1]:
        return [(n,) * dim for n in _CUT[dim]]
    return _coarser((max(MOST_EQUAL[dim], 2 * least),) * dim)


def _coarser(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Three shapes, coarsest first; odd stays odd and even even, so that a symmetric mesh stays symmetric."""

    def coarsen(n: int, factor: float) -> int:
        return max(FEWEST + n % 2, n - 2 * round((n + 1) * (1 - 1 / factor) / 2))

    return [*(tuple(coarsen(n, RATIO**k) for n in shape) for k in (2, 1)), shape]


@dataclass(frozen=True, eq=False)
class Series:
    """For each level: its energy on the finest mesh and the one reported, its error, whether it settles, and the observed order
    (nan where it cannot be measured); and the expected order."""

    finest: Levels
    energies: Levels
    errors: Levels
    settled: Bool[np.ndarray, " N"]
    orders: Levels
    expected: float


def by_spacings(scheme: Scheme, points: Sequence[int], levels: Sequence[Levels], floor: Levels) -> Series:
    """E(h) = E + C h^p through the last three of the `levels`, on meshes of so many points an axis, gives p. Levels are
    extrapolated where 1 ≤ p ≤ 1.75·order, with p at most the order.

    The error of an extrapolated energy is 1.5 times the difference between using the observed and the expected power, and at
    least 0.15 of the distance to the finest mesh's energy. Beyond order 8 nothing is extrapolated: meshes this coarse are
    seldom on the asymptote, and their steps shrink unevenly. The error is then the last step times a power of (last step / step
    before).
    """
    order = float(scheme.order)
    coarse, middle, fine = levels[-3:]
    ratio = (points[-1] + 1) / (points[-2] + 1)
    first, second = coarse - middle, middle - fine
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.log(np.abs(first / second)) / np.log(ratio)
    tiny = np.abs(second) <= 10 * floor
    # An order far above the scheme's is two errors of opposite sign passing through zero, not accuracy.
    regular = (first * second > 0) & (observed >= 1) & (observed <= 1.75 * order)
    settled = regular | tiny
    power = np.clip(np.where(np.isfinite(observed), observed, order), 1, order)
    last = np.abs(second)
    if order > 8:
        settled = tiny | (last <= np.abs(first))
        tiny = settled
        last = last * np.minimum(last / np.maximum(np.abs(first), 1e-300), 1) ** _CAUTION

    def step_to_zero(power: Levels | float) -> Levels:
        """The change from the finest mesh to spacing zero, if the error has that power."""
        return second / (ratio**power - 1)

    step = np.where(settled & ~tiny, step_to_zero(power), 0)
    observed_step = step_to_zero(np.where(regular, observed, order))
    uncertainty = np.abs(step - step_to_zero(order)) + np.abs(observed_step - step_to_zero(order))
    by_power = np.maximum(_SHARE * np.abs(step), _DOUBT * uncertainty)
    wandering = 4 * (np.abs(first) + np.abs(second))
    errors = np.where(tiny, last, np.where(settled, by_power, wandering)) + floor
    orders = np.where(regular & ~tiny, observed, np.nan)
    rank = np.argsort(fine - step, kind="stable")  # extrapolation may swap levels that nearly touch
    return Series(fine, (fine - step)[rank], errors[rank], settled[rank], orders[rank], order)


def by_degrees(levels: Sequence[Levels], floor: Levels) -> Series:
    """From the levels by three degrees of one mesh, each one more than the one before: if the differences fall geometrically,
    what is left is the last one times r/(1 - r), r their ratio. The error is 2.5 times that, and at least 0.6 of the
    last difference: that held 96 % of levels of random smooth wells on coarse meshes. Where the differences do not fall, it is
    four times their sum."""
    first, second = np.abs(np.diff(levels[-3:], axis=0))
    ratio = second / np.maximum(first, 1e-300)
    settled = (ratio < 0.7) | (second <= np.maximum(10 * floor, _SMALL * energy_scale(levels[-1])))
    rest = second * np.clip(2.5 * ratio / np.maximum(1 - ratio, 0.3), 0.6, None)
    errors = np.where(settled, np.minimum(rest, 4 * (first + second)), 4 * (first + second)) + floor
    return Series(levels[-1], levels[-1], errors, settled, np.full(len(errors), np.nan), np.nan)


# --- elements


class Layout(NamedTuple):
    """Elements along one axis: their edges, the powers that ψ begins with at the walls (0: linearly), and where V jumps."""

    edges: Float[np.ndarray, " edges"]
    powers: tuple[float, float]
    jumps: tuple[float, ...]


def uniform_points(layout: Layout, degree: int) -> float:
    """About how many equally spaced points see what these elements see."""
    return float((layout.edges[-1] - layout.edges[0]) / np.diff(layout.edges).min() * degree / 2)


def mesh_from(problem: Problem, layouts: Sequence[Layout], degree: int) -> Mesh:
    """The mesh of these elements."""
    box = problem.domain
    assert isinstance(box, Box)
    axes = []
    for i, layout in enumerate(layouts):
        interval = Interval(box.lower[i], box.upper[i], box.periodic[i], box.phases[i])
        axes.append(Elements(degree).between(interval, *layout))
    return mesh_of(box, tuple(axes), problem.centres if problem.dim > 1 else ())


@double_precision()
def first_layouts(problem: Problem, states: int, degree: int, most: int) -> list[Layout]:
    """Elements by what V alone says, with at most so many unknowns: edges on its jumps, kinks and centres, and elements short
    enough for the semiclassical phase or decay of ψ across each, along lines through the lowest points of V."""
    box = problem.domain
    assert isinstance(box, Box)
    powers = [_powers(problem, i) for i in range(problem.dim)]
    energy, lines = _lines(problem, states, powers)
    factor = 1.0
    while True:
        layouts = []
        for i in range(problem.dim):
            lower, upper = box.lower[i], box.upper[i]
            clear = 0 if box.periodic[i] else 1e-6 * (upper - lower)  # of walls, where V may be singular
            inner = (lower + clear, upper - clear)
            bends = [j for j in survey(problem).jumps if j.axis == i and inner[0] < j.position < inner[1]]
            marks = {c.position[i]: _SINGULAR[problem.dim] * c.length * factor for c in problem.centres}
            corners = box.corners if isinstance(box, Region) else ()
            marks |= {corner[i]: _CORNER * (upper - lower) * factor for corner in corners}
            jumps = tuple(jump.position for jump in bends if jump.order == 0)
            kinks = {_sharpened(problem, kink) for kink in bends if kink.order == 1}
            stops = {lower, upper, *marks, *jumps, *kinks}
            if problem.dim == 1:
                jumps += tuple(c.position[0] for c in problem.centres)
            stops_in = sorted(stop for stop in stops if lower <= stop <= upper)
            crossing = factor * _CROSSING[problem.dim] * (degree / DEGREES[problem.dim]) ** 2
            edges = _short_enough(stops_in, lines[i], energy, problem.local.coefficients[i], crossing, marks)
            layouts.append(Layout(edges, powers[i], jumps))
        if factor > 1e4 or prod(degree * (len(layout.edges) - 1) for layout in layouts) <= most:
            return layouts
        factor *= 1.5


def _sharpened(problem: Problem, kink: Jump) -> float:
    """The place of a kink, where smooth curves from both sides meet."""
    box = problem.domain
    assert isinstance(box, Box)
    reach = 1e-4 * box.lengths[kink.axis]
    u = np.linspace(0.1, 1, 10)
    u = np.concatenate([-u, u])
    points = np.tile(np.random.default_rng(0).uniform(box.lower, box.upper), (20, 1))
    points[:, kink.axis] = kink.position + reach * u
    v = evaluated(problem.local.potential, points)
    meeting = np.roots(np.polyfit(u[10:], v[10:], 4) - np.polyfit(u[:10], v[:10], 4))
    near = meeting[(np.abs(meeting.imag) < 1e-6) & (np.abs(meeting) < 0.5)].real
    return float(kink.position + reach * min(near, key=abs, default=0.0))


Line = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]


def _lines(
    problem: Problem, states: int, powers: Sequence[tuple[float, float]]
) -> tuple[float, list[list[Line]]]:
    """An energy above the states (Weyl's law), and for each axis V along lines through the lowest points of V, the centres and
    the middle, dense about them and near the ends."""
    box, dim = problem.domain, problem.dim
    assert isinstance(box, Box)
    lower, lengths = np.asarray(box.lower), np.asarray(box.lengths)
    x, v = survey(problem).sample
    order = np.argsort(v)
    v = np.maximum(v, v[order[3]])  # a point on a singularity stands for nothing around it
    wanted = (1.5 * states + dim) * np.sqrt(problem.local.coefficients).prod() * (2 * pi) ** dim
    wanted *= gamma(dim / 2 + 1) / pi ** (dim / 2) * len(v) / box.volume
    highest = v.max(initial=v[order[3]], where=np.isfinite(v)) + 1.01 * (wanted / np.isfinite(v).sum()) ** (
        2 / dim
    )
    energy = brentq(lambda e: (np.maximum(e - v, 0) ** (dim / 2)).sum() - wanted, v.min(), highest)
    seeds = [np.array(c.position, float) for c in problem.centres] + [np.array(box.centre)]
    for k in order[:2000]:
        if len(seeds) < 6 + len(problem.centres) and all(
            np.abs((x[k] - s) / lengths).max() > 0.02 for s in seeds
        ):
            seeds.append(x[k].copy())
    middle = np.linspace(0, 1, 4097)
    lines: list[list[Line]] = [[] for _ in range(dim)]
    for number, seed in enumerate(seeds):
        for sweep in range(2 if dim > 1 else 1):
            for i in range(dim):
                own = (seed[i] - lower[i]) / lengths[i]
                share = np.concatenate(
                    [middle, _GEOMETRIC, 1 - _GEOMETRIC, own + _GEOMETRIC, own - _GEOMETRIC]
                )
                t = lower[i] + lengths[i] * np.unique(share[(share > 0) & (share < 1)])
                points = np.tile(seed, (len(t), 1))
                points[:, i] = t
                values = evaluated(problem.local.potential, points)
                if isinstance(box, Region):
                    values = np.where(box.contains(points), values, np.inf)
                finite = np.isfinite(values)
                if not finite.any():
                    continue
                if number > len(problem.centres):  # down to the lowest point of the line
                    seed[i] = t[np.where(finite, values, np.inf).argmin()]
                if sweep or dim == 1:
                    ends, stiffness = (box.lower[i], box.upper[i]), problem.local.coefficients[i]
                    values = values - stiffness * wall_factor(t, ends, powers[i])[2]
                    for power, end in zip(powers[i], ends, strict=True):  # so near, the two nearly cancel
                        finite &= (power == 0) | (np.abs(t - end) > 1e-5 * lengths[i])
                    lines[i].append((t[finite], values[finite]))
    return float(energy), lines


def _short_enough(
    stops: Sequence[float],
    lines: Sequence[Line],
    energy: float,
    stiffness: float,
    crossing: float,
    marks: dict[float, float],
) -> Float[np.ndarray, " edges"]:
    """Edges: intervals between stops, halved until h ∫ |E - V|/c is below `crossing` for each, along every line as far as ψ
    reaches, and until they are no longer than its length beside each mark."""
    sums = []
    for t, v in lines:
        decay = np.sqrt(np.maximum(v - energy, 0) / stiffness)
        action = np.concatenate([[0], np.cumsum(np.diff(t) * (decay[1:] + decay[:-1]) / 2)])
        allowed = action[decay == 0]
        if len(allowed):
            allowed = np.concatenate([[-np.inf], allowed, [np.inf]])
            place = np.searchsorted(allowed, action)
            near = np.minimum(action - allowed[place - 1], allowed[place] - action)
            height = np.where(near < _FADED, np.abs(energy - v), 0) / stiffness
            sums.append((t, np.concatenate([[0], np.cumsum(np.diff(t) * (height[1:] + height[:-1]) / 2)])))
    length, edges = stops[-1] - stops[0], [stops[0]]

    def halve(a: float, b: float) -> None:
        phase = max((np.interp(b, t, s) - np.interp(a, t, s) for t, s in sums), default=0.0) * (b - a)
        long = min((marks[c] for c in (a, b) if c in marks), default=np.inf) < b - a
        if (phase > crossing or long or b - a > length / 3.9) and b - a > 1e-7 * length:
            halve(a, (a + b) / 2)
            halve((a + b) / 2, b)
        else:
            edges.append(b)

    for a, b in pairwise(stops):
        halve(a, b)
    return np.array(edges)


def _powers(problem: Problem, axis: int) -> tuple[float, float]:
    """The powers of the distance from both walls that ψ begins with where V is singular there; 0 where it is linear."""
    box, powers = problem.domain, dict.fromkeys((0, 1), 0.0)
    assert isinstance(box, Box)
    for pole in survey(problem).poles:
        # Where both powers of a critical 1/distance² are ½, rounding would split them.
        power = 0.5 if abs(pole.exponent - 0.5) < 1e-4 else pole.exponent
        powers[int(pole.position == box.upper[axis])] = 0.0 if abs(power - 1) < 1e-6 else power
    return powers[0], powers[1]


@double_precision()
def halved(
    problem: Problem,
    h: MeshOperator,
    pairs: Eigenpairs,
    n_states: int,
    layouts: Sequence[Layout],
    most: int,
    goal: float,
) -> list[Layout] | None:
    """The layouts with those elements halved that ψ or V·ψ fill badly; None where none needs it, or no more fit in."""
    shares = [indicators(problem, h, pairs, n_states, i) for i in range(problem.dim)]
    worst = max(share.max() for share in shares)
    least = max((1e-4 if problem.dim == 1 else 1e-2) * worst, goal / sum(map(len, shares)))
    ranked = sorted(
        ((s, i, e) for i, share in enumerate(shares) for e, s in enumerate(share) if s > least), reverse=True
    )
    marked: list[set[int]] = [set() for _ in layouts]
    counts = [
        len(axis.points) / (len(layout.edges) - 1) for axis, layout in zip(h.mesh.axes, layouts, strict=True)
    ]
    for _, i, e in ranked:
        sizes = [
            len(layout.edges) - 1 + len(m) + (j == i)
            for j, (layout, m) in enumerate(zip(layouts, marked, strict=True))
        ]
        short = np.diff(layouts[i].edges)[e] < 1e-11 * (layouts[i].edges[-1] - layouts[i].edges[0])
        if not short and prod(c * n for c, n in zip(counts, sizes, strict=True)) <= most:
            marked[i].add(e)
    if not any(marked):
        return None
    new = []
    for layout, chosen in zip(layouts, marked, strict=True):
        middles = [(layout.edges[e] + layout.edges[e + 1]) / 2 for e in chosen]
        new.append(layout._replace(edges=np.sort(np.concatenate([layout.edges, middles]))))
    return new


def indicators(
    problem: Problem, h: MeshOperator, pairs: Eigenpairs, n_states: int, i: int
) -> Float[np.ndarray, " elements"]:
    """For each element along an axis, of the worst state, about what it adds to the error of the energy: the kinetic energy of
    the highest two polynomials in ψ, and (h/2p)²/c times the square of the highest two in V·ψ."""
    mesh, axis = h.mesh, h.mesh.axes[i]
    assert axis.edges is not None and isinstance(axis.scheme, Elements)
    degree, lengths, stiffness = axis.scheme.degree, np.diff(axis.edges), h.form.coefficients[i]
    x, _ = axis.between
    count = degree + 2
    # Legendre coefficients from the values at Gauss points.
    nodes, weights = np.polynomial.legendre.leggauss(count)
    k = np.arange(count)
    transform = (2 * k[:, None] + 1) / 2 * np.polynomial.legendre.legvander(nodes, count - 1).T * weights
    psi = mesh.spread(pairs.vectors[:, :n_states] / np.sqrt(mesh.weights)[:, None])
    others = [np.sqrt(a.weights) for j, a in enumerate(mesh.axes) if j != i]
    psi = np.moveaxis(along(axis.at(x), psi, i), i, 0)
    for j, root in enumerate(others, 1):
        psi = psi * root.reshape([-1 if a == j else 1 for a in range(psi.ndim)])
    places = [x if j == i else a.points for j, a in enumerate(mesh.axes)]
    v = evaluated(problem.local.potential, tensor_points(places).reshape(-1, mesh.dim))
    v = np.moveaxis(np.where(np.isfinite(v), v, 0).reshape([len(p) for p in places]), i, 0)
    if any(axis.powers):  # of polynomials times g, the polynomials, and what they see of V
        g, _, bend = wall_factor(x, (axis.edges[0], axis.edges[-1]), axis.powers)
        largest = np.repeat(g.reshape(-1, count).max(1), count)
        psi = psi * (largest / g).reshape(-1, *[1] * (psi.ndim - 1))
        v = v - stiffness * bend.reshape(-1, *[1] * (v.ndim - 1))
    total = np.zeros((len(lengths), n_states))
    for values, kinetic in ((psi, True), (psi * v[..., None], False)):
        blocks = values.reshape(len(lengths), count, -1, n_states)
        top = slice(degree - 1, degree + 1) if kinetic else slice(count - 2, count)
        coefficients = np.einsum("kq,eqrn->ekrn", transform[top], blocks)
        squares = (np.abs(coefficients) ** 2).sum(2)
        if kinetic:
            rate = stiffness * 2 * (k * (k + 1))[top] / lengths[:, None]
        else:
            rate = (lengths[:, None] / (2 * degree)) ** 2 / stiffness * lengths[:, None] / (2 * k + 1)[top]
        total += (rate[:, :, None] * squares).sum(1)
    return total.max(1)
