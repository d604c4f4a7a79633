"""`Axis`: points, weights and the matrix of -d²/dx² on one axis of a mesh: by differences, by a series, on elements.

The unknowns are √w_i ψ(x_i), w_i the weight of point i, and the matrix for them is symmetric. On uniform axes w is constant,
and the matrix acts on plain values just as well. With hard walls only inner points are unknowns.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from qspin.numerics.finite_elements import gauss_lobatto, lagrange, stiffness_and_mass

__all__ = ["STENCILS", "Axis", "axis_of", "dvr_axis", "element_axis", "uniform_axis"]

# Central second differences: weights of ψ(x), ψ(x ± h), ψ(x ± 2h), … for ψ''h² (Fornberg 1988).
STENCILS = {
    2: (-2.0, 1.0),
    4: (-5 / 2, 4 / 3, -1 / 12),
    6: (-49 / 18, 3 / 2, -3 / 20, 1 / 90),
    8: (-205 / 72, 8 / 5, -1 / 5, 8 / 315, -1 / 560),
}


@dataclass(frozen=True, eq=False)
class Axis:
    """Points (n,), weights (n,), and the symmetric matrix of -d²/dx² for √w ψ; of elements also edges and degree."""

    points: np.ndarray
    weights: np.ndarray
    matrix: sp.csr_array
    lower: float
    upper: float
    periodic: bool
    edges: np.ndarray | None = None
    degree: int = 0
    order: int = 0  # of the differences; 0 for the others
    phase: float = 0.0  # ψ(x + length) = exp(i phase) ψ(x) on a periodic axis

    def record(self) -> dict[str, Any]:
        """What `axis_of` makes it from again, as JSON."""
        ends = {"lower": self.lower, "upper": self.upper, "periodic": self.periodic}
        if self.edges is not None:
            return {**ends, "edges": self.edges.tolist(), "degree": self.degree}
        return {**ends, "points": len(self.points), "order": self.order, "phase": self.phase}

    def local_basis(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which values (P, m) of a function interpolate it at points (P,), and with what weights: on elements by their own
        polynomial, with differences by the one through the order + 2 points about x, of a DVR by its whole series."""
        if self.edges is not None:
            return self._on_elements(x)
        n, length = len(self.points), self.upper - self.lower
        if not self.order:
            every = np.broadcast_to(np.arange(n), (len(x), n))
            if not self.periodic:
                j = np.arange(1, n + 1)
                waves = np.sin(np.pi / length * np.outer(x - self.lower, j))
                return every, 2 / (n + 1) * waves @ np.sin(np.pi / (n + 1) * np.outer(j, j))
            k = (2 * np.pi * (np.arange(n) - n // 2) + self.phase) / length
            waves = np.exp(1j * np.outer(x, k)) @ np.exp(-1j * np.outer(k, self.points)) / n
            return every, waves if self.phase else waves.real
        h = self.weights[0]
        width = self.order + 2
        first = np.floor((x - self.points[0]) / h).astype(int) - (width // 2 - 1)
        t = (x - self.points[0]) / h - first
        share = lagrange(np.arange(float(width)), t)
        index = first[:, None] + np.arange(width)
        if self.periodic:
            turns = index // n
            return index % n, share * np.exp(1j * self.phase * turns) if self.phase else share
        # Beyond a wall, which stands at -1 or n, ψ's odd reflection, as the differences have it.
        low, high = index < -1, index > n
        index = np.where(low, -2 - index, np.where(high, 2 * n - index, index))
        share = np.where(low | high, -share, share)
        known = (index >= 0) & (index < n)
        return np.where(known, index, 0), np.where(known, share, 0.0)

    def _on_elements(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert self.edges is not None
        element = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        low, high = self.edges[element], self.edges[element + 1]
        share = lagrange(gauss_lobatto(self.degree)[0], 2 * (x - low) / (high - low) - 1)
        index = element[:, None] * self.degree + np.arange(self.degree + 1)
        if self.periodic:
            return index % len(self.points), share
        known = (index >= 1) & (index <= len(self.points))
        return np.where(known, index - 1, 0), np.where(known, share, 0.0)


def uniform_axis(
    lower: float, upper: float, n_points: int, order: int = 2, periodic: bool = False, phase: float = 0.0
) -> Axis:
    """Equal spacing h, differences of even order: error O(h^order) for smooth ψ.

    At walls the stencil is completed by ψ's odd reflection, which is exact as far as V is even about the wall, and good
    wherever ψ is small there.
    """
    stencil = STENCILS[order]
    h = (upper - lower) / (n_points if periodic else n_points + 1)
    rows, columns, entries = [], [], []
    index = np.arange(n_points)
    for reach, weight in enumerate(stencil):
        for shift in {reach, -reach}:
            target, sign = index + shift, np.ones(n_points, complex if phase else float)
            if periodic:
                if phase:
                    sign = np.exp(1j * phase * (target // n_points))
                target = target % n_points
            else:  # walls stand at -1 and n: ψ(-1-m) = -ψ(-1+m)
                outside = (target < -1) | (target > n_points)
                sign = np.where(outside, -1.0, 1.0)
                target = np.where(
                    target < -1, -2 - target, np.where(target > n_points, 2 * n_points - target, target)
                )
            kept = (target >= 0) & (target < n_points)
            rows.append(index[kept])
            columns.append(target[kept])
            entries.append(-weight / h**2 * sign[kept])
    matrix = sp.csr_array(
        (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(n_points, n_points)
    )
    points = lower + h * (index + (0.5 if periodic else 1.0))
    return Axis(points, np.full(n_points, h), matrix, lower, upper, periodic, order=order, phase=phase)


def dvr_axis(lower: float, upper: float, n_points: int, periodic: bool = False, phase: float = 0.0) -> Axis:
    """The points of `uniform_axis`, and -d²/dx² of the series through them."""
    n = n_points
    j = np.arange(1, n + 1)
    if periodic:
        h = (upper - lower) / n
        turns = np.arange(n) - n // 2
        waves = np.exp(2j * np.pi / n * np.outer(j, turns + phase / (2 * np.pi))) / np.sqrt(n)
        matrix = (waves * ((2 * np.pi * turns + phase) / (upper - lower)) ** 2) @ waves.conj().T
        matrix = matrix if phase else matrix.real
        points = lower + h * (j - 0.5)
    else:
        h = (upper - lower) / (n + 1)
        sines = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(j, j) / (n + 1))
        matrix = (sines * (np.pi * j / (upper - lower)) ** 2) @ sines
        points = lower + h * j
    matrix = (matrix + matrix.conj().T) / 2
    return Axis(points, np.full(n, h), sp.csr_array(matrix), lower, upper, periodic, phase=phase)


def element_axis(lower: float, upper: float, periodic: bool, edges: np.ndarray, degree: int) -> Axis:
    """DVR elements between `edges`; at walls the end nodes are no unknowns."""
    nodes, stiffness, mass = stiffness_and_mass(edges, degree, periodic)
    kept = slice(None) if periodic else slice(1, -1)
    nodes, stiffness, mass = nodes[kept], stiffness[kept, kept], mass[kept]
    scale = sp.diags_array(1 / np.sqrt(mass))
    matrix = sp.csr_array(scale @ stiffness @ scale)
    return Axis(nodes, mass, matrix, lower, upper, periodic, edges, degree)


def axis_of(record: Mapping[str, Any]) -> Axis:
    """An axis from its `record`."""
    lower, upper, periodic = record["lower"], record["upper"], record["periodic"]
    if "edges" in record:
        return element_axis(lower, upper, periodic, np.array(record["edges"]), record["degree"])
    phase = record.get("phase", 0.0)
    if record["order"]:
        return uniform_axis(lower, upper, record["points"], record["order"], periodic, phase)
    return dvr_axis(lower, upper, record["points"], periodic, phase)
