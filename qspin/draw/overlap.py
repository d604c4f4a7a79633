"""Two spectra's eigenfunctions against each other: |⟨reference ψ_m|ψ_n⟩|², degenerate levels framed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from qspin.draw.style import one_axes, title_of
from qspin.numerics.pencil import principal_angles
from qspin.spectrum.comparison import shared_groups
from qspin.spectrum.spectrum import Spectrum

__all__ = ["overlap"]

_MOST_NUMBERS = 12  # states along a side that leave room for numbers in the squares


def overlap(spectrum: Spectrum, reference: Spectrum, ax: Any = None, values: np.ndarray | None = None) -> Any:
    """Draw the squared overlaps of two spectra's eigenfunctions.

    Inside a frame stand levels that the two cannot tell apart: any rotation among them is as good, and each row and column of
    the frame should sum to one. At its right stands the largest angle (radians) between the two eigenspaces, or "cut" where the
    level goes on beyond the states that were asked for.

    Args:
        reference: another spectrum on the same domain.
        values: (M, N), what `spectrum.overlap(reference)` returns, where it is known already.

    Returns the Axes. Raises ValueError where the domains or the shape of `values` differ.
    """
    return draw_overlap(spectrum, reference, ax, plt.figure, values)


def draw_overlap(
    spectrum: Spectrum,
    reference: Spectrum,
    ax: Any,
    make_figure: Callable[..., Any],
    values: np.ndarray | None = None,
) -> Any:
    """`overlap`, on a new figure of that maker's."""
    shape = (reference.n_states, spectrum.n_states)
    found = spectrum.overlap(reference) if values is None else np.asarray(values)
    if found.shape != shape:
        raise ValueError(f"overlap: values must have shape {shape}, got {found.shape}.")
    ax = one_axes(ax, make_figure, width=6.0)
    squares = np.abs(found) ** 2
    image = ax.imshow(squares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.16, aspect=25)
    bar.set_label(r"$|\langle\psi_m|\psi_n\rangle|^2$", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    if max(shape) <= _MOST_NUMBERS:
        for (m, n), square in np.ndenumerate(squares):
            if square >= 0.005:
                ink = "white" if square > 0.55 else "0.15"
                ax.text(n, m, f"{square:.2f}", ha="center", va="center", fontsize=7.5, color=ink)
    groups, whole = shared_groups(spectrum, reference)
    fontsize = float(np.clip(240 / len(groups), 3, 8))
    for group in groups:
        first, size = group[0] - 0.5, len(group)
        ax.add_patch(Rectangle((first, first), size, size, fill=False, edgecolor="#D55E00", lw=1.4, zorder=3))
        cut = group is groups[-1] and not whole
        block = found[group[0] : group[-1] + 1, group[0] : group[-1] + 1]
        text = "cut" if cut else _angle(float(principal_angles(block)[-1]))
        ax.annotate(
            text, (1.02, first + size / 2), xycoords=ax.get_yaxis_transform(), fontsize=fontsize, color="#B04A00",
            va="center", annotation_clip=False,
        )  # fmt: skip
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(10, integer=True))
    ax.tick_params(length=2.5)
    ax.set_xlabel(f"state n, {spectrum.method or 'spectrum'}")
    ax.set_ylabel(f"state m, {reference.method or 'reference'}")
    ax.set_title(f"{title_of(spectrum)}: overlaps", fontsize=11, loc="left")
    return ax


def _angle(radians: float) -> str:
    """∠ 2e−4; an angle is an arc cosine, so that below the root of eps nothing is known of it."""
    return "∠ < 1e−7" if radians < 1e-7 else f"∠ {radians:.0e}".replace("-0", "−")
