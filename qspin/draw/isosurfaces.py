"""Orbitals in three dimensions as surfaces |ψ| = constant, one colour for each sign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from qspin.draw.style import chosen_states, title_of, with_error
from qspin.draw.surface_nets import surface_net
from qspin.draw.windows import box_of, cells, coordinate_names, drawable, given_window, windows_of
from qspin.numerics.checks import whole
from qspin.spectrum.spectrum import Spectrum

__all__ = ["isosurfaces"]

_POSITIVE, _NEGATIVE = "#B2182B", "#2166AC"  # the ends of the panels' colours
_VIEW = (22, -58)  # elevation and azimuth, degrees
_LIGHT = np.array([0.35, -0.55, 0.76])


def isosurfaces(
    spectrum: Spectrum,
    ax: Any = None,
    states: Sequence[int] | np.ndarray | None = None,
    share: float = 0.7,
    points: int = 48,
    window: Any = None,
    opacity: float = 0.6,
) -> Any:
    """Draw eigenfunctions in three dimensions as the surfaces |ψ| = c that hold a share of the probability.

    Args:
        spectrum: of a problem in a three-dimensional box.
        ax: an array of 3D Axes (`projection="3d"`), one a state; None makes a new figure.
        states: which states, by index; all of them by default.
        share: of ∫ψ² that lies inside the surfaces, in (0, 1).
        points: mesh points along each axis.
        window: (low, high) for each coordinate; by default where the density is.
        opacity: of the surfaces, in (0, 1]; below one, inner shells show through outer ones.

    Returns an (n,) array of Axes: positive lobes red, negative ones blue. Raises ValueError for another dimension, a share,
    opacity, states or a window out of range, or Axes that are not 3D.
    """
    return draw_isosurfaces(spectrum, ax, plt.figure, states, share, points, window, opacity)


def draw_isosurfaces(
    spectrum: Spectrum,
    ax: Any,
    make_figure: Callable[..., Any],
    states: Sequence[int] | np.ndarray | None = None,
    share: float = 0.7,
    points: int = 48,
    window: Any = None,
    opacity: float = 0.6,
) -> Any:
    """`isosurfaces`, on a new figure of that maker's."""
    box = box_of(spectrum)
    if box.dim != 3:
        raise ValueError(f"isosurfaces: the domain must have 3 dimensions, got {box.dim}.")
    chosen = chosen_states(spectrum, states)
    if not 0 < share < 1 or not 0 < opacity <= 1:
        raise ValueError(
            f"isosurfaces: share must lie in (0, 1) and opacity in (0, 1], got {share!r} and {opacity!r}."
        )
    points = whole("isosurfaces: points", points, 8)
    windows = windows_of(spectrum, chosen) if window is None else given_window(box, window, len(chosen))
    axes = _axes(ax, make_figure, spectrum, len(chosen))
    shown = np.clip(windows, np.array([box.lower]).T, np.array([box.upper]).T)
    meshes = {part.tobytes(): [cells(interval, points) for interval in part] for part in shown}
    values = {}
    for key, mesh in meshes.items():
        at = np.stack([c.ravel() for c in np.meshgrid(*mesh, indexing="ij")], axis=1)
        values[key] = drawable(spectrum(at)).reshape(points, points, points, -1)
    boxes: dict[bytes, list[np.ndarray]] = {key: [] for key in meshes}
    for one, k, part in zip(axes, chosen, shown, strict=True):
        corners = _draw_lobes(one, values[part.tobytes()][..., k], part, share, opacity)
        boxes[part.tobytes()].append(corners)
    for one, k, part in zip(axes, chosen, shown, strict=True):
        _dress(one, spectrum, k, part if window is not None else _about(boxes[part.tobytes()], part))
    return axes


def _axes(ax: Any, make_figure: Callable[..., Any], spectrum: Spectrum, n: int) -> np.ndarray:
    if ax is not None:
        given = np.ravel(np.asarray(ax, dtype=object))
        if len(given) < n or not all(hasattr(one, "add_collection3d") for one in given[:n]):
            raise ValueError(
                f"isosurfaces: ax must hold {n} 3D Axes (projection='3d'), one a state, got {ax!r}."
            )
        return given[:n]
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    figure = make_figure(figsize=(2.7 * columns + 0.2, 2.85 * rows + 0.5))
    axes = np.ravel(figure.subplots(rows, columns, subplot_kw={"projection": "3d"}, squeeze=False))
    figure.subplots_adjust(
        left=0.0, right=1.0 - 0.2 / (2.7 * columns), bottom=0.03, top=1 - 0.5 / (2.85 * rows + 0.5),
        wspace=0.0, hspace=0.12,
    )  # fmt: skip
    for unused in axes[n:]:
        unused.remove()
    figure.suptitle(title_of(spectrum), fontsize=11, y=1 - 0.12 / (2.85 * rows + 0.5), va="top")
    return axes[:n]


def _about(corners: list[np.ndarray], part: np.ndarray) -> np.ndarray:
    """A cube, cut at `part`, about the surfaces of all states that share a window: it was made for their tails."""
    every = np.concatenate(corners)
    low, high = every.min(axis=0), every.max(axis=0)
    half = 0.62 * (high - low).max()
    middle = (low + high) / 2
    return np.clip(np.stack([middle - half, middle + half], axis=1), part[:, :1], part[:, 1:])


def _draw_lobes(ax: Any, psi: np.ndarray, part: np.ndarray, share: float, opacity: float) -> np.ndarray:
    """Both signs in one collection, so that nearer faces of either hide farther ones. Returns the corners, (·, 3)."""
    density = np.sort(psi.ravel() ** 2)[::-1]
    below = np.cumsum(density)
    level = np.sqrt(density[np.searchsorted(below, share * below[-1])])
    step = np.diff(part, axis=1)[:, 0] / np.array(psi.shape)
    corners, colours = [], []
    for sign, colour in ((1, _POSITIVE), (-1, _NEGATIVE)):
        vertices, faces = surface_net(sign * psi, level)
        found = (part[:, 0] + (vertices + 0.5) * step)[faces]
        normals = np.cross(found[:, 2] - found[:, 0], found[:, 3] - found[:, 1])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
        corners.append(found)
        colours.append(_shaded(colour, normals))
    every = np.concatenate(corners)
    lobes = Poly3DCollection(every, linewidths=0)
    shades = np.concatenate(colours)
    lobes.set_facecolor(np.column_stack([shades, np.full(len(shades), opacity)]))
    ax.add_collection3d(lobes)
    return every.reshape(-1, 3)


def _shaded(colour: str, normals: np.ndarray) -> np.ndarray:
    """A colour under a lamp, (faces, 3): dark on the far side, a highlight where the surface faces the lamp."""
    light = normals @ (_LIGHT / np.linalg.norm(_LIGHT))
    body = np.asarray(to_rgb(colour)) * (0.72 + 0.33 * light)[:, None]
    return np.clip(body + 0.35 * np.maximum(light, 0)[:, None] ** 6, 0, 1)


def _dress(ax: Any, spectrum: Spectrum, k: int, part: np.ndarray) -> None:
    """Limits, names of coordinates, a faint box, and the energy."""
    units = f" {spectrum.units}" if spectrum.units else ""
    doubt = "" if spectrum.converged[k] else "\nnot converged"
    ax.set_title(
        f"{k}: {with_error(spectrum.energies[k], spectrum.errors[k])}{units}{doubt}", fontsize=9, y=0.97
    )
    ax.set_box_aspect(np.diff(part, axis=1)[:, 0], zoom=1.0)
    ax.view_init(*_VIEW)
    for axis, interval, name in zip("xyz", part, coordinate_names(3), strict=True):
        getattr(ax, f"set_{axis}lim")(*interval)
        getattr(ax, f"set_{axis}label")(name, fontsize=8, labelpad=-9)
        line = getattr(ax, f"{axis}axis")
        line.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="both"))
        line.set_pane_color((0.97, 0.97, 0.97, 1.0))
        line.line.set_color("0.6")
    ax.grid(False)
    ax.tick_params(labelsize=6, pad=-4, color="0.6")
