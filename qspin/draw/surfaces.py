"""Orbitals in three dimensions as surfaces |ψ| = constant, one colour for each sign."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.colors import LightSource, to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from qspin.draw import style
from qspin.numerics.checks import whole
from qspin.spectrum.eigenfunctions import tensor_points
from qspin.spectrum.spectrum import Spectrum

__all__ = ["available", "isosurfaces"]

_SIGNS = ((1, "#B2182B"), (-1, "#2166AC"))  # the ends of the panels' colours
_VIEW = (22, -58)  # elevation and azimuth, degrees


def available() -> bool:
    """Whether scikit-image is installed, which finds the surfaces."""
    return find_spec("skimage") is not None


def isosurfaces(
    spectrum: Spectrum,
    ax: Any = None,
    states: Any = None,
    share: float = 0.7,
    points: int = 48,
    window: Any = None,
    opacity: float = 0.6,
) -> np.ndarray:
    """Draw eigenfunctions in three dimensions as the surfaces |ψ| = c that hold a share of the probability.

    Args:
        spectrum: of a problem in a three-dimensional box.
        ax: an array of 3D Axes (`projection="3d"`), one a state; None makes a new figure, an empty `Figure` is filled.
        states: which states, by index; all of them by default.
        share: of ∫ψ² that lies inside the surfaces, in (0, 1).
        points: mesh points along each axis.
        window: (low, high) for each coordinate; by default where the density is.
        opacity: of the surfaces, in (0, 1]; below one, inner shells show through outer ones.

    Returns an (n,) array of Axes: positive lobes red, negative ones blue. Raises ValueError for another dimension, a share,
    opacity, states or a window out of range, or Axes that are not 3D; ImportError without scikit-image, saying what to install.
    """
    box = style.box_of(spectrum)
    if box.dim != 3:
        raise ValueError(f"isosurfaces: the domain must have 3 dimensions, got {box.dim}.")
    chosen = style.chosen_states(spectrum, states)
    if not 0 < share < 1 or not 0 < opacity <= 1:
        raise ValueError(
            f"isosurfaces: share must lie in (0, 1) and opacity in (0, 1], got {share!r} and {opacity!r}."
        )
    points = whole("isosurfaces: points", points, 8)
    windows = style.windows_of(spectrum, chosen, window)
    axes, parts = _axes(ax, spectrum, len(chosen)), style.within_walls(box, windows)
    for part in np.unique(parts, axis=0):
        members = np.flatnonzero((parts == part).all(axis=(1, 2)))
        psi = style.drawable(spectrum(tensor_points([style.cells(interval, points) for interval in part])))
        lobes = [_lobes(psi[..., chosen[i]], part, share) for i in members]
        about = part if window is not None else _about(np.concatenate([one for one, _ in lobes]), part)
        for i, (triangles, colours) in zip(members, lobes, strict=True):
            shown = Poly3DCollection(
                triangles, facecolors=[(*colour[:3], opacity) for colour in colours], linewidths=0, shade=True,
                lightsource=LightSource(azdeg=190, altdeg=45),
            )  # fmt: skip
            axes[i].add_collection3d(shown)
            _dress(axes[i], spectrum, chosen[i], about)
    return axes


def _lobes(
    psi: Float[np.ndarray, "nx ny nz"], part: Float[np.ndarray, "3 2"], share: float
) -> tuple[Float[np.ndarray, "triangles 3 3"], Float[np.ndarray, "triangles 4"]]:
    """The triangles of both signs, and their colours; together, so that nearer faces of either hide farther ones."""
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise ImportError(
            "plot_isosurfaces needs scikit-image: pip install scikit-image, or 'qspin[surfaces]'."
        ) from error

    density = np.sort(psi.ravel() ** 2)[::-1]
    within = np.cumsum(density)
    level = float(np.sqrt(density[np.searchsorted(within, share * within[-1])]))
    step = np.ptp(part, axis=1) / psi.shape
    triangles, colours = [], []
    for sign, colour in _SIGNS:
        if (sign * psi).max() > level:
            corners, faces, *_ = marching_cubes(
                sign * psi, level, spacing=tuple(step), allow_degenerate=False, gradient_direction="ascent"
            )
            triangles.append((corners + part[:, 0] + step / 2)[faces])
            colours.append(np.tile(to_rgba(colour), (len(faces), 1)))
    return np.concatenate(triangles), np.concatenate(colours)


def _about(
    triangles: Float[np.ndarray, "triangles 3 3"], part: Float[np.ndarray, "3 2"]
) -> Float[np.ndarray, "3 2"]:
    """A cube, cut at `part`, about the surfaces of all states that share a window: that was made for their tails."""
    low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
    half, middle = 0.62 * (high - low).max(), (low + high) / 2
    return np.clip(np.stack([middle - half, middle + half], axis=1), part[:, :1], part[:, 1:])


def _axes(ax: Any, spectrum: Spectrum, n: int) -> np.ndarray:
    columns = int(np.ceil(np.sqrt(n)))
    height = 2.85 * -(-n // columns) + 0.5
    axes = style.panels(
        "isosurfaces", ax, n, columns, (2.7 * columns + 0.2, height), style.title_of(spectrum), "none", "3d"
    )
    if ax is None or isinstance(ax, Figure):
        spaces = {"left": 0, "right": 0.95, "bottom": 0.03, "wspace": 0, "hspace": 0.12}
        axes[0].figure.subplots_adjust(top=1 - 0.5 / height, **spaces)
    return axes


def _dress(ax: Any, spectrum: Spectrum, k: int, part: Float[np.ndarray, "3 2"]) -> None:
    """Limits, names of coordinates, a faint box, and the energy."""
    doubt = "" if spectrum.converged[k] else "\nnot converged"
    ax.set_title(style.state_title(spectrum, k) + doubt, fontsize=9, y=0.97)
    ax.set_box_aspect(np.ptp(part, axis=1))
    ax.view_init(*_VIEW)
    for name, interval, label in zip("xyz", part, style.coordinate_names(3), strict=True):
        ax.set(**{f"{name}lim": interval})
        line = getattr(ax, f"{name}axis")
        line.set_label_text(label, fontsize=8)
        line.labelpad = -9
        line.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="both"))
        line.set_pane_color((0.97, 0.97, 0.97, 1.0))
        line.line.set_color("0.6")
    ax.grid(False)
    ax.tick_params(labelsize=6, pad=-4, color="0.6")
