"""Weights that integrate: exactly, without bias, and with the errors that were promised."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from qspin.problem.domain import Box, Centre, Cloud
from qspin.problem.sampling import Clustered, QuasiRandom, Stratified, Uniform

FLAT = [Uniform(), Stratified(), QuasiRandom()]
flat = pytest.mark.parametrize("sampler", FLAT, ids=lambda s: type(s).__name__)
each_sampler = pytest.mark.parametrize(
    "sampler",
    [*FLAT, Clustered(), Clustered(base=Stratified())],
    ids=["Uniform", "Stratified", "QuasiRandom", "Clustered", "Clustered-Stratified"],
)


def centre(*position, length=1.0):
    return Centre(tuple(position), strength=1.0, length=length, cusp=-1.0)


WIDE = Box.cube(50.0, dim=2)
SETTINGS = {
    "1d": (Box(-3.0, 5.0), (centre(1.0),)),
    "2d": (WIDE, (centre(0.0, 0.0),)),
    "off centre": (Box([0.0, -2.0], [4.0, 3.0]), (centre(3.9, 2.0, length=0.3),)),
    "in a corner": (Box.cube(1.0, dim=2), (centre(1.0, -1.0, length=0.1),)),
    "cloud": (Box.cube(4.0, dim=2), (Cloud((1.0, 3.0), ((0.5, 0.3), (0.3, 1.0))),)),
    "several": (Box.cube(10.0, dim=3), (centre(-1.0, 0.0, 0.0), centre(2.0, 2.0, 9.0, length=0.2))),
}


@functools.partial(jax.jit, static_argnums=(0, 2, 3, 4))
def draw(sampler, key, n_points, domain, centres=()):
    return sampler.draw(key, n_points, domain, centres)


def estimates(sampler, f, domain, centres=(), n_points=512, n_keys=200, seed=0):
    """Independent estimates of ∫ f, one a key."""

    def estimate(key):
        x, weights = sampler.draw(key, n_points, domain, centres)
        return jnp.sum(weights * jax.vmap(f)(x))

    return np.asarray(jax.jit(jax.vmap(estimate))(jax.random.split(jax.random.key(seed), n_keys)))


def assert_unbiased(values, exact, rounding=1e-5):
    """The mean lies within four of its standard errors; `rounding` is that of float32 sums."""
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - exact) < 4 * error + rounding * abs(exact)


# --- points


@pytest.mark.parametrize(
    ("sampler", "setting"),
    [
        *((sampler, SETTINGS["off centre"]) for sampler in FLAT),
        *((Clustered(), setting) for setting in SETTINGS.values()),
        (Clustered(base=Stratified()), SETTINGS["several"]),
    ],
)
def test_points_lie_in_the_box_with_weights_that_are_not_negative(sampler, setting):
    domain, centres = setting
    x, weights = draw(sampler, jax.random.key(0), 500, domain, centres)
    assert x.shape == (500, domain.dim) and weights.shape == (500,)
    assert domain.contains(np.asarray(x)).all()
    assert np.isfinite(weights).all() and (np.asarray(weights) >= 0).all()
    for c in [c for c in centres if isinstance(c, Centre)]:  # V has no value there
        assert (np.abs(np.asarray(x) - np.asarray(c.position, np.float32)) > 0).any(axis=1).all()


@pytest.mark.parametrize("sampler", [Uniform(), Stratified(), Clustered()])
def test_the_key_alone_decides(sampler):
    domain, centres = SETTINGS["2d"]
    first, again, other = (draw(sampler, jax.random.key(k), 100, domain, centres) for k in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.x, other.x)


@flat
def test_each_point_is_uniform(sampler):
    """Each point of many draws is uniform on each axis: mean 1/2, variance 1/12."""
    keys = jax.random.split(jax.random.key(3), 2000)
    unit = np.asarray(jax.jit(jax.vmap(lambda k: sampler.unit(k, 4, 2)))(keys))
    assert unit.min() >= 0 and unit.max() < 1
    assert np.abs(unit.mean(axis=0) - 1 / 2).max() < 4 / np.sqrt(12 * 2000)
    assert np.abs(unit.var(axis=0) - 1 / 12).max() < 4 * np.sqrt(1 / 180 / 2000)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dim", [1, 3])
def test_stratified_has_one_point_in_each_slice_of_each_axis(dim):
    unit = Stratified().unit(jax.random.key(0), 1000, dim)
    slices = np.sort(np.floor(np.asarray(unit) * 1000).astype(int), axis=0)
    assert np.array_equal(slices, np.arange(1000)[:, None].repeat(dim, axis=1))


@pytest.mark.usefixtures("x64", "strict_promotion")
@each_sampler
def test_points_are_float64_where_that_is_on(sampler):
    domain, centres = SETTINGS["several"]
    points = jax.eval_shape(lambda key: sampler.draw(key, 10, domain, centres), jax.random.key(0))
    assert points.x.dtype == points.weights.dtype == jnp.float64


# --- weights


@flat
def test_uniform_weights_integrate_one_exactly(sampler):
    domain, centres = SETTINGS["several"]
    weights = draw(sampler, jax.random.key(0), 300, domain, centres).weights
    np.testing.assert_allclose(weights, domain.volume / 300, rtol=1e-6)


@pytest.mark.parametrize(
    ("sampler", "setting"),
    [*((Clustered(), setting) for setting in SETTINGS.values()), (Clustered(Uniform()), SETTINGS["2d"])],
)
def test_clustered_weights_integrate_one_on_average(sampler, setting):
    """Also where much of the cloud about a centre falls outside: those points weigh nothing."""
    domain, centres = setting
    values = estimates(sampler, lambda x: jnp.ones(()), domain, centres)
    # Clipping the directions at 1e-6 of their distribution shifts the mean by as little.
    assert_unbiased(values, domain.volume)
    assert values.std() > 0


@pytest.mark.parametrize("fill", [0.05, 0.3, 1.0])
def test_clustered_weights_are_bounded(fill):
    domain, centres = SETTINGS["several"]
    weights = draw(Clustered(fill=fill), jax.random.key(0), 500, domain, centres).weights
    assert np.max(weights) <= domain.volume / (fill * 500) * (1 + 1e-6)


def test_clustered_without_centres_is_uniform():
    weights = draw(Clustered(), jax.random.key(0), 300, WIDE).weights
    np.testing.assert_allclose(weights, WIDE.volume / 300, rtol=1e-6)


def test_clustered_leaves_part_of_the_points_to_the_box():
    domain, centres = SETTINGS["2d"]
    r = np.linalg.norm(np.asarray(draw(Clustered(), jax.random.key(0), 4096, domain, centres).x), axis=1)
    # Of the 70 % about the centre ln(2)/ln(1 + 70.7) have r < length, 9 decimal orders finer than the box.
    assert (r < 1.0).mean() == pytest.approx(0.7 * np.log(2) / np.log1p(50 * np.sqrt(2)), rel=0.05)
    assert (np.abs(r) > 30).mean() > 0.15


def test_no_point_falls_on_a_centre_by_rounding():
    """At x = 40 float32 steps by 4e-6, above the smallest r a key can give."""
    corner = centre(40.0, 40.0, length=1e-3)
    base = Uniform()

    class Smallest(Uniform):
        def unit(self, key, n_points, dim):
            return base.unit(key, n_points, dim).at[:, 0].set(0.0)

    x, weights = draw(Clustered(Smallest(), fill=0.1), jax.random.key(0), 200, WIDE, (corner,))
    assert (np.abs(np.asarray(x) - 40.0) > 0).any(axis=1).all()
    assert np.isfinite(weights).all()


# --- integrals


@pytest.mark.parametrize(
    ("sampler", "name"),
    [
        *((sampler, "off centre") for sampler in (*FLAT, Clustered(), Clustered(base=Uniform()))),
        (Clustered(), "1d"),
        (Clustered(), "several"),
        (Clustered(), "cloud"),
    ],
)
def test_a_gaussian_integrates_to_its_closed_form(sampler, name):
    domain, centres = SETTINGS[name]
    sides = [
        np.sqrt(np.pi) * (erf(high / 2) - erf(low / 2))
        for low, high in zip(domain.lower, domain.upper, strict=True)
    ]
    values = estimates(sampler, lambda x: jnp.exp(-jnp.sum(x**2) / 4), domain, centres)
    assert_unbiased(values, np.prod(sides))


def test_an_orbital_in_a_wide_box_is_seen_by_clustered_points():
    """∫ exp(-2r) = π/2 over a 100 × 100 box: the 1s density of the paper's hydrogen."""
    domain, centres = SETTINGS["2d"]

    def density(x):
        return jnp.exp(-2 * jnp.linalg.norm(x))

    errors = {}
    for name, sampler in {"uniform": Uniform(), "random": Clustered(Uniform()), "quasi": Clustered()}.items():
        values = estimates(sampler, density, domain, centres)
        assert_unbiased(values, np.pi / 2)
        errors[name] = values.std()
    # A point's variance is ∫ f²/q - (∫ f)²: with q = 1/A, A π/8 = 3900; with q = 0.7/(4.3 · 2π r (r + 1)),
    # 4π² · 4.3/0.7 · (2/4³ + 6/4⁴) = 13 less 2.5. The deviations' ratio is 19, or more with the filling.
    assert errors["random"] < errors["uniform"] / 10
    assert errors["quasi"] < errors["random"] / 2


@pytest.mark.usefixtures("x64")
def test_each_samplers_error_falls_at_its_rate():
    """∫ cos(πx/2) cos(πy/2) e^x: random points give B^-1/2, the low-discrepancy sequence nearly B^-1."""
    domain = Box.cube(1.0, dim=2)

    def f(x):
        return jnp.prod(jnp.cos(jnp.pi * x / 2)) * jnp.exp(x[0])

    rates = {}
    for sampler in (Uniform(), QuasiRandom()):
        few, many = (estimates(sampler, f, domain, n_points=n).std() for n in (64, 64 * 16))
        rates[type(sampler).__name__] = np.log(few / many) / np.log(16)
    # Each deviation is uncertain by 1/√(2 · 200) = 5 %, the rate by √2 · 5 %/ln(16) = 0.026.
    assert rates["Uniform"] == pytest.approx(0.5, abs=4 * 0.026)
    assert rates["QuasiRandom"] > 0.8


@pytest.mark.usefixtures("x64")
def test_stratified_points_integrate_sums_far_better():
    def f(x):
        return jnp.sum(jnp.sin(x))

    uniform, stratified = (
        estimates(s, f, Box.cube(1.0, dim=2), n_points=100, n_keys=50).std()
        for s in (Uniform(), Stratified())
    )
    assert stratified < uniform / 30  # B^-3/2 against B^-1/2: a factor B = 100


# --- what is refused


@pytest.mark.parametrize("fill", [0.0, -0.1, 1.5, float("nan")])
def test_a_fill_that_is_no_share_is_refused(fill):
    with pytest.raises(ValueError, match=r"Clustered: fill must be in \(0, 1\]"):
        Clustered(fill=fill)
