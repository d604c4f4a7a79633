"""Pictures of a `Spectrum`: orbitals, level diagram, training history; each takes and returns an `ax`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from qspin.domain import Box
from qspin.spectrum import Spectrum

__all__ = ["history", "levels", "orbitals", "save_all"]

# Okabe and Ito's colours (black and yellow left out): apart for every kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A93")
_GREY = "0.45"
_TAIL, _PANEL_TAIL = (
    1e-3,
    4e-3,
)  # share of the density cut off at either end of an axis; colours fade sooner than lines
_CUT = 2e-3  # share of a panel that may exceed its colour scale, so that a cusp does not bleach the rest
_STEPS = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # half-widths of windows are these times a power of ten


def orbitals(
    spectrum: Spectrum,
    ax: Any = None,
    states: Sequence[int] | np.ndarray | None = None,
    points: int = 200,
    window: Any = None,
    contours: int = 0,
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

    Returns the Axes in 1D, else an (n,) array of Axes. Hard walls inside the window are hatched. A state that
    did not converge says so. Raises ValueError for states or a window out of range, or too few Axes.

    Example: `spectrum.plot_orbitals(states=[0, 1]).figure.savefig("orbitals.png")` for a 1D problem.
    """
    return _orbitals(spectrum, ax, plt.figure, states, points, window, contours)


def _orbitals(
    spectrum: Spectrum,
    ax: Any,
    make_figure: Callable[..., Any],
    states: Sequence[int] | np.ndarray | None = None,
    points: int = 200,
    window: Any = None,
    contours: int = 0,
) -> Any:
    box = _box(spectrum)
    chosen = chosen_states(spectrum, states)
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or points < 2:
        raise ValueError(f"orbitals: points must be an integer of at least 2, got {points!r}.")
    windows = _windows(spectrum, chosen) if window is None else _given_window(box, window, len(chosen))
    if spectrum.domain.dim == 1:
        return _draw_lifted(
            _one_axes(ax, make_figure, len(chosen)), spectrum, chosen, windows[0, 0], 5 * int(points)
        )
    axes = _panel_axes(ax, make_figure, spectrum, windows)
    return _draw_panels(axes, spectrum, chosen, windows, int(points), contours)


def levels(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the level diagram: a column for the spectrum, one for each reference, one for the exact energies.

    Degenerate levels stand side by side with their number, ×3; vertical bars are the claimed errors, and the
    largest of them stands under the column. Levels of the same index are joined between columns. The
    exact level that follows the last one asked for is grey.

    Args:
        reference: a `Spectrum`, an array of energies, or a list of these.

    Returns the Axes. Raises ValueError where a reference is no list of finite energies.
    """
    return _levels(spectrum, ax, plt.figure, reference)


def _levels(spectrum: Spectrum, ax: Any, make_figure: Callable[..., Any], reference: Any) -> Any:
    columns = [_spectrum_column(spectrum), *_reference_columns(reference, "levels")]
    if spectrum.exact is not None:
        columns.append(_exact_column(spectrum))
    names = [column.label for column in columns]
    columns = [
        column._replace(label=f"{column.label} {names[: i + 1].count(column.label)}")
        if names.count(column.label) > 1
        else column
        for i, column in enumerate(columns)
    ]
    ax = _one_axes(ax, make_figure, width=2.4 + 1.6 * len(columns))
    every = np.concatenate([_with_bars(column.energies, column.errors) for column in columns])
    low, high = _padded(float(every.min()), float(every.max()), 0.06)
    ax.set_xlim(-0.6, len(columns) - 0.4 + 0.15)
    ax.set_ylim(low, high)
    for left, right in pairwise(range(len(columns))):
        n = min(columns[left].known, columns[right].known)
        ends = np.stack([columns[left].energies[:n], columns[right].energies[:n]])
        ax.plot([left + 0.5, right - 0.36], ends, color="0.75", lw=0.7, ls=(0, (2, 2)), zorder=1)
    for place, column in enumerate(columns):
        _draw_column(ax, place, column)
    ax.set_xticks(range(len(columns)), [f"{column.label}{_largest_error(column)}" for column in columns])
    ax.tick_params(axis="x", length=0)
    _finish(ax, spectrum, ylabel=_energy_label(spectrum))
    ax.spines["bottom"].set_visible(False)
    return ax


def history(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the energies of training against steps, as in Fig. 1 d–e of the SpIN paper (arXiv:1806.02215).

    A line a state, numbered at its right end; dots with bars are the final energies ± errors, which come from
    a fresh evaluation and need not meet the running ones; black dashed lines are the reference. The early
    transient may leave the picture.

    Args:
        reference: a `Spectrum` or an array of energies; the exact energies by default, where known.

    Returns the Axes. Raises ValueError where the spectrum has no history (a grid, for instance).
    """
    return _history(spectrum, ax, plt.figure, reference)


def _history(spectrum: Spectrum, ax: Any, make_figure: Callable[..., Any], reference: Any) -> Any:
    if not _has_history(spectrum):
        raise ValueError(
            f"history: the spectrum of {spectrum.name} by {spectrum.method or 'an unnamed method'} has no "
            "history of training. Methods without steps, such as a grid, have none: draw levels instead."
        )
    steps = np.asarray(spectrum.history["step"])
    running = np.asarray(spectrum.history["energies"], dtype=float)
    n = min(spectrum.n_states, running.shape[1])
    columns = _reference_columns(reference, "history")
    if reference is None and spectrum.exact is not None:
        columns = [_exact_column(spectrum)]
    lines = [column._replace(energies=column.energies[: spectrum.n_states]) for column in columns]

    ax = _one_axes(ax, make_figure)
    last = float(steps[-1])
    ax.set_xlim(min(0.0, float(steps[0])), last * 1.05 if last > 0 else 1.0)
    known = np.concatenate(
        [_with_bars(spectrum.energies, spectrum.errors), *(line.energies for line in lines)]
    )
    ax.set_ylim(*_history_limits(known, running[:, :n]))
    for k in range(n):
        ax.plot(
            steps, running[:, k], color=_colour(k), lw=1.1, zorder=2, marker="." if len(steps) == 1 else None
        )
    for k in range(spectrum.n_states):
        _error_bar(ax, last * 1.025, spectrum.energies[k], spectrum.errors[k], _colour(k), marker="o")
    for i, line in enumerate(lines):
        style = ((0, (5, 3)), (0, (1, 2)), (0, (5, 2, 1, 2)))[i % 3]
        for j, energy in enumerate(_distinct(line.energies)):
            ax.axhline(energy, color="k", lw=0.8, ls=style, zorder=3, label=line.label if j == 0 else None)
    _label_right(ax, spectrum.energies, [str(k) for k in range(spectrum.n_states)], merge=True)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("step")
    _finish(ax, spectrum, ylabel=_energy_label(spectrum))
    return ax


def save_all(spectrum: Spectrum, folder: str | os.PathLike[str], reference: Any = None) -> list[Path]:
    """Write orbitals.png, levels.png and, where there is a history, history.png; return their paths.

    `reference` goes to `levels` and `history`. The folder is made where there is none. No figure stays open.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    pictures = [
        ("orbitals", _orbitals(spectrum, None, Figure)),
        ("levels", _levels(spectrum, None, Figure, reference)),
    ]
    if _has_history(spectrum):
        pictures.append(("history", _history(spectrum, None, Figure, reference)))
    paths = []
    for name, drawn in pictures:
        paths.append(target / f"{name}.png")
        np.ravel(drawn)[0].figure.savefig(paths[-1], dpi=130, bbox_inches="tight", pad_inches=0.1)
    return paths


# --- axes


def _one_axes(ax: Any, make_figure: Callable[..., Any], n_labels: int = 0, width: float = 6.4) -> Any:
    """The Axes that were given, or new ones, high enough for that many labels."""
    if ax is None:
        height = float(np.clip(0.17 * n_labels + 1.2, 4.4, 12.0))
        return make_figure(figsize=(width, height), layout="constrained").subplots()
    given = np.ravel(np.asarray(ax, dtype=object))
    if len(given) != 1 or not hasattr(given[0], "plot"):
        raise ValueError(f"plot: ax must be one Matplotlib Axes, got {ax!r}.")
    return given[0]


def _panel_axes(
    ax: Any, make_figure: Callable[..., Any], spectrum: Spectrum, windows: np.ndarray
) -> np.ndarray:
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
    figure.suptitle(_title(spectrum), fontsize=11)
    return axes[:n]


def _finish(ax: Any, spectrum: Spectrum, ylabel: str) -> None:
    ax.set_ylabel(ylabel)
    ax.set_title(_title(spectrum), fontsize=11, loc="left")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False, borderpad=0.2
        )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _title(spectrum: Spectrum) -> str:
    return f"{spectrum.name} ({spectrum.method})" if spectrum.method else spectrum.name


def _energy_label(spectrum: Spectrum) -> str:
    return f"energy [{spectrum.units}]" if spectrum.units else "energy"


def _colour(k: int) -> str:
    return _COLOURS[k % len(_COLOURS)]


# --- numbers as text


def _with_error(energy: float, error: float) -> str:
    """−0.11108(4): error in units of the last digit, rounded up; 3.0 ± 1.2 where that takes more."""
    if not np.isfinite(error):
        return f"{energy:.6g} ± ?".replace("-", "−")
    digits = int(np.clip(-np.floor(np.log10(max(abs(error), 1e-300))), -12, 8))
    last = float(np.ceil(abs(error) * 10.0**digits - 1e-9))
    if last >= 10:  # 0.96 is no longer 0.(10)
        digits, last = digits - 1, 1.0
    if digits < 1:
        return f"{energy:.1f} ± {abs(error):.1f}".replace("-", "−")
    return f"{energy:.{digits}f}({max(last, 1):.0f})".replace("-", "−")


def chosen_states(spectrum: Spectrum, states: Sequence[int] | np.ndarray | None) -> list[int]:
    if states is None:
        return list(range(spectrum.n_states))
    chosen = np.ravel(np.asarray(states))
    if chosen.size == 0 or not np.issubdtype(chosen.dtype, np.integer):
        raise ValueError(f"orbitals: states must be indices of states, got {states!r}.")
    if chosen.min() < 0 or chosen.max() >= spectrum.n_states:
        raise ValueError(f"orbitals: states must lie in 0 … {spectrum.n_states - 1}, got {chosen.tolist()}.")
    return [int(k) for k in chosen]


def _box(spectrum: Spectrum) -> Box:
    if not isinstance(spectrum.domain, Box):
        raise TypeError(f"orbitals: can draw functions in a Box, got {spectrum.domain!r}; use spectrum(x).")
    return spectrum.domain


def _groups(spectrum: Spectrum) -> list[list[int]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last group is cut is the table's business
        return spectrum.groups()


def _distinct(energies: np.ndarray) -> np.ndarray:
    ordered = np.sort(energies)
    apart = np.diff(ordered, prepend=-np.inf) > 1e-9 * max(1e-300, np.abs(ordered).max(initial=0.0))
    return ordered[apart]


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), 1e-300):
        span = 2 * max(abs(low), abs(high), 0.5)
    return low - share * span, high + share * span


def _with_bars(energies: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Energies and the ends of their error bars, bars longer than the spectrum left out."""
    longest = np.ptp(energies) if len(energies) > 1 else np.inf
    shown = np.where(np.isfinite(errors) & (errors <= longest), errors, 0)
    return np.concatenate([energies - shown, energies, energies + shown])


# --- where to look


def _given_window(domain: Box, window: Any, n: int) -> np.ndarray:
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


def _windows(spectrum: Spectrum, chosen: list[int]) -> np.ndarray:
    """(low, high) of each coordinate for each chosen state, (n, dim, 2)."""
    extents = _extents(spectrum)[chosen]
    sizes = np.diff(extents, axis=2)[:, :, 0].max(axis=1)
    if spectrum.domain.dim == 1 or sizes.max() <= 2.5 * sizes.min():
        return np.repeat(_framed(extents, _box(spectrum))[None], len(chosen), axis=0)
    # A single window would shrink the small states to a dot; states of one level stay comparable.
    windows = np.empty_like(extents)
    for group in _groups(spectrum):
        members = [i for i, k in enumerate(chosen) if k in group]
        if members:
            together = sizes[members].max() <= 2.5 * sizes[members].min()
            for part in [members] if together else [[i] for i in members]:
                windows[part] = _framed(extents[part], _box(spectrum))
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


def _set_limits(ax: Any, domain: Box, window: np.ndarray, drawn: tuple[int, ...]) -> None:
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


def _cells(interval: np.ndarray, n: int) -> np.ndarray:
    """Centres of n equal cells; with n even, the middle, where a singularity may sit, is none of them."""
    low, high = interval
    return low + (high - low) * (np.arange(n) + 0.5) / n


def _potential(spectrum: Spectrum, points: np.ndarray) -> np.ndarray | None:
    """V at points (P, dim); None where it is not known, or not finite there even after a nudge."""
    if spectrum.potential is None:
        return None
    nudge = 1e-6 * np.asarray(_box(spectrum).lengths) / np.sqrt(2)
    for shifted in (points, points + nudge):
        try:
            values = np.asarray(spectrum.potential(shifted), dtype=float)
        except ValueError:  # V is not finite at a point of the mesh
            continue
        if np.isfinite(values).all():
            return values
    return None


def _drawable(psi: np.ndarray) -> np.ndarray:
    """ψ, or where it is complex its modulus: the phase is a matter of convention."""
    return np.abs(psi) if np.iscomplexobj(psi) else psi


# --- one dimension


def _draw_lifted(ax: Any, spectrum: Spectrum, chosen: list[int], window: np.ndarray, points: int) -> Any:
    domain = _box(spectrum)
    x = np.linspace(max(window[0], domain.lower[0]), min(window[1], domain.upper[0]), points)
    psi = _drawable(spectrum(x[:, None])[:, chosen])
    energies = spectrum.energies[chosen]
    inner = np.clip(x, domain.lower[0] + 1e-9 * domain.lengths[0], domain.upper[0] - 1e-9 * domain.lengths[0])
    v = _potential(spectrum, inner[:, None])

    spacing = _level_spacing(energies, v)
    amplitude = 0.45 * spacing / max(float(np.abs(psi).max()), 1e-300)
    low, high = energies.min() - 0.8 * spacing, energies.max() + 1.1 * spacing
    if v is not None:  # the bottom of V, unless it is so deep that the levels would shrink
        low = max(min(low, v.min() - 0.15 * spacing), energies.min() - 0.6 * (high - low) - spacing)
    ax.set_ylim(low, high)
    _set_limits(ax, domain, window[None], (0,))
    if v is not None:
        ax.plot(x, np.clip(v, low - spacing, high + spacing), color="k", lw=1.3, zorder=1.5, label="V")
        ax.fill_between(x, low, np.clip(v, low, high + spacing), color="0.5", alpha=0.08, lw=0, zorder=0)
    for i, k in enumerate(chosen):
        lifted = energies[i] + amplitude * psi[:, i]
        ax.axhline(energies[i], color=_colour(k), lw=0.7, ls=(0, (4, 3)), alpha=0.8, zorder=2)
        ax.fill_between(x, energies[i], lifted, color=_colour(k), alpha=0.15, lw=0, zorder=2)
        ax.plot(x, lifted, color=_colour(k), lw=1.4, zorder=3)
    texts = []
    for k in chosen:
        mark = "" if spectrum.converged[k] else " (not converged)"
        texts.append(f"$E_{{{k}}}$ = {_with_error(spectrum.energies[k], spectrum.errors[k])}{mark}")
    _label_right(ax, energies, texts, colours=[_colour(k) for k in chosen])
    ax.set_xlabel("x")
    _finish(ax, spectrum, ylabel=_energy_label(spectrum))
    return ax


def _level_spacing(energies: np.ndarray, v: np.ndarray | None) -> float:
    """A typical distance between levels; near-degenerate ones count as one level."""
    span = float(np.ptp(energies))
    if span <= 1e-9 * max(float(np.abs(energies).max()), 1e-300):
        size = float(np.abs(energies).max()) or 1.0
        height = 0.0 if v is None else float(energies.min() - v.min())
        return min(height, size) if height > 0 else size
    gaps = np.diff(np.sort(energies))
    wide = gaps[gaps > 0.2 * span / len(energies)]
    return float(np.quantile(wide, 0.3))


# --- two dimensions and more


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
        names = _names(len(self.through))
        places = [f"{names[axis]} = {self.through[axis] + 0.0:.2g}".replace("-", "−") for axis in held]
        return ", ".join(places if len(places) <= 3 else [*places[:2], "…"])


def _names(dim: int) -> list[str]:
    return list("xyz"[:dim]) if dim <= 3 else [f"$x_{{{axis}}}$" for axis in range(dim)]


def _planes(spectrum: Spectrum, chosen: list[int], windows: np.ndarray) -> list[_Plane]:
    """For each state a plane where it does not vanish: through the middle, or else through its maximum."""
    dim, middle = spectrum.domain.dim, np.asarray(_box(spectrum).centre)
    if dim == 2:
        return [_Plane((0, 1), middle)] * len(chosen)
    points, _ = spectrum.eigenfunctions.quadrature()
    size = np.abs(spectrum.eigenfunctions(points))
    candidates = [_Plane(drawn, middle) for drawn in ((0, 1), (0, 2), (1, 2))]
    meshes = [
        plane.points(*(_cells(w[axis], 40) for axis in plane.drawn)) for w in windows for plane in candidates
    ]
    on_plane = np.abs(spectrum(np.concatenate(meshes))).reshape(len(chosen), len(candidates), 40 * 40, -1)
    planes = []
    for i, k in enumerate(chosen):
        seen = on_plane[i, :, :, k].max(axis=1) > 0.25 * size[:, k].max()
        through_maximum = _Plane((0, 1), points[size[:, k].argmax()])
        planes.append(candidates[int(seen.argmax())] if seen.any() else through_maximum)
    return planes


def _draw_panels(
    axes: np.ndarray, spectrum: Spectrum, chosen: list[int], windows: np.ndarray, points: int, contours: int
) -> np.ndarray:
    domain, names = _box(spectrum), _names(spectrum.domain.dim)
    planes = _planes(spectrum, chosen, windows)
    units = f" {spectrum.units}" if spectrum.units else ""
    shown = np.clip(windows, np.array([domain.lower]).T, np.array([domain.upper]).T)
    grids = [
        tuple(_cells(part[axis], points) for axis in plane.drawn)
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
            np.split(_drawable(spectrum(np.concatenate(list(distinct.values())))), len(distinct)),
            strict=True,
        )
    )
    for i, (ax, k, plane) in enumerate(zip(axes, chosen, planes, strict=True)):
        x, y = grids[i]
        psi = values[keys[i]][:, k].reshape(points, points)
        largest = max(float(np.quantile(np.abs(psi), 1 - _CUT)), 1e-300)
        extent = (*shown[i, plane.drawn[0]], *shown[i, plane.drawn[1]])
        ax.imshow(
            psi,
            origin="lower",
            extent=extent,
            cmap="RdBu_r",
            vmin=-largest,
            vmax=largest,
            aspect="equal",
            interpolation="bilinear",
        )
        v = _potential(spectrum, distinct[keys[i]]) if contours else None
        if v is not None:
            heights = np.quantile(v, np.linspace(0, 1, contours + 2)[1:-1])
            ax.contour(x, y, v.reshape(psi.shape), levels=_distinct(heights), colors="0.35", linewidths=0.5)
        _set_limits(ax, domain, windows[i], plane.drawn)
        title = f"{k}: {_with_error(spectrum.energies[k], spectrum.errors[k])}{units}"
        where = plane.describe()
        ax.set_title(f"{title}\n{where}" if where else title, fontsize=9)
        if not spectrum.converged[k]:
            ax.text(
                0.03, 0.03, "not converged", transform=ax.transAxes, fontsize=7, color=_COLOURS[1], zorder=5
            )
        ax.tick_params(labelsize=7, length=2.5, pad=2)
        for locate in (ax.xaxis, ax.yaxis):
            locate.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        ax.set_xlabel(names[plane.drawn[0]], fontsize=8, labelpad=1)
        ax.set_ylabel(names[plane.drawn[1]], fontsize=8, labelpad=2)
    _inner_labels_off(axes, windows, planes)
    return axes


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


# --- levels


class _Column(NamedTuple):
    """Energies to be drawn as one column, or as the lines of a reference."""

    label: str
    energies: np.ndarray
    errors: np.ndarray
    groups: list[list[int]]
    known: int  # levels that belong; any more are drawn pale
    colour: str


def _spectrum_column(spectrum: Spectrum, colour: str = _COLOURS[0]) -> _Column:
    label = spectrum.method or "spectrum"
    return _Column(label, spectrum.energies, spectrum.errors, _groups(spectrum), spectrum.n_states, colour)


def _plain_column(label: str, energies: Any, count: int | None, colour: str, caller: str) -> _Column:
    try:
        found = np.asarray(energies, dtype=float)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.ndim != 1 or found.size == 0 or not np.isfinite(found).all():
        raise ValueError(f"{caller}: reference must be a Spectrum or finite energies (n,), got {energies!r}.")
    found = np.sort(found)
    breaks = np.flatnonzero(np.diff(found) > 1e-9 * np.abs(found).max()) + 1
    groups = [[int(i) for i in group] for group in np.split(np.arange(len(found)), breaks)]
    return _Column(label, found, np.zeros(len(found)), groups, len(found) if count is None else count, colour)


def _exact_column(spectrum: Spectrum) -> _Column:
    return _plain_column("exact", spectrum.exact, spectrum.n_states, "k", "levels")


def _reference_columns(reference: Any, caller: str) -> list[_Column]:
    if reference is None:
        return []
    several = isinstance(reference, list | tuple) and any(
        isinstance(r, Spectrum) or np.ndim(r) for r in reference
    )
    columns = []
    for i, one in enumerate(reference if several else [reference]):
        colour = _COLOURS[(i + 1) % len(_COLOURS)]
        columns.append(
            _spectrum_column(one, colour)
            if isinstance(one, Spectrum)
            else _plain_column("reference", one, None, colour, caller)
        )
    return columns


def _largest_error(column: _Column) -> str:
    finite = column.errors[np.isfinite(column.errors)]
    if not column.errors.any():
        return ""
    if len(finite) < len(column.errors):
        return "\nsome errors unknown" if len(finite) else "\nerrors unknown"
    return f"\nerrors ≤ {finite.max():.1g}"


def _draw_column(ax: Any, place: int, column: _Column) -> None:
    heights, texts = [], []
    span = np.ptp(ax.get_ylim())
    for group in column.groups:
        width = 0.64 / len(group)
        gap = 0.16 * width if len(group) > 1 else 0.0
        for i, k in enumerate(group):
            left = place - 0.32 + i * width + gap / 2
            colour, style = (column.colour, "-") if k < column.known else ("0.7", (0, (1.5, 1)))
            ax.plot(
                [left, left + width - gap],
                [column.energies[k]] * 2,
                color=colour,
                lw=1.8,
                ls=style,
                solid_capstyle="butt",
                zorder=2,
            )
            _error_bar(ax, left + (width - gap) / 2, column.energies[k], column.errors[k], column.colour)
        if min(group) >= column.known:  # the exact level that follows
            heights.append(float(column.energies[group].mean()))
            texts.append("next")
        # Levels that large errors leave unresolved, but that are seen apart, are not called degenerate.
        equal = [k for k in group if k < column.known]
        if len(equal) > 1 and np.ptp(column.energies[equal]) < 0.02 * span:
            heights.append(float(column.energies[equal].mean()))
            texts.append(f"×{len(equal)}")
    for text, height, at in zip(texts, heights, _spread(np.array(heights), _gap(ax, 8.0)), strict=True):
        ax.annotate(
            text,
            (place + 0.32, height),
            (place + 0.345, at),
            fontsize=8,
            annotation_clip=False,
            va="center",
            color=column.colour,
        )


def _error_bar(ax: Any, x: float, energy: float, error: float, colour: str, marker: str = "none") -> None:
    bar = error if np.isfinite(error) else 0.0
    ax.errorbar(
        [x],
        [energy],
        yerr=[bar] if bar else None,
        color=colour,
        elinewidth=1.0,
        capsize=2.5,
        marker=marker,
        markersize=4,
        markeredgecolor="k",
        markeredgewidth=0.5,
        zorder=4,
    )


# --- history


def _has_history(spectrum: Spectrum) -> bool:
    if not {"step", "energies"} <= set(spectrum.history):
        return False
    steps, energies = (np.asarray(spectrum.history[name]) for name in ("step", "energies"))
    return energies.ndim == 2 and energies.size > 0 and len(steps) == len(energies)


def _history_limits(known: np.ndarray, running: np.ndarray) -> tuple[float, float]:
    """The levels fill half the height or more; the rest shows training, its first fifth left out."""
    low, high = float(known.min()), float(known.max())
    span = high - low if high - low > 1e-9 * max(abs(low), abs(high)) else 0.5 * max(abs(low), 0.1)
    late = running[len(running) // 5 :]
    late = late[np.isfinite(late)]
    if late.size:
        low = max(low - 0.3 * span, min(low, float(np.quantile(late, 0.002))))
        high = min(high + 0.7 * span, max(high, float(np.quantile(late, 0.998))))
    return low - 0.06 * span, high + 0.08 * span


# --- labels that do not overlap


def _gap(ax: Any, fontsize: float) -> float:
    """The height of a line of text, in the units of the y axis."""
    box = ax.get_window_extent()
    return float(1.25 * fontsize / 72 * ax.figure.dpi / max(box.height, 1.0) * np.ptp(ax.get_ylim()))


def _spread(heights: np.ndarray, gap: float, limits: tuple[float, float] = (-np.inf, np.inf)) -> np.ndarray:
    """Heights moved as little as needed (least squares) to be `gap` apart in order, and within limits."""
    order = np.argsort(heights, kind="stable")
    wanted = heights[order] - gap * np.arange(len(heights))
    blocks: list[tuple[float, int]] = []  # mean and length; neighbours that would overlap pool
    for value in wanted:
        blocks.append((float(value), 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, m), (b, n) = blocks[-2:]
            blocks[-2:] = [((a * m + b * n) / (m + n), m + n)]
    placed = np.empty(len(heights))
    flat = [mean for mean, length in blocks for _ in range(length)]
    kept = np.clip(flat, limits[0], max(limits[0], limits[1] - gap * (len(heights) - 1)))
    placed[order] = kept + gap * np.arange(len(heights))
    return placed


def _label_right(
    ax: Any, heights: np.ndarray, texts: list[str], colours: Iterable[str] | None = None, merge: bool = False
) -> None:
    """Texts to the right of the axes, at these heights or, for want of room, with a line to them."""
    low, high = ax.get_ylim()
    fontsize = 8.0
    gap = _gap(ax, fontsize)
    if merge:
        heights, texts = _merged(heights, texts, gap)
    elif len(texts) * gap > high - low:
        fontsize *= max((high - low) / (len(texts) * gap), 0.4)
        gap = _gap(ax, fontsize)
    placed = _spread(np.asarray(heights), gap, (low, high))
    colours = ["0.25"] * len(texts) if colours is None else list(colours)
    for text, height, at, colour in zip(texts, heights, placed, colours, strict=True):
        kwargs: dict[str, Any] = {
            "xycoords": ax.get_yaxis_transform(),
            "textcoords": ax.get_yaxis_transform(),
        }
        moved = abs(at - height) > 0.15 * gap
        arrow = (
            {"arrowstyle": "-", "color": colour, "lw": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
            if moved
            else None
        )
        ax.annotate(
            text,
            (1.0, height),
            (1.035, at),
            fontsize=fontsize,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops=arrow,
            **kwargs,
        )


def _merged(heights: np.ndarray, texts: list[str], gap: float) -> tuple[np.ndarray, list[str]]:
    """Labels that would fall on each other become one, "4–8"."""
    merged: list[list[int]] = []
    for i in np.argsort(heights, kind="stable"):
        if merged and heights[i] - heights[merged[-1][0]] < 0.5 * gap:
            merged[-1].append(int(i))
        else:
            merged.append([int(i)])
    centres = np.array([float(np.mean(heights[m])) for m in merged])
    return centres, [texts[m[0]] if len(m) == 1 else f"{texts[m[0]]}–{texts[m[-1]]}" for m in merged]
