"""None missing: counts by inertia, the second pass, and the matrix-free Hamiltonian against the matrix."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.sparse.linalg as spla

import qspin
from qspin import shapes
from qspin.methods.grid import eigensolver
from qspin.methods.grid.axes import Interval, differences, dvr, elements
from qspin.methods.grid.eigensolver import EXTRA, lowest
from qspin.methods.grid.mesh import MeshOperator, mesh_of


def discretised(domain: qspin.Box, shape: tuple[int, ...], scheme, v=lambda x: jnp.sum(x**2)) -> MeshOperator:  # type: ignore[no-untyped-def]
    problem = qspin.Problem(qspin.Kinetic(mass=0.5) + qspin.Potential(v), domain)
    sides = zip(domain.lower, domain.upper, domain.periodic, domain.phases, strict=True)
    axes = tuple(scheme.axis(Interval(*side), n) for side, n in zip(sides, shape, strict=True))
    return mesh_of(domain, axes).operator(problem.local)


CASES = {
    "differences": (qspin.Box.cube(4.0, dim=2), (40, 36), differences(8)),
    "elements": (qspin.Box.cube(4.0, dim=2), (40, 36), elements(6)),
    "dvr, 3D": (qspin.Box.cube(4.0, dim=3), (13, 12, 11), dvr()),
    "Bloch": (qspin.Box([-2.0, -2.0], [2.0, 2.0], True, wave_vector=[0.3, 0.1]), (35, 31), dvr()),
    "disk": (shapes.disk(3.0), (40, 40), differences(2)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_without_a_matrix_it_is_the_same_operator(name: str) -> None:
    h = discretised(*CASES[name])
    x = np.random.default_rng(0).normal(size=(h.mesh.size, 2)).astype(h.dtype)
    assert h.apply(x) == pytest.approx(h.matrix @ x, rel=1e-10, abs=1e-8)
    assert h.apply(x[:, 0]) == pytest.approx(h.matrix @ x[:, 0], rel=1e-10, abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_against_all_of_the_matrix(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigensolver, "_DENSE", 100)
    h = discretised(*CASES[name])
    found = lowest(h, 6)
    truth = scipy.linalg.eigh(h.matrix.toarray(), eigvals_only=True, subset_by_index=(0, 5 + EXTRA))
    assert found.energies == pytest.approx(truth, rel=1e-9)
    assert found.vectors.conj().T @ found.vectors == pytest.approx(np.eye(6 + EXTRA), abs=1e-10)
    assert found.complete
    assert found.missed == 0
    assert found.check == ("inertia" if h.mesh.dim == 2 and h.sparse else "second pass")


@pytest.mark.parametrize("name", ["differences", "dvr, 3D"])
def test_a_level_that_lanczos_leaves_out_is_found_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first pass is made to overlook one of a degenerate pair."""
    monkeypatch.setattr(eigensolver, "_DENSE", 100)
    h = discretised(*CASES[name])
    truth = lowest(h, 3).energies
    honest, calls = spla.eigsh, []

    def forgetful(operator, k, **options):  # type: ignore[no-untyped-def]
        if not options.get("return_eigenvectors", True):
            return honest(operator, k, **options)
        calls.append(k)
        if len(calls) > 1 or k == 1:
            return honest(operator, k, **options)
        energies, vectors = honest(operator, k + 1, **options)
        order = np.argsort(energies)
        kept = np.delete(order, 2)
        return energies[kept], vectors[:, kept]

    monkeypatch.setattr(eigensolver.spla, "eigsh", forgetful)
    found = lowest(h, 3)
    assert found.missed >= 1
    assert found.complete
    assert found.energies == pytest.approx(truth, rel=1e-8)


def test_a_shift_above_the_lowest_level_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eigensolver, "_DENSE", 100)
    h = discretised(*CASES["differences"])
    right = lowest(h, 3).energies
    assert lowest(h, 3, shift=float(right[2]) + 0.1).energies == pytest.approx(right, rel=1e-9)
