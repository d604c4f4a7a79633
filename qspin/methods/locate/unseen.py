"""Wells that a method's points never saw: a spectrum that misses one is right about another potential, and must say so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.spectrum.notes import Note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["with_unseen_wells"]

_PROBES = 1 << 15
_DEEPER = 0.5  # than the deepest point seen, of the way up to the lowest energy


def with_unseen_wells(problem: Problem, spectrum: Spectrum) -> Spectrum:
    """The spectrum, not converged where V has a well that its quadrature passed over; its energies may then be too high by all
    of that depth, which their errors say.

    Looked for by 32,768 quasi-random points, in a box of up to three dimensions without declared centres: a well narrower than
    a thousandth of the box in each of three directions is not found here either.
    """
    domain = problem.domain
    if not problem.is_boxed_hamiltonian or problem.dim > 3 or problem.hamiltonian.singularities:
        return spectrum
    assert isinstance(domain, Box)
    unit = golden_lattice(_PROBES, problem.dim)
    points = np.asarray(domain.lower) + np.asarray(domain.lengths) * np.clip(unit, 1e-9, 1 - 1e-9)
    points = points[np.asarray(domain.contains(points))]
    v = problem.potential_values(points)
    where, deepest = points[v.argmin()], float(v.min())
    seen = problem.potential_values(spectrum.eigenfunctions.quadrature()[0])
    missed = float(seen[np.isfinite(seen)].min()) - deepest
    if not missed > max(_DEEPER * (spectrum.energies[0] - deepest), 0):  # rounding may put E_0 below a flat V
        return spectrum
    place = ", ".join(f"{x:.4g}" for x in where)
    return replace(
        spectrum,
        errors=np.maximum(spectrum.errors, spectrum.energies - deepest),
        converged=np.zeros(spectrum.n_states, bool),
        notes=(
            Note(
                "missed",
                (),
                f"V is {deepest:.4g} at x = ({place}), far below what the points of this solution see: a well was missed",
                "try a smaller box, or more points",
            ),
            *spectrum.notes,
        ),
    )
