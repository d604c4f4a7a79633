"""The referee: the same Hamiltonian as a matrix on meshes of several resolutions, and what they say about the error."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qspin.methods.base import DirectMethod
from qspin.methods.grid.eigensolver import Discretised, Eigenpairs, lowest
from qspin.methods.grid.extrapolation import FEWEST, RATIO, Series, coarser, extrapolated
from qspin.methods.grid.grid_functions import GridFunctions
from qspin.methods.grid.mesh import CORNER, Mesh
from qspin.methods.grid.schemes import DVR, Differences, Elements, Scheme
from qspin.methods.grid.walls import near_walls, wall_shifts
from qspin.numerics.errors import energy_scale
from qspin.problem.domain import Box, Centre
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.notes import Note, note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Grid"]

_MEMORY = 12e9  # bytes a solve may be expected to need
# Points an axis of a DVR to begin with, by dimension, and at most; between them by RATIO.
_FIRST, _LAST = {1: 32, 2: 24, 3: 20}, {1: 800, 2: 160, 3: 48}
_ENOUGH = {1: 1e-11, 2: 1e-11, 3: 1e-10}  # of the energies: a step between meshes that asks for no finer one
# Points an axis where a region's walls cross the grid: one less than what many whole numbers divide, so that walls and corners
# at simple fractions of the box lie on points of all three.
_CUT = {1: (479, 599, 749), 2: (191, 239, 299), 3: (31, 39, 49)}
# Elements about centres, by dimension: degree, and the smallest of them in units of the centre's length.
_GRADED = {1: (8, 0.1), 2: (6, 0.1), 3: (4, 0.2)}


@dataclass(frozen=True)
class _Resolution:
    """What one mesh is built from; `points` 0 where elements set them."""

    points: tuple[int, ...]
    scheme: Scheme
    smallest: float = 0.1

    def mesh(self, problem: Problem) -> Mesh:
        assert isinstance(problem.domain, Box)
        return Mesh.build(problem.domain, self.points, self.scheme, problem.centres, self.smallest)

    def shape(self, problem: Problem) -> tuple[int, ...]:
        """Points an axis, without building what is costly."""
        box = problem.domain
        assert isinstance(box, Box)
        if all(self.points):
            return self.points
        corners = [Centre(c, 0.0, CORNER * min(box.lengths), 0.0) for c in _corners(problem)]
        plain = Box(box.lower, box.upper, box.periodic)
        return Mesh.build(plain, self.points, self.scheme, [*problem.centres, *corners], self.smallest).shape


@dataclass(frozen=True)
class Grid(DirectMethod):
    """Sparse grid diagonalisation, in one to three dimensions.

    Args:
        points: points an axis of the finest mesh, one number or one an axis; by default, where functions are smooth, as many
            as it takes until the energies stand still, within bounds. Of elements about centres it sets how small the
            smallest are; the number is then met only about.
        scheme: `differences(order)`, `elements(degree)` or `dvr()`; by default elements that shrink towards declared
            centres, and without any a DVR.
        extra: states solved for beyond those asked, so that a degenerate group is not cut inside.
        shift_margin: how far below the lowest level the matrix is inverted, as a share of the levels' range.

    Three meshes or more are solved: equal spacings each 1.25 times the next, or smallest elements each `ratio` times
    the next.
    Where the energies settle as a power of the spacing they are extrapolated, and `errors` says how much the power matters, and
    is at least 0.15 of the distance from the finest mesh. Of a DVR, and of elements of equal length, it is about the last
    step; where nothing settles, four times the sum of the steps between meshes, and `status` says so. Elements about
    centres are solved once more with one degree less, and the difference is added: it is what the smooth parts of the
    functions may still be off by. `residuals` are those of the matrix problem.

    A `Region` whose walls cross the grid is solved by differences of order 2 that know where the walls are; one whose walls run
    along the axes through declared `corners`, by elements that shrink towards them. A Bloch wave vector makes ψ complex.

    No state is missed: see `eigensolver`; what was done stands in the provenance. Time and memory for P points: all of the
    matrix up to P = 1000; a sparse factorisation in one and two dimensions, O(P) and O(P^1.5); in three, and for a DVR
    in two, conjugate gradients, of a DVR with Kronecker products: O(P^(1 + 1/dim)) a step and O(P) memory.
    Raises ValueError for more states than points, more than three dimensions, or settings out of range; MemoryError
    where the estimate exceeds 12 GB.
    """

    points: Any = None
    scheme: Any = None
    extra: int = 4
    shift_margin: float = 0.1
    name = "grid"

    def __post_init__(self) -> None:
        if isinstance(self.points, Sequence):
            object.__setattr__(self, "points", tuple(self.points))
        for count in self.points if isinstance(self.points, tuple) else (self.points,):
            if count is not None and (not isinstance(count, int | np.integer) or count < 2 * FEWEST):
                raise ValueError(
                    f"Grid: points must be an integer of at least {2 * FEWEST} an axis, got {self.points!r}."
                )
        if self.scheme is not None and not isinstance(self.scheme, Scheme):
            raise TypeError(
                "Grid: scheme must be qspin.differences(order), qspin.elements(degree) or qspin.dvr(), got "
                f"{self.scheme!r}."
            )
        if not isinstance(self.extra, int | np.integer) or self.extra < 0:
            raise ValueError(f"Grid: extra must be an integer of at least 0, got {self.extra!r}.")
        if not self.shift_margin > 0:
            raise ValueError(f"Grid: shift_margin must be positive, got {self.shift_margin!r}.")

    def check(self, problem: Problem, n_states: int) -> None:
        self.check_boxed(problem)
        assert isinstance(problem.domain, Box)
        if n_states < 1:
            raise ValueError(f"Grid: n_states must be at least 1, got {n_states}.")
        if problem.dim > 3:
            raise ValueError(f"Grid: a grid serves 1 to 3 dimensions, got {problem.dim}; use qspin.Ritz().")
        states = n_states + self.extra
        scheme = self._scheme(problem)
        shapes = [level.shape(problem) for level in self._family(problem, scheme, n_states)]
        share = 1.0
        if isinstance(problem.domain, Region):
            share = problem.domain.area / problem.domain.volume
        fewest = share * min(float(np.prod(shape)) for shape in shapes)
        if 2 * states > fewest:
            least = int(np.ceil((2 * states / share) ** (1 / problem.dim) * RATIO**2))
            raise ValueError(
                f"Grid: n_states = {n_states} with {self.extra} extra is too many for the coarsest of the meshes, "
                f"{fewest:.0f} points; expected at least {least} points an axis."
            )
        size = max(float(np.prod(shape)) for shape in shapes)
        neighbours = scheme.neighbours or size ** (1 / problem.dim)
        row = problem.dim * neighbours
        # Numbers kept a point, measured: fill of the factorisation with its indices; or the vectors of conjugate gradients.
        factorised = problem.dim == 1 or (problem.dim == 2 and scheme.neighbours > 0)
        fill = 3 * row if problem.dim == 1 else (6 + 2.5 * row) * np.log2(size + 1)
        fill = fill if factorised else 1.5 * row * bool(scheme.neighbours) + 30
        need = 8 * size * (fill + 4 * states)
        if need > _MEMORY:
            finest = max(shapes, key=np.prod)
            raise MemoryError(
                f"Grid: {' x '.join(map(str, finest))} points and {n_states} states need about {need / 1e9:.1f} GB, "
                f"more than {_MEMORY / 1e9:.0f} GB; use fewer points."
            )

    def _scheme(self, problem: Problem) -> Scheme:
        if self.scheme is not None:
            return self.scheme
        if isinstance(problem.domain, Region) and not _aligned(problem):
            return Differences(2)
        centred = problem.centres or isinstance(problem.domain, Region)
        return Elements(_GRADED[problem.dim][0]) if centred else DVR()

    def _given(self, problem: Problem) -> tuple[int, ...] | None:
        if self.points is None:
            return None
        shape = self.points if isinstance(self.points, tuple) else (int(self.points),) * problem.dim
        if len(shape) != problem.dim:
            raise ValueError(f"Grid: points has {len(shape)} entries, the domain has {problem.dim} axes.")
        return shape

    def _family(self, problem: Problem, scheme: Scheme, n_states: int) -> list[_Resolution]:
        """Coarsest first; of elements that shrink before them one like the middle one, of lower degree."""
        given = self._given(problem)
        if not (isinstance(scheme, Elements) and (problem.centres or _corners(problem))):
            shapes = self._growing(problem, scheme, n_states) if given is None else coarser(given)
            return [_Resolution(shape, scheme) for shape in shapes]
        none, smallest = (0,) * problem.dim, _GRADED[problem.dim][1]
        if given is not None:  # the smallest elements that this many points allow
            sizes = np.geomspace(1e-4, 10, 60)
            fits = (s for s in sizes if max(_Resolution(none, scheme, s).shape(problem)) <= max(given))
            smallest = float(next(fits, sizes[-1]))
        lower = Elements(max(scheme.degree - 1, 1), scheme.ratio)
        family = [_Resolution(none, scheme, smallest * scheme.ratio**k) for k in (2, 1, 0)]
        return [_Resolution(none, lower, smallest * scheme.ratio), *family]

    def _growing(self, problem: Problem, scheme: Scheme, n_states: int) -> list[tuple[int, ...]]:
        """Shapes that a DVR is solved on until energies stand still; of other schemes three."""
        dim = problem.dim
        least = int(np.ceil(3 * (n_states + self.extra) ** (1 / dim)))
        if not isinstance(scheme, DVR):
            if isinstance(problem.domain, Region) and 2 * least <= _CUT[dim][-1]:
                return [(n,) * dim for n in _CUT[dim]]
            return coarser((max(_LAST[dim], 2 * least),) * dim)
        counts = [max(_FIRST[dim], least)]
        while len(counts) < 3 or counts[-1] * RATIO <= _LAST[dim]:
            counts.append(int(np.ceil(counts[-1] * RATIO)))
        return [(n,) * dim for n in counts]

    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        del seed  # nothing here is random
        assert isinstance(problem.domain, Box)  # `check` has seen to it
        scheme = self._scheme(problem)
        shrinking = isinstance(scheme, Elements) and bool(problem.centres or _corners(problem))
        shift: float | None = None
        levels: list[np.ndarray] = []
        meshes: list[Mesh] = []
        for resolution in self._family(problem, scheme, n_states):
            mesh = resolution.mesh(problem)
            hamiltonian = Discretised.build(problem, mesh)
            pairs = lowest(hamiltonian, n_states, self.extra, shift, self.shift_margin)
            shift = pairs.shift
            meshes.append(mesh)
            levels.append(pairs.energies[:n_states])
            growing = self.points is None and isinstance(scheme, DVR) and len(levels) >= 3
            still = _ENOUGH[problem.dim] * np.abs(levels[-1]).max()
            if growing and np.abs(levels[-1] - levels[-2]).max() <= still:
                break
        order, spacings = float(scheme.order), [1 / (mesh.shape[0] + 1) for mesh in meshes[-3:]]
        smooth, least = np.zeros(n_states), 1.0
        if isinstance(scheme, Elements) and shrinking:
            # At a cusp the error falls as (smallest element)^dim, at a reentrant corner no faster.
            order, spacings = float(max(problem.dim, 2)), [scheme.ratio**j for j in (2, 1, 0)]
            least = 1.0 if problem.centres else 0.5
            smooth = np.abs(levels[0] - levels[2])
        found = hamiltonian.apply(pairs.vectors) - pairs.vectors * pairs.energies
        residuals = np.linalg.norm(found, axis=0)[:n_states]
        series = extrapolated(levels[-3:], spacings, (least, order), scheme.caution, residuals, smooth)
        unseen = () if shrinking else _unresolved(problem, mesh)
        if unseen:
            series = replace(series, errors=np.full(n_states, np.inf), settled=np.zeros(n_states, bool))
        functions = _functions(mesh, pairs.vectors[:, :n_states])
        raised = wall_shifts(problem, mesh, series.finest, functions)
        small = 1e-6 * max(energy_scale(series.finest), 1e-300)
        return Spectrum(
            energies=series.energies,
            errors=series.errors,
            residuals=residuals,
            converged=(series.errors <= 0.01 * energy_scale(series.finest))
            & (residuals <= small)
            & pairs.complete,
            notes=unseen or _notes(series, order, raised, pairs, mesh),
            wall_shifts=raised,
            eigenfunctions=GridFunctions(mesh, functions, problem.domain),
            domain=problem.domain,
            name=problem.name,
            units=problem.units,
            method=self.name,
            provenance={
                "method": repr(self),
                "points": [list(mesh.shape) for mesh in meshes],
                "scheme": repr(scheme),
                "solver": pairs.solver,
                "none_missed": pairs.check,
                "precision": "float64",
                "finest": series.finest.tolist(),
                "order": {"expected": order, "observed": _plain(series.orders)},
                "wall_probability": near_walls(problem, mesh, functions).tolist(),
            },
            potential=problem.potential_values,
        )


def _unresolved(problem: Problem, mesh: Mesh) -> tuple[Note, ...]:
    """A note where points lie too far apart to see a centre. No bracket would hold then."""
    spacing = max(float(np.diff(axis.points).max()) for axis in mesh.axes)
    for centre in problem.centres:
        if spacing > 0.5 * centre.length:
            what = (
                f"points {spacing:.2g} apart do not see the centre at {centre.position}, where ψ changes within "
                f"{centre.length:.2g}: no error can be told"
            )
            return (Note("not seen", (), what, "leave out scheme=, or use qspin.elements(degree)"),)
    return ()


def _aligned(problem: Problem) -> bool:
    """Whether a region's walls lie on the edges of elements that its corners set."""
    scheme = Elements(_GRADED[problem.dim][0])
    try:
        _Resolution((0,) * problem.dim, scheme).mesh(problem)
    except ValueError:
        return False
    return bool(_corners(problem))


def _corners(problem: Problem) -> tuple[tuple[float, ...], ...]:
    return problem.domain.corners if isinstance(problem.domain, Region) else ()


def _functions(mesh: Mesh, vectors: np.ndarray) -> np.ndarray:
    """ψ at the points from unknowns √w ψ."""
    return vectors / np.sqrt(mesh.weights)[:, None]


def _plain(values: np.ndarray) -> list[float | None]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _notes(
    series: Series, order: float, raised: np.ndarray, pairs: Eigenpairs, mesh: Mesh
) -> tuple[Note, ...]:
    wandering, known = ~series.settled, np.isfinite(series.orders)
    notes = note(
        "not settled",
        wandering,
        "the energy does not settle as a power of the spacing, and is not extrapolated",
        "try more points",
    )
    if not wandering.any() and not mesh.centres and known.any():
        seen = np.median(series.orders[known])
        if seen < 0.6 * order:
            what = f"the energies settle as the spacing to the power {seen:.1f}, not {order:g} as expected: ψ or V bends"
            notes += (Note("not smooth", (), what),)
    noticed = np.isfinite(raised) & (raised > series.errors)
    notes += note(
        "walls",
        noticed,
        f"the walls raise the energy by up to {raised[noticed].max(initial=0.0):.1e} over that of free space",
        "where they are not meant, enlarge the box",
    )
    if mesh.parts > 1:
        what = (
            f"the region falls into {mesh.parts} parts that nothing connects; states live in one or another"
        )
        notes += (Note("parts", (), what),)
    if not pairs.complete:
        what = "states below the last one may be missing: their count came out higher four times"
        notes += (Note("missed", (), what),)
    return notes
