"""Where the wanted states live, before anything is solved: the Thomas–Fermi estimate from V alone.

A Hamiltonian Σ_i c_i p_i² + V has about N(E) = ω_d ∏ c_i^(-1/2) ∫ (E - V)₊^(d/2) dx / (2π)^d states below E (Weyl's law;
ω_d the volume of the unit ball). The energy at which N(E) reaches the number wanted, and the density
∝ (E - V)₊^(d/2) that goes with it, give a mean and a covariance: scales for the network's inputs and for sampling.
"""

from math import gamma, pi

import numpy as np

from qspin.numerics.points import golden_lattice
from qspin.problem.domain import Box, Cloud
from qspin.problem.problem import Problem

__all__ = ["thomas_fermi"]

_POINTS = 16_384
_PASSES = 4


def thomas_fermi(problem: Problem, n_states: int) -> Cloud | None:
    """Mean and covariance of the semiclassical density of the lowest states; None with singular centres or periodic
    axes, and for anything but a Hamiltonian in a box.

    Costs at most 4 · 16,384 evaluations of V. The estimate only sets scales: nothing is assumed of it beyond that.
    """
    if not problem.is_boxed_hamiltonian:
        return None
    assert isinstance(problem.domain, Box)
    if problem.hamiltonian.singularities or any(problem.domain.periodic):
        return None
    dim = problem.dim
    stiffness = problem.local.coefficients
    per_volume = pi ** (dim / 2) / gamma(dim / 2 + 1) / np.sqrt(stiffness).prod() / (2 * pi) ** dim
    wanted = 1.5 * n_states + dim  # beyond N, so that the tails of the last state are inside
    lower, upper = np.asarray(problem.domain.lower), np.asarray(problem.domain.upper)
    unit = golden_lattice(_POINTS, dim)
    for _ in range(_PASSES):
        x = lower + (upper - lower) * (1e-9 + (1 - 2e-9) * unit)
        v = np.where(problem.domain.contains(x), problem.potential_values(x), np.inf)
        cell = float((upper - lower).prod()) / _POINTS
        energy = _energy(v, per_volume * cell, dim / 2, wanted)
        density = np.maximum(energy - v, 0) ** (dim / 2)
        inside = density > 0
        if inside.mean() > 0.1:
            break
        # The well fills little of the box: look again at its surroundings only.
        low, high = x[inside].min(0), x[inside].max(0)
        margin = 0.25 * (high - low) + (upper - lower) * _POINTS ** (-1 / dim)
        lower, upper = np.maximum(lower, low - margin), np.minimum(upper, high + margin)
    mean = density @ x / density.sum()
    offset = x - mean
    return Cloud(
        tuple(float(c) for c in mean),
        tuple(tuple(float(c) for c in row) for row in (density * offset.T) @ offset / density.sum()),
    )


def _energy(v: np.ndarray, states_per_point: float, power: float, wanted: float) -> float:
    """E with states_per_point · Σ (E - v)₊^power = wanted, by bisection: the left side rises with E."""
    v = v[np.isfinite(v)]
    low, high = float(v.min()), float(v.min()) + (wanted / states_per_point) ** (1 / power)
    for _ in range(200):
        middle = (low + high) / 2
        if states_per_point * (np.maximum(middle - v, 0) ** power).sum() < wanted:
            low = middle
        else:
            high = middle
    return high
