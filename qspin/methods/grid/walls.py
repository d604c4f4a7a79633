"""What hard walls do to states on a mesh."""

import numpy as np

from qspin.methods.grid.mesh import Mesh
from qspin.problem.problem import Problem

__all__ = ["wall_shifts"]


def wall_shifts(problem: Problem, mesh: Mesh, energies: np.ndarray, functions: np.ndarray) -> np.ndarray:
    """How far hard walls raise each energy over that of free space, about, (N,); inf where the walls hold the state.

    A wall that recedes lowers E by c ∫ (∂ψ/∂n)² dS per length (Hadamard), and beyond it ψ falls as exp(-κ x),
    κ² = (V - E)/c, so the whole shift is near ∫ c (∂ψ/∂n)²/(2κ) dS. Where V < E at a wall that ψ reaches, free space has
    no such state.
    """
    if mesh.kept is not None:  # a region's walls are meant
        return np.full(len(energies), np.inf)
    stiffness = problem.local.coefficients
    values, total = functions.reshape(*mesh.shape, -1), np.zeros(len(energies))
    for i, axis in enumerate(mesh.axes):
        if axis.interval.periodic:
            continue
        others = np.ones(1)
        for j, other in enumerate(mesh.axes):
            others = np.multiply.outer(others, other.weights if j != i else np.ones(1)).ravel()
        for wall, first in ((axis.interval.lower, 0), (axis.interval.upper, -1)):
            slope = np.take(values, first, axis=i).reshape(-1, len(energies)) / (axis.points[first] - wall)
            points = (
                np.take(mesh.points.reshape(*mesh.shape, mesh.dim), first, axis=i)
                .reshape(-1, mesh.dim)
                .copy()
            )
            points[:, i] = wall + 1e-6 * (axis.points[first] - wall)
            lost = others[:, None] * stiffness[i] * np.abs(slope) ** 2
            kappa = np.sqrt(
                np.maximum(problem.potential_values(points)[:, None] - energies, 0) / stiffness[i]
            )
            held = (lost * (kappa == 0)).sum(0) * axis.interval.length > 1e-9 * np.abs(energies)
            outside = np.where(kappa > 0, lost / np.where(kappa > 0, 2 * kappa, 1), 0).sum(0)
            total += np.where(held, np.inf, outside)
    return total
