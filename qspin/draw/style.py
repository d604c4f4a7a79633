"""What all pictures share: colours, axes, titles, numbers as text, labels that do not overlap."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from qspin.spectrum.spectrum import Spectrum

# Okabe and Ito's colours (black and yellow left out): apart for every kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A93")


# --- axes


def one_axes(ax: Any, make_figure: Callable[..., Any], n_labels: int = 0, width: float = 6.4) -> Any:
    """The Axes that were given, or new ones, high enough for that many labels."""
    if ax is None:
        height = float(np.clip(0.17 * n_labels + 1.2, 4.4, 12.0))
        return make_figure(figsize=(width, height), layout="constrained").subplots()
    given = np.ravel(np.asarray(ax, dtype=object))
    if len(given) != 1 or not hasattr(given[0], "plot"):
        raise ValueError(f"plot: ax must be one Matplotlib Axes, got {ax!r}.")
    return given[0]


def finish(ax: Any, spectrum: Spectrum, ylabel: str) -> None:
    """Title, label of the y axis, legend above the axes, and no frame above and to the right."""
    ax.set_ylabel(ylabel)
    ax.set_title(title_of(spectrum), fontsize=11, loc="left")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, fontsize=8, frameon=False, borderpad=0.2
        )
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def title_of(spectrum: Spectrum) -> str:
    """Name and method."""
    return f"{spectrum.name} ({spectrum.method})" if spectrum.method else spectrum.name


def energy_label(spectrum: Spectrum) -> str:
    """The word energy, with units where there are some."""
    return f"energy [{spectrum.units}]" if spectrum.units else "energy"


def colour_of(k: int) -> str:
    """State k's colour, the same in all pictures."""
    return COLOURS[k % len(COLOURS)]


# --- numbers as text


def with_error(energy: float, error: float) -> str:
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
    """`Spectrum.groups`, without its warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the last group is cut is the table's business
        return spectrum.groups()


def distinct_levels(energies: np.ndarray) -> np.ndarray:
    """Energies (n,) ascending, of equal ones one."""
    ordered = np.sort(energies)
    apart = np.diff(ordered, prepend=-np.inf) > 1e-9 * max(1e-300, np.abs(ordered).max(initial=0.0))
    return ordered[apart]


def padded(low: float, high: float, share: float) -> tuple[float, float]:
    """An interval with a share of it added at both ends; about a single number, one of its size."""
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high), 1e-300):
        span = 2 * max(abs(low), abs(high), 0.5)
    return low - share * span, high + share * span


def with_bars(energies: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Energies and the ends of their error bars, bars longer than the spectrum left out."""
    longest = np.ptp(energies) if len(energies) > 1 else np.inf
    shown = np.where(np.isfinite(errors) & (errors <= longest), errors, 0)
    return np.concatenate([energies - shown, energies, energies + shown])


def error_bar(ax: Any, x: float, energy: float, error: float, colour: str, marker: str = "none") -> None:
    """One energy's error as a vertical bar; none where it is zero or unknown."""
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


# --- labels that do not overlap


def line_height(ax: Any, fontsize: float) -> float:
    """The height of a line of text, in the units of the y axis."""
    box = ax.get_window_extent()
    return float(1.25 * fontsize / 72 * ax.figure.dpi / max(box.height, 1.0) * np.ptp(ax.get_ylim()))


def spread_out(
    heights: np.ndarray, gap: float, limits: tuple[float, float] = (-np.inf, np.inf)
) -> np.ndarray:
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


def label_right(
    ax: Any, heights: np.ndarray, texts: list[str], colours: Iterable[str] | None = None, merge: bool = False
) -> None:
    """Texts to the right of the axes, at these heights or, for want of room, with a line to them."""
    to_share = ax.transScale + ax.transLimits  # of the height, on a linear or a logarithmic axis
    shares = to_share.transform(np.column_stack([np.ones(len(heights)), heights]))[:, 1]
    fontsize = 8.0
    gap = line_height(ax, fontsize) / np.ptp(ax.get_ylim())
    if merge:
        shares, texts = _merged(shares, texts, gap)
    elif len(texts) * gap > 1:
        fontsize *= max(1 / (len(texts) * gap), 0.4)
        gap = line_height(ax, fontsize) / np.ptp(ax.get_ylim())
    placed = spread_out(np.asarray(shares), gap, (0.0, 1.0))
    moved = np.abs(placed - shares) > 0.15 * gap
    ends, places = (
        to_share.inverted().transform(np.column_stack([np.ones(len(s)), s]))[:, 1] for s in (shares, placed)
    )
    colours = ["0.25"] * len(texts) if colours is None else list(colours)
    line = {"arrowstyle": "-", "lw": 0.5, "shrinkA": 0, "shrinkB": 0, "relpos": (0, 0.5)}
    for i, (text, colour) in enumerate(zip(texts, colours, strict=True)):
        ax.annotate(
            text,
            (1.0, ends[i]),
            (1.035, places[i]),
            xycoords=ax.get_yaxis_transform(),
            textcoords=ax.get_yaxis_transform(),
            fontsize=fontsize,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={**line, "color": colour} if moved[i] else None,
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
