"""H f = E f for closed forms, the algebra of operators, their symmetry, and what is refused."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.numerics.laplacian import finite_difference
from qspin.problem.domain import Box, PolynomialMask
from qspin.problem.hamiltonian import Kinetic, Potential
from qspin.problem.problem import Problem

pytestmark = pytest.mark.usefixtures("x64")


def each(f, x):
    """f at each of many points, compiled as the library's calls are."""
    return jax.jit(jax.vmap(f))(x)


def coulomb(x):
    return -1.0 / jnp.linalg.norm(x)


def points(dim, n=16):
    return jax.random.uniform(jax.random.key(dim), (n, dim), minval=0.2, maxval=1.5)


def assert_eigenfunction(hamiltonian, f, energy, x, tolerance=1e-10):
    np.testing.assert_allclose(
        each(hamiltonian(f), x), energy * each(f, x), rtol=0, atol=tolerance * max(1, np.abs(energy).max())
    )


# --- the identity


@pytest.mark.parametrize("mass", [(1.0,), (0.2, 1.0, 5.0)], ids=["1d", "3d"])
def test_the_oscillators_levels(mass):
    """ψ_n = ∏ He_{n_i}(√(2 m_i ω_i) x_i) exp(-m_i ω_i x_i²/2), E_n = Σ ω_i (n_i + 1/2)."""
    m = jnp.asarray(mass)
    omega = jnp.arange(1.0, len(mass) + 1)
    hamiltonian = Kinetic(mass=mass) + Potential(lambda x: jnp.sum(m * omega**2 * x**2) / 2)
    quanta = np.array(list(np.ndindex(*[3] * len(mass))))

    def states(x):
        y = jnp.sqrt(2 * m * omega) * x
        hermite = jnp.stack([jnp.ones_like(y), y, y**2 - 1])
        return jnp.prod(hermite[quanta, jnp.arange(x.size)], axis=1) * jnp.exp(-jnp.sum(y**2) / 4)

    assert_eigenfunction(hamiltonian, states, (quanta + 0.5) @ omega, points(len(mass)))


@pytest.mark.parametrize("m", [0, 2])
def test_two_dimensional_hydrogen(m):
    """-∇² - 1/r has ψ = Re (x + iy)^m exp(-r/(2m + 1)) with E = -1/(2m + 1)²; m = 0 is e^{-r}."""
    hamiltonian = Kinetic(mass=0.5) + Potential(coulomb, singularities=[(0.0, 0.0)])

    def f(x):
        angle = jnp.arctan2(x[1], x[0])
        r = jnp.linalg.norm(x)
        return r**m * jnp.cos(m * angle) * jnp.exp(-r / (2 * m + 1))

    assert_eigenfunction(hamiltonian, f, -1 / (2 * m + 1) ** 2, points(2))


def test_three_dimensional_hydrogen():
    hamiltonian = Kinetic() + Potential(coulomb, singularities=[(0.0, 0.0, 0.0)])
    assert_eigenfunction(hamiltonian, lambda x: jnp.exp(-jnp.linalg.norm(x)), -0.5, points(3))


def test_a_finite_difference_kinetic_is_off_by_h_squared():
    """-½ f'' of sin 2x is 2 sin 2x; the difference h²/12 · 16 · ½ sin 2x less. Its exact() is not off."""
    h, x = 0.1, jnp.array([0.6])
    kinetic = Kinetic(laplacian=finite_difference(h))

    def f(y):
        return jnp.sin(2 * y[0])

    exact = 2 * f(x)
    assert exact - kinetic(f)(x) == pytest.approx(float(h**2 / 12 * 8 * f(x)), rel=1e-2)
    assert kinetic.exact()(f)(x) == pytest.approx(float(exact), abs=1e-12)
    assert (3 * kinetic + Potential(jnp.sum)).exact()(f)(x) == pytest.approx(
        float(3 * exact + x[0] * f(x)), abs=1e-12
    )


# --- the algebra

A, B = Kinetic(mass=0.7), Potential(lambda x: jnp.sum(jnp.cos(x)))
C = Potential(coulomb, singularities=[(0.0, 0.0)])


def two(x):
    return jnp.stack([jnp.exp(-jnp.sum(x**2)), jnp.sin(x[0]) * x[1]])


def test_operators_add_and_scale_as_their_images_do():
    """The factors of A, B and C in each operator, held against its image at many points, all in one program."""
    factors = {
        (1, 1, 0): A + B,
        (1, 1, 1): A + (B + C),
        (1, -1, 0): A - B,
        (-1, 0, 0): -A,
        (2.5, 0, 0): 2.5 * A,
        (2, 0, 0): A * 2,
        (0, 2, 0): np.float64(2) * B,
        (3, 6, -1): 3.0 * (A + 2 * B) - C,
    }

    def images(x):
        parts = jnp.stack([part(two)(x) for part in (A, B, C)])
        return jnp.stack([operator(two)(x) for operator in factors.values()]), parts

    image, parts = each(images, points(2))
    expected = np.einsum("op,bpn->bon", np.array(list(factors)), parts)
    np.testing.assert_allclose(image, expected, rtol=1e-13, atol=1e-13)


def test_operators_are_linear_in_f():
    x = points(2)
    image = each((A + C)(lambda y: two(y) @ jnp.array([2.0, -3.0])), x)
    np.testing.assert_allclose(image, each((A + C)(two), x) @ np.array([2.0, -3.0]), atol=1e-12)


def test_the_parts_of_a_sum_are_told_apart():
    hamiltonian = 2.0 * (Kinetic(mass=(0.5, 2.0)) + C) + B - C
    form = hamiltonian.local_form(2)
    np.testing.assert_allclose(form.coefficients, [2.0, 0.5], rtol=1e-15)
    assert hamiltonian.singularities == form.singularities == ((0.0, 0.0),)  # named once
    x = points(2)[0]
    assert form.potential(x) == pytest.approx(float(coulomb(x) + jnp.cos(x).sum()), abs=1e-14)


def test_operators_are_symmetric():
    """⟨f, Hg⟩ = ⟨Hf, g⟩ for functions that vanish on the walls, by a Gauss rule exact to rounding."""
    box = Box([-1.0, 0.0], [1.0, 3.0], mask=PolynomialMask())
    hamiltonian = Kinetic(mass=(0.5, 2.0)) + Potential(lambda x: jnp.sin(3 * x[0]) + x[1] ** 2) * 1.5
    nodes, weights = np.polynomial.legendre.leggauss(40)
    t = jnp.asarray(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2))
    x = t * jnp.asarray(box.lengths) / 2 + jnp.asarray(box.centre)
    w = np.outer(weights, weights).ravel() * box.volume / 4

    def functions(y):
        inner = jnp.stack([jnp.ones(()), jnp.sin(y[0] + y[1]), y[0], jnp.exp(y[1] / 2), y[0] * y[1]])
        return box.boundary_mask(y) * inner

    f, hf = each(functions, x), each(hamiltonian(functions), x)
    pi = (f * w[:, None]).T @ hf
    np.testing.assert_allclose(pi, pi.T, rtol=0, atol=1e-12 * np.abs(pi).max())
    assert np.abs(pi - np.diag(np.diag(pi))).max() > 0.01 * np.abs(pi).max()  # there was something to compare


@pytest.mark.usefixtures("strict_promotion")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_points_type_is_kept(dtype):
    hamiltonian = 2 * (Kinetic(mass=(1.0, 2.0)) + Potential(lambda x: 1.0)) + C
    assert hamiltonian(lambda x: jnp.sum(x**2))(jnp.ones(2, dtype)).dtype == dtype


# --- what is refused

BOX = Box.cube(1.0, dim=2)


def with_if(x):
    return 1.0 if x[0] > 0 else 0.0


@pytest.mark.parametrize(
    "v",
    [
        lambda x: math.sqrt(x[0]),
        lambda x: float(x[0]) ** 2,
        lambda x: np.sqrt(x[0]),
        lambda x: np.asarray(x).sum(),
        with_if,
    ],
    ids=["math.sqrt", "float", "numpy", "asarray", "if"],
)
def test_a_potential_that_jax_cannot_trace_is_refused_with_what_to_write(v):
    with pytest.raises(TypeError, match=r"cannot be traced by JAX.*jax\.numpy"):
        Problem(Kinetic() + Potential(v), BOX)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Kinetic() + Potential(lambda x: x**2), r"must be a scalar .*got an array of shape \(2,\)"),
        (
            lambda: Kinetic() + Potential(lambda x: x[2]),
            "reads a coordinate that is not there: .* has 2 axes",
        ),
        (lambda: Kinetic(mass=(1.0, 2.0, 3.0)), "Kinetic: mass has 3 entries, the domain has 2 axes"),
        (
            lambda: Kinetic() + Potential(coulomb, singularities=[(0.0,)]),
            "has 1 coordinates, the domain has 2",
        ),
        (lambda: 2 * (Kinetic() + Potential(lambda x: x[5])), "reads a coordinate that is not there"),
    ],
)
def test_an_operator_that_does_not_fit_the_domain_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        Problem(make(), BOX)


@pytest.mark.parametrize("mass", [-1.0, 0.0, math.nan, math.inf, (1.0, -1.0), (), [[1.0]]])
def test_a_mass_that_is_none_is_refused(mass):
    with pytest.raises((TypeError, ValueError), match="Kinetic: mass must"):
        Kinetic(mass=mass)


@pytest.mark.parametrize("singularities", [[0.0, 0.0], [(0.0, math.nan)], [[[0.0]]]])
def test_singularities_that_are_no_points_are_refused(singularities):
    with pytest.raises((TypeError, ValueError), match="Potential: singularities must be"):
        Potential(coulomb, singularities=singularities)


@pytest.mark.parametrize("v", [lambda x: None, lambda x: 1j * x[0]], ids=["no return", "complex"])
def test_a_potential_that_is_not_real_is_refused(v):
    with pytest.raises(TypeError, match=r"Potential: V\(x\) must return a real number"):
        Problem(Kinetic() + Potential(v), BOX)


def test_a_potential_that_is_no_function_is_refused():
    with pytest.raises(TypeError):
        Potential(3.0)


@pytest.mark.parametrize("combine", [lambda: A * 1j, lambda: A * "2", lambda: A + 1.0, lambda: A - 1.0])
def test_what_is_no_operator_or_number_does_not_combine(combine):
    with pytest.raises(TypeError):
        combine()
