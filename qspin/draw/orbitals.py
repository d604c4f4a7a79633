"""Eigenfunctions over their coordinates: lifted to their energies over V, on planes, as densities along coordinates."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from qspin.draw import style
from qspin.methods.sampled.functions import marginal
from qspin.numerics.checks import whole
from qspin.problem.region import Region
from qspin.spectrum.spectrum import Spectrum

__all__ = ["marginals", "orbitals"]

_CUT = 2e-3  # share of a panel that may exceed its colour scale, so that a cusp does not bleach the rest
_MOST_AXES = 6  # coordinates that `marginals` draws by default


def orbitals(
    spectrum: Spectrum,
    ax: Any = None,
    states: Any = None,
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
        ax: an array of Axes, one a state; in 1D also an Axes for all states. None makes a new figure; an empty `Figure` is
            filled.
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
    chosen = style.chosen_states(spectrum, states)
    points, contours = whole("orbitals: points", points, 2), whole("orbitals: contours", contours, 0)
    windows = style.windows_of(spectrum, chosen, window)
    title = style.title_of(spectrum) + (r": $|\psi|^2$" if density else "")
    if spectrum.domain.dim > 1:
        axes = _panel_axes(ax, spectrum, windows, title)
        _draw_panels(axes, spectrum, chosen, windows, points, contours, density)
        return axes
    if np.size(ax) > 1:
        axes = style.given_axes("orbitals", ax, len(chosen))
        for one, k in zip(axes, chosen, strict=True):
            _draw_lifted(one, spectrum, [k], windows[0], 5 * points, density)
        return axes
    ax = style.one_axes("orbitals", ax, height=float(np.clip(0.17 * len(chosen) + 1.2, 4.4, 12.0)))
    _draw_lifted(ax, spectrum, chosen, windows[0], 5 * points, density)
    ax.set_title(title, fontsize=11, loc="left")
    return ax


# --- one dimension


def _draw_lifted(
    ax: Any,
    spectrum: Spectrum,
    chosen: list[int],
    window: Float[np.ndarray, "1 2"],
    points: int,
    density: bool,
) -> None:
    x, v = line_and_potential(spectrum, window, points)
    psi = style.drawable(spectrum(x[:, None])[:, chosen])
    psi = psi**2 if density else psi
    energies, colours = spectrum.energies[chosen], [style.colour_of(k) for k in chosen]
    spacing = _level_spacing(energies, v)
    amplitude = (0.8 if density else 0.45) * spacing / max(float(np.abs(psi).max()), 1e-300)
    draw_potential(ax, spectrum, window, x, v, energies, spacing)
    for energy, function, colour in zip(energies, psi.T, colours, strict=True):
        lifted = energy + amplitude * function
        ax.axhline(energy, color=colour, lw=0.7, ls=(0, (4, 3)), alpha=0.8, zorder=2)
        ax.fill_between(x, energy, lifted, color=colour, alpha=0.15, lw=0, zorder=2)
        ax.plot(x, lifted, color=colour, lw=1.4, zorder=3)
    doubts = ["" if converged else " (not converged)" for converged in spectrum.converged]
    texts = [
        f"$E_{{{k}}}$ = {style.with_error(spectrum.energies[k], spectrum.errors[k])}{doubts[k]}"
        for k in chosen
    ]
    style.label_levels(ax, 1.0, energies, texts, colours)
    style.finish(ax, spectrum, "energy")


def line_and_potential(
    spectrum: Spectrum, window: Float[np.ndarray, "1 2"], points: int
) -> tuple[Float[np.ndarray, " points"], Float[np.ndarray, " points"] | None]:
    """Points along the part of a window that is in the box, and V there."""
    low, high = style.within_walls(style.box_of(spectrum), window)[0]
    x = np.linspace(low, high, points)
    return x, style.potential_at(spectrum, x[:, None])


def draw_potential(
    ax: Any,
    spectrum: Spectrum,
    window: Float[np.ndarray, "1 2"],
    x: Float[np.ndarray, " points"],
    v: Float[np.ndarray, " points"] | None,
    energies: Float[np.ndarray, " n"],
    spacing: float,
) -> None:
    """V and the walls, on axes that show levels and what is lifted over them by at most a spacing."""
    low, high = energies.min() - 0.8 * spacing, energies.max() + 1.1 * spacing
    if v is not None:  # the bottom of V, unless it is so deep that the levels would shrink
        low = max(min(low, v.min() - 0.15 * spacing), energies.min() - 0.6 * (high - low) - spacing)
        ax.plot(x, np.clip(v, low - spacing, high + spacing), color="k", lw=1.3, zorder=1.5, label="V")
        ax.fill_between(x, low, np.clip(v, low, high + spacing), color="0.5", alpha=0.08, lw=0, zorder=0)
    ax.set(xlabel="x", ylim=(low, high))
    style.set_limits(ax, style.box_of(spectrum), window, (0,))


def _level_spacing(energies: Float[np.ndarray, " n"], v: Float[np.ndarray, " points"] | None) -> float:
    """A typical distance between levels; near-degenerate ones count as one level."""
    span, size = float(np.ptp(energies)), float(np.abs(energies).max()) or 1.0
    if span <= 1e-9 * size:
        height = 0.0 if v is None else float(energies.min() - v.min())
        return min(height, size) if height > 0 else size
    gaps = np.diff(np.sort(energies))
    return float(np.quantile(gaps[gaps > 0.2 * span / len(energies)], 0.3))


# --- on planes


class _Plane(NamedTuple):
    """A coordinate plane: the two coordinates drawn, and the point it passes through."""

    drawn: tuple[int, int]
    through: np.ndarray

    def points(self, x: Float[np.ndarray, " nx"], y: Float[np.ndarray, " ny"]) -> np.ndarray:
        """The mesh x × y in this plane, (len(y) · len(x), dim)."""
        mesh = np.tile(self.through, (len(y) * len(x), 1))
        mesh[:, self.drawn[0]], mesh[:, self.drawn[1]] = (c.ravel() for c in np.meshgrid(x, y))
        return mesh

    def describe(self) -> list[str]:
        """A line for a title, such as z = 0; none in two dimensions."""
        names = style.coordinate_names(len(self.through))
        held = [axis for axis in range(len(names)) if axis not in self.drawn]
        places = [f"{names[axis]} = {self.through[axis] + 0.0:.2g}".replace("-", "−") for axis in held]
        return [", ".join(places if len(places) <= 3 else [*places[:2], "…"])] if held else []


def _planes(spectrum: Spectrum, chosen: list[int], windows: Float[np.ndarray, "n dim 2"]) -> list[_Plane]:
    """For each state a plane where it does not vanish: through the middle, or else through its maximum."""
    middle = np.asarray(style.box_of(spectrum).centre)
    if spectrum.domain.dim == 2:
        return [_Plane((0, 1), middle)] * len(chosen)
    points, _ = spectrum.eigenfunctions.quadrature()
    size = np.abs(spectrum.eigenfunctions(points))
    planes = []
    for k, window in zip(chosen, windows, strict=True):
        central = [_Plane(drawn, middle) for drawn in ((0, 1), (0, 2), (1, 2))]
        meshes = [plane.points(*(style.cells(window[axis], 40) for axis in plane.drawn)) for plane in central]
        seen = [np.abs(spectrum(mesh)[:, k]).max() > 0.25 * size[:, k].max() for mesh in meshes]
        highest = _Plane((0, 1), points[size[:, k].argmax()])
        planes.append(next((plane for plane, there in zip(central, seen, strict=True) if there), highest))
    return planes


def _draw_panels(
    axes: np.ndarray,
    spectrum: Spectrum,
    chosen: list[int],
    windows: Float[np.ndarray, "n dim 2"],
    points: int,
    contours: int,
    density: bool,
) -> None:
    box, names = style.box_of(spectrum), style.coordinate_names(spectrum.domain.dim)
    planes, values = _planes(spectrum, chosen, windows), {}  # values by mesh: states often share one
    for ax, k, plane, window in zip(axes, chosen, planes, windows, strict=True):
        both = style.within_walls(box, window)[list(plane.drawn)]
        grid = [style.cells(interval, points) for interval in both]
        mesh = plane.points(*grid)
        if mesh.tobytes() not in values:
            values[mesh.tobytes()] = style.drawable(spectrum(mesh))
        psi = values[mesh.tobytes()][:, k].reshape(points, points)
        draw_plane(ax, psi**2 if density else psi, both, signed=not density)
        draw_surroundings(ax, spectrum, mesh, grid, contours)
        style.set_limits(ax, box, window, plane.drawn)
        ax.set_title("\n".join([style.state_title(spectrum, k), *plane.describe()]), fontsize=9)
        if not spectrum.converged[k]:
            where = {"transform": ax.transAxes, "zorder": 5}
            ax.text(0.03, 0.03, "not converged", fontsize=7, color=style.COLOURS[1], **where)
        ax.tick_params(labelsize=7, length=2.5, pad=2)
        ax.set_xlabel(names[plane.drawn[0]], fontsize=8, labelpad=1)
        ax.set_ylabel(names[plane.drawn[1]], fontsize=8, labelpad=2)
    if all(plane.drawn == planes[0].drawn for plane in planes):
        _label_outer(axes, numbers=bool((windows == windows[0]).all()))


def draw_plane(
    ax: Any, values: Float[np.ndarray, "ny nx"], sides: Float[np.ndarray, "2 2"], signed: bool
) -> Any:
    """Values by colour on a rectangle with these (low, high): red and blue about zero, or from zero to blue. The image."""
    largest = max(float(np.quantile(np.abs(values), 1 - _CUT)), 1e-300)
    image = ax.imshow(
        values, origin="lower", extent=sides.ravel(),
        cmap="RdBu_r" if signed else "Blues", vmin=-largest if signed else 0, vmax=largest,
        aspect="equal", interpolation="bilinear",
    )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    return image


def draw_surroundings(
    ax: Any, spectrum: Spectrum, mesh: Float[np.ndarray, "points dim"], grid: list[np.ndarray], contours: int
) -> None:
    """Contours of V at equal shares of the plane; hatched, what is no part of a region, and its walls."""
    shape = (len(grid[1]), len(grid[0]))
    v = style.potential_at(spectrum, mesh) if contours else None
    if v is not None:
        largest = float(np.abs(v).max()) or 1.0
        heights = largest * np.unique(
            (np.quantile(v, np.linspace(0, 1, contours + 2)[1:-1]) / largest).round(12)
        )
        ax.contour(*grid, v.reshape(shape), levels=heights, colors="0.35", linewidths=0.5)
    if not isinstance(spectrum.domain, Region):
        return
    inside: Any = spectrum.domain.signed(mesh).reshape(shape)
    if (inside <= 0).any():
        outside = ax.contourf(*grid, inside, levels=[-np.inf, 0], colors=["0.93"], hatches=["////"], zorder=2)
        outside.set(edgecolor="0.7", linewidth=0)
    if (inside > 0).any() and (inside <= 0).any():
        ax.contour(*grid, inside, levels=[0.0], colors="0.3", linewidths=0.9, zorder=3)


def _label_outer(axes: np.ndarray, numbers: bool) -> None:
    """Name coordinates beside and below the panels only, and number them there only, where all show the same window."""
    places = [ax.get_subplotspec() for ax in axes]
    if None in places:
        return
    lowest = {place.colspan.start: place.rowspan.start for place in places}
    leftmost = {place.rowspan.start: place.colspan.start for place in reversed(places)}
    for ax, place in zip(axes, places, strict=True):
        bottom = lowest[place.colspan.start] == place.rowspan.start
        left = leftmost[place.rowspan.start] == place.colspan.start
        ax.set(xlabel=ax.get_xlabel() if bottom else "", ylabel=ax.get_ylabel() if left else "")
        if numbers:
            ax.tick_params(labelbottom=bottom, labelleft=left)


def _panel_axes(ax: Any, spectrum: Spectrum, windows: Float[np.ndarray, "n dim 2"], title: str) -> np.ndarray:
    """The Axes that were given, or those of a figure of panels, one a state. Raises ValueError for too few."""
    n, sides = len(windows), np.ptp(windows[:, :2], axis=2)
    aspect = float(np.clip(np.median(sides[:, 0] / sides[:, 1]), 0.2, 5.0))
    rows = -(-n // int(np.clip(np.ceil(np.sqrt(n / aspect)), 1, n)))
    columns = -(-n // rows)  # no column stays empty
    width = 2.15 * min(max(np.sqrt(aspect), 0.95), 2.0)
    height = width / aspect + (0.2 if spectrum.domain.dim == 2 else 0.35)
    size = (columns * width + 0.5, rows * height + 0.6)
    return style.panels("orbitals", ax, n, columns, size, title, "compressed")


# --- densities along coordinates


def marginals(
    spectrum: Spectrum,
    axes: tuple[int, ...] | None = None,
    pair: tuple[int, int] | None = None,
    states: Any = None,
    bins: int | None = None,
    points: int = 262_144,
) -> np.ndarray:
    """Draw densities with all other coordinates integrated over.

    Args:
        spectrum: of `SampledRitz` (`marginal` says which).
        axes: coordinates to draw, a panel each, curves of all states lifted above one another; by default the first six.
        pair: two coordinates instead: then a panel for each state, darker where it is denser.
        states: indices; by default the first eight.
        bins: of the histograms; by default 60, and 40 along each of a pair.
        points: sample points.

    Returns an array of Axes. Example: `spectrum.plot_marginals(pair=(0, 1))[0].figure.savefig("marginals.png")`.
    """
    chosen = style.chosen_states(spectrum, range(min(8, spectrum.n_states)) if states is None else states)
    if pair is not None:
        drawn = _pairs(spectrum, pair, chosen, bins or 40, points)
    else:
        along = range(min(spectrum.domain.dim, _MOST_AXES)) if axes is None else axes
        drawn = _along(spectrum, tuple(along), chosen, bins or 60, points)
    drawn[0].figure.suptitle(f"{style.title_of(spectrum)}: densities", fontsize=11, x=0.01, ha="left")
    return drawn


def _along(
    spectrum: Spectrum, drawn: tuple[int, ...], chosen: list[int], bins: int, points: int
) -> np.ndarray:
    size = (1.9 * len(drawn) + 0.8, 0.5 * len(chosen) + 1.6)
    axes = plt.subplots(1, len(drawn), figsize=size, sharey=True, squeeze=False, layout="constrained")[1][0]
    for ax, axis in zip(axes, drawn, strict=True):
        (edges,), density = marginal(spectrum, (axis,), bins, points)
        heights = 0.9 * density[:, chosen] / density[:, chosen].max()
        for place, k in enumerate(chosen):
            curve, colour = place + heights[:, place], style.colour_of(k)
            ax.stairs(curve, edges, baseline=place, fill=True, color=colour, alpha=0.35)
            ax.stairs(curve, edges, baseline=None, color=colour, lw=0.9)
        ax.set_xlabel(f"$x_{{{axis}}}$")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
    labels = spectrum.labels or [""] * spectrum.n_states
    firsts = [re.sub(r" [0-9]+%.*", "", label) for label in labels]  # the first product, without its share
    axes[0].set_yticks(range(len(chosen)), [f"{k}  {firsts[k]}" for k in chosen])
    axes[0].set_ylim(-0.1, len(chosen) + 0.05)
    return axes


def _pairs(
    spectrum: Spectrum, pair: tuple[int, int], chosen: list[int], bins: int, points: int
) -> np.ndarray:
    (horizontal, vertical), density = marginal(spectrum, tuple(pair), bins, points)
    columns = min(4, len(chosen))
    size = (2.3 * columns, 2.4 * -(-len(chosen) // columns) + 0.3)
    axes = style.panels("marginals", None, len(chosen), columns, size)
    for ax, k in zip(axes, chosen, strict=True):
        ax.pcolormesh(horizontal, vertical, density[..., k].T, cmap="Blues", vmin=0, rasterized=True)
        ax.set(xlabel=f"$x_{{{pair[0]}}}$", ylabel=f"$x_{{{pair[1]}}}$", aspect="equal")
        ax.set_title(style.state_title(spectrum, k), fontsize=9)
    _label_outer(axes, numbers=True)
    return axes
