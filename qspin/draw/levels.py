"""Level diagrams: energies of several spectra side by side, with degeneracies and errors."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib import pyplot as plt

from qspin.draw.style import (
    COLOURS,
    energy_label,
    error_bar,
    finish,
    groups_of,
    line_height,
    one_axes,
    padded,
    spread_out,
    with_bars,
)
from qspin.spectrum.spectrum import Spectrum

__all__ = ["levels"]


def levels(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the level diagram: a column for the spectrum, one for each reference, one for the exact energies.

    Degenerate levels stand side by side with their number, ×3; vertical bars are the claimed errors, and the
    largest of them stands under the column. Levels of the same index are joined between columns. The
    exact level that follows the last one asked for is grey.

    Args:
        reference: a `Spectrum`, an array of energies, or a list of these.

    Returns the Axes. Raises ValueError where a reference is no list of finite energies.
    """
    return draw_levels(spectrum, ax, plt.figure, reference)


def draw_levels(spectrum: Spectrum, ax: Any, make_figure: Callable[..., Any], reference: Any) -> Any:
    """`levels`, on a new figure of that maker's."""
    columns = [_spectrum_column(spectrum), *reference_columns(reference, "levels")]
    if spectrum.exact is not None:
        columns.append(exact_column(spectrum))
    names = [column.label for column in columns]
    columns = [
        column._replace(label=f"{column.label} {names[: i + 1].count(column.label)}")
        if names.count(column.label) > 1
        else column
        for i, column in enumerate(columns)
    ]
    ax = one_axes(ax, make_figure, width=2.4 + 1.6 * len(columns))
    every = np.concatenate([with_bars(column.energies, column.errors) for column in columns])
    low, high = padded(float(every.min()), float(every.max()), 0.06)
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
    finish(ax, spectrum, ylabel=energy_label(spectrum))
    ax.spines["bottom"].set_visible(False)
    return ax


class _Column(NamedTuple):
    """Energies to be drawn as one column, or as the lines of a reference."""

    label: str
    energies: np.ndarray
    errors: np.ndarray
    groups: list[list[int]]
    known: int  # levels that belong; any more are drawn pale
    colour: str


def _spectrum_column(spectrum: Spectrum, colour: str = COLOURS[0]) -> _Column:
    label = spectrum.method or "spectrum"
    return _Column(label, spectrum.energies, spectrum.errors, groups_of(spectrum), spectrum.n_states, colour)


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


def exact_column(spectrum: Spectrum) -> _Column:
    """The closed form's energies."""
    return _plain_column("exact", spectrum.exact, spectrum.n_states, "k", "levels")


def reference_columns(reference: Any, caller: str) -> list[_Column]:
    """A column for each reference that a user gave. Raises ValueError."""
    if reference is None:
        return []
    several = isinstance(reference, list | tuple) and any(
        isinstance(r, Spectrum) or np.ndim(r) for r in reference
    )
    columns = []
    for i, one in enumerate(reference if several else [reference]):
        colour = COLOURS[(i + 1) % len(COLOURS)]
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
            error_bar(ax, left + (width - gap) / 2, column.energies[k], column.errors[k], column.colour)
        if min(group) >= column.known:  # the exact level that follows
            heights.append(float(column.energies[group].mean()))
            texts.append("next")
        # Levels that large errors leave unresolved, but that are seen apart, are not called degenerate.
        equal = [k for k in group if k < column.known]
        if len(equal) > 1 and np.ptp(column.energies[equal]) < 0.02 * span:
            heights.append(float(column.energies[equal].mean()))
            texts.append(f"×{len(equal)}")
    for text, height, at in zip(
        texts, heights, spread_out(np.array(heights), line_height(ax, 8.0)), strict=True
    ):
        ax.annotate(
            text,
            (place + 0.32, height),
            (place + 0.345, at),
            fontsize=8,
            annotation_clip=False,
            va="center",
            color=column.colour,
        )
