"""Pictures of states in many dimensions: their densities along one coordinate, or along two."""

import re
from typing import Any

import numpy as np
from matplotlib import pyplot as plt

from qspin.draw.style import chosen_states
from qspin.methods.sampled.marginals import marginal
from qspin.spectrum.spectrum import Spectrum

__all__ = ["marginals"]

_MOST_AXES = 6
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F6A93")


def marginals(
    spectrum: Spectrum,
    axes: tuple[int, ...] | None = None,
    pair: tuple[int, int] | None = None,
    states: Any = None,
    bins: int | None = None,
    points: int = 262_144,
) -> np.ndarray:
    """Densities with all other coordinates integrated over.

    Args:
        spectrum: of `SampledRitz` (`marginal` says which).
        axes: coordinates to draw, a panel each, curves of all states lifted above one another; by default the first six.
        pair: two coordinates instead: then a panel for each state, darker where it is denser.
        states: indices; by default the first eight.
        bins: of the histograms; by default 60, and 40 along each of a pair.
        points: sample points.

    Returns an array of Axes. Example: `spectrum.plot_marginals(pair=(0, 1))[0].figure.savefig("marginals.png")`.
    """
    chosen = chosen_states(spectrum, range(min(8, spectrum.n_states)) if states is None else states)
    dim = spectrum.domain.dim
    if pair is not None:
        return _pairs(spectrum, pair, chosen, bins or 40, points)
    drawn = tuple(range(min(dim, _MOST_AXES))) if axes is None else tuple(axes)
    figure, panels = plt.subplots(
        1, len(drawn), figsize=(1.9 * len(drawn) + 0.8, 0.5 * len(chosen) + 1.6), sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax, axis in zip(panels[0], drawn, strict=True):
        (edges,), density = marginal(spectrum, (axis,), bins or 60, points)
        height = 0.9 / density[:, chosen].max()
        for place, k in enumerate(chosen):
            curve = place + height * density[:, k]
            colour = _COLOURS[place % len(_COLOURS)]
            ax.stairs(curve, edges, baseline=place, fill=True, color=colour, alpha=0.35)
            ax.stairs(curve, edges, baseline=None, color=colour, lw=0.9)
        ax.set_xlabel(f"$x_{{{axis}}}$")
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.tick_params(axis="y", length=0)
    labels = spectrum.labels or [""] * spectrum.n_states
    names = [
        f"{k}  {re.sub(r' [0-9]+%.*', '', labels[k])}" for k in chosen
    ]  # the first product, without its share
    panels[0, 0].set_yticks(np.arange(len(chosen)), names)
    panels[0, 0].set_ylim(-0.1, len(chosen) + 0.05)
    figure.suptitle(f"{spectrum.name}: densities along single coordinates", fontsize=11, x=0.01, ha="left")
    return panels[0]


def _pairs(
    spectrum: Spectrum, pair: tuple[int, int], chosen: list[int], bins: int, points: int
) -> np.ndarray:
    (horizontal, vertical), density = marginal(spectrum, tuple(pair), bins, points)
    columns = min(4, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, panels = plt.subplots(
        rows, columns, figsize=(2.3 * columns, 2.4 * rows + 0.3), sharex=True, sharey=True, squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax in panels.ravel()[len(chosen) :]:
        ax.set_visible(False)
    for ax, k in zip(panels.ravel(), chosen, strict=False):
        ax.pcolormesh(horizontal, vertical, density[..., k].T, cmap="Blues", vmin=0, rasterized=True)
        ax.set_title(f"{k}:  E = {spectrum.energies[k]:.5g}", fontsize=9)
        ax.set_aspect("equal")
    for ax in panels[-1]:
        ax.set_xlabel(f"$x_{{{pair[0]}}}$")
    for ax in panels[:, 0]:
        ax.set_ylabel(f"$x_{{{pair[1]}}}$")
    figure.suptitle(f"{spectrum.name}: densities", fontsize=11, x=0.01, ha="left")
    return panels.ravel()[: len(chosen)]
