"""The pictures of a report, as PNG files' contents with words for those who do not see them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qspin.draw.history import has_history
from qspin.draw.html_page import Picture
from qspin.draw.isosurfaces import draw_isosurfaces
from qspin.draw.levels import draw_levels
from qspin.draw.marginals import marginals
from qspin.draw.orbitals import draw_orbitals
from qspin.draw.overlap import draw_overlap
from qspin.draw.plot import draw_training, png
from qspin.draw.style import with_error
from qspin.draw.windows import windows_of
from qspin.problem.domain import Box
from qspin.problem.hamiltonian import Operator
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.spectrum import Spectrum

MOST_STATES = 48  # that a report draws
_DPI = 90
_CONTOURS = 6
_AMPLITUDE, _DENSITY = r"$\psi$", r"$|\psi|^2$"


class Remembered(Eigenfunctions):
    """The same functions, evaluated once at each set of points: a report's pictures share meshes, and each call may compile."""

    def __init__(self, functions: Eigenfunctions) -> None:
        self.functions = functions
        self._values: dict[bytes, np.ndarray] = {}

    @property
    def n_states(self) -> int:
        return self.functions.n_states

    @property
    def dim(self) -> int:
        return self.functions.dim

    def __call__(self, points: np.ndarray) -> np.ndarray:
        key = np.ascontiguousarray(points).tobytes()
        if key not in self._values:
            self._values[key] = self.functions(points)
        return self._values[key]

    @cached_property
    def _rule(self) -> tuple[np.ndarray, np.ndarray]:
        return self.functions.quadrature()

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self._rule

    def image(self, operator: Operator) -> np.ndarray:
        return self.functions.image(operator)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return self.functions.record()


def drawable(spectrum: Spectrum) -> bool:
    """Whether there are coordinates to draw the functions over."""
    return isinstance(spectrum.domain, Box)


def together(spectrum: Spectrum, n: int) -> Picture:
    """The first n states in one picture."""
    drawn = draw_orbitals(spectrum, None, Figure, states=range(n), points=120)
    how = {1: "each lifted to its energy, over the potential where it is known", 2: "one panel each"}.get(
        spectrum.domain.dim, "one panel each, on a plane"
    )
    return Picture(png(drawn, _DPI), f"The first {n} eigenfunctions of {spectrum.name}.", f"ψ, {how}.")


def one_by_one(spectrum: Spectrum, n: int) -> list[Picture]:
    """Each of the first n states by itself, ψ beside |ψ|², in three dimensions beside a surface."""
    dim, states = spectrum.domain.dim, range(n)
    if dim == 1:
        figures = _lifted(spectrum, n)
        caption = "left ψ, right |ψ|², over V where it is known"
    else:
        figures = [Figure(figsize=(8.2, 3.9), layout="constrained") for _ in states]
        left = np.array([figure.add_subplot(1, 2, 1) for figure in figures], dtype=object)
        draw_orbitals(spectrum, left, Figure, states=states, contours=_CONTOURS)
        projection = "3d" if dim == 3 else None
        right = np.array([f.add_subplot(1, 2, 2, projection=projection) for f in figures], dtype=object)
        if dim == 3:
            draw_isosurfaces(spectrum, right, Figure, states=states)
            caption = "left ψ on a plane, right the surface |ψ| = c that holds 70 % of the probability"
        else:
            draw_orbitals(spectrum, right, Figure, states=states, contours=_CONTOURS, density=True)
            caption = "left ψ, right |ψ|²"
            for ax in right:
                ax.set_title(_DENSITY, fontsize=9)
                ax.set_ylabel("")
    pictures = []
    for k, figure in enumerate(figures):
        energy = with_error(spectrum.energies[k], spectrum.errors[k])
        units = f" {spectrum.units}" if spectrum.units else ""
        doubt = "" if spectrum.converged[k] else " NOT CONVERGED."
        alt = f"Eigenfunction {k} of {spectrum.name}, at energy {energy}{units}."
        pictures.append(
            Picture(png(figure.axes, _DPI), alt, f"State {k}, E = {energy}{units}: {caption}.{doubt}")
        )
    return pictures


def _lifted(spectrum: Spectrum, n: int) -> list[Figure]:
    (window,) = windows_of(spectrum, list(range(n)))[:1, 0]
    figures = []
    for k in range(n):
        figure = Figure(figsize=(9.0, 3.4), layout="constrained")
        for ax, density in zip(figure.subplots(1, 2), (False, True), strict=True):
            draw_orbitals(spectrum, ax, Figure, states=[k], window=tuple(window), density=density)
            for label in list(ax.texts):  # the energy stands in the caption
                label.remove()
            ax.set_title(_DENSITY if density else _AMPLITUDE, loc="left", fontsize=11)
            ax.set_ylabel("" if density else ax.get_ylabel())
        figures.append(figure)
    return figures


def densities(spectrum: Spectrum) -> Picture:
    """Densities along single coordinates, of states in many dimensions."""
    drawn = marginals(spectrum, points=65_536)
    image = png(drawn, _DPI)
    plt.close(drawn[0].figure)
    words = f"Densities of the lowest states of {spectrum.name} along single coordinates."
    return Picture(image, words, "|ψ|² along single coordinates, all others integrated over.")


def level_diagram(spectrum: Spectrum, reference: Spectrum | None) -> Picture:
    """Energies beside the reference's and the exact ones."""
    beside = " beside those of the reference" if reference is not None else ""
    exact = " and the exact ones" if spectrum.exact is not None else ""
    return Picture(
        png(draw_levels(spectrum, None, Figure, reference), _DPI),
        f"Energy levels of {spectrum.name}{beside}{exact}.",
        f"Energy levels{beside}{exact}; ×2 and the like count degenerate levels, bars are claimed errors.",
    )


def overlaps(spectrum: Spectrum, reference: Spectrum) -> Picture:
    """|⟨reference|ψ⟩|² of all pairs of states."""
    return Picture(
        png(draw_overlap(spectrum, reference, None, Figure), _DPI),
        f"Matrix of overlaps of {spectrum.name} by {spectrum.method} with {reference.method}.",
        "Squared overlaps. Framed are levels that cannot be told apart; beside them the largest angle between the eigenspaces.",
    )


def training(spectrum: Spectrum, reference: Spectrum | None) -> Picture | None:
    """Energies against steps; None where nothing was trained."""
    if not has_history(spectrum):
        return None
    return Picture(
        png(draw_training(spectrum, reference), _DPI),
        f"Energies of {spectrum.name} during training.",
        "Energies during training; dots are the final energies, from a fresh evaluation. Where something is known to measure "
        "from, below: distance from it, with bars up to the claimed errors.",
    )
