"""Orbitals: in one dimension over V at their energies, above it in panels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from qspin.draw.panels import draw_panels, panel_axes
from qspin.draw.style import (
    chosen_states,
    colour_of,
    energy_label,
    finish,
    label_right,
    one_axes,
    title_of,
    with_error,
)
from qspin.draw.windows import box_of, drawable, given_window, potential_at, set_limits, windows_of
from qspin.numerics.checks import whole
from qspin.spectrum.spectrum import Spectrum

__all__ = ["orbitals"]


def orbitals(
    spectrum: Spectrum,
    ax: Any = None,
    states: Sequence[int] | np.ndarray | None = None,
    points: int = 200,
    window: Any = None,
    contours: int = 0,
    density: bool = False,
) -> Any:
    """Draw the eigenfunctions.

    1D: each state over V(x), lifted to its energy; amplitudes share one scale, fitted to the level spacing.
    2D: one panel a state, blue negative and red positive, each panel ± its own largest value (a cusp may
    exceed it). 3D and above: the same on a coordinate plane through the middle of the box, or, where the
    state vanishes on those, through its largest value; the title says which.

    Args:
        spectrum: what to draw.
        ax: an Axes in 1D; else an array of Axes, one a state. None makes a new figure.
        states: which states, by index; all of them by default.
        points: mesh points along each axis of a panel; five times as many in 1D.
        window: (low, high) for each coordinate of the domain; by default where the density is: one window
            for all states of similar size, else one for each degenerate group.
        contours: how many contours of V to draw in a panel, where V is known.
        density: draw |ψ|² instead of ψ.

    Returns the Axes in 1D, else an (n,) array of Axes. Hard walls inside the window are hatched. A state that
    did not converge says so. Raises ValueError for states or a window out of range, or too few Axes.

    Example: `spectrum.plot_orbitals(states=[0, 1]).figure.savefig("orbitals.png")` for a 1D problem.
    """
    return draw_orbitals(spectrum, ax, plt.figure, states, points, window, contours, density)


def draw_orbitals(
    spectrum: Spectrum,
    ax: Any,
    make_figure: Callable[..., Any],
    states: Sequence[int] | np.ndarray | None = None,
    points: int = 200,
    window: Any = None,
    contours: int = 0,
    density: bool = False,
) -> Any:
    """`orbitals`, on new figures of that maker's."""
    box = box_of(spectrum)
    chosen = chosen_states(spectrum, states)
    points, contours = whole("orbitals: points", points, 2), whole("orbitals: contours", contours, 0)
    windows = windows_of(spectrum, chosen) if window is None else given_window(box, window, len(chosen))
    title = title_of(spectrum) + (r": $|\psi|^2$" if density else "")
    if spectrum.domain.dim == 1:
        drawn = _draw_lifted(
            one_axes(ax, make_figure, len(chosen)), spectrum, chosen, windows[0, 0], 5 * points, density
        )
        drawn.set_title(title, fontsize=11, loc="left")
        return drawn
    axes = panel_axes(ax, make_figure, spectrum, windows, title)
    return draw_panels(axes, spectrum, chosen, windows, points, contours, density)


def _draw_lifted(
    ax: Any, spectrum: Spectrum, chosen: list[int], window: np.ndarray, points: int, density: bool
) -> Any:
    domain = box_of(spectrum)
    x = np.linspace(max(window[0], domain.lower[0]), min(window[1], domain.upper[0]), points)
    psi = drawable(spectrum(x[:, None])[:, chosen])
    psi = psi**2 if density else psi
    energies = spectrum.energies[chosen]
    inner = np.clip(x, domain.lower[0] + 1e-9 * domain.lengths[0], domain.upper[0] - 1e-9 * domain.lengths[0])
    v = potential_at(spectrum, inner[:, None])

    spacing = level_spacing(energies, v)
    amplitude = (0.8 if density else 0.45) * spacing / max(float(np.abs(psi).max()), 1e-300)
    low, high = energies.min() - 0.8 * spacing, energies.max() + 1.1 * spacing
    if v is not None:  # the bottom of V, unless it is so deep that the levels would shrink
        low = max(min(low, v.min() - 0.15 * spacing), energies.min() - 0.6 * (high - low) - spacing)
    ax.set_ylim(low, high)
    set_limits(ax, domain, window[None], (0,))
    if v is not None:
        ax.plot(x, np.clip(v, low - spacing, high + spacing), color="k", lw=1.3, zorder=1.5, label="V")
        ax.fill_between(x, low, np.clip(v, low, high + spacing), color="0.5", alpha=0.08, lw=0, zorder=0)
    for i, k in enumerate(chosen):
        lifted = energies[i] + amplitude * psi[:, i]
        ax.axhline(energies[i], color=colour_of(k), lw=0.7, ls=(0, (4, 3)), alpha=0.8, zorder=2)
        ax.fill_between(x, energies[i], lifted, color=colour_of(k), alpha=0.15, lw=0, zorder=2)
        ax.plot(x, lifted, color=colour_of(k), lw=1.4, zorder=3)
    texts = []
    for k in chosen:
        mark = "" if spectrum.converged[k] else " (not converged)"
        texts.append(f"$E_{{{k}}}$ = {with_error(spectrum.energies[k], spectrum.errors[k])}{mark}")
    label_right(ax, energies, texts, colours=[colour_of(k) for k in chosen])
    ax.set_xlabel("x")
    finish(ax, spectrum, ylabel=energy_label(spectrum))
    return ax


def level_spacing(energies: np.ndarray, v: np.ndarray | None) -> float:
    """A typical distance between levels; near-degenerate ones count as one level."""
    span = float(np.ptp(energies))
    if span <= 1e-9 * max(float(np.abs(energies).max()), 1e-300):
        size = float(np.abs(energies).max()) or 1.0
        height = 0.0 if v is None else float(energies.min() - v.min())
        return min(height, size) if height > 0 else size
    gaps = np.diff(np.sort(energies))
    wide = gaps[gaps > 0.2 * span / len(energies)]
    return float(np.quantile(wide, 0.3))
