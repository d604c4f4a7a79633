"""One solve by `Ritz`: the search for scales, training, stages of features and rules, and the spectrum they end with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from qspin.methods.locate.survey import survey
from qspin.methods.ritz.features import Frame, Neurons
from qspin.methods.ritz.gauss_newton import train
from qspin.methods.ritz.quadrature import Rule
from qspin.methods.ritz.rayleigh_ritz import CUT, Sums, padded, ritz_functions
from qspin.methods.ritz.ritz_functions import RitzFunctions
from qspin.methods.ritz.strong_form import lowest_real, sampled, strong_ritz_functions
from qspin.methods.ritz.trial_space import WIDER, TrialSpace
from qspin.numerics.errors import energy_scale, fall_rates, shared_in_levels, temple_rates
from qspin.problem.problem import Problem
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Limits", "SampledSolver", "Solver"]

_SAFETY = 8.0  # of errors read off residuals
_FEWER = 0.7  # share of the features of the smaller space that errors are read off
_GROWTH = 2.0
_RULE_SAFETY = 3.0  # the finer rule is not exact either
_DEAR = 40_000  # points from which on a rule is not refined beyond the tolerance
_TRAINED_STEPS = 8
_TRAINED_COST = 1e10  # operations of a Gauss–Newton step at most
_PER_FEATURE = 8  # sampled points, past three dimensions


class Limits(NamedTuple):
    """What a solve may spend, and the claimed error it goes for, relative."""

    tolerance: float
    max_features: int
    max_points: int
    train: bool


class Solution(NamedTuple):
    """Combinations (M, N) of neurons, with energies and errors verified on `rule`."""

    neurons: Neurons
    combination: np.ndarray
    energies: np.ndarray  # N and some above
    errors: np.ndarray
    residuals: np.ndarray
    rule: Rule
    trained_on: int
    exploited: float  # largest difference of energies between the two rules


class Solver(TrialSpace):
    """One solve: the search for scales, training, and stages of features and rules."""

    def __init__(self, problem: Problem, n_states: int, seed: int, limits: Limits) -> None:
        super().__init__(problem, n_states, seed, limits.max_features, limits.max_points)
        self.limits = limits
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

    def _merit(self, solution: Solution) -> float:
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

    def _stage(self, neurons: Neurons, level: int) -> tuple[Solution, int]:
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
        if not self.limits.train or not self.plan.trained:
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

    def _solved(self, neurons: Neurons, rule: Rule, finer: Rule) -> Solution:
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
        errors[:k] = _claimed_errors(energies, residuals[:k], fewer[:k], rougher[:k])
        errors += _RULE_SAFETY * between + 1e-13 * max(np.abs(energies).max(), 1e-300)
        errors = shared_in_levels(energies[:n], errors)
        return Solution(
            neurons, (combination @ rotation)[:, :n], energies, errors, residuals[:n], finer, len(rule), float(between.max()),
        )  # fmt: skip

    def _allowed(self, energies: np.ndarray) -> np.ndarray:
        energies = energies[: self.n_states]
        return self.limits.tolerance * np.maximum(np.abs(energies), 1e-2 * energy_scale(energies))

    def _converged(self, solution: Solution) -> bool:
        return bool((solution.errors <= self._allowed(solution.energies)).all())

    def run(self) -> Spectrum:
        n = self.n_states
        survey(self.problem).check_bounded_below()
        self._coarse()
        level = self._tune(min(max(self.plan.first, 10 * n), self.most), self.plan.level)
        kept = self._trained(level)
        count = min(max(self.plan.first, 5 * n), self.most)
        if kept is not None and count <= len(kept.biases):
            count = min(int(_GROWTH * len(kept.biases)), self.most)
        best: Solution | None = None
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

    def _record(self, solution: Solution) -> None:
        self.stages.append(
            {
                "features": len(solution.neurons.biases),
                "points": solution.trained_on,
                "verified_on": len(solution.rule),
                "largest_error": float(solution.errors.max()),
                "train_minus_verified": -solution.exploited,
            }
        )

    def _spectrum(self, solution: Solution) -> Spectrum:
        n = self.n_states
        converged = solution.errors <= self._allowed(solution.energies)
        capped = len(solution.rule) * self.plan.finer ** (2 * self.dim) > self.limits.max_points
        notes = note(
            "tolerance",
            ~converged,
            "the claimed error is above the tolerance",
            f"raise {'max_points' if capped else 'max_features'}, or the tolerance",
        )
        above = solution.energies[n:]
        group = max(3 * float(solution.errors[-1]), 1e-6 * energy_scale(solution.energies[:n]))
        beyond = int((above - solution.energies[n - 1] < group).sum())
        if beyond:
            more = f"{beyond} more state{'s belong' if beyond > 1 else ' belongs'}"
            notes += (Note("cut level", (n - 1,), f"n_states = {n} cuts its level: at least {more} to it"),)
        functions = RitzFunctions(
            self.coordinates, jax.tree.map(np.asarray, self.frame), padded(solution.neurons),
            solution.combination, solution.rule.points, solution.rule.weights,
        )  # fmt: skip
        return Spectrum(
            energies=solution.energies[:n],
            errors=solution.errors,
            residuals=solution.residuals,
            converged=converged,
            notes=notes,
            eigenfunctions=functions,
            domain=self.domain,
            name=self.problem.name,
            units=self.problem.units,
            history={key: np.array([s[key] for s in self.stages]) for key in self.stages[0]},
            provenance={"precision": "float64", "stages": self.stages},
            potential=self.problem.potential_values,
        )


class SampledSolver(Solver):
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

    def _merit(self, solution: Solution) -> float:
        """Energies of the strong form may be too low; residuals cannot."""
        return float((solution.residuals**2).sum())

    def _stage(self, neurons: Neurons, level: int) -> tuple[Solution, int]:
        level = min(max(level, _PER_FEATURE * len(neurons.biases)), self.limits.max_points)
        return super()._stage(neurons, level)

    def _capped(self, level: int) -> bool:
        return self._finer(self._finer(level)) > self.limits.max_points


def _claimed_errors(
    energies: np.ndarray, residuals: np.ndarray, fewer: np.ndarray, rougher: np.ndarray
) -> np.ndarray:
    """8·α·residual², α seen between two spaces: at least half the median of the states, at most Temple's bound."""
    k, own = len(residuals), residuals**2
    # Where residuals hardly drop they say little: then the fall itself is the estimate.
    whole = np.maximum(fewer - energies[:k], 0) / np.maximum(own, 1e-300)
    rates = fall_rates(energies[:k], own, fewer, rougher**2, otherwise=whole)
    temple = temple_rates(energies, residuals, 1e-8 * energy_scale(energies))
    return _SAFETY * np.minimum(np.maximum(rates, 0.5 * np.median(rates)), temple) * own


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
