"""How much hard walls raise energies: one estimate, for all methods."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri

from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box
from qspin.problem.problem import Problem
from qspin.problem.region import Region
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.notes import note
from qspin.spectrum.spectrum import Spectrum

__all__ = ["noting_walls", "wall_shifts"]

_POINTS = 8192  # on all walls together
_OUT_OF_REACH = 15.0  # standard deviations of |ψ|² beyond which a wall has no effect
_NOTICED = 1e-9  # share of an energy below which a shift is not mentioned


def noting_walls(problem: Problem, spectrum: Spectrum, meant: bool = True) -> Spectrum:
    """The spectrum with its wall shifts, and a note on the states that walls raise by more than their claimed error.

    Walls that are not `meant`, those of the box that stands for `Space`, are an error of the energy: twice the shift, which is
    an estimate within a factor of two, is added to the claimed one.
    """
    if isinstance(problem.domain, Region) or not problem.is_boxed_hamiltonian:  # a region's walls are meant
        return spectrum
    shifts = spectrum.wall_shifts
    if shifts is None:
        shifts = wall_shifts(problem, spectrum.eigenfunctions, spectrum.energies)
    if not meant:
        spectrum = replace(spectrum, errors=spectrum.errors + 2 * np.where(np.isfinite(shifts), shifts, 0))
    least = np.maximum(spectrum.errors, _NOTICED * np.abs(spectrum.energies))
    noticed = np.isfinite(shifts) & (shifts > least)
    new = note(
        "walls",
        noticed,
        f"the walls raise the energy by up to {shifts[noticed].max(initial=0.0):.1e} over that of free space",
        "where they are not meant, enlarge the box",
    )
    noted = any(
        remark.kind == "walls" for remark in spectrum.notes
    )  # by a method whose energies are those of free space
    return replace(spectrum, wall_shifts=shifts, notes=spectrum.notes if noted else spectrum.notes + new)


def wall_shifts(
    problem: Problem, functions: Eigenfunctions, energies: Float[np.ndarray, " states"]
) -> Float[np.ndarray, " states"]:
    """An estimate of how far hard walls raise each energy over that of free space, (N,); inf where only walls bind the state.

    A wall that recedes lowers E by c ∫ (∂ψ/∂n)² dS per length (Hadamard), and beyond it ψ falls as exp(-κs), κ² = (V - E)/c; so
    the whole shift is near ∫ c (∂ψ/∂n)²/(2κ) dS. Of functions that do not end at the wall, the slope that it would give them
    is 2κψ. Where V < E at a wall that ψ reaches, free space has no such state. Each wall is sampled as |ψ|² falls off there;
    costs 8192 values of ψ, and as many beside them.
    """
    box = problem.domain
    assert isinstance(box, Box)
    dim = problem.dim
    points, weights = functions.quadrature()
    density = np.sum(np.abs(functions(points)) ** 2, axis=1) * weights
    density /= density.sum()
    mean = density @ points
    covariance = (points - mean).T @ ((points - mean) * density[:, None])
    if not (np.isfinite(covariance).all() and np.linalg.eigvalsh(covariance)[0] > 0):
        return np.full(len(energies), np.nan)  # of functions that cannot be integrated nothing is known
    deviation = np.sqrt(np.diagonal(covariance))
    count = max(_POINTS // (2 * dim), 64) if dim > 1 else 1
    normal = ndtri(golden_lattice(count, max(dim - 1, 1)))
    total = np.zeros(len(energies))
    for i in (axis for axis, turns in enumerate(box.periodic) if not turns):
        rest = np.delete(np.arange(dim), i)
        for wall, inward in ((box.lower[i], 1.0), (box.upper[i], -1.0)):
            away = wall - mean[i]
            if abs(away) > _OUT_OF_REACH * deviation[i]:
                continue
            # Of a normal density, the part on the wall: its mean there, and its covariance along it.
            lean = covariance[rest, i] / covariance[i, i]
            along = covariance[np.ix_(rest, rest)] - np.outer(lean, covariance[i, rest])
            root = np.linalg.cholesky(along) if dim > 1 else np.zeros((0, 0))
            x = np.empty((count, dim))
            x[:, rest] = mean[rest] + lean * away + (normal[:, : dim - 1] @ root.T)
            x[:, i] = wall + inward * 1e-9 * box.lengths[i]
            area = np.exp(np.sum(normal[:, : dim - 1] ** 2, axis=1) / 2) * (2 * np.pi) ** ((dim - 1) / 2)
            area = area * np.prod(np.diagonal(root)) / count
            held = np.asarray(box.contains(x))
            kappa = np.sqrt(
                np.maximum(problem.potential_values(x[held])[:, None] - energies, 0)
                / problem.local.coefficients[i]
            )
            step = 1e-3 * min(1 / max(float(kappa.max(initial=0.0)), 1e-300), deviation[i])
            beside = x[held]
            beside[:, i] += inward * step
            psi = functions(x[held])
            slope = np.abs(functions(beside) - psi) / step + kappa * np.abs(psi)
            lost = area[held][:, None] * problem.local.coefficients[i] * slope**2
            free = (lost * (kappa == 0)).sum(0) * box.lengths[i] > 1e-9 * np.abs(energies)
            added = np.where(kappa > 0, lost / np.where(kappa > 0, 2 * kappa, 1), 0).sum(0)
            total += np.where(free, np.inf, added)
    return total
