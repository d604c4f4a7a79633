"""`Ritz`: the variational problem that SpIN trains for, solved: output weights exactly, over random neural features.

For given features φ the best orthonormal combinations are a Rayleigh–Ritz problem. It is solved through the singular values of
the weighted feature matrix (never through Σ = ΦᵀWΦ, which squares its condition number), on a quadrature rule; and
everything that is claimed is evaluated on a finer rule that the solution has not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from qspin.domain import Box, Centre
from qspin.features import Coordinates, Frame, Neurons
from qspin.hamiltonian import Operator
from qspin.laplacian import Function
from qspin.method import DirectMethod
from qspin.problem import Problem
from qspin.quadrature import Rule, about_centres, in_box
from qspin.runtime import double_precision
from qspin.semiclassical import thomas_fermi
from qspin.spectrum import Eigenfunctions, Spectrum, describe_domain, energy_scale

__all__ = ["Ritz", "RitzFunctions"]

_BLOCK = 2048  # points held at a time
_BUCKETS = (64, 160, 256, 400, 640, 1000, 1600)  # feature counts that are compiled for
_CUT = 1e-11  # singular values kept, of the largest
_FEWER = 0.7  # share of the features of the smaller space that errors are read off
_GROWTH = 1.6
_FINER = 1.25
_SAFETY = 4.0
_AIM = 0.05  # of the tolerance: stages go on this far where features and points allow
_STRETCH = 0.75  # the logarithm begins at length·(radius of the states/length)^this
_FADED = 16.0  # exponent of the envelope where a rule ends
# By dimension: features and points a direction to begin with, features at most, and slopes of that many features.
_FIRST = {1: 40, 2: 100, 3: 160}
_LEVEL = {1: 72, 2: 40, 3: 22}
_MOST = {1: 256, 2: 640, 3: 1000}
_SLOPE = {1: 0.6, 2: 0.6, 3: 0.5}
_CENTRED_SLOPE = {1: 1.2, 2: 1.2, 3: 1.4}
_ANGULAR = {1: 1.0, 2: 0.45, 3: 0.6}  # directions in a plane about a centre, of the radii


@lru_cache(maxsize=32)
def _compiled(coordinates: Coordinates, coefficients: tuple[float, ...]) -> Any:
    """Functions of a block of points: values times root weights; the Hamiltonian between combinations; a check of those."""
    c = np.asarray(coefficients)

    @jax.jit
    def values(frame: Frame, neurons: Neurons, x: Any, w: Any) -> Any:
        return jnp.sqrt(w)[:, None] * coordinates.features(frame, neurons, c, x).values

    def weak(f: Any, psi: Any, basis: Any, w: Any, v: Any) -> Any:
        """∫ over the block of Σ c_i ∂_iψ ∂_iψ' + Vψψ', and the slopes."""
        slopes = [f.gradients[:, i] @ basis for i in range(len(c))]
        total = (psi * (w * v)[:, None]).T @ psi
        return total + sum(k * (s * w[:, None]).T @ s for k, s in zip(c, slopes, strict=True)), slopes

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
        density = w * jnp.sum(psi**2, axis=1)
        sums = _Sums(
            (psi * w[:, None]).T @ psi,
            energy,
            (psi * w[:, None]).T @ image,
            (image * w[:, None]).T @ image,
            density @ x,
            (x * density[:, None]).T @ x,
            jnp.stack([jnp.stack([jnp.sum(w[:, None] * s * t) for t in slopes]) for s in slopes]),
        )
        return sums, density

    return values, hamiltonian, check


class _Sums(NamedTuple):
    """Integrals over functions ψ: overlaps Σ, weak H, ∫ψ(Hψ)', ∫(Hψ)(Hψ)'; and Σ_n of ⟨x⟩, ⟨xxᵀ⟩, ⟨ppᵀ⟩."""

    overlap: Any
    energy: Any
    strong: Any
    square: Any
    first: Any
    second: Any
    momentum: Any


class _Solution(NamedTuple):
    """Combinations (M, N) of neurons, with energies and errors verified on `rule`."""

    neurons: Neurons
    combination: np.ndarray
    energies: np.ndarray
    errors: np.ndarray
    residuals: np.ndarray
    rule: Rule
    trained_on: int
    exploited: float


@dataclass(frozen=True)
class Ritz(DirectMethod):
    """Neural Rayleigh–Ritz, in one to three dimensions: energies from a solved, not trained, output layer.

    Args:
        tolerance: claimed error asked of every energy, as a share of |E| (where E is near 0, of the range of energies).
        max_features: hidden neurons at most; by default 256, 640, 1000 in one, two, three dimensions.
        max_points: quadrature points at most.

    A coarse pass finds where the states live; then random tanh features, in coordinates of that scale (about declared centres,
    direction and logarithm of the distance), their zeros spread as the density. Stages of 1.6 times as many features, on rules
    that grow until a finer rule agrees, go on until the claimed errors are a twentieth of the tolerance, or features, points
    or rounding set a limit. The features are not trained.

    `energies`, `residuals` and `errors` come from a rule finer than the solution's own. `errors` are 4·α·residual², where α is
    (fall of the energy)/(fall of residual²) from 0.7 of the features to all, at most 1/gap (Temple's bound), plus the
    difference between the two rules. Cost: O(P M²) time and O(M² + 2048 M) memory for P points and M features.

    Raises ValueError for more than three dimensions, a Bloch wave vector, settings out of range, or a potential that falls
    without bound where no centre was declared.
    """

    tolerance: float = 1e-6
    max_features: int | None = None
    max_points: int = 150_000
    name = "ritz"

    def __post_init__(self) -> None:
        if not 1e-13 <= self.tolerance < 1:
            raise ValueError(
                f"Ritz: tolerance must be from 1e-13, what double precision holds, to 1, got {self.tolerance!r}."
            )
        if self.max_features is not None and self.max_features < 16:
            raise ValueError(f"Ritz: max_features must be at least 16, got {self.max_features!r}.")
        if self.max_points < 100:
            raise ValueError(f"Ritz: max_points must be at least 100, got {self.max_points!r}.")

    def check(self, problem: Problem, n_states: int) -> None:
        if not isinstance(problem.domain, Box) or not problem.hamiltonian.is_local or problem.largest:
            raise ValueError(
                "Ritz: solves for the lowest states of a Hamiltonian in a Box; for kernels, matrices and largest "
                "eigenvalues use qspin.SpIN()."
            )
        if problem.dim > 3:
            raise ValueError(f"Ritz: serves one to three dimensions, got {problem.dim}; use qspin.SpIN().")
        if any(problem.domain.wave_vector):
            raise ValueError("Ritz: its functions are real; for a Bloch wave vector use qspin.Grid().")
        most = self._most(problem.dim)
        if 2 * n_states > most:
            raise ValueError(
                f"Ritz: n_states = {n_states} needs at least {2 * n_states} features, max_features is {most}."
            )

    def _most(self, dim: int) -> int:
        return self.max_features if self.max_features is not None else _MOST[dim]

    def solve(self, problem: Problem, n_states: int, seed: int = 0) -> Spectrum:
        with double_precision():
            return _Solver(self, problem, n_states, seed).run()


class _Solver:
    """One solve: a problem, scales found so far, and a stream of random numbers."""

    def __init__(self, settings: Ritz, problem: Problem, n_states: int, seed: int) -> None:
        assert isinstance(problem.domain, Box)
        self.settings, self.problem, self.n_states = settings, problem, n_states
        self.domain, self.dim = problem.domain, problem.dim
        self.extra = 2 + n_states // 8
        self.rng = np.random.default_rng(seed)
        self.stiffness = problem.hamiltonian.kinetic_coefficients(problem.dim)
        self.most = settings._most(problem.dim)
        self.stages: list[dict[str, Any]] = []
        self._scales(problem.centres)
        self.root = np.eye(self.dim)
        self.highest = np.inf
        cloud = thomas_fermi(problem, n_states)
        mean, covariance = np.asarray(self.domain.centre), np.diag(np.square(self.domain.lengths) / 12)
        if cloud is not None:
            mean, covariance = np.asarray(cloud.mean), np.asarray(cloud.covariance)
        self.frame = self._frame(mean, covariance, 5.0 / min(self.domain.lengths))

    # --- scales

    def _scales(self, centres: tuple[Centre, ...]) -> None:
        self.centres = centres
        self.coordinates = Coordinates(self.domain, centres)
        self.compiled = _compiled(self.coordinates, tuple(self.stiffness.tolist()))

    def _frame(self, mean: np.ndarray, covariance: np.ndarray, decay: float) -> Frame:
        values, axes = np.linalg.eigh(covariance)
        whiten = (axes / np.sqrt(np.maximum(values, 1e-12 * values.max()))) @ axes.T
        return Frame(mean, whiten, np.array([decay if self.centres else 0.25]))

    def _coarse(self) -> None:
        """A few smooth features tell where the states are, and how fast they vary; three times, each from the one before."""
        level = {1: 64, 2: 32, 3: 18}[self.dim]
        functions: tuple[Frame, Neurons, np.ndarray] | None = None
        features = min(max(_FIRST[self.dim], 6 * self.n_states), self.most)
        for attempt in range(3):
            rule = self._rule(level)
            density = self._guess(rule) if functions is None else self._check(rule, *functions)[1]
            slope = 0.6 if self.centres or attempt == 0 else 0.8
            neurons = self._draw(self._sample(rule, density, features), slope)
            basis = self._basis(rule, neurons, (len(neurons.biases),), 1e-6)[0]
            energies, combination = self._ritz(rule, neurons, basis)
            sums, density = self._check(rule, self.frame, neurons, combination)
            functions = (self.frame, neurons, combination)
            self._rescale(sums, energies, rule, density)
            if self.centres:  # the coordinates changed: the next pass starts from this density
                functions = None if attempt == 0 else functions
        assert functions is not None
        self.sampled = self._sample(rule, density, 4096)

    def _rescale(self, sums: _Sums, energies: np.ndarray, rule: Rule, density: np.ndarray) -> None:
        n = len(energies)
        mean = sums.first / n
        covariance = sums.second / n - np.outer(mean, mean)
        self.highest = float(energies[-1])
        decay = 5.0 / min(self.domain.lengths)
        if self.centres:
            if energies[-1] < 0:
                decay = 0.6 * float(np.sqrt(-energies[-1] / self.stiffness.max()))
            place = np.array([c.position for c in self.centres])
            distance = np.linalg.norm(rule.points[:, None] - place, axis=-1).min(1)
            radius = float(np.sqrt(density @ distance**2 / density.sum()))
            # Logarithms begin halfway, in the geometric sense, between the cusp and the size of the states.
            lengths = [old.length * max(radius / old.length, 1) ** _STRETCH for old in self.problem.centres]
            self._scales(
                tuple(replace(c, length=s) for c, s in zip(self.problem.centres, lengths, strict=True))
            )
        self.frame = self._frame(mean, covariance, decay)
        back = np.linalg.inv(self.frame.whiten)
        if not self.centres:
            # Features must have died away where the rule ends, or what lies beyond would cost them nothing.
            reach = (
                np.abs(np.asarray(self._window(1.0)) - mean[:, None])
                / np.sqrt(np.diag(back @ back.T))[:, None]
            )
            walls = np.stack([self.domain.lower, self.domain.upper], -1)
            free = (
                np.abs(np.asarray(self._window(1.0)) - walls)
                > 1e-9 * np.asarray(self.domain.lengths)[:, None]
            )
            rate = np.clip(_FADED / reach[free].min() ** 2, 0.25, 1.0) if free.any() else 0.25
            self.frame = self.frame._replace(decay=np.array([rate]))
        values, axes = np.linalg.eigh(back @ (sums.momentum / n) @ back.T)
        self.root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T

    def _guess(self, rule: Rule) -> np.ndarray:
        """A density to begin with: normal, or falling from the centres."""
        if not self.centres:
            z = (rule.points - self.frame.mean) @ np.asarray(self.frame.whiten).T
            return rule.weights * np.exp(-0.5 * np.sum(z**2, axis=1))
        place = np.array([c.position for c in self.centres])
        distance = np.linalg.norm(rule.points[:, None] - place, axis=-1).min(1)
        return rule.weights * np.exp(-2 * float(self.frame.decay[0]) * distance)

    # --- points and neurons

    def _rule(self, level: int, wider: float = 1.0) -> Rule:
        if self.centres:
            reach = 18 * wider / float(self.frame.decay[0])
            directions = max(int(_ANGULAR[self.dim] * level), 6)
            rule = about_centres(self.domain, self.centres, level, directions, reach)
        else:
            rule = in_box(self.domain, self._window(wider), (level,) * self.dim)
        rule.potential = self.problem.potential_values(rule.points)
        return rule

    def _window(self, wider: float) -> list[tuple[float, float]]:
        """As far as ψ reaches along each axis: till its semiclassical decay is e⁻¹⁶, 4.5 to 9 deviations, or the walls."""
        mean = np.asarray(self.frame.mean)
        back = np.linalg.inv(self.frame.whiten)
        deviation = np.sqrt(np.diag(back @ back.T))
        window = []
        for i in range(self.dim):
            ends = []
            for direction in (-1.0, 1.0):
                t = np.linspace(0, 9 * deviation[i], 200)
                wall = self.domain.upper[i] - mean[i] if direction > 0 else mean[i] - self.domain.lower[i]
                x = np.tile(mean, (len(t), 1))
                x[:, i] += direction * np.minimum(t, (1 - 1e-9) * wall)
                if np.isfinite(self.highest):
                    barrier = (
                        np.maximum(self.problem.potential_values(x) - self.highest, 0) / self.stiffness[i]
                    )
                    action = np.concatenate([[0], np.cumsum(np.sqrt(barrier[1:]) * np.diff(t))])
                    far = t[min(int(np.searchsorted(action, 16.0)), len(t) - 1)]
                else:
                    far = 7 * deviation[i]
                ends.append(direction * min(wider * max(far, 4.5 * deviation[i]), wall))
            window.append((mean[i] + ends[0], mean[i] + ends[1]))
        return window

    def _sample(self, rule: Rule, density: np.ndarray, count: int) -> np.ndarray:
        """Points (count, dim) spread as a density known on a rule."""
        share = np.cumsum(np.maximum(density, 0))
        chosen = np.searchsorted(share, (np.arange(count) + self.rng.uniform()) / count * share[-1])
        return rule.points[self.rng.permutation(np.minimum(chosen, len(share) - 1))]

    def _draw(self, x: np.ndarray, slope: float) -> Neurons:
        """Random neurons: each zero at one of the points x (M, dim), slopes up to `slope` times the states' own."""
        count = len(x)
        f = np.asarray(jax.vmap(lambda point: self.coordinates.inputs(self.frame, point))(jnp.asarray(x)))
        directions = self.rng.normal(size=f.shape)
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        if f.shape[1] == self.dim:
            directions = directions @ self.root
        weights = slope * self.rng.uniform(0, 1, (count, 1)) * directions
        return Neurons(weights, -np.sum(weights * f, axis=1))

    # --- linear algebra

    def _blocks(self, rule: Rule) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        for start in range(0, len(rule), _BLOCK):
            part = slice(start, start + _BLOCK)
            x, w, v = rule.points[part], rule.weights[part], rule.potential[part]
            missing = _BLOCK - len(w)
            if missing:
                x = np.concatenate([x, np.broadcast_to(x[:1], (missing, self.dim))])
                w, v = np.pad(w, (0, missing)), np.pad(v, (0, missing))
            yield x, w, v

    @staticmethod
    def _padded(neurons: Neurons) -> Neurons:
        count = len(neurons.biases)
        size = next((b for b in _BUCKETS if b >= count), count)
        return Neurons(
            np.pad(neurons.weights, ((0, size - count), (0, 0))), np.pad(neurons.biases, (0, size - count))
        )

    def _basis(self, rule: Rule, neurons: Neurons, counts: tuple[int, ...], cut: float) -> list[np.ndarray]:
        """For the first so many features a basis (padded M, rank), orthonormal on the rule, by QR of blocks and SVD."""
        padded, count = self._padded(neurons), len(neurons.biases)
        triangle = np.zeros((0, count))
        for x, w, _ in self._blocks(rule):
            rows = np.asarray(self.compiled[0](self.frame, padded, x, w))[:, :count]
            triangle = np.asarray(np.linalg.qr(np.concatenate([triangle, rows]), mode="r"))
        bases = []
        for few in counts:
            columns = triangle[:, :few]
            norms = np.linalg.norm(columns, axis=0)
            norms = np.where(norms > 0, norms, 1)
            _, singular, right = scipy.linalg.svd(columns / norms, full_matrices=False)
            kept = singular > cut * singular[0]
            basis = np.zeros((len(padded.biases), int(kept.sum())))
            basis[:few] = right[kept].T / singular[kept] / norms[:, None]
            bases.append(basis)
        return bases

    def _ritz(self, rule: Rule, neurons: Neurons, basis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest energies in the span of a basis, and the combinations (padded M, N)."""
        padded, rank = self._padded(neurons), basis.shape[1]
        wide = np.pad(basis, ((0, 0), (0, basis.shape[0] - rank)))
        total = sum(self.compiled[1](self.frame, padded, wide, x, w, v) for x, w, v in self._blocks(rule))
        matrix = np.asarray(total)[:rank, :rank]
        last = min(self.n_states + self.extra, rank) - 1
        energies, vectors = scipy.linalg.eigh((matrix + matrix.T) / 2, subset_by_index=(0, last))
        return energies, basis @ vectors

    def _check(
        self, rule: Rule, frame: Frame, neurons: Neurons, combination: np.ndarray
    ) -> tuple[_Sums, np.ndarray]:
        padded, total, density = self._padded(neurons), None, []
        for x, w, v in self._blocks(rule):
            sums, part = self.compiled[2](frame, padded, combination, x, w, v)
            total = sums if total is None else jax.tree.map(jnp.add, total, sums)
            density.append(np.asarray(part))
        return _Sums(*map(np.asarray, total)), np.concatenate(density)[: len(rule)]  # type: ignore[arg-type]

    # --- stages

    def _stage(self, count: int, level: int) -> tuple[_Solution, int]:
        """A new draw of neurons, on rules that grow until a finer one agrees; and the level it took."""
        growth = (count / _FIRST[self.dim]) ** (1 / self.dim)
        slope = growth * (_CENTRED_SLOPE[self.dim] if self.centres else _SLOPE[self.dim])
        neurons = self._draw(self.sampled[self.rng.permutation(len(self.sampled))[:count]], slope)
        rule = self._rule(level)
        while True:
            finer_level = int(np.ceil(level * _FINER)) + 1
            finer = self._rule(finer_level, wider=1.15)
            solution = self._solved(neurons, rule, finer)
            wanted = self._allowed(solution.energies) / 5
            estimate = np.abs(solution.errors).max() / 5
            agreed = solution.exploited <= max(float(wanted.min()), min(estimate, float(wanted.max())))
            if agreed or len(self._rule(int(finer_level * _FINER) + 1, 1.15)) > self.settings.max_points:
                return solution, level
            rule, level = self._rule(finer_level), finer_level

    def _solved(self, neurons: Neurons, rule: Rule, finer: Rule) -> _Solution:
        n, count = self.n_states, len(neurons.biases)
        bases = self._basis(rule, neurons, (count, int(_FEWER * count)), _CUT)
        (trained, combination), (_, smaller) = (self._ritz(rule, neurons, basis) for basis in bases)
        wide = combination.shape[1]
        sums, _ = self._check(finer, self.frame, neurons, np.concatenate([combination, smaller], axis=1))
        energies, residuals, rotation = _verified(sums, slice(0, wide))
        fewer, rougher, _ = _verified(sums, slice(wide, None))
        k = min(len(energies), len(fewer), n)
        between = np.abs(energies[:n] - trained[:n])
        errors = np.full(n, np.inf)
        errors[:k] = _claimed(energies, residuals, fewer[:k], rougher[:k], k)
        errors += between + 1e-13 * max(np.abs(energies).max(), 1e-300)
        return _Solution(
            neurons, (combination @ rotation)[:, :n], energies[:n], errors, residuals[:n], finer, len(rule),
            float(between.max()),
        )  # fmt: skip

    def _allowed(self, energies: np.ndarray) -> np.ndarray:
        return self.settings.tolerance * np.maximum(np.abs(energies), 1e-2 * energy_scale(energies))

    def run(self) -> Spectrum:
        n = self.n_states
        _refuse_bottomless(self.problem)
        self._coarse()
        count, level = min(max(_FIRST[self.dim], 5 * n), self.most), _LEVEL[self.dim]
        best: _Solution | None = None
        idle = 0
        while True:
            solution, level = self._stage(count, level)
            self.stages.append(
                {
                    "features": count,
                    "points": solution.trained_on,
                    "verified_on": len(solution.rule),
                    "largest_error": float(solution.errors.max()),
                    "train_minus_verified": -solution.exploited,
                }
            )
            if best is None or solution.errors.max() < best.errors.max():
                best = solution
            reached = (best.errors <= _AIM * self._allowed(best.energies)).all()
            idle = idle + 1 if solution is not best else 0
            if (
                reached or count >= self.most or idle == 2
            ):  # twice no better: the rule, or rounding, is the limit
                break
            count = min(int(count * _GROWTH), self.most)
        return self._spectrum(best)

    def _spectrum(self, solution: _Solution) -> Spectrum:
        converged = solution.errors <= self._allowed(solution.energies)
        status = "all errors within the tolerance."
        if not converged.all():
            short = ", ".join(map(str, np.flatnonzero(~converged)))
            capped = len(solution.rule) * _FINER ** (2 * self.dim) > self.settings.max_points
            advice = "max_points" if capped else "max_features"
            status = (
                f"states {short} have claimed errors above the tolerance; raise {advice}, or the tolerance."
            )
        functions = RitzFunctions(
            self.coordinates, jax.tree.map(np.asarray, self.frame), self._padded(solution.neurons),
            solution.combination, solution.rule.points, solution.rule.weights,
        )  # fmt: skip
        return Spectrum(
            energies=solution.energies,
            errors=solution.errors,
            residuals=solution.residuals,
            converged=converged,
            status=status,
            eigenfunctions=functions,
            domain=self.domain,
            name=self.problem.name,
            units=self.problem.units,
            method=self.settings.name,
            history={key: np.array([s[key] for s in self.stages]) for key in self.stages[0]},
            provenance={"method": repr(self.settings), "precision": "float64", "stages": self.stages},
            potential=self.problem.potential_values,
        )


def _verified(sums: _Sums, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, residuals and the rotation to the Ritz functions of a few functions, from integrals over them."""
    energies, rotation = scipy.linalg.eigh(sums.energy[part, part], sums.overlap[part, part])

    def diagonal(matrix: np.ndarray) -> np.ndarray:
        return np.einsum("ij,ik,kj->j", rotation, matrix[part, part], rotation)

    square = diagonal(sums.square) - 2 * energies * diagonal(sums.strong) + energies**2
    return energies, np.sqrt(np.maximum(square, 0)), rotation


def _claimed(
    energies: np.ndarray, residuals: np.ndarray, fewer: np.ndarray, rougher: np.ndarray, k: int
) -> np.ndarray:
    """4·α·r²: the energy falls with the squared residual, at a rate α seen between two spaces, at most Temple's 1/gap."""
    own, fall = residuals[:k] ** 2, np.maximum(fewer - energies[:k], 0)
    drop = rougher**2 - own
    gaps = np.abs(energies[:, None] - energies[None, :k])
    apart = gaps > np.maximum(3 * residuals[:k], 1e-8 * energy_scale(energies))
    gap = np.where(apart, gaps, np.inf).min(0)
    temple = 1 / np.where(np.isfinite(gap), gap, max(energy_scale(energies), 1e-300))
    # Where residuals hardly drop they say little: then the fall itself is the estimate.
    rate = fall / np.maximum(drop, np.maximum(own, 1e-300))
    rate = np.minimum(np.maximum(rate, 0.3 * np.median(rate)), temple)
    return _SAFETY * rate * own


def _refuse_bottomless(problem: Problem) -> None:
    """ValueError where V falls without bound at a point that is no declared centre: the lowest of ever closer points."""
    rng = np.random.default_rng(0)
    domain = problem.domain
    assert isinstance(domain, Box)
    lower, upper = np.asarray(domain.lower), np.asarray(domain.upper)
    x = rng.uniform(lower, upper, (4093, problem.dim))
    v = problem.potential_values(x)
    best, lowest, radius = x[v.argmin()], [float(v.min())], (upper - lower) / 16
    for _ in range(14):
        x = best + radius * rng.uniform(-1, 1, (1000, problem.dim))
        x = np.clip(x, lower + 1e-9 * (upper - lower), upper - 1e-9 * (upper - lower))
        v = problem.potential_values(x)
        if v.min() < lowest[-1]:
            best = x[v.argmin()]
        lowest.append(min(float(v.min()), lowest[-1]))
        radius = radius / 4
    near = any(
        np.linalg.norm(best - c.position) < 1e-3 * np.linalg.norm(upper - lower) for c in problem.centres
    )
    first, second, third = (lowest[k] - lowest[k + 4] for k in (-13, -9, -5))
    if not near and third > 8 * second > 64 * first > 0:  # like 1/r, by about 256
        where = ", ".join(f"{c:.6g}" for c in best)
        raise ValueError(
            f"Ritz: V falls without bound near x = ({where}): {lowest[-3]:.3g}, {lowest[-2]:.3g}, {lowest[-1]:.3g}, closer and "
            "closer. Declare a Coulomb-like centre in Potential(V, singularities=[...]), or soften V."
        )


@dataclass(frozen=True, eq=False)
class RitzFunctions(Eigenfunctions):
    """ψ(x) = combinationᵀ · tanh(W f(x) + b) · envelope(x), with the rule that verified them."""

    coordinates: Coordinates
    frame: Frame
    neurons: Neurons
    combination: np.ndarray
    points: np.ndarray
    weights: np.ndarray

    @property
    def n_states(self) -> int:
        return self.combination.shape[1]

    @property
    def dim(self) -> int:
        return self.coordinates.domain.dim

    def _psi(self) -> Function:
        def psi(x: Any) -> Any:
            hidden = jnp.tanh(
                self.neurons.weights @ self.coordinates.inputs(self.frame, x) + self.neurons.biases
            )
            return (hidden @ self.combination) * self.coordinates.envelope(self.frame, x)

        return psi

    @double_precision()
    def __call__(self, points: np.ndarray) -> np.ndarray:
        return _in_blocks(self._psi(), points)

    def quadrature(self) -> tuple[np.ndarray, np.ndarray]:
        return self.points, self.weights

    @double_precision()
    def image(self, operator: Operator) -> np.ndarray:
        return _in_blocks(operator.exact()(self._psi()), self.points)

    def record(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        settings = {
            "kind": "ritz",
            "domain": describe_domain(self.coordinates.domain),
            "centres": [[*c.position, c.strength, c.length, c.cusp] for c in self.coordinates.centres],
        }
        arrays = {
            "mean": self.frame.mean, "whiten": self.frame.whiten, "decay": self.frame.decay,
            "hidden": self.neurons.weights, "biases": self.neurons.biases, "combination": self.combination,
            "points": self.points, "weights": self.weights,
        }  # fmt: skip
        return settings, {name: np.asarray(value) for name, value in arrays.items()}


def _in_blocks(function: Function, points: np.ndarray) -> np.ndarray:
    compiled, parts = jax.jit(jax.vmap(function)), []
    for start in range(0, len(points), _BLOCK):
        x = points[start : start + _BLOCK]
        padded = np.concatenate([x, np.broadcast_to(x[:1], (_BLOCK - len(x), points.shape[1]))])
        parts.append(np.asarray(compiled(jnp.asarray(padded)))[: len(x)])
    return np.concatenate(parts)
