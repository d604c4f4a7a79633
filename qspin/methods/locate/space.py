"""A box for a problem in all of space, as large as its states need; and how many states are bound.

In one to three dimensions the lowest states are computed on a mesh of second order, fine about the lowest place of V and ever
coarser far out, so that it can reach thousands of times as far as they do. A state is bound if it has faded long before the
mesh ends, and the box is where all of them have.
"""

from dataclasses import replace
from functools import reduce
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Bool, Float
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from scipy.special import ndtri

from qspin.methods.locate.mean_field import OPEN, mean_field
from qspin.methods.locate.wells import gaussian_wells
from qspin.numerics.points import golden_lattice
from qspin.numerics.precision import double_precision, evaluated
from qspin.numerics.separable import lowest_products
from qspin.problem.domain import Box, Space
from qspin.problem.problem import Problem

__all__ = ["bound_states", "in_box"]

_NODES = {1: 6001, 2: 121, 3: 25}  # of the mesh, on each axis
_REACHES = {1: (1e3, 1e5), 2: (1e2, 1e4), 3: (30.0, 1e3)}  # of the mesh, in units of its fine part
_FADED = 1e-6  # share of the largest amplitude
_MOST_BOUND = 400
_PROVISIONAL = 100.0  # half-width of the box in which strengths of centres are read off
_FADES = 16.0  # ψ counts as zero below exp(-16) about centres
_BEYOND = 6.0  # widths beyond a turning point
_FAR_OUT = 3.0  # half-widths at which V must be above the states
_RADII = np.geomspace(1e-3, 1e6, 91)


def bound_states(problem: Problem) -> int:
    """The number of states of a problem in `Space(1)`, `Space(2)` or `Space(3)` below the continuum.

    Raises ValueError for other domains and for declared centres; and where it binds none, infinitely many, or some so weakly
    that their number depends on how far a mesh reaches.
    """
    if not isinstance(problem.domain, Space) or problem.dim > 3 or problem.hamiltonian.singularities:
        raise ValueError(
            "all_bound: counts the bound states of a potential without declared centres in Space(1), Space(2) or Space(3), got "
            f"{problem.domain!r}; give n_states as a number."
        )
    counts = []
    with double_precision():
        place = _lowest_place(problem)
        for reach in _REACHES[problem.dim]:
            n = 8
            while (bound := _solve(problem, place, n, reach).is_bound).all() and n < _MOST_BOUND:
                n *= 2
            counts.append(n if bound.all() else int(bound.argmin()))
    if counts[0] != counts[1] or not 0 < counts[0] < _MOST_BOUND:
        raise ValueError(
            f"all_bound: {problem.name} binds {counts[0]} states on a mesh, and {counts[1]} on one that reaches farther: none, "
            "infinitely many, or some too weakly to count; give n_states as a number."
        )
    return counts[0]


def in_box(problem: Problem, n_states: int) -> Problem:
    """The same problem in a box whose walls do not change the lowest `n_states` states (ψ there is below 1e-6 of its largest
    value). A problem whose domain is not `Space` is returned as it is.

    About attractive centres the levels of hydrogen set the size; in up to three dimensions the states on a mesh; past them
    Gaussians and mean-field products of V. It takes seconds. Raises ValueError where V confines no state or fewer than
    `n_states`, where it falls without end, and for repulsive centres, which need a Box.
    """
    if not isinstance(problem.domain, Space):
        return problem
    with double_precision():
        if problem.hamiltonian.singularities:
            return _about_centres(problem, n_states)
        place = _lowest_place(problem)
        if problem.dim > 3:  # solvers use the same products there
            return _by_products(problem, n_states)
        near, far = _REACHES[problem.dim]
        states = _solve(problem, place, n_states, reach := near)
        if not states.is_bound.all():
            farther = _solve(problem, place, n_states, reach := far)
            if not farther.is_bound.all():
                raise _unbound(problem, n_states, farther if np.isfinite(farther.energies).all() else states)
            states = farther
        inner = _solve(
            problem, place, n_states, reach, states
        )  # on a finer mesh, which ends a little farther out
        return replace(problem, domain=Box(inner.lower.tolist(), inner.upper.tolist()))


# --- states on a mesh


class _States(NamedTuple):
    """Energies on a mesh, which states have faded before it ends, along which axes, and the box that contains those."""

    energies: Float[np.ndarray, " n"]
    fades: Bool[np.ndarray, "dim n"]
    lower: Float[np.ndarray, " dim"]
    upper: Float[np.ndarray, " dim"]

    @property
    def is_bound(self) -> Bool[np.ndarray, " n"]:
        return np.all(self.fades, axis=0)


class _Place(NamedTuple):
    """The lowest place of V, and the width of the best Gaussian there."""

    middle: Float[np.ndarray, " dim"]
    width: float


def _values(problem: Problem, x: Float[np.ndarray, "points dim"]) -> Float[np.ndarray, " points"]:
    """V, infinite where it is not a number."""
    v = evaluated(problem.local.potential, x)
    return np.where(np.isnan(v), np.inf, v)


def _lowest_place(problem: Problem) -> _Place:
    """Where V is lowest, searched for at all scales about the origin. Raises ValueError where V falls without end far out."""
    dim, rng = problem.dim, np.random.default_rng(0)
    rays = np.concatenate([np.eye(dim), -np.eye(dim), rng.normal(size=(512 if dim > 1 else 0, dim))])
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    x = (_RADII[:, None, None] * rays).reshape(-1, dim)
    v = _values(problem, x)
    far = []
    for k in (-21, -11, -1):  # at 10⁴, 10⁵, 10⁶
        ray, low = rays[v.reshape(len(_RADII), -1)[k].argmin()], v.reshape(len(_RADII), -1)[k].min()
        for turn in range(12 if dim > 1 else 0):
            new = ray + 0.5**turn * rng.normal(size=(128, dim))
            new /= np.linalg.norm(new, axis=1, keepdims=True)
            values = _values(problem, _RADII[k] * new)
            if values.min() < low:
                ray, low = new[values.argmin()], values.min()
        far.append(float(low))
    before, after = far[0] - far[1], far[1] - far[2]
    if far[2] == -np.inf or (
        after > 0.5 * before > 0 and after > 1e-9 * abs(far[2]) and far[2] < v.min() + after
    ):
        where = ", ".join(f"{c:.3g}" for c in _RADII[-1] * ray)
        raise ValueError(
            f"Space: V of {problem.name} falls without end: {far[0]:.3g}, {far[1]:.3g}, {far[2]:.3g} at distances 1e4, 1e5, "
            f"1e6 from the origin (near x = ({where})), so there is no lowest state. Give a qspin.Box whose walls hold the "
            "states."
        )
    inside = np.where(np.linalg.norm(x, axis=1) < 1e5, v, np.inf)
    best, low = x[inside.argmin()], float(inside.min())
    radius = max(float(np.linalg.norm(best)), 1e-2)
    for _ in range(10):
        new = best + radius * rng.uniform(-1, 1, (1000, dim))
        values = _values(problem, new)
        if values.min() < low - 1e-9 * abs(low):
            best, low = new[values.argmin()], float(values.min())
        radius /= 3
    normal = ndtri(golden_lattice(128, dim))
    widths = np.geomspace(1e-4, 1e5, 91)
    x = best + widths[:, None, None] * np.concatenate([normal, -normal])
    mean = _values(problem, x.reshape(-1, dim)).reshape(len(widths), -1).mean(1)
    return _Place(best, float(widths[(problem.local.coefficients.sum() / (4 * widths**2) + mean).argmin()]))


def _solve(problem: Problem, place: _Place, n: int, reach: float, outer: _States | None = None) -> _States:
    """The lowest states on a mesh that is fine about a place, and ends `reach` times as far out, or about the box of others."""
    dim, c = problem.dim, problem.local.coefficients
    fine = 2 * place.width * n ** (1 / (2 * dim))
    count = int(_NODES[dim] * max(1.0, (n / 16) ** (1 / dim))) if dim > 1 else _NODES[1]
    low, high = np.full(dim, -reach * fine), np.full(dim, reach * fine)
    if outer is not None:
        low, high = 1.3 * (outer.lower - place.middle), 1.3 * (outer.upper - place.middle)
    first, last = np.arcsinh(low / fine), np.arcsinh(high / fine)
    axes = place.middle[:, None] + fine * np.sinh(np.linspace(first, last, count).T)
    kinetic, masses = [], []
    for x, ci in zip(axes, c, strict=True):
        h = np.diff(x)
        mass = (h[1:] + h[:-1]) / 2
        off = -ci / h[1:-1] / np.sqrt(mass[1:] * mass[:-1])
        kinetic.append(sp.diags_array([off, ci * (1 / h[1:] + 1 / h[:-1]) / mass, off], offsets=[-1, 0, 1]))
        masses.append(mass)
    inside = np.stack(np.meshgrid(*axes[:, 1:-1], indexing="ij"), -1)
    v = _values(problem, inside.reshape(-1, dim))
    v = np.minimum(v, v.min() + 1e8 * c.max() / place.width**2)  # ψ vanishes where V is that high
    if dim == 1:
        diagonal, off = kinetic[0].diagonal() + v, kinetic[0].diagonal(1)
        energies, psi = scipy.linalg.eigh_tridiagonal(diagonal, off, select="i", select_range=(0, n - 1))
    else:
        ones = [sp.eye_array(count - 2)] * dim
        parts = [reduce(sp.kron, [*ones[:i], k, *ones[i + 1 :]]) for i, k in enumerate(kinetic)]
        matrix = sp.csc_array(sum(parts) + sp.diags_array(v))
        below = float(v.min()) - 1e-3 * c.max() / place.width**2
        start = np.random.default_rng(0).normal(size=len(v))
        try:
            energies, psi = eigsh(matrix, n, sigma=below, v0=start, tol=1e-9, maxiter=30)
        except ArpackNoConvergence as error:  # a continuum, whose levels are too close to be told apart
            energies, psi = error.eigenvalues, error.eigenvectors
        order = np.argsort(energies)
        missing = n - len(order)
        energies = np.pad(energies[order], (0, missing), constant_values=np.inf)
        psi = np.pad(psi[:, order], ((0, 0), (0, missing)), constant_values=1.0)
    square = (psi**2).reshape(*inside.shape[:-1], n)
    lower, upper, fades = np.empty(dim), np.empty(dim), np.empty((dim, n), bool)
    for i, (x, mass) in enumerate(zip(axes, masses, strict=True)):
        along = square.sum(axis=tuple(j for j in range(dim) if j != i)) / mass[:, None]
        there = along > _FADED**2 * along.max(0)
        begin, end = there.argmax(0).min(), len(there) - there[::-1].argmax(0).min()
        far = np.abs(x[1:-1] - place.middle[i]) > 0.4 * np.abs(x[[0, -1]] - place.middle[i]).min()
        fades[i] = ~(there & far[:, None]).any(0)
        lower[i], upper[i] = x[begin], x[end + 1]
    return _States(energies, fades, lower, upper)


def _unbound(problem: Problem, n_states: int, states: _States) -> ValueError:
    held = int(states.is_bound.argmin())
    axes = ", ".join(str(i) for i in np.flatnonzero(~states.fades[:, held]))
    if held == 0:
        return ValueError(
            f"Space: V of {problem.name} does not confine along axis {axes}: the lowest state on a mesh there, E = "
            f"{states.energies[0]:.6g}, reaches as far as the mesh does. Give a qspin.Box, or a potential that rises."
        )
    return ValueError(
        f"Space: {problem.name} binds fewer than n_states = {n_states} states, as far as a mesh can tell: state {held}, E = "
        f"{states.energies[held]:.6g}, reaches as far along axis {axes} as the mesh does. Ask for {held}, or give a qspin.Box "
        "whose walls hold the rest."
    )


# --- past three dimensions, and about centres


def _by_products(problem: Problem, n_states: int) -> Problem:
    """A box about the lowest products of mean-field functions in every well."""
    dim = problem.dim
    lower, upper = np.full(dim, np.inf), np.full(dim, -np.inf)
    highest = -np.inf
    for well in gaussian_wells(problem):
        if well.energy > highest > -np.inf:
            break  # they come by energy
        field = mean_field(problem, well, (OPEN,) * dim)
        levels, sums = lowest_products(field.excitations, n_states + n_states // 4 + 2)
        top = well.energy + float(sums[n_states - 1])
        highest = max(top, highest)
        reach = np.sqrt(2 * levels.max(0) + 1) + _BEYOND
        half = np.linalg.norm(well.axes * reach, axis=1)
        lower, upper = np.minimum(lower, well.centre - half), np.maximum(upper, well.centre + half)
    candidate = replace(problem, domain=Box(lower.tolist(), upper.tolist()))
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    ends = np.concatenate([middle + np.diag(s * _FAR_OUT * half) for s in (-1, 1)])
    with np.errstate(all="ignore"):
        v = np.asarray(jax.vmap(problem.local.potential)(jnp.asarray(ends)))
    if (v < highest).any():  # nan is no answer
        raise ValueError(
            f"Space: {problem.name} binds fewer than n_states = {n_states} states, as far as products of one-dimensional "
            f"functions can tell: the highest comes out at E = {highest:.4g}, where V far away is no higher. Ask for fewer, or "
            "give a qspin.Box whose walls hold the rest."
        )
    return candidate


def _about_centres(problem: Problem, n_states: int) -> Problem:
    places = np.array(problem.hamiltonian.singularities)
    half = np.abs(places).max() + _PROVISIONAL
    dim = problem.dim
    provisional = replace(problem, domain=Box.cube(float(half), dim=dim))
    strengths = np.array([c.strength for c in provisional.centres])
    if dim not in (2, 3) or strengths.min() <= 0:
        raise ValueError(
            f"Space: how far the states of {problem.name} reach is known for attractive centres -Z/r in two or three "
            f"dimensions only (here strengths {strengths.tolist()}, dim {dim}); give a qspin.Box."
        )
    stiffness = problem.local.coefficients.max()
    z = strengths.sum()
    shell, n_held = 0, 0
    while n_held < n_states:  # of hydrogen: 2n + 1 states in the plane, (n + 1)² in space
        n_held += 2 * shell + 1 if dim == 2 else (shell + 1) ** 2
        shell += 1
    number = shell - 1 + (0.5 if dim == 2 else 1.0)
    energy = z**2 / (4 * stiffness * number**2)
    # Weaker alone than together: the levels of a single centre reach farther.
    reach = z / energy + _FADES * np.sqrt(stiffness / energy)
    reach *= float(np.clip(z / strengths.max(), 1.0, 1.5))
    return replace(problem, domain=Box((places.min(0) - reach).tolist(), (places.max(0) + reach).tolist()))
