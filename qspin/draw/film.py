"""Films of a superposition of states in time: ψ(x, t) = Σ c_n exp(-i E_n t) ψ_n(x), ħ = 1, as GIF or MP4."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float
from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
from matplotlib.figure import Figure

from qspin.draw import style
from qspin.draw.orbitals import draw_plane, draw_potential, draw_surroundings, line_and_potential
from qspin.numerics.checks import shown, whole
from qspin.spectrum.eigenfunctions import tensor_points
from qspin.spectrum.spectrum import Spectrum

__all__ = ["animate", "superposition"]

Amplitudes = Complex[np.ndarray, "*frames members"]  # c_n exp(-i(E_n - Ē)t) of the states that count
Draw = Callable[[Amplitudes], None]

_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2"  # h264 takes even numbers of pixels only


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

    Returns the path. Cost: the states at points^dim places, once, which are held, and as many multiplications and a picture a
    frame. Raises ValueError for coefficients, numbers or a file ending that cannot work, or past three
    dimensions; RuntimeError for .mp4 where ffmpeg is not installed.

    Example: `spectrum.animate([1, 1], "beat.gif")`.
    """
    target, box, weights = Path(path), style.box_of(spectrum), superposition(spectrum, coefficients)
    if box.dim > 3:
        raise ValueError(f"animate: draws one to three dimensions, the domain has {box.dim}.")
    if len(axes) != 2 or len({*axes} & {0, 1, 2}) != 2:
        raise ValueError(f"animate: axes must be two different ones of 0, 1, 2, got {axes!r}.")
    points = (600, 120, 80)[box.dim - 1] if points is None else points
    for name, value, least in (
        ("frames", frames, 2),
        ("fps", fps, 1),
        ("points", points, 2),
        ("dpi", dpi, 1),
    ):
        whole(f"animate: {name}", value, least)
    members = np.flatnonzero(np.abs(weights) ** 2 > 1e-6)
    weights, energies, period = weights[members], spectrum.energies[members], slowest_beat(spectrum, members)
    if duration is None:  # where nothing moves, about a period of the phase
        duration = period if np.isfinite(period) else 2 * np.pi / max(float(np.abs(energies).max()), 1e-300)
    if not np.isfinite(duration) or duration <= 0:
        raise ValueError(f"animate: duration must be a positive number, got {duration!r}.")
    writer, windows = _writer(target, int(fps)), style.windows_of(spectrum, members.tolist(), window)
    seen = np.stack([windows[:, :, 0].min(axis=0), windows[:, :, 1].max(axis=0)], axis=1)

    times, mean = duration * np.arange(frames) / frames, np.abs(weights) ** 2 @ energies
    amplitudes = weights * np.exp(-1j * np.outer(times, energies - mean))
    if box.dim == 1:
        figure, draw = _curves(spectrum, members, amplitudes, seen, points)
    else:
        drawn = tuple(axes) if box.dim == 3 else (0, 1)
        figure, draw = _map(spectrum, members, amplitudes, seen, points, contours, drawn)
    text = figure.axes[0].text(0.06, 0.93, "", transform=figure.axes[0].transAxes, fontsize=9, zorder=6)
    text.set_bbox({"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 2})
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # made once: nothing may jump, and it takes longer than drawing
    with writer.saving(figure, str(target), int(dpi)):
        for time, now in zip(times, amplitudes, strict=True):
            draw(now)
            periods = f"  ({time / period:.2f} periods)" if np.isfinite(period) else ""
            text.set_text(f"t = {time:.3g}{periods}")
            writer.grab_frame()
    return target


def superposition(spectrum: Spectrum, coefficients: Any) -> Complex[np.ndarray, " states"]:
    """Coefficients (N,) on all states of a spectrum, with Σ|c_n|² = 1.

    Args:
        coefficients: c_0, c_1, …, as many as you like up to N; or a mapping from states to numbers, {0: 1, 3: 1j}.

    Raises ValueError for more coefficients than states, states out of range, numbers that are not finite, or all zero.
    """
    n, named = spectrum.n_states, isinstance(coefficients, Mapping)
    for state in coefficients if named else ():
        if type(state) is bool or not isinstance(state, int | np.integer) or not 0 <= state < n:
            raise ValueError(f"superposition: states must lie in 0 … {n - 1}, got {shown(state)}.")
    try:
        listed = np.asarray(list(coefficients.values()) if named else coefficients, complex)
    except (TypeError, ValueError):
        listed = np.empty((0, 0))
    if listed.ndim != 1 or not (named or 1 <= len(listed) <= n):
        kinds = f"1 to {n} numbers, or a mapping from states to numbers"
        raise ValueError(f"superposition: coefficients must be {kinds}, got {shown(coefficients)}.")
    given = np.zeros(n, complex)
    given[list(coefficients) if named else slice(len(listed))] = listed
    norm = float(np.linalg.norm(given))
    if not np.isfinite(norm) or norm == 0:
        raise ValueError(
            f"superposition: coefficients must be finite and not all zero, got {shown(coefficients)}."
        )
    return given / norm


def slowest_beat(spectrum: Spectrum, members: Any) -> float:
    """2π over the smallest difference between the energies of some states: the period of a superposition's density.

    Levels no further apart than their errors count as one. A density that does not move has none: infinity.
    """
    order = np.sort(members)[np.argsort(spectrum.energies[np.sort(members)])]
    energies, errors = spectrum.energies[order], spectrum.errors[order]
    gaps = np.diff(energies)
    floor = np.maximum(3 * np.hypot(errors[1:], errors[:-1]), 1e-9 * np.abs(energies).max())
    return float(2 * np.pi / gaps[gaps > floor].min()) if (gaps > floor).any() else np.inf


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


def _curves(
    spectrum: Spectrum,
    members: np.ndarray,
    amplitudes: Amplitudes,
    window: Float[np.ndarray, "1 2"],
    points: int,
) -> tuple[Figure, Draw]:
    """One dimension: a figure, and what draws a time on it."""
    x, v = line_and_potential(spectrum, window, points)
    psi, levels = spectrum(x[:, None])[:, members], spectrum.energies[members]
    largest = float(np.abs(psi @ amplitudes.T).max())
    energy = float(np.abs(amplitudes[0]) ** 2 @ levels)
    height = float(np.ptp(levels)) or (abs(energy) if v is None else energy - float(v.min())) or 1.0

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    ax = figure.subplots()
    draw_potential(ax, spectrum, window, x, v, levels, height)
    for level in levels:
        ax.axhline(level, color="0.6", lw=0.7, ls=(0, (4, 3)), zorder=1)
    cloud = ax.fill_between(x, energy, energy, color=style.COLOURS[0], alpha=0.3, lw=0, zorder=2)
    names = {"|ψ|²": "-", "Re ψ·exp(iĒt)": "-", "Im ψ·exp(iĒt)": (0, (5, 2))}
    lines = [
        ax.plot(x, np.full_like(x, energy), color=colour, lw=1.2, ls=dashes, zorder=3, label=name)[0]
        for (name, dashes), colour in zip(names.items(), style.COLOURS, strict=False)
    ]
    style.finish(ax, spectrum, "energy")

    def draw(now: Amplitudes) -> None:
        psi_now = psi @ now / largest
        curves = energy + height * np.stack([np.abs(psi_now) ** 2, 0.6 * psi_now.real, 0.6 * psi_now.imag])
        cloud.set_verts([np.column_stack([[*x, *x[::-1]], [*curves[0], *np.full_like(x, energy)]])])
        for line, curve in zip(lines, curves, strict=True):
            line.set_ydata(curve)

    return figure, draw


def _map(
    spectrum: Spectrum,
    members: np.ndarray,
    amplitudes: Amplitudes,
    window: Float[np.ndarray, "dim 2"],
    points: int,
    contours: int,
    drawn: tuple[int, ...],
) -> tuple[Figure, Draw]:
    """Two and three dimensions: a figure of a density by colour, on one scale at all times, and what draws a time on it."""
    box = style.box_of(spectrum)
    names, part = style.coordinate_names(box.dim), style.within_walls(box, window)
    along = [style.cells(interval, points) for interval in part]
    order = [axis for axis in range(box.dim) if axis not in drawn] + [drawn[1], drawn[0]]
    mesh = tensor_points([along[axis] for axis in order])[..., np.argsort(order)]
    psi = spectrum(mesh.reshape(-1, points, points, box.dim))[..., members]
    step = float(np.ptp(part[order[0]])) / points if box.dim == 3 else 1.0

    def density(now: Amplitudes) -> Float[np.ndarray, "points points"]:
        return (np.abs(psi @ now) ** 2).sum(axis=0) * step

    wide = float(np.clip(np.ptp(part[drawn[0]]) / np.ptp(part[drawn[1]]), 0.4, 2.5))
    figure = Figure(figsize=(4.0 * np.sqrt(wide) + 0.4, 4.0 / np.sqrt(wide) + 0.8), layout="constrained")
    ax = figure.subplots()
    largest = max(map(density, amplitudes[:: max(len(amplitudes) // 16, 1)]), key=np.max)
    image = draw_plane(ax, largest, part[list(drawn)], signed=False)
    if box.dim == 2:
        draw_surroundings(ax, spectrum, mesh.reshape(-1, 2), [along[axis] for axis in drawn], contours)
    style.set_limits(ax, box, window, drawn)
    ax.set(xlabel=names[drawn[0]], ylabel=names[drawn[1]], title=style.title_of(spectrum))
    return figure, lambda now: image.set_data(density(now))
