"""Spectral elements: polynomials of high degree on intervals that may shrink towards a singular point.

On each interval a function is held by its values at the Gauss-Lobatto points. The same points integrate, so that mass is
diagonal and potentials are; the eigenvalue error is O(h^(2·degree)) where functions are smooth. About a declared centre the
intervals grow in geometric proportion to their distance, and the integrals over the elements that touch it, where V is
infinite, are done apart (Duffy 1982).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

__all__ = [
    "corner_quadrature",
    "differentiation",
    "gauss_lobatto",
    "graded_edges",
    "lagrange",
    "singular_products",
    "stiffness_and_mass",
    "touching",
]


@lru_cache
def gauss_lobatto(degree: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """degree + 1 nodes and weights on [-1, 1], both ends included; exact to degree 2·degree - 1."""
    legendre = np.polynomial.legendre.Legendre.basis(degree)
    inner = np.sort(legendre.deriv().roots().real)
    nodes = np.concatenate([[-1.0], (inner - inner[::-1]) / 2, [1.0]])
    return nodes, 2 / (degree * (degree + 1) * legendre(nodes) ** 2)


def _barycentric(nodes: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    return 1 / (nodes[:, None] - nodes + np.eye(len(nodes))).prod(1)


def lagrange(nodes: Float[np.ndarray, " n"], x: Float[np.ndarray, " p"]) -> Float[np.ndarray, "p n"]:
    """The polynomials that are 1 at one node and 0 at the others, at points x."""
    offsets = x[:, None] - nodes
    at_node = np.abs(offsets) < 1e-14
    weights = _barycentric(nodes) / np.where(at_node, 1.0, offsets)
    values = weights / weights.sum(1, keepdims=True)
    return np.where(at_node.any(1, keepdims=True), at_node, values)


def differentiation(nodes: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """D with D @ f(nodes) = f'(nodes) for polynomials of degree below the number of nodes."""
    weights = _barycentric(nodes)
    d = (weights / weights[:, None]) / (nodes[:, None] - nodes + np.eye(len(nodes)))
    np.fill_diagonal(d, 0.0)
    return d - np.diag(d.sum(1))


def stiffness_and_mass(
    edges: Float[np.ndarray, " edges"], degree: int, periodic: bool
) -> tuple[Float[np.ndarray, " n"], sp.csr_array, Float[np.ndarray, " n"]]:
    """Nodes, ∫ φ_i' φ_j' and the diagonal of ∫ φ_i φ_j on the elements between `edges`.

    Neighbours share a node. The ends of the axis are nodes too; on a periodic axis they are one node, the first.
    """
    reference, weights = gauss_lobatto(degree)
    d = differentiation(reference)
    block = d.T @ (weights[:, None] * d)
    halves = np.diff(edges) / 2
    n_elements, n = len(halves), len(halves) * degree + 1
    places = np.arange(n_elements)[:, None] * degree + np.arange(degree + 1)
    nodes = np.zeros(n)
    nodes[places] = edges[:-1, None] + halves[:, None] * (reference + 1)
    nodes[::degree] = edges  # exactly
    if periodic:
        places, n = places % (n - 1), n - 1
    mass = np.bincount(places.ravel(), (halves[:, None] * weights).ravel(), minlength=n)
    entries = block / halves[:, None, None]
    rows = np.broadcast_to(places[:, :, None], entries.shape).ravel()
    columns = np.broadcast_to(places[:, None, :], entries.shape).ravel()
    return nodes[:n], sp.csr_array(sp.coo_array((entries.ravel(), (rows, columns)), shape=(n, n))), mass


def graded_edges(
    lower: float, upper: float, marks: Sequence[tuple[float, float]], ratio: float
) -> Float[np.ndarray, " edges"]:
    """Edges of elements on [lower, upper] that reach each mark (position, smallest): there is an edge on the mark, the
    elements beside it are no longer than `smallest`, and others about `ratio` times their neighbour towards it.
    """
    inside = sorted(mark for mark in marks if lower <= mark[0] <= upper)
    stops = sorted({lower, upper, *(position for position, _ in inside)})

    edges = [np.array([lower])]
    for a, b in pairwise(stops):
        # Dense towards both ends; between two samples the density changes by little.
        s = np.concatenate([[0.0], np.geomspace(1e-9, 0.5, 4000)])
        x = np.unique(np.concatenate([a + (b - a) * s, b - (b - a) * s]))
        density = 1 / np.min([h + (ratio - 1) * np.abs(x - c) for c, h in inside], axis=0)  # of elements
        total = np.concatenate([[0.0], np.cumsum(np.diff(x) * (density[1:] + density[:-1]) / 2)])
        total *= (ratio - 1) / np.log(ratio)
        n = max(int(np.ceil(total[-1] - 1e-9)), 1)
        inner = np.interp(np.arange(1, n) * total[-1] / n, total, x)
        edges.append(np.append(inner, b))
    return np.concatenate(edges)


def corner_quadrature(dim: int, n: int) -> tuple[Float[np.ndarray, "p dim"], Float[np.ndarray, " p"]]:
    """dim · n^dim points t of the unit cube and weights, for integrands that are as singular as 1/|t| at its corner 0.

    The cube is the union of one pyramid an axis with its tip at the corner, t = ξ on that axis and ξη on the others, whose
    Jacobian ξ^(dim - 1) cancels the singularity.
    """
    g, w = np.polynomial.legendre.leggauss(n)
    g, w = (g + 1) / 2, w / 2
    cube = np.stack(np.meshgrid(*[g] * dim, indexing="ij"), axis=-1).reshape(-1, dim)
    weights = np.stack(np.meshgrid(*[w] * dim, indexing="ij"), axis=-1).reshape(-1, dim).prod(1)
    tips = [np.where(np.arange(dim) == axis, cube, cube[:, [axis]] * cube) for axis in range(dim)]
    return np.concatenate(tips), np.concatenate([weights * cube[:, axis] ** (dim - 1) for axis in range(dim)])


def singular_products(
    potential: Callable[[Float[np.ndarray, "p dim"]], Float[np.ndarray, " p"]],
    corner: Float[np.ndarray, " dim"],
    sides: Float[np.ndarray, " dim"],
    degree: int,
    n: int,
) -> Float[np.ndarray, "m m"]:
    """∫ V φ_i φ_j over one element that has the singular point at a corner, m = (degree + 1)^dim functions; `sides` lead from
    there to the opposite corner, with signs; `n` quadrature points an axis.

    The functions are numbered with the last axis fastest, on each axis from the lower node to the upper.
    """
    dim = len(corner)
    reference, _ = gauss_lobatto(degree)
    t, weights = corner_quadrature(dim, n)
    values = potential(corner + t * sides) * weights * np.abs(sides).prod()
    functions = np.ones((len(t), 1))
    for i in range(dim):
        basis = lagrange(reference, 2 * t[:, i] - 1 if sides[i] > 0 else 1 - 2 * t[:, i])
        functions = (functions[:, :, None] * basis[:, None, :]).reshape(len(t), -1)
    return functions.T @ (values[:, None] * functions)


def touching(edges: Sequence[Float[np.ndarray, "..."]], corner: Sequence[float]) -> list[tuple[int, ...]]:
    """Elements (one index an axis) of a tensor product of axes that have a point as one of their corners."""
    choices = []
    for axis_edges, position in zip(edges, corner, strict=True):
        place = int(np.argmin(np.abs(axis_edges - position)))
        choices.append([e for e in (place - 1, place) if 0 <= e < len(axis_edges) - 1])
    return list(product(*choices))
