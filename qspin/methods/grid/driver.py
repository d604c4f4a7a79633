"""`Grid`: the Hamiltonian as a matrix on meshes of several resolutions, whose differences show the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from jaxtyping import Float

from qspin.methods.base import DirectMethod
from qspin.methods.grid.axes import DVR, Differences, Elements, Interval, Scheme
from qspin.methods.grid.eigensolver import EXTRA, Eigenpairs, lowest
from qspin.methods.grid.mesh import GridFunctions, Mesh, MeshOperator, mesh_of, residual_norms
from qspin.methods.grid.resolutions import (
    DEGREES,
    FEWEST,
    MOST,
    MOST_EQUAL,
    RATIO,
    Series,
    by_degrees,
    by_spacings,
    first_layouts,
    halved,
    mesh_from,
    spacings,
    uniform_points,
)
from qspin.methods.locate.survey import survey
from qspin.numerics.checks import check_kind, whole
from qspin.numerics.errors import energy_scale, is_rough
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Grid"]

_MEMORY = 12e9  # bytes that a solve may need, by the estimate
_ENOUGH = {1: 1e-11, 2: 1e-11, 3: 1e-10}  # of the energies: a step between meshes that calls for no finer one
_GOOD = 1e-6  # of the energies: an error of a DVR for which elements are not tried
# Of the energies: what indicators of elements may sum to, two degrees below the last.
_GOAL = {1: 1e-9, 2: 1e-7, 3: 1e-5}
_ROUNDS = {1: 25, 2: 4, 3: 2}  # of halving elements


@dataclass(frozen=True)
class Grid(DirectMethod):
    """Sparse grid diagonalisation, in one to three dimensions.

    Args:
        points: points along each axis of the finest mesh, one number or one for each axis; by default as many as it takes,
            within bounds. Elements have at most so many in all.
        scheme: `differences(order)`, `elements(degree)` or `dvr()`. By default elements in one dimension, and where V jumps,
            has a centre, or changes much faster in some places than in others; else a DVR, and elements where it is too coarse.

    Equal spacings are solved on three meshes or more, each with 1.25 times the spacing of the next one. Where the energies
    settle as a power of the spacing they are extrapolated; `errors` then say how much the choice of the power matters, and are
    at least 0.15 of the distance from the finest mesh. For a DVR they are about the last step. Elements have their edges where
    V jumps or bends along an axis, and at centres; they are halved where V or ψ are not smooth inside them, then solved by
    three degrees, whose differences give `errors`. At a wall where V is a/distance², functions begin with the right power of
    the distance. Where nothing settles, `errors` are four times the sum of the steps, and `status` says so.

    `residuals` are ‖Hψ - Eψ‖ of the interpolated functions, by a rule between the points of the mesh; where elements meet, the
    jump of ψ' is spread over the elements beside it. In a `Region` they are those of the matrix.

    A `Region` whose walls cross the grid is solved by differences of order 2 that account for the walls; one whose walls run
    along the axes through declared `corners`, by elements that shrink towards them. A Bloch wave vector makes ψ complex.

    No state is missed: see `eigensolver`; the provenance says how that was checked. Time and memory for P points: equal
    spacings up to P = 1000 take the whole matrix; else one and two dimensions take sparse factorisations, O(P) and O(P^1.5);
    three, and a DVR in two, conjugate gradients (for a DVR with Kronecker products), O(P^(1 + 1/dim)) a step and O(P) memory.
    Raises ValueError for more states than points, more than three dimensions, settings out of range, or V that falls faster
    than the kinetic energy rises; MemoryError where the estimate exceeds 12 GB.
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
        box = problem.domain
        assert isinstance(box, Box)
        for centre in problem.centres:
            sides = zip(centre.position, box.lower, box.upper, box.periodic, strict=True)
            if any(turns and place in (low, high) for place, low, high, turns in sides):
                raise ValueError(
                    f"Grid: the centre at {centre.position} lies on the seam of a periodic axis; shift the Box so that "
                    "it is inside."
                )
        states, shape = n_states + EXTRA, self._shape(problem)
        scheme = self.scheme or (Elements(DEGREES[problem.dim]) if shape is None else DVR())
        shapes = [shape or (round(MOST[problem.dim] ** (1 / problem.dim)),) * problem.dim]
        if not isinstance(scheme, Elements):
            shapes = spacings(problem, scheme, shape, states)
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

    def _shape(self, problem: Problem) -> tuple[int, ...] | None:
        if self.points is None:
            return None
        shape = self.points if isinstance(self.points, tuple) else (int(self.points),) * problem.dim
        if len(shape) != problem.dim:
            raise ValueError(f"Grid: points has {len(shape)} entries, the domain has {problem.dim} axes.")
        return shape

    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        del seed  # nothing here is random
        shape = self._shape(problem)
        if isinstance(self.scheme, Elements):
            return self._spectrum(
                problem, n_states, *_by_elements(problem, n_states, self.scheme.degree, shape)
            )
        if self.scheme is not None:
            return self._spectrum(problem, n_states, *_by_spacings(problem, n_states, self.scheme, shape))
        return self._spectrum(problem, n_states, *_by_default(problem, n_states, shape))

    def _spectrum(
        self,
        problem: Problem,
        n_states: int,
        h: MeshOperator,
        pairs: Eigenpairs,
        series: Series,
        shapes: list[tuple[int, ...]],
    ) -> Spectrum:
        assert isinstance(problem.domain, Box)  # `check` ensures it
        centre_notes = _note_on_unseen_centre(problem, h)
        if centre_notes:  # no error estimate holds
            series = replace(series, errors=np.full(n_states, np.inf), settled=np.zeros(n_states, bool))
        functions = GridFunctions(
            h.mesh, pairs.vectors[:, :n_states] / np.sqrt(h.mesh.weights)[:, None], problem.domain
        )
        residuals = residual_norms(functions, h, pairs.energies[:n_states])
        series, rough = _contradicted(problem, series, residuals, h)
        scale = energy_scale(series.finest)
        provenance = {
            "points": [list(shape) for shape in shapes],
            "scheme": repr(h.mesh.axes[0].scheme),
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
            converged=(series.errors <= 1e-3 * scale) & series.settled & pairs.complete,
            notes=centre_notes or rough + _notes(series, pairs, h),
            eigenfunctions=functions,
        )


Solution = tuple[MeshOperator, Eigenpairs, Series, list[tuple[int, ...]]]


def _by_default(problem: Problem, n_states: int, shape: tuple[int, ...] | None) -> Solution:
    """Elements where V jumps, bends or is singular, in one dimension, and in regions whose walls lie on edges of elements;
    differences in other regions; else a DVR, and elements where it does not settle."""
    degree = DEGREES[problem.dim]
    if isinstance(problem.domain, Region):
        try:
            mesh_from(problem, first_layouts(problem, n_states, degree, MOST[problem.dim]), degree)
        except ValueError:
            return _by_spacings(problem, n_states, Differences(2), shape)
        return _by_elements(problem, n_states, degree, shape)
    if problem.dim == 1 or problem.centres or survey(problem).jumps:
        return _by_elements(problem, n_states, degree, shape)
    if shape is None:
        layouts = first_layouts(problem, n_states + EXTRA, degree, MOST[problem.dim])
        if max(uniform_points(layout, degree) for layout in layouts) > MOST_EQUAL[problem.dim]:
            return _by_elements(problem, n_states, degree, shape)
    smooth = _by_spacings(problem, n_states, DVR(), shape)
    enough = np.inf if shape else _GOOD * energy_scale(smooth[2].finest)
    if smooth[2].settled.all() and (smooth[2].errors <= enough).all():
        return smooth
    graded = _by_elements(problem, n_states, degree, shape)
    return min(smooth, graded, key=lambda solution: np.max(solution[2].errors))


def _by_spacings(problem: Problem, n_states: int, scheme: Scheme, finest: tuple[int, ...] | None) -> Solution:
    """The problem on equal spacings. A DVR stops when the energies no longer change."""
    box = problem.domain
    assert isinstance(box, Box)
    shift: float | None = None
    shapes: list[tuple[int, ...]] = []
    levels: list[np.ndarray] = []
    sides = list(zip(box.lower, box.upper, box.periodic, box.phases, strict=True))
    for shape in spacings(problem, scheme, finest, n_states + EXTRA):
        axes = tuple(scheme.axis(Interval(*side), n) for side, n in zip(sides, shape, strict=True))
        h, pairs = _solved(problem, mesh_of(box, axes, problem.centres), n_states, shift)
        shift = pairs.shift
        shapes.append(shape)
        levels.append(pairs.energies[:n_states])
        if finest is None and isinstance(scheme, DVR) and len(levels) >= 3:
            still = _ENOUGH[problem.dim] * np.abs(levels[-1]).max()
            if np.abs(levels[-1] - levels[-2]).max() <= still:
                break
    series = by_spacings(scheme, [shape[0] for shape in shapes], levels, _floor(h, pairs, n_states))
    return h, pairs, series, shapes


def _by_elements(problem: Problem, n_states: int, degree: int, finest: tuple[int, ...] | None) -> Solution:
    """The problem on elements, halved until ψ is smooth in each, and then by three degrees."""
    most = MOST[problem.dim] if finest is None else prod(finest)
    first = max(degree - 2, 1)
    layouts = first_layouts(problem, n_states + EXTRA, degree, most)
    shift: float | None = None
    for _ in range(_ROUNDS[problem.dim]):
        h, pairs = _solved(problem, mesh_from(problem, layouts, first), n_states, shift)
        shift = pairs.shift
        goal = _GOAL[problem.dim] * energy_scale(pairs.energies[:n_states])
        allowed = int(most * (first / degree) ** problem.dim)
        new = halved(problem, h, pairs, n_states, layouts, allowed, goal)
        if new is None:
            break
        layouts = new
    else:
        h, pairs = _solved(problem, mesh_from(problem, layouts, first), n_states, shift)
    shapes, levels = [h.mesh.shape], [pairs.energies[:n_states]]
    for p in (first + 1, first + 2):
        h, pairs = _solved(problem, mesh_from(problem, layouts, p), n_states, pairs.shift)
        shapes.append(h.mesh.shape)
        levels.append(pairs.energies[:n_states])
    return h, pairs, by_degrees(levels, _floor(h, pairs, n_states)), shapes


def _solved(
    problem: Problem, mesh: Mesh, n_states: int, shift: float | None
) -> tuple[MeshOperator, Eigenpairs]:
    h = mesh.operator(problem.local)
    if not np.isfinite(h.values).all():
        problem.potential_values(h.mesh.points)  # raises, and names the point
    return h, lowest(h, n_states, shift)


def _floor(h: MeshOperator, pairs: Eigenpairs, n_states: int) -> np.ndarray:
    """What rounding, and an eigensolver that stopped early, leave of each energy."""
    energies, vectors = pairs.energies[:n_states], pairs.vectors[:, :n_states]
    floor = np.full(n_states, 2e-14 * np.abs(energies).max())
    if h.mesh.axes[0].edges is None:  # elements may be so short that the residual is rounding alone
        floor += np.linalg.norm(h.apply(vectors) - vectors * energies, axis=0) * 0.1
    return floor


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
    return float(8 * size * (fill + max(2 * states + 20, 60) + 2 * states))


def _note_on_unseen_centre(problem: Problem, h: MeshOperator) -> tuple[Note, ...]:
    """A note where points lie too far apart to resolve a centre."""
    if h.mesh.axes[0].edges is not None:
        return ()
    spacing = max(float(np.diff(axis.points).max()) for axis in h.mesh.axes)
    for centre in problem.centres:
        if spacing > 0.5 * centre.length:
            what = (
                f"points {spacing:.2g} apart do not see the centre at {centre.position}, where ψ changes within "
                f"{centre.length:.2g}: no error can be told"
            )
            return (Note("not seen", (), what, "leave out scheme=, or use qspin.elements(degree)"),)
    return ()


def _contradicted(
    problem: Problem, series: Series, residuals: Float[np.ndarray, " states"], h: MeshOperator
) -> tuple[Series, tuple[Note, ...]]:
    """Errors that residuals do not contradict, and a note: where functions on elements, on which ψ is smooth, have residuals of
    more than a hundredth of the energies, points lie too far apart to see V, and meshes may agree on what is wrong. What lies
    above such a state may be another level than its number says."""
    singular = h.mesh.centres or isinstance(problem.domain, Region) or survey(problem).poles
    if h.mesh.axes[0].edges is None or singular:
        return series, ()
    rough = is_rough(series.energies, residuals) & (residuals > series.errors)
    what = f"the residual is up to {residuals[rough].max(initial=0):.1e}, so that points lie too far apart for this V"
    said = note("rough", rough, what, "try more points")
    above = np.maximum.accumulate(np.where(rough, residuals, 0))
    return replace(
        series, errors=np.maximum(series.errors, above), settled=series.settled & (above == 0)
    ), said


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
