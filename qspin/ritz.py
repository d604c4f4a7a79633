"""`Ritz`: the variational problem that SpIN trains for, solved: output weights exactly, hidden weights by Gauss–Newton.

For given features the best orthonormal combinations are a Rayleigh–Ritz problem. It is solved on a quadrature rule; and
everything that is claimed is evaluated on a finer rule that the solution has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np

from qspin.domain import Box
from qspin.method import DirectMethod, Method
from qspin.problem import Problem
from qspin.region import Region
from qspin.runtime import double_precision
from qspin.sampled_ritz import SampledRitz
from qspin.spectrum import Spectrum
from qspin.states.levels import energy_scale
from qspin.variational.extent import FADED, extent
from qspin.variational.features import Frame, Neurons
from qspin.variational.gauss_newton import train
from qspin.variational.jumps import refuse_bottomless
from qspin.variational.quadrature import Rule
from qspin.variational.rayleigh_ritz import BLOCK, CUT, Sums, padded, ritz_functions
from qspin.variational.ritz_functions import RitzFunctions
from qspin.variational.strong_form import lowest_real, sampled, strong_ritz_functions
from qspin.variational.trial_space import WIDER, TrialSpace, plan

__all__ = ["Ritz"]

_FEWER = 0.7  # share of the features of the smaller space that errors are read off
_GROWTH = 2.0
_SAFETY = 8.0  # of errors read off residuals
_RULE_SAFETY = 3.0  # the finer rule is not exact either
_MEMORY = 8e9  # bytes
_DEAR = 40_000  # points from which on a rule is not refined beyond the tolerance
_TRAINED_STEPS = 8
_TRAINED_COST = 1e10  # operations of a Gauss–Newton step at most
_PER_FEATURE = 8  # sampled points, past three dimensions
_MOST_DIMENSIONS = 6


class _Solution(NamedTuple):
    """Combinations (M, N) of neurons, with energies and errors verified on `rule`."""

    neurons: Neurons
    combination: np.ndarray
    energies: np.ndarray  # N and some above
    errors: np.ndarray
    residuals: np.ndarray
    rule: Rule
    trained_on: int
    exploited: float  # largest difference of energies between the two rules


@dataclass(frozen=True)
class Ritz(DirectMethod):
    """Neural Rayleigh–Ritz, in one to six dimensions: energies from a solved, not trained, output layer.

    Args:
        tolerance: claimed error asked of every energy, as a share of |E| (where E is near 0, of the range of energies).
        max_features: hidden neurons at most; by default 400 in one dimension, 800 in two and three, 1600 past them.
        max_points: quadrature points at most; `SampledRitz`, past three dimensions, has its own count.
        train: whether the hidden weights of the first features are trained, by Gauss–Newton steps with the output layer
            solved for at each; where a step is cheap, and not with a Bloch wave vector. Past three dimensions: whether the
            network is.
        products: past three dimensions, whether features are mean-field products times a network (`SampledRitz`), rather
            than the random tanh features of below (to six dimensions).

    A coarse pass finds where the states live; a short search finds the decay and the slopes of features that lower the
    energies most. Then random tanh features, in coordinates of that scale (about declared centres, direction and logarithm of
    the distance), their zeros spread as the density. The first hundred (fifty in one dimension) are trained. Stages of twice
    as many features, on rules that grow until a finer rule agrees, go on well below the tolerance where that is cheap, or till
    features, points or rounding set a limit. Jumps and kinks of V across an axis are found, and both rules and features bend
    there.

    `energies`, `residuals` and `errors` come from a rule finer than the solution's own. `errors` are 8·α·residual², where α is
    (fall of the energy)/(fall of residual²) from 0.7 of the features to all, at most 1/gap (Temple's bound), plus three times
    the difference between the two rules. Cost: O(P M²) time and O(M² + 2048 dim M) memory for P points and M features.

    Past three dimensions points are sampled (quasi-random) and Hψ is taken pointwise: energies are not upper bounds there,
    and their errors come from residuals and from a second, independent sample.

    Raises ValueError for more than six dimensions, settings out of range, or a potential that falls without bound where
    no centre was declared.
    """

    tolerance: float = 1e-6
    max_features: int | None = None
    max_points: int = 150_000
    train: bool = True
    products: bool = True
    name = "ritz"

    def __post_init__(self) -> None:
        if not 1e-13 <= self.tolerance < 1:
            raise ValueError(
                f"Ritz: tolerance must be from 1e-13, what double precision holds, to 1, got {self.tolerance!r}."
            )
        if self.max_features is not None and not 16 <= self.max_features <= 20_000:
            raise ValueError(
                f"Ritz: max_features must be at least 16 and at most 20000, got {self.max_features!r}."
            )
        if not 100 <= self.max_points <= 10_000_000:
            raise ValueError(
                f"Ritz: max_points must be at least 100 and at most 10 million, got {self.max_points!r}."
            )

    def for_problem(self, problem: Problem) -> Method:
        if problem.dim <= 3 or not self.products:
            return self
        sampled = SampledRitz(tolerance=self.tolerance, n_features=self.max_features)
        return sampled if self.train else replace(sampled, steps=0)

    def check(self, problem: Problem, n_states: int) -> None:
        self.check_boxed(problem)
        assert isinstance(problem.domain, Box)
        if isinstance(problem.domain, Region):
            raise ValueError(
                "Ritz: its rules end at the walls of a box, not of a Region; use qspin.SpIN() or qspin.Grid()."
            )
        if problem.dim > _MOST_DIMENSIONS:
            raise ValueError(
                f"Ritz: serves one to {_MOST_DIMENSIONS} dimensions, got {problem.dim}; use qspin.SpIN()."
            )
        if problem.dim > 3 and (problem.centres or any(problem.domain.periodic)):
            raise ValueError(
                "Ritz: past three dimensions it serves boxes without periodic axes and without Coulomb-like centres; "
                "use qspin.SpIN()."
            )
        most = self._most(problem.dim)
        needed = 8 * (8 * most**2 + BLOCK * (problem.dim + 4) * most + self.max_points * (problem.dim + 3))
        if needed > _MEMORY:
            raise ValueError(
                f"Ritz: max_features = {most} and max_points = {self.max_points} need about {needed / 1e9:.1f} GB, "
                f"more than the {_MEMORY / 1e9:.0f} GB it may take; lower them."
            )
        if 2 * n_states > most:
            raise ValueError(
                f"Ritz: n_states = {n_states} needs at least {2 * n_states} features, max_features is {most}."
            )

    def _most(self, dim: int) -> int:
        return self.max_features if self.max_features is not None else plan(dim).most

    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        with double_precision():
            solver = _Solver if problem.dim <= 3 else _SampledSolver
            return solver(self, problem, n_states, seed).run()


class _Solver(TrialSpace):
    """One solve: the search for scales, training, and stages of features and rules."""

    def __init__(self, settings: Ritz, problem: Problem, n_states: int, seed: int) -> None:
        super().__init__(problem, n_states, seed, settings._most(problem.dim), settings.max_points)
        self.settings = settings
        self.stages: list[dict[str, Any]] = []

    def _tune(self, count: int, level: int) -> int:
        """Decay of the envelope, where logarithms begin, and slopes of features: the ones of the lowest energies, found in a
        few steps of 1.5 each way with the same random numbers. Returns the level that rules needed."""
        state, places = self.rng.bit_generator.state, self.sampled[:count]

        def reached(frame: Frame, slope: float) -> float:
            nonlocal level
            self.rng.bit_generator.state = state
            self.frame = frame
            neurons = self._draw(places, slope)
            while True:
                solution = self._solved(neurons, self._rule(level), self._rule(self._finer(level), WIDER))
                noise = solution.exploited * self.n_states
                calm = 0.3 * solution.errors.sum() + 1e-12 * np.abs(solution.energies).max()
                if noise < calm or level > 2 * self.plan.level:
                    return self._merit(solution)
                level = self._finer(level)

        base, slope = self.frame, self.slope
        value = reached(base, slope)
        if not self.centres:
            # Narrower where waves are fast: a harmonic ground state decays at half its momentum's width.
            narrow = np.where(
                base.decay != 0.25, np.maximum(base.decay, 0.4 * np.diag(self.root)), base.decay
            )
            other = reached(base._replace(decay=narrow), slope)
            if other < value:
                base, value = base._replace(decay=narrow), other
        decay, value = _search(lambda f: reached(base._replace(decay=f * base.decay), slope), value)
        frame = base._replace(decay=decay * base.decay)
        if self.centres:
            share, value = _search(lambda f: reached(frame._replace(lengths=f * self.lengths), slope), value)
            frame = frame._replace(lengths=share * self.lengths)
        steeper, _ = _search(lambda f: reached(frame, f * slope), value)
        self.frame, self.slope = frame, steeper * slope
        self.tuned_at = count
        return level

    def _functions(self, sums: Sums, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return ritz_functions(sums, part)

    def _merit(self, solution: _Solution) -> float:
        """What scales are chosen by; the lower the better."""
        return float(solution.energies[: self.n_states].sum())

    # --- stages

    def _slope(self, count: int) -> float:
        return self.slope * (count / self.tuned_at) ** (1 / self.dim)

    def _drawn(self, count: int, kept: Neurons | None) -> Neurons:
        """A new draw of so many neurons, the first of them `kept`."""
        known = 0 if kept is None else len(kept.biases)
        places = self.sampled[self.rng.permutation(len(self.sampled))[: count - known]]
        fresh = self._draw(places, self._slope(count))
        return (
            fresh
            if kept is None
            else Neurons(*(np.concatenate(pair) for pair in zip(kept, fresh, strict=True)))
        )

    def _stage(self, neurons: Neurons, level: int) -> tuple[_Solution, int]:
        """Solved on rules that grow, three times at most, until a finer one agrees; and the level it took."""
        for attempt in range(3):
            finer = self._finer(level)
            solution = self._solved(neurons, self._rule(level), self._rule(finer, WIDER))
            basis_error = float(solution.errors.max()) - _RULE_SAFETY * solution.exploited
            wanted = self.plan.rule_aim * float(self._allowed(solution.energies).min())
            enough = len(solution.rule) > _DEAR and self._converged(solution)
            if (
                solution.exploited <= max(wanted, 0.5 * basis_error)
                or enough
                or attempt == 2
                or self._capped(level)
            ):
                break
            level = finer
        return solution, level

    def _trained(self, level: int) -> Neurons | None:
        """The first neurons, trained, where that is cheap."""
        if not self.settings.train or not self.plan.trained:
            return None
        count = min(max(self.plan.trained, 4 * self.n_states), self.most)
        rule = self._rule(level)
        neurons = self._drawn(count, None)
        parameters = neurons.weights.size + neurons.biases.size
        cost = 2 * (1 + self.dim) * len(rule) * parameters**2
        turned = any(self.domain.wave_vector)  # real formulas
        if turned or cost > _TRAINED_COST:
            return None
        scale = float(np.abs(neurons.weights).max())
        fall = 0.1 * self.plan.aim * float(self._allowed(self.energies).min())
        return train(
            self.integrals, self.coordinates, self.stiffness, rule, self.frame, neurons, self.n_states, scale,
            _TRAINED_STEPS, fall,
        )  # fmt: skip

    def _solved(self, neurons: Neurons, rule: Rule, finer: Rule) -> _Solution:
        n, count = self.n_states, len(neurons.biases)
        bases = self.integrals.bases(rule, self.frame, neurons, (count, int(_FEWER * count)), CUT)
        (trained, combination), (_, smaller) = (
            self._lowest(rule, neurons, basis, n + self.extra) for basis in bases
        )
        wide = combination.shape[1]
        both = np.concatenate([combination, smaller], axis=1)
        sums, _ = self.integrals.check(finer, self.frame, neurons, both)
        energies, residuals, rotation = self._functions(sums, slice(0, wide))
        fewer, rougher, _ = self._functions(sums, slice(wide, None))
        k = min(len(energies), len(fewer), n)
        between = np.abs(energies[:n] - trained[:n])
        errors = np.full(n, np.inf)
        errors[:k] = _claimed(energies, residuals, fewer[:k], rougher[:k], k)
        errors += _RULE_SAFETY * between + 1e-13 * max(np.abs(energies).max(), 1e-300)
        errors = _shared(energies[:n], errors)
        return _Solution(
            neurons, (combination @ rotation)[:, :n], energies, errors, residuals[:n], finer, len(rule), float(between.max()),
        )  # fmt: skip

    def _allowed(self, energies: np.ndarray) -> np.ndarray:
        energies = energies[: self.n_states]
        return self.settings.tolerance * np.maximum(np.abs(energies), 1e-2 * energy_scale(energies))

    def _converged(self, solution: _Solution) -> bool:
        return bool((solution.errors <= self._allowed(solution.energies)).all())

    def run(self) -> Spectrum:
        n = self.n_states
        refuse_bottomless(self.problem)
        self._coarse()
        level = self._tune(min(max(self.plan.first, 10 * n), self.most), self.plan.level)
        kept = self._trained(level)
        count = min(max(self.plan.first, 5 * n), self.most)
        if kept is not None and count <= len(kept.biases):
            count = min(int(_GROWTH * len(kept.biases)), self.most)
        best: _Solution | None = None
        idle = 0
        while True:
            first = not self.stages and kept is not None
            neurons = kept if first and kept is not None else self._drawn(count, kept)
            solution, level = self._stage(neurons, level)
            self._record(solution)
            largest = float(solution.errors.max())
            idle = 0 if best is None or largest < 0.7 * best.errors.max() else idle + 1
            if best is None or largest < best.errors.max():
                best = solution
            by_rule = _RULE_SAFETY * solution.exploited > 0.5 * largest
            if self._converged(best) and by_rule and len(solution.rule) > _DEAR:
                break
            if (best.errors <= self.plan.aim * self._allowed(best.energies)).all():
                break
            # Twice no better: the rule, or rounding, is the limit.
            if len(neurons.biases) >= self.most or idle == 2:
                break
            if not first:
                count, level = min(int(count * _GROWTH), self.most), self._finer(level)
        return self._spectrum(best)

    def _record(self, solution: _Solution) -> None:
        self.stages.append(
            {
                "features": len(solution.neurons.biases),
                "points": solution.trained_on,
                "verified_on": len(solution.rule),
                "largest_error": float(solution.errors.max()),
                "train_minus_verified": -solution.exploited,
            }
        )

    def _spectrum(self, solution: _Solution) -> Spectrum:
        n = self.n_states
        converged = solution.errors <= self._allowed(solution.energies)
        remarks = ["all errors within the tolerance."]
        if not converged.all():
            short = ", ".join(map(str, np.flatnonzero(~converged)))
            capped = len(solution.rule) * self.plan.finer ** (2 * self.dim) > self.settings.max_points
            advice = "max_points" if capped else "max_features"
            remarks = [
                f"states {short} have claimed errors above the tolerance; raise {advice}, or the tolerance."
            ]
        wall = self._wall(float(solution.energies[n - 1]))
        if wall:
            remarks.append(wall)
        above = solution.energies[n:]
        group = max(3 * float(solution.errors[-1]), 1e-6 * energy_scale(solution.energies[:n]))
        beyond = int((above - solution.energies[n - 1] < group).sum())
        if beyond:
            remarks.append(f"n_states = {n} cuts a level: at least {beyond} more state(s) belong to it.")
        functions = RitzFunctions(
            self.coordinates, jax.tree.map(np.asarray, self.frame), padded(solution.neurons),
            solution.combination, solution.rule.points, solution.rule.weights,
        )  # fmt: skip
        return Spectrum(
            energies=solution.energies[:n],
            errors=solution.errors,
            residuals=solution.residuals,
            converged=converged,
            status=" ".join(remarks),
            eigenfunctions=functions,
            domain=self.domain,
            name=self.problem.name,
            units=self.problem.units,
            method=self.settings.name,
            history={key: np.array([s[key] for s in self.stages]) for key in self.stages[0]},
            provenance={"method": repr(self.settings), "precision": "float64", "stages": self.stages},
            potential=self.problem.potential_values,
        )

    def _wall(self, highest: float) -> str | None:
        """Advice where a wall stands in the tail of the highest state: there its place, not V alone, makes the energies."""
        felt = -0.5 * np.log(self.settings.tolerance) - 1
        if self.centres:
            if highest >= 0:
                return None
            rate = float(np.sqrt(-highest / self.stiffness.max()))
            place = np.array([c.position for c in self.centres])
            room = np.stack([np.asarray(self.domain.upper) - place, place - np.asarray(self.domain.lower)])
            side, _, axis = np.unravel_index(room.argmin(), room.shape)
            decay = rate * float(room.min())
            side = 1 - side
        else:
            found = extent(self.problem, self.frame.mean, self.covariance, highest)
            near = np.argwhere((found.decays > 0.5) & (found.decays < felt))
            if found.unbounded or not len(near):
                return None
            axis, side = near[0]
            decay, x = found.decays[axis, side], np.array(self.frame.mean, float)
            inward = (1, -1)[side] * 1e-9 * self.domain.lengths[axis]
            x[axis] = (self.domain.lower, self.domain.upper)[side][axis] + inward
            barrier = float(self.problem.potential_values(x[None])[0]) - highest
            rate = float(np.sqrt(max(barrier, 0) / self.stiffness[axis]))
        if not 0.5 < decay < felt or rate == 0:
            return None
        wall = (self.domain.lower, self.domain.upper)[side][axis]
        return (
            f"The wall at x{axis} = {wall:g} cuts the tail of the highest state (there about e^-{decay:.1f}) and raises "
            f"its energy; {(FADED - decay) / rate:.2g} further out it would not."
        )


class _SampledSolver(_Solver):
    """Past three dimensions: quasi-random points and the pointwise Hψ instead of rules and the weak form."""

    def _rule(self, level: int, wider: float = 1.0) -> Rule:
        seed = int(self.shift[0] * 2**31) + int(1e6 * wider)
        faded = np.full(self.dim, True) if self.extent.unbounded else self.extent.faded
        whiten, window = self.extent.frame.whiten, self.extent.window
        rule = sampled(self.extent.frame.mean, whiten, window, faded, level, wider, seed)
        inside = self.domain.contains(rule.points)
        rule = Rule(rule.points[inside], rule.weights[inside])
        rule.potential = self.problem.potential_values(rule.points)
        return rule

    def _lowest(
        self, rule: Rule, neurons: Neurons, basis: np.ndarray, most: int
    ) -> tuple[np.ndarray, np.ndarray]:
        matrix = self.integrals.strong(rule, self.frame, neurons, basis)
        energies, vectors = lowest_real(matrix, None, min(most, len(matrix)))
        return energies, basis @ vectors

    def _functions(self, sums: Sums, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return strong_ritz_functions(sums, part)

    def _merit(self, solution: _Solution) -> float:
        """Energies of the strong form may be too low; residuals cannot."""
        return float((solution.residuals**2).sum())

    def _stage(self, neurons: Neurons, level: int) -> tuple[_Solution, int]:
        level = min(max(level, _PER_FEATURE * len(neurons.biases)), self.settings.max_points)
        return super()._stage(neurons, level)

    def _capped(self, level: int) -> bool:
        return self._finer(self._finer(level)) > self.settings.max_points


def _search(reached: Callable[[float], float], value: float) -> tuple[float, float]:
    """The factor, a power of 1.5, that lowers a value known at 1: up while that helps, or else down."""
    best = 1.0
    for step in (1.5, 1 / 1.5):
        for _ in range(3):
            tried = reached(best * step)
            if tried >= value:
                break
            best, value = best * step, tried
        if best != 1:
            break
    return best, value


def _claimed(
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


def _shared(energies: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Within a level the same error for all: which of its states comes out best is chance."""
    level = np.abs(energies[:, None] - energies) <= np.maximum(errors[:, None], errors) + 1e-7 * energy_scale(
        energies
    )
    return np.where(level, errors, 0).max(1)
