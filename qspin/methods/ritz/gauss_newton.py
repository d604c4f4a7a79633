"""Gauss–Newton on hidden weights, with the output weights solved for at every step (variable projection), in the energy metric.

With one hidden layer ∂u_k/∂θ_i = c_{m(i)k} D_i, D the same for all states. With P the projector on the N occupied Ritz
functions, Q = 1 - P, h = ⟨ψ|H|D⟩ and s = ⟨ψ|D⟩, gradient and curvature of the sum of the N lowest Ritz energies are

    g = Σ_k c_k ∘ (h_k - E_k s_k),   A = Σ_k (c_k c_kᵀ) ∘ [⟨QD|H - E_k|QD⟩ - Z_kᵀ Z_k],   Z_k = (h_m - E_k s_m)/√(E_m - E_k),
    m > N.

Cost of a step with P parameters, R Ritz functions and B points: 2(1 + dim)·B·P² + 2N·R·P² + O(P³) operations, 3P² + (2 +
dim)·2048·P numbers.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from qspin.methods.ritz.features import Coordinates, Frame, Neurons
from qspin.methods.ritz.quadrature import Rule
from qspin.methods.ritz.rayleigh_ritz import Integrals, blocks

__all__ = ["Moments", "curvature", "train"]

_FIRST_DAMPING, _EASED, _RAISED, _LEAST = 1e-6, 0.1, 5.0, 1e-12
_LONGEST = 0.3  # change of a weight in a step, and
_STEEPEST = 5.0  # weights, of the scale given


class Moments(NamedTuple):
    """⟨D|H|D⟩ and ⟨D|D⟩ (P, P); ⟨ψ|H|D⟩ and ⟨ψ|D⟩ (R, P). Parameters run over neurons, then inputs, the bias last."""

    energy: Any
    overlap: Any
    coupling: Any
    shared: Any


@lru_cache(maxsize=16)
def _compiled(coordinates: Coordinates, coefficients: tuple[float, ...]) -> Any:
    """`Moments` over a block of points."""
    c = np.asarray(coefficients)

    @jax.jit
    def moments(frame: Frame, neurons: Neurons, combination: Any, x: Any, w: Any, v: Any) -> Moments:
        def everything(point: Any) -> tuple[Any, Any]:
            return jnp.append(coordinates.inputs(frame, point), 1.0), coordinates.envelope(frame, point)

        f, e = jax.vmap(everything)(x)  # (B, K), (B,)
        df, de = jax.vmap(jax.jacfwd(everything))(x)  # (B, K, dim), (B, dim)
        weights = jnp.concatenate([neurons.weights, neurons.biases[:, None]], axis=1)
        t = jnp.tanh(f @ weights.T)
        first, second = 1 - t**2, -2 * t * (1 - t**2)
        root = jnp.sqrt(w)[:, None]

        def flat(a: Any) -> Any:
            return a.reshape(len(x), -1)

        d = root * flat((e[:, None] * first)[:, :, None] * f[:, None, :])
        psi = root * ((e[:, None] * t) @ combination)
        energy, coupling = (d * v[:, None]).T @ d, (psi * v[:, None]).T @ d
        for i in range(len(c)):
            slope = df[:, :, i] @ weights.T
            turned = de[:, i, None] * first + e[:, None] * second * slope
            di = root * flat(
                turned[:, :, None] * f[:, None, :] + (e[:, None] * first)[:, :, None] * df[:, None, :, i]
            )
            psi_i = root * ((de[:, i, None] * t + e[:, None] * first * slope) @ combination)
            energy += c[i] * di.T @ di
            coupling += c[i] * psi_i.T @ di
        return Moments(energy, d.T @ d, coupling, psi.T @ d)

    return moments


def curvature(
    m: Moments, energies: np.ndarray, combination: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradient (P,), curvature (P, P) and scales (P,) of E_1 + … + E_n. `energies` (R,), `combination` (M, R)."""
    per = m.overlap.shape[0] // combination.shape[0]
    c = np.repeat(combination[:, :n], per, axis=0)  # (P, n)
    occupied, empty = energies[:n], energies[n:]
    h, s = m.coupling[:n], m.shared[:n]
    gradient = np.einsum("pk,kp->p", c, h - occupied[:, None] * s)
    total = (c @ c.T) * m.energy - ((c * occupied) @ c.T) * m.overlap
    for k in range(n):
        tilted = h - occupied[k] * s
        inner = s.T @ tilted
        z = (m.coupling[n:] - occupied[k] * m.shared[n:]) / np.sqrt(np.maximum(empty - occupied[k], 1e-12))[
            :, None
        ]
        inside = -inner - inner.T + s.T @ ((occupied - occupied[k])[:, None] * s) - z.T @ z
        total += np.multiply.outer(c[:, k], c[:, k]) * inside
    scale = np.sum(c**2, axis=1) * np.maximum(np.diag(m.energy) - energies[0] * np.diag(m.overlap), 0)
    return gradient, (total + total.T) / 2, np.sqrt(np.maximum(scale, 1e-12 * scale.max()))


def train(
    integrals: Integrals,
    coordinates: Coordinates,
    coefficients: np.ndarray,
    rule: Rule,
    frame: Frame,
    neurons: Neurons,
    n: int,
    scale: float,
    steps: int,
    least_fall: float,
) -> Neurons:
    """Neurons that lower the sum of the n lowest energies on the rule.

    Levenberg's damping is in units of the largest curvature; a step that does not lower the sum, moves a weight by more than
    0.3·scale or makes one steeper than 5·scale, is tried again shorter. Ends early when a step gains less than `least_fall`.
    """
    moments = _compiled(coordinates, tuple(coefficients.tolist()))

    def solved(some: Neurons) -> tuple[np.ndarray, np.ndarray]:
        basis = integrals.bases(rule, frame, some, (len(some.biases),))[0]
        energies, combination = integrals.ritz(rule, frame, some, basis)
        return energies, combination[: len(some.biases)]

    energies, combination = solved(neurons)
    damping, small = _FIRST_DAMPING, 0
    for _ in range(steps):
        total, rank = None, len(energies)
        square = np.pad(combination, ((0, 0), (0, len(combination) - rank)))  # one program for any rank
        for x, w, v in blocks(rule):
            part = moments(frame, neurons, square, x, w, v)
            total = jax.tree.map(np.asarray, part) if total is None else jax.tree.map(np.add, total, part)
        assert total is not None
        total = total._replace(coupling=total.coupling[:rank], shared=total.shared[:rank])
        gradient, curved, size = curvature(total, energies, combination, n)
        values, vectors = scipy.linalg.eigh(curved / np.multiply.outer(size, size), driver="evd")
        slope, largest = vectors.T @ (gradient / size), np.abs(values).max()
        for _ in range(16):
            change = -(vectors @ (slope / (np.abs(values) + damping * largest))) / size
            change = change.reshape(len(neurons.biases), -1)
            tried = Neurons(neurons.weights + change[:, :-1], neurons.biases + change[:, -1])
            if np.abs(change).max() <= _LONGEST * scale and np.abs(tried.weights).max() <= _STEEPEST * scale:
                lower, mixed = solved(tried)
                if lower[:n].sum() < energies[:n].sum():
                    break
            damping *= _RAISED
        else:
            return neurons
        fall = energies[:n].sum() - lower[:n].sum()
        neurons, energies, combination = tried, lower, mixed
        damping = max(damping * _EASED, _LEAST)
        small = small + 1 if fall < least_fall else 0
        if small == 2:
            break
    return neurons
