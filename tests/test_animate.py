"""Superpositions in time, by closed forms; films are written, with the frames asked for."""

from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from known_spectra import hermite, oscillator, spectrum_of, well
from matplotlib.animation import FFMpegWriter
from PIL import Image

import qspin
from qspin.draw import film
from qspin.draw.film import slowest_beat, superposition
from qspin.problem.domain import Nodes
from qspin.problem.region import Disk, Region

FAST = {"frames": 5, "dpi": 40, "points": 40}


@pytest.fixture(scope="module")
def learned():
    """Three harmonic states as a solver gives them."""
    problem = qspin.Problem(
        qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic(1.0)), qspin.Box.cube(8.0, dim=1)
    )
    return qspin.solve(problem, 3, qspin.Grid())


def evolved(spectrum, coefficients, x, time):
    """ψ(x, t), by hand."""
    return spectrum(x) @ (superposition(spectrum, coefficients) * np.exp(-1j * spectrum.energies * time))


def test_half_a_period_later_two_harmonic_levels_are_mirrored(learned):
    period = slowest_beat(learned, [1, 0])
    assert period == pytest.approx(2 * np.pi, rel=1e-7)
    x = np.linspace(-4, 4, 81)[:, None]
    start, half, whole = (np.abs(evolved(learned, [1, 1], x, t)) ** 2 for t in (0.0, period / 2, period))
    assert half == pytest.approx(start[::-1], abs=1e-7)
    assert whole == pytest.approx(start, abs=1e-7)
    assert np.abs(start - start[::-1]).max() > 0.1


def test_coefficients_are_normalised_and_named():
    spectrum = oscillator(4, 1)
    assert superposition(spectrum, [3, 4j]) == pytest.approx([0.6, 0.8j, 0, 0])
    assert superposition(spectrum, {0: 3, 3: 4j}) == pytest.approx([0.6, 0, 0, 0.8j])
    assert superposition(spectrum, np.ones(4)) == pytest.approx(0.5)


def test_a_density_that_does_not_move_has_no_period():
    assert slowest_beat(oscillator(3, 1), [1]) == np.inf
    assert slowest_beat(oscillator(3, 2), [1, 2]) == np.inf, "a degenerate level"


@pytest.mark.parametrize(
    ("coefficients", "says"),
    [
        ([], "1 to 3 numbers"),
        ([1, 1, 1, 1], "1 to 3 numbers"),
        ([[1, 1]], "1 to 3 numbers"),
        ("ground", "1 to 3 numbers"),
        ([0, 0], "not all zero"),
        ([1, np.nan], "finite"),
        ({3: 1}, "0 … 2, got 3"),
        ({"a": 1}, "0 … 2, got 'a'"),
        ({}, "not all zero"),
    ],
)
def test_wrong_coefficients(coefficients, says, tmp_path):
    with pytest.raises(ValueError, match=f"superposition: .*{says}"):
        oscillator(3, 1).animate(coefficients, tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())


def test_a_film_in_one_dimension(learned, tmp_path):
    path = learned.animate([1, 1], tmp_path / "new" / "beat.gif", **FAST)
    assert path == tmp_path / "new" / "beat.gif"
    with Image.open(path) as gif:
        assert gif.format == "GIF" and gif.n_frames == 5
        pictures = []
        for i in range(5):
            gif.seek(i)
            pictures.append(np.asarray(gif.convert("L"), float))
    assert all(np.abs(a - b).mean() > 0.5 for a, b in pairwise(pictures)), "it moves"


def test_films_of_walls_of_one_level_and_of_unknown_potentials(tmp_path):
    well(3).animate({0: 1, 2: 1j}, tmp_path / "well.gif", **FAST)
    oscillator(2, 1, potential=None).animate([0, 1], tmp_path / "one.gif", **FAST)
    flat = spectrum_of(lambda x: np.ones((len(x), 1)), [0.0], qspin.Box(0.0, 1.0, True), 20)
    flat.animate([1], tmp_path / "flat.gif", **FAST)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_film_in_two_dimensions(tmp_path):
    spectrum = oscillator(3, 2)
    path = spectrum.animate([1, 1, 1j], tmp_path / "turn.gif", **FAST)
    with Image.open(path) as gif:
        assert gif.n_frames == 5
    disk = replace(spectrum, domain=Region(Disk(3.0, (0.0, 0.0)), qspin.Box.cube(8.0, dim=2)))
    assert disk.animate([1, 1j], tmp_path / "disk.gif", **FAST).exists()


def frames(spectrum, coefficients, monkeypatch, **options):
    """The Axes of each frame of a film, by what it shows: here the images."""
    shown = []

    class Keeper:
        @contextmanager
        def saving(self, figure, path, dpi):
            self.figure = figure
            yield

        def grab_frame(self):
            ax = self.figure.axes[0]
            shown.append(np.array(ax.images[0].get_array()) if ax.images else ax.lines[-3].get_ydata())

    monkeypatch.setattr(film, "_writer", lambda target, fps: Keeper())
    spectrum.animate(coefficients, "x.gif", **(FAST | options))
    return shown


def test_frames_show_the_density_in_one_dimension(monkeypatch):
    """The mean position of a coherent state follows Newton: c_n = αⁿ/√n!, ⟨x⟩(t) = √2 α cos t, on every frame."""
    alpha, n = 0.8, np.arange(14)
    coefficients = alpha**n / np.sqrt([float(np.prod(range(1, m + 1))) for m in n])
    spectrum = oscillator(14, 1)
    mean = np.abs(superposition(spectrum, coefficients)) ** 2 @ spectrum.energies
    shown = frames(spectrum, coefficients, monkeypatch, points=400, window=(-7, 7))
    x = np.linspace(-7, 7, 400)
    for k, lifted in enumerate(shown):
        density = lifted - mean
        expected = np.sqrt(2) * alpha * np.cos(2 * np.pi * k / 5)
        assert (x @ density) / density.sum() == pytest.approx(expected, abs=1e-5)


def test_a_film_in_three_dimensions_integrates_over_the_third(monkeypatch):
    """Of harmonic states (0, 0, 0) and (1, 0, 0), along y and x: by the closed form."""
    shown = frames(oscillator(4, 3), [1, 0, 0, 1], monkeypatch, window=[(-6, 6)] * 3, axes=(1, 0))
    x = -6 + 12 * (np.arange(40) + 0.5) / 40
    for k, density in enumerate(shown):
        mixed = (hermite(0, x) + np.exp(-2j * np.pi * k / 5) * hermite(1, x)) / np.sqrt(2)
        expected = np.abs(mixed[:, None]) ** 2 * hermite(0, x) ** 2
        np.testing.assert_allclose(density, expected, atol=1e-9)


def test_films_end_at_three_dimensions(tmp_path):
    with pytest.raises(ValueError, match="one to three dimensions, the domain has 4"):
        oscillator(2, 4).animate([1, 1], tmp_path / "x.gif")
    for axes in ((0, 0), (0, 3), (1,)):
        with pytest.raises(ValueError, match="axes must be two different ones of 0, 1, 2"):
            oscillator(2, 3).animate([1, 1], tmp_path / "x.gif", axes=axes)


@pytest.mark.skipif(not FFMpegWriter.isAvailable(), reason="ffmpeg is not installed")
def test_a_film_by_ffmpeg(tmp_path):
    path = oscillator(2, 1).animate([1, 1], tmp_path / "beat.mp4", **FAST)
    assert path.read_bytes()[4:8] == b"ftyp"


def test_no_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setattr(FFMpegWriter, "isAvailable", classmethod(lambda cls: False))
    with pytest.raises(RuntimeError, match=r"\.mp4 .* ffmpeg, which is not on the path: install it, or"):
        oscillator(2, 1).animate([1, 1], tmp_path / "beat.mp4")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frames": 1}, "frames must be an integer of at least 2, got 1"),
        ({"fps": 0}, "fps must be"),
        ({"points": True}, "points must be"),
        ({"dpi": 0}, "dpi must be"),
        ({"duration": 0.0}, "duration must be a positive number"),
        ({"duration": np.inf}, "duration must be a positive number"),
        ({"window": (3, 2)}, "window must have low < high"),
    ],
)
def test_wrong_settings(options, says, tmp_path):
    with pytest.raises(ValueError, match=says):
        oscillator(2, 1).animate([1, 1], tmp_path / "x.gif", **options)


def test_wrong_file_and_domain(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.gif or \.mp4, got 'x\.avi'"):
        oscillator(2, 1).animate([1, 1], tmp_path / "x.avi")
    nodes = replace(oscillator(2, 1), domain=Nodes(np.ones((4, 1))))
    with pytest.raises(TypeError, match="in a Box"):
        nodes.animate([1], tmp_path / "x.gif")
