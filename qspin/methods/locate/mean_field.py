"""One-dimensional functions for each axis of a well, in the mean field of the other axes.

In the coordinates y of a Gaussian each axis has its own Hamiltonian, with V averaged over the ground densities of the other
axes (the vibrational self-consistent field: Bowman, J. Chem. Phys. 68, 608, 1978). Its lowest functions are φ_n = φ_0·r_n, with
φ_0 = base·exp(q) > 0 and q, r_n short series: polynomials on open axes, cosines between walls, Fourier series on a circle.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from qspin.methods.locate.wells import Well
from qspin.numerics.points import golden_lattice
from qspin.numerics.separable import hermite_polynomials
from qspin.problem.problem import Problem

__all__ = ["OPEN", "PERIODIC", "WALLED", "MeanField", "axis_nodes", "logarithm", "mean_field", "series"]

OPEN, WALLED, PERIODIC = 0, 1, 2  # kinds of axes

_HALF_WIDTH = 8.0  # of open axes, in units of the Gaussian's
_NODES = 241
_COARSE = 49  # nodes where V is averaged
_SAMPLES = 256  # points it is averaged over
_ROUNDS = 4
_SETTLED = 1e-4  # change of q
_DEGREES = 20  # functions in the series of r_n
_BENT = 8  # degree of q
_FAR = 50.0  # where q must still let ψ fall


class MeanField(NamedTuple):
    """`energies` (dim, L) and functions φ_n (dim, L, nodes) of every axis, at the `nodes` of [-edge, edge].

    `bent` (dim, 9) holds the series q, and `modals` (dim, L, K) the series r_n. Where an axis has fewer than L independent
    functions, the energies of the missing ones are infinite.
    """

    edges: Float[np.ndarray, " dim"]
    nodes: Float[np.ndarray, "dim nodes"]
    bent: Float[np.ndarray, "dim bends"]
    modals: Float[np.ndarray, "dim levels degrees"]
    energies: Float[np.ndarray, "dim levels"]
    functions: Float[np.ndarray, "dim levels nodes"]

    @property
    def excitations(self) -> Float[np.ndarray, "dim levels"]:
        """Energies above the ground state of each axis."""
        return self.energies - self.energies[:, :1]


def mean_field(problem: Problem, well: Well, kinds: tuple[int, ...]) -> MeanField:
    """The self-consistent functions of every axis about a well.

    Costs 4·dim·49·256 evaluations of V, and 4·dim eigenproblems of 20 functions.
    """
    edges = np.where(np.array(kinds) == OPEN, _HALF_WIDTH, 1.0)
    nodes = axis_nodes(edges, _NODES)
    bent = np.zeros((problem.dim, _BENT + 1))
    for _ in range(_ROUNDS):
        log = _logarithms(kinds, bent, nodes)
        fields = _averaged_potential(
            problem, well, edges, nodes, np.exp(2 * (log - log.max(1, keepdims=True)))
        )
        _, _, functions = _levels(kinds, bent, nodes, edges, well.rates, fields)
        before, bent = bent, _bend(kinds, nodes, functions[:, 0])
        if np.abs(bent - before).max() < _SETTLED:
            break
    return MeanField(edges, nodes, bent, *_levels(kinds, bent, nodes, edges, well.rates, fields))


def axis_nodes(edges: Float[np.ndarray, " dim"], count: int) -> Float[np.ndarray, "dim {count}"]:
    """Midpoints of `count` equal cells of [-edge, edge], for every axis."""
    return edges[:, None] * (2 * (np.arange(count) + 0.5) / count - 1)


def series(
    kinds: tuple[int, ...], z: Float[Array, "*shape dim"], count: int
) -> tuple[Float[Array, "*shape dim {count}"], ...]:
    """The first `count` functions of every axis at z, and their two derivatives."""
    parts: list[tuple[Array, Array, Array]] = []
    order: list[int] = []
    for kind, make in ((OPEN, _polynomials), (WALLED, _cosines), (PERIODIC, _fourier)):
        index = [i for i, k in enumerate(kinds) if k == kind]
        if index:
            parts.append(make(z[..., np.array(index)], count))
            order += index
    back = np.argsort(np.array(order))
    return tuple(jnp.concatenate(part, axis=-2)[..., back, :] for part in zip(*parts, strict=True))


def _polynomials(z: Array, count: int) -> tuple[Array, Array, Array]:
    """Hermite polynomials: H_k' = √(2k) H_{k-1}."""
    value = jnp.moveaxis(hermite_polynomials(z, count - 1), 0, -1)
    root = np.sqrt(2 * np.arange(count))
    zero = jnp.zeros_like(value[..., :1])
    first = jnp.concatenate([zero, value[..., :-1]], axis=-1) * root
    second = jnp.concatenate([zero, first[..., :-1]], axis=-1) * root
    return value, first, second


def _cosines(z: Array, count: int) -> tuple[Array, Array, Array]:
    """cos kθ, θ = π(1 - z)/2: Chebyshev polynomials of sin(πz/2), so that sines are sin θ times them."""
    rate = np.pi / 2 * np.arange(count)
    angle = (1 - z)[..., None] * rate
    return jnp.cos(angle), jnp.sin(angle) * rate, -jnp.cos(angle) * rate**2


def _fourier(z: Array, count: int) -> tuple[Array, Array, Array]:
    """1, cos πz, sin πz, cos 2πz, …"""
    k = np.arange(count)
    rate, phase = np.pi * ((k + 1) // 2), np.pi / 2 * (k > 0) * (k % 2 == 0)
    angle = z[..., None] * rate - phase
    return jnp.cos(angle), -jnp.sin(angle) * rate, -jnp.cos(angle) * rate**2


def logarithm(
    kinds: tuple[int, ...], bent: Float[Array, "dim bends"], z: Float[Array, "*shape dim"]
) -> tuple[Float[Array, "*shape dim"], ...]:
    """ln φ_0 of every axis at z, and its two derivatives."""
    is_walled = np.array([k == WALLED for k in kinds])
    is_open = np.array([k == OPEN for k in kinds])
    angle = jnp.where(is_walled, np.pi / 2 * z, 0.0)
    tangent = jnp.tan(angle)
    base = jnp.where(is_open, -(z**2) / 2, jnp.log(jnp.maximum(jnp.cos(angle), 1e-300)))
    first = jnp.where(is_open, -z, -np.pi / 2 * tangent)
    second = jnp.where(is_open, -1.0, jnp.where(is_walled, -((np.pi / 2) ** 2) * (1 + tangent**2), 0.0))
    bends = [jnp.sum(part * bent, axis=-1) for part in series(kinds, z, bent.shape[-1])]
    return base + bends[0], first + bends[1], second + bends[2]


def _logarithms(
    kinds: tuple[int, ...], bent: Float[np.ndarray, "dim bends"], nodes: Float[np.ndarray, "dim nodes"]
) -> Float[np.ndarray, "dim nodes"]:
    return np.asarray(logarithm(kinds, jnp.asarray(bent), jnp.asarray(nodes.T))[0]).T


def _averaged_potential(
    problem: Problem,
    well: Well,
    edges: Float[np.ndarray, " dim"],
    nodes: Float[np.ndarray, "dim nodes"],
    ground: Float[np.ndarray, "dim nodes"],
) -> Float[np.ndarray, "dim nodes"]:
    """V along each axis, averaged over the ground densities of the others."""
    dim = len(nodes)
    unit = golden_lattice(_SAMPLES // 2, dim)
    unit = np.concatenate([unit, 1 - unit])
    share = np.cumsum(ground, axis=1) - ground / 2
    y = np.stack([np.interp(unit[:, i], share[i] / ground[i].sum(), nodes[i]) for i in range(dim)], axis=1)
    coarse = axis_nodes(edges, _COARSE)
    fields = np.empty_like(nodes)
    for i in range(dim):
        at = np.repeat(y[None], _COARSE, axis=0)
        at[..., i] = coarse[i][:, None]
        x = well.centre + at.reshape(-1, dim) @ well.axes.T
        mean = problem.potential_values(x).reshape(_COARSE, _SAMPLES).mean(1)
        fields[i] = CubicSpline(coarse[i], mean, extrapolate=True)(nodes[i])
    return fields


def _levels(
    kinds: tuple[int, ...],
    bent: Float[np.ndarray, "dim bends"],
    nodes: Float[np.ndarray, "dim nodes"],
    edges: Float[np.ndarray, " dim"],
    rates: Float[np.ndarray, " dim"],
    fields: Float[np.ndarray, "dim nodes"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`modals`, `energies` and `functions` of the Hamiltonian of each axis."""
    z = jnp.asarray(nodes.T)
    log, slope, _ = (np.asarray(part).T for part in logarithm(kinds, jnp.asarray(bent), z))
    value, first, _ = (np.moveaxis(np.asarray(part), 0, 1) for part in series(kinds, z, _DEGREES))
    ground = np.exp(log - log.max(1, keepdims=True))
    weights = 2 * edges / nodes.shape[1]
    most = _DEGREES // 2
    modals, energies, functions = [], [], []
    for i in range(len(kinds)):
        f = ground[i][:, None] * value[i] * np.sqrt(weights[i])
        df = ground[i][:, None] * (first[i] + slope[i][:, None] * value[i]) * np.sqrt(weights[i])
        norms = np.linalg.norm(f, axis=0)
        _, singular, right = np.linalg.svd(f / norms, full_matrices=False)
        kept = singular > 1e-10 * singular[0]
        basis = (right[kept].T / singular[kept]) / norms[:, None]
        own = rates[i] ** 2 * (df @ basis).T @ (df @ basis) + ((f @ basis) * fields[i][:, None]).T @ (
            f @ basis
        )
        e, vectors = scipy.linalg.eigh((own + own.T) / 2)
        # Where φ_0 is far from its base, fewer functions are independent: no product uses the missing ones.
        missing = max(0, most - len(e))
        c = np.pad((basis @ vectors)[:, :most].T, ((0, missing), (0, 0)))
        modals.append(c)
        energies.append(np.pad(e[:most], (0, missing), constant_values=np.inf))
        functions.append((f @ c.T).T / np.sqrt(weights[i]))
    return np.stack(modals), np.stack(energies), np.stack(functions)


def _bend(
    kinds: tuple[int, ...], nodes: Float[np.ndarray, "dim nodes"], ground: Float[np.ndarray, "dim nodes"]
) -> Float[np.ndarray, "dim bends"]:
    """q of each axis, so that base·exp(q) is close to its ground state."""
    bent = np.zeros((len(kinds), _BENT + 1))
    base = _logarithms(kinds, bent, nodes)
    value = np.moveaxis(np.asarray(series(kinds, jnp.asarray(nodes.T), _BENT + 1)[0]), 0, 1)
    test_points = np.linspace(-_FAR, _FAR, 401)
    far = np.asarray(series(kinds, jnp.asarray(np.tile(test_points[:, None], (1, len(kinds)))), _BENT + 1)[0])
    for i in range(len(kinds)):
        psi = np.abs(ground[i])
        known = psi > 1e-5 * psi.max()
        target = np.log(psi[known]) - base[i][known]
        for degree in (8, 6, 4, 2):
            a = value[i][known][:, : degree + 1]
            fit = np.linalg.lstsq(a * psi[known][:, None], target * psi[known], rcond=1e-10)[0]
            # Outside the fitted range ψ must keep falling, and a polynomial might rise there.
            beyond = (test_points < nodes[i][known].min()) | (test_points > nodes[i][known].max())
            tail = (far[:, i, : degree + 1] @ fit - test_points**2 / 2)[beyond]
            if kinds[i] != OPEN or tail.max() < (a @ fit + base[i][known]).max() - 5:
                bent[i, : degree + 1] = fit
                break
    return bent
