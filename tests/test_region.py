"""Regions and shapes: masks, walls on a grid against Bessel functions and the literature, and what is refused."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import jn_zeros, jv, yv

import qspin
from qspin import shapes
from qspin.methods.spin.evaluate import VariationalFunctions
from qspin.methods.spin.wavefunction import Wavefunction
from qspin.numerics.precision import double_precision

FREE = qspin.Kinetic(mass=0.5)  # -∇²


def free(region: qspin.Region) -> qspin.Problem:
    return qspin.Problem(FREE, region)


def bessel_levels(n: int) -> np.ndarray:
    """-∇² in the unit disk: j_{m,s}², those with m > 0 twice."""
    zeros = [np.repeat(jn_zeros(m, 6) ** 2, 1 if m == 0 else 2) for m in range(8)]
    return np.sort(np.concatenate(zeros))[:n]


@pytest.mark.parametrize(
    ("region", "distance"),
    [
        (shapes.disk(2.0, (1.0, 0.0)), lambda x: 2 - np.linalg.norm(x - [1.0, 0.0], axis=1)),
        (shapes.ring(0.5, 1.5), lambda x: np.minimum(1.5 - np.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1) - 0.5)),
    ],
    ids=["disk", "ring"],
)  # fmt: skip
def test_shapes_are_positive_inside_and_nowhere_else(region: qspin.Region, distance) -> None:  # type: ignore[no-untyped-def]
    points = np.random.default_rng(0).uniform(region.lower, region.upper, (500, 2))
    assert (np.sign(region.signed(points)) == np.sign(distance(points))).all()
    assert (region.contains(points) == (distance(points) > 0)).all()


def test_a_polygons_distance_is_smooth_and_has_slope_one_on_its_sides() -> None:
    region = shapes.l_shape()
    inside = region.inside
    points = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    removed = (points[:, 0] > 0) & (points[:, 1] < 0)
    assert (region.contains(points) == ~removed).all()
    with double_precision():
        for at, normal in (((-1.0, 0.3), (1.0, 0.0)), ((0.5, 0.0), (0.0, 1.0)), ((0.0, -0.4), (-1.0, 0.0))):
            near = jnp.asarray(at) + 1e-6 * jnp.asarray(normal)
            assert inside(near) == pytest.approx(1e-6, rel=1e-4)
            assert jax.grad(inside)(near) == pytest.approx(np.array(normal), abs=1e-3)


def test_vertices_may_run_either_way_and_reentrant_corners_are_found() -> None:
    way = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
    assert shapes.polygon(way).corners == shapes.polygon(way[::-1]).corners == ((1.0, 1.0),)
    assert shapes.polygon([(0, 0), (1, 0), (0, 1)]).corners == ()


def test_a_mask_vanishes_on_the_regions_walls_and_the_boxs() -> None:
    half = qspin.Region(lambda x: 1 - jnp.sum(x**2), qspin.Box([0.0, -1.0], [1.0, 1.0]))  # a half disk
    assert half.touches_box
    assert not shapes.disk().touches_box
    for x in ([1e-7, 0.3], [0.6, 0.8 - 1e-7]):
        assert 0 <= half.boundary_mask(jnp.array(x)) < 1e-5
    assert half.boundary_mask(jnp.array([0.9, 0.9])) == 0
    assert half.boundary_mask(jnp.array([0.4, 0.1])) > 0.1
    assert jnp.isfinite(jax.hessian(half.boundary_mask)(jnp.array([0.9, 0.9]))).all()


def test_disk_against_bessel_zeros_within_the_bracket_and_at_second_order() -> None:
    spectrum = qspin.solve(free(shapes.disk()), 6, qspin.Grid())
    off = np.abs(spectrum.energies - bessel_levels(6))
    assert (off <= spectrum.errors).all()
    assert (off < 1e-5).all()
    assert np.median(spectrum.provenance["order"]["observed"]) == pytest.approx(2, abs=0.2)
    assert [len(group) for group in spectrum.groups()] == [1, 2, 2, 1]


def test_ring_against_its_cross_product_of_bessel_functions() -> None:
    def crossing(k: float) -> float:
        return float(jv(0, 0.5 * k) * yv(0, k) - jv(0, k) * yv(0, 0.5 * k))

    truth = brentq(crossing, 6.0, 6.5) ** 2
    spectrum = qspin.solve(free(shapes.ring(0.5, 1.0)), 1, qspin.Grid())
    assert abs(spectrum.energies[0] - truth) <= spectrum.errors[0]
    assert abs(spectrum.energies[0] / truth - 1) < 1e-5


def test_l_shaped_membrane_in_spite_of_its_corner() -> None:
    """9.63972384402194 (Fox, Henrici and Moler 1967; Betcke and Trefethen 2005); the third is 2π² exactly."""
    spectrum = qspin.solve(free(shapes.l_shape()), 4, qspin.Grid())
    off = np.abs(spectrum.energies[[0, 2]] - [9.63972384402194, 2 * np.pi**2])
    assert (off <= spectrum.errors[[0, 2]]).all()
    assert (off < 2e-5).all()
    assert "Elements" in spectrum.provenance["scheme"]


@pytest.mark.slow
def test_the_drums_sound_alike_and_like_the_literature() -> None:
    """Driscoll (1997), legs of length 2: 2.53794399980, 3.65550971352, 5.17555935622."""
    truth = 4 * np.array([2.53794399980, 3.65550971352, 5.17555935622])
    for drum in shapes.isospectral_drums():
        assert pytest.approx(drum.area, rel=0.02) == 3.5
        spectrum = qspin.solve(free(drum), 3, qspin.Grid())
        assert (np.abs(spectrum.energies - truth) <= spectrum.errors).all()
        assert (spectrum.errors < 2e-3 * truth).all()


def test_functions_vanish_outside_and_observables_know_the_walls() -> None:
    spectrum = qspin.solve(free(shapes.disk()), 3, qspin.Grid(points=99))
    assert (spectrum([[0.9, 0.9], [1.0, 0.0]]) == 0).all()
    assert spectrum.expect(FREE) == pytest.approx(spectrum.energies, rel=2e-3)
    points, weights = spectrum.eigenfunctions.quadrature()
    overlaps = spectrum(points).T @ (weights[:, None] * spectrum(points))
    assert overlaps == pytest.approx(np.eye(3), abs=1e-8)


@pytest.mark.slow
def test_spin_in_a_disk() -> None:
    spectrum = qspin.solve(free(shapes.disk()), 3, qspin.SpIN(steps=1500), progress=False)
    assert (np.abs(spectrum.energies - bessel_levels(3)) <= 4 * spectrum.errors).all()
    assert spectrum.energies == pytest.approx(bessel_levels(3), rel=0.02)


def test_a_saved_region_comes_back_as_far_as_it_can(tmp_path: Path) -> None:
    """Functions on a mesh always; networks where the region's function is one of qspin.shapes."""
    x = np.array([[0.3, 0.2], [0.9, 0.9]])
    own = qspin.Region(lambda x: 1 - jnp.sum(x**2), qspin.Box.cube(1.0, dim=2))
    for region in (shapes.disk(), own):
        spectrum = qspin.solve(free(region), 2, qspin.Grid(points=49))
        loaded = qspin.load(spectrum.save(tmp_path / "s.npz"))
        assert loaded(x) == pytest.approx(spectrum(x))
        assert loaded.domain == region or region is own
        wavefunction = Wavefunction(qspin.MLP((4,)), region, 2)
        shape = jax.eval_shape(wavefunction.init, jax.random.key(0))
        params = jax.tree.map(lambda leaf: np.ones(leaf.shape), shape)
        functions = VariationalFunctions(wavefunction, params, np.eye(2), qspin.Uniform())
        trained = dataclasses.replace(spectrum, eigenfunctions=functions)
        path = trained.save(tmp_path / "n.npz")
        if region is own:
            with pytest.raises(ValueError, match=r"region's walls.*qspin.shapes"):
                qspin.load(path)
        else:
            assert qspin.load(path)(x) == pytest.approx(trained(x))


def test_a_region_in_pieces_is_said() -> None:
    two = qspin.Region(lambda x: jnp.abs(x[0]) - 0.2, qspin.Box.cube(1.0, dim=2))
    spectrum = qspin.solve(free(two), 2, qspin.Grid(points=49))
    assert "falls into 2 parts" in spectrum.status
    assert spectrum.energies[0] == pytest.approx(np.pi**2 * (1 / 0.64 + 1 / 4), rel=1e-3)


@pytest.mark.parametrize(
    ("inside", "error", "said"),
    [
        (3.0, TypeError, "inside must be a function"),
        (lambda x: x[0] > 0, TypeError, "must be a real number for one point, positive inside"),
        (lambda x: x, TypeError, r"a real number for one point.*shape=\(2,\)"),
        (lambda x: 1.0 if x[0] > 0 else -1.0, TypeError, "cannot be traced"),
        (lambda x: -1 - x[0] ** 2, ValueError, "the region is empty"),
        (lambda x: 1 / (x[0] * 0), ValueError, "not finite"),
    ],
)
def test_bad_regions_are_refused(inside, error, said) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(error, match=said):
        qspin.Region(inside, qspin.Box.cube(1.0, dim=2))


def test_other_bad_input() -> None:
    box = qspin.Box.cube(1.0, dim=2)
    with pytest.raises(ValueError, match=r"corners must be a list of points \(n, 2\)"):
        qspin.Region(lambda x: 1.0 - x[0], box, corners=[(0.0,)])
    with pytest.raises(TypeError, match="box must be a Box"):
        qspin.Region(lambda x: 1.0 - x[0], 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"differences\(2\)"):
        qspin.solve(free(shapes.disk()), 2, qspin.Grid(scheme=qspin.dvr(), points=30))
    with pytest.raises(ValueError, match="a wall runs through elements"):
        qspin.solve(free(shapes.disk()), 2, qspin.Grid(scheme=qspin.elements(4), points=30))
    with pytest.raises(ValueError, match="radius must be positive"):
        shapes.disk(-1.0)
    with pytest.raises(ValueError, match="at least 3 points"):
        shapes.polygon([(0, 0), (1, 1)])
    with pytest.raises(ValueError, match="enclose no area"):
        shapes.polygon([(0, 0), (1, 1), (2, 2)])
