"""The trial functions: Laplacians exact for every part at once, and the reference to begin with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin.methods.locate.mean_field import OPEN, PERIODIC, WALLED, product_reference
from qspin.methods.locate.wells import Well, gaussian_wells
from qspin.methods.sampled.functions import ProductAnsatz
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision


def disturbed(ansatz: ProductAnsatz) -> object:
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda a: a + 0.1 * rng.normal(size=a.shape), ansatz.init(0))


def mixed() -> ProductAnsatz:
    v = qspin.Potential(lambda x: x[0] ** 2 + jnp.cos(np.pi * x[2]) + 0.3 * x[0] * x[1])
    box = qspin.Box([-9.0, -1.0, -1.0], [9.0, 1.0, 1.0], periodic=[False, False, True])
    well = Well(np.zeros(3), np.eye(3), np.full(3, np.sqrt(0.5)), 0.0)
    kinds = (OPEN, WALLED, PERIODIC)
    return ProductAnsatz((product_reference(qspin.Problem(qspin.Kinetic() + v, box), well, kinds, 12),), box)


def two_wells() -> ProductAnsatz:
    v = qspin.Potential(lambda x: (x[0] ** 2 - 3) ** 2 + x[0] * x[1] + jnp.sum(x**2))
    p = qspin.Problem(qspin.Kinetic() + v, qspin.Space(3))
    wells = gaussian_wells(p)
    references = tuple(product_reference(p, w, (OPEN,) * 3, 9) for w in wells)
    return ProductAnsatz(references, qspin.Box.cube(9.0, dim=3))


@double_precision()
@pytest.mark.parametrize("make", [mixed, two_wells])
def test_the_laplacian_of_all_features_in_one_pass(make) -> None:  # type: ignore[no-untyped-def]
    """Against the trace of the Hessian, to rounding: products, network, shifts, walls and circles together."""
    ansatz = make()
    assert make is mixed or len(ansatz.references) == 2
    params, x = disturbed(ansatz), jnp.array([0.3, 0.4, -0.6])
    values, laplacians = jax.jit(ansatz.features)(params, x, 0.2)
    hessian = jax.jit(jax.hessian(lambda q: ansatz.values(params, q, 0.2)))(x)
    slow = jnp.einsum("mii->m", hessian) / 2
    assert jnp.allclose(values, ansatz.values(params, x, 0.2), rtol=1e-12)
    assert jnp.abs(laplacians - slow).max() < 1e-12 * jnp.abs(slow).max()


@double_precision()
def test_functions_vanish_on_walls_and_close_on_circles() -> None:
    ansatz = mixed()
    params = disturbed(ansatz)
    at = lambda *x: np.asarray(ansatz.values(params, jnp.array(x)))  # noqa: E731
    assert np.abs(at(0.2, 1.0, 0.1)).max() < 1e-12
    assert at(0.2, 0.5, -1.0) == pytest.approx(at(0.2, 0.5, 1.0), rel=1e-12)


@double_precision()
def test_training_begins_from_the_reference() -> None:
    """Products of Hermite functions for a harmonic well, orthonormal."""
    p = qspin.Problem(qspin.Kinetic() + qspin.Potential(lambda x: jnp.sum(x**2)), qspin.Space(4))
    reference = product_reference(p, gaussian_wells(p)[0], (OPEN,) * 4, 6)
    ansatz = ProductAnsatz((reference,), qspin.Box.cube(9.0, dim=4))
    assert ansatz.n_features == 15  # whole levels: 1 + 4 + 10
    unit = jnp.asarray(golden_lattice(20_000, 5))
    x = reference.points(unit)
    shift = -reference.log_density(x) / 2
    f = np.asarray(jax.vmap(lambda q, s: ansatz.values(ansatz.init(0), q, s))(x, shift))
    norms = np.sqrt(np.mean(f**2, axis=0))
    assert np.abs(f.T @ f / len(f) / np.outer(norms, norms) - np.eye(15)).max() < 0.08
