"""Spectra whose functions are known in closed form: cheap things to draw."""

from itertools import product
from math import factorial

import numpy as np

from qspin.problem.domain import Box
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.spectrum import Spectrum


class Known(Eigenfunctions):
    """Functions in closed form, with midpoints as quadrature."""

    def __init__(self, function, n_states, domain, per_axis):
        self.function, self._n, self.domain = function, n_states, domain
        axes = [
            low + (high - low) * (np.arange(per_axis) + 0.5) / per_axis
            for low, high in zip(domain.lower, domain.upper, strict=True)
        ]
        self.points = np.stack([c.ravel() for c in np.meshgrid(*axes, indexing="ij")], axis=1)

    n_states = property(lambda self: self._n)
    dim = property(lambda self: self.domain.dim)

    def __call__(self, points):
        assert self.domain.contains(points).all(), "drawn outside the box"
        return self.function(points)

    def quadrature(self):
        return self.points, np.full(len(self.points), self.domain.volume / len(self.points))

    def image(self, operator):
        raise NotImplementedError

    def record(self):
        raise NotImplementedError


def spectrum_of(function, energies, domain, per_axis, **fields):
    energies = np.asarray(energies, dtype=float)
    n = len(energies)
    settings = {
        "errors": np.full(n, 4e-5),
        "residuals": np.full(n, 1e-3),
        "converged": np.ones(n, bool),
        "eigenfunctions": Known(function, n, domain, per_axis),
        "domain": domain,
        "name": "known",
        "method": "formula",
    }
    return Spectrum(energies=energies, **(settings | fields))


def hermite(n, x):
    coefficients = np.eye(n + 1)[n]
    values = np.polynomial.hermite.hermval(x, coefficients) * np.exp(-(x**2) / 2)
    return values / np.sqrt(2.0**n * factorial(n) * np.sqrt(np.pi))


def oscillator(n_states, dim, half_width=8.0, **fields):
    """½|x|²: with per_axis small in three dimensions."""
    quanta = sorted(product(range(n_states), repeat=dim), key=sum)[:n_states]

    def function(x):
        return np.stack(
            [np.prod([hermite(q, x[:, i]) for i, q in enumerate(qs)], axis=0) for qs in quanta], axis=1
        )

    energies = [sum(qs) + dim / 2 for qs in quanta]
    fields = {"potential": lambda x: (x**2).sum(-1) / 2} | fields
    return spectrum_of(
        function, energies, Box.cube(half_width, dim), {1: 400, 2: 80, 3: 40, 4: 16}[dim], **fields
    )


def well(n_states, periodic=False, **fields):
    """A box [0, 1] with nothing in it."""
    n = np.arange(1, n_states + 1)

    def function(x):
        return np.sqrt(2) * np.sin(np.pi * n * x)

    return spectrum_of(function, np.pi**2 * n**2 / 2, Box(0.0, 1.0, periodic), 400, **fields)


def hydrogen(**fields):
    """1s, 2s, 2p_x, 2p_y, 2p_z in a box far larger than 1s."""

    def function(x):
        r = np.linalg.norm(x, axis=1)
        twos = [(2 - r), x[:, 0], x[:, 1], x[:, 2]]
        return np.stack(
            [np.exp(-r) / np.sqrt(np.pi)] + [f * np.exp(-r / 2) / np.sqrt(32 * np.pi) for f in twos], axis=1
        )

    fields = {"exact": np.array([-0.5] + [-0.125] * 4 + [-1 / 18])} | fields
    return spectrum_of(function, [-0.5] + [-0.125] * 4, Box.cube(20.0, 3), 60, **fields)


def trained(spectrum_maker, *args, rows=200, **fields):
    """With a history that falls onto the energies from far above."""
    energies = spectrum_maker(*args).energies
    steps = 10 * np.arange(1, rows + 1)
    running = energies + (1 + np.arange(len(energies))) * 1e3 * np.exp(-steps[:, None] / 20)
    return spectrum_maker(*args, history={"step": steps, "energies": running}, **fields)
