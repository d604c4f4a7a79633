"""Films of a superposition of states evolving in time, as GIF or MP4."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from qspin.draw.evolution import Superposition, superposition
from qspin.draw.panels import draw_outside
from qspin.draw.style import COLOURS, energy_label
from qspin.draw.windows import (
    box_of,
    cells,
    coordinate_names,
    given_window,
    potential_at,
    set_limits,
    windows_of,
)
from qspin.numerics.checks import whole
from qspin.problem.domain import Box
from qspin.problem.region import Region
from qspin.spectrum.spectrum import Spectrum

__all__ = ["animate"]

_CUT = 1e-3  # share of the mesh and of all times that may exceed the colour scale
_MOST_NAMED = 4  # states that a title has room for


def animate(
    spectrum: Spectrum,
    coefficients: Any,
    path: str | os.PathLike[str],
    *,
    duration: float | None = None,
    frames: int = 80,
    fps: int = 20,
    points: int | None = None,
    window: Any = None,
    contours: int = 8,
    axes: Any = (0, 1),
    dpi: int = 100,
) -> Path:
    """Write Σ c_n exp(-i E_n t) ψ_n in time (ħ = 1) as a film.

    1D: the density, and the real and imaginary part of ψ·exp(iĒt), over V, all lifted to the mean energy Ē = ⟨H⟩; without
    that factor, which nobody can measure, the phase would turn faster than a film can show. 2D: the density, with
    contours of V. 3D: the density along two coordinates, the third integrated over.

    Args:
        coefficients: c_0, c_1, …, or a mapping from states to numbers, {0: 1, 3: 1j}; they are normalised.
        path: the file, ending in .gif or .mp4.
        duration: of the evolution, in 1/energy; by default one period of the slowest beat, so that a GIF of two levels
            repeats without a jump.
        frames: how many pictures; fps: of them a second.
        points: mesh points along each axis; by default 600 in 1D, 120 in 2D, 80 in 3D.
        window: (low, high) for each coordinate; by default where the states are.
        contours: of V in 2D, where V is known.
        axes: in 3D, the two coordinates that are drawn.
        dpi: dots per inch of a film 6.4 inches (1D) or about 4.4 inches (else) wide.

    Returns the path. Cost: the states at points^dim places, once, and a picture a frame; in 3D of n states that take part
    n² points² numbers are held. Raises ValueError for coefficients, numbers or a file ending that cannot work, or past three
    dimensions; RuntimeError for .mp4 where ffmpeg is not installed.

    Example: `spectrum.animate([1, 1], "beat.gif")`.
    """
    target = Path(path)
    mixed = superposition(spectrum, coefficients)
    box = box_of(spectrum)
    if box.dim > 3:
        raise ValueError(f"animate: draws one to three dimensions, the domain has {box.dim}.")
    if len(axes) != 2 or len({*axes} & {0, 1, 2}) != 2:
        raise ValueError(f"animate: axes must be two different ones of 0, 1, 2, got {axes!r}.")
    numbers = {"frames": frames, "fps": fps, "dpi": dpi} | ({} if points is None else {"points": points})
    for name, number in numbers.items():
        least = 2 if name in ("frames", "points") else 1
        whole(f"animate: {name}", number, least)
    if duration is None:
        duration = mixed.period
        if not np.isfinite(duration):  # nothing moves but the phase
            duration = 2 * np.pi / max(abs(mixed.energy), 1e-300)
    if not np.isfinite(duration) or duration <= 0:
        raise ValueError(f"animate: duration must be a positive number, got {duration!r}.")
    writer = _writer(target, int(fps))
    chosen = [int(k) for k in np.flatnonzero(mixed.weights > 1e-6)]
    seen = windows_of(spectrum, chosen) if window is None else given_window(box, window, len(chosen))
    within = np.stack([seen[:, :, 0].min(axis=0), seen[:, :, 1].max(axis=0)], axis=1)

    times = duration * np.arange(frames) / frames
    points = points or (600, 120, 80)[box.dim - 1]
    if box.dim == 1:
        figure, draw = _scene_1d(mixed, within, points, times)
    elif box.dim == 2:
        figure, draw = _scene_2d(mixed, within, points, times, contours)
    else:
        figure, draw = _scene_3d(mixed, within, points, times, axes)
    target.parent.mkdir(parents=True, exist_ok=True)
    draw(0.0)
    figure.draw_without_rendering()
    figure.set_layout_engine(
        "none"
    )  # laid out once: nothing may jump, and laying out takes longer than drawing
    with writer.saving(figure, str(target), int(dpi)):
        for time in times:
            draw(float(time))
            writer.grab_frame()
    return target


def _writer(target: Path, fps: int) -> AbstractMovieWriter:
    ending = target.suffix.lower()
    if ending == ".gif":
        return PillowWriter(fps=fps)
    if ending != ".mp4":
        raise ValueError(f"animate: the file must end in .gif or .mp4, got {target.name!r}.")
    if not FFMpegWriter.isAvailable():
        raise RuntimeError(
            "animate: an .mp4 is written by the program ffmpeg, which is not on the path: install it, or write a .gif."
        )
    return FFMpegWriter(fps=fps, codec="h264", extra_args=["-pix_fmt", "yuv420p", "-vf", _EVEN])


_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # h264 takes even numbers of pixels only


def _scene_1d(
    mixed: Superposition, window: np.ndarray, points: int, times: np.ndarray
) -> tuple[Figure, Callable[[float], None]]:
    spectrum, energy = mixed.spectrum, mixed.energy
    box = box_of(spectrum)
    x = np.linspace(max(window[0, 0], box.lower[0]), min(window[0, 1], box.upper[0]), points)
    psi = spectrum(x[:, None])
    largest = max(float(np.abs(psi @ mixed.phased(float(t))).max()) for t in times)
    inner = np.clip(x, box.lower[0] + 1e-9 * box.lengths[0], box.upper[0] - 1e-9 * box.lengths[0])
    v = potential_at(spectrum, inner[:, None])
    low, high, height = _heights(mixed, v)

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    ax.set_ylim(low, high)
    set_limits(ax, box, window, (0,))
    if v is not None:
        ax.plot(x, np.clip(v, low - height, high + height), color="k", lw=1.3, zorder=1.5)
        ax.fill_between(x, low, np.clip(v, low, high), color="0.5", alpha=0.08, lw=0, zorder=0)
    for k in np.flatnonzero(mixed.weights > 1e-6):
        ax.axhline(spectrum.energies[k], color="0.6", lw=0.7, ls=(0, (4, 3)), zorder=1)
    cloud = ax.fill_between(x, energy, energy, color=COLOURS[0], alpha=0.3, lw=0, zorder=2, label="|ψ|²")
    (rim,) = ax.plot(x, x, color=COLOURS[0], lw=1.6, zorder=4)
    (real,) = ax.plot(x, x, color=COLOURS[1], lw=1.0, zorder=3, label="Re ψ·exp(iĒt)")
    (imaginary,) = ax.plot(x, x, color=COLOURS[2], lw=1.0, ls=(0, (5, 2)), zorder=3, label="Im ψ·exp(iĒt)")
    ax.legend(
        loc="upper right", bbox_to_anchor=(0.95, 1), ncols=3, fontsize=8, framealpha=0.8, edgecolor="none"
    )
    ax.set_xlabel("x")
    ax.set_ylabel(energy_label(spectrum))
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    clock = _titled(ax, mixed)

    def draw(time: float) -> None:
        now = psi @ mixed.phased(time, origin=energy) / largest
        density = energy + height * np.abs(now) ** 2
        there_and_back = np.concatenate([density, np.full_like(x, energy)])
        cloud.set_verts([np.column_stack([np.concatenate([x, x[::-1]]), there_and_back])])
        rim.set_ydata(density)
        real.set_ydata(energy + 0.6 * height * now.real)
        imaginary.set_ydata(energy + 0.6 * height * now.imag)
        clock(time)

    return figure, draw


def _heights(mixed: Superposition, v: np.ndarray | None) -> tuple[float, float, float]:
    """Limits of the energy axis, and how high the density's largest value stands on it."""
    energies = mixed.spectrum.energies[mixed.weights > 1e-6]
    bottom = float(energies.min()) if v is None else float(v.min())
    span = max(float(energies.max()) - bottom, float(np.ptp(energies)))
    if span <= 0:
        span = max(abs(mixed.energy), 1e-3)
    bottom = max(bottom, float(energies.min()) - 2 * span)
    height = 0.75 * span
    low = min(bottom, mixed.energy - 0.6 * height) - 0.06 * span
    return low, max(float(energies.max()) + 0.35 * span, mixed.energy + 1.25 * height), height


def _scene_2d(
    mixed: Superposition, window: np.ndarray, points: int, times: np.ndarray, contours: int
) -> tuple[Figure, Callable[[float], None]]:
    box = box_of(mixed.spectrum)
    x, y = (cells(part, points) for part in _inside(box, window))
    mesh = np.stack([c.ravel() for c in np.meshgrid(x, y)], axis=1)
    psi = mixed.spectrum(mesh)

    def density(time: float) -> np.ndarray:
        return np.abs(psi @ mixed.phased(time)).reshape(points, points) ** 2

    figure, ax, draw = _plane(mixed, window, (0, 1), density, times)
    v = potential_at(mixed.spectrum, mesh) if contours else None
    if v is not None:
        levels = np.unique(np.quantile(v, np.linspace(0, 1, contours + 2)[1:-1]))
        ax.contour(x, y, v.reshape(points, points), levels=levels, colors="0.45", linewidths=0.5)
    if isinstance(box, Region):
        draw_outside(ax, x, y, box.signed(mesh).reshape(points, points))
    return figure, draw


def _scene_3d(
    mixed: Superposition, window: np.ndarray, points: int, times: np.ndarray, drawn: tuple[int, int]
) -> tuple[Figure, Callable[[float], None]]:
    """The density along two coordinates, from ∫ ψ_m* ψ_n over the third of all pairs that take part."""
    (third,) = {0, 1, 2} - {*drawn}
    axes = [cells(part, points) for part in _inside(box_of(mixed.spectrum), window)]
    mesh = np.empty((points, points, points, 3))  # third, vertical, horizontal
    for axis, along in ((third, 0), (drawn[1], 1), (drawn[0], 2)):
        mesh[..., axis] = np.expand_dims(axes[axis], [i for i in range(3) if i != along])
    chosen = np.flatnonzero(mixed.weights > 1e-6)
    psi = mixed.spectrum(mesh)[..., chosen]
    pairs = np.einsum("zyxm,zyxn->yxmn", psi.conj(), psi, optimize=True) * np.ptp(axes[third][:2])

    def density(time: float) -> np.ndarray:
        now = mixed.phased(time)[chosen]
        return np.einsum("yxmn,m,n->yx", pairs, now.conj(), now, optimize=True).real

    figure, _, draw = _plane(mixed, window, drawn, density, times)
    return figure, draw


def _inside(box: Box, window: np.ndarray) -> np.ndarray:
    """The part of a window (dim, 2) that is in the box."""
    return np.clip(window, np.array([box.lower]).T, np.array([box.upper]).T)


def _plane(
    mixed: Superposition,
    window: np.ndarray,
    drawn: tuple[int, int],
    density: Callable[[float], np.ndarray],
    times: np.ndarray,
) -> tuple[Figure, Any, Callable[[float], None]]:
    """A density (vertical, horizontal) by colour, on one scale at all times."""
    box, names = box_of(mixed.spectrum), coordinate_names(mixed.spectrum.domain.dim)
    shown = _inside(box, window)[list(drawn)]
    some = times[:: max(len(times) // 16, 1)]
    largest = max(float(np.quantile(density(float(t)), 1 - _CUT)) for t in some)
    wide = float(np.clip(np.ptp(shown[0]) / np.ptp(shown[1]), 0.4, 2.5))
    figure = Figure(figsize=(4.0 * np.sqrt(wide) + 0.4, 4.0 / np.sqrt(wide) + 0.8), layout="constrained")
    ax = figure.subplots()
    image = ax.imshow(
        density(0.0), origin="lower", extent=(*shown[0], *shown[1]), cmap="Blues",
        vmin=0, vmax=max(largest, 1e-300), aspect="equal", interpolation="bilinear",
    )  # fmt: skip
    set_limits(ax, box, window, drawn)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    ax.set_xlabel(names[drawn[0]])
    ax.set_ylabel(names[drawn[1]])
    clock = _titled(ax, mixed)

    def draw(time: float) -> None:
        image.set_data(density(time))
        clock(time)

    return figure, ax, draw


def _titled(ax: Any, mixed: Superposition) -> Callable[[float], None]:
    """Write what is mixed above the axes; return a function that writes the time inside them."""
    ax.set_title(f"{mixed.spectrum.name}:  {_formula(mixed.coefficients)}", fontsize=10, loc="left")
    text = ax.text(
        0.06, 0.96, "", transform=ax.transAxes, fontsize=9, va="top", zorder=6,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 2},
    )  # fmt: skip
    period = mixed.period

    def clock(time: float) -> None:
        share = f"  ({time / period:.2f} periods)" if np.isfinite(period) else ""
        text.set_text(f"t = {time:.3g}{share}")

    return clock


def _formula(coefficients: np.ndarray) -> str:
    """0.71 ψ₀ + 0.71i ψ₃; what has no room is left to three dots."""
    taking_part = np.flatnonzero(np.abs(coefficients) ** 2 > 1e-6)
    terms = [_term(coefficients[k], int(k)) for k in taking_part[:_MOST_NAMED]]
    text = " + ".join([*terms, "…"] if len(taking_part) > _MOST_NAMED else terms)
    return text.replace("+ −", "− ")


def _term(c: complex, k: int) -> str:
    if abs(c.imag) < 5e-3:
        number = f"{c.real:.2f}"
    elif abs(c.real) < 5e-3:
        number = f"{c.imag:.2f}i"
    else:
        number = f"({c.real:.2f}{c.imag:+.2f}i)"
    return f"{number} $\\psi_{{{k}}}$".replace("-", "−")
