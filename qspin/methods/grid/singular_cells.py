"""V about its singular centres on a mesh, where values at points do not tell it: averages of cells, integrals over elements."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import scipy.sparse as sp

from qspin.methods.grid.axes import Axis
from qspin.numerics.finite_elements import corner_quadrature, gauss_lobatto, singular_products, touching
from qspin.problem.domain import Centre

__all__ = ["singular_multiplication"]

_PANEL = 10  # quadrature points an axis of a part of a cell
_MORE = 6  # quadrature points an axis of an element, beyond its degree


def singular_multiplication(
    axes: Sequence[Axis],
    centres: Sequence[Centre],
    weights: np.ndarray,
    values: np.ndarray,
    potential: Callable[[np.ndarray], np.ndarray],
) -> sp.csr_array:
    """Multiplication by V on a whole mesh, symmetric sparse (P, P): diagonal, but for the elements that touch a centre.

    Args:
        axes: of the mesh.
        centres: where V is infinite.
        weights: of the mesh's points, (P,).
        values: of V there, (P,); what it is at a centre does not matter.
        potential: V at points (n, dim) -> (n,).
    """
    regular = np.ones(len(values))  # share of each point's weight in elements away from centres
    values, rows, columns, entries = values.copy(), [], [], []
    edges = [axis.edges for axis in axes if axis.edges is not None]
    for centre in centres:
        if len(edges) < len(axes):
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
    weights: np.ndarray,
    potential: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unknowns of one element, their weight in it as a share of the whole, and V between them."""
    corner, sides, kept, local, total = np.array(centre.position), [], [], [], []
    for axis, e, position in zip(axes, element, centre.position, strict=True):
        assert axis.edges is not None
        low, high = axis.edges[e], axis.edges[e + 1]
        sides.append(high - low if abs(position - low) <= abs(position - high) else low - high)
        places = e * axis.degree + np.arange(axis.degree + 1) - 1  # the wall's node is no unknown
        kept.append((places >= 0) & (places < len(axis.points)))
        local.append(places)
        _, reference = gauss_lobatto(axis.degree)
        total.append(np.abs(high - low) / 2 * reference)
    degree = axes[0].degree
    block = singular_products(potential, corner, np.array(sides), degree, degree + _MORE)
    inside = np.ones(1, bool)
    within, places = np.ones(1), np.zeros(1, int)
    for axis, keep, place, weight in zip(axes, kept, local, total, strict=True):
        inside = np.logical_and.outer(inside, keep).ravel()
        within = np.multiply.outer(within, weight).ravel()
        places = np.add.outer(places * len(axis.points), place).ravel()
    places, within, block = places[inside], within[inside], block[np.ix_(inside, inside)]
    root = np.sqrt(weights[places])
    return places, within / weights[places], block / root[:, None] / root


def _cell_average(
    axes: Sequence[Axis], centre: Centre, potential: Callable[[np.ndarray], np.ndarray]
) -> tuple[int, float]:
    """On equally spaced points: the place of the one whose cell holds the centre, and V's average over that cell."""
    place, low, high = [], [], []
    for axis, position in zip(axes, centre.position, strict=True):
        i = int(np.argmin(np.abs(axis.points - position)))
        place.append(i)
        low.append(axis.points[i] - axis.weights[i] / 2)
        high.append(axis.points[i] + axis.weights[i] / 2)
    t, w = corner_quadrature(len(axes), _PANEL)
    total = 0.0
    for ends in product(*zip(low, high, strict=True)):
        sides = np.array(ends) - centre.position
        if np.abs(sides).min() > 0:
            signed = np.prod(sides * np.where(np.array(ends) == high, 1.0, -1.0))
            total += float(signed) * float(w @ potential(centre.position + t * sides))
    volume = float(np.prod(np.array(high) - low))
    return int(np.ravel_multi_index(place, [len(axis.points) for axis in axes])), total / volume
