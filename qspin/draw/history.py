"""Training history: running energies against steps, and how far they are from known ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

from qspin.draw.levels import exact_column, reference_columns
from qspin.draw.style import (
    colour_of,
    distinct_levels,
    energy_label,
    error_bar,
    finish,
    label_right,
    one_axes,
    with_bars,
)
from qspin.spectrum.spectrum import Spectrum

__all__ = ["history", "history_errors"]


def history(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the energies of training against steps, as in Fig. 1 d–e of the SpIN paper (arXiv:1806.02215).

    A line a state, numbered at its right end; dots with bars are the final energies ± errors, which come from
    a fresh evaluation and need not meet the running ones; black dashed lines are the reference. The early
    transient may leave the picture.

    Args:
        reference: a `Spectrum` or an array of energies; the exact energies by default, where known.

    Returns the Axes. Raises ValueError where the spectrum has no history (a grid, for instance).
    """
    return draw_history(spectrum, ax, plt.figure, reference)


def draw_history(spectrum: Spectrum, ax: Any, make_figure: Callable[..., Any], reference: Any) -> Any:
    """`history`, on a new figure of that maker's."""
    steps, running = _training("history", spectrum)
    n = min(spectrum.n_states, running.shape[1])
    columns = reference_columns(reference, "history")
    if reference is None and spectrum.exact is not None:
        columns = [exact_column(spectrum)]
    lines = [column._replace(energies=column.energies[: spectrum.n_states]) for column in columns]

    ax = one_axes(ax, make_figure)
    last = float(steps[-1])
    ax.set_xlim(min(0.0, float(steps[0])), last * 1.05 if last > 0 else 1.0)
    known = np.concatenate(
        [with_bars(spectrum.energies, spectrum.errors), *(line.energies for line in lines)]
    )
    ax.set_ylim(*_history_limits(known, running[:, :n]))
    for k in range(n):
        ax.plot(
            steps,
            running[:, k],
            color=colour_of(k),
            lw=1.1,
            zorder=2,
            marker="." if len(steps) == 1 else None,
        )
    for k in range(spectrum.n_states):
        error_bar(ax, last * 1.025, spectrum.energies[k], spectrum.errors[k], colour_of(k), marker="o")
    for i, line in enumerate(lines):
        style = ((0, (5, 3)), (0, (1, 2)), (0, (5, 2, 1, 2)))[i % 3]
        for j, energy in enumerate(distinct_levels(line.energies)):
            ax.axhline(energy, color="k", lw=0.8, ls=style, zorder=3, label=line.label if j == 0 else None)
    label_right(ax, spectrum.energies, [str(k) for k in range(spectrum.n_states)], merge=True)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("step")
    finish(ax, spectrum, ylabel=energy_label(spectrum))
    return ax


def history_errors(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw |running energy - known energy| of each state against steps, on a logarithmic scale.

    A line a state. At the right a column a state, numbered above: the dot is the final energy's distance from the known
    one, the bar reaches up to the claimed error. A dot above its bar is an error that was claimed too small.

    Args:
        reference: a `Spectrum` or an array of energies; the exact energies by default.

    Returns the Axes. Raises ValueError where the spectrum has no history, or nothing is known to compare it with.
    """
    return draw_errors(spectrum, ax, plt.figure, reference)


def draw_errors(spectrum: Spectrum, ax: Any, make_figure: Callable[..., Any], reference: Any) -> Any:
    """`history_errors`, on a new figure of that maker's."""
    steps, running = _training("history_errors", spectrum)
    columns = reference_columns(reference, "history_errors")
    if reference is None and spectrum.exact is not None:
        columns = [exact_column(spectrum)]
    if len(columns) != 1:
        raise ValueError(
            f"history_errors: needs one reference to measure from, a Spectrum or energies, got {len(columns)}."
        )
    (column,) = columns
    n = min(spectrum.n_states, running.shape[1], column.known)
    known, final = column.energies[:n], spectrum.energies[:n]
    floor = np.finfo(float).eps * max(float(np.abs(known).max()), 1e-300)  # a zero has no place on this axis
    off, left = (np.maximum(np.abs(e - known), floor) for e in (running[:, :n], final))
    claimed = np.where(np.isfinite(spectrum.errors[:n]), np.maximum(spectrum.errors[:n], floor), np.nan)

    ax = one_axes(ax, make_figure)
    ax.set_yscale("log")
    every = np.concatenate([off[np.isfinite(off)], left, claimed[np.isfinite(claimed)]])
    ax.set_ylim(0.4 * every.min(), 2.5 * every.max())
    last = float(steps[-1])
    room = 0.04 + 0.022 * min(n, 15)
    ax.set_xlim(min(0.0, float(steps[0])), last * (1 + room) if last > 0 else 1.0)
    places = last * (1 + room * (np.arange(n) + 1) / (n + 1))
    for k in range(n):
        colour, place = colour_of(k), places[k]
        ax.plot(steps, off[:, k], color=colour, lw=1.1, zorder=2, marker="." if len(steps) == 1 else None)
        ax.plot([place] * 2, [ax.get_ylim()[0], claimed[k]], color=colour, lw=2.2, alpha=0.35, zorder=2.5)
        ax.plot(
            [place], [left[k]], "o", color=colour, ms=4, markeredgecolor="k", markeredgewidth=0.5, zorder=4
        )
        if k % -(-n // 7):  # there is room for seven numbers
            continue
        ax.annotate(
            str(k), (place, 1.0), (0, 2), xycoords=ax.get_xaxis_transform(), textcoords="offset points",
            ha="center", fontsize=7, color=colour, annotation_clip=False,
        )  # fmt: skip
    mark_steps(ax, last)
    ax.set_xlabel("step")
    units = f" [{spectrum.units}]" if spectrum.units else ""
    finish(ax, spectrum, ylabel=f"|energy − {column.label}|{units}")
    return ax


def mark_steps(ax: Any, last: float) -> None:
    """Numbers of steps below the axis, none past the last one, where final energies stand."""
    marks = MaxNLocator(6, integer=True).tick_values(ax.get_xlim()[0], max(last, 1.0))
    ax.set_xticks([mark for mark in marks if ax.get_xlim()[0] <= mark <= max(last, 1.0)])


def _training(caller: str, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray]:
    """Steps (T,) and energies (T, n). Raises ValueError where there are none."""
    if not has_history(spectrum):
        raise ValueError(
            f"{caller}: the spectrum of {spectrum.name} by {spectrum.method or 'an unnamed method'} has no "
            "history of training. Methods without steps, such as a grid, have none: draw levels instead."
        )
    return np.asarray(spectrum.history["step"]), np.asarray(spectrum.history["energies"], dtype=float)


def has_history(spectrum: Spectrum) -> bool:
    """Whether training left energies against steps."""
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
