"""∇²f against closed forms, its cost in calls of f, and the rate of the finite difference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin.numerics.laplacian import autodiff, finite_difference

pytestmark = pytest.mark.usefixtures("x64")


def each(f, x):
    """f at each of many points, compiled as the library's calls are."""
    return jax.jit(jax.vmap(f))(x)


def box_sine(x):
    """∇²f = -(1² + … + d²) f."""
    return jnp.prod(jnp.sin(x * jnp.arange(1.0, x.size + 1)))


def gaussian(x):
    """The oscillator's ground state: ∇²f = (|x|² - d) f."""
    return jnp.exp(-jnp.sum(x**2) / 2)


def hydrogen(x):
    """∇²f = (1 - (d - 1)/r) f."""
    return jnp.exp(-jnp.linalg.norm(x))


CLOSED = {
    "box_sine": (box_sine, lambda x: -jnp.sum(jnp.arange(1.0, x.size + 1) ** 2) * box_sine(x)),
    "gaussian": (gaussian, lambda x: (jnp.sum(x**2) - x.size) * gaussian(x)),
    "hydrogen": (hydrogen, lambda x: (1 - (x.size - 1) / jnp.linalg.norm(x)) * hydrogen(x)),
}


def points(dim, n=16):
    return jax.random.uniform(jax.random.key(dim), (n, dim), minval=0.2, maxval=1.5)


def all_of(functions):
    return lambda x: jnp.stack([f(x) for f in functions])


F, EXPECTED = (all_of(column) for column in zip(*CLOSED.values(), strict=True))


@pytest.mark.parametrize("dim", [1, 4])
def test_autodiff_is_the_closed_form(dim):
    x = points(dim)
    np.testing.assert_allclose(each(autodiff()(F), x), each(EXPECTED, x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("laplacian", [autodiff(), finite_difference(1e-3)])
def test_all_outputs_at_once_equal_each_alone(laplacian):
    def many(x):
        return jnp.stack([box_sine(x), gaussian(x), hydrogen(x), jnp.sum(x**3)])

    x = points(3)[0]
    together = jax.jit(laplacian(many))(x)
    alone = [jax.jit(laplacian(lambda y, k=k: many(y)[k]))(x) for k in (0, 3)]
    assert together.shape == (4,) and alone[0].shape == ()
    # Compiled together and alone, differences round differently by eps/h² = 2e-10.
    np.testing.assert_allclose(together[jnp.array([0, 3])], np.array(alone), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("laplacian", "calls_allowed"), [(autodiff(), 1), (finite_difference(0.1), 3)])
def test_the_function_is_traced_once_whatever_the_number_of_outputs_and_axes(laplacian, calls_allowed):
    for dim, n_outputs in [(1, 1), (3, 1), (3, 50), (6, 50)]:
        calls = 0

        def f(x, n_outputs=n_outputs):
            nonlocal calls
            calls += 1
            return jnp.sin(jnp.arange(n_outputs) * x.sum())

        shape = jax.eval_shape(laplacian(f), jax.ShapeDtypeStruct((dim,), jnp.float64))
        assert shape.shape == (n_outputs,)
        assert calls == calls_allowed


def test_the_finite_difference_converges_as_h_squared():
    x = points(3)
    expected = each(EXPECTED, x)
    errors = [np.abs(each(finite_difference(h)(F), x) - expected).max(0) for h in (0.02, 0.01, 0.005)]
    rates = np.log2(np.divide(errors[:-1], errors[1:]))
    assert np.abs(rates - 2).max() < 0.05  # the next term is h² = 4e-4 times larger derivatives


def test_the_finite_differences_error_is_the_one_in_its_docstring():
    h, x = 1e-2, jnp.array([0.7])
    error = finite_difference(h)(lambda y: jnp.sin(3 * y[0]))(x) + 9 * jnp.sin(3 * x[0])
    assert error == pytest.approx(h**2 / 12 * 81 * np.sin(2.1), rel=1e-3)


@pytest.mark.parametrize("laplacian", [autodiff(), finite_difference(0.5)])
def test_quadratics_are_exact(laplacian):
    rng = np.random.default_rng(0)
    for dim in (1, 4):
        matrix = jnp.asarray(rng.normal(size=(dim, dim)))
        value = each(laplacian(lambda x, m=matrix: x @ m @ x + x.sum() - 3), points(dim, 1))[0]
        assert value == pytest.approx(2 * np.trace(matrix), abs=1e-12)


@pytest.mark.parametrize("laplacian", [autodiff(), finite_difference(0.5)])
def test_coefficients_weigh_the_axes(laplacian):
    x = points(3)[0]
    c = np.array([0.5, -2.0, 7.0])

    def f(y):
        return jnp.stack([jnp.sum(y**2), y @ jnp.diag(jnp.array([1.0, 2.0, 3.0])) @ y])

    np.testing.assert_allclose(laplacian(f, c)(x), [2 * c.sum(), 2 * c @ [1, 2, 3]], rtol=1e-12)
    np.testing.assert_allclose(laplacian(f, 2.0)(x), 2 * laplacian(f)(x), rtol=1e-12)  # one for all axes
    np.testing.assert_allclose(laplacian(f, np.ones(3))(x), laplacian(f)(x), rtol=1e-12)


@pytest.mark.usefixtures("strict_promotion")
@pytest.mark.parametrize("laplacian", [autodiff(), finite_difference(0.1)])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_points_type_is_kept(laplacian, dtype):
    assert laplacian(lambda x: jnp.sum(x**2), np.ones(2))(jnp.ones(2, dtype)).dtype == dtype


def test_it_can_be_differentiated():
    gradient = jax.grad(lambda a: autodiff()(lambda x: jnp.sin(a * x[0]))(jnp.array([0.3])))(2.0)
    expected = -2 * 2 * np.sin(0.6) - 4 * 0.3 * np.cos(0.6)
    assert gradient == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("step", [0.0, -1e-3, float("nan"), float("inf")])
def test_a_step_that_is_no_length_is_refused(step):
    with pytest.raises(ValueError, match="finite_difference: step must be positive, got"):
        finite_difference(step)
