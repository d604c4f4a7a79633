"""Where `Ritz` looks for states: coordinates scaled to them, rules of points, and random features, for one problem.

A coarse pass of a few smooth features tells where the states are and how fast they vary; the frame, rules and draws that
follow are in those scales.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from qspin.methods.locate.extent import FADED, extent
from qspin.methods.locate.survey import survey
from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.methods.ritz.quadrature import Rule, about_centres, in_box, lattice
from qspin.methods.ritz.rayleigh_ritz import Integrals, Sums
from qspin.problem.domain import Box
from qspin.problem.problem import Problem

__all__ = ["PLANS", "SAMPLED", "WIDER", "Plan", "TrialSpace", "plan"]

WIDER = 1.1  # reach of the rule that verifies
_STRETCH = 0.5  # the logarithm begins at length·(radius of the states/length)^this


class Plan(NamedTuple):
    """Numbers of a dimension."""

    coarse: int  # points an axis of the coarse pass
    level: int  # points an axis to begin with
    finer: float  # levels of the rule that verifies
    trained: int  # features that are trained
    first: int  # features drawn to begin with
    most: int  # and at most
    slope: float  # of features, in units of the states' momenta
    centred_slope: float  # and about centres
    angular: float  # directions in a plane about a centre, of the radii
    aim: float  # of the tolerance: stages go on this far where features and points allow
    rule_aim: float  # and rules differ by no more


PLANS = {
    1: Plan(64, 72, 1.25, 50, 50, 400, 0.6, 1.2, 1.0, 1e-4, 1e-5),
    2: Plan(36, 40, 1.2, 100, 200, 800, 0.6, 1.2, 0.45, 4e-2, 1e-2),
    3: Plan(26, 22, 1.12, 100, 200, 800, 0.5, 1.4, 0.6, 0.2, 0.1),
}
# Past three dimensions levels are counts of sampled points.
SAMPLED = Plan(8192, 8192, 1.5, 0, 200, 1600, 0.4, 1.0, 1.0, 1.0, 1.0)


def plan(dim: int) -> Plan:
    """Numbers of one to three dimensions, or of sampled points past them."""
    return PLANS.get(dim, SAMPLED)


class TrialSpace:
    """One problem, scales found so far, and a stream of random numbers."""

    def __init__(
        self, problem: Problem, n_states: int, seed: int, most_features: int, most_points: int
    ) -> None:
        assert isinstance(problem.domain, Box)
        self.problem, self.n_states = problem, n_states
        self.most, self.most_points = most_features, most_points
        self.domain, self.dim = problem.domain, problem.dim
        self.plan = plan(self.dim)
        self.extra = 2 + n_states // 8
        self.rng = np.random.default_rng(seed)
        self.stiffness = problem.local.coefficients
        self.jumps = survey(problem).jumps
        self.breaks = [[j.position for j in self.jumps if j.axis == i] for i in range(self.dim)]
        self.centres = problem.centres
        self.coordinates = Coordinates(self.domain, self.centres, self.jumps)
        self.integrals = Integrals(self.coordinates, self.stiffness)
        self.lengths = np.array([c.length for c in self.centres])
        self.root = np.eye(self.dim)
        self.shift = self.rng.uniform(size=self.dim)
        self.slope = self.plan.centred_slope if self.centres else self.plan.slope
        cloud = survey(problem).cloud(n_states)
        mean, covariance = np.asarray(self.domain.centre), np.diag(np.square(self.domain.lengths) / 12)
        if cloud is not None:
            mean, covariance = np.asarray(cloud.mean), np.asarray(cloud.covariance)
        self._set_frame(mean, covariance, np.inf)

    def _set_frame(self, mean: np.ndarray, covariance: np.ndarray, highest: float) -> None:
        if self.centres:
            decay = 5.0 / min(self.domain.lengths)
            if highest < 0:
                decay = 0.6 * float(np.sqrt(-highest / self.stiffness.max()))
            self.reach = 10.0 / decay
            self.frame = Frame(mean, np.eye(self.dim), np.array([decay]), self.lengths)
            return
        self.extent, self.covariance = extent(self.problem, mean, covariance, highest), covariance
        self.frame = self.extent.frame

    def _coarse(self) -> None:
        """A few smooth features tell where the states are, and how fast they vary; three times, each from the one before."""
        functions: tuple[Frame, Neurons, np.ndarray] | None = None
        features = min(max(self.plan.first, 6 * self.n_states), self.most)
        wanted = self.n_states + self.extra
        for attempt in range(3):
            rule = self._rule(self.plan.coarse)
            density = self._guess(rule) if functions is None else self.integrals.check(rule, *functions)[1]
            slope = 0.6 if self.centres or attempt == 0 else 0.8
            neurons = self._draw(self._sample(rule, density, features), slope)
            basis = self.integrals.bases(rule, self.frame, neurons, (features,), 1e-6)[0]
            energies, combination = self._lowest(rule, neurons, basis, wanted)
            sums, density = self.integrals.check(rule, self.frame, neurons, combination)
            functions, self.energies = (self.frame, neurons, combination), energies
            self._rescale(sums, energies, rule, density)
            if self.centres:  # the coordinates changed: the next pass starts from this density
                functions = None if attempt == 0 else functions
        self.sampled = self._sample(rule, density, 4096)

    def _rescale(self, sums: Sums, energies: np.ndarray, rule: Rule, density: np.ndarray) -> None:
        n = len(energies)
        mean = sums.first / n
        covariance = sums.second / n - np.outer(mean, mean)
        if self.centres:
            place = np.array([c.position for c in self.centres])
            distance = np.linalg.norm(rule.points[:, None] - place, axis=-1).min(1)
            radius = float(np.sqrt(density @ distance**2 / density.sum()))
            # Logarithms begin halfway, in the geometric sense, between the cusp and the size of the states.
            own = np.array([c.length for c in self.centres])
            self.lengths = own * np.maximum(radius / own, 1) ** _STRETCH
        self._set_frame(mean, covariance, float(energies[-1]))
        back = np.linalg.inv(self.frame.whiten)
        values, axes = np.linalg.eigh(back.T @ (sums.momentum / n) @ back)
        self.root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T

    def _guess(self, rule: Rule) -> np.ndarray:
        """A density to begin with: normal, or falling from the centres."""
        if not self.centres:
            z = (rule.points - self.frame.mean) @ np.asarray(self.frame.whiten).T
            return rule.weights * np.exp(-0.5 * np.sum(z**2, axis=1))
        place = np.array([c.position for c in self.centres])
        distance = np.linalg.norm(rule.points[:, None] - place, axis=-1).min(1)
        return rule.weights * np.exp(-2 * float(self.frame.decay[0]) * distance)

    # --- points and neurons

    def _rule(self, level: int, wider: float = 1.0) -> Rule:
        """About level^dim points; wider than 1, the rule that verifies."""
        if self.centres:
            reach = wider * max(self.reach, FADED / float(self.frame.decay[0]))
            directions = max(int(self.plan.angular * level), 6) + 4 * (self.dim == 3 and wider > 1)
            centres = [replace(c, length=s) for c, s in zip(self.centres, self.frame.lengths, strict=True)]
            rule = about_centres(self.domain, centres, level, directions, reach)
        elif self.extent.unbounded and not self.jumps:
            wave = self.root @ self.extent.frame.whiten
            count = (wider * level) ** self.dim
            rule = lattice(self.extent.frame.mean, self.extent.shape, wave, wider, count, self.shift)
        else:
            rule = self._walled_rule(level, wider)
        rule.potential = self.problem.potential_values(rule.points)
        return rule

    def _walled_rule(self, level: int, wider: float) -> Rule:
        """Along the axes of the box, points an axis as it has waves; but for corners where every function has faded."""
        lower, upper, mean = (np.asarray(a) for a in (self.domain.lower, self.domain.upper, self.frame.mean))
        window = mean[:, None] + wider * (self.extent.window - mean[:, None])
        window = np.clip(window, lower[:, None], upper[:, None])
        turning, faded = self.coordinates.turning, self.extent.faded
        waves = np.linalg.norm(self.root @ self.frame.whiten, axis=0) * np.diff(window)[:, 0]
        waves = np.maximum(waves, 0.1 * waves.max()) * np.where(faded | turning, 1, 1.2)
        counts = level * waves / np.exp(np.log(waves).mean())

        def rule(counts: np.ndarray) -> tuple[Rule, np.ndarray]:
            whole = np.maximum(np.ceil(counts).astype(int), 6)
            found = in_box(self.domain, window.tolist(), whole.tolist(), self.breaks, faded.tolist())
            if turning.any():
                return found, np.ones(len(found), bool)
            return found, np.linalg.norm((found.points - mean) @ self.extent.shape.T, axis=1) < 1.05 * wider

        found, kept = rule(counts)
        if kept.mean() < 0.9:
            found, kept = rule(counts / kept.mean() ** (1 / self.dim))
        return Rule(found.points[kept], found.weights[kept])

    def _finer(self, level: int) -> int:
        return int(level * self.plan.finer) + 1

    def _capped(self, level: int) -> bool:
        """Whether the next rule, and the one that verifies it, would have too many points."""
        return len(self._rule(self._finer(self._finer(level)), WIDER)) > self.most_points

    def _sample(self, rule: Rule, density: np.ndarray, count: int) -> np.ndarray:
        """Points (count, dim) spread as a density known on a rule."""
        share = np.cumsum(np.maximum(density, 0))
        chosen = np.searchsorted(share, (np.arange(count) + self.rng.uniform()) / count * share[-1])
        return rule.points[self.rng.permutation(np.minimum(chosen, len(share) - 1))]

    def _draw(self, x: np.ndarray, slope: float) -> Neurons:
        """Random neurons: each zero at one of the points x (M, dim), slopes up to `slope` times the states' own."""
        count = len(x)
        f = self.integrals.inputs(self.frame, x)
        directions = self.rng.normal(size=f.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if not self.centres and not self.coordinates.turning.any():
            directions[:, : self.dim] = directions[:, : self.dim] @ self.root
        weights = slope * self.rng.uniform(0, 1, (count, 1)) * directions
        return Neurons(weights, -np.sum(weights * f, axis=1))

    # --- the projected problem

    def _lowest(
        self, rule: Rule, neurons: Neurons, basis: np.ndarray, most: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.integrals.ritz(rule, self.frame, neurons, basis, most)
