"""Training: running energies against steps, and how far they were from known ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

from qspin.draw.levels import known_columns
from qspin.draw.style import blank_figure, colour_of, finish, groups_of, label_levels, limits, one_axes
from qspin.spectrum.spectrum import Spectrum

__all__ = ["has_history", "history", "history_errors", "training"]

_DASHES = ((0, (5, 3)), (0, (1, 2)), (0, (5, 2, 1, 2)))


def history(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the energies of training against steps, as in Fig. 1 d–e of the SpIN paper (arXiv:1806.02215).

    A line a state, numbered at its right end; dots with bars are the final energies ± errors, which come from
    a fresh evaluation and need not meet the running ones; black dashed lines are the reference. The early
    transient may leave the picture.

    Args:
        ax: an Axes; None makes a new figure, an empty `Figure` is filled.
        reference: a `Spectrum` or an array of energies; the exact energies by default, where known.

    Returns the Axes. Raises ValueError where the spectrum has no history (a grid, for instance).
    """
    steps, running = _training("history", spectrum)
    columns = known_columns("history", spectrum, reference)
    n, last = spectrum.n_states, float(steps[-1])
    ax = one_axes("history", ax)
    ax.set_xlim(min(0.0, float(steps[0])), last * 1.05 if last > 0 else 1.0)
    known = np.concatenate([spectrum.energies, *(column.energies[:n] for column in columns)])
    errors = np.concatenate([spectrum.errors, np.zeros(len(known) - n)])
    ax.set_ylim(*_history_limits(known, errors, running[:, :n]))
    for k in range(n):
        if k < running.shape[1]:
            _draw_run(ax, k, steps, running[:, k])
        ax.errorbar(
            last * 1.025, spectrum.energies[k], spectrum.errors[k] if np.isfinite(spectrum.errors[k]) else None,
            color=colour_of(k), marker="o", ms=4, mec="k", mew=0.5, elinewidth=1.0, capsize=2.5, zorder=4,
        )  # fmt: skip
    for i, column in enumerate(columns):
        for group in column.groups:
            if group[0] < n:
                label = column.label if group[0] == 0 else None
                energy = column.energies[group[0]]
                ax.axhline(energy, color="k", lw=0.8, ls=_DASHES[i % len(_DASHES)], zorder=3, label=label)
    groups = groups_of(spectrum)
    texts = [f"{group[0]}–{group[-1]}" if len(group) > 1 else str(group[0]) for group in groups]
    heights = [float(spectrum.energies[group].mean()) for group in groups]
    label_levels(ax, 1.0, heights, texts, ["0.25"] * len(texts))
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("step")
    finish(ax, spectrum, "energy")
    return ax


def history_errors(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw |running energy - known energy| of each state against steps, on a logarithmic scale.

    A line a state. At the right a column a state, numbered above: the dot is the final energy's distance from the known
    one, the bar reaches up to the claimed error. A dot above its bar is an error that was claimed too small.

    Args:
        ax: an Axes; None makes a new figure, an empty `Figure` is filled.
        reference: a `Spectrum` or an array of energies; the exact energies by default.

    Returns the Axes. Raises ValueError where the spectrum has no history, or nothing is known to compare it with.
    """
    steps, running = _training("history_errors", spectrum)
    columns = known_columns("history_errors", spectrum, reference)
    if len(columns) != 1:
        raise ValueError(
            f"history_errors: needs one reference to measure from, a Spectrum or energies, got {len(columns)}."
        )
    (column,) = columns
    n = min(spectrum.n_states, running.shape[1], column.known)
    known = column.energies[:n]
    floor = np.finfo(float).eps * max(float(np.abs(known).max()), 1e-300)  # a zero has no place on this axis
    off, left = (np.maximum(np.abs(e - known), floor) for e in (running[:, :n], spectrum.energies[:n]))
    claimed = np.where(np.isfinite(spectrum.errors[:n]), np.maximum(spectrum.errors[:n], floor), np.nan)

    ax = one_axes("history_errors", ax)
    ax.set_yscale("log")
    every = np.concatenate([off.ravel(), left, claimed])
    ax.set_ylim(0.4 * np.nanmin(every), 2.5 * np.nanmax(every[np.isfinite(every)]))
    last = max(float(steps[-1]), 1.0)
    width = last * (0.04 + 0.022 * min(n, 15))  # of the columns
    ax.set_xlim(min(0.0, float(steps[0])), last + width)
    for k, place in enumerate(last + width * (np.arange(n) + 1) / (n + 1)):
        colour = colour_of(k)
        _draw_run(ax, k, steps, off[:, k])
        ax.plot([place] * 2, [ax.get_ylim()[0], claimed[k]], color=colour, lw=2.2, alpha=0.35, zorder=2.5)
        ax.plot([place], [left[k]], "o", color=colour, ms=4, mec="k", mew=0.5, zorder=4)
        if k % -(-n // 7) == 0:  # seven numbers fit
            where = ax.get_xaxis_transform()
            ax.text(place, 1.01, str(k), transform=where, ha="center", fontsize=7, color=colour)
    _mark_steps(ax, last)
    ax.set_xlabel("step")
    finish(ax, spectrum, f"|energy − {column.label}|")
    return ax


def training(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> np.ndarray:
    """Draw the history, and below it the errors where there is one thing to measure them from.

    Args:
        ax: an empty `Figure`, or None for a new one.
        reference: as `history` takes it.

    Returns an array of one or two Axes. Raises ValueError where the spectrum has no history.
    """
    known = len(known_columns("history", spectrum, reference)) == 1
    figure = blank_figure(ax, 6.4, 7.6 if known else 4.4)
    if figure is None:
        raise ValueError(f"training: ax must be a Matplotlib Figure or None, got {ax!r}.")
    axes = np.ravel(figure.subplots(2 if known else 1, 1, squeeze=False))
    history(spectrum, axes[0], reference)
    if known:
        history_errors(spectrum, axes[1], reference)
        axes[0].set_xlim(axes[1].get_xlim())
        _mark_steps(axes[0], float(spectrum.history["step"][-1]))
        axes[1].set_title("", loc="left")
    return axes


def has_history(spectrum: Spectrum) -> bool:
    """Whether training left energies against steps."""
    if not {"step", "energies"} <= set(spectrum.history):
        return False
    steps, energies = (np.asarray(spectrum.history[name]) for name in ("step", "energies"))
    return energies.ndim == 2 and energies.size > 0 and len(steps) == len(energies)


def _training(
    caller: str, spectrum: Spectrum
) -> tuple[Float[np.ndarray, " records"], Float[np.ndarray, "records states"]]:
    """Steps and running energies. Raises ValueError where there are none."""
    if not has_history(spectrum):
        raise ValueError(
            f"{caller}: the spectrum of {spectrum.name} by {spectrum.method or 'an unnamed method'} has no "
            "history of training. Methods without steps, such as a grid, have none: draw levels instead."
        )
    return np.asarray(spectrum.history["step"], float), np.asarray(spectrum.history["energies"], float)


def _draw_run(ax: Any, k: int, steps: np.ndarray, values: np.ndarray) -> None:
    """State k's line; a single record is a dot."""
    ax.plot(steps, values, color=colour_of(k), lw=1.1, zorder=2, marker="." if len(steps) == 1 else "")


def _mark_steps(ax: Any, last: float) -> None:
    """Numbers of steps below the axis, none past the last one, where final energies stand."""
    marks = MaxNLocator(6, integer=True).tick_values(ax.get_xlim()[0], max(last, 1.0))
    ax.set_xticks([mark for mark in marks if ax.get_xlim()[0] <= mark <= max(last, 1.0)])


def _history_limits(
    known: Float[np.ndarray, " n"],
    errors: Float[np.ndarray, " n"],
    running: Float[np.ndarray, "records states"],
) -> tuple[float, float]:
    """The levels fill half the height or more; the rest shows training, its first fifth left out."""
    low, high = limits(known, errors)
    late = running[len(running) // 5 :]
    late = late[np.isfinite(late)]
    if late.size:
        bottom, top = np.quantile(late, [0.002, 0.998])
        span = high - low
        low, high = max(low - 0.3 * span, min(low, bottom)), min(high + 0.6 * span, max(high, top))
    return float(low), float(high)
