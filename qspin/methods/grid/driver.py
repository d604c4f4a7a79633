"""`Grid`: the Hamiltonian as a matrix on meshes of several resolutions, whose differences show the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float

from qspin.methods.base import DirectMethod
from qspin.methods.grid.axes import DVR, Scheme
from qspin.methods.grid.eigensolver import EXTRA, Eigenpairs, lowest
from qspin.methods.grid.mesh import GridFunctions, MeshOperator
from qspin.methods.grid.resolutions import (
    FEWEST,
    RATIO,
    Series,
    default_scheme,
    extrapolate,
    resolutions,
    shrinks,
)
from qspin.numerics.checks import check_kind, whole
from qspin.numerics.errors import energy_scale
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Grid"]

_MEMORY = 12e9  # bytes that a solve may need, by the estimate
_ENOUGH = {1: 1e-11, 2: 1e-11, 3: 1e-10}  # of the energies: a step between meshes that calls for no finer one


@dataclass(frozen=True)
class Grid(DirectMethod):
    """Sparse grid diagonalisation, in one to three dimensions.

    Args:
        points: points along each axis of the finest mesh, one number or one for each axis; by default, where functions are
            smooth, as many as it takes until the energies stop changing, within bounds. For elements about centres it sets
            how small the smallest are, and holds only approximately.
        scheme: `differences(order)`, `elements(degree)` or `dvr()`; by default elements that shrink towards declared
            centres, or a DVR where there are none.

    The problem is solved on three meshes or more, each with 1.25 times the spacing of the next one, or with smallest elements
    `ratio` times as long. Where the energies settle as a power of the spacing they are extrapolated; `errors` then say how much
    the choice of the power matters, and are at least 0.15 of the distance from the finest mesh. For a DVR, and for elements of
    equal length, they are about the last step; where nothing settles, four times the sum of the steps between meshes, and
    `status` says so. Elements about centres are solved once more with one degree less, and the difference, an estimate for
    the smooth parts of the functions, is added. `residuals` are those of the matrix problem.

    A `Region` whose walls cross the grid is solved by differences of order 2 that account for the walls; one whose walls run
    along the axes through declared `corners`, by elements that shrink towards them. A Bloch wave vector makes ψ complex.

    No state is missed: see `eigensolver`; the provenance says how that was checked. Time and memory for P points: up to P =
    1000 the whole matrix is diagonalised; beyond, one and two dimensions take a sparse factorisation, O(P) and O(P^1.5); three,
    and a DVR in two, take conjugate gradients (for a DVR with Kronecker products), O(P^(1 + 1/dim)) a step and O(P) memory.
    Raises ValueError for more states than points, more than three dimensions, or settings out of range; MemoryError where the
    estimate exceeds 12 GB.
    """

    points: Any = None
    scheme: Any = None
    name = "grid"

    def __post_init__(self) -> None:
        if isinstance(self.points, Sequence):
            object.__setattr__(self, "points", tuple(self.points))
        for count in self.points if isinstance(self.points, tuple) else (self.points,):
            if count is not None:
                whole("Grid: points", count, least=2 * FEWEST, most=1_000_000)
        expected = "qspin.differences(order), qspin.elements(degree) or qspin.dvr()"
        check_kind("Grid: scheme", self.scheme, Scheme | None, expected)

    def check(self, problem: Problem, n_states: int) -> None:
        self.check_boxed(problem)
        whole("Grid: n_states", n_states)
        if problem.dim > 3:
            raise ValueError(f"Grid: a grid serves 1 to 3 dimensions, got {problem.dim}; use qspin.Ritz().")
        assert isinstance(problem.domain, Box)
        scheme, states = self._scheme(problem), n_states + EXTRA
        family = resolutions(problem, scheme, self._shape(problem), states)
        shapes = sorted((resolution.shape(problem.domain) for resolution in family), key=prod)
        inside = problem.domain.area / problem.domain.volume if isinstance(problem.domain, Region) else 1.0
        fewest = inside * prod(shapes[0])
        if 2 * states > fewest:
            least = int(np.ceil((2 * states / inside) ** (1 / problem.dim) * RATIO**2))
            raise ValueError(
                f"Grid: n_states = {n_states} is too many for the coarsest of the meshes, {fewest:.0f} points; expected at "
                f"least {least} points an axis."
            )
        need = _memory(shapes[-1], scheme, states)
        if need > _MEMORY:
            raise MemoryError(
                f"Grid: {' x '.join(map(str, shapes[-1]))} points and {n_states} states need about "
                f"{need / 1e9:.1f} GB, more than {_MEMORY / 1e9:.0f} GB; use fewer points."
            )

    def _scheme(self, problem: Problem) -> Scheme:
        return default_scheme(problem) if self.scheme is None else self.scheme

    def _shape(self, problem: Problem) -> tuple[int, ...] | None:
        if self.points is None:
            return None
        shape = self.points if isinstance(self.points, tuple) else (int(self.points),) * problem.dim
        if len(shape) != problem.dim:
            raise ValueError(f"Grid: points has {len(shape)} entries, the domain has {problem.dim} axes.")
        return shape

    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        del seed  # nothing here is random
        assert isinstance(problem.domain, Box)  # `check` ensures it
        scheme = self._scheme(problem)
        shapes, levels, h, pairs = self._solve_meshes(problem, scheme, n_states)
        residual_vectors = h.apply(pairs.vectors) - pairs.vectors * pairs.energies
        residuals = np.linalg.norm(residual_vectors, axis=0)[:n_states]
        series = extrapolate(problem, scheme, shapes, levels, residuals)
        centre_notes = () if shrinks(problem, scheme) else _note_on_unseen_centre(problem, h)
        if centre_notes:  # no error estimate holds
            series = replace(series, errors=np.full(n_states, np.inf), settled=np.zeros(n_states, bool))
        functions = pairs.vectors[:, :n_states] / np.sqrt(h.mesh.weights)[:, None]
        scale = energy_scale(series.finest)
        accurate = (series.errors <= 0.01 * scale) & (residuals <= 1e-6 * max(scale, 1e-300))
        provenance = {
            "points": [list(shape) for shape in shapes],
            "scheme": repr(scheme),
            "solver": pairs.solver,
            "none_missed": pairs.check,
            "finest": series.finest.tolist(),
            "order": {
                "expected": series.expected,
                "observed": [float(p) if np.isfinite(p) else None for p in series.orders],
            },
        }
        return self.spectrum(
            problem,
            provenance,
            energies=series.energies,
            errors=series.errors,
            residuals=residuals,
            converged=accurate & pairs.complete,
            notes=centre_notes or _notes(series, pairs, h),
            eigenfunctions=GridFunctions(h.mesh, functions, problem.domain),
        )

    def _solve_meshes(
        self, problem: Problem, scheme: Scheme, n_states: int
    ) -> tuple[list[tuple[int, ...]], list[Float[np.ndarray, " N"]], MeshOperator, Eigenpairs]:
        """Shapes and levels of all meshes; operator and eigenpairs of the last one. A DVR stops when the energies no longer
        change."""
        assert isinstance(problem.domain, Box)
        shift: float | None = None
        shapes: list[tuple[int, ...]] = []
        levels: list[np.ndarray] = []
        for resolution in resolutions(problem, scheme, self._shape(problem), n_states + EXTRA):
            h = resolution.mesh(problem.domain).operator(problem.local)
            if not np.isfinite(h.values).all():
                problem.potential_values(h.mesh.points)  # raises, and names the point
            pairs = lowest(h, n_states, shift)
            shift = pairs.shift
            shapes.append(h.mesh.shape)
            levels.append(pairs.energies[:n_states])
            if self.points is None and isinstance(scheme, DVR) and len(levels) >= 3:
                still = _ENOUGH[problem.dim] * np.abs(levels[-1]).max()
                if np.abs(levels[-1] - levels[-2]).max() <= still:
                    break
        return shapes, levels, h, pairs


def _memory(shape: tuple[int, ...], scheme: Scheme, states: int) -> float:
    """An estimate of the bytes that a solve needs, from measured counts of the numbers held for each point: the fill of the
    factorisation with its indices, or the vectors of conjugate gradients."""
    dim, size, row, sparse = (
        len(shape),
        prod(shape),
        sum(map(scheme.neighbours, shape)),
        scheme.is_sparse(shape),
    )
    if dim == 1:
        fill = 3.0 * row
    elif dim == 2 and sparse:
        fill = (6 + 2.5 * row) * np.log2(size + 1)
    else:
        fill = 1.5 * row * sparse + 30
    return float(8 * size * (fill + 4 * states))


def _note_on_unseen_centre(problem: Problem, h: MeshOperator) -> tuple[Note, ...]:
    """A note where points lie too far apart to resolve a centre."""
    spacing = max(float(np.diff(axis.points).max()) for axis in h.mesh.axes)
    for centre in problem.centres:
        if spacing > 0.5 * centre.length:
            what = (
                f"points {spacing:.2g} apart do not see the centre at {centre.position}, where ψ changes within "
                f"{centre.length:.2g}: no error can be told"
            )
            return (Note("not seen", (), what, "leave out scheme=, or use qspin.elements(degree)"),)
    return ()


def _notes(series: Series, pairs: Eigenpairs, h: MeshOperator) -> tuple[Note, ...]:
    wandering, measured = ~series.settled, np.isfinite(series.orders)
    notes = note(
        "not settled",
        wandering,
        "the energy does not settle as a power of the spacing, and is not extrapolated",
        "try more points",
    )
    if not wandering.any() and not h.mesh.centres and measured.any():
        observed = np.median(series.orders[measured])
        if observed < 0.6 * series.expected:
            what = (
                f"the energies settle as the spacing to the power {observed:.1f}, not {series.expected:g} as expected: "
                "ψ or V bends"
            )
            notes += (Note("not smooth", (), what),)
    if h.parts > 1:
        what = f"the region falls into {h.parts} parts that nothing connects; each state lies in one or several of them"
        notes += (Note("parts", (), what),)
    if not pairs.complete:
        what = "states below the last one may be missing: their count came out higher four times"
        notes += (Note("missed", (), what),)
    return notes
