"""A box for a problem in all of space, as large as its states need."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

from qspin.methods.locate.extent import FADED, extent
from qspin.methods.locate.mean_field import OPEN, mean_field
from qspin.methods.locate.wells import gaussian_wells
from qspin.numerics.precision import double_precision
from qspin.numerics.separable import lowest_products
from qspin.problem.domain import Box, Space
from qspin.problem.problem import Problem

__all__ = ["in_box"]

_PROVISIONAL = 100.0  # half-width of the box in which strengths of centres are read off
_BEYOND = 6.0  # widths beyond a turning point
_FAR_OUT = 3.0  # half-widths at which V must be above the states
_GROWTH, _LARGEST = 1.25, 12  # a box that cuts tails grows by this factor, at most this many times


def in_box(problem: Problem, n_states: int) -> Problem:
    """The same problem in a box whose walls do not change the lowest `n_states` states (ψ there is below e⁻¹³). A problem whose
    domain is not `Space` is returned as it is.

    About attractive centres the levels of hydrogen set the size; else Gaussians and mean-field products of V do, and then the
    semiclassical decay along the axes. It takes seconds: some 10⁵ evaluations of V. Raises ValueError where V confines no state
    or fewer than `n_states`, where it falls without bound, and for repulsive centres, which need a Box.
    """
    if not isinstance(problem.domain, Space):
        return problem
    with double_precision():
        if problem.hamiltonian.singularities:
            return _about_centres(problem, n_states)
        dim = problem.dim
        lower, upper = np.full(dim, np.inf), np.full(dim, -np.inf)
        highest, first = -np.inf, None
        for well in gaussian_wells(problem):
            if first is not None and well.energy > highest:
                break  # they come by energy
            field = mean_field(problem, well, (OPEN,) * dim)
            levels, sums = lowest_products(field.excitations, n_states + n_states // 4 + 2)
            top = well.energy + float(sums[n_states - 1])
            first, highest = first or well, max(top, highest)
            reach = np.sqrt(2 * levels.max(0) + 1) + _BEYOND
            half = np.linalg.norm(well.axes * reach, axis=1)
            lower, upper = np.minimum(lower, well.centre - half), np.maximum(upper, well.centre + half)
        assert first is not None
        candidate = replace(problem, domain=Box(lower.tolist(), upper.tolist()))
        if dim > 3:  # solvers use the same products there
            _check_bound(problem, n_states, lower, upper, highest)
            return candidate
        covariance = first.axes @ first.axes.T / 2
        for _ in range(_LARGEST):
            decays = extent(
                candidate, first.centre, covariance + np.diag((upper - lower) ** 2) / 200, highest
            ).decays
            short = decays < 0.8 * FADED
            if not short.any():
                return candidate
            more = (_GROWTH - 1) * (upper - lower)
            lower, upper = lower - more * short[:, 0], upper + more * short[:, 1]
            candidate = replace(problem, domain=Box(lower.tolist(), upper.tolist()))
        raise _unbound(problem, n_states, highest)


def _check_bound(
    problem: Problem, n_states: int, lower: np.ndarray, upper: np.ndarray, highest: float
) -> None:
    """Raise ValueError where V far out along an axis is below the highest energy."""
    middle, half = (lower + upper) / 2, (upper - lower) / 2
    ends = np.concatenate([middle + np.diag(s * _FAR_OUT * half) for s in (-1, 1)])
    with np.errstate(all="ignore"):
        v = np.asarray(jax.vmap(problem.local.potential)(jnp.asarray(ends)))
    if (v < highest).any():  # nan is no answer
        raise _unbound(problem, n_states, highest)


def _unbound(problem: Problem, n_states: int, highest: float) -> ValueError:
    return ValueError(
        f"Space: {problem.name} binds fewer than n_states = {n_states} states, as far as products of one-dimensional functions "
        f"can tell: the highest comes out at E = {highest:.4g}, where V far away is no higher. Ask for fewer, or give a "
        "qspin.Box whose walls hold the rest."
    )


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
    reach = z / energy + FADED * np.sqrt(stiffness / energy)
    reach *= float(np.clip(z / strengths.max(), 1.0, 1.5))
    return replace(problem, domain=Box((places.min(0) - reach).tolist(), (places.max(0) + reach).tolist()))
