"""Whether claimed errors can be believed: random problems of many kinds, every method, and references by other routes.

    python benchmarks/honesty.py run [--only TEXT] [--count 5] [--seed 0] [--workers 1] [--limit 300] [FILE]
    python benchmarks/honesty.py show [--only TEXT] [FILE]

`run` solves `count` random problems of each kind whose "kind | method" holds TEXT, and appends each result to FILE (JSON
lines, by default benchmarks/results/honesty.jsonl) as it comes: what is there already is not solved again, so that a run that
was killed goes on. `show` prints, for each method and kind: the share of states within one, two, three claimed errors; missed
states; states converged and wrong by more than five claimed errors, each with its input; the median of claimed over true
error; seconds. Problems are formulas, which `qspin.expression` and the references here read, each by its own reader.

References are plain NumPy and SciPy: in one dimension and for radial equations elements of Legendre polynomials between
declared jumps, with the factor x^s at a singular end taken out; in two dimensions tensor products of spectral elements;
in more, sums of one-dimensional levels along turned axes. Each is solved in growing degree until two agree, and keeps the
last difference as its own error; central problems in a square box are held between the disks inside and outside it.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh
from scipy.sparse.linalg import eigsh
from scipy.special import roots_jacobi
from threadpoolctl import threadpool_limits

import qspin

STORED = Path(__file__).parent / "results" / "honesty.jsonl"
METHODS = {
    "default": "None",
    "Grid": "qspin.Grid()",
    "Ritz": "qspin.Ritz()",
    "SampledRitz": "qspin.SampledRitz()",
    "ProductBasis": "qspin.ProductBasis()",
    "SpIN": "qspin.SpIN(steps=2000, batch_size=128)",
}
FUNCTIONS = (
    "sqrt",
    "exp",
    "log",
    "sin",
    "cos",
    "tan",
    "tanh",
    "sinh",
    "cosh",
    "abs",
    "minimum",
    "maximum",
    "where",
)
NAMESPACE = {name: getattr(np, name) for name in FUNCTIONS}
Profile = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A problem as text, and its levels: (levels, the error of each)."""

    text: str
    lower: list[float]
    upper: list[float]
    levels: Callable[[], tuple[np.ndarray, np.ndarray]]
    n_states: int
    mass: float = 1.0
    centres: list[list[float]] = field(default_factory=list)
    periodic: bool = False
    wave_vector: float = 0.0

    def described(self) -> str:
        box = f"[{self.lower}, {self.upper}]" + (
            f", periodic, k = {self.wave_vector}" if self.periodic else ""
        )
        return f"K({self.mass:g}), {self.text}, {box}, centres {self.centres}, {self.n_states} states"


def formula(text: str, dim: int) -> Callable[..., np.ndarray]:
    """V of coordinate arrays, by Python's own reader of formulas."""
    code = compile(text, "formula", "eval")
    names = ("x", "y", "z") if dim <= 3 else tuple(f"x{i}" for i in range(dim))

    def v(*x: np.ndarray) -> np.ndarray:
        values = dict(zip(names, x, strict=False)) | {
            "r": np.sqrt(sum(a * a for a in x)),
            "pi": math.pi,
            "e": math.e,
        }
        with np.errstate(over="ignore"):
            return np.broadcast_to(
                eval(code, {"__builtins__": {}}, NAMESPACE | values), np.shape(x[0])
            ).astype(float)

    return v


# --- references


def edges_of(
    lower: float, upper: float, widest: float, narrow: list[tuple[float, float]], breaks: list[float]
) -> np.ndarray:
    """Ends of elements: none wider than `widest`; about each (place, width) of `narrow` they shrink to that width."""
    stops = np.unique([lower, *(b for b in breaks if lower < b < upper), upper])
    edges = [float(stops[0])]
    for a, b in pairwise(stops):
        inner = [a]
        while inner[-1] < b:
            x = inner[-1]
            step = min([widest, *(max(width, 0.4 * abs(x - place)) for place, width in narrow)])
            # A step towards a narrow place must not pass over it.
            step = min([step, *(max(width, 0.6 * (place - x)) for place, width in narrow if place > x)])
            inner.append(x + step)
        edges.extend(a + (np.array(inner[1:]) - a) * (b - a) / (inner[-1] - a))
    return np.array(edges)


def lagrange(nodes: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values and derivatives at x of the Lagrange polynomials of the nodes."""
    basis = np.polynomial.legendre.legvander
    inverse = np.linalg.inv(basis(nodes, len(nodes) - 1))
    slopes = np.stack(
        [np.polynomial.legendre.legval(x, np.polynomial.legendre.legder(row)) for row in np.eye(len(nodes))],
        1,
    )
    return basis(x, len(nodes) - 1) @ inverse, slopes @ inverse


def lobatto(degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss–Lobatto nodes and weights on [-1, 1]."""
    last = np.zeros(degree + 1)
    last[-1] = 1
    inner = np.polynomial.legendre.legroots(np.polynomial.legendre.legder(last))
    nodes = np.concatenate([[-1.0], np.real(inner), [1.0]])
    return nodes, 2 / (degree * (degree + 1) * np.polynomial.legendre.legval(nodes, last) ** 2)


def line_matrices(
    v: Profile, c: float, edges: np.ndarray, degree: int, power: float, phase: complex | None
) -> tuple[Any, Any, float]:
    """Stiffness + V and mass of ∫ x^power (c w'² + V w²), ends at zero (the left one free where power > 0), or joined by a
    phase; and the least V seen."""
    nodes, _ = lobatto(degree)
    plain = np.polynomial.legendre.leggauss(degree + 8)
    weighted = roots_jacobi(degree + 8, 0.0, power - 1) if power else plain  # exact for V ~ 1/x, too
    size = (len(edges) - 1) * degree + 1
    rows, columns, a_values, m_values, least = [], [], [], [], np.inf
    local = np.arange(degree + 1)
    tables = {False: lagrange(nodes, plain[0]), True: lagrange(nodes, weighted[0])}
    for e, (left, right) in enumerate(pairwise(edges)):
        first = bool(power) and e == 0
        t, w = weighted if first else plain
        values, slopes = tables[first]
        half = (right - left) / 2
        x = left + half * (1 + t)
        w = w * half**power * x if first else w * half * (x**power if power else 1.0)
        potential = v(x)
        least = min(least, float(potential.min()))
        a_values.append((slopes.T * (w * c / half**2)) @ slopes + (values.T * (w * potential)) @ values)
        m_values.append((values.T * w) @ values)
        rows.append(np.repeat(local + e * degree, degree + 1))
        columns.append(np.tile(local + e * degree, degree + 1))
    index = np.concatenate(rows), np.concatenate(columns)
    a, m = (
        sp.csc_matrix((np.concatenate([x.ravel() for x in values]), index), (size, size))
        for values in (a_values, m_values)
    )
    if phase is None:
        kept = slice(0 if power else 1, size - 1)
        return a[kept, kept], m[kept, kept], least
    join = sp.lil_matrix((size, size - 1), dtype=complex)
    join.setdiag(1)
    join[size - 1, 0] = phase
    join = join.tocsc()
    return join.getH() @ a @ join, join.getH() @ m @ join, least


def lowest(a: Any, m: Any, n: int, below: float) -> np.ndarray:
    """The n lowest eigenvalues of a pencil, `below` lying under all of them: by inverse iteration, the second time close by."""
    if a.shape[0] < 700:
        dense = eigh(
            a.toarray(), None if m is None else m.toarray(), eigvals_only=True, subset_by_index=[0, n - 1]
        )
        below = max(below, dense[0] - 0.5 * max(dense[-1] - dense[0], 1e-3 * abs(dense[0]), 1e-6))
    energies = np.full(n, np.nan)
    start = np.random.default_rng(0).normal(size=a.shape[0])
    for _ in range(2):
        energies = np.sort(
            eigsh(a, n, m, sigma=below, which="LM", v0=start, ncv=min(4 * n + 40, a.shape[0] - 1))[0].real
        )
        below = energies[0] - max(0.3 * (energies[-1] - energies[0]), 1e-4 * abs(energies[0]), 1e-9)
    return energies


def agreed(solve: Callable[[int], np.ndarray], degrees: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Levels at growing degree until two agree to 1e-10 of their size, and the last difference."""
    before, off = solve(degrees[0]), np.array([np.inf])
    for degree in degrees[1:]:
        now = solve(degree)
        off, before = np.abs(now - before), now
        if (off <= 1e-10 * np.maximum(np.abs(now), 1e-3 * np.ptp(now) + 1e-300)).all():
            break
    return before, off + 4e-14 * np.abs(before).max()


def line(
    v: Profile, lower: float, upper: float, c: float, n: int, widest: float = np.inf, narrow: Any = (), breaks: Any = (),
    power: float = 0.0, wave_vector: float | None = None, below: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Levels of -c x^-power d/dx x^power d/dx + V on an interval."""
    phase = None if wave_vector is None else np.exp(1j * wave_vector * (upper - lower))
    edges = edges_of(lower, upper, min(widest, (upper - lower) / 12), list(narrow), list(breaks))

    def solve(degree: int) -> np.ndarray:
        a, m, least = line_matrices(v, c, edges, degree, power, phase)
        return lowest(a, m, n, (least - 1e-3 * abs(least) - 1e-3) if below is None else below)

    return agreed(solve, (8, 12, 16, 22, 30))


def central(
    v: Profile, dim: int, half_width: float, c: float, n: int, factor: float = 0.0, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Levels of a central V in a cube: those in the ball inside it, with what the ball outside it differs by. `factor` c₂ is
    that of c₂/r² in V, which the text has and `v` has not."""
    found: list[tuple[float, float]] = []
    for momentum in range(40):
        barrier = momentum * (momentum + dim - 2) + factor / c
        s = -(dim - 2) / 2 + math.sqrt(((dim - 2) / 2) ** 2 + barrier)
        times = 1 if dim == 2 and momentum == 0 else 2 if dim == 2 else 2 * momentum + 1
        count = max(n // times + 1, 1)
        inner, outer = (
            line(v, 0.0, radius, c, count, power=dim - 1 + 2 * s, **options)
            for radius in (half_width, half_width * math.sqrt(dim) * 1.1)
        )
        levels = [(e, d + abs(e - o)) for e, d, o in zip(*inner, outer[0], strict=True)]
        if len(found) >= n and levels[0][0] > sorted(found)[n - 1][0]:
            break
        found += [level for level in levels for _ in range(times)]
    chosen = np.array(sorted(found)[:n])
    return chosen[:, 0], chosen[:, 1]


def plane(
    v: Callable[..., np.ndarray], lower: list[float], upper: list[float], c: float, n: int, widest: float = np.inf,
    narrow: Any = ((), ()), breaks: Any = ((), ()),
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Levels in a rectangle, by spectral elements whose mass is diagonal."""
    edges = [
        edges_of(a, b, min(widest, (b - a) / 6), list(narrow[i]), list(breaks[i]))
        for i, (a, b) in enumerate(zip(lower, upper, strict=True))
    ]

    def axis(ends: np.ndarray, degree: int) -> tuple[np.ndarray, ...]:
        nodes, weights = lobatto(degree)
        _, slopes = lagrange(nodes, nodes)
        half = np.diff(ends) / 2
        inside = np.clip(nodes, -1 + 1e-9, 1 - 1e-9)  # on a jump each element sees its own side
        x = ends[:-1, None] + half[:, None] * (1 + inside)
        index = np.arange(len(half))[:, None] * degree + np.arange(degree + 1)
        stiffness = np.zeros((len(half) * degree + 1,) * 2)
        for i, h in zip(index, half, strict=True):
            stiffness[np.ix_(i, i)] += (slopes.T * weights) @ slopes * c / h
        share = half[:, None] * weights
        return x.ravel(), share.ravel(), index.ravel(), stiffness, np.bincount(index.ravel(), share.ravel())

    def solve(degree: int) -> np.ndarray:
        x, wx, ix, kx, mx = axis(edges[0], degree)
        y, wy, iy, ky, my = axis(edges[1], degree)
        inner, shape = slice(1, -1), (len(mx), len(my))
        values = v(*np.meshgrid(x, y, indexing="ij")) * wx[:, None] * wy
        values = np.bincount((ix[:, None] * len(my) + iy).ravel(), values.ravel(), len(mx) * len(my)).reshape(
            shape
        )
        values = (values / np.outer(mx, my))[inner, inner]
        scaled = [sp.csc_matrix((k / np.sqrt(np.outer(m, m)))[inner, inner]) for k, m in ((kx, mx), (ky, my))]
        a = (
            sp.kron(scaled[0], sp.eye(values.shape[1]))
            + sp.kron(sp.eye(values.shape[0]), scaled[1])
            + sp.diags(values.ravel())
        )
        return lowest(a.tocsc(), None, n, float(values.min()) - 1e-3 * abs(values.min()) - 1e-3)

    return agreed(solve, (8, 11, 14))


def sums(parts: list[tuple[np.ndarray, np.ndarray]], n: int) -> tuple[np.ndarray, np.ndarray]:
    """The n lowest sums of one level of each part."""
    levels, off = parts[0]
    for more, more_off in parts[1:]:
        all_levels = np.add.outer(levels, more).ravel()
        chosen = np.argsort(all_levels)[:n]
        levels, off = all_levels[chosen], np.add.outer(off, more_off).ravel()[chosen]
    return levels, off


# --- kinds of problems. Each takes a generator of random numbers and gives a case.

KINDS: dict[str, Callable[[np.random.Generator], Case]] = {}


def kind(make: Callable[[np.random.Generator], Case]) -> Callable[[np.random.Generator], Case]:
    KINDS[make.__name__] = make
    return make


def some(rng: np.random.Generator, low: float, high: float) -> float:
    return float(f"{rng.uniform(low, high):.4g}")


def spread(rng: np.random.Generator, low: float, high: float) -> float:
    """Even in the logarithm."""
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.4g}")


def on_line(text: str, a: float, b: float, n: int, mass: float = 1.0, periodic: bool = False, k: float = 0.0,
            centres: Any = (), **options: Any) -> Case:  # fmt: skip
    reference = partial(
        line, formula(text, 1), a, b, 1 / (2 * mass), n, wave_vector=k if periodic else None, **options
    )
    return Case(text, [a], [b], reference, n, mass, list(centres), periodic, k)


def reach(text: str, n: int, mass: float, first: float = 1.0) -> float:
    """Half the width of a box about 0 whose walls n states do not feel: the action beyond the turning points is 20."""
    v = formula(text, 1)
    half = first
    while half < 1e6:
        x = np.linspace(-half, half, 4001)
        values = v(x)
        levels = np.sort(values)  # semiclassical: n + 1/2 states below E where the phase space is 2π n
        momentum = (
            np.sqrt(2 * mass * np.maximum(levels[:, None] - values[None, ::8], 0)).mean(1)
            * 2
            * half
            / math.pi
        )
        enough = levels[np.searchsorted(momentum, n + 1)] if momentum[-1] > n + 1 else np.inf
        decay = (
            np.sqrt(2 * mass * np.maximum(values - enough, 0)) * (x[1] - x[0])
            if np.isfinite(enough)
            else None
        )
        if decay is not None and min(decay[: len(x) // 2].sum(), decay[len(x) // 2 :].sum()) > 20:
            return float(f"{half:.3g}")
        half *= 1.15
    raise ValueError(text)


def joined(terms: list[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ")


@kind
def polynomial_1d(rng: np.random.Generator) -> Case:
    degree = int(rng.choice([4, 6]))
    terms = [f"{some(rng, -2, 2)}*x**{p}" for p in range(1, degree)] + [f"{spread(rng, 0.05, 2)}*x**{degree}"]
    mass, n = spread(rng, 0.3, 5), int(rng.integers(1, 15))
    half = reach(joined(terms), n, mass)
    return on_line(joined(terms), -half, half, n, mass, widest=0.3)


@kind
def many_states_1d(rng: np.random.Generator) -> Case:
    power, n = int(rng.choice([2, 4])), int(rng.integers(20, 60))
    text = f"{spread(rng, 0.1, 5)}*x**{power} + {some(rng, -1, 1)}*x"
    half = float(f"{reach(text, n, 1.0) * rng.uniform(1.0, 1.6):.3g}")
    return on_line(text, -half, half, n, widest=half / 30)


@kind
def fourier_1d(rng: np.random.Generator) -> Case:
    wave = some(rng, 0.8, 2.5)
    terms = [f"{spread(rng, 0.2, 2)}*x**2"]
    terms += [f"{some(rng, -3, 3)}*cos({j * wave:.4g}*x + {some(rng, 0, 6.28)})" for j in range(1, 7)]
    n = int(rng.integers(1, 8))
    half = reach(joined(terms), n, 1.0)
    return on_line(joined(terms), -half, half, n, widest=0.25)


@kind
def narrow_well_1d(rng: np.random.Generator) -> Case:
    depth, width, place = spread(rng, 30, 3000), spread(rng, 0.02, 0.3), some(rng, -1, 1)
    text = f"{spread(rng, 0.1, 2)}*x**2 - {depth}*exp(-(x - {place})**2/{2 * width**2:.5g})"
    return on_line(text, -10.0, 10.0, int(rng.integers(1, 8)), widest=0.5, narrow=[(place, width / 4)])


@kind
def wiggle_1d(rng: np.random.Generator) -> Case:
    wave = spread(rng, 8, 80)
    text = f"{spread(rng, 0.1, 2)}*x**2 + {spread(rng, 1, 30)}*sin({wave}*x)"
    n = int(rng.integers(1, 6))
    half = reach(text.split(" + ")[0], n + 2, 1.0)
    return on_line(text, -half, half, n, widest=4 / wave)


@kind
def soft_coulomb_1d(rng: np.random.Generator) -> Case:
    charge, core, place = spread(rng, 1, 8), spread(rng, 0.05, 1), some(rng, -1, 1)
    screen = f"*exp(-abs(x - {place})/{spread(rng, 3, 20)})" if rng.random() < 0.5 else ""
    text = f"-{charge}/sqrt((x - {place})**2 + {core**2:.5g}){screen}"
    breaks = [place] if screen else []
    n = int(rng.integers(1, 6))
    return on_line(text, -25.0, 25.0, n, widest=1.0, narrow=[(place, core / 3)], breaks=breaks)


@kind
def steps_1d(rng: np.random.Generator) -> Case:
    a, b = some(rng, -2, 0), some(rng, 0.2, 2)
    heights = [some(rng, 0, 5), 0.0, spread(rng, 1, 1e6) if rng.random() < 0.4 else some(rng, 2, 30)]
    text = f"where(x < {a}, {heights[0]}, where(x < {b}, {heights[1]}, {heights[2]}))"
    scale = [(place, min(0.5, 1 / math.sqrt(heights[2]))) for place in (a, b)]
    n = int(rng.integers(1, 7))
    return on_line(text, -5.0, 5.0, n, spread(rng, 0.3, 5), breaks=[a, b], narrow=scale, widest=0.4)


@kind
def kinks_1d(rng: np.random.Generator) -> Case:
    a = some(rng, -1, 1)
    text = f"{spread(rng, 0.5, 5)}*abs(x - {a}) + {spread(rng, 0.05, 1)}*x**2"
    return on_line(text, -8.0, 8.0, int(rng.integers(1, 8)), breaks=[a], widest=0.5)


@kind
def heavy_1d(rng: np.random.Generator) -> Case:
    a = some(rng, 0.8, 1.6)
    text = f"{spread(rng, 0.5, 5)}*(x**2 - {a**2:.5g})**2 + {some(rng, -0.3, 0.3)}*x"
    return on_line(text, -4.0, 4.0, int(rng.integers(2, 8)), spread(rng, 10, 300), widest=0.1)


@kind
def morse_1d(rng: np.random.Generator) -> Case:
    depth, rate = spread(rng, 5, 200), some(rng, 0.5, 1.5)
    text = f"{depth}*(1 - exp(-{rate}*x))**2"
    bound = int(math.sqrt(depth) / rate - 0.5)
    return on_line(text, -3.0 / rate, 25.0, min(max(bound - 1, 1), int(rng.integers(1, 9))), 0.5, widest=0.3)


@kind
def lennard_jones_1d(rng: np.random.Generator) -> Case:
    depth, inner = spread(rng, 50, 1000), float(rng.choice([0.1, 0.3, 0.6, 0.8]))
    text = f"{4 * depth:.4g}*(1/x**12 - 1/x**6)"
    # ψ vanishes inside 0.6 to every digit: the reference begins there.
    reference = partial(
        line, formula(text, 1), max(inner, 0.6), 15.0, 1.0, 2, widest=0.4, narrow=[(1.0, 0.03)], below=-depth
    )
    return Case(text, [inner], [15.0], reference, 2, 0.5)


@kind
def inverse_square_1d(rng: np.random.Generator) -> Case:
    """c/x² at a wall, the critical -1/8 among them, with a bowl or a charge; declared or not."""
    c2 = -0.125 if rng.random() < 0.25 else some(rng, -0.12, 3)
    s = 0.5 + math.sqrt(0.25 + 2 * c2)
    bowl = rng.random() < 0.5
    strength = spread(rng, 0.2, 3)
    rest = f"{strength / 2:.4g}*x**2" if bowl else f"-{strength}/x"
    size = (60 / math.sqrt(strength) ** 0.5) ** 0.5 if bowl else 150 / strength
    n = int(rng.integers(1, 5))
    options = {
        "narrow": [(0.0, 0.02 * size / 10)],
        "widest": size / 30,
        "below": None if bowl else -3 * strength**2 / s**2,
    }
    # With ψ = x^s w the pair c/x² and ψ'' leaves ∫ x^2s (½ w'² + V w²), w free at 0.
    reference = partial(line, formula(rest, 1), 0.0, size, 0.5, n, power=2 * s, **options)
    centres = [[0.0]] if rng.random() < 0.5 and not bowl else []
    return Case(f"{c2}/x**2 + {rest}".replace("+ -", "- "), [0.0], [size], reference, n, centres=centres)


@kind
def poschl_teller_1d(rng: np.random.Generator) -> Case:
    """λ(λ - 1)/(2 sin²x) between its walls: E_n = (n + λ)²/2, closed."""
    order, n = some(rng, 0.6, 4), int(rng.integers(1, 7))
    levels = (np.arange(n) + order) ** 2 / 2
    text = f"{order * (order - 1) / 2!r}/sin(x)**2"
    return Case(text, [0.0], [math.pi], lambda: (levels, 1e-13 * levels), n)


@kind
def periodic_step_1d(rng: np.random.Generator) -> Case:
    a = some(rng, 0.2, 0.8)
    text = f"where(x < {a}, 0, {some(rng, 0.5, 30)})"
    k = 0.0 if rng.random() < 0.4 else some(rng, 0.1, 3)
    return on_line(text, 0.0, 1.0, int(rng.integers(1, 9)), periodic=True, k=k, breaks=[a])


@kind
def periodic_smooth_1d(rng: np.random.Generator) -> Case:
    text = f"{some(rng, -20, 20)}*cos(2*pi*x) + {some(rng, -20, 20)}*sin(4*pi*x)"
    k = 0.0 if rng.random() < 0.4 else some(rng, 0.1, 3)
    return on_line(text, 0.0, 1.0, int(rng.integers(1, 9)), periodic=True, k=k)


@kind
def box_too_large_1d(rng: np.random.Generator) -> Case:
    text = f"{spread(rng, 0.3, 30)}*(x - {some(rng, -20, 20)})**2 + {some(rng, -1, 1)}*x"
    n = int(rng.integers(1, 6))
    place = float(text.split("- ", 1)[1].split(")")[0])
    return on_line(
        text, *sorted([-spread(rng, 80, 1000), spread(rng, 80, 1000)]), n, widest=20.0, narrow=[(place, 0.3)]
    )


@kind
def box_too_small_1d(rng: np.random.Generator) -> Case:
    half = some(rng, 0.5, 2)
    return on_line(
        f"{spread(rng, 0.1, 3)}*x**2 + {some(rng, -1, 1)}*x**3", -half, half, int(rng.integers(1, 7))
    )


@kind
def finite_wells_1d(rng: np.random.Generator) -> Case:
    """Few states below a flat top, in a box."""
    parts = [
        f"-{spread(rng, 1, 20)}*exp(-(x - {some(rng, -3, 3)})**2/{spread(rng, 0.2, 2)})"
        for _ in range(int(rng.integers(1, 4)))
    ]
    return on_line(joined(parts), -12.0, 12.0, int(rng.integers(1, 6)), widest=0.4)


@kind
def polynomial_2d(rng: np.random.Generator) -> Case:
    terms = [f"{some(rng, -1, 1)}*x**{i}*y**{j}" for i in range(4) for j in range(4 - i) if i + j > 0]
    terms += [f"{spread(rng, 0.2, 1)}*(x**4 + y**4)", f"{some(rng, 0, 1)}*x**2*y**2"]
    text, n = joined(terms), int(rng.integers(1, 9))
    return in_plane(text, 5.0, n, widest=2.0)


def in_plane(text: str, half: float, n: int, mass: float = 1.0, **options: Any) -> Case:
    box = [-half, -half], [half, half]
    return Case(text, *box, partial(plane, formula(text, 2), *box, 1 / (2 * mass), n, **options), n, mass)


@kind
def fourier_2d(rng: np.random.Generator) -> Case:
    terms = ["0.5*(x**2 + y**2)"]
    terms += [
        f"{some(rng, -1.5, 1.5)}*cos({some(rng, -2, 2)}*x + {some(rng, -2, 2)}*y + {some(rng, 0, 6.28)})"
        for _ in range(4)
    ]
    return in_plane(joined(terms), 7.0, int(rng.integers(1, 9)), widest=1.8)


@kind
def henon_heiles_2d(rng: np.random.Generator) -> Case:
    text = f"0.5*(x**2 + {some(rng, 0.7, 1.5)}*y**2) + {some(rng, 0.02, 0.1)}*(x**2*y - y**3/3)"
    return in_plane(text, 7.0, int(rng.integers(3, 20)), widest=1.8)


@kind
def narrow_well_2d(rng: np.random.Generator) -> Case:
    """Bowl and well about one point that lies anywhere, so that the radial equation is the reference."""
    depth, width, x, y = (
        spread(rng, 30, 2000),
        spread(rng, 0.05, 0.4),
        some(rng, -0.5, 0.5),
        some(rng, -0.5, 0.5),
    )
    bowl, n = spread(rng, 0.3, 1.5), int(rng.integers(1, 8))
    profile = formula(f"{bowl}*x**2 - {depth}*exp(-x**2/{2 * width**2:.5g})", 1)
    square = f"((x - {x})**2 + (y - {y})**2)"
    text = f"{bowl}*{square} - {depth}*exp(-{square}/{2 * width**2:.5g})".replace("- -", "+ ")
    reference = partial(central, profile, 2, 7.4, 0.5, n, widest=0.5, narrow=[(0.0, width / 3)])
    return Case(text, [-8.0, -8.0], [8.0, 8.0], reference, n)


@kind
def axis_steps_2d(rng: np.random.Generator) -> Case:
    a, b = some(rng, -1, 1), some(rng, -1, 1)
    text = f"0.5*(x**2 + y**2) + where(x < {a}, {some(rng, 0, 8)}, 0) + where(y < {b}, {some(rng, 0, 8)}, 0)"
    return in_plane(text, 6.0, int(rng.integers(1, 8)), breaks=([a], [b]), widest=1.8)


def around_centre(
    text: str, dim: int, half: float, n: int, mass: float = 1.0, centres: Any = (), **options: Any
) -> Case:
    profile = formula(text, 1)
    reference = partial(central, lambda r: profile(r), dim, half, 1 / (2 * mass), n, **options)
    return Case(
        text.replace("x", "r").replace("erp", "exp"),
        [-half] * dim,
        [half] * dim,
        reference,
        n,
        mass,
        list(centres),
    )


@kind
def round_step_2d(rng: np.random.Generator) -> Case:
    radius, height = some(rng, 0.5, 1.5), spread(rng, 3, 40)
    text = f"where(x < {radius}, 0, {height}) + {spread(rng, 0.2, 1)}*x**2"
    return around_centre(text, 2, 7.0, int(rng.integers(1, 6)), breaks=[radius], widest=0.5)


@kind
def hat_2d(rng: np.random.Generator) -> Case:
    text = f"{spread(rng, 0.3, 3)}*(x**2 - {spread(rng, 0.5, 3)})**2"
    return around_centre(text, 2, 5.0, int(rng.integers(1, 9)), widest=0.4)


@kind
def soft_coulomb_2d(rng: np.random.Generator) -> Case:
    charge, core = spread(rng, 1, 5), spread(rng, 0.1, 1)
    text = f"-{charge}/sqrt(x**2 + {core**2:.4g}) + 0.1*x**2"
    return around_centre(text, 2, 12.0, int(rng.integers(1, 7)), widest=0.5, narrow=[(0.0, core / 3)])


def coulomb(
    rng: np.random.Generator, dim: int, weakest: float, declared: float, half: float, below: float
) -> Case:
    """A charge in a bowl of at least this strength; its place is declared in this share of the cases."""
    text = f"-{spread(rng, 0.5, 3)}/x + {spread(rng, weakest, 1)}*x**2"
    centres = [[0.0] * dim] if rng.random() < declared else []
    n_states, narrow = int(rng.integers(1, 9 - dim)), [(0.0, 0.05)]
    return around_centre(text, dim, half, n_states, centres=centres, widest=0.5, narrow=narrow, below=below)


@kind
def coulomb_2d(rng: np.random.Generator) -> Case:
    return coulomb(rng, 2, 0.05, 0.6, 12.0, -40.0)


@kind
def coulomb_3d(rng: np.random.Generator) -> Case:
    return coulomb(rng, 3, 0.1, 0.7, 10.0, -15.0)


@kind
def well_3d(rng: np.random.Generator) -> Case:
    width = spread(rng, 0.3, 1)
    text = f"{spread(rng, 0.2, 1)}*x**2 - {spread(rng, 5, 60)}*exp(-x**2/{2 * width**2:.4g})"
    return around_centre(text, 3, 8.0, int(rng.integers(1, 6)), widest=0.5, narrow=[(0.0, width / 3)])


def turned(rng: np.random.Generator, dim: int, n: int) -> Case:
    """Σ a_i q_i² + b_i q_i³ + c_i q_i⁴ in coordinates q = Qx."""
    q = np.linalg.qr(rng.normal(size=(dim, dim)))[0].round(4)
    q = np.linalg.qr(q)[0]  # orthogonal to rounding; written with all digits
    names = ("x", "y", "z") if dim <= 3 else tuple(f"x{i}" for i in range(dim))
    terms, parts = [], []
    for row in q:
        along = (
            "("
            + " + ".join(f"{float(value)!r}*{name}" for value, name in zip(row, names, strict=False))
            + ")"
        )
        a, b, c = some(rng, 0.3, 1.5), some(rng, -0.1, 0.1), some(rng, 0.02, 0.3)
        terms += [f"{a}*{along}**2", f"{b}*{along}**3", f"{c}*{along}**4"]
        parts.append(
            partial(line, formula(f"{a}*x**2 + {b}*x**3 + {c}*x**4", 1), -8.0, 8.0, 0.5, n, widest=0.5)
        )
    half = 7.0
    return Case(joined(terms), [-half] * dim, [half] * dim, lambda: sums([part() for part in parts], n), n)


@kind
def turned_2d(rng: np.random.Generator) -> Case:
    return turned(rng, 2, int(rng.integers(1, 12)))


@kind
def turned_3d(rng: np.random.Generator) -> Case:
    return turned(rng, 3, int(rng.integers(1, 9)))


@kind
def turned_4d(rng: np.random.Generator) -> Case:
    return turned(rng, 4, int(rng.integers(1, 7)))


@kind
def turned_5d(rng: np.random.Generator) -> Case:
    return turned(rng, 5, int(rng.integers(1, 7)))


@kind
def turned_6d(rng: np.random.Generator) -> Case:
    return turned(rng, 6, int(rng.integers(1, 7)))


def methods_for(name: str, index: int) -> list[str]:
    """Each method where it is meant to serve; SpIN, which takes a minute, for every fifth problem."""
    dim = int(name[-2])
    few = ["SpIN"] if index % 5 == 0 and "periodic" not in name else []
    product = (
        ["ProductBasis"]
        if any(k in name for k in ("polynomial", "turned", "henon", "too_small", "heavy", "hat"))
        else []
    )
    return (["default", "Grid", "Ritz"] if dim <= 3 else ["default", "SampledRitz"]) + product + few


# --- solving


def case_of(name: str, seed: int, index: int) -> Case:
    return KINDS[name](np.random.default_rng([seed, index, zlib.crc32(name.encode())]))


def too_long(*_: Any) -> None:
    raise TimeoutError("took longer than the limit")


def solve_case(name: str, seed: int, index: int, methods: list[str], limit: int) -> list[dict[str, Any]]:
    """One problem by the methods: a record of each."""
    threadpool_limits(limits=1)  # threads that wait for each other on busy cores cost many times the work
    case = case_of(name, seed, index)
    key = {"kind": name, "seed": seed, "index": index}
    began = time.perf_counter()
    try:
        levels, off = case.levels()
    except Exception as error:  # an input that the reference cannot serve says nothing about qspin
        return [
            key | {"method": method, "status": f"no reference: {type(error).__name__}: {error}"}
            for method in methods
        ]
    key |= {"input": case.described(), "reference": levels.tolist(), "reference_error": off.tolist()}
    key |= {"reference_seconds": time.perf_counter() - began}
    dim, records = len(case.lower), []
    signal.signal(signal.SIGALRM, too_long)
    for method in methods:
        began = time.perf_counter()
        signal.alarm(limit)
        try:
            potential = qspin.Potential(
                qspin.expression(case.text, dim=dim), singularities=[tuple(p) for p in case.centres]
            )
            vector = {"wave_vector": case.wave_vector} if case.wave_vector else {}
            box = qspin.Box(case.lower, case.upper, periodic=case.periodic, **vector)
            problem = qspin.Problem(qspin.Kinetic(mass=case.mass) + potential, box, name=name)
            chosen = eval(METHODS[method], {"qspin": qspin})
            spectrum = qspin.solve(problem, case.n_states, chosen, progress=False)
            result: dict[str, Any] = {
                field: getattr(spectrum, field).tolist() for field in ("energies", "errors", "converged")
            }
            result |= {"status": "solved", "said": spectrum.status, "by": spectrum.method}
        except (ValueError, TypeError, TimeoutError, RuntimeError) as error:
            result = {"status": f"{type(error).__name__}: {error}"}
        except Exception as error:
            result = {"status": f"crash: {type(error).__name__}: {error}"}
        finally:
            signal.alarm(0)
        records.append(key | {"method": method, "seconds": round(time.perf_counter() - began, 2)} | result)
    return records


def solve_task(task: tuple[str, int, int, list[str], int]) -> list[dict[str, Any]]:
    return solve_case(*task)


def run(file: Path, only: str, count: int, seed: int, workers: int, limit: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {(r["kind"], r["seed"], r["index"], r["method"]) for r in read(file)}
    tasks = []
    for index in range(count):
        for name in KINDS:
            left = [
                method
                for method in methods_for(name, index)
                if only in f"{name} | {method}" and (name, seed, index, method) not in known
            ]
            if left:
                tasks.append((name, seed, index, left, limit))
    with get_context("spawn").Pool(workers, maxtasksperchild=30) as pool, file.open("a") as out:
        for records in pool.imap_unordered(solve_task, tasks):
            for record in records:
                out.write(json.dumps(record) + "\n")
                print(line_of(record), flush=True)
            out.flush()


def read(file: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(text) for text in file.read_text().splitlines() if text.endswith("}")]
        if file.exists()
        else []
    )


# --- the verdict


def judged(record: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """Of each state the true error less the reference's own, the claim, whether converged; None where nothing was solved."""
    if record["status"] != "solved":
        return None
    energies, levels, own = (
        np.array(record[name], float) for name in ("energies", "reference", "reference_error")
    )
    off = np.abs(energies - levels)
    claim = np.array([math.inf if e is None else e for e in record["errors"]], float)
    sure = own <= 1e-6 * np.maximum(np.abs(levels), 1e-3)
    higher = [np.abs(levels[k + 1 :] - e).min(initial=np.inf) for k, e in enumerate(energies)]
    return {
        "off": np.maximum(off - 2 * own, 0), "claim": claim, "own": own, "sure": sure,
        "converged": np.array(record["converged"], bool),
        "missed": (off > 5 * claim + 2 * own) & (np.array(higher) <= 5 * claim + 1e-6 * np.abs(energies)),
    }  # fmt: skip


def wrong_states(record: dict[str, Any]) -> np.ndarray:
    state = judged(record)
    if state is None:
        return np.zeros(0, int)
    return np.flatnonzero(state["sure"] & state["converged"] & (state["off"] > 5 * state["claim"]))


def line_of(record: dict[str, Any]) -> str:
    state = judged(record)
    name = (
        f"{record['kind']:<20} {record['index']:>3} {record['method']:<12} {record.get('seconds', 0):>7.1f} s"
    )
    if state is None:
        return f"{name}  {record['status'][:110]}"
    worst = int(np.argmax(state["off"] / np.maximum(state["claim"], 1e-300)))
    flag = "  WRONG" if len(wrong_states(record)) else ""
    return (
        f"{name}  {sum(record['converged'])}/{len(record['converged'])} converged, worst state {worst}: off "
        f"{state['off'][worst]:.1e}, claimed {state['claim'][worst]:.1e}, reference {state['own'][worst]:.0e}{flag}"
    )


def table(records: list[dict[str, Any]], key: Callable[[dict[str, Any]], str]) -> list[str]:
    groups = defaultdict(list)
    for record in records:
        groups[key(record)].append(record)
    lines = [
        "| | solves | refused | states | converged | within 1 | 2 | 3 errors | missed | wrong | claimed/true | s |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in sorted(groups.items()):
        states = [state for record in group if (state := judged(record)) is not None]
        refused = sum(record["status"] != "solved" for record in group)
        seconds = np.median([record.get("seconds", math.nan) for record in group])
        if not states:
            lines.append(f"| {name} | {len(group)} | {refused} | 0 |" + " – |" * 7 + f" {seconds:.1f} |")
            continue
        every = {field: np.concatenate([state[field] for state in states]) for field in states[0]}
        sure = every["sure"] & np.isfinite(every["claim"])
        off, claim = every["off"][sure], every["claim"][sure]
        shares = [f"{np.mean(off <= k * claim):.1%}" if len(off) else "–" for k in (1, 2, 3)]
        seen = off > 2 * every["own"][sure]
        ratio = f"{np.median(claim[seen] / off[seen]):.3g}" if seen.any() else "–"
        wrong = sum(len(wrong_states(record)) for record in group)
        lines.append(
            f"| {name} | {len(group)} | {refused} | {len(every['off'])} | {every['converged'].mean():.0%} | "
            f"{' | '.join(shares)} | {every['missed'].sum()} | {wrong} | {ratio} | {seconds:.1f} |"
        )
    return lines


def show(file: Path, only: str) -> None:
    records = [
        r
        for r in read(file)
        if only in f"{r['kind']} | {r['method']}" and not r["status"].startswith("no reference")
    ]
    print(*table(records, lambda r: r["method"]), "", sep="\n")
    print(*table(records, lambda r: f"{r['method']} | {r['kind']}".replace(" | ", ", ")), "", sep="\n")
    print("Converged and wrong by more than five claimed errors:")
    for record in records:
        wrong = wrong_states(record)
        if len(wrong):
            energies, errors, levels = (
                np.array(record[name], float) for name in ("energies", "errors", "reference")
            )
            k = max(wrong, key=lambda k: abs(energies[k] - levels[k]) / max(errors[k], 1e-300))
            print(
                f"- {record['kind']} {record['index']}, {record['method']}, states {wrong.tolist()}: {record['input']}"
            )
            print(
                f"  the worst, {k}: {energies[k]!r} ± {errors[k]:.1e}, true {levels[k]!r} ± {record['reference_error'][k]:.0e}"
            )
    print("Neither solved nor refused:")
    for record in records:
        if record["status"].startswith(("crash", "TimeoutError", "RuntimeError")):
            print(
                f"- {record['kind']} {record['index']}, {record['method']}: {record['status'][:200]}\n  {record['input']}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "show", "references"):
        command = commands.add_parser(name)
        command.add_argument("file", nargs="?", type=Path, default=STORED)
        command.add_argument("--only", default="", help="part of 'kind | method'")
        command.add_argument("--count", type=int, default=5, help="problems of each kind")
        command.add_argument("--seed", type=int, default=0)
        if name == "run":
            command.add_argument(
                "--workers", type=int, default=1, help="processes, each with one BLAS thread"
            )
            command.add_argument("--limit", type=int, default=300, help="seconds for one solve")
    given = parser.parse_args()
    if given.command == "run":
        run(given.file, given.only, given.count, given.seed, given.workers, given.limit)
    elif given.command == "show":
        show(given.file, given.only)
    else:
        for name in KINDS:
            for index in range(given.count if given.only in name else 0):
                began = time.perf_counter()
                try:
                    levels, off = case_of(name, given.seed, index).levels()
                except Exception as error:
                    print(f"{name:<20} {index} {type(error).__name__}: {error}")
                    continue
                print(
                    f"{name:<20} {index} {time.perf_counter() - began:6.2f} s  error {off.max():.0e}  {levels[:4]}"
                )


if __name__ == "__main__":
    main()
