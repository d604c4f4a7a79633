"""Where to look: windows about the states' densities, walls, meshes, and V on them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from qspin.draw.style import groups_of
from qspin.problem.domain import Box
from qspin.spectrum.spectrum import Spectrum

_TAIL, _PANEL_TAIL = (
    1e-3,
    4e-3,
)  # share of the density cut off at either end of an axis; colours fade sooner than lines
_STEPS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # half-widths of windows are these times a power of ten


def box_of(spectrum: Spectrum) -> Box:
    """The domain, which must be a box. Raises TypeError."""
    if not isinstance(spectrum.domain, Box):
        raise TypeError(f"orbitals: can draw functions in a Box, got {spectrum.domain!r}; use spectrum(x).")
    return spectrum.domain


def given_window(domain: Box, window: Any, n: int) -> np.ndarray:
    """A user's window (dim, 2) for n states, (n, dim, 2). Raises ValueError."""
    given = np.asarray(window, dtype=float)
    if given.shape == (2,) and domain.dim == 1:
        given = given[None]
    if given.shape != (domain.dim, 2):
        raise ValueError(
            f"orbitals: window must be (low, high) for each of {domain.dim} coordinates, got {window!r}."
        )
    inside = (given[:, 0] < np.asarray(domain.upper)) & (given[:, 1] > np.asarray(domain.lower))
    if not (np.isfinite(given).all() and (given[:, 0] < given[:, 1]).all() and inside.all()):
        raise ValueError(f"orbitals: window must have low < high and meet {domain!r}, got {window!r}.")
    return np.repeat(given[None], n, axis=0)


def windows_of(spectrum: Spectrum, chosen: list[int]) -> np.ndarray:
    """(low, high) of each coordinate for each chosen state, (n, dim, 2)."""
    extents = _extents(spectrum)[chosen]
    sizes = np.diff(extents, axis=2)[:, :, 0].max(axis=1)
    if spectrum.domain.dim == 1 or sizes.max() <= 2.5 * sizes.min():
        return np.repeat(_framed(extents, box_of(spectrum))[None], len(chosen), axis=0)
    # A single window would shrink the small states to a dot; states of one level stay comparable.
    windows = np.empty_like(extents)
    for group in groups_of(spectrum):
        members = [i for i, k in enumerate(chosen) if k in group]
        if members:
            together = sizes[members].max() <= 2.5 * sizes[members].min()
            for part in [members] if together else [[i] for i in members]:
                windows[part] = _framed(extents[part], box_of(spectrum))
    return windows


def _extents(spectrum: Spectrum) -> np.ndarray:
    """The interval of each coordinate that holds all but the tails of each state's density, (N, dim, 2)."""
    points, weights = spectrum.eigenfunctions.quadrature()
    density = np.abs(weights)[:, None] * np.abs(spectrum.eigenfunctions(points)) ** 2
    extents = np.empty((spectrum.n_states, spectrum.domain.dim, 2))
    tail = _TAIL if spectrum.domain.dim == 1 else _PANEL_TAIL
    for axis in range(spectrum.domain.dim):
        x = points[:, axis]
        order = np.argsort(x)
        below = np.cumsum(density[order], axis=0)
        for k in range(spectrum.n_states):
            ends = np.searchsorted(below[:, k] / below[-1, k], [tail, 1 - tail])
            extents[k, axis] = x[order[np.clip(ends, 0, len(x) - 1)]]
    return extents


def _framed(extents: np.ndarray, domain: Box) -> np.ndarray:
    """A window (dim, 2) about some states' extents (n, dim, 2): a cube of a round size, cut at walls."""
    low, high = extents[:, :, 0].min(axis=0), extents[:, :, 1].max(axis=0)
    middle, half = (low + high) / 2, _rounded_up(float((high - low).max()) / 2 * 1.1)
    window = np.empty((domain.dim, 2))
    for axis in range(domain.dim):
        wall_low, wall_high, centre = domain.lower[axis], domain.upper[axis], domain.centre[axis]
        about = centre if abs(middle[axis] - centre) < 0.1 * half else middle[axis]
        # Almost at a wall: show the wall.
        window[axis, 0] = wall_low if about - half < wall_low + 0.1 * half else about - half
        window[axis, 1] = wall_high if about + half > wall_high - 0.1 * half else about + half
    return window


def _rounded_up(length: float) -> float:
    power = 10.0 ** np.floor(np.log10(max(length, 1e-300)))
    return float(next((s for s in _STEPS if s * power >= length), 10) * power)


def set_limits(ax: Any, domain: Box, window: np.ndarray, drawn: tuple[int, ...]) -> None:
    """Limits of the drawn coordinates, a little past hard walls, and the walls as hatched bars."""
    for which, axis in enumerate(drawn):
        (low, high), walls = window[axis], (domain.lower[axis], domain.upper[axis])
        thickness = 0.04 * (high - low)
        walled = not domain.periodic[axis]
        near_low, near_high = walled and low <= walls[0], walled and high >= walls[1]
        limits = (walls[0] - thickness if near_low else low, walls[1] + thickness if near_high else high)
        (ax.set_xlim if which == 0 else ax.set_ylim)(*limits)
        for shown, start in ((near_low, walls[0] - thickness), (near_high, walls[1])):
            if shown:
                corner, size = ((start, 0), (thickness, 1)) if which == 0 else ((0, start), (1, thickness))
                transform = ax.get_xaxis_transform() if which == 0 else ax.get_yaxis_transform()
                bar = Rectangle(corner, *size, transform=transform, gid="wall")
                bar.set(facecolor="0.88", edgecolor="0.55", hatch="////", linewidth=0, zorder=4)
                ax.add_patch(bar)


def cells(interval: np.ndarray, n: int) -> np.ndarray:
    """Centres of n equal cells; with n even, the middle, where a singularity may sit, is none of them."""
    low, high = interval
    return low + (high - low) * (np.arange(n) + 0.5) / n


def potential_at(spectrum: Spectrum, points: np.ndarray) -> np.ndarray | None:
    """V at points (P, dim); None where it is not known, or not finite there even after a nudge."""
    if spectrum.potential is None:
        return None
    nudge = 1e-6 * np.asarray(box_of(spectrum).lengths) / np.sqrt(2)
    for shifted in (points, points + nudge):
        try:
            values = np.asarray(spectrum.potential(shifted), dtype=float)
        except ValueError:  # V is not finite at a point of the mesh
            continue
        if np.isfinite(values).all():
            return values
    return None


def drawable(psi: np.ndarray) -> np.ndarray:
    """ψ, or where it is complex its modulus: the phase is a matter of convention."""
    return np.abs(psi) if np.iscomplexobj(psi) else psi


def coordinate_names(dim: int) -> list[str]:
    """x, y, z, or past three dimensions numbered."""
    return list("xyz"[:dim]) if dim <= 3 else [f"$x_{{{axis}}}$" for axis in range(dim)]
