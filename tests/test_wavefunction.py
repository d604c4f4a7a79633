"""Walls, cusps and periods: what every trial function has before any training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.methods.spin.networks import MLP, BlockSparseMLP, SeparateMLPs
from qspin.methods.spin.wavefunction import Wavefunction
from qspin.problem.domain import Box, Cloud, PolynomialMask
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem

pytestmark = pytest.mark.usefixtures("x64")

STATES = 3
NETWORK = MLP((10, 8))


def make(domain, centres=(), network=NETWORK, seed=0):
    """A wavefunction and random parameters, with a decay rate of its own for each state."""
    wavefunction = Wavefunction(network, domain, STATES, tuple(centres))
    rng = np.random.default_rng(seed)  # in place of init, which takes a second to compile
    shapes = jax.eval_shape(lambda key: wavefunction.init(key, jnp.float64), jax.random.key(0))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.5, leaf.shape)), shapes)
    decay = 10 / min(domain.lengths) * np.array([1.0, 2.0, 0.5])
    return wavefunction, params._replace(log_decay=jnp.asarray(np.log(decay)))


def each(f, params, x):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(f, in_axes=(None, 0)))(params, jnp.asarray(x)))


def molecule(dim, charges, places, mass=1.0, half_width=10.0):
    def v(x):
        offsets = x - jnp.asarray(places, x.dtype)
        return -jnp.sum(jnp.asarray(charges, x.dtype) / jnp.linalg.norm(offsets, axis=1))

    return Problem(Kinetic(mass=mass) + Potential(v, singularities=places), Box.cube(half_width, dim=dim))


HYDROGEN = {
    "2d": molecule(2, [1.0], [(0.0, 0.0)], mass=0.5, half_width=50.0),
    "charge 2 off the middle": molecule(3, [2.0], [(1.0, -0.5, 2.0)]),
    "molecule": molecule(2, [1.0, 3.0], [(-0.7, 0.0), (0.7, 0.2)]),
}
SEVERAL = HYDROGEN["molecule"]


# --- walls


@pytest.mark.parametrize(
    ("domain", "centres"),
    [
        (Box([0.0, -2.0, 1.0], [1.0, 5.0, 1.5], mask=PolynomialMask()), ()),
        (SEVERAL.domain, SEVERAL.centres),
    ],
)
def test_functions_vanish_on_the_walls_and_not_inside(domain, centres):
    wavefunction, params = make(domain, centres)
    lower, lengths = np.asarray(domain.lower), np.asarray(domain.lengths)
    inside = lower + lengths * np.random.default_rng(0).uniform(0.1, 0.9, (50, domain.dim))
    f = jax.jit(jax.vmap(wavefunction, in_axes=(None, 0)))
    u = f(params, inside)
    assert u.shape == (50, STATES) and np.abs(u).max(axis=0).min() > 1e-6
    for axis in range(domain.dim):
        for wall in (domain.lower[axis], domain.upper[axis]):
            on_wall = inside.copy()
            on_wall[:, axis] = wall
            assert np.abs(f(params, on_wall)).max() < 1e-13 * np.abs(u).max()
            outside = on_wall + (wall - domain.centre[axis]) * np.eye(domain.dim)[axis]
            assert np.array_equal(f(params, outside), np.zeros((50, STATES)))


# --- cusps

RADII = 10.0 ** np.arange(-3, -7, -1)


def near(centre, dim, n=8):
    """Points at RADII along n directions: (directions, radii, dim)."""
    directions = np.random.default_rng(0).normal(size=(n, dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.asarray(centre.position) + RADII[:, None] * directions[:, None, :]


def energy_density(problem, centres, centre, network=NETWORK):
    """Hψ at `near`, over the size of ψ there: (directions, radii, states)."""
    wavefunction, params = make(problem.domain, centres, network)
    x = near(centre, problem.dim)
    flat = x.reshape(-1, problem.dim)

    def image(p, y):
        return problem.hamiltonian(lambda z: wavefunction(p, z))(y), wavefunction(p, y)

    hu, u = each(image, params, flat)
    return (hu / np.abs(u).max(axis=0)).reshape(*x.shape[:2], STATES)


@pytest.mark.parametrize(
    ("name", "network"), [("charge 2 off the middle", NETWORK), ("molecule", SeparateMLPs((6, 6)))]
)
def test_the_energy_density_stays_bounded_at_a_centre(name, network):
    """With V = -Z/r and the right cusp Hψ has a limit along each direction, reached linearly in r."""
    problem = HYDROGEN[name]
    for centre in problem.centres:
        hu = energy_density(problem, problem.centres, centre, network)
        scale = np.abs(hu[:, 0]).max() + 1
        assert scale < 1e3  # where -Z/r alone is 1e3 … 3e3 already at the largest radius
        # Linear in r from 1e-3 down; rounding of V ψ and the error of the cusp that was read count less.
        assert np.abs(hu[:, 1] - hu[:, 0]).max() < 0.1 * scale
        assert np.abs(hu[:, 2] - hu[:, 1]).max() < 0.01 * scale
        assert np.abs(hu[:, 3] - hu[:, 2]).max() < 0.01 * scale


def test_without_the_cusp_it_does_not():
    problem = HYDROGEN["2d"]
    (centre,) = problem.centres
    blunt = type(centre)(centre.position, centre.strength, centre.length, 0.0)
    growth = np.abs(energy_density(problem, [blunt], centre)).max(axis=(0, 2))
    np.testing.assert_allclose(growth[1:] / growth[:-1], 10, rtol=0.1)


def test_the_mean_slope_at_a_centre_is_katos():
    """Averaged over ± directions, dψ/dr = cusp · ψ at r → 0."""
    problem = HYDROGEN["2d"]
    (centre,) = problem.centres
    wavefunction, params = make(problem.domain, problem.centres)
    h = 1e-6
    steps = h * np.eye(problem.dim)
    at = each(wavefunction, params, np.concatenate([steps, -steps, 2 * steps, -2 * steps]))
    one, two = at.reshape(2, 2, problem.dim, STATES).mean(axis=1)
    # ψ(0) + cusp ψ(0) r + O(r²): rounding eps/h = 2e-10 and curvature h.
    np.testing.assert_allclose((two - one) / h, centre.cusp * (2 * one - two), rtol=1e-4)


def test_derivatives_are_finite_at_the_centre_itself():
    wavefunction, params = make(SEVERAL.domain, SEVERAL.centres)
    x = jnp.asarray([c.position for c in SEVERAL.centres])
    assert np.isfinite(each(wavefunction, params, x)).all()
    assert np.isfinite(each(jax.jacobian(wavefunction, argnums=1), params, x)).all()


def test_functions_decay_at_the_rate_of_their_state():
    """Far out u ∝ exp(-decay_k r) up to powers of r and the mask."""
    problem = HYDROGEN["2d"]
    wavefunction, params = make(problem.domain, problem.centres)
    x = np.array([[20.0, 0.0], [20.0 + 1e-3, 0.0]])
    changed = params._replace(log_decay=params.log_decay + jnp.log(2.0))
    f = jax.jit(jax.vmap(wavefunction, in_axes=(None, 0)))
    ratio = f(changed, x) / f(params, x)
    slope = np.log(ratio[1] / ratio[0]) / 1e-3
    np.testing.assert_allclose(slope, -np.exp(params.log_decay), rtol=0.01)  # length²/r² corrections


# --- periodic axes


@pytest.mark.parametrize("periodic", [(True, True), (False, True)])
def test_periodic_axes_make_periodic_functions(periodic):
    domain = Box([-1.0, 2.0], [3.0, 2.5], periodic=periodic)
    wavefunction, params = make(domain)
    t = np.random.default_rng(0).uniform(0.1, 0.9, (20, 2))
    x = np.asarray(domain.lower) + np.asarray(domain.lengths) * t

    def value_and_slopes(p, y):
        return jnp.column_stack([wavefunction(p, y), jax.jacobian(wavefunction, argnums=1)(p, y)])

    for axis in np.flatnonzero(periodic):
        x[:5, axis] = domain.lower[axis]  # across the seam, too
        shift = domain.lengths[axis] * np.eye(2)[axis]
        here, there = np.split(each(value_and_slopes, params, np.concatenate([x, x + shift])), 2)
        assert np.abs(here).max(axis=(0, 1)).min() > 1e-3
        np.testing.assert_allclose(there, here, atol=1e-12 * np.abs(here).max())
    if not all(periodic):
        axis = periodic.index(False)
        x[:, axis] = domain.upper[axis]
        assert np.abs(each(wavefunction, params, x)).max() < 1e-13


@pytest.mark.parametrize(
    "landmarks", [{"centres": SEVERAL.centres}, {"cloud": Cloud((0.0, 0.0), ((1.0, 0.0), (0.0, 1.0)))}]
)
def test_centres_or_a_cloud_in_a_periodic_box_are_refused(landmarks):
    with pytest.raises(ValueError, match="periodic axes are not supported"):
        Wavefunction(NETWORK, Box.cube(10.0, dim=2, periodic=[True, False]), STATES, **landmarks)


# --- the network's part


@pytest.mark.parametrize(
    ("domain", "centres", "n_inputs"),
    [
        (Box.cube(1.0, dim=3), (), 3),
        (Box.cube(1.0, dim=2, periodic=[True, False]), (), 3),
        (SEVERAL.domain, SEVERAL.centres, 6),
    ],
)
def test_what_the_network_sees_is_bounded(domain, centres, n_inputs):
    wavefunction = Wavefunction(NETWORK, domain, STATES, tuple(centres))
    t = np.random.default_rng(0).uniform(-1, 1, (1000, domain.dim))
    x = np.asarray(domain.centre) + t * np.asarray(domain.lengths) / 2
    z = each(lambda _, y: wavefunction.inputs(y), 0.0, x)
    assert z.shape == (1000, n_inputs)
    assert np.abs(z).max() < 5  # input_range 3, or half the logarithm of the box over a Bohr radius
    assert z.std(axis=0).min() > 0.2


def test_a_cloud_is_whitened_for_the_network():
    cloud = Cloud((1.0, 3.0), ((0.5, 0.3), (0.3, 1.0)))
    wavefunction = Wavefunction(NETWORK, Box.cube(4.0, dim=2), STATES, cloud=cloud)
    root = np.linalg.cholesky(np.array(cloud.covariance))
    x = np.array(cloud.mean) + np.random.default_rng(0).normal(size=(20, 2)) @ root.T
    z = each(lambda _, y: wavefunction.inputs(y), 0.0, x)
    mahalanobis = np.sum(np.linalg.solve(root, (x - cloud.mean).T) ** 2, axis=0)
    np.testing.assert_allclose((z**2).sum(1), mahalanobis, rtol=1e-12)
    assert wavefunction.landmarks == (cloud,)


@pytest.mark.parametrize(
    ("network", "centres"),
    [
        (BlockSparseMLP((10, 8)), ()),
        (SeparateMLPs((10, 8)), SEVERAL.centres),
    ],
)
def test_hidden_functions_span_the_functions(network, centres):
    """With one decay rate for all and no bias in the last layer, u is a sum of them."""
    wavefunction, params = make(SEVERAL.domain, centres, network)
    *layers, (weight, bias) = params.network
    params = params._replace(log_decay=jnp.zeros(STATES), network=(*layers, (weight, jnp.zeros_like(bias))))
    x = np.random.default_rng(0).uniform(-2, 2, (100, 2))
    u, hidden = each(lambda p, y: (wavefunction(p, y), wavefunction.hidden_functions(p, y)), params, x)
    groups = STATES if isinstance(network, SeparateMLPs) else 1
    assert hidden.shape == (100, groups, 8)
    for k in range(STATES):
        basis = hidden[:, k if groups > 1 else 0]
        fit = np.linalg.lstsq(basis, u[:, k], rcond=1e-15)[0]
        np.testing.assert_allclose(basis @ fit, u[:, k], atol=1e-10)


@pytest.mark.usefixtures("strict_promotion")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_values_have_the_parameters_and_points_type(dtype):
    wavefunction = Wavefunction(NETWORK, SEVERAL.domain, STATES, SEVERAL.centres)
    params = jax.eval_shape(lambda key: wavefunction.init(key, dtype), jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype(dtype)}
    x = jax.ShapeDtypeStruct((2,), dtype)
    assert jax.eval_shape(wavefunction, params, x).dtype == dtype
    assert jax.eval_shape(wavefunction.hidden_functions, params, x).dtype == dtype


def test_the_decay_starts_at_five_e_foldings():
    wavefunction = Wavefunction(NETWORK, Box([-1.0, 0.0], [1.0, 8.0]), STATES)
    log_decay = jax.jit(wavefunction.init)(jax.random.key(0)).log_decay
    np.testing.assert_allclose(np.exp(log_decay), 5.0 / 1.0, rtol=1e-6)
