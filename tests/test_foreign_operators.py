"""Operators written outside the package: solved by SpIN, which needs Hf only; refused by name elsewhere; never dropped."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.problem.hamiltonian import LocalForm, without_local_form

OTHERS = [qspin.Ritz(), qspin.Grid(), qspin.SampledRitz(), qspin.ProductBasis()]
each_other = pytest.mark.parametrize("method", OTHERS, ids=lambda m: type(m).__name__)


def derivative(f):
    """f' of a function of one point (1,)."""
    return lambda x: jax.jvp(f, (x,), (jnp.ones_like(x),))[1]


@dataclasses.dataclass(frozen=True)
class FourthDerivative(qspin.Operator):
    """strength · d⁴/dx⁴, the first relativistic correction up to its sign."""

    strength: float = 0.02

    def __call__(self, f):
        fourth = derivative(derivative(derivative(derivative(f))))
        return lambda x: self.strength * fourth(x)

    def local_form(self, dim):
        return None


@dataclasses.dataclass(frozen=True)
class VariableMass(qspin.Operator):
    """-½ d/dx G(x) d/dx with G = strength · (2 + cos x): it has a local form, which no method serves yet."""

    strength: float = 1.0

    def inverse_mass(self, x):
        return self.strength * (2 + jnp.cos(x))

    def __call__(self, f):
        flow = derivative(lambda x: self.inverse_mass(x)[0] * derivative(f)(x))
        return lambda x: -0.5 * flow(x)

    def local_form(self, dim):
        return LocalForm(dim, self.inverse_mass, lambda x: jnp.zeros((), x.dtype))


def harmonic(x):
    return 0.5 * jnp.sum(x**2)


PROBLEM = qspin.Problem(
    qspin.Kinetic() + qspin.Potential(harmonic) + FourthDerivative(), qspin.Box(-7, 7), name="p⁴"
)


@pytest.mark.slow
def test_spin_solves_with_a_foreign_operator():
    """Against the three lowest eigenvalues of the matrix of H between oscillator states."""
    a = np.diag(np.sqrt(np.arange(1.0, 120)), 1)
    x, p2 = (a + a.T) / np.sqrt(2), -((a - a.T) @ (a - a.T)) / 2
    exact = np.linalg.eigvalsh((x @ x / 2 + p2 / 2 + 0.02 * p2 @ p2)[:100, :100])[:3]
    np.testing.assert_allclose(exact, [0.514086, 1.568240, 2.671331], atol=1e-6)
    method = qspin.SpIN(
        steps=1000, batch_size=64, network=qspin.SeparateMLPs((12, 12)), evaluation_points=8192
    )
    spectrum = qspin.solve(PROBLEM, 3, method, progress=False)
    off = np.abs(spectrum.energies - exact)
    assert (off <= 3 * spectrum.errors).all() and (off < 2e-2).all(), (off, spectrum.errors)


@each_other
def test_other_methods_refuse_it_by_name(method):
    with pytest.raises(ValueError, match=f"{type(method).__name__}: FourthDerivative has no local form"):
        qspin.solve(PROBLEM, 3, method, progress=False)


def test_validate_refuses_it_by_name():
    with pytest.raises(ValueError, match="FourthDerivative has no local form"):
        qspin.validate(PROBLEM, 3)


# --- random sums and multiples: nothing is dropped


def random_operator(rng, depth=0):
    if depth < 3 and rng.random() < 0.6:
        parts = [random_operator(rng, depth + 1) for _ in range(rng.integers(1, 4))]
        factors = [float(rng.choice([-1.5, 0.0, 0.5, 1.0, 2.0])) for _ in parts]
        total = factors[0] * parts[0]
        for factor, part in zip(factors[1:], parts[1:], strict=True):
            total = total + factor * part if rng.random() < 0.5 else total - factor * part
        return total
    strength = float(rng.uniform(0.1, 2.0))
    return [
        qspin.Kinetic(mass=strength),
        qspin.Kinetic(),
        qspin.Potential(lambda x: strength * jnp.sum(x**2)),
        qspin.Potential(lambda x: jnp.cos(strength * x[0])),
        VariableMass(strength),
        FourthDerivative(strength),
    ][rng.choice(6, p=[0.22, 0.22, 0.22, 0.22, 0.06, 0.06])]


def image_of_form(form, f, x):
    """-½ d/dx G df/dx + V f at one point, from nothing but the local form."""

    def flow(y):
        g = form.inverse_mass(y) if callable(form.inverse_mass) else jnp.asarray(form.inverse_mass)
        return jnp.ravel(g)[0] * derivative(f)(y)

    return -0.5 * derivative(flow)(x) + form.potential(x) * f(x)


def test_no_part_of_a_random_operator_is_dropped(x64):
    """60 operators: those with a local form are what it says, at random points; all others are refused by every method."""
    rng = np.random.default_rng(0)
    counts = {"plain": 0, "refused": 0, "without": 0}
    for _ in range(60):
        operator = random_operator(rng)
        form = operator.local_form(1)
        if form is not None:
            shift, x = rng.normal(), jnp.asarray(rng.uniform(-2.5, 2.5, 1))

            def f(y, shift=shift):
                return jnp.exp(-0.5 * (y[0] - shift) ** 2)

            expected = operator(f)(x)
            np.testing.assert_allclose(image_of_form(form, f, x), expected, rtol=1e-9, atol=1e-9)
        if form is not None and form.is_plain:
            counts["plain"] += 1
            continue
        name = "a mass that depends on x" if form else type(without_local_form(operator, 1)[0]).__name__
        counts["refused" if form else "without"] += 1
        problem = qspin.Problem(operator, qspin.Box(-3, 3))
        for method in OTHERS:
            with pytest.raises(ValueError, match=f"{type(method).__name__}: .*{name}"):
                method.check(problem, 2)
    assert min(counts.values()) >= 5, counts
