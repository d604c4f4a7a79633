"""Cells of a mesh that need more than values at its points: cut by a region's walls, or about singular centres of V."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int

from qspin.methods.grid.axes import Axis, Elements
from qspin.numerics.finite_elements import corner_quadrature, gauss_lobatto, singular_products, touching
from qspin.problem.domain import Centre
from qspin.problem.region import Region

__all__ = ["check_aligned", "singular_multiplication", "wall_cuts"]

Potential = Callable[[Float[np.ndarray, "n dim"]], Float[np.ndarray, " n"]]  # V at many points

_BISECTIONS = 48
_NEAREST = 1e-6  # of a spacing: a wall counts as at least so far from a point
_PANEL = 10  # quadrature points an axis of a part of a cell
_MORE = 6  # quadrature points an axis of an element, beyond its degree


def check_aligned(region: Region, edges: Sequence[Float[np.ndarray, "..."]]) -> None:
    """Raise ValueError unless every element, between these edges of each axis, lies wholly inside or wholly outside."""
    dim = len(edges)
    inner = [x[:-1, None] + np.diff(x)[:, None] * np.array([0.01, 0.5, 0.99]) for x in edges]
    # Three points an axis of each element, all combinations of them: (elements, 3^dim).
    signs = np.stack(np.meshgrid(*(x.ravel() for x in inner), indexing="ij"), -1).reshape(-1, dim)
    inside = (region.signed(signs) > 0).reshape([n for x in inner for n in x.shape])
    share = inside.mean(axis=tuple(range(1, 2 * dim, 2)))
    if ((share > 0) & (share < 1)).any():
        raise ValueError(
            "Region: a wall runs through elements; use scheme=differences(2), or declare corners so that "
            "element edges meet the walls."
        )


def wall_cuts(
    region: Region, axes: Sequence[Axis], inside: Bool[np.ndarray, " all"]
) -> Float[np.ndarray, "P dim"]:
    """What walls between points add to the diagonal of -∂²/∂x_i² by differences of order 2, for the P points that the region
    holds; `inside` says which of all do, the last axis fastest.

    For a wall at the share θ of a spacing, -ψ'' ≈ ((1 + 1/θ)ψ - ψ_other)/h² is symmetric and of second order (Gibou, Fedkiw,
    Cheng and Kang 2002). Each wall thus adds (1/θ - 1)/h² to the matrix without walls.
    """
    shape = [len(axis.points) for axis in axes]
    place = np.stack(np.unravel_index(np.flatnonzero(inside), shape), -1)
    points = np.stack([axis.points[own] for axis, own in zip(axes, place.T, strict=True)], -1)
    cuts = np.zeros(place.shape)
    for i, axis in enumerate(axes):
        h, n = axis.weights[0], len(axis.points)
        for direction in (-1, 1):
            beyond = place.copy()
            beyond[:, i] += direction
            if axis.interval.periodic:
                beyond[:, i] %= n
            exists = (beyond[:, i] >= 0) & (beyond[:, i] < n)
            beyond[:, i] = np.clip(beyond[:, i], 0, n - 1)
            # A neighbour on the box's wall is no point; the region may end before.
            rows = np.flatnonzero(~exists | ~inside[np.ravel_multi_index(tuple(beyond.T), shape)])
            share = _share_inside(region, points[rows], direction * h * np.eye(len(axes))[i])
            cuts[rows, i] += (1 / np.maximum(share, _NEAREST) - 1) / h**2
    return cuts


def _share_inside(
    region: Region, start: Float[np.ndarray, "n dim"], step: Float[np.ndarray, " dim"]
) -> Float[np.ndarray, " n"]:
    """The share of a step from each point that lies before a wall; 1 where there is none."""
    low, high = np.zeros(len(start)), np.ones(len(start))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        within = region.signed(start + middle[:, None] * step) > 0
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return (low + high) / 2


def singular_multiplication(
    axes: Sequence[Axis],
    centres: Sequence[Centre],
    points: Float[np.ndarray, "P dim"],
    weights: Float[np.ndarray, " P"],
    potential: Potential,
) -> sp.csr_array:
    """Multiplication by V, infinite at the centres, on all of a mesh's points, symmetric sparse (P, P): diagonal, but for the
    elements that touch a centre."""
    regular = np.ones(len(points))  # share of each point's weight in elements away from centres
    values, rows, columns, entries = potential(points), [], [], []
    edges = [axis.edges for axis in axes if axis.edges is not None]
    for centre in centres:
        if not edges:
            place, average = _cell_average(axes, centre, potential)
            values[place] = average
            continue
        for element in touching(edges, centre.position):
            places, share, block = _singular_block(axes, centre, element, weights, potential)
            regular[places] -= share
            rows.append(np.repeat(places, len(places)))
            columns.append(np.tile(places, len(places)))
            entries.append(block.ravel())
    away = regular > 1e-9
    diagonal = np.where(away, regular, 0) * np.where(away, values, 0)
    matrix = sp.csr_array(sp.diags_array(diagonal))
    if entries:
        added = (np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns)))
        matrix = sp.csr_array(matrix + sp.coo_array(added, shape=matrix.shape).tocsr())
    return matrix


def _singular_block(
    axes: Sequence[Axis],
    centre: Centre,
    element: Sequence[int],
    weights: Float[np.ndarray, " P"],
    potential: Potential,
) -> tuple[Int[np.ndarray, " m"], Float[np.ndarray, " m"], Float[np.ndarray, "m m"]]:
    """Unknowns of one element, their weight in it as a share of the whole, and V between them."""
    sides, inside, within, places = [], np.ones(1, bool), np.ones(1), np.zeros(1, int)
    for axis, e, position in zip(axes, element, centre.position, strict=True):
        assert axis.edges is not None and isinstance(axis.scheme, Elements)
        degree, (low, high) = axis.scheme.degree, axis.edges[e : e + 2]
        sides.append(high - low if abs(position - low) <= abs(position - high) else low - high)
        # The wall's node is no unknown.
        own, factor = axis.scheme.unknowns(axis, e * degree + np.arange(degree + 1))
        _, reference = gauss_lobatto(degree)
        inside = np.logical_and.outer(inside, factor != 0).ravel()
        within = np.multiply.outer(within, np.abs(high - low) / 2 * reference).ravel()
        places = np.add.outer(places * len(axis.points), own).ravel()
    block = singular_products(potential, np.array(centre.position), np.array(sides), degree, degree + _MORE)
    places, within, block = places[inside], within[inside], block[np.ix_(inside, inside)]
    root = np.sqrt(weights[places])
    return places, within / weights[places], block / root[:, None] / root


def _cell_average(axes: Sequence[Axis], centre: Centre, potential: Potential) -> tuple[int, float]:
    """For equally spaced points: the index of the one whose cell contains the centre, and the average of V over that cell."""
    position = np.array(centre.position)
    place = [int(np.argmin(np.abs(axis.points - x))) for axis, x in zip(axes, position, strict=True)]
    points = np.array([axis.points[i] for axis, i in zip(axes, place, strict=True)])
    halves = np.array([axis.weights[i] / 2 for axis, i in zip(axes, place, strict=True)])
    t, w = corner_quadrature(len(axes), _PANEL)
    total = 0.0
    for signs in product((-1.0, 1.0), repeat=len(axes)):  # parts of the cell, from the centre to a corner
        sides = points + np.array(signs) * halves - position
        if np.abs(sides).min() > 0:
            total += float(np.prod(sides * signs)) * float(w @ potential(position + t * sides))
    shape = [len(axis.points) for axis in axes]
    return int(np.ravel_multi_index(place, shape)), total / float(np.prod(2 * halves))
