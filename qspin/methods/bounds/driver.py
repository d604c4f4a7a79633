"""`Spectrum.bounds`: an interval for every level, by Rayleigh-Ritz from above and Lehmann's method from below.

V lies between p - ε and p + ε, with a Taylor polynomial p on each of many cells, ε constant on each (see `enclosure`).
Trial functions u_1 … u_N are polynomials on a window of the box, zero on walls and, with their slopes, at other sides, so that
H u is square integrable. With p ± ε for V, A₀ = ⟨u, u⟩, A₁ = ⟨u, (H - ρ) u⟩ and A₂ = ⟨(H - ρ) u, (H - ρ) u⟩ are integrals of
polynomials, for which Gauss' rules are exact. Then

- the eigenvalues of (A₁, A₀), with p + ε, are upper bounds of the lowest N levels, less ρ (Rayleigh-Ritz);
- where at most N levels lie below ρ, each negative eigenvalue μ_1 <= μ_2 <= … of (A₁, A₂), with p - ε, gives
  λ_{N+1-i} >= ρ + 1/μ_i (N. J. Lehmann 1949; F. Goerisch, H. Haunhorst 1985), as exact as the squares of the residuals;
- that at most N levels lie below ρ is shown by `coarse.lower_bounds`.

What is enclosed: V, its Taylor remainders and its range, with outward rounding in each operation. What is not: the matrices
and their eigenvalues are computed in double precision, and moved by margins for the rounding errors, from the sizes of all
terms to first order. So the bounds are a proof up to these margins, which are part of the intervals and are stated in
`Bounds.rounding`.
One dimension is treated as two, of which the second has one function, a constant, and no kinetic energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.special import beta

from qspin.methods.base import check_plain_hamiltonian
from qspin.methods.bounds.coarse import lower_bounds
from qspin.methods.bounds.enclosure import Enclosure
from qspin.numerics.checks import real_number
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Bounds", "bounds"]

_UNIT = 2.0**-53
_FADED = 22.0  # windows end where the semiclassical ψ has fallen to exp(-22)
_ORDERS, _MOST_CELLS = {1: 20, 2: 18}, {1: 256, 2: 32}  # of Taylor polynomials; cells an axis for them
_MOST_FUNCTIONS = {1: 700, 2: 4600}
_LADDER = {  # waves, cells an axis, and cut of the coarse bounds
    1: ((100, 2048, 3.0), (200, 8192, 3.0), (400, 16_384, 2.0), (800, 16_384, 1.5)),
    2: (
        (300, 128, 3.0),
        (500, 256, 2.0),
        (900, 512, 3.0),
        (1600, 1024, 2.0),
        (2000, 1024, 1.3),
        (2500, 1536, 3.0),
    ),
}


@dataclass(frozen=True)
class Bounds:
    """Intervals that contain the levels of a Hamiltonian, counted from the lowest with multiplicity.

    Attributes:
        lower, upper: (N,) level k lies in [lower_k, upper_k].
        energies: (N,) of the spectrum, ascending, for comparison.
        shift: ρ, and `below`, how many levels lie below it at most.
        rounding: (N,) how much of each width is the margin for rounding errors, which is estimated, not enclosed.
        name, units: of the spectrum.
    """

    lower: Float[np.ndarray, " states"]
    upper: Float[np.ndarray, " states"]
    energies: Float[np.ndarray, " states"]
    shift: float
    below: int
    rounding: Float[np.ndarray, " states"]
    name: str = ""
    units: str = ""

    @property
    def widths(self) -> Float[np.ndarray, " states"]:
        """upper - lower, (N,)."""
        return self.upper - self.lower

    @property
    def distances(self) -> Float[np.ndarray, " states"]:
        """How far each energy of the spectrum lies outside its interval, (N,): 0 inside."""
        return np.maximum(np.maximum(self.lower - self.energies, self.energies - self.upper), 0.0)

    def __str__(self) -> str:
        unit = f" in {self.units}" if self.units else ""
        lines = [
            f"{self.name}: bounds of {len(self.lower)} levels{unit}",
            "level  lower bound           upper bound           width     energy outside by",
        ]
        rows = zip(self.lower, self.upper, self.widths, self.distances, strict=True)
        lines += [
            f"{k:>5}  {a:<20.13g}  {b:<20.13g}  {w:<8.1e}  {d:.1e}" for k, (a, b, w, d) in enumerate(rows)
        ]
        return "\n".join([*lines, f"At most {self.below} levels lie below {self.shift:.8g}."])


class _Axis(NamedTuple):
    """Orthonormal functions (1-t)^a (1+t)^b times Jacobi polynomials on a window; a and b are 1 at walls, 2 at other ends."""

    lower: float
    upper: float
    powers: tuple[int, int]
    size: int

    def tables(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The functions and their second derivatives at inner points x, (points, size) each."""
        half = (self.upper - self.lower) / 2
        t = (x - (self.upper + self.lower) / 2) / half
        a, b = self.powers
        left, right, k = 1 - t, 1 + t, np.arange(self.size + 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            s = 2 * k + 2 * (a + b)
            middle = 4 * (b * b - a * a) / (s * (s + 2))
            beside = np.sqrt(
                4 * k * (k + 2 * a) * (k + 2 * b) * (k + 2 * (a + b)) / (s**2 * (s + 1) * (s - 1))
            )
        p, d, dd = table = np.zeros((3, self.size + 1, len(t)))
        p[0] = 1 / np.sqrt(2.0 ** (2 * (a + b) + 1) * beta(2 * a + 1, 2 * b + 1))
        for n in range(self.size - 1):  # row -1 is zero until the end
            before = (beside[n] if n else 0.0) * table[:, n - 1]
            p[n + 1] = ((t - middle[n]) * p[n] - before[0]) / beside[n + 1]
            d[n + 1] = (p[n] + (t - middle[n]) * d[n] - before[1]) / beside[n + 1]
            dd[n + 1] = (2 * d[n] + (t - middle[n]) * dd[n] - before[2]) / beside[n + 1]
        w, w1 = left**a * right**b, b * left**a * right ** (b - 1.0) - a * left ** (a - 1.0) * right**b
        w2 = a * (a - 1) * left ** (a - 2.0) * right**b + b * (b - 1) * left**a * right ** (b - 2.0)
        w2 -= 2 * a * b * left ** (a - 1.0) * right ** (b - 1.0)
        values = (w * p / np.sqrt(half), (w2 * p + 2 * w1 * d + w * dd) / half**2.5)
        return values[0][:-1].T, values[1][:-1].T


class _Model(NamedTuple):
    """V on the cells of a window: powers (monomials, 2) and coefficients (monomials, cells, cells) of p in coordinates from -1
    to 1 in each cell, and ε (cells, cells)."""

    edges: list[np.ndarray]
    powers: np.ndarray
    coefficients: np.ndarray
    error: np.ndarray


def _model(enclosure: Enclosure, axes: list[_Axis], cells: int) -> _Model:
    dim, order = enclosure.dim, _ORDERS[enclosure.dim]
    edges = [np.linspace(axis.lower, axis.upper, cells + 1 if i < dim else 2) for i, axis in enumerate(axes)]
    grid = np.meshgrid(*((e[1:] + e[:-1]) / 2 for e in edges), indexing="ij")
    centres = np.stack([g.ravel() for g in grid], axis=-1)[:, :dim]
    half = np.array([(e[1] - e[0]) / 2 for e in edges])
    far = max(
        np.abs(e).max() / h for e, h in zip(edges, half, strict=True)
    )  # centres are rounded by far · 2⁻⁵³ half-widths
    wide = np.broadcast_to(half[:dim] * (1 + 1e-9), centres.shape)
    about, over = enclosure(centres, 0 * wide, order), enclosure(centres, wide, order + 1)
    powers, table, error = [(0, 0)], [np.zeros(len(centres))], np.zeros(len(centres))
    for k, term in enumerate([*about, over[-1]]):
        if term is None:
            continue
        for i in range(len(term[0])):
            middle, radius = (half[0] ** (k - i) * half[1] ** i * part[i] for part in term)
            if k <= order:
                powers, table = [*powers, (k - i, i)], [*table, middle + np.zeros(len(centres))]
            error = error + radius + (4 * _UNIT * (1 + k * far) if k <= order else 1.0) * np.abs(middle)
    coefficients = np.array(table)
    bad = ~np.isfinite(error) | ~np.isfinite(coefficients).all(0)
    if bad.any():  # where V has no Taylor series: its range
        middle, radius = (np.broadcast_to(part[0], bad.shape) for part in over[0] or (np.zeros((1, 1)),) * 2)
        coefficients[:, bad], error[bad] = 0.0, radius[bad]
        coefficients[0, bad] = middle[bad]
    shape = [len(e) - 1 for e in edges]
    return _Model(
        edges, np.array(powers), coefficients.reshape(-1, *shape), error.reshape(shape) * (1 + 1e-12)
    )


def _fitted(enclosure: Enclosure, axes: list[_Axis], vectors: np.ndarray, aim: float) -> _Model:
    """The model of V whose ε shifts no level by more than `aim`, or the best there is."""
    models: list[tuple[float, _Model]] = []
    cells = 1
    while not models or (models[-1][0] > aim and cells <= _MOST_CELLS[enclosure.dim]):
        model = _model(enclosure, axes, cells)
        inside = [np.linspace(e[0], e[-1], 4 * len(e) - 3) for e in model.edges]  # four points a cell
        f, g = (axis.tables((x[1:] + x[:-1]) / 2)[0] for axis, x in zip(axes, inside, strict=True))
        density = ((f @ vectors @ g.T) ** 2).reshape(len(vectors), len(f) // 4, 4, len(g) // 4, 4).sum((2, 4))
        models.append((float(((density * model.error).sum((1, 2)) / density.sum((1, 2))).max()), model))
        cells *= 2
    return min(models, key=lambda pair: pair[0])[1]


class _Moments(NamedTuple):
    """A₀, A₁ with p + ε, A₁ and A₂ with p - ε, and bounds of the rounding errors in A₀, A₁ and A₂: each (N, N)."""

    a0: np.ndarray
    above: np.ndarray
    below: np.ndarray
    a2: np.ndarray
    noise: np.ndarray


def _moments(model: _Model, axes: list[_Axis], c: np.ndarray, vectors: np.ndarray, rho: float) -> _Moments:
    order, n = int(model.powers.max()), len(vectors)
    rules, tables, local = [], [], []
    for axis, edges in zip(axes, model.edges, strict=True):
        t, w = np.polynomial.legendre.leggauss(axis.size + sum(axis.powers) + order + 1)
        middle, half = (edges[1:] + edges[:-1])[:, None] / 2, np.diff(edges)[:, None] / 2
        rules.append((half * w).ravel())
        tables.append(axis.tables((middle + half * t).ravel()))
        local.append(t ** np.arange(order + 1)[:, None])
    (f, f2), (g, g2) = tables
    columns, columns2 = vectors @ g.T, vectors @ g2.T
    sizes, sizes2 = np.abs(vectors) @ np.abs(g.T), np.abs(vectors) @ np.abs(g2.T)
    sums, points = np.zeros((8, n, n)), local[0].shape[1]
    for cell in range(len(model.edges[0]) - 1):
        rows = slice(cell * points, (cell + 1) * points)
        row = model.coefficients[:, cell]
        p, bound = (
            _on_row(row, model.powers, local),
            _on_row(np.abs(row), model.powers, [np.abs(x) for x in local]),
        )
        error = np.repeat(model.error[cell], local[1].shape[1])
        u, size_u = f[rows] @ columns, np.abs(f[rows]) @ sizes
        h = (p - rho) * u - c[0] * (f2[rows] @ columns) - c[1] * (f[rows] @ columns2)
        size = (
            c[0] * (np.abs(f2[rows]) @ sizes)
            + c[1] * (np.abs(f[rows]) @ sizes2)
            + (bound + abs(rho)) * size_u
        )
        low, weight = h - error * u, rules[0][rows, None] * rules[1]
        pairs = ((u, u), (u, h + error * u), (u, low), (low, low))
        sized = ((np.abs(u), size_u), (np.abs(u), size), (size_u, np.abs(low)), (np.abs(low), size))
        for k, (a, b) in enumerate(pairs + sized):
            sums[k] += (a * weight).reshape(n, -1) @ b.reshape(n, -1).T
    sums = (sums + sums.transpose(0, 2, 1)) / 2
    far = max(max(abs(axis.lower), abs(axis.upper)) / (axis.upper - axis.lower) for axis in axes)
    unit = _UNIT * (2 * sum(axis.size for axis in axes) * max(1.0, far) + order + 40)
    return _Moments(
        sums[0], sums[1], sums[2], sums[3], unit * np.stack([2 * sums[4], sums[5] + sums[6], 2 * sums[7]])
    )


def _on_row(coefficients: np.ndarray, powers: np.ndarray, local: list[np.ndarray]) -> np.ndarray:
    """A polynomial at the points of one row of cells, (points across, points along)."""
    across, along = (part.shape[1] for part in local)
    grouped = np.zeros((len(local[0]), coefficients.shape[1], along))
    np.add.at(grouped, powers[:, 0], coefficients[:, :, None] * local[1][powers[:, 1], None])
    return np.tensordot(local[0].T, grouped, axes=1).reshape(across, -1)


def _intervals(moments: _Moments, rho: float, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bounds (N,) of the lowest N levels; margin 0 leaves rounding errors out."""
    n, unit = len(moments.a0), 32 * len(moments.a0) * _UNIT * margin
    noise = [np.linalg.norm(part, 2) * margin for part in moments.noise]
    theta = eigh(moments.above + noise[1] * np.eye(n), moments.a0, eigvals_only=True)
    upper = rho + theta + 2 * np.abs(theta) * noise[0] + unit * (np.abs(theta).max() + abs(rho))
    scale = 1 / np.sqrt(np.diagonal(moments.a2))
    parts = [scale[:, None] * part * scale for part in (moments.below, moments.a2, *moments.noise[1:])]
    slack = [np.linalg.norm(part, 2) * margin * np.eye(n) for part in parts[2:]]
    mu = eigh(parts[0] + slack[0], parts[1] + slack[1], eigvals_only=True)
    mu += unit * np.abs(mu).max()
    return np.where(mu < 0, rho + 1 / np.minimum(mu, -1e-300), -np.inf)[::-1] - unit * abs(rho), upper


def _window(problem: Problem, highest: float) -> list[_Axis]:
    """Where states up to this energy live, along each axis, and how many functions they may need."""
    box, c = problem.domain, problem.local.coefficients
    assert isinstance(box, Box)
    points = [a + (b - a) * (np.arange(400) + 0.5) / 400 for a, b in zip(box.lower, box.upper, strict=True)]
    grid = np.stack(np.meshgrid(*points, indexing="ij"), axis=-1)
    v = problem.potential_values(grid.reshape(-1, box.dim)).reshape(grid.shape[:-1])
    axes = []
    for axis, x in enumerate(points):
        least = v.min(tuple(a for a in range(box.dim) if a != axis))
        allowed = np.flatnonzero(least <= max(highest, least.min()))
        rate = np.sqrt(np.maximum(least - highest, 0) / c[axis]) * (x[1] - x[0])
        left = np.flatnonzero(np.cumsum(rate[: allowed[0] + 1][::-1]) > _FADED)
        right = np.flatnonzero(np.cumsum(rate[allowed[-1] :]) > _FADED)
        low = float(x[allowed[0] - left[0]]) if len(left) else box.lower[axis]
        high = float(x[allowed[-1] + right[0]]) if len(right) else box.upper[axis]
        momentum = np.sqrt(max(highest - least.min(), 0.0) / c[axis])
        powers = (2 if len(right) else 1, 2 if len(left) else 1)
        axes.append(_Axis(low, high, powers, int(16 + 0.75 * momentum * (high - low))))
    return axes if box.dim == 2 else [*axes, _Axis(0.0, 1.0, (0, 0), 1)]


def _trial(problem: Problem, axes: list[_Axis], levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Energies and coefficients (levels, size, size) of the lowest states in the span of products, by a quadrature of V."""
    c, rules, tables = [*problem.local.coefficients, 0.0], [], []
    for axis in axes:
        t, w = np.polynomial.legendre.leggauss(axis.size + 24 if axis.size > 1 else 1)
        half = (axis.upper - axis.lower) / 2
        rules.append(((axis.upper + axis.lower) / 2 + half * t, half * w))
        tables.append(axis.tables(rules[-1][0]))
    grid = np.stack(np.meshgrid(*(x for x, _ in rules), indexing="ij"), axis=-1)
    v = problem.potential_values(grid.reshape(-1, 2)[:, : problem.dim]).reshape(grid.shape[:-1])
    kinetic = [-ci * (w[:, None] * f).T @ f2 for ci, (_, w), (f, f2) in zip(c, rules, tables, strict=False)]
    across, along = (
        ((w[:, None] * f)[:, :, None] * f[:, None]).reshape(len(w), -1)
        for (_, w), (f, _) in zip(rules, tables, strict=True)
    )
    m, n = (axis.size for axis in axes)
    h = (across.T @ v @ along).reshape(m, m, n, n).transpose(0, 2, 1, 3)
    h = (
        h
        + kinetic[0][:, None, :, None] * np.eye(n)[:, None]
        + np.eye(m)[:, None, :, None] * kinetic[1][:, None]
    )
    energies, vectors = _lowest(h.reshape(m * n, m * n), levels, float(v.min()))
    return energies, vectors.T.reshape(levels, m, n)


def _lowest(h: np.ndarray, levels: int, bottom: float) -> tuple[np.ndarray, np.ndarray]:
    h = (h + h.T) / 2
    if len(h) <= 500:
        return eigh(h, subset_by_index=(0, levels - 1))
    from scipy.sparse.linalg import LinearOperator, eigsh  # SciPy's sparse code: not before it is needed

    factor = cho_factor(h - (bottom - 1e-3 * abs(bottom) - 1e-3) * np.eye(len(h)))
    inverse = LinearOperator(h.shape, lambda b: cho_solve(factor, b), dtype=float)
    start = np.random.default_rng(0).normal(size=len(h))
    vectors = np.linalg.qr(eigsh(inverse, levels, v0=start, tol=1e-13, ncv=2 * levels + 20)[1])[0]
    energies, turn = eigh(vectors.T @ h @ vectors)
    return energies, vectors @ turn


def _larger(axes: list[_Axis], dim: int) -> list[_Axis]:
    """A quarter more functions along each axis; none where that is too many."""
    wider = [axis._replace(size=int(1.25 * axis.size)) for axis in axes]
    return wider if np.prod([axis.size for axis in wider]) <= _MOST_FUNCTIONS[dim] else []


def bounds(spectrum: Spectrum, problem: Problem | None = None, width: Any = 1e-9) -> Bounds:
    """Intervals that contain the levels of the spectrum's Hamiltonian, with their index; see `Spectrum.bounds`."""
    width = real_number("bounds: width", width, above=0)
    problem = _checked(spectrum, problem)
    dim, n_states, c = problem.dim, spectrum.n_states, np.array([*problem.local.coefficients, 0.0])[:2]
    enclosure = Enclosure(problem.local.potential, dim)
    wanted = n_states + 4 + n_states // 8
    highest = float(np.max(np.nan_to_num(spectrum.energies, posinf=0.0, neginf=0.0)))
    for _ in range(8):  # until the window is that of the highest level, by half as many functions
        axes = _window(problem, highest)
        energies, _ = _trial(problem, [axis._replace(size=(axis.size + 1) // 2) for axis in axes], wanted)
        if energies[-1] <= highest + 0.02 * float(np.ptp(energies)):
            break
        highest = float(energies[-1])
    energies, vectors = _trial(problem, axes, wanted)
    rho, below = _shift(enclosure, problem, c, energies, n_states)
    scale = np.maximum(np.abs(energies[:n_states]), np.ptp(energies) / wanted)
    model = _fitted(enclosure, axes, vectors[:below], 0.05 * width * float(scale.min()))
    rho -= 2.0 * float(model.error.max())
    if rho <= energies[below - 1]:
        cell = np.unravel_index(np.argmax(model.error), model.error.shape)[:dim]
        x = ", ".join(f"{(e[i] + e[i + 1]) / 2:.3g}" for e, i in zip(model.edges, cell, strict=False))
        raise ValueError(
            f"bounds: V is not smooth enough near x = ({x}) for a Taylor polynomial: it jumps, bends or wiggles there. "
            "bounds() serves potentials that are smooth in the whole box; use `errors` of two methods instead."
        )
    lower, upper, rounding = np.full(n_states, -np.inf), np.full(n_states, np.inf), np.zeros(n_states)
    while axes:
        faded = max(
            np.abs(vectors[:below, -2:]).max(), np.abs(vectors[:below, :, -2:]).max() if dim == 2 else 0.0
        )
        wider = _larger(axes, dim)
        if faded < 1e-8 or not wider:
            moments = _moments(model, axes, c, vectors[:below], rho)
            (low, high), (bare_low, bare_high) = (_intervals(moments, rho, margin) for margin in (1.0, 0.0))
            lower, upper = np.maximum(lower, low[:n_states]), np.minimum(upper, high[:n_states])
            rounding = np.minimum(bare_low - low + high - bare_high, high - low)[:n_states]
            if (upper - lower - rounding < np.maximum(width * scale, rounding)).all():
                break
        axes = wider
        energies, vectors = _trial(problem, axes, wanted) if axes else (energies, vectors)
    return Bounds(
        lower, upper, np.sort(spectrum.energies), rho, below, rounding, spectrum.name, spectrum.units
    )


def _shift(
    enclosure: Enclosure, problem: Problem, c: np.ndarray, energies: np.ndarray, n_states: int
) -> tuple[float, int]:
    """ρ and N: at most N levels lie below ρ, which is above the upper bound of the N-th."""
    assert isinstance(problem.domain, Box)
    box = [*zip(problem.domain.lower, problem.domain.upper, strict=True), (0.0, 1.0)][:2]
    gaps, best = np.diff(energies[n_states - 1 :]), (-np.inf, 0.0, 0)
    for rung in _LADDER[problem.dim]:
        low = lower_bounds(enclosure, box, c, float(energies[-1]), *rung)
        clear = low[n_states : len(energies)] - energies[n_states - 1 : -1]
        i = int(np.argmax(clear))
        best = max(best, (float(clear[i]), float(low[n_states + i]), n_states + i))
        if best[0] > 0.5 * gaps.max():
            break
    if not best[0] > 1e-3 * gaps.max():
        raise ValueError(
            f"bounds: no lower bound could be shown that separates two of the levels {n_states} to {len(energies)}: they lie "
            "too close together, or V is too deep or the box too wide; ask for a few states more or fewer, or shrink the box."
        )
    return best[1:]


def _checked(spectrum: Spectrum, problem: Problem | None) -> Problem:
    if problem is None:
        problem = getattr(
            spectrum.potential, "__self__", None
        )  # methods leave `Problem.potential_values` there
    if not isinstance(problem, Problem):
        raise ValueError(
            "bounds: this spectrum does not know its Hamiltonian (it comes from a file, or its method kept no V): give the "
            "problem, as spectrum.bounds(problem)."
        )
    check_plain_hamiltonian("bounds", problem, Box)
    if problem.dim > 2:
        raise ValueError(f"bounds: serves one and two dimensions, this problem has {problem.dim}.")
    if type(problem.domain) is not Box or any(problem.domain.periodic):
        raise ValueError(f"bounds: serves a Box with walls on all sides, got {problem.domain!r}.")
    if problem.hamiltonian.singularities:
        raise ValueError(
            "bounds: V is declared singular; bounds() serves potentials that are finite in the whole box."
        )
    return problem
