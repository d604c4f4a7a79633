"""What all pictures share: colours, numbers as text, axes, labels, and the window about the states with its walls."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from qspin.numerics.errors import degenerate_groups
from qspin.problem.domain import Box
from qspin.spectrum.spectrum import Spectrum

# Okabe and Ito's colours (black and yellow left out): apart for every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A93")


def colour_of(k: int) -> str:
    """State k's colour, the same in all pictures."""
    return COLOURS[k % len(COLOURS)]


# --- text


def title_of(spectrum: Spectrum) -> str:
    """Name and method."""
    return f"{spectrum.name} ({spectrum.method})" if spectrum.method else spectrum.name


def unit_of(spectrum: Spectrum, brackets: bool = False) -> str:
    """The unit behind a number, " eV", or behind a word, " [eV]"; empty where none is declared."""
    return "" if not spectrum.units else f" [{spectrum.units}]" if brackets else f" {spectrum.units}"


def with_error(energy: float, error: float) -> str:
    """−0.11108(4): error in units of the last digit, rounded up; 3.0 ± 1.2 where that takes more; 1.6022(4)e−19 joule."""
    if not np.isfinite(error):
        return f"{energy:.6g} ± ?".replace("-", "−")
    scale = max(abs(energy), abs(error)) or 1.0
    if not 1e-6 <= scale < 1e12:
        exponent = int(np.floor(np.log10(scale)))
        text = with_error(energy / 10.0**exponent, error / 10.0**exponent)
        return (f"({text})" if "±" in text else text) + f"e{exponent}".replace("-", "−")
    digits = int(np.clip(-np.floor(np.log10(max(abs(error), 1e-300))), -12, 8))
    last = float(np.ceil(abs(error) * 10.0**digits - 1e-9))
    if last >= 10:  # 0.96 is no longer 0.(10)
        digits, last = digits - 1, 1.0
    if digits < 1:
        return f"{energy:.1f} ± {abs(error):.1f}".replace("-", "−")
    return f"{energy:.{digits}f}({max(last, 1):.0f})".replace("-", "−")


def state_title(spectrum: Spectrum, k: int) -> str:
    """State k with its energy: "0: −0.50000(4) eV"."""
    return f"{k}: {with_error(spectrum.energies[k], spectrum.errors[k])}{unit_of(spectrum)}"


def coordinate_names(dim: int) -> list[str]:
    """x, y, z, or past three dimensions numbered."""
    return list("xyz"[:dim]) if dim <= 3 else [f"$x_{{{axis}}}$" for axis in range(dim)]


# --- states and levels


def chosen_states(spectrum: Spectrum, states: Any) -> list[int]:
    """Indices of states, checked; all of them for None. Raises ValueError."""
    if states is None:
        return list(range(spectrum.n_states))
    chosen = np.ravel(np.asarray(states))
    if chosen.size == 0 or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"orbitals: states must be indices of states, got {states!r}.")
    if chosen.min() < 0 or chosen.max() >= spectrum.n_states:
        raise ValueError(f"orbitals: states must lie in 0 … {spectrum.n_states - 1}, got {chosen.tolist()}.")
    return [int(k) for k in chosen]


def groups_of(spectrum: Spectrum) -> list[list[int]]:
    """`Spectrum.groups`, without its warning that the last group is cut: tables say that."""
    return degenerate_groups(spectrum.energies, spectrum.errors)


def limits(
    energies: Float[np.ndarray, " n"], errors: Float[np.ndarray, " n"], share: float = 0.06
) -> tuple[float, float]:
    """An interval about energies and their error bars, bars longer than the spectrum left out, with a share of it to spare."""
    longest = np.ptp(energies) if len(energies) > 1 else np.inf
    bars = np.where(np.isfinite(errors) & (errors <= longest), errors, 0)
    low, high = float((energies - bars).min()), float((energies + bars).max())
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), 1e-300):  # a single level
        span = 2 * (max(abs(low), abs(high)) or 0.5)
    return low - share * span, high + share * span


# --- figures and axes


def blank_figure(ax: Any, width: float, height: float, layout: Any = "constrained") -> Figure | None:
    """An empty figure of a size in inches: a new one of pyplot's for None, a `Figure` that was given; None for Axes."""
    if ax is not None and not isinstance(ax, Figure):
        return None
    figure = plt.figure() if ax is None else ax
    figure.set_size_inches(width, height)
    figure.set_layout_engine(layout)
    return figure


def given_axes(caller: str, ax: Any, n: int, solid: bool = False) -> np.ndarray:
    """The first n of the Axes that were given, (n,). Raises ValueError for fewer, or for what are none."""
    given = np.ravel(np.asarray(ax, dtype=object))
    if len(given) < n or not all(hasattr(one, "plot_trisurf" if solid else "plot") for one in given[:n]):
        kind = "3D Axes (projection='3d')" if solid else "Matplotlib Axes"
        raise ValueError(f"{caller}: ax must hold {n} {kind}, got {ax!r}.")
    return given[:n]


def one_axes(caller: str, ax: Any, width: float = 6.4, height: float = 4.4) -> Any:
    """The Axes that were given, or new ones. Raises ValueError."""
    figure = blank_figure(ax, width, height)
    return given_axes(caller, ax, 1)[0] if figure is None else figure.subplots()


def panels(
    caller: str,
    ax: Any,
    n: int,
    columns: int,
    size: tuple[float, float],
    title: str = "",
    layout: Any = "constrained",
    projection: str | None = None,
) -> np.ndarray:
    """The first n of the Axes that were given, or those of a figure of n panels in rows under a title. Raises ValueError."""
    figure = blank_figure(ax, *size, layout)
    if figure is None:
        return given_axes(caller, ax, n, solid=projection == "3d")
    figure.suptitle(title, fontsize=11)
    places = [(-(-n // columns), columns, i + 1) for i in range(n)]
    return np.array([figure.add_subplot(*place, projection=projection) for place in places], dtype=object)


def finish(ax: Any, spectrum: Spectrum, ylabel: str) -> None:
    """Title, label of the y axis, legend above the axes, and no frame above and to the right."""
    ax.set_ylabel(ylabel + unit_of(spectrum, brackets=True))
    ax.set_title(title_of(spectrum), fontsize=11, loc="left")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, fontsize=8, frameon=False, borderpad=0.2)
    ax.spines[["top", "right"]].set_visible(False)


def spread_out(shares: Float[np.ndarray, " n"], gap: float) -> Float[np.ndarray, " n"]:
    """Heights in [0, 1], moved to be `gap` apart in order: pushed up and pushed down in equal parts, then into [0, 1]."""
    order, steps = np.argsort(shares, kind="stable"), gap * np.arange(len(shares))
    free = shares[order] - steps
    pushed = (np.maximum.accumulate(free) + np.minimum.accumulate(free[::-1])[::-1]) / 2
    placed = np.empty(len(shares))
    placed[order] = np.clip(pushed, 0, max(0.0, 1 - gap * (len(shares) - 1))) + steps
    return placed


def label_levels(ax: Any, x: float, heights: Any, texts: list[str], colours: list[str]) -> None:
    """Texts at a share x of the width and at these heights; where they would overlap, beside them with a line to them."""
    if not texts:
        return
    low, high = ax.get_ylim()
    shares = (np.asarray(heights) - low) / (high - low)
    line = 1.25 / 72 * ax.figure.dpi / max(ax.get_window_extent().height, 1.0)
    fontsize = 8.0 * float(np.clip(1 / (8.0 * line * len(texts)), 0.4, 1.0))
    placed = spread_out(shares, fontsize * line)
    for text, colour, share, place in zip(texts, colours, shares, placed, strict=True):
        moved = abs(place - share) > 0.15 * fontsize * line
        arrow = dict(arrowstyle="-", lw=0.5, shrinkA=0, shrinkB=0, relpos=(0, 0.5), color=colour)
        ax.annotate(
            text, (x, share), (x + 0.035, place), xycoords="axes fraction", textcoords="axes fraction",
            fontsize=fontsize, color=colour, va="center", annotation_clip=False, arrowprops=arrow if moved else None,
        )  # fmt: skip


def png(drawn: Any, dpi: int = 130) -> bytes:
    """The figure that these Axes belong to, as a PNG file's contents."""
    file = io.BytesIO()
    np.ravel(drawn)[0].figure.savefig(file, format="png", dpi=dpi, bbox_inches="tight", pad_inches=0.1)
    return file.getvalue()


# --- where to look


def box_of(spectrum: Spectrum) -> Box:
    """The domain, which must be a box. Raises TypeError."""
    if not isinstance(spectrum.domain, Box):
        raise TypeError(f"orbitals: can draw functions in a Box, got {spectrum.domain!r}; use spectrum(x).")
    return spectrum.domain


def walls_of(box: Box) -> Float[np.ndarray, "dim 2"]:
    """Where the box begins and ends along each coordinate."""
    return np.stack([box.lower, box.upper], axis=1)


def within_walls(box: Box, windows: Float[np.ndarray, "*n dim 2"]) -> Float[np.ndarray, "*n dim 2"]:
    """The parts of windows that are in the box."""
    return np.clip(windows, *walls_of(box).T[..., None])


def windows_of(spectrum: Spectrum, chosen: list[int], window: Any = None) -> Float[np.ndarray, "n dim 2"]:
    """(low, high) of each coordinate for each chosen state: the user's, or else where its density is.

    States of similar size share a window, else those of one degenerate group: a single window would shrink the small states
    to a dot. Raises TypeError for a domain that is no Box, ValueError for a window out of range.
    """
    box = box_of(spectrum)
    if window is not None:
        return np.repeat(_checked_window(box, window)[None], len(chosen), axis=0)
    extents = _extents(spectrum)[chosen]
    sizes = np.ptp(extents, axis=2).max(axis=1)
    together = box.dim == 1 or sizes.max() <= 2.5 * sizes.min()
    windows = np.empty_like(extents)
    for group in [chosen] if together else groups_of(spectrum):
        members = np.isin(chosen, group)
        if members.any():
            windows[members] = _framed(extents[members], box)
    return windows


def _checked_window(box: Box, window: Any) -> Float[np.ndarray, "dim 2"]:
    given = np.atleast_2d(np.asarray(window, dtype=float))
    if given.shape != (box.dim, 2):
        expected = f"(low, high) for each of {box.dim} coordinates"
        raise ValueError(f"orbitals: window must be {expected}, got {window!r}.")
    low, high = within_walls(box, given).T
    if not (np.isfinite(given).all() and (low < high).all()):
        raise ValueError(f"orbitals: window must have low < high and meet {box!r}, got {window!r}.")
    return given


def _extents(spectrum: Spectrum) -> Float[np.ndarray, "states dim 2"]:
    """The interval of each coordinate that holds all but the tails of each state's density."""
    points, weights = spectrum.eigenfunctions.quadrature()
    density = np.abs(weights)[:, None] * np.abs(spectrum.eigenfunctions(points)) ** 2
    tail = 1e-3 if spectrum.domain.dim == 1 else 4e-3  # at either end; colours fade sooner than lines
    extents = np.empty((spectrum.n_states, spectrum.domain.dim, 2))
    for axis, x in enumerate(points.T):
        order = np.argsort(x)
        below = np.cumsum(density[order], axis=0)
        for k, share in enumerate((below / below[-1]).T):
            ends = np.searchsorted(share, [tail, 1 - tail])
            extents[k, axis] = x[order[np.minimum(ends, len(x) - 1)]]
    return extents


def _framed(extents: Float[np.ndarray, "n dim 2"], box: Box) -> Float[np.ndarray, "dim 2"]:
    """A cube about some states' extents, about the middle of the box where that is near, cut at walls."""
    low, high = extents[:, :, 0].min(axis=0), extents[:, :, 1].max(axis=0)
    half, middle, centre = 0.55 * float((high - low).max()), (low + high) / 2, np.asarray(box.centre)
    middle = np.where(np.abs(middle - centre) < 0.1 * half, centre, middle)
    window, walls = np.stack([middle - half, middle + half], axis=1), walls_of(box)
    near = (window - walls) * [1, -1] < 0.1 * half  # almost at a wall: show the wall
    return np.where(near, walls, window)


def set_limits(ax: Any, box: Box, window: Float[np.ndarray, "dim 2"], drawn: tuple[int, ...]) -> None:
    """Limits of the drawn coordinates, a little past hard walls, and the walls as hatched bars."""
    for axis, span, limit in zip(drawn, (ax.axvspan, ax.axhspan), (ax.set_xlim, ax.set_ylim), strict=False):
        ends, thickness = window[axis].copy(), 0.04 * np.ptp(window[axis])
        for side, (wall, outwards) in enumerate(zip(walls_of(box)[axis], (-1, 1), strict=True)):
            if not box.periodic[axis] and (ends[side] - wall) * outwards >= 0:
                ends[side] = wall + outwards * thickness
                bar = span(*sorted((wall, ends[side])), gid="wall", zorder=4)
                bar.set(facecolor="0.88", edgecolor="0.55", hatch="////", linewidth=0)
        limit(*ends)


def cells(interval: Float[np.ndarray, "2"], n: int) -> Float[np.ndarray, " n"]:
    """Centres of n equal cells; with n even, the middle, where a singularity may sit, is none of them."""
    low, high = interval
    return low + (high - low) * (np.arange(n) + 0.5) / n


def drawable(psi: np.ndarray) -> np.ndarray:
    """ψ, or where it is complex its modulus: the phase is a matter of convention."""
    return np.abs(psi) if np.iscomplexobj(psi) else psi


def potential_at(
    spectrum: Spectrum, points: Float[np.ndarray, "points dim"]
) -> Float[np.ndarray, " points"] | None:
    """V; None where it is not known, or not finite somewhere.

    Points are moved by a millionth of the box, towards a place inside where nothing is likely to sit, so that neither walls
    nor singularities are met.
    """
    if spectrum.potential is None:
        return None
    box = box_of(spectrum)
    place = np.asarray(box.lower) + 0.38 * np.asarray(box.lengths)
    try:
        values = np.asarray(spectrum.potential(points + 1e-6 * (place - points)), dtype=float)
    except ValueError:  # V is not finite
        return None
    return values if np.isfinite(values).all() else None
