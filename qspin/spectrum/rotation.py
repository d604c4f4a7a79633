"""Which functions of a degenerate level stand for it: `Spectrum.rotate` gives them good quantum numbers, and a convention for
signs and phases makes pictures of two runs agree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import index
from typing import Any

import jax
import numpy as np
import scipy.linalg
from jaxtyping import Complex, Float, Inexact

from qspin.numerics.checks import real_number, shown
from qspin.numerics.errors import degenerate_groups
from qspin.problem.hamiltonian import Operator, Potential
from qspin.problem.symmetry import PointMap
from qspin.spectrum.eigenfunctions import Eigenfunctions, Rotated
from qspin.spectrum.notes import states_named
from qspin.spectrum.spectrum import Spectrum

__all__ = ["phase_factors", "rotated", "with_fixed_phases"]

_WHOLE = 0.05  # a momentum this close to an integer is printed as one, a phase as a fraction of a turn
_SAME = 0.1  # eigenvalues of maps, and momenta, that differ by less are one
_CUT = 0.2  # radians: where the sorting of phases begins, behind π, so that -1 does not fall on either side of it
_RATE = 2.0  # of the convention's g along the first axis, over standard deviations of |ψ|²
_LEAST = 1e-6  # of ∫ |ψ|² g: below, the integral is a tie

Matrix = Inexact[np.ndarray, "n n"]
Vectors = Inexact[np.ndarray, "n m"]


def rotated(spectrum: Spectrum, by: Any, groups: Any, tolerance: Any) -> Spectrum:
    """What `Spectrum.rotate` documents."""
    chosen = list(by) if isinstance(by, list | tuple) else [by]
    if not chosen:
        raise ValueError(
            "Spectrum.rotate: by must be an operator, a function, a symmetry, or several of them; got none."
        )
    tolerance = real_number("Spectrum.rotate: tolerance", tolerance, above=0, most=1)
    n, blocks = spectrum.n_states, _blocks(spectrum, groups)
    points, weights = spectrum.eigenfunctions.quadrature()
    root, psi = np.sqrt(np.abs(weights))[:, None], spectrum.eigenfunctions(points)
    observables = [_observable(spectrum, one, points) for one in chosen]
    plain = [one.name for one in observables]
    names = [
        f"{name}{plain[:k].count(name) + 1 if name in plain[:k] else ''}" for k, name in enumerate(plain)
    ]

    leaving, numbers, vectors = np.zeros((len(names), n)), np.zeros((len(names), n), complex), []
    for block in blocks:
        basis = root * psi[:, block]
        projected = (_projected(basis, root * one.image[:, block], one) for one in observables)
        matrices, leaving[:, block] = zip(*projected, strict=True)
        vectors.append(_shared_eigenvectors(np.eye(len(block)), observables, matrices))
        for k, one in enumerate(observables):
            numbers[k, block] = one.numbers(_expectations(vectors[-1], matrices[k]))
    for name, share in zip(names, leaving, strict=True):
        left = np.flatnonzero(share > tolerance).tolist()
        if left:
            warnings.warn(
                f"Spectrum.rotate: {name} leads {states_named(left)} out of their degenerate level (up to {share.max():.0%} "
                "of the norm): it does not commute with H (is its centre right?), or n_states cuts the level, or the "
                "states are not exact enough. Their quantum numbers are not good.",
                stacklevel=3,
            )
    order = np.argsort(np.concatenate(blocks))
    turn = scipy.linalg.block_diag(*vectors)[np.ix_(order, order)]
    labels = [
        ", ".join(f"{name} = {one.label(row[k])}" for name, one, row in zip(names, observables, numbers, strict=True))
        for k in range(n)
    ]  # fmt: skip
    provenance = {
        **spectrum.provenance,
        "quantum_numbers": {  # for JSON: real numbers, or pairs of real and imaginary part
            name: (row.real if np.abs(row.imag).max() < 1e-6 else np.stack([row.real, row.imag], 1)).tolist()
            for name, row in zip(names, numbers, strict=True)
        },
        "leaving": dict(zip(names, leaving.tolist(), strict=True)),
    }
    turned = _turned(spectrum, turn * phase_factors(points, weights, psi @ turn))
    return replace(turned, labels=tuple(labels), provenance=provenance)


def _turned(spectrum: Spectrum, turn: Matrix) -> Spectrum:
    """The spectrum of Σ_m ψ_m turn_mn, with what is known of the old states carried over to the new."""
    share = np.abs(turn) ** 2
    mixed = share > 1e-6
    energies = spectrum.energies @ share
    spread = np.sqrt(np.sum(share * (spectrum.energies[:, None] - energies) ** 2, axis=0))

    def largest(values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        return np.where(mixed, values[:, None], -np.inf).max(0)

    notes = [
        replace(note, states=tuple(np.flatnonzero(mixed[list(note.states)].any(0)).tolist()))
        for note in spectrum.notes
    ]
    return replace(
        spectrum,
        energies=energies,
        errors=largest(spectrum.errors),
        # ‖(H - E) Σ c_k ψ_k‖ ≤ Σ |c_k| r_k, and what the energies differ by
        residuals=np.where(mixed, np.abs(turn), 0).T @ spectrum.residuals + spread,
        converged=(spectrum.converged[:, None] | ~mixed).all(0),
        eigenfunctions=Rotated.of(spectrum.eigenfunctions, turn),
        notes=tuple(notes),
        wall_shifts=None if spectrum.wall_shifts is None else largest(spectrum.wall_shifts),
    )


def _blocks(spectrum: Spectrum, groups: Any) -> list[list[int]]:
    """Groups that hold every state once; those not named stand alone."""
    if groups is None:  # a level that is cut is seen by what leaves it
        return degenerate_groups(spectrum.energies, spectrum.errors)
    try:
        named = [[index(k) for k in group] for group in groups]
    except TypeError:
        named = [[]]
    flat = [k for group in named for k in group]
    if len(set(flat)) != len(flat) or not all(0 <= k < spectrum.n_states for k in flat) or not all(named):
        states = f"lists of different states from 0 to {spectrum.n_states - 1}"
        raise ValueError(f"Spectrum.rotate: groups must be {states}, got {shown(groups)}.")
    return named + [[k] for k in range(spectrum.n_states) if k not in flat]


# --- operators and maps, by what they do to the states of a level


@dataclass(frozen=True)
class _Observable:
    """An operator's images of all states on the quadrature, (P, N), and what its eigenvalues are called.

    `kind`: "hermitian"; "involution" for a map that undoes itself; "map"; "generator" of a map by `step`.
    """

    name: str
    image: Inexact[np.ndarray, "points states"]
    kind: str
    step: float = 0.0

    def eigenvectors(self, block: Matrix) -> Matrix:
        """Orthonormal eigenvectors of the operator's matrix (n, n), columns."""
        if (
            self.kind == "map"
        ):  # unitary, so that Schur vectors are eigenvectors, orthonormal in spite of noise
            return scipy.linalg.schur(block.astype(complex), output="complex")[1]
        if self.kind == "generator":  # sin(step·A)
            block = (block - block.conj().T) / 2j
            return np.linalg.eigh(block)[1] if np.abs(block).max() > 1e-12 else np.eye(len(block))
        return np.linalg.eigh((block + block.conj().T) / 2)[1]

    def numbers(self, expectations: Inexact[np.ndarray, " n"]) -> Complex[np.ndarray, " n"]:
        """Quantum numbers from ⟨ψ|A|ψ⟩, complex in type: in fact so only of a map that is no involution."""
        if self.kind == "generator":
            return np.angle(expectations) / self.step + 0j
        if self.kind == "map":
            return expectations + 0j
        real = expectations.real
        return np.where(np.abs(real) > 1e-9 * np.abs(real).max(), real, 0.0) + 0j  # without rounding's zeros

    def order(self, numbers: Complex[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """What the states of a level are sorted by."""
        return np.angle(numbers * np.exp(-1j * _CUT)) if self.kind == "map" else numbers.real

    def label(self, number: complex) -> str:
        """A quantum number as tables print it."""
        if self.kind == "hermitian":
            return f"{number.real:.5g}"
        if self.kind == "map":
            turns = Fraction(float(np.angle(number)) / (2 * np.pi)).limit_denominator(24)
            if np.abs(np.exp(2j * np.pi * float(turns)) - number) >= _WHOLE:
                return f"{number:.2f}"
            if turns.denominator <= 2:
                return "+1" if turns.denominator == 1 else "-1"
            times = "" if abs(turns.numerator) == 1 else f"{abs(turns.numerator)}·"
            return f"exp({'-' if turns < 0 else ''}{times}2πi/{turns.denominator})"
        whole = round(number.real)
        if abs(number.real - whole) < _WHOLE:
            return f"{whole:+d}" if whole else "0"
        return f"{number.real:+.2f}"


def _observable(spectrum: Spectrum, by: Any, points: Float[np.ndarray, "points dim"]) -> _Observable:
    functions, dim = spectrum.eigenfunctions, spectrum.domain.dim
    if not callable(by) and not isinstance(by, Operator | PointMap):
        raise TypeError(
            "Spectrum.rotate: by must be an operator, a function of a point x, or a symmetry such as qspin.symmetry.parity(), "
            f"got {shown(by)}."
        )
    if not isinstance(by, Operator | PointMap):  # V(x), a number, multiplies; g(x), another point, is a map
        try:
            shape = jax.eval_shape(by, jax.ShapeDtypeStruct((dim,), np.float32)).shape
        except Exception:  # what is wrong with it, the operator says
            shape = ()
        by = Potential(by) if shape == () else PointMap(by)
    if isinstance(by, Operator):
        by.check(spectrum.domain)
        return _Observable("⟨A⟩", functions.image(by), "hermitian")
    by.check(dim)
    moved = by.moved(points)
    near = 1e-9 * max(float(np.abs(points).max()), 1e-300)
    undone = np.allclose(by.moved(moved), points, rtol=0, atol=near)
    kind = "generator" if by.step else "involution" if undone else "map"
    return _Observable(by.name, functions(moved), kind, by.step)


def _projected(
    basis: Inexact[np.ndarray, "points n"], image: Inexact[np.ndarray, "points n"], one: _Observable
) -> tuple[Matrix, Float[np.ndarray, " n"]]:
    """The operator's matrix in a level, and the share (n,) of the norm of each image that leaves it.

    By least squares on the quadrature, not by inner products: where images stay in the level the matrix is right whatever the
    quadrature's noise.
    """
    matrix = np.linalg.lstsq(basis, image, rcond=None)[0]
    left, size, own = (np.linalg.norm(f, axis=0) for f in (image - basis @ matrix, image, basis))
    if one.kind == "hermitian":
        return matrix, left / size.max() if size.max() > 0 else left
    whole = np.maximum(size, own)
    if one.kind == "generator":  # a small turn moves little: what counts is the share of the change
        whole = np.maximum(one.step * own, np.linalg.norm(image - basis, axis=0))
    # Norm is also lost where the map leads out of the box.
    return matrix, np.maximum(left / whole, np.abs(1 - np.linalg.norm(matrix, axis=0)))


def _expectations(vectors: Vectors, matrix: Matrix) -> Inexact[np.ndarray, " m"]:
    return np.einsum("ik,ij,jk->k", vectors.conj(), matrix, vectors)


def _shared_eigenvectors(
    basis: Vectors, observables: Sequence[_Observable], matrices: Sequence[Matrix]
) -> Vectors:
    """Eigenvectors (n, m) of the first operator within the span of `basis` (n, m); where its eigenvalues agree, of the next."""
    if not observables or basis.shape[1] == 1:
        return basis
    first = observables[0]
    vectors = basis @ first.eigenvectors(basis.conj().T @ matrices[0] @ basis)
    numbers = first.numbers(_expectations(vectors, matrices[0]))
    order = np.argsort(first.order(numbers), kind="stable")
    vectors, numbers = vectors[:, order], numbers[order]
    same = 1e-3 * np.abs(numbers).max() if first.kind == "hermitian" else _SAME
    parts = np.split(vectors, np.flatnonzero(np.abs(np.diff(numbers)) > same) + 1, axis=1)
    return np.hstack([_shared_eigenvectors(part, observables[1:], matrices[1:]) for part in parts])


# --- signs and phases


def phase_factors(
    points: Float[np.ndarray, "points dim"],
    weights: Float[np.ndarray, " points"],
    psi: Inexact[np.ndarray, "points states"],
) -> Inexact[np.ndarray, " states"]:
    """The numbers (N,) of modulus 1 that make functions psi (P, N), known at points (P, dim) with weights (P,), obey one
    convention: ±1 for real functions, complex ones for complex. Costs O(P · dim · N) exponentials.

    ψ is multiplied so that ∫ ψ|ψ| g dx is positive (and real), where g grows along every axis, at a different rate on each: so
    the outermost lobe towards large coordinates is positive, as of the Hermite functions or of p_x ∝ x. A rule by the largest
    value flips by rounding where two lobes tie. Here even and odd functions, products of them, and these turned, keep a
    margin: of ∫ |ψ|² g at least 0.5 for twenty states of an oscillator, 0.25 for products turned by 45°, 0.08 for thirty states
    of a box, 0.01 for exp(8iφ) and for ten standing waves on a ring.

    Where the integral ties all the same, the value of largest modulus decides; a function that is not finite keeps its sign.
    """
    dim = points.shape[1]
    rates = _RATE * (1 + 0.618 * np.arange(dim) % 1) * min(1.0, np.sqrt(3 / dim))
    return np.array([_factor(points, weights, column, rates) for column in psi.T])


def _factor(points: np.ndarray, weights: np.ndarray, psi: np.ndarray, rates: np.ndarray) -> complex | float:
    density = np.abs(weights) * np.abs(psi) ** 2
    total = density.sum()
    if not (np.isfinite(total) and total > 0):
        return 1.0
    offset = points - density @ points / total
    deviation = np.maximum(np.sqrt(density @ offset**2 / total), 1e-300)
    # Bounded, as tails are where functions are known worst.
    growth = np.exp(2 * np.tanh(offset / deviation / 2) @ rates)
    overlap = np.sum(weights * psi * np.abs(psi) * growth)
    if np.abs(overlap) <= _LEAST * (density @ growth):
        overlap = psi[np.abs(psi).argmax()]
    factor = np.conj(overlap) / np.abs(overlap)
    return factor if np.iscomplexobj(psi) else float(np.sign(factor))


def with_fixed_phases(functions: Eigenfunctions) -> Eigenfunctions:
    """The functions by the convention. Costs their evaluation on their own quadrature."""
    points, weights = functions.quadrature()
    return functions.times(phase_factors(points, weights, functions(points)))
