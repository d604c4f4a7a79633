"""`Ritz` solves the variational problem that SpIN trains for: exactly for output weights, by Gauss–Newton for hidden weights.

For given features the best orthonormal combinations are a Rayleigh–Ritz problem. It is solved on a quadrature rule; energies,
residuals and errors are then evaluated on a finer rule, which was not used to solve.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float

from qspin.methods.base import METHODS, DirectMethod, Method
from qspin.methods.locate.survey import survey
from qspin.methods.ritz.extent import filled_part
from qspin.methods.ritz.features import BLOCK, Neurons, RitzFunctions, Trial
from qspin.methods.ritz.rayleigh_ritz import RULE_SAFETY, Solution
from qspin.methods.ritz.scales import (
    PLANS,
    Scales,
    Task,
    coarse,
    draw,
    project,
    random_numbers,
    rule,
    tune,
)
from qspin.methods.ritz.training import train
from qspin.numerics.checks import check_kind, real_number, whole
from qspin.numerics.errors import energy_scale, is_rough
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Ritz"]

_MEMORY = 8e9  # bytes
_ROUNDING = 1e-11  # of the largest energy: overlaps of features are inverted down to that, and claims do not go below it
_MOST_POINTS = 150_000
_GROWTH = 2  # of the number of features, from stage to stage
_DEAR = 40_000  # rules of more points are not refined beyond the tolerance
_PER_STATE, _MOST_FEATURES = 8, 900  # where states are many
_TRAINED_STEPS = 8
_TRAINED_COST = 1e10  # operations of a Gauss–Newton step at most


@dataclass(frozen=True)
class Ritz(DirectMethod):
    """Neural Rayleigh–Ritz, in one to three dimensions: the output layer is solved for, not trained.

    Args:
        tolerance: largest claimed error wanted, as a share of |E| (where E is near 0, of the range of energies).
        max_features: hidden neurons at most; by default 400 in one dimension, 800 in two and three, 900 where states are many.
        max_points: quadrature points at most; by default 150,000.
        train: whether Gauss–Newton steps, each of which solves for the output layer, train the hidden weights of the first
            features. They are left out where a step is expensive, and with a Bloch wave vector.

    A coarse pass finds where the states are; a short search finds the decay and the slopes of features that lower the energies
    most. Features are then random tanh functions of coordinates of that scale (about declared centres, of direction and
    logarithm of the distance), with zeros distributed as the density. The first hundred (fifty in one dimension) are trained.
    Stages follow, each with twice as many features, on rules that grow until a finer rule agrees; they end well below the
    tolerance where that is cheap, or when features, points or rounding set a limit. Where V has a jump or kink across an axis,
    rules and features have one too; at walls of one dimension where V goes as g/x², ψ begins with the exponent that follows.

    `energies`, `residuals` and `errors` come from a rule finer than the solution's own. `errors` are 8·α·residual², where α is
    (fall of the energy)/(fall of residual²) from 0.7 of the features to all, at most 1/gap (Temple's bound), plus three times
    the difference between the two rules; a state whose residual is over a hundredth of
    the energies is not converged. Cost: O(P M²) time and O(M² + 2048 dim M) memory for P points and M features.

    Past three dimensions `SampledRitz` with the same tolerance takes its place, without training steps where `train` is False.

    Raises ValueError for settings out of range, for max_features or max_points past three dimensions, and for a potential
    that falls without bound where no centre was declared.
    """

    tolerance: float = 1e-6
    max_features: int | None = None
    max_points: int | None = None
    train: bool = True
    name = "ritz"
    probes = ("where the states live from one survey of V",)

    def __post_init__(self) -> None:
        real_number("Ritz: tolerance", self.tolerance, least=1e-13, most=1)
        for name, least, most in (("max_features", 16, 20_000), ("max_points", 100, 10_000_000)):
            if (value := getattr(self, name)) is not None:
                whole(f"Ritz: {name}", value, least, most)
        check_kind("Ritz: train", self.train, bool, "True or False")

    def for_problem(self, problem: Problem) -> Method:
        """This method in up to three dimensions; past them the one that is registered as "sampled-ritz"."""
        if problem.dim <= 3:
            return self
        given = [name for name in ("max_features", "max_points") if getattr(self, name) is not None]
        if given:
            raise ValueError(
                f"Ritz: past three dimensions SampledRitz takes its place, which has no {' and no '.join(given)}; use "
                "qspin.SampledRitz(n_features=..., evaluation_points=...)."
            )
        steps = {} if self.train else {"steps": 0}
        sampled: Method = METHODS["sampled-ritz"](tolerance=self.tolerance, **steps)
        return sampled

    def check(self, problem: Problem, n_states: int) -> None:
        self.check_boxed(problem)
        if isinstance(problem.domain, Region):
            raise ValueError(
                "Ritz: its rules end at the walls of a box, not of a Region; use qspin.SpIN() or qspin.Grid()."
            )
        if problem.dim > 3:
            raise ValueError(
                f"Ritz: serves one to three dimensions, got {problem.dim}; use qspin.SampledRitz() or qspin.SpIN()."
            )
        most, points = self._most_features(problem, n_states), self.max_points or _MOST_POINTS
        needed = 8 * (8 * most**2 + BLOCK * (problem.dim + 4) * most + points * (problem.dim + 3))
        if needed > _MEMORY:
            raise ValueError(
                f"Ritz: max_features = {most} and max_points = {points} need about {needed / 1e9:.1f} GB, "
                f"more than the {_MEMORY / 1e9:.0f} GB it may take; lower them."
            )
        if 2 * n_states > most:
            raise ValueError(
                f"Ritz: n_states = {n_states} needs at least {2 * n_states} features, max_features is {most}."
            )

    def _most_features(self, problem: Problem, n_states: int) -> int:
        return self.max_features or max(PLANS[problem.dim].most, min(_PER_STATE * n_states, _MOST_FEATURES))

    @double_precision()
    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        survey(problem).check_bounded_below()
        rng = np.random.default_rng(seed)
        most, points = self._most_features(problem, n_states), self.max_points or _MOST_POINTS
        inner, shift = filled_part(problem, n_states), rng.uniform(size=problem.dim)
        task = Task(inner, n_states, self.tolerance, most, points, self.train, shift)
        count = min(task.count(task.plan.first, 10), max(200, 4 * n_states))
        scales = tune(task, coarse(task, rng), count, rng)
        # Of more features the slopes are steeper.
        scales = scales._replace(slope=scales.slope / count ** (1 / problem.dim))
        return _spectrum(task, problem, *_stages(task, scales, rng), repr(self))


def _allowed_errors(task: Task, energies: Float[np.ndarray, " known"]) -> Float[np.ndarray, " states"]:
    energies = energies[: task.n_states]
    return task.tolerance * np.maximum(np.abs(energies), 1e-2 * energy_scale(energies))


def _within_tolerance(task: Task, solution: Solution) -> Bool[np.ndarray, " states"]:
    return solution.errors <= _allowed_errors(task, solution.energies)


def _enlarge(task: Task, scales: Scales, count: int, base: Trial | None, rng: np.random.Generator) -> Trial:
    """`count` features: those of `base`, and new random ones."""
    n_new = count - (0 if base is None else len(base))
    places = scales.places[rng.permutation(len(scales.places))[:n_new]]
    scales = scales._replace(slope=scales.slope * count ** (1 / task.problem.dim))
    trial = draw(task, scales, places, random_numbers(task, n_new, rng))
    if base is None:
        return trial
    pairs = zip(base.neurons, trial.neurons, strict=True)
    return replace(trial, neurons=Neurons(*(np.concatenate(pair) for pair in pairs)))


def _train_first(task: Task, scales: Scales, rng: np.random.Generator) -> Trial | None:
    """Train the first features. Returns None where that is too expensive."""
    if not task.train:
        return None
    points = rule(task, scales, scales.level)
    trial = _enlarge(task, scales, task.count(task.plan.trained, 4), None, rng)
    parameters = sum(part.size for part in trial.neurons)
    cost = 2 * ((1 + task.problem.dim) * len(points) + task.n_states * len(trial)) * parameters**2
    plain = (
        not any(task.box.wave_vector) and not survey(task.problem).poles
    )  # the formulas are real, and know no poles
    if not plain or cost > _TRAINED_COST:
        return None
    scale = float(np.abs(trial.neurons.weights).max())
    fall = 0.1 * task.plan.aim * float(_allowed_errors(task, scales.energies).min())
    return train(trial, task.coefficients, points, task.n_states, scale, _TRAINED_STEPS, fall)


def _stage(task: Task, scales: Scales, trial: Trial, level: int) -> tuple[Solution, int]:
    """Solve on growing rules, three at most, until a finer one agrees. Returns the solution and the level of the last rule."""
    for attempt in range(3):
        solution = project(task, scales, trial, level)
        basis_error = float(solution.errors.max()) - RULE_SAFETY * solution.exploited
        wanted = task.plan.rule_aim * float(_allowed_errors(task, solution.energies).min())
        if solution.exploited <= max(wanted, 0.5 * basis_error) or attempt == 2:
            break
        if len(solution.rule) > _DEAR and _within_tolerance(task, solution).all():
            break
        # The next rule, and the one that verifies it, would have too many points.
        if len(rule(task, scales, task.finer(level), verifies=True)) > task.max_points:
            break
        level = task.finer(level)
    return solution, level


def _stages(task: Task, scales: Scales, rng: np.random.Generator) -> tuple[Solution, list[dict[str, Any]]]:
    """Solve in stages, each with twice as many features. Returns the best solution, and a record of each stage."""
    base = trial = _train_first(task, scales, rng)
    level = scales.level
    count = task.count(task.plan.first, 5)
    if base is not None and count <= len(base):
        count = min(_GROWTH * len(base), task.max_features)
    best: Solution | None = None
    stages: list[dict[str, Any]] = []
    idle = 0
    while True:
        if trial is None:
            trial = _enlarge(task, scales, count, base, rng)
        level = max(level, task.points(len(trial)))
        solution, level = _stage(task, scales, trial, level)
        largest = float(solution.errors.max())
        stages.append(
            {"features": len(trial), "points": solution.solved_on, "verified_on": len(solution.rule), "largest_error": largest,
             "train_minus_verified": -solution.exploited}
        )  # fmt: skip
        idle = 0 if best is None or largest < 0.7 * best.errors.max() else idle + 1
        if best is None or largest < best.errors.max():
            best = solution
        rule_limited = RULE_SAFETY * solution.exploited > 0.5 * largest and len(solution.rule) > _DEAR
        accurate = (best.errors <= task.plan.aim * _allowed_errors(task, best.energies)).all()
        # Two stages without improvement: the rule, or rounding, is the limit.
        if (
            accurate
            or (rule_limited and _within_tolerance(task, best).all())
            or len(trial) >= task.max_features
            or idle == 2
        ):
            return best, stages
        if trial is not base:
            count, level = min(_GROWTH * count, task.max_features), task.finer(level)
        trial = None


def _spectrum(
    task: Task, problem: Problem, solution: Solution, stages: list[dict[str, Any]], method: str
) -> Spectrum:
    assert isinstance(problem.domain, Box)
    n, trial = task.n_states, jax.tree.map(np.asarray, solution.trial)
    rough = is_rough(solution.energies[:n], solution.residuals)
    converged = _within_tolerance(task, solution) & ~rough
    at_limit = len(solution.rule) * task.plan.finer ** (2 * problem.dim) > task.max_points
    notes = note(
        "tolerance",
        ~_within_tolerance(task, solution),
        "the claimed error is above the tolerance",
        f"raise {'max_points' if at_limit else 'max_features'}, or the tolerance",
    )
    notes += note(
        "rough",
        rough,
        "‖Hψ - Eψ‖ is above a hundredth of the energies, so that the claimed error may be too small",
        "use qspin.Grid(), or raise max_features",
    )
    group = max(3 * float(solution.errors[-1]), 1e-6 * energy_scale(solution.energies[:n]))
    n_beyond = int((solution.energies[n:] - solution.energies[n - 1] < group).sum())
    if n_beyond:
        more = f"{n_beyond} more state{'s belong' if n_beyond > 1 else ' belongs'}"
        notes += (Note("cut level", (n - 1,), f"n_states = {n} cuts its level: at least {more} to it"),)
    return Spectrum(
        energies=solution.energies[:n],
        errors=solution.errors + _ROUNDING * np.abs(solution.energies[:n]).max(),
        residuals=solution.residuals,
        converged=converged,
        notes=notes,
        eigenfunctions=RitzFunctions(
            problem.domain, trial, solution.combination, solution.rule.points, solution.rule.weights
        ),
        domain=problem.domain,
        name=problem.name,
        units=problem.units,
        method=Ritz.name,
        history={key: np.array([stage[key] for stage in stages]) for key in stages[0]},
        provenance={"method": method, "precision": "float64", "stages": stages},
        potential=problem.potential_values,
    )
