"""Panels of orbitals in two dimensions and more: the function, or its density, on a plane, by colour."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

from qspin.draw.style import COLOURS, distinct_levels, with_error
from qspin.draw.windows import box_of, cells, coordinate_names, drawable, potential_at, set_limits
from qspin.problem.region import Region
from qspin.spectrum.spectrum import Spectrum

_CUT = 2e-3  # share of a panel that may exceed its colour scale, so that a cusp does not bleach the rest


class _Plane(NamedTuple):
    """A coordinate plane: the two coordinates drawn, and the point it passes through."""

    drawn: tuple[int, int]
    through: np.ndarray

    def points(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """The mesh x × y in this plane, (len(y) · len(x), dim)."""
        mesh = np.tile(self.through, (len(y) * len(x), 1))
        mesh[:, self.drawn[0]], mesh[:, self.drawn[1]] = (c.ravel() for c in np.meshgrid(x, y))
        return mesh

    def describe(self) -> str:
        """z = 0, for a title; empty in two dimensions."""
        held = [axis for axis in range(len(self.through)) if axis not in self.drawn]
        names = coordinate_names(len(self.through))
        places = [f"{names[axis]} = {self.through[axis] + 0.0:.2g}".replace("-", "−") for axis in held]
        return ", ".join(places if len(places) <= 3 else [*places[:2], "…"])


def _planes(spectrum: Spectrum, chosen: list[int], windows: np.ndarray) -> list[_Plane]:
    """For each state a plane where it does not vanish: through the middle, or else through its maximum."""
    dim, middle = spectrum.domain.dim, np.asarray(box_of(spectrum).centre)
    if dim == 2:
        return [_Plane((0, 1), middle)] * len(chosen)
    points, _ = spectrum.eigenfunctions.quadrature()
    size = np.abs(spectrum.eigenfunctions(points))
    candidates = [_Plane(drawn, middle) for drawn in ((0, 1), (0, 2), (1, 2))]
    meshes = [
        plane.points(*(cells(w[axis], 40) for axis in plane.drawn)) for w in windows for plane in candidates
    ]
    on_plane = np.abs(spectrum(np.concatenate(meshes))).reshape(len(chosen), len(candidates), 40 * 40, -1)
    planes = []
    for i, k in enumerate(chosen):
        seen = on_plane[i, :, :, k].max(axis=1) > 0.25 * size[:, k].max()
        through_maximum = _Plane((0, 1), points[size[:, k].argmax()])
        planes.append(candidates[int(seen.argmax())] if seen.any() else through_maximum)
    return planes


def draw_panels(
    axes: np.ndarray,
    spectrum: Spectrum,
    chosen: list[int],
    windows: np.ndarray,
    points: int,
    contours: int,
    density: bool,
) -> np.ndarray:
    """The chosen states on planes, one in each of `axes`, in windows (n, dim, 2); returns `axes`."""
    domain, names = box_of(spectrum), coordinate_names(spectrum.domain.dim)
    planes = _planes(spectrum, chosen, windows)
    units = f" {spectrum.units}" if spectrum.units else ""
    shown = np.clip(windows, np.array([domain.lower]).T, np.array([domain.upper]).T)
    grids = [
        tuple(cells(part[axis], points) for axis in plane.drawn)
        for part, plane in zip(shown, planes, strict=True)
    ]
    # Each distinct mesh once, all of them in one call: a call compiles.
    keys = [
        (part.tobytes(), plane.drawn, plane.through.tobytes())
        for part, plane in zip(shown, planes, strict=True)
    ]
    distinct = {key: plane.points(*grid) for key, plane, grid in zip(keys, planes, grids, strict=True)}
    values = dict(
        zip(
            distinct,
            np.split(drawable(spectrum(np.concatenate(list(distinct.values())))), len(distinct)),
            strict=True,
        )
    )
    for i, (ax, k, plane) in enumerate(zip(axes, chosen, planes, strict=True)):
        x, y = grids[i]
        psi = values[keys[i]][:, k].reshape(points, points)
        drawn = psi**2 if density else psi
        largest = max(float(np.quantile(np.abs(drawn), 1 - _CUT)), 1e-300)
        ax.imshow(
            drawn,
            origin="lower",
            extent=(*shown[i, plane.drawn[0]], *shown[i, plane.drawn[1]]),
            cmap="Blues" if density else "RdBu_r",
            vmin=0 if density else -largest,
            vmax=largest,
            aspect="equal",
            interpolation="bilinear",
        )
        v = potential_at(spectrum, distinct[keys[i]]) if contours else None
        if isinstance(domain, Region):
            draw_outside(ax, x, y, domain.signed(distinct[keys[i]]).reshape(psi.shape))
        if v is not None:
            heights = np.quantile(v, np.linspace(0, 1, contours + 2)[1:-1])
            ax.contour(
                x, y, v.reshape(psi.shape), levels=distinct_levels(heights), colors="0.35", linewidths=0.5
            )
        set_limits(ax, domain, windows[i], plane.drawn)
        title = f"{k}: {with_error(spectrum.energies[k], spectrum.errors[k])}{units}"
        where = plane.describe()
        ax.set_title(f"{title}\n{where}" if where else title, fontsize=9)
        if not spectrum.converged[k]:
            ax.text(
                0.03, 0.03, "not converged", transform=ax.transAxes, fontsize=7, color=COLOURS[1], zorder=5
            )
        ax.tick_params(labelsize=7, length=2.5, pad=2)
        for locate in (ax.xaxis, ax.yaxis):
            locate.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.set_xlabel(names[plane.drawn[0]], fontsize=8, labelpad=1)
        ax.set_ylabel(names[plane.drawn[1]], fontsize=8, labelpad=2)
    _inner_labels_off(axes, windows, planes)
    return axes


def draw_outside(ax: Any, x: np.ndarray, y: np.ndarray, inside: np.ndarray) -> None:
    """Hatch what is no part of a region, and draw its walls."""
    if (inside > 0).all():
        return
    outside = ax.contourf(x, y, inside, levels=[-np.inf, 0.0], colors=["0.93"], hatches=["////"], zorder=2)
    outside.set_edgecolor("0.7")
    outside.set_linewidth(0)
    if (inside > 0).any():
        ax.contour(x, y, inside, levels=[0.0], colors="0.3", linewidths=0.9, zorder=3)


def _inner_labels_off(axes: np.ndarray, windows: np.ndarray, planes: list[_Plane]) -> None:
    """Name the coordinates once where all panels show the same, and number them once for the same window."""
    if any(plane.drawn != planes[0].drawn for plane in planes):
        return
    same = bool((windows == windows[0]).all())
    for ax in axes:
        spec = ax.get_subplotspec()
        if spec is None:
            continue
        others = [other.get_subplotspec() for other in axes]
        others = [o for o in others if o is not None and o.get_gridspec() is spec.get_gridspec()]
        below = any(o.colspan == spec.colspan and o.rowspan.start > spec.rowspan.start for o in others)
        first = not any(o.rowspan == spec.rowspan and o.colspan.start < spec.colspan.start for o in others)
        ax.set_xlabel("" if below else ax.get_xlabel())
        ax.set_ylabel(ax.get_ylabel() if first else "")
        ax.tick_params(labelbottom=not (same and below), labelleft=not same or first)


def panel_axes(
    ax: Any, make_figure: Callable[..., Any], spectrum: Spectrum, windows: np.ndarray, title: str
) -> np.ndarray:
    """The Axes that were given, or a figure of panels, one a state. Raises ValueError for too few."""
    n = len(windows)
    if ax is not None:
        given = np.ravel(np.asarray(ax, dtype=object))
        if len(given) < n or not all(hasattr(one, "plot") for one in given[:n]):
            raise ValueError(f"orbitals: ax must hold {n} Matplotlib Axes, one a state, got {ax!r}.")
        return given[:n]
    sides = np.diff(windows[:, :2], axis=2)[:, :, 0]
    aspect = float(np.clip(np.median(sides[:, 0] / sides[:, 1]), 0.2, 5.0))
    columns = int(np.clip(np.ceil(np.sqrt(n / aspect)), 1, n))
    rows = -(-n // columns)
    columns = -(-n // rows)  # no column stays empty
    width = 2.15 * min(max(np.sqrt(aspect), 0.95), 2.0)
    height = width / aspect + (0.2 if spectrum.domain.dim == 2 else 0.35)
    figure = make_figure(figsize=(columns * width + 0.5, rows * height + 0.6), layout="compressed")
    axes = np.ravel(np.asarray(figure.subplots(rows, columns), dtype=object))
    for unused in axes[n:]:
        unused.remove()
    figure.suptitle(title, fontsize=11)
    return axes[:n]
