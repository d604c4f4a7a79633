"""Spectra beside each other: level diagrams with degeneracies and errors, and overlaps of eigenfunctions."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from qspin.draw.style import COLOURS, colour_of, finish, label_levels, limits, one_axes, title_of
from qspin.numerics.errors import degenerate_groups
from qspin.numerics.pencil import principal_angles
from qspin.spectrum.spectrum import Spectrum, shared_groups

__all__ = ["levels", "overlap"]

_MOST_NUMBERS = 12  # states along a side that leave space for numbers in the squares


class Column(NamedTuple):
    """Energies to be drawn as one column, or as the lines of a reference."""

    label: str
    energies: Float[np.ndarray, " n"]
    errors: Float[np.ndarray, " n"]
    known: int  # levels that belong; any more are drawn pale
    colour: str

    @property
    def groups(self) -> list[list[int]]:
        """Degenerate levels, as far as errors tell."""
        return degenerate_groups(self.energies, self.errors)


def known_columns(caller: str, spectrum: Spectrum, reference: Any) -> list[Column]:
    """A column for each reference that a user gave: a `Spectrum`, energies, or a list of these; without one, a column of the
    closed form's energies, or none. Raises ValueError."""
    if reference is None:
        exact = spectrum.exact
        return [] if exact is None else [_column(caller, exact, "k", "exact", spectrum.n_states)]
    several = isinstance(reference, list | tuple) and any(
        isinstance(r, Spectrum) or np.ndim(r) for r in reference
    )
    every = reference if several else [reference]
    return [_column(caller, one, colour_of(i)) for i, one in enumerate(every, start=1)]


def _column(caller: str, of: Any, colour: str, label: str = "reference", known: int | None = None) -> Column:
    """A column of a spectrum, or of energies without errors, of which the first `known` belong."""
    if isinstance(of, Spectrum):
        return Column(of.method or "spectrum", of.energies, of.errors, of.n_states, colour)
    try:
        given = np.sort(np.asarray(of, dtype=float))
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.ndim != 1 or given.size == 0 or not np.isfinite(given).all():
        raise ValueError(f"{caller}: reference must be a Spectrum or finite energies (n,), got {of!r}.")
    return Column(label, given, np.zeros(len(given)), known or len(given), colour)


def levels(spectrum: Spectrum, ax: Any = None, reference: Any = None) -> Any:
    """Draw the level diagram: a column for the spectrum, one for each reference, one for the exact energies.

    Degenerate levels stand side by side with their number, ×3; vertical bars are the claimed errors, and the
    largest of them stands under the column. Levels of the same index are joined between columns. The
    exact level that follows the last one asked for is grey.

    Args:
        ax: an Axes; None makes a new figure, an empty `Figure` is filled.
        reference: a `Spectrum`, an array of energies, or a list of these.

    Returns the Axes. Raises ValueError where a reference is no list of finite energies.
    """
    columns = [_column("levels", spectrum, colour_of(0))]
    columns += [] if reference is None else known_columns("levels", spectrum, reference)
    columns += known_columns("levels", spectrum, None)
    ax = one_axes("levels", ax, width=2.4 + 1.6 * len(columns))
    energies, errors = (np.concatenate([column[i] for column in columns]) for i in (1, 2))
    ax.set(xlim=(-0.6, len(columns) - 0.25), ylim=limits(energies, errors))
    for place, (left, right) in enumerate(pairwise(columns)):
        n = min(left.known, right.known)
        ends = np.stack([left.energies[:n], right.energies[:n]])
        ax.plot([place + 0.5, place + 0.64], ends, color="0.75", lw=0.7, ls=(0, (2, 2)), zorder=1)
    for place, column in enumerate(columns):
        _draw_column(ax, place, column)
    ax.set_xticks(range(len(columns)), _names(columns))
    ax.tick_params(axis="x", length=0)
    finish(ax, spectrum, "energy")
    ax.spines["bottom"].set_visible(False)
    return ax


def _names(columns: list[Column]) -> list[str]:
    """What stands under the columns: their labels, equal ones numbered, and the largest error."""
    labels, names = [column.label for column in columns], []
    for i, column in enumerate(columns):
        number = f" {labels[: i + 1].count(column.label)}" if labels.count(column.label) > 1 else ""
        finite = column.errors[np.isfinite(column.errors)]
        if len(finite) < len(column.errors):
            error = "\nsome errors unknown" if len(finite) else "\nerrors unknown"
        else:
            error = f"\nerrors ≤ {finite.max():.1g}" if finite.any() else ""
        names.append(f"{column.label}{number}{error}")
    return names


def _draw_column(ax: Any, place: int, column: Column) -> None:
    heights, texts = [], []
    for group in column.groups:
        width = 0.64 / len(group)
        gap = 0.16 * width if len(group) > 1 else 0.0
        for i, k in enumerate(group):
            ends = place - 0.32 + np.array([i * width + gap / 2, (i + 1) * width - gap / 2])
            known, energy = k < column.known, column.energies[k]
            colour, style = (column.colour, "-") if known else ("0.7", (0, (1.5, 1)))
            ax.plot(ends, [energy] * 2, color=colour, ls=style, lw=1.8, solid_capstyle="butt", zorder=2)
            if np.isfinite(column.errors[k]) and column.errors[k] > 0:
                bar = {"elinewidth": 1.0, "capsize": 2.5, "zorder": 4}
                ax.errorbar(ends.mean(), energy, column.errors[k], color=colour, **bar)
        if min(group) >= column.known:  # the exact level that follows
            heights.append(column.energies[group].mean())
            texts.append("next")
        # Levels that large errors leave unresolved, but that are seen apart, are not called degenerate.
        equal = [k for k in group if k < column.known]
        if len(equal) > 1 and np.ptp(column.energies[equal]) < 0.02 * np.ptp(ax.get_ylim()):
            heights.append(column.energies[equal].mean())
            texts.append(f"×{len(equal)}")
    left, right = ax.get_xlim()
    label_levels(ax, (place + 0.34 - left) / (right - left), heights, texts, [column.colour] * len(texts))


def overlap(spectrum: Spectrum, reference: Spectrum, ax: Any = None, values: np.ndarray | None = None) -> Any:
    """Draw the squared overlaps of two spectra's eigenfunctions.

    Inside a frame stand levels that the two cannot tell apart: any rotation among them is as good, and each row and column of
    the frame should sum to one. At its right stands the largest angle (radians) between the two eigenspaces, or "cut" where the
    level goes on beyond the states that were asked for.

    Args:
        reference: another spectrum on the same domain.
        ax: an Axes; None makes a new figure, an empty `Figure` is filled.
        values: (M, N), what `spectrum.overlap(reference)` returns, where it is known already.

    Returns the Axes. Raises ValueError where the domains or the shape of `values` differ.
    """
    shape = (reference.n_states, spectrum.n_states)
    overlaps = spectrum.overlap(reference) if values is None else np.asarray(values)
    if overlaps.shape != shape:
        raise ValueError(f"overlap: values must have shape {shape}, got {overlaps.shape}.")
    ax = one_axes("overlap", ax, width=6.0)
    squares = np.abs(overlaps) ** 2
    image = ax.imshow(squares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.16, aspect=25)
    bar.set_label(r"$|\langle\psi_m|\psi_n\rangle|^2$", fontsize=9)
    bar.outline.set_visible(False)
    if max(shape) <= _MOST_NUMBERS:
        for m, n in np.argwhere(squares >= 0.005):
            ink = "white" if squares[m, n] > 0.55 else "0.15"
            ax.text(n, m, f"{squares[m, n]:.2f}", ha="center", va="center", fontsize=7.5, color=ink)
    groups, whole = shared_groups(spectrum, reference)
    fontsize = float(np.clip(240 / len(groups), 3, 8))
    for group in groups:
        first, size, block = group[0] - 0.5, len(group), slice(group[0], group[-1] + 1)
        frame = Rectangle((first, first), size, size, fill=False, edgecolor=COLOURS[1], lw=1.4, zorder=3)
        ax.add_patch(frame)
        cut = group is groups[-1] and not whole
        text = "cut" if cut else _angle(float(principal_angles(overlaps[block, block])[-1]))
        ax.text(
            1.02, first + size / 2, text, transform=ax.get_yaxis_transform(), fontsize=fontsize, color=COLOURS[1],
            va="center",
        )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(10, integer=True))
    ax.set_xlabel(f"state n, {spectrum.method or 'spectrum'}")
    ax.set_ylabel(f"state m, {reference.method or 'reference'}")
    ax.set_title(f"{title_of(spectrum)}: overlaps", fontsize=11, loc="left")
    return ax


def _angle(radians: float) -> str:
    """∠ 2e−4; an angle is an arc cosine, so that below the root of eps nothing is known of it."""
    return "∠ < 1e−7" if radians < 1e-7 else f"∠ {radians:.0e}".replace("-0", "−")
