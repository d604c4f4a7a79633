"""Rayleigh–Ritz over many features on a quadrature rule, without ever forming Σ: blocks of points, QR, SVD, projection.

The features' overlaps Σ = ΦᵀWΦ square the condition number of Φ: 400 features gave 4e-10 through the singular values of √W·Φ
and 1.6e-6 through Σ.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.methods.ritz.quadrature import Rule

__all__ = ["BLOCK", "CUT", "Integrals", "Sums", "blocks", "diagonal", "padded", "residuals", "ritz_functions"]

BLOCK = 2048  # points held at a time
_BUCKETS = (50, 200, 400, 800, 1600)  # feature counts that are compiled for
_COLUMNS = 32  # functions that checks are compiled for, and multiples
CUT = 1e-11  # singular values kept, of the largest


class Sums(NamedTuple):
    """Integrals over functions ψ: overlaps, weak ⟨ψ|H|ψ'⟩, ⟨ψ|Hψ'⟩, ⟨Hψ|Hψ'⟩; and Σ_n of ⟨x⟩, ⟨xxᵀ⟩, ⟨ppᵀ⟩."""

    overlap: Any
    energy: Any
    strong: Any
    square: Any
    first: Any
    second: Any
    momentum: Any


@lru_cache(maxsize=32)
def _compiled(coordinates: Coordinates, coefficients: tuple[float, ...]) -> Any:
    """Functions of a block of points: values times root weights; the Hamiltonian between combinations; a check of those.

    With a Bloch wave vector k, functions are e^{ikx}·u and every gradient is (∂ + ik) u.
    """
    c, wave = np.asarray(coefficients), np.asarray(coordinates.domain.wave_vector)

    @jax.jit
    def values(frame: Frame, neurons: Neurons, x: Any, w: Any) -> Any:
        return jnp.sqrt(w)[:, None] * coordinates.features(frame, neurons, c, x).values

    def weak(f: Any, psi: Any, basis: Any, w: Any, v: Any) -> Any:
        """∫ over the block of Σ c_i ∂_iψ* ∂_iψ' + Vψ*ψ', and the slopes."""
        slopes = [f.gradients[:, i] @ basis for i in range(len(c))]
        slopes = [s + 1j * k * psi if k else s for s, k in zip(slopes, wave, strict=True)]
        total = (psi * (w * v)[:, None]).conj().T @ psi
        return total + sum(k * (s * w[:, None]).conj().T @ s for k, s in zip(c, slopes, strict=True)), slopes

    @jax.jit
    def hamiltonian(frame: Frame, neurons: Neurons, basis: Any, x: Any, w: Any, v: Any) -> Any:
        f = coordinates.features(frame, neurons, c, x)
        return weak(f, f.values @ basis, basis, w, v)[0]

    @jax.jit
    def check(frame: Frame, neurons: Neurons, basis: Any, x: Any, w: Any, v: Any) -> Any:
        f = coordinates.features(frame, neurons, c, x)
        psi = f.values @ basis
        image = v[:, None] * psi - f.laplacians @ basis
        energy, slopes = weak(f, psi, basis, w, v)
        for i, k in enumerate(wave):
            if k:  # (∂ + ik)² = ∂² + 2ik(∂ + ik) + k²
                image -= c[i] * (2j * k * slopes[i] + k**2 * psi)
        density = w * jnp.sum(jnp.abs(psi) ** 2, axis=1)
        sums = Sums(
            (psi * w[:, None]).conj().T @ psi,
            energy,
            (psi * w[:, None]).conj().T @ image,
            (image * w[:, None]).conj().T @ image,
            density @ x,
            (x * density[:, None]).T @ x,
            jnp.stack(
                [jnp.stack([jnp.real(jnp.sum(w[:, None] * s.conj() * t)) for t in slopes]) for s in slopes]
            ),
        )
        return sums, density

    @jax.jit
    def strong(frame: Frame, neurons: Neurons, basis: Any, x: Any, w: Any, v: Any) -> Any:
        f = coordinates.features(frame, neurons, c, x)
        psi = f.values @ basis
        return (psi * w[:, None]).T @ (v[:, None] * psi - f.laplacians @ basis)

    @jax.jit
    def inputs(frame: Frame, x: Any) -> Any:
        return jax.vmap(lambda point: coordinates.inputs(frame, point))(x)

    return values, hamiltonian, check, strong, inputs


def padded(neurons: Neurons) -> Neurons:
    """With dead neurons up to the next compiled size."""
    count = len(neurons.biases)
    size = next((b for b in _BUCKETS if b >= count), count)
    missing = size - count
    return Neurons(np.pad(neurons.weights, ((0, missing), (0, 0))), np.pad(neurons.biases, (0, missing)))


def blocks(rule: Rule) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Points, weights and V, in blocks of one size; the last is filled up with points of weight 0."""
    for start in range(0, len(rule), BLOCK):
        part = slice(start, start + BLOCK)
        x, w, v = rule.points[part], rule.weights[part], rule.potential[part]
        missing = BLOCK - len(w)
        if missing:
            x = np.concatenate([x, np.broadcast_to(x[:1], (missing, x.shape[1]))])
            w, v = np.pad(w, (0, missing)), np.pad(v, (0, missing))
        yield x, w, v


class Integrals:
    """Integrals of features in given coordinates, of the operator -Σ c_i ∂_i² + V.

    Bases and combinations have as many rows as `padded` neurons. Cost for P points, M features and R functions: basis O(P
    M²), ritz O(P M R), check O(P M R); memory O(M² + 2048 · dim · M).
    """

    def __init__(self, coordinates: Coordinates, coefficients: np.ndarray) -> None:
        self._values, self._hamiltonian, self._check, self._strong, self._inputs = _compiled(
            coordinates, tuple(coefficients.tolist())
        )

    def inputs(self, frame: Frame, x: np.ndarray) -> np.ndarray:
        """Coordinates f at points (B, dim): (B, inputs)."""
        filled = np.concatenate([x, np.broadcast_to(x[:1], (-len(x) % BLOCK, x.shape[1]))])
        return np.asarray(self._inputs(frame, filled))[: len(x)]

    def bases(
        self, rule: Rule, frame: Frame, neurons: Neurons, counts: tuple[int, ...], cut: float = CUT
    ) -> list[np.ndarray]:
        """For each count, of that many first features, a basis orthonormal on the rule; singular values below `cut` dropped."""
        wide, count = padded(neurons), len(neurons.biases)
        triangle = np.zeros((0, count))
        for x, w, _ in blocks(rule):
            rows = np.asarray(self._values(frame, wide, x, w))[:, :count]
            triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
        found = []
        for few in counts:
            columns = triangle[:, :few]
            norms = np.linalg.norm(columns, axis=0)
            norms = np.where(norms > 0, norms, 1)
            _, singular, right = scipy.linalg.svd(columns / norms, full_matrices=False)
            kept = singular > cut * singular[0]
            basis = np.zeros((len(wide.biases), int(kept.sum())))
            basis[:few] = right[kept].T / singular[kept] / norms[:, None]
            found.append(basis)
        return found

    def ritz(
        self, rule: Rule, frame: Frame, neurons: Neurons, basis: np.ndarray, most: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lowest energies, `most` of them or all, in the span of a basis; and the combinations of features."""
        rank = basis.shape[1]
        matrix = self._projected(self._hamiltonian, rule, frame, neurons, basis)
        last = rank - 1 if most is None else min(most, rank) - 1
        energies, vectors = scipy.linalg.eigh((matrix + matrix.conj().T) / 2, subset_by_index=(0, last))
        return energies, basis @ vectors

    def strong(self, rule: Rule, frame: Frame, neurons: Neurons, basis: np.ndarray) -> np.ndarray:
        """⟨φ|Hφ'⟩ (R, R) in a basis, of the pointwise Hφ: symmetric only as far as the rule is exact."""
        return self._projected(self._strong, rule, frame, neurons, basis)

    @staticmethod
    def _projected(
        integrand: Any, rule: Rule, frame: Frame, neurons: Neurons, basis: np.ndarray
    ) -> np.ndarray:
        wide, rank = padded(neurons), basis.shape[1]
        square = np.pad(basis, ((0, 0), (0, basis.shape[0] - rank)))
        total = sum(np.asarray(integrand(frame, wide, square, x, w, v)) for x, w, v in blocks(rule))
        return np.asarray(total)[:rank, :rank]

    def check(
        self, rule: Rule, frame: Frame, neurons: Neurons, combination: np.ndarray
    ) -> tuple[Sums, np.ndarray]:
        """`Sums` of combinations, and the sum of their densities at each point, times its weight."""
        wide, total, density = padded(neurons), None, []
        columns = combination.shape[1]
        missing = -columns % _COLUMNS
        combination = np.pad(combination, ((0, 0), (0, missing)))
        for x, w, v in blocks(rule):
            sums, part = self._check(frame, wide, combination, x, w, v)
            total = jax.tree.map(np.asarray, sums) if total is None else jax.tree.map(np.add, total, sums)
            density.append(np.asarray(part))
        assert total is not None
        names = ("overlap", "energy", "strong", "square")
        total = total._replace(**{name: getattr(total, name)[:columns, :columns] for name in names})
        return total, np.concatenate(density)[: len(rule)]


def ritz_functions(sums: Sums, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, residuals |Hψ - Eψ| and the rotation to the Ritz functions of a few functions, from integrals over them."""
    energies, rotation = scipy.linalg.eigh(sums.energy[part, part], sums.overlap[part, part])
    return energies, residuals(sums, part, energies, rotation), rotation


def diagonal(matrix: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """⟨ψ_j|A|ψ_j⟩ of the columns of a rotation."""
    return np.real(np.einsum("ij,ik,kj->j", rotation.conj(), matrix, rotation))


def residuals(sums: Sums, part: slice, energies: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """|Hψ - Eψ| of normalised combinations."""
    strong, square = (diagonal(matrix[part, part], rotation) for matrix in (sums.strong, sums.square))
    return np.sqrt(np.maximum(square - 2 * energies * strong + energies**2, 0))
