"""Pictures of spectra whose functions are known: what is drawn, where, and what is refused."""

import warnings
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from known_spectra import hydrogen, oscillator, spectrum_of, trained, well
from matplotlib import colormaps, rcParams
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from qspin.draw import history, save_all
from qspin.draw import style as plot_style
from qspin.problem.domain import Box
from qspin.problem.region import Disk, Region


def text_of(ax):
    return [t.get_text() for t in ax.texts]


def walls(ax):
    return [p for p in ax.patches if isinstance(p, Rectangle) and p.get_gid() == "wall"]


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    """Draw, so that warnings of the drawing count; leave no figure and no changed setting behind."""
    before = dict(rcParams)
    yield
    for number in plt.get_fignums():
        plt.figure(number).canvas.draw()
    plt.close("all")
    assert dict(rcParams) == before


# --- orbitals


def test_one_dimension():
    ax = oscillator(4, 1).plot_orbitals()
    assert ax.get_xlabel() == "x" and ax.get_ylabel() == "energy"
    assert ax.get_title(loc="left") == "known (formula)"
    assert text_of(ax) == [f"$E_{{{n}}}$ = {n}.50000(4)" for n in range(4)]
    # V, and for each state its energy and itself.
    assert len(ax.lines) == 1 + 2 * 4
    assert not walls(ax)
    low, high = ax.get_xlim()
    assert -6 < low < -3 and 3 < high < 6, "zoomed to where the states are"


def test_lifted_states_lie_about_their_energies():
    ax = well(3).plot_orbitals()
    for n, line in enumerate(ax.lines[1::2]):
        y = line.get_ydata()
        energy = np.pi**2 * (n + 1) ** 2 / 2
        assert y[[0, -1]] == pytest.approx(energy)
        expected = np.sin(np.pi * (n + 1) * line.get_xdata())
        assert (y - energy) / np.abs(y - energy).max() == pytest.approx(expected, abs=1e-3)


def test_walls_are_drawn():
    left, right = walls(well(3).plot_orbitals())
    assert left.get_x() + left.get_width() == pytest.approx(0) and right.get_x() == pytest.approx(1)
    assert left.get_hatch() and right.get_hatch()
    assert not walls(well(3, periodic=True).plot_orbitals()), "a periodic axis has none"
    assert not walls(well(3).plot_orbitals(window=(0.2, 0.8)))
    assert len(walls(well(3).plot_orbitals(window=(-1, 0.8)))) == 1


def test_labels_do_not_overlap():
    ax = well(20).plot_orbitals()
    ax.figure.canvas.draw()
    boxes = sorted((Text.get_window_extent(t) for t in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == 20
    assert all(b.y0 > a.y0 + 0.7 * a.height for a, b in pairwise(boxes))


def test_a_potential_that_is_not_finite_somewhere():
    def coulomb(x):
        if (x == 0).any():
            raise ValueError("V is -inf")
        return -1 / np.abs(x[:, 0])

    # An odd mesh over a symmetric window hits the singularity; it is moved a little.
    ax = oscillator(2, 1, potential=coulomb).plot_orbitals(points=101, window=(-4, 4))
    assert len(ax.lines) == 5 and ax.get_ylim()[0] > -10, "a deep V does not press the levels together"
    unknown = oscillator(2, 1, potential=None).plot_orbitals()
    assert len(unknown.lines) == 4


def test_one_state():
    assert len(oscillator(1, 1).plot_orbitals().lines) == 3
    assert len(oscillator(3, 1).plot_orbitals(states=[2]).lines) == 3
    assert len(oscillator(1, 2).plot_orbitals()) == 1


def test_panels_in_two_dimensions():
    axes = oscillator(6, 2, units="cm⁻¹").plot_orbitals(points=30)
    assert axes.shape == (6,)
    assert [ax.get_title() for ax in axes[:2]] == ["0: 1.00000(4) cm⁻¹", "1: 2.00000(4) cm⁻¹"]
    assert axes[0].figure.get_suptitle() == "known (formula)"
    assert len({ax.get_xlim() for ax in axes}) == 1, "states of similar size share a window"
    for ax in axes:
        (image,) = ax.images
        low, high = image.get_clim()
        assert low == -high and image.get_array().shape == (30, 30)
        assert ax.get_aspect() == 1.0
        assert not walls(ax)
    assert 2 < axes[0].get_xlim()[1] < 6


def test_a_panel_is_the_function():
    spectrum = oscillator(3, 2)
    (ax,) = spectrum.plot_orbitals(states=[2], points=40, window=[(-1, 3), (-2, 2)])
    image = ax.images[0]
    assert tuple(image.get_extent()) == (-1, 3, -2, 2)
    x, y = -1 + 4 * (7 + 0.5) / 40, -2 + 4 * (30 + 0.5) / 40
    assert image.get_array()[30, 7] == pytest.approx(spectrum(np.array([x, y]))[2])
    assert image.origin == "lower"


def test_walls_of_a_box_in_two_dimensions():
    def function(x):
        return 2 * np.prod(np.sin(np.pi * x), axis=1)[:, None]

    half_periodic = Box([0.0, 0.0], [1.0, 1.0], [True, False])
    for domain, number in ((Box([0.0, 0.0], [1.0, 1.0]), 4), (half_periodic, 2)):
        (ax,) = spectrum_of(function, [9.87], domain, 30).plot_orbitals(points=20)
        assert len(walls(ax)) == number
        assert tuple(ax.images[0].get_extent()) == (0, 1, 0, 1), "nothing is drawn behind a wall"


def test_small_and_large_states_have_their_own_windows():
    axes = hydrogen().plot_orbitals(points=30)
    small, large = axes[0].get_xlim()[1], [ax.get_xlim()[1] for ax in axes[1:]]
    assert 2 < small < 6 and set(large) == {large[0]} and large[0] > 2 * small
    assert axes[0].get_title() == "0: −0.50000(4)\nz = 0"
    # 2p_z has its node on z = 0.
    assert [ax.get_title().split("\n")[1] for ax in axes[1:]] == ["z = 0"] * 3 + ["y = 0"]
    assert [axes[4].get_xlabel(), axes[4].get_ylabel()] == ["x", "z"]


def test_a_state_with_nodes_on_all_three_planes():
    def function(x):
        return (np.prod(x, axis=1) * np.exp(-(x**2).sum(1) / 2))[:, None]

    (ax,) = spectrum_of(function, [4.5], Box.cube(6.0, 3), 30).plot_orbitals(points=30)
    where = ax.get_title().split("\n")[1]
    assert where.startswith("z = ") and abs(float(where[4:].replace("−", "-"))) == pytest.approx(1, abs=0.2)
    assert np.abs(ax.images[0].get_array()).max() > 0.1


def test_four_dimensions():
    axes = oscillator(3, 4).plot_orbitals(points=20)
    assert axes[0].get_title().endswith("$x_{2}$ = 0, $x_{3}$ = 0")
    assert axes[0].get_xlabel() == "$x_{0}$"


def test_contours_of_the_potential():
    plain, contoured = (oscillator(1, 2).plot_orbitals(points=20, contours=n)[0] for n in (0, 3))
    assert len(contoured.collections) > len(plain.collections)


def test_a_state_that_did_not_converge_says_so():
    converged = np.array([True, False])
    ax = oscillator(2, 1, converged=converged).plot_orbitals()
    assert ["not converged" in text for text in text_of(ax)] == [False, True]
    axes = oscillator(2, 2, converged=converged).plot_orbitals(points=20)
    assert [text_of(ax) for ax in axes] == [[], ["not converged"]]


def test_own_axes():
    figure = Figure()
    ax = figure.subplots()
    assert oscillator(2, 1).plot_orbitals(ax=ax) is ax
    grid = Figure().subplots(2, 2)
    axes = oscillator(3, 2).plot_orbitals(ax=grid, points=20)
    assert list(axes) == list(grid.ravel()[:3])
    assert not grid[1, 1].images and not plt.get_fignums()
    # Coordinates are named once, beside and below the panels that are ours.
    assert [ax.get_ylabel() for ax in axes] == ["y", "", "y"]
    assert [ax.get_xlabel() for ax in axes] == ["", "x", "x"]
    row = Figure().subplots(1, 3)
    assert oscillator(1, 2).plot_orbitals(ax=row[1], points=20)[0].get_ylabel() == "y"
    # Axes that stand in no grid.
    free = [Figure().add_axes([0.1, 0.1, 0.8, 0.8]) for _ in range(2)]
    assert len(oscillator(2, 2).plot_orbitals(ax=free, points=20)) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"states": [3]},
        {"states": [-1]},
        {"states": []},
        {"states": np.array([0.5])},
        {"points": 1},
        {"points": True},
        {"window": (0, 1, 2)},
        {"window": (1, 0)},
        {"window": (20, 30)},
        {"window": (np.nan, 1)},
        {"ax": "left"},
        {"ax": [None, None]},
    ],
)
def test_wrong_input_for_orbitals(options):
    with pytest.raises(ValueError, match=r"^orbitals: "):
        oscillator(3, 1).plot_orbitals(**options)


def test_wrong_input_for_panels():
    with pytest.raises(ValueError, match="3 Matplotlib Axes"):
        oscillator(3, 2).plot_orbitals(ax=Figure().subplots(1, 2))
    with pytest.raises(ValueError, match="2 coordinates"):
        oscillator(3, 2).plot_orbitals(window=(0, 1))


# --- numbers


@pytest.mark.parametrize(
    ("energy", "error", "text"),
    [
        (-0.111084, 4e-5, "−0.11108(4)"),
        (-0.111084, 4.1e-5, "−0.11108(5)"),
        (0.5, 0.0, "0.50000000(1)"),
        (0.5, 1e-13, "0.50000000(1)"),
        (2.0, 0.96, "2.0 ± 1.0"),
        (2.0, 0.096, "2.0(1)"),
        (3.0, 1.2, "3.0 ± 1.2"),
        (945.59, 0.3, "945.6(3)"),
        (945.59, 23.0, "945.6 ± 23.0"),
        (-0.5, np.inf, "−0.5 ± ?"),
        (0.5, np.nan, "0.5 ± ?"),
        (-1.602177e-19, 4e-24, "−1.60218(4)e−19"),
        (1.6e-19, 2.5e-19, "(1.6 ± 2.5)e−19"),
        (1.602177e-19, np.inf, "1.60218e−19 ± ?"),
        (1e-13, 4e-11, "(0.0 ± 4.0)e−11"),
        (-4.5e15, 2e9, "−4.500000(2)e15"),
    ],
)
def test_numbers_with_errors(energy, error, text):
    assert plot_style.with_error(energy, error) == text


def test_joules_are_drawn_as_electronvolts_are():
    """The same picture, with other numbers beside it: limits, spacings and contours are relative."""
    si = 1.602e-19
    small = oscillator(3, 1, potential=None, units="J")
    small = replace(small, energies=si * small.energies, errors=si * small.errors)
    ax, plain = small.plot_orbitals(), oscillator(3, 1, potential=None).plot_orbitals()
    assert np.array(ax.get_ylim()) == pytest.approx(si * np.array(plain.get_ylim()))
    assert text_of(ax)[1].startswith("$E_{1}$ = 2.4030") and text_of(ax)[1].endswith("e−19")
    single = oscillator(1, 1, errors=np.zeros(1))
    low, high = replace(single, energies=si * single.energies).plot_levels().get_ylim()
    assert 0 < high - low < 10 * si


def test_labels_move_to_be_apart():
    """Pushed up and down in equal parts; labels that are apart stay, none leaves the axes."""
    assert plot_style.spread_out(np.array([0.9, 0.1]), 0.1).tolist() == [0.9, 0.1]
    assert plot_style.spread_out(np.array([0.5, 0.5, 0.5]), 0.1) == pytest.approx([0.4, 0.5, 0.6])
    assert plot_style.spread_out(np.zeros(3), 0.1) == pytest.approx([0, 0.1, 0.2])
    placed = plot_style.spread_out(np.random.default_rng(0).uniform(size=30), 0.03)
    assert np.diff(np.sort(placed)).min() > 0.03 - 1e-12 and placed.min() >= 0 and placed.max() <= 1


def test_the_colours_are_apart_for_the_colour_blind():
    """Each pair differs in lightness or along blue–yellow, by the matrices of Viénot et al. (1999)."""
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    colours = np.array([to_rgb(c) for c in plot_style.COLOURS]) ** 2.2
    for matrix in (protan, deutan):
        seen = np.clip(colours @ matrix.T, 0, 1) ** (1 / 2.2)
        distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert distances[~np.eye(len(colours), dtype=bool)].min() > 0.08
    assert "RdBu_r" in colormaps


# --- levels


def test_levels_beside_exact_ones():
    spectrum = oscillator(6, 2, units="eV", exact=np.array([1.0, 2, 2, 3, 3, 3, 4]))
    ax = spectrum.plot_levels()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["formula\nerrors ≤ 4e-05", "exact"]
    assert ax.get_ylabel() == "energy [eV]"
    assert text_of(ax) == ["×2", "×3", "×2", "×3", "next"]
    low, high = ax.get_ylim()
    assert low < 1 and high > 4


def test_levels_beside_references():
    spectrum = oscillator(3, 1)
    labels = []
    for reference in (spectrum, spectrum.energies, [spectrum, [0.5, 1.5]], [0.5, 1.5, 2.5], [[0.5], [0.6]]):
        ax = spectrum.plot_levels(reference=reference)
        labels.append([t.get_text().split("\n")[0] for t in ax.get_xticklabels()])
    assert labels == [
        ["formula 1", "formula 2"],
        ["formula", "reference"],
        ["formula 1", "formula 2", "reference"],
        ["formula", "reference"],
        ["formula", "reference 1", "reference 2"],
    ]


def test_errors_of_levels_are_drawn():
    ax = oscillator(2, 1, errors=np.array([0.25, np.inf])).plot_levels()
    (bar, *_), *_ = ((*c.lines[2], c) for c in ax.containers if len(c.lines[2]))
    (segment,) = bar.get_segments()
    assert segment[:, 1].tolist() == [0.25, 0.75]
    assert ax.get_ylim()[0] < 0.25
    assert ax.get_xticklabels()[0].get_text() == "formula\nsome errors unknown"


def test_levels_that_are_not_resolved_are_not_called_degenerate():
    assert text_of(oscillator(3, 1, errors=np.full(3, 5.0)).plot_levels()) == []


@pytest.mark.parametrize("reference", ["grid", [], [[0.5], []], np.ones((2, 2)), [np.nan], 3])
@pytest.mark.parametrize("picture", ["plot_levels", "plot_history"])
def test_wrong_references(picture, reference):
    name = picture.removeprefix("plot_")
    with pytest.raises(ValueError, match=f"^{name}: reference must be"):
        getattr(trained(oscillator, 2, 1), picture)(reference=reference)


# --- history


def test_history():
    spectrum = trained(oscillator, 3, 1, exact=np.array([0.5, 1.5, 2.5, 3.5]), units="eV")
    ax = spectrum.plot_history()
    steps, energies = spectrum.history["step"], spectrum.history["energies"]
    curves = [line for line in ax.lines if len(line.get_xdata()) == len(steps)]
    drawn = np.array([c.get_ydata() for c in curves]).T
    assert drawn == pytest.approx(energies)
    low, high = ax.get_ylim()
    assert low < 0.5 and 2.5 < high < 10, "the transient, at 2000, does not squash the levels"
    black = [line.get_ydata()[0] for line in ax.lines if line.get_color() == "k"]
    assert black == [0.5, 1.5, 2.5], "the level after the last one is not trained"
    assert text_of(ax) == ["0", "1", "2"]
    assert ax.get_xlabel() == "step" and ax.get_ylabel() == "energy [eV]"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["exact"]


def test_history_beside_a_reference():
    spectrum = trained(oscillator, 3, 2)
    assert spectrum.plot_history().get_legend() is None
    ax = spectrum.plot_history(reference=oscillator(3, 2))
    black = [line.get_ydata()[0] for line in ax.lines if line.get_color() == "k"]
    assert black == [1.0, 2.0], "a degenerate level is one line"
    assert text_of(ax) == ["0", "1–2"], "labels that would fall on each other become one"


def test_short_and_broken_histories():
    assert trained(oscillator, 2, 1, rows=1).plot_history().get_ylim()[1] < 100
    assert trained(oscillator, 1, 1).plot_history().get_ylim()[0] < 0.5
    spectrum = trained(oscillator, 2, 1)
    spectrum.history["energies"][5:] = np.nan
    assert np.isfinite(spectrum.plot_history().get_ylim()).all()


@pytest.mark.parametrize(
    "history",
    [
        {},
        {"step": np.arange(3)},
        {"step": np.array([]), "energies": np.zeros((0, 2))},
        {"step": np.arange(3), "energies": np.zeros((2, 2))},
    ],
)
def test_no_history(history):
    with pytest.raises(ValueError, match=r"history: .* no history .* draw levels"):
        oscillator(2, 1, history=history).plot_history()


# --- files


@pytest.mark.parametrize("dim", [1, 2])
def test_save_all(tmp_path, dim):
    spectrum = trained(oscillator, 4, dim)
    energies, history = spectrum.energies.copy(), {k: v.copy() for k, v in spectrum.history.items()}
    paths = save_all(spectrum, tmp_path / "run" / "pictures", reference=oscillator(4, dim))
    assert [p.name for p in paths] == ["orbitals.png", "levels.png", "history.png"]
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths)
    assert not plt.get_fignums()
    assert (spectrum.energies == energies).all()
    assert all((spectrum.history[k] == v).all() for k, v in history.items())


def test_save_all_without_history(tmp_path):
    paths = save_all(oscillator(2, 1), str(tmp_path))
    assert [p.name for p in paths] == ["orbitals.png", "levels.png"]


def test_a_cut_level_does_not_warn():
    spectrum = oscillator(2, 2, exact=np.array([1.0, 2.0, 2.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax = spectrum.plot_levels()
    assert text_of(ax) == []


# --- densities, regions, errors of training


def test_densities():
    ax = well(3).plot_orbitals(density=True)
    assert ax.get_title(loc="left") == r"known (formula): $|\psi|^2$"
    for n, line in enumerate(ax.lines[1::2]):
        lifted = line.get_ydata() - np.pi**2 * (n + 1) ** 2 / 2
        expected = np.sin(np.pi * (n + 1) * line.get_xdata()) ** 2
        assert lifted / lifted.max() == pytest.approx(expected, abs=1e-3)
    spectrum = oscillator(3, 2)
    window = [(-3, 3), (-3, 3)]
    (psi,), (density,) = (
        spectrum.plot_orbitals(states=[1], points=30, window=window, density=d) for d in (False, True)
    )
    shown, amplitude = (np.asarray(ax.images[0].get_array()) for ax in (density, psi))
    assert shown == pytest.approx(amplitude**2)
    assert density.images[0].get_clim()[0] == 0


def test_the_walls_of_a_region_are_drawn():
    disk = Region(Disk(1.0, (0.0, 0.0)), Box.cube(1.0, dim=2))

    def function(x):
        return np.maximum(1 - (x**2).sum(1, keepdims=True), 0)

    square = spectrum_of(function, [2.9], Box.cube(1.0, dim=2), 30)
    plain = square.plot_orbitals(points=20)[0]
    walled = replace(square, domain=disk).plot_orbitals(points=20)[0]
    assert len(walled.collections) == len(plain.collections) + 2
    (outside,) = (c for c in walled.collections if c.get_facecolor().size)
    assert any(outside.hatches)


def test_errors_of_training():
    spectrum = trained(oscillator, 3, 1, exact=np.array([0.5, 1.5, 2.5, 3.5]), units="eV")
    ax = spectrum.plot_errors()
    assert ax.get_yscale() == "log" and ax.get_ylabel() == "|energy − exact| [eV]"
    steps, energies = spectrum.history["step"], spectrum.history["energies"]
    curves = np.array([line.get_ydata() for line in ax.lines if len(line.get_xdata()) == len(steps)]).T
    floor = np.finfo(float).eps * 2.5
    assert curves == pytest.approx(np.maximum(np.abs(energies - spectrum.exact[:3]), floor))
    bars = [line.get_ydata()[1] for line in ax.lines if len(line.get_xdata()) == 2]
    assert bars == pytest.approx(spectrum.errors), "claimed errors"
    assert text_of(ax) == ["0", "1", "2"]
    assert max(ax.get_xticks()) <= steps[-1], "no step is marked where none was made"


def test_of_many_states_some_are_numbered():
    ax = trained(well, 20, exact=np.pi**2 * np.arange(1, 21) ** 2 / 2).plot_errors()
    assert text_of(ax) == [str(k) for k in range(0, 20, 3)]


def test_errors_of_training_against_a_reference():
    spectrum = trained(oscillator, 3, 2)
    assert spectrum.plot_errors(reference=oscillator(2, 2)).get_ylabel() == "|energy − formula|"
    unknown = trained(oscillator, 3, 2, errors=np.full(3, np.inf))
    assert np.isfinite(unknown.plot_errors(reference=[1.0, 2.0, 2.0]).get_ylim()).all()
    for reference, says in ((None, "one reference .* got 0"), ([[1.0], [2.0]], "one reference .* got 2")):
        with pytest.raises(ValueError, match=f"history_errors: .*{says}"):
            spectrum.plot_errors(reference=reference)
    with pytest.raises(ValueError, match=r"history_errors: .* no history"):
        oscillator(2, 1).plot_errors(reference=[0.5, 1.5])


def test_save_all_in_three_dimensions(tmp_path):
    paths = save_all(oscillator(2, 3), tmp_path)
    assert [p.name for p in paths] == ["orbitals.png", "levels.png", "isosurfaces.png"]


def test_training_has_a_panel_of_errors_where_something_is_known():
    spectrum = trained(oscillator, 2, 1)
    assert len(history.training(spectrum)) == 1
    assert len(history.training(spectrum, reference=[oscillator(2, 1), [0.5, 1.5]])) == 1
    upper, lower = history.training(spectrum, reference=oscillator(2, 1))
    assert upper.get_xlim() == lower.get_xlim() and lower.get_yscale() == "log"
