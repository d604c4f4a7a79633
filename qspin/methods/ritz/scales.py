"""Length scales of the states of a problem, and the integration rules and random features of `Ritz` in those scales.

A coarse pass with a few smooth features shows where the states are and how fast they vary; a short search finds the decay and
the slopes of features that lower the energies most. Later rules and features use those scales.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from qspin.methods.locate.survey import survey
from qspin.methods.ritz.extent import FADED, Extent, extent
from qspin.methods.ritz.features import BLOCK, Coordinates, Frame, Neurons, Trial
from qspin.methods.ritz.quadrature import Rule, about_centres, in_box, lattice, nearest_centre
from qspin.methods.ritz.rayleigh_ritz import Solution, bases, densities, lowest, solve, sums
from qspin.problem.domain import Box, Centre
from qspin.problem.problem import Problem

__all__ = [
    "PLANS",
    "Scales",
    "Task",
    "coarse",
    "draw",
    "project",
    "random_numbers",
    "rule",
    "tune",
]

_STEEPER = 1.2  # than the states themselves an envelope may be
_WIDER = 1.1  # factor by which the rule that verifies reaches farther
_STRETCH = 0.5  # the logarithm begins at length·(radius of the states/length)^this
_PLACES = 4096

Point = Float[np.ndarray, " dim"]
Points = Float[np.ndarray, "points dim"]
Places = Float[np.ndarray, "count dim"]
Matrix = Float[np.ndarray, "dim dim"]
Lengths = Float[np.ndarray, " centres"]
Density = Float[np.ndarray, " points"]
Numbers = tuple[Float[np.ndarray, "features inputs"], Float[np.ndarray, "features 1"]]


class Plan(NamedTuple):
    """Numbers of points and features, and scales, for one number of dimensions."""

    coarse: int  # points along each axis in the coarse pass
    level: int  # points along each axis in the first rule
    finer: float  # ratio of the level of the rule that verifies
    trained: int  # number of features that are trained
    first: int  # number of features in the first stage
    most: int  # number of features at most
    slope: float  # of features, in units of the states' momenta
    centred_slope: float  # the same, about centres
    angular: float  # number of directions in a plane about a centre, as a share of the radii
    aim: float  # share of the tolerance at which stages end, where features and points allow
    rule_aim: float  # share of the tolerance by which two rules may differ


PLANS = {
    1: Plan(64, 72, 1.25, 50, 50, 400, 0.6, 1.2, 1.0, 1e-4, 1e-5),
    2: Plan(36, 40, 1.2, 100, 200, 800, 0.6, 1.2, 0.45, 4e-2, 1e-2),
    3: Plan(26, 22, 1.12, 100, 200, 800, 0.5, 1.4, 0.6, 0.2, 0.1),
}


@dataclass(frozen=True, eq=False)
class Task:
    """The problem, what is wanted, and what it may cost; fixed during a solve.

    `shift` (dim,) displaces the points of lattices, in lattice cells.
    """

    problem: Problem
    n_states: int
    tolerance: float
    max_features: int
    max_points: int
    train: bool
    shift: Float[np.ndarray, " dim"]

    @property
    def box(self) -> Box:
        """The domain of the problem."""
        assert isinstance(self.problem.domain, Box)
        return self.problem.domain

    @property
    def plan(self) -> Plan:
        """The plan for the problem's number of dimensions."""
        return PLANS[self.problem.dim]

    @cached_property
    def coefficients(self) -> Float[np.ndarray, " dim"]:
        """c of the kinetic energy -Σ c_i ∂²/∂x_i²."""
        return self.problem.local.coefficients

    @cached_property
    def coordinates(self) -> Coordinates:
        """The coordinates that features are functions of."""
        poles = survey(self.problem).poles
        ends = (self.box.lower[0], self.box.upper[0]) if poles else ()
        exponents = tuple(next((p.exponent for p in poles if p.position == end), 1.0) for end in ends)
        places = tuple(centre.position for centre in self.centres)
        return Coordinates.of(self.box, places, survey(self.problem).jumps, exponents)

    @cached_property
    def centres(self) -> tuple[Centre, ...]:
        """Declared centres, and walls at which V is singular."""
        poles = {(p.position,): Centre((p.position,), 0.0, p.length, 0.0) for p in survey(self.problem).poles}
        return (*poles.values(), *(c for c in self.problem.centres if c.position not in poles))

    def points(self, features: int) -> int:
        """The least level of rules for so many features: functions with fewer points would fit these, not the states."""
        return int((1.3 * features) ** (1 / self.problem.dim)) + 1

    @property
    def extra(self) -> int:
        """The number of energies to compute above those of the states."""
        return 2 + self.n_states // 8

    def finer(self, level: int) -> int:
        """The level of the rule that verifies."""
        return int(level * self.plan.finer) + 1

    def count(self, first: int, per_state: int) -> int:
        """A number of features: `first`, or `per_state` for each state if that is more, but at most `max_features`."""
        return min(max(first, per_state * self.n_states), self.max_features)


class Scales(NamedTuple):
    """Where the states are and how fast they vary, as far as is known."""

    frame: Frame
    extent: Extent | None  # None about centres
    reach: float  # of rules about centres
    root: Float[np.ndarray, "dim dim"]  # square root of the momentum covariance, in the frame's coordinates
    slope: float  # of features, in units of that root
    level: int  # points along each axis that rules need, approximately
    energies: Float[np.ndarray, " known"]
    places: Places  # points distributed as the density of the states


# --- points and neurons


def rule(task: Task, scales: Scales, level: int, verifies: bool = False) -> Rule:
    """A rule of about level^dim points, and V at them; if `verifies`, the finer and wider rule that verifies that one."""
    frame, dim, wider = scales.frame, task.problem.dim, 1.0
    if verifies:
        level, wider = task.finer(level), _WIDER
    if scales.extent is None:
        reach = wider * max(scales.reach, FADED / float(frame.decay[0]))
        directions = max(int(task.plan.angular * level), 6) + 4 * (dim == 3 and wider > 1)
        pairs = zip(task.centres, frame.lengths, strict=True)
        centres = [replace(centre, length=length) for centre, length in pairs]
        result = about_centres(task.box, centres, level, directions, reach)
    elif scales.extent.unbounded and not survey(task.problem).jumps:
        wave, count = scales.root @ scales.extent.frame.whiten, (wider * level) ** dim
        result = lattice(frame.mean, scales.extent.shape, wave, wider, count, task.shift)
    else:
        result = _walled_rule(task, scales, scales.extent, level, wider)
    return replace(result, potential=task.problem.potential_values(result.points))


def _walled_rule(task: Task, scales: Scales, bounds: Extent, level: int, wider: float) -> Rule:
    """A rule along the axes of the box, with points in proportion to the waves on each, less corners where functions vanish."""
    box, mean, turns = task.box, np.asarray(scales.frame.mean), np.asarray(task.box.periodic)
    window = mean[:, None] + wider * (bounds.window - mean[:, None])
    window = np.clip(window, np.asarray(box.lower)[:, None], np.asarray(box.upper)[:, None])
    waves = np.linalg.norm(scales.root @ scales.frame.whiten, axis=0) * np.diff(window)[:, 0]
    waves = np.maximum(waves, 0.1 * waves.max()) * np.where(bounds.faded | turns, 1, 1.2)
    counts = level * waves / np.exp(np.log(waves).mean())
    breaks = [[j.position for j in survey(task.problem).jumps if j.axis == i] for i in range(box.dim)]
    for _ in range(2):
        whole = np.maximum(np.ceil(counts).astype(int), 6)
        result = in_box(box, window.tolist(), whole.tolist(), breaks, bounds.faded.tolist())
        if turns.any():
            return result
        inside = np.linalg.norm((result.points - mean) @ bounds.shape.T, axis=1) < 1.05 * wider
        if inside.mean() >= 0.9:
            break
        counts = counts / inside.mean() ** (1 / box.dim)
    return Rule(result.points[inside], result.weights[inside])


def _sample(rule: Rule, density: Density, count: int, rng: np.random.Generator) -> Places:
    """Points (count, dim) distributed as a density that is known on a rule."""
    share = np.cumsum(np.maximum(density, 0))
    chosen = np.searchsorted(share, (np.arange(count) + rng.uniform()) / count * share[-1])
    return rule.points[rng.permutation(np.minimum(chosen, len(share) - 1))]


def random_numbers(task: Task, count: int, rng: np.random.Generator) -> Numbers:
    """Random directions, and slopes from 0 to 1, of `count` neurons."""
    directions = rng.normal(size=(count, task.coordinates.n_inputs))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions, rng.uniform(0, 1, (count, 1))


def draw(task: Task, scales: Scales, places: Places, numbers: Numbers) -> Trial:
    """Random features: each neuron is zero at one of the places, with a slope up to `slope` times that of the states."""
    directions, shares = numbers
    count, dim = places.shape
    filled = np.concatenate([places, np.broadcast_to(places[:1], (-count % BLOCK, dim))])
    f = np.asarray(task.coordinates.inputs(scales.frame, filled))[:count]
    turns = np.asarray(task.box.periodic)
    if not task.centres and not turns.any():
        directions = np.concatenate([directions[:, :dim] @ scales.root, directions[:, dim:]], axis=1)
    elif not task.centres:  # by the waves on each axis, in radians on periodic ones
        waves = np.linalg.norm(scales.root @ np.asarray(scales.frame.whiten), axis=0)
        units = np.where(turns, np.asarray(task.box.lengths) / (2 * np.pi), 1 / np.diag(scales.frame.whiten))
        steep = np.maximum(waves * units, 1)
        steep = np.concatenate([steep[~turns], steep[turns], steep[turns]])
        directions = np.concatenate(
            [directions[:, : len(steep)] * steep, directions[:, len(steep) :]], axis=1
        )
    weights = scales.slope * shares * directions
    return Trial(task.coordinates, scales.frame, Neurons(weights, -np.sum(weights * f, axis=1)))


def project(task: Task, scales: Scales, trial: Trial, level: int) -> Solution:
    """The states in the span of the features, on a rule of this level, verified on a finer one."""
    rules = rule(task, scales, level), rule(task, scales, level, verifies=True)
    reached, least = np.inf, -np.inf
    if not task.centres:
        reached, least = survey(task.problem).level(len(trial)), float(rules[1].potential.min())
    return solve(trial, task.coefficients, *rules, task.n_states, task.extra, reached, least)


# --- where the states are


def _reframe(task: Task, scales: Scales, mean: Point, covariance: Matrix, lengths: Lengths) -> Scales:
    """The scales with the frame of states of this mean and covariance, and of the energies that are known."""
    known = len(scales.energies) > 0
    if not task.centres:
        highest = float(scales.energies[-1]) if known else survey(task.problem).level(task.n_states)
        bounds = extent(task.problem, mean, covariance, highest)
        return scales._replace(frame=bounds.frame, extent=bounds)
    decay = 5.0 / min(task.box.lengths)
    if known and scales.energies[-1] < 0:
        decay = 0.6 * float(np.sqrt(-scales.energies[-1] / task.coefficients.max()))
    frame = Frame(mean, np.eye(task.problem.dim), np.array([decay]), lengths)
    return scales._replace(frame=frame, reach=10.0 / decay)


def coarse(task: Task, rng: np.random.Generator) -> Scales:
    """Scales from a few smooth features, in three passes, each in the scales of the one before."""
    problem, dim, plan = task.problem, task.problem.dim, task.plan
    own, cloud = np.array([c.length for c in task.centres]), survey(problem).cloud(task.n_states)
    mean, covariance = np.asarray(task.box.centre), np.diag(np.square(task.box.lengths) / 12)
    if cloud is not None:
        mean, covariance = np.asarray(cloud.mean), np.asarray(cloud.covariance)
    frame = Frame(mean, np.eye(dim), np.ones(dim), own)
    waves = np.zeros(dim)
    if not task.centres:
        waves = survey(problem).momenta(task.n_states) * np.sqrt(np.diag(covariance))
    scales = Scales(
        frame,
        None,
        np.inf,
        np.diag(np.maximum(waves / 2, 1)),
        0.6,
        plan.level,
        np.zeros(0),
        np.zeros((0, dim)),
    )
    scales = _reframe(task, scales, mean, covariance, own)
    features, solution = task.count(plan.first, 6), None
    for attempt in range(3):
        points = rule(task, scales, max(plan.coarse, task.points(features)))
        density = _guess(task, scales, points) if solution is None else densities(points, *solution)
        places = _sample(points, density, features, rng)
        scales = scales._replace(slope=0.6 if task.centres or attempt == 0 else 0.8)
        trial = draw(task, scales, places, random_numbers(task, features, rng))
        for cut in (1e-6, 1e-9, 1e-12):  # as smooth as may be
            basis, wanted = bases(trial, points, (features,), cut)[0], task.n_states + task.extra
            if basis.shape[1] >= wanted:
                break
        energies, combination = lowest(trial, task.coefficients, points, basis, wanted)
        density = densities(points, trial, combination)
        momentum = sums(trial, task.coefficients, points, combination).momentum / len(energies)
        scales = _rescale(task, scales._replace(energies=energies), points, density, np.asarray(momentum))
        # About centres the first pass changes the coordinates: the next one starts from a guess again.
        solution = None if task.centres and attempt == 0 else (trial, combination)
    slope = plan.centred_slope if task.centres else plan.slope
    return scales._replace(slope=slope, places=_sample(points, density, _PLACES, rng))


def _guess(task: Task, scales: Scales, rule: Rule) -> Density:
    """A first guess of the density: normal, or decaying from the centres."""
    if not task.centres:
        z = (rule.points - scales.frame.mean) @ np.asarray(scales.frame.whiten).T
        return rule.weights * np.exp(-0.5 * np.sum(z**2, axis=1))
    distance = nearest_centre(task.centres, rule.points)
    return rule.weights * np.exp(-2 * float(scales.frame.decay[0]) * distance)


def _rescale(task: Task, scales: Scales, rule: Rule, density: Density, momentum: Matrix) -> Scales:
    """The scales that follow from the density and the momentum covariance of the states."""
    n, x, lengths = len(scales.energies), rule.points, scales.frame.lengths
    mean = density @ x / n
    covariance = (x * density[:, None]).T @ x / n - np.outer(mean, mean)
    if task.centres:
        distance = nearest_centre(task.centres, x)
        radius = float(np.sqrt(density @ distance**2 / density.sum()))
        # Logarithms begin halfway, in the geometric sense, between the cusp and the size of the states.
        own = np.array([c.length for c in task.centres])
        lengths = own * np.maximum(radius / own, 1) ** _STRETCH
    scales = _reframe(task, scales, mean, covariance, lengths)
    back = np.linalg.inv(scales.frame.whiten)
    values, axes = np.linalg.eigh(back.T @ momentum @ back)
    return scales._replace(root=(axes * np.sqrt(np.maximum(values, 0))) @ axes.T)


# --- the scales that lower the energies most


def tune(task: Task, scales: Scales, count: int, rng: np.random.Generator) -> Scales:
    """The scales whose decay, start of the logarithms and slopes give the lowest energies with `count` features, from a few
    steps of a factor 1.5 each way with the same random numbers; and the level that rules needed."""
    numbers = random_numbers(task, count, rng)
    start = max(scales.level, task.points(count))

    def total_energy(scales: Scales, level: int) -> tuple[float, Scales]:
        """The sum of the energies, and the scales with the level that was needed."""
        trial = draw(task, scales, scales.places[:count], numbers)
        while True:
            solution = project(task, scales, trial, level)
            calm = 0.3 * solution.errors.sum() + 1e-12 * np.abs(solution.energies).max()
            if solution.exploited * task.n_states < calm or level > 2 * start:
                return float(solution.energies[: task.n_states].sum()), scales._replace(level=level)
            level = task.finer(level)

    def search(
        value: float, first: Scales, changed: Callable[[Scales, float], Scales]
    ) -> tuple[float, Scales]:
        """Change scales by powers of 1.5: up while that lowers the energies, or else down."""
        best, level = first, first.level
        for step in (1.5, 1 / 1.5):
            for power in (1, 2, 3):
                lower, new = total_energy(changed(first, step**power), level)
                level = new.level
                if lower >= value:
                    break
                value, best = lower, new
            if best is not first:
                break
        return value, best._replace(level=level)

    def with_frame(scales: Scales, **changes: Any) -> Scales:
        return scales._replace(frame=scales.frame._replace(**changes))

    value, best = total_energy(scales, start)
    if not task.centres:
        # Narrower where waves are fast: a harmonic ground state decays at half its momentum's width.
        decay = best.frame.decay
        narrow = np.where(decay != 0.25, np.maximum(decay, 0.4 * np.diag(scales.root)), decay)
        lower, other = total_energy(with_frame(best, decay=narrow), best.level)
        value, best = (lower, other) if lower < value else (value, best._replace(level=other.level))
    value, best = search(value, best, lambda s, factor: with_frame(s, decay=factor * s.frame.decay))
    if best.extent is not None:
        # Few features like narrow envelopes; but where these fall off before the states do, more features do not help.
        best = with_frame(best, decay=np.minimum(best.frame.decay, _STEEPER * best.extent.frame.decay))
    if task.centres:
        value, best = search(value, best, lambda s, factor: with_frame(s, lengths=factor * s.frame.lengths))
    return search(value, best, lambda s, factor: s._replace(slope=factor * s.slope))[1]
