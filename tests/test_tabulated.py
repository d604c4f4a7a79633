"""Potentials from tables: the spline is SciPy's, what lies outside is said, and single precision is noticed."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

import qspin
from qspin.numerics.precision import rounds_to_single
from qspin.problem.potentials import tabulated

AXES = [np.sort(np.random.default_rng(k).uniform(-2, 2, 7 + k)) for k in range(3)]


def problem(v, box=(-8.0, 8.0)):  # type: ignore[no-untyped-def]
    return qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box(*box))


@pytest.mark.parametrize("degree", [1, 3, 5])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_it_is_the_tensor_product_of_scipys_splines(degree: int, dim: int, x64: None) -> None:
    """Of a product of functions it is the product of their splines; it passes through the table."""
    axes, functions = AXES[:dim], [np.sin, np.exp, np.cos][:dim]
    factors = [f(axis) for f, axis in zip(functions, axes, strict=True)]
    values = np.prod(np.meshgrid(*factors, indexing="ij"), axis=0)
    v = tabulated(axes, values, degree=degree)
    points = np.random.default_rng(9).uniform([a[0] for a in axes], [a[-1] for a in axes], (30, dim))
    points[0], points[1] = [a[0] for a in axes], [a[-1] for a in axes]
    splines = [make_interp_spline(a, f, degree)(x) for a, f, x in zip(axes, factors, points.T, strict=True)]
    np.testing.assert_allclose(jax.jit(jax.vmap(v))(points), np.prod(splines, axis=0), rtol=1e-11, atol=1e-12)
    assert v.dim == dim and [len(k) for k in v.knots] == [len(a) - max(degree - 1, 0) for a in axes]


def test_files_hold_rows_in_any_order(tmp_path: Path, x64: None) -> None:
    x, y = AXES[0], AXES[1]
    values = np.add.outer(x**2, y)
    rows = np.stack([*(a.ravel() for a in np.meshgrid(x, y, indexing="ij")), values.ravel()], axis=1)
    np.random.default_rng(0).shuffle(rows)
    path = tmp_path / "surface.csv"
    np.savetxt(path, rows, delimiter=", ", header="x, y, V")
    v = tabulated(path, units="eV")
    assert v == tabulated([x, y], v.values, units="eV") != tabulated([x, y], values + 1, units="eV")
    np.testing.assert_allclose(v.values, values, rtol=1e-15)
    assert hash(v) == hash(pickle.loads(pickle.dumps(v))) and "7 × 8 points, units='eV'" in repr(v)
    np.savetxt(path, rows[1:])
    with pytest.raises(ValueError, match=r"surface\.csv must hold each point of a regular grid once.*7 × 8"):
        tabulated(path)
    path.write_text("x y\n1 2\n")
    with pytest.raises(ValueError, match=r"surface\.csv is no table of numbers"):
        tabulated(path)
    with pytest.raises(FileNotFoundError, match="expected a text file"):
        tabulated(tmp_path / "nothing.txt")


@pytest.mark.parametrize("method", [qspin.Grid(), pytest.param(qspin.Ritz(), marks=pytest.mark.slow)])
def test_levels_of_a_tabulated_well(method) -> None:  # type: ignore[no-untyped-def]
    """A cubic spline through points of a parabola is the parabola."""
    x = np.linspace(-8, 8, 41)
    p = problem(tabulated(x[::-1], (x**2 / 2)[::-1]))
    spectrum = qspin.solve(p, 3, method)
    off = np.abs(spectrum.energies - [0.5, 1.5, 2.5])
    assert (off <= 3 * spectrum.errors + 1e-12).all() and off.max() < 1e-9
    assert len(p.local.knots[0]) == 39
    assert not [note for note in spectrum.notes if note.kind == "single precision"]


def test_outside_of_the_table(x64: None) -> None:
    x = np.linspace(-2, 3, 11)
    v = tabulated(x, x)
    with pytest.raises(
        ValueError,
        match=r"covers \[-2\.0\] to \[3\.0\], the box goes on to \[-2\.5\].*Write Box\(\[-2\.0\], \[3\.0\]\)",
    ):
        problem(v, (-2.5, 3.0))
    with pytest.raises(ValueError, match="Write a Box, or outside"):
        qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Space(1))
    with pytest.raises(ValueError, match="1 coordinates, the domain has 2"):
        qspin.Problem(qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(1.0, dim=2))
    assert np.isnan(v(jnp.array([3.1]))) and float(v(jnp.array([3.0]))) == pytest.approx(3.0)
    nearest = tabulated(x, x, outside="nearest")
    assert float(nearest(jnp.array([9.0]))) == pytest.approx(3.0) and float(
        nearest(jnp.array([-9.0]))
    ) == pytest.approx(-2.0)
    problem(nearest, (-20.0, 20.0))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: tabulated([0.0, 1.0, 2.0, 3.0]), ValueError, "values must be given"),
        (lambda: tabulated([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0]), ValueError, r"got values of shape \(3,\)"),
        (lambda: tabulated([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), ValueError, "at least 4 different"),
        (lambda: tabulated([0.0, 1.0, 1.0, 2.0], [1.0, 2.0, 3.0, 4.0]), ValueError, "at least 4 different"),
        (lambda: tabulated(range(4), [1.0, 2.0, np.nan, 4.0]), ValueError, "finite real"),
        (lambda: tabulated(range(4), [1.0, 2.0, 1j, 4.0]), ValueError, "finite real"),
        (lambda: tabulated(range(4), list("abcd")), TypeError, "values must hold numbers"),
        (lambda: tabulated(range(4), range(4), degree=2), ValueError, "degree must be 1, 3 or 5, got 2"),
        (lambda: tabulated(range(4), range(4), outside="zero"), ValueError, "outside must be"),
        (lambda: tabulated(range(4), range(4), units=3), TypeError, "units must be a text"),
        (lambda: tabulated("v.txt", range(4)), ValueError, "values must be left out"),
        (lambda: tabulated([range(4)] * 4, np.zeros((4,) * 4)), ValueError, "one entry for each point"),
        (lambda: tabulated(3.0, 4.0), ValueError, "one entry for each point"),
        (lambda: tabulated(None, None), ValueError, "values must be given"),
    ],
)
def test_tables_that_cannot_be_are_refused(make, error, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=words):
        make()


# --- single precision

LOSSY, EXACT = jnp.asarray(np.linspace(0, 1, 12), jnp.float32), jnp.asarray([0.0, 0.5, 2.0], jnp.float32)
ROOT = jnp.sqrt(jnp.float32(2.0))


@pytest.mark.parametrize(
    ("v", "single"),
    [
        (lambda x: 0.1 * x[0] ** 2, False),
        (lambda x: jnp.sum((x[0] - EXACT) ** 2) + EXACT[1], False),
        (lambda x: jnp.where(x[0] > EXACT[1], x[0], EXACT[2]), False),
        (lambda x: jnp.interp(x[0], jnp.linspace(-1, 1, 12), LOSSY), True),
        (lambda x: x[0] ** 2 * ROOT, True),
        (lambda x: x[0].astype(jnp.float32) ** 2, True),
        (lambda x: jnp.sqrt(EXACT[2]) * x[0], True),
        (jax.jit(lambda x: LOSSY[3] * x[0]), True),
        (lambda x: np.float64(0.1) * x[0] + jnp.asarray(np.array([0.1, 0.2]))[1], False),
    ],
)
def test_single_precision_is_noticed(v, single) -> None:  # type: ignore[no-untyped-def]
    assert rounds_to_single(v, 1) is single


def test_single_precision_is_named_in_the_notes_and_widens_errors() -> None:
    """¹/₁₀ in float32 is off by 1.5e-8 of itself: more than the grid's own error."""
    tenth = jnp.asarray([0.1], jnp.float32)
    p = problem(lambda x: x[0] ** 2 * tenth[0] * 5)
    spectrum = qspin.solve(p, 2, qspin.Grid())
    (note,) = (note for note in spectrum.notes if note.kind == "single precision")
    assert "float32" in spectrum.status and "float64" in note.advice
    off = np.abs(spectrum.energies - [0.5, 1.5])
    assert (off > 1e-10).all() and (off < spectrum.errors).all() and (spectrum.errors < 1e-6).all()
    assert problem(tabulated(np.arange(4, dtype=np.float32), range(4)), (0.0, 3.0)).in_single_precision
