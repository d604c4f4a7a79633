"""`Ritz`: the variational problem that SpIN trains for, solved: output weights exactly, hidden weights by Gauss–Newton.

For given features the best orthonormal combinations are a Rayleigh–Ritz problem. It is solved on a quadrature rule; and
everything that is claimed is evaluated on a finer rule that the solution has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from qspin.methods.base import DirectMethod, Method
from qspin.methods.ritz.rayleigh_ritz import BLOCK
from qspin.methods.ritz.solver import Limits, SampledSolver, Solver
from qspin.methods.ritz.trial_space import plan
from qspin.methods.sampled.driver import SampledRitz
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Ritz"]

_MEMORY = 8e9  # bytes
_MOST_DIMENSIONS = 6


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
            solver = Solver if problem.dim <= 3 else SampledSolver
            limits = Limits(self.tolerance, self._most(problem.dim), self.max_points, self.train)
            spectrum = solver(problem, n_states, seed, limits).run()
        provenance = {"method": repr(self), **spectrum.provenance}
        return replace(spectrum, method=self.name, provenance=provenance)
