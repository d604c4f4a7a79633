"""Degenerate states turned among themselves until each has a good quantum number: `Spectrum.rotate` and `Rotated`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import scipy.linalg

from qspin.problem.domain import Domain
from qspin.problem.hamiltonian import Operator, Potential
from qspin.problem.symmetry import PointMap
from qspin.spectrum.eigenfunctions import Eigenfunctions, check_shapes, recorded, restored
from qspin.spectrum.notes import Note
from qspin.spectrum.phases import phase_factors
from qspin.spectrum.spectrum import Spectrum

__all__ = ["Rotated", "rotated"]

_WHOLE = 0.05  # a momentum this close to an integer is printed as one, a phase as a fraction of a turn
_SAME = 0.1  # eigenvalues of maps, and momenta, that differ by less are one
_CUT = 0.2  # radians: where the sorting of phases begins, behind π, so that -1 does not fall on either side of it

# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Observable = Operator | PointMap | Callable[..., Any]
    Observables = Observable | Sequence[Observable]
    Groups = Sequence[Sequence[int]] | None
    Number = float
else:
    Observable = Observables = Groups = Number = Any


@dataclass(frozen=True, eq=False)
class Rotated(Eigenfunctions):
    """Σ_m ψ_m(x) matrix_mn: other functions, times a matrix (N, n), real or complex; unitary, that they stay orthonormal."""

    functions: Eigenfunctions
    matrix: np.ndarray

    @property
    def n_states(self) -> int:
        return self.matrix.shape[1]

    @property
    def dim(self) -> int:
        return self.functions.dim

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.functions(points) @ self.matrix

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.functions.quadrature()

    def image(self, operator: Operator) -> np.ndarray:
        return self.functions.image(operator) @ self.matrix

    def times(self, factors: np.ndarray) -> Eigenfunctions:
        return Rotated(self.functions, self.matrix * factors)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings, arrays = recorded(self.functions)
        inner = {f"functions/{name}": array for name, array in arrays.items()}
        return {"functions": settings}, {"matrix": self.matrix, **inner}

    @classmethod
    def from_record(
        cls, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], domain: Domain
    ) -> Rotated:
        inner = {name.removeprefix("functions/"): array for name, array in arrays.items()}
        functions = restored(settings["functions"], inner, domain)
        check_shapes(arrays, {"matrix": "functions states"}, functions=functions.n_states)
        return cls(functions, arrays["matrix"])


@dataclass(frozen=True)
class _Observed:
    """An operator's images of all states on the quadrature, (P, N), and what its eigenvalues are called.

    `kind`: "hermitian"; "involution" for a map that undoes itself; "map"; "generator" of a map by `step`.
    """

    name: str
    image: np.ndarray
    kind: str
    step: float = 0.0

    def diagonalised(self, block: np.ndarray) -> np.ndarray:
        """Orthonormal eigenvectors of the operator's matrix (n, n), columns."""
        if (
            self.kind == "map"
        ):  # normal, as unitary: Schur vectors are eigenvectors, and orthonormal in spite of noise
            return scipy.linalg.schur(block.astype(complex), output="complex")[1]
        if self.kind == "generator":  # sin(step·A)
            block = (block - block.conj().T) / 2j
            return np.linalg.eigh(block)[1] if np.abs(block).max() > 1e-12 else np.eye(len(block))
        return np.linalg.eigh((block + block.conj().T) / 2)[1]

    def numbers(self, expectations: np.ndarray) -> np.ndarray:
        """Quantum numbers from ⟨ψ|A|ψ⟩, complex in type: in fact so only of a map that is no involution."""
        if self.kind == "generator":
            return np.angle(expectations) / self.step + 0j
        if self.kind == "map":
            return expectations + 0j
        found = expectations.real
        return (
            np.where(np.abs(found) > 1e-9 * np.abs(found).max(), found, 0.0) + 0j
        )  # without rounding's zeros

    def order(self, numbers: np.ndarray) -> np.ndarray:
        """What the states of a level are sorted by."""
        return np.angle(numbers * np.exp(-1j * _CUT)) if self.kind == "map" else numbers.real

    def apart(self, lower: complex, upper: complex, largest: float) -> bool:
        """Whether two eigenvalues are different ones."""
        return bool(np.abs(upper - lower) > (1e-3 * largest if self.kind == "hermitian" else _SAME))

    def label(self, number: complex) -> str:
        if self.kind == "hermitian":
            return f"{self.name} = {number.real:.5g}"
        if self.kind == "map":
            turns = Fraction(float(np.angle(number)) / (2 * np.pi)).limit_denominator(24)
            if np.abs(np.exp(2j * np.pi * float(turns)) - number) >= _WHOLE:
                return f"{self.name} = {number:.2f}"
            if turns.denominator <= 2:
                return f"{self.name} = {'+1' if turns.denominator == 1 else '-1'}"
            times = "" if abs(turns.numerator) == 1 else f"{abs(turns.numerator)}·"
            return f"{self.name} = exp({'-' if turns < 0 else ''}{times}2πi/{turns.denominator})"
        whole = round(number.real)
        near = abs(number.real - whole) < _WHOLE
        return f"{self.name} = " + (
            f"{whole:+d}" if near and whole else "0" if near else f"{number.real:+.2f}"
        )


def rotated(spectrum: Spectrum, by: Observables, groups: Groups, tolerance: Number) -> Spectrum:
    """What `Spectrum.rotate` documents."""
    chosen: list[Any] = list(by) if isinstance(by, list | tuple) else [by]
    if not chosen:
        raise ValueError(
            "Spectrum.rotate: by must be an operator, a function, a symmetry, or several of them; got none."
        )
    if not (isinstance(tolerance, Real) and 0 < tolerance <= 1):
        raise ValueError(f"Spectrum.rotate: tolerance must be a number between 0 and 1, got {tolerance!r}.")
    blocks = _whole(spectrum, groups)
    functions = spectrum.eigenfunctions
    points, weights = functions.quadrature()
    root, psi = np.sqrt(np.abs(weights))[:, None], functions(points)
    observed = _named_apart([_observed(spectrum, one, points) for one in chosen])

    kind = complex if np.iscomplexobj(psi) else float
    turn = np.zeros((spectrum.n_states, spectrum.n_states), kind)
    leaving = {one.name: np.zeros(spectrum.n_states) for one in observed}
    numbers = {one.name: np.zeros(spectrum.n_states, complex) for one in observed}
    for block in blocks:
        basis = root * psi[:, block]
        matrices = []
        for one in observed:
            matrix, out = _projected(basis, root * one.image[:, block], one)
            matrices.append(matrix)
            leaving[one.name][block] = out
        vectors = _shared_eigenvectors(np.eye(len(block)), observed, matrices)
        if np.iscomplexobj(vectors):
            turn = turn.astype(complex)
        turn[np.ix_(block, block)] = vectors
        for one, matrix in zip(observed, matrices, strict=True):
            numbers[one.name][block] = one.numbers(_expectations(vectors, matrix))
    _warn_of_leaving(leaving, tolerance)
    turn = turn * phase_factors(points, weights, psi @ turn)

    labels = [
        ", ".join(one.label(numbers[one.name][k]) for one in observed) for k in range(spectrum.n_states)
    ]
    share = np.abs(turn) ** 2
    energies = spectrum.energies @ share
    mixed = share > 1e-6
    spread = np.sqrt(np.sum(share * (spectrum.energies[:, None] - energies) ** 2, axis=0))
    return replace(
        spectrum,
        energies=energies,
        errors=_largest(spectrum.errors, mixed),
        # ‖(H - E) Σ c_k ψ_k‖ ≤ Σ |c_k| r_k, and what the energies differ by
        residuals=np.where(mixed, np.abs(turn), 0).T @ spectrum.residuals + spread,
        converged=np.array([spectrum.converged[column].all() for column in mixed.T]),
        eigenfunctions=_composed(functions, turn),
        notes=tuple(_about_new_states(remark, mixed) for remark in spectrum.notes),
        labels=tuple(labels),
        wall_shifts=None if spectrum.wall_shifts is None else _largest(spectrum.wall_shifts, mixed),
        provenance={
            **spectrum.provenance,
            "quantum_numbers": {name: _plain(found) for name, found in numbers.items()},
            "leaving": {name: found.tolist() for name, found in leaving.items()},
        },
    )


def _about_new_states(remark: Note, mixed: np.ndarray) -> Note:
    """A note about old states, as one about the new ones that they are in."""
    return replace(remark, states=tuple(int(k) for k in np.flatnonzero(mixed[list(remark.states)].any(0))))


def _composed(functions: Eigenfunctions, turn: np.ndarray) -> Eigenfunctions:
    if isinstance(functions, Rotated):
        return Rotated(functions.functions, functions.matrix @ turn)
    return Rotated(functions, turn)


def _largest(errors: np.ndarray, mixed: np.ndarray) -> np.ndarray:
    return np.array([errors[column].max() for column in mixed.T])


def _plain(numbers: np.ndarray) -> list[Any]:
    """For JSON: real numbers, or pairs of real and imaginary part."""
    if np.abs(numbers.imag).max() < 1e-6:
        return [float(n.real) for n in numbers]
    return [[float(n.real), float(n.imag)] for n in numbers]


def _whole(spectrum: Spectrum, groups: Groups) -> list[list[int]]:
    """Groups that hold every state once; those not named stand alone."""
    if groups is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a level that is cut is seen by what leaves it
            return spectrum.groups()
    named = [[int(k) for k in group] for group in groups]
    flat = [k for group in named for k in group]
    if len(set(flat)) != len(flat) or not all(0 <= k < spectrum.n_states for k in flat) or not all(named):
        raise ValueError(
            f"Spectrum.rotate: groups must be lists of different states from 0 to {spectrum.n_states - 1}, got {groups!r}."
        )
    return named + [[k] for k in range(spectrum.n_states) if k not in flat]


def _observed(spectrum: Spectrum, by: Observable, points: np.ndarray) -> _Observed:
    functions, dim = spectrum.eigenfunctions, spectrum.domain.dim
    if not isinstance(by, Operator | PointMap):
        by = _as_operator(by, dim)
    if isinstance(by, Operator):
        by.check(spectrum.domain)
        return _Observed("⟨A⟩", functions.image(by), "hermitian")
    by.check(dim)
    moved = by.moved(points)
    image = functions(moved)
    if by.step:
        return _Observed(by.name, image, "generator", by.step)
    undone = np.allclose(
        by.moved(moved), points, rtol=0, atol=1e-9 * max(float(np.abs(points).max()), 1e-300)
    )
    return _Observed(by.name, image, "involution" if undone else "map")


def _named_apart(observed: list[_Observed]) -> list[_Observed]:
    """Names that occur again with their number behind."""
    names = [one.name for one in observed]
    return [
        replace(one, name=f"{one.name}{names[:k].count(one.name) + 1}") if one.name in names[:k] else one
        for k, one in enumerate(observed)
    ]


def _as_operator(by: Any, dim: int) -> Operator | PointMap:
    """A function of a point: V(x), a number, multiplies; g(x), another point, is a map."""
    if not callable(by):
        raise TypeError(
            "Spectrum.rotate: by must be an operator, a function of a point x, or a symmetry such as qspin.symmetry.parity(), "
            f"got {by!r}."
        )
    try:
        shape = jax.eval_shape(by, jax.ShapeDtypeStruct((dim,), np.float32)).shape
    except Exception:  # what is wrong with it, the operator says
        shape = ()
    return Potential(by) if shape == () else PointMap(by)


def _projected(basis: np.ndarray, image: np.ndarray, one: _Observed) -> tuple[np.ndarray, np.ndarray]:
    """The operator's matrix in a level, and the share (n,) of the norm of each image that leaves it.

    By least squares on the quadrature, not by inner products: where images stay in the level the matrix is right whatever the
    quadrature's noise.
    """
    matrix = np.linalg.lstsq(basis, image, rcond=None)[0]
    left = np.linalg.norm(image - basis @ matrix, axis=0)
    if one.kind == "hermitian":
        size = np.linalg.norm(image, axis=0).max()
        return matrix, left / size if size > 0 else left
    whole = np.maximum(np.linalg.norm(image, axis=0), np.linalg.norm(basis, axis=0))
    if one.kind == "generator":  # a small turn moves little: what counts is the share of the change
        whole = np.maximum(one.step * np.linalg.norm(basis, axis=0), np.linalg.norm(image - basis, axis=0))
    # Norm is also lost where the map leads out of the box.
    return matrix, np.maximum(left / whole, np.abs(1 - np.linalg.norm(matrix, axis=0)))


def _expectations(vectors: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.einsum("ik,ij,jk->k", vectors.conj(), matrix, vectors)


def _shared_eigenvectors(
    basis: np.ndarray, observed: Sequence[_Observed], matrices: Sequence[np.ndarray]
) -> np.ndarray:
    """Eigenvectors (n, m) of the first operator within the span of `basis` (n, m); where its eigenvalues agree, of the next."""
    if not observed or basis.shape[1] == 1:
        return basis
    first = observed[0]
    vectors = basis @ first.diagonalised(basis.conj().T @ matrices[0] @ basis)
    numbers = first.numbers(_expectations(vectors, matrices[0]))
    order = np.argsort(first.order(numbers), kind="stable")
    vectors, numbers = vectors[:, order], numbers[order]
    largest = float(np.abs(numbers).max())
    ends = [k for k in range(1, len(numbers)) if first.apart(numbers[k - 1], numbers[k], largest)]
    parts = np.split(vectors, ends, axis=1)
    return np.hstack([_shared_eigenvectors(part, observed[1:], matrices[1:]) for part in parts])


def _warn_of_leaving(leaving: dict[str, np.ndarray], tolerance: float) -> None:
    for name, share in leaving.items():
        if (share > tolerance).any():
            which = np.flatnonzero(share > tolerance)
            states = ", ".join(map(str, which[:8])) + (", …" if len(which) > 8 else "")
            warnings.warn(
                f"Spectrum.rotate: {name} leads states {states} out of their degenerate level (up to {share.max():.0%} of the "
                "norm): it does not commute with H (is its centre right?), or n_states cuts the level, or the states are not "
                "exact enough. Their quantum numbers are not good.",
                stacklevel=4,
            )
