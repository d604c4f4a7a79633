"""Rigorous lower bounds, of a few digits, for the lowest levels of -Σ c_i ∂_i² + V in a box with walls.

V is replaced by W <= V, constant on each of many cells: the lower end of its range there, cut off at an energy above all wanted
ones. Where W has that height all around an inner box, functions may jump at its sides, which lowers no level below the cut, so
these get no walls (Neumann bracketing). In the inner box the kinetic energy T is diagonal in products of sines or cosines. With
the projector P on those of least kinetic energy, Q = 1 - P, and K the least kinetic energy in Q,

    H - ρ  has as many levels below 0 as  P (H - ρ) P - P W Q [Q (H - ρ) Q]⁻¹ Q W P,   while   Q H Q >= K + min W,

so the eigenvalues of the matrix  P H P - (P W² P - (P W P)²)/(K + min W - ρ)  that are below ρ are lower bounds for those of H,
with their index. All integrals of W and W² with cosines are elementary.
"""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from qspin.methods.bounds.enclosure import Enclosure

__all__ = ["lower_bounds"]

_CHUNK, _DEEPEST = 65_536, 8


def lower_bounds(
    enclosure: Enclosure,
    box: list[tuple[float, float]],
    stiffness: np.ndarray,
    highest: float,
    size: int,
    cells: int,
    cut: float,
) -> Float[np.ndarray, " levels"]:
    """Lower bounds for the lowest levels, none above `highest`, which stands for all that are not told apart.

    `box` and `stiffness` (the c_i) are of two axes; one of stiffness 0 is not there. P holds `size` waves, an axis has `cells`
    cells; W is cut off at min W + cut·(highest - min W). Costs size³ operations, and V on cells^dim cells.
    Raises ValueError where V is not bounded below.
    """
    counts = [cells if c else 4 for c in stiffness]
    edges = [np.linspace(*ends, n // 4 + 1) for ends, n in zip(box, counts, strict=True)]
    low = _minima(enclosure, *_cells(edges))
    top = low.min() + cut * (highest - low.min())
    inside, walls = low < top, []
    for axis, (edge, n) in enumerate(zip(list(edges), counts, strict=True)):
        there = np.flatnonzero(inside.any(1 - axis))
        ends = (there[0] == 0, there[-1] == len(edge) - 2)
        walls.append([bool(end and stiffness[axis]) for end in ends])
        edges[axis] = np.linspace(edge[there[0]], edge[there[-1] + 1], n + 1)
    w = np.minimum(_minima(enclosure, *_cells(edges)), top)

    lengths = np.array([e[-1] - e[0] for e in edges])
    stiff = (
        np.sqrt(stiffness) / lengths
    )  # so many waves an axis that every product of kinetic energy up to K is there
    one = (stiffness == 0).any()
    orders = [
        1 if not s else size + 1 if one else int(1.3 * np.sqrt(size * o / s) + 4)
        for s, o in zip(stiff, stiff[::-1], strict=True)
    ]
    shifts = [1.0 if left and right else 0.5 * (left or right) for left, right in walls]
    kinetic = [
        (s * np.pi * (np.arange(n) + shift)) ** 2 for s, n, shift in zip(stiff, orders, shifts, strict=True)
    ]
    total = (kinetic[0][:, None] + kinetic[1]).ravel()
    threshold = min(float(k[-1]) for k, c in zip(kinetic, stiffness, strict=True) if c)
    order = np.argsort(total, kind="stable")
    taken = order[: min(size, int((total < threshold).sum()))]
    least = min(threshold, float(total[order[len(taken)]]))  # K
    margin = least + float(w.min()) - highest
    if margin <= 0:
        return np.full(size, -np.inf)
    index = np.unravel_index(taken, orders)
    factors = [_pairs(j, shift, left) for j, shift, (left, _) in zip(index, shifts, walls, strict=True)]
    tables = [_cosines((e - e[0]) / (e[-1] - e[0]), n) for e, n in zip(edges, orders, strict=True)]
    p, p2 = (_matrix(tables[0] @ v @ tables[1].T, factors) for v in (w, w * w))
    h = p - (p2 - p @ p) / margin + np.diag(total[taken])
    levels = eigh((h + h.T) / 2, eigvals_only=True, subset_by_value=(-np.inf, highest))
    rounding = 1e-13 * len(taken) ** 0.5 * (least + np.abs(w).max() + (w * w).max() / margin)
    return np.concatenate([levels, np.full(size, highest)]) - rounding


def _cells(edges: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Centres and half-widths (…, 2) of the cells of a tensor grid."""
    parts = ([(e[1:] + e[:-1]) / 2 for e in edges], [np.diff(e) / 2 for e in edges])
    centres, half = (np.stack(np.meshgrid(*part, indexing="ij"), axis=-1) for part in parts)
    return centres, half * (1 + 1e-9)


def _minima(enclosure: Enclosure, centres: np.ndarray, half: np.ndarray, depth: int = 0) -> np.ndarray:
    """Lower bounds of V on cells, by the mean value form, V(centre) - Σ |∂_i V| h_i; of quarters where it has none."""
    x, h = (a.reshape(-1, 2)[:, : enclosure.dim] for a in (centres, half))
    low = np.empty(len(x))
    for start in range(0, len(x), _CHUNK):
        part = slice(start, start + _CHUNK)
        (value,), (whole, slope) = enclosure(x[part], 0 * h[part], 0), enclosure(x[part], h[part], 1)
        zero = (np.zeros((1, 1)),) * 2
        (vm, vr), (wm, wr), (sm, sr) = value or zero, whole or zero, slope or zero
        low[part] = np.fmax((vm - vr)[0] - ((np.abs(sm) + sr) * h[part].T).sum(0), (wm - wr)[0])
    bad = ~np.isfinite(low)
    if bad.any():
        if depth == _DEEPEST or bad.sum() > _CHUNK:
            where = ", ".join(f"{v:.4g}" for v in x[np.argmax(bad)])
            raise ValueError(
                f"bounds: V has no finite lower bound near x = ({where}): it is singular there, or its formula overflows; "
                "bounds() serves potentials that are finite in the whole box."
            )
        corners = np.array(list(itertools.product((-0.5, 0.5), repeat=2)))
        parts = centres.reshape(-1, 2)[bad][:, None] + corners * half.reshape(-1, 2)[bad][:, None]
        halves = np.broadcast_to(half.reshape(-1, 2)[bad][:, None] / 2 * (1 + 1e-9), parts.shape)
        low[bad] = _minima(enclosure, parts, halves, depth + 1).min(1)
    return low.reshape(centres.shape[:-1])


def _cosines(t: np.ndarray, count: int) -> np.ndarray:
    """∫ cos(q π t) dt over the cells between the edges t, q = 0, 1, …"""
    q = np.pi * np.arange(1, 2 * count + 2)[:, None]
    return np.concatenate([np.diff(t)[None], np.diff(np.sin(q * t), axis=1) / q])


def _pairs(j: np.ndarray, shift: float, sine: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """φ_a φ_b = Σ factor · cos(q π t) for waves sin or cos of (j + shift) π t: the two pairs of (q, factor)."""
    norm = np.where(j + shift == 0, np.sqrt(0.5), 1.0)
    factor = norm[:, None] * norm
    above = np.rint(j[:, None] + j + 2 * shift).astype(int)
    return [(np.abs(j[:, None] - j), factor), (above, -factor if sine else factor)]


def _matrix(spectrum: np.ndarray, factors: list[list[tuple[np.ndarray, np.ndarray]]]) -> np.ndarray:
    """∫ w φ_a φ_b from the integrals of w with products of cosines."""
    out = np.zeros(factors[0][0][0].shape)
    for (q, factor), (r, other) in itertools.product(*factors):
        out += factor * other * spectrum[q, r]
    return out
