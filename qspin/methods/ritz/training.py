"""Gauss–Newton steps on hidden weights; each solves for the output weights (variable projection), in the energy metric.

With one hidden layer ∂u_k/∂θ_i = c_{m(i)k} D_i, D the same for all states. With P the projector on the N occupied Ritz
functions, Q = 1 - P, h = ⟨ψ|H|D⟩ and s = ⟨ψ|D⟩, gradient and curvature of the sum of the N lowest Ritz energies are

    g = Σ_k c_k ∘ (h_k - E_k s_k),   A = Σ_k (c_k c_kᵀ) ∘ [⟨QD|H - E_k|QD⟩ - Z_kᵀ Z_k],   Z_k = (h_m - E_k s_m)/√(E_m - E_k),
    m > N.

Cost of a step with P parameters, R Ritz functions and B points: 2(1 + dim)·B·P² + 2N·R·P² + O(P³) operations, 3P² + (2 +
dim)·2048·P numbers.
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from qspin.methods.ritz.features import Neurons, Trial
from qspin.methods.ritz.quadrature import Rule
from qspin.methods.ritz.rayleigh_ritz import bases, integral, lowest

__all__ = ["Moments", "curvature", "moments", "train"]

Parameters = Float[np.ndarray, " parameters"]
Combination = Float[np.ndarray, "features functions"]
_FIRST_DAMPING, _EASED, _RAISED, _LEAST = 1e-6, 0.1, 5.0, 1e-12
_LONGEST = 0.3  # largest change of a weight in a step, in units of the given scale
_STEEPEST = 5.0  # largest weight, in the same units


class Moments(NamedTuple):
    """⟨D|H|D⟩, ⟨D|D⟩, ⟨ψ|H|D⟩ and ⟨ψ|D⟩. Parameters run over neurons, then inputs, the bias last."""

    energy: Float[Array | np.ndarray, "parameters parameters"]
    overlap: Float[Array | np.ndarray, "parameters parameters"]
    coupling: Float[Array | np.ndarray, "functions parameters"]
    shared: Float[Array | np.ndarray, "functions parameters"]


@jax.jit
def _moments(
    trial: Trial, c: Float[Array, " dim"], combination: Float[Array, "features functions"], block: Rule
) -> Moments:
    def parts(point: Float[Array, " dim"]) -> tuple[Float[Array, " inputs"], Float[Array, ""]]:
        f, e = trial.coordinates.parts(trial.frame, point)
        return jnp.append(f, 1.0), e

    x, v = jnp.asarray(block.points), block.potential[:, None]
    f, e = jax.vmap(parts)(x)  # (B, K), (B,)
    df, de = jax.vmap(jax.jacfwd(parts))(x)  # (B, K, dim), (B, dim)
    weights = jnp.concatenate([trial.neurons.weights, trial.neurons.biases[:, None]], axis=1)
    t = jnp.tanh(f @ weights.T)
    first, second = 1 - t**2, -2 * t * (1 - t**2)
    root, e = jnp.sqrt(block.weights)[:, None], e[:, None]

    def flat(a: Float[Array, "batch features inputs"]) -> Float[Array, "batch parameters"]:
        return a.reshape(len(x), -1)

    d = root * flat((e * first)[:, :, None] * f[:, None, :])
    psi = root * ((e * t) @ combination)
    energy, coupling = (d * v).T @ d, (psi * v).T @ d
    for i in range(x.shape[1]):
        slope = df[:, :, i] @ weights.T
        turned = de[:, i, None] * first + e * second * slope
        di = root * flat(turned[:, :, None] * f[:, None, :] + (e * first)[:, :, None] * df[:, None, :, i])
        psi_i = root * ((de[:, i, None] * t + e * first * slope) @ combination)
        energy += c[i] * di.T @ di
        coupling += c[i] * psi_i.T @ di
    return Moments(energy, d.T @ d, coupling, psi.T @ d)


def moments(trial: Trial, coefficients: np.ndarray, rule: Rule, combination: np.ndarray) -> Moments:
    """`Moments` of the features' derivatives D with the functions ψ that are combinations of the features."""
    rank = combination.shape[1]
    square = np.pad(combination, ((0, 0), (0, len(combination) - rank)))  # one program for any rank
    total = integral(_moments, rule, trial, coefficients, square)
    return total._replace(coupling=total.coupling[:rank], shared=total.shared[:rank])


def curvature(
    m: Moments, energies: Float[np.ndarray, " functions"], combination: Combination, n: int
) -> tuple[Parameters, Float[np.ndarray, "parameters parameters"], Parameters]:
    """Gradient, curvature and scales of E_1 + … + E_n."""
    per = m.overlap.shape[0] // combination.shape[0]
    c = np.repeat(combination[:, :n], per, axis=0)  # (P, n)
    occupied, empty = energies[:n], energies[n:]
    h, s = m.coupling[:n], m.shared[:n]
    gradient = np.einsum("pk,kp->p", c, h - occupied[:, None] * s)
    total = (c @ c.T) * m.energy - ((c * occupied) @ c.T) * m.overlap
    for k in range(n):
        inner = s.T @ (h - occupied[k] * s)
        heights = np.sqrt(np.maximum(empty - occupied[k], 1e-12))[:, None]
        z = (m.coupling[n:] - occupied[k] * m.shared[n:]) / heights
        inside = -inner - inner.T + s.T @ ((occupied - occupied[k])[:, None] * s) - z.T @ z
        total += np.multiply.outer(c[:, k], c[:, k]) * inside
    scale = np.sum(c**2, axis=1) * np.maximum(np.diag(m.energy) - energies[0] * np.diag(m.overlap), 0)
    return gradient, (total + total.T) / 2, np.sqrt(np.maximum(scale, 1e-12 * scale.max()))


def train(
    trial: Trial, coefficients: np.ndarray, rule: Rule, n: int, scale: float, steps: int, least_fall: float
) -> Trial:
    """Train neurons so that the sum of the n lowest energies on the rule falls.

    Levenberg's damping is in units of the largest curvature. A step that does not lower the sum, or makes a weight change by
    more than 0.3·scale or exceed 5·scale, is repeated with more damping. Two steps with a gain below `least_fall` end it.
    """

    def solve(some: Trial) -> tuple[np.ndarray, np.ndarray]:
        return lowest(some, coefficients, rule, bases(some, rule, (len(some),))[0])

    energies, combination = solve(trial)
    damping, small = _FIRST_DAMPING, 0
    for _ in range(steps):
        total = moments(trial, coefficients, rule, combination)
        gradient, hessian, size = curvature(total, energies, combination, n)
        values, vectors = scipy.linalg.eigh(hessian / np.multiply.outer(size, size), driver="evd")
        slope, largest = vectors.T @ (gradient / size), np.abs(values).max()
        weights, biases = trial.neurons
        for _ in range(16):
            change = -(vectors @ (slope / (np.abs(values) + damping * largest))) / size
            change = change.reshape(len(trial), -1)
            candidate = replace(trial, neurons=Neurons(weights + change[:, :-1], biases + change[:, -1]))
            if (
                np.abs(change).max() <= _LONGEST * scale
                and np.abs(candidate.neurons.weights).max() <= _STEEPEST * scale
            ):
                lower, new_combination = solve(candidate)
                if lower[:n].sum() < energies[:n].sum():
                    break
            damping *= _RAISED
        else:
            return trial
        fall = energies[:n].sum() - lower[:n].sum()
        trial, energies, combination = candidate, lower, new_combination
        damping = max(damping * _EASED, _LEAST)
        small = small + 1 if fall < least_fall else 0
        if small == 2:
            break
    return trial
