"""`SampledRitz`: Rayleigh–Ritz with a trained network past three dimensions, where integrals are sampled.

Features are products of mean-field functions times a shared network (`functions`); Hf is evaluated pointwise. Moving averages
of E[f fᵀ] and E[f (Hf)ᵀ] give the lowest states of their span; the part of the residual outside the span gives the gradient of
the network. The final energies come from fresh points, by a projected problem that is not symmetric: its noise vanishes with
the residual, but its energies are not variational.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import jax
import numpy as np
from jaxtyping import Float, Int, PyTree

from qspin.methods.base import IterativeMethod, Run
from qspin.methods.locate.mean_field import OPEN, PERIODIC, WALLED, product_reference
from qspin.methods.locate.survey import survey
from qspin.methods.locate.wells import Well, gaussian_wells
from qspin.methods.sampled.evaluation import COLLAPSED, SampledEnergies, evaluate
from qspin.methods.sampled.functions import ProductAnsatz, TrialSpace
from qspin.methods.sampled.training import State, Training, reference_residuals
from qspin.numerics.checks import check_kind, real_number, whole
from qspin.numerics.errors import energy_scale
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["SampledRitz"]

_FADED = 5.5  # a Gaussian counts as inside the walls if they are so many widths away
_WELLS = 4
_FEW = 0.05  # effective share below which a note warns
_OF_REFERENCE = 262_144  # points for the energies of the reference where training is given up


@dataclass(frozen=True)
class SampledRitz(IterativeMethod):
    """Neural Rayleigh–Ritz in four and more dimensions, where it takes the place of `Ritz`.

    Args:
        tolerance: largest claimed error wanted, as a share of |E|; training ends when residuals are small enough for it.
        steps: training steps at most; None for 2000, 600 from 32 dimensions on.
        batch_size: points a step; None for 4096, 2048 from 32 dimensions on.
        n_features: products in the reference, at least n_states; None for 1.25 n_states + 6.
        widths: hidden layers of the network.
        averaging: rate of the moving averages.
        normal_coordinates: whether the reference uses the normal coordinates of V; False keeps to the user's axes.
        evaluation_points: fresh points for the final energies, at most.

    Time a step ∝ B · (d·w·(d + w) + d³ + 40·d·w + 20·M·w + 4·M²) for B points, d dimensions, M features and hidden layers of
    width w: measured within a third from d = 4 to 64, M = 11 to 167 and B = 2048 to 65,536 (smaller batches stay in the cache
    and take less). Memory 8 · B · (4·w·d + d² + 5·M + 200) bytes, within 15 %. The reference costs some 10⁵ · d evaluations of
    V, and 4·10⁵ of its Hessian.

    `errors` are infinite where less than a hundredth of the points effectively counts. Else they combine a statistical part
    (over blocks of points) with an estimate of what the span leaves out: 2·α·residual², where α is the rate at which energies
    fell with residual² in training, or fall with the highest fifth of the products, whichever is more.
    """

    tolerance: float = 1e-5
    steps: int | None = None
    batch_size: int | None = None
    n_features: int | None = None
    widths: tuple[int, ...] = (64, 64)
    averaging: float = 0.2
    normal_coordinates: bool = True
    evaluation_points: int = 1_000_000
    name = "sampled-ritz"
    probes = ("where the states live from one survey of V",)

    def __post_init__(self) -> None:
        real_number("SampledRitz: tolerance", self.tolerance, least=1e-10, most=1)
        real_number("SampledRitz: averaging", self.averaging, above=0, most=1)
        least = {"steps": 0, "batch_size": 64, "n_features": 1, "evaluation_points": 4096}
        for setting, smallest in least.items():
            if getattr(self, setting) is not None:
                whole(f"SampledRitz: {setting}", getattr(self, setting), smallest)
        check_kind("SampledRitz: widths", self.widths, tuple | list, "a tuple of numbers, such as (64, 64)")
        if not self.widths:
            raise ValueError("SampledRitz: widths must not be empty.")
        for width in self.widths:
            whole("SampledRitz: each of widths", width)

    def check(self, problem: Problem, n_states: int) -> None:
        self.check_boxed(problem)
        assert isinstance(problem.domain, Box)
        batch = self._batch(problem.dim)
        for refused, why in (
            (
                isinstance(problem.domain, Region),
                "its references end at the walls of a box, not of a Region; use qspin.SpIN().",
            ),
            (
                problem.centres or any(problem.domain.wave_vector),
                "its references have no cusps and are real; with Coulomb-like centres or a Bloch wave vector use qspin.SpIN(), "
                "or qspin.Ritz() in up to three dimensions.",
            ),
            (
                self.n_features is not None and self.n_features < n_states,
                f"n_states = {n_states} needs as many features, n_features is {self.n_features}.",
            ),
            (
                batch < 4 * n_states,
                f"n_states = {n_states} needs batch_size = {4 * n_states} at least, got {batch}.",
            ),
        ):
            if refused:
                raise ValueError(f"SampledRitz: {why}")

    def _batch(self, dim: int) -> int:
        return self.batch_size if self.batch_size is not None else (4096 if dim < 32 else 2048)

    def _steps(self, dim: int) -> int:
        return self.steps if self.steps is not None else (2000 if dim < 32 else 600)

    def ansatz(self, problem: Problem, n_states: int) -> ProductAnsatz:
        """The trial functions for a problem: references about its wells."""
        assert isinstance(problem.domain, Box)
        count = self.n_features if self.n_features is not None else n_states + n_states // 4 + 6
        box, periodic = problem.domain, np.asarray(problem.domain.periodic)
        with double_precision():
            wells = gaussian_wells(problem, rotate=self.normal_coordinates)
            reach = np.stack([_FADED * np.linalg.norm(w.axes, axis=1) for w in wells])
            centres = np.stack([w.centre for w in wells])
            inside = (centres - reach > box.lower) & (centres + reach < box.upper)
            kinds = np.where(periodic, PERIODIC, np.where(inside.all(axis=0), OPEN, WALLED))
            if (kinds != OPEN).any():
                wells = [_fit_to_walls(w, kinds, problem) for w in gaussian_wells(problem, rotate=False)]
            axes = tuple(map(int, kinds))
            # A well far above the others has none of the wanted states.
            first = product_reference(problem, wells[0], axes, count)
            highest = wells[0].energy + first.energies[min(count, len(first.energies)) - 1]
            kept = _distinct_wells([w for w in wells if w.energy <= highest])[:_WELLS]
            each = -(-count // len(kept)) + 2
            references = [product_reference(problem, w, axes, each) for w in kept] if kept[1:] else [first]
        return ProductAnsatz(tuple(references), box, self.widths)

    def bind(self, problem: Problem, n_states: int) -> Run:
        ansatz = self.ansatz(problem, n_states)
        if ansatz.n_features < n_states:
            raise ValueError(
                f"SampledRitz: n_states = {n_states} is more than the {ansatz.n_features} products the reference makes."
            )
        trial = TrialSpace(ansatz, problem.local.potential, n_states)
        with double_precision():
            lattice = golden_lattice(self._batch(problem.dim), problem.dim + 1, offset=0.0)
            far, energies, residuals = reference_residuals(trial, lattice)
        # A reference close to the states is trained with shorter steps, and one that meets the tolerance is not trained.
        steps = 0 if self._meets_tolerance(energies, residuals) else self._steps(problem.dim)
        training = Training(trial, lattice, steps, min(1.0, 4 * far), self.averaging)

        lowest = float(survey(problem).sample[1].min())

        def enough(info: Mapping[str, np.ndarray]) -> bool:
            """Training ends where it is good enough, or where it has run onto few points, and energies below V."""
            collapsed = np.median(info["effective_share"]) < COLLAPSED
            below = np.median(info["energies"][:, 0]) < lowest
            met = self._meets_tolerance(info["energies"][-1], info["residuals"].mean(0))
            return bool(collapsed or below or met)

        finish = partial(self._spectrum, problem, trial)
        return Run(training.init, training.advance, finish, training.steps, enough)

    def _meets_tolerance(self, energies: Float[np.ndarray, " n"], residuals: Float[np.ndarray, " n"]) -> bool:
        """Whether residual² over the range of the energies is small enough for the tolerance."""
        expected_errors = residuals**2 / max(energy_scale(energies), 1e-300)
        return bool((expected_errors < 0.1 * self.tolerance * np.abs(energies)).all())

    def _spectrum(
        self, problem: Problem, trial: TrialSpace, state: State, history: Mapping[str, np.ndarray]
    ) -> Spectrum:
        params, seed = jax.tree.map(np.asarray, state.mean), int(state.seed)
        result, given_up = self._energies(problem, trial, params, seed, trained=int(state.step) > 0)
        states = result.pencil
        errors = np.hypot(states.statistical, result.left_out)
        if result.effective_share < COLLAPSED:
            errors = np.full_like(errors, np.inf)
        allowed = self.tolerance * np.maximum(np.abs(states.energies), 1e-2 * energy_scale(states.energies))
        converged = (errors <= allowed) & states.real & (not given_up)
        provenance = {
            "wells": [r.centre.tolist() for r in trial.ansatz.references],
            "n_features": trial.ansatz.n_features,
            "evaluated_on": result.n_points,
            "effective_share": result.effective_share,
            "statistical_errors": states.statistical.tolist(),
            "variational_errors": result.left_out.tolist(),
        }
        return self.spectrum(
            problem,
            provenance,
            energies=states.energies,
            errors=errors,
            residuals=states.residuals,
            converged=converged,
            notes=_notes(result, converged, self._steps(problem.dim), given_up),
            labels=result.labels,
            eigenfunctions=result.functions,
            history=history,
        )

    @double_precision()
    def _energies(
        self, problem: Problem, trial: TrialSpace, params: PyTree, seed: int, trained: bool
    ) -> tuple[SampledEnergies, bool]:
        """The energies after training; those of the reference, and True, where training left nothing sound.

        Raises ValueError where the reference has energies below V, too.
        """
        initial, lowest = trial.ansatz.init(seed), float(survey(problem).sample[1].min())
        most = self.evaluation_points
        if trained:
            with suppress(ValueError):  # functions that have become dependent
                result = evaluate(trial, params, initial, self.tolerance, most, seed)
                if result.is_sound(min(lowest, problem.potential_values(result.functions.points).min())):
                    return result, False
            most = min(most, _OF_REFERENCE)
        result = evaluate(trial, initial, None, self.tolerance, most, seed)
        lowest = min(lowest, float(problem.potential_values(result.functions.points).min()))
        if result.is_below(lowest):
            raise ValueError(
                f"SampledRitz: the energies come out below the lowest V seen, {lowest:.6g}, where none can be: the points "
                "do not give the integrals. V may be singular, or its states far from every Gaussian; soften V, or use "
                "qspin.SpIN()."
            )
        return result, trained


def _notes(result: SampledEnergies, converged: np.ndarray, steps: int, given_up: bool) -> tuple[Note, ...]:
    noisy = (result.pencil.statistical > result.left_out).mean() > 0.5
    more = "evaluation_points" if noisy else f"steps (now {steps}), widths or n_features"
    share = (
        f"only {result.effective_share:.1%} of the sample counts: states live where the reference does not"
    )
    above, pair = (
        "the claimed error is above the tolerance",
        "the energy came out as one of a complex pair: its real part is given",
    )
    given_up_note = Note(
        "training",
        (),
        "training ran onto few points, where energies mean nothing: these are the states of the reference before it",
        "fewer steps, a larger batch_size, or in up to eight dimensions, for a polynomial V, qspin.ProductBasis()",
    )
    return (
        *([given_up_note] if given_up else []),
        *note("tolerance", ~converged, above, f"raise {more}, or the tolerance"),
        *note("complex pair", ~result.pencil.real, pair),
        *([Note("samples", (), share)] if result.effective_share < _FEW else []),
    )


def _fit_to_walls(well: Well, kinds: Int[np.ndarray, " dim"], problem: Problem) -> Well:
    """The well of axes that are not turned, with walled and periodic ones that span the box for y from -1 to 1."""
    box, bounded = problem.domain, kinds != OPEN
    assert isinstance(box, Box)
    half, order = np.asarray(box.lengths) / 2, np.argsort(np.abs(well.axes).argmax(0))  # they come by rate
    return well._replace(
        centre=np.where(bounded, np.asarray(box.centre), well.centre),
        axes=np.where(bounded[None], np.diag(half), well.axes[:, order]),
        rates=np.where(bounded, np.sqrt(problem.local.coefficients) / half, well.rates[order]),
    )


def _distinct_wells(wells: list[Well]) -> list[Well]:
    """Drop wells that coincide with an earlier one since walled axes span the box."""
    kept: list[Well] = []
    for well in wells:
        if all(np.linalg.norm(np.linalg.solve(o.axes, well.centre - o.centre)) > 1 for o in kept):
            kept.append(well)
    return kept
