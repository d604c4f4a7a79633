"""What `solve` does without a method: which one it tries first, which one takes over, and what checks the result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from qspin.methods.base import Method
from qspin.methods.locate.survey import survey
from qspin.methods.spin.driver import SpIN
from qspin.numerics.errors import energy_scale
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["solve_by_default", "variational_method"]

TOLERANCE = 1e-6  # of an energy, or of a hundredth of their range where that is more
# Of the largest energy: what the quick second routes confirm. Below it a claim rests on the method that makes it.
_CONFIRMED = 1e-9
# Points an axis of elements that check a grid: at least, and for each of its points.
_FEWEST_CHECKED, _FINER = 64, 1.6
_ADVICE = "declare where V is singular, or set points, features or a smaller box by hand"
_REFUSALS = (ValueError, MemoryError)


def variational_method(problem: Problem, n_states: int) -> Method:
    """The best variational method for a problem in a box: `Ritz()` for Hamiltonians of one to three dimensions, `SampledRitz()`
    past them, where these serve (no region; past three dimensions no singular centres); `SpIN()` for everything else."""
    from qspin.methods.ritz.driver import Ritz  # SciPy's linear algebra: not before it is needed
    from qspin.methods.sampled.driver import SampledRitz

    method = Ritz() if problem.dim <= 3 else SampledRitz()
    return method if _serves(method, problem, n_states) else SpIN()


def _serves(method: Method, problem: Problem, n_states: int) -> bool:
    try:
        method.check(problem, n_states)
    except _REFUSALS:
        return False
    return True


def solve_by_default(problem: Problem, n_states: int, solve: Callable[[Method], Spectrum]) -> Spectrum:
    """The states of a problem in a box, by the rule that `qspin.solve` documents; `solve` solves it by one method."""
    first = variational_method(problem, n_states)
    if not problem.is_boxed_hamiltonian or problem.dim > 3:
        return solve(first)
    from qspin.methods.grid.axes import elements  # SciPy's sparse code: not before it is needed
    from qspin.methods.grid.driver import Grid

    region = isinstance(problem.domain, Region)
    smooth = not problem.centres and not problem.hamiltonian.singularities
    smooth = smooth and not survey(problem).jumps and not survey(problem).poles
    both = [Grid(), first] if smooth or region else [first, Grid()]
    ways = [way for way in both if _serves(way, problem, n_states)]
    ways = [way for way in ways if not isinstance(way, SpIN)] or ways  # it takes minutes for fewer digits
    if region or not ways:  # there is nothing quick to compare a region with
        return solve(ways[0] if ways else first)
    survey(problem).check_bounded_below()
    results = _results(ways, solve)
    pool = list(results)
    if problem.dim <= 2 and len(pool) == 1 and pool[0].method != "grid":
        pool += _results([Grid()], solve, refused=True)
    if problem.dim <= 2 and (len(pool) == 1 or not _agree(*pool).all()):
        # In two dimensions the default number of points costs several times what this mesh does.
        finest = [max(_FEWEST_CHECKED, int(_FINER * k)) for k in pool[0].provenance.get("points", [()])[-1]]
        points = finest if problem.dim == 2 and pool[0].method == "grid" else None
        # Of another degree than those that `Grid` has on a line.
        scheme = elements(12 if problem.dim == 2 else 16)
        pool += _results([Grid(points=points, scheme=scheme)], solve, refused=True)

    def rank(spectrum: Spectrum) -> tuple[bool, int, float]:
        votes = sum(bool(_agree(spectrum, other).all()) for other in pool)
        return (
            not _exact_enough(spectrum).all(),
            -votes,
            float(np.nan_to_num(spectrum.errors, nan=np.inf).max()),
        )

    best = min(results, key=rank)
    return _judged(_compared(best, [other for other in pool if other is not best]), results)


def _exact_enough(spectrum: Spectrum) -> Bool[np.ndarray, " N"]:
    """Which states converged, to the tolerance."""
    energies = spectrum.energies
    allowed = TOLERANCE * np.maximum(np.abs(energies), 1e-2 * energy_scale(energies))
    return spectrum.converged & (spectrum.errors <= allowed)


def _results(
    ways: list[Method], solve: Callable[[Method], Spectrum], refused: bool = False
) -> list[Spectrum]:
    """What the methods give, one after the other, up to the first that is exact enough. Where all refuse, raises what the first
    one says, or gives nothing if it may be `refused`."""
    results: list[Spectrum] = []
    said: list[Exception] = []
    for method in ways:
        try:
            results.append(solve(method))
        except _REFUSALS as error:
            said.append(error)
            continue
        if _exact_enough(results[-1]).all():
            break
    if not results and not refused:
        raise said[0]
    return results


def _agree(one: Spectrum, other: Spectrum) -> Bool[np.ndarray, " N"]:
    """Whether the energies are within three combined errors of each other."""
    scale = float(np.abs(one.energies).max())
    return (
        np.abs(one.energies - other.energies) <= 3 * np.hypot(one.errors, other.errors) + _CONFIRMED * scale
    )


def _compared(spectrum: Spectrum, others: list[Spectrum]) -> Spectrum:
    """The spectrum, its provenance with the energies of the others; states in which one of these differs are not converged, and
    their errors are at least the distance to the nearest of them."""
    notes, doubted, nearest = (
        spectrum.notes,
        np.zeros(spectrum.n_states, bool),
        np.full(spectrum.n_states, np.inf),
    )
    routes = []
    for other in others:
        off, differ = np.abs(spectrum.energies - other.energies), ~_agree(spectrum, other)
        name = other.provenance.get("method", other.method)
        what = f"{name} gives energies up to {np.max(off, where=differ, initial=0):.1e} away, more than the errors explain"
        notes = (*note("differs", differ, what, _ADVICE), *notes)
        nearest, doubted = np.fmin(nearest, off), doubted | differ
        routes.append({"method": name, "energies": other.energies.tolist(), "errors": other.errors.tolist()})
    return replace(
        spectrum,
        errors=np.where(doubted, np.fmax(spectrum.errors, nearest), spectrum.errors),
        converged=spectrum.converged & ~doubted,
        notes=notes,
        provenance={**spectrum.provenance, "checked_by": routes},
    )


def _judged(spectrum: Spectrum, results: list[Spectrum]) -> Spectrum:
    """The best of the results, with notes on who takes whose place, and on states outside the tolerance."""
    notes, first, enough = spectrum.notes, results[0], _exact_enough(spectrum)
    if spectrum.method != first.method:
        missed = f"{first.method} missed the tolerance, with errors of up to {float(first.errors.max()):.1e}"
        notes = (Note("handed over", (), f"{missed}: this is the result of {spectrum.method}"), *notes)
    every = range(spectrum.n_states)
    reasons = [one for one in notes if one.kind in ("tolerance", "differs", "missed")]
    told = [k for one in reasons for k in one.states or every]
    what = f"the claimed error is above {TOLERANCE:g} of the energy"
    notes += note(
        "tolerance", ~enough & ~np.isin(every, told), what, "choose a method and its settings by hand"
    )
    return replace(spectrum, converged=enough, notes=notes)
