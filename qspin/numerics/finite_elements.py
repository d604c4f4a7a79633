"""Spectral elements: polynomials of high degree on intervals that may shrink towards a singular point.

On each interval a function is held by its values at the Gauss-Lobatto points. The same points integrate, so that mass is
diagonal and potentials are; the eigenvalue error is O(h^(2·degree)) where functions are smooth. The integrals over elements
that touch a declared centre, where V is infinite, are done apart (Duffy 1982). At walls where V is as c/x², functions are a
power of the distance times polynomials.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

__all__ = [
    "corner_quadrature",
    "differentiation",
    "element_weights",
    "gauss_lobatto",
    "lagrange",
    "singular_products",
    "stiffness_and_mass",
    "touching",
    "wall_factor",
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
    edges: Float[np.ndarray, " edges"], degree: int, powers: tuple[float, float] = (0.0, 0.0)
) -> tuple[Float[np.ndarray, " n"], sp.csr_array, Float[np.ndarray, " n"]]:
    """Nodes, ∫ φ_i' φ_j' and the diagonal of ∫ φ_i φ_j on the elements between `edges`; neighbours share a node.

    With powers, functions are g times polynomials, g = `wall_factor`, and the form is ∫ g² (φ_i/g)' (φ_j/g)' - ∫ φ_i φ_j g''/g,
    that of the solution which vanishes at the wall. The value at such a wall is no unknown.
    """
    reference, _ = gauss_lobatto(degree)
    halves, n_elements = np.diff(edges) / 2, len(edges) - 1
    weights = element_weights(edges, degree, powers)
    places = np.arange(n_elements)[:, None] * degree + np.arange(degree + 1)
    nodes = np.zeros(n_elements * degree + 1)
    nodes[places] = edges[:-1, None] + halves[:, None] * (reference + 1)
    nodes[::degree] = edges  # exactly
    mass = np.bincount(places.ravel(), weights.ravel())
    d = np.broadcast_to(differentiation(reference), (n_elements, degree + 1, degree + 1)).copy()
    for at_wall, element, kept in ((powers[0], 0, slice(1, None)), (powers[1], -1, slice(None, -1))):
        if at_wall:  # polynomials through the other nodes
            d[element] = 0
            d[element][:, kept] = lagrange(reference[kept], reference) @ differentiation(reference[kept])
    g, _, bend = wall_factor(nodes, (edges[0], edges[-1]), powers)
    on_wall = g == 0
    g = np.where(on_wall, 1.0, g)
    at_nodes = np.where(on_wall, 0.0, g)[places]
    blocks = np.einsum("eqi,eq,eqj->eij", d, weights * at_nodes**2, d)
    blocks /= halves[:, None, None] ** 2 * g[places][:, :, None] * g[places][:, None, :]
    rows = np.broadcast_to(places[:, :, None], blocks.shape).ravel()
    columns = np.broadcast_to(places[:, None, :], blocks.shape).ravel()
    stiffness = sp.coo_array((blocks.ravel(), (rows, columns))).tocsr()
    return nodes, sp.csr_array(stiffness - sp.diags_array(mass * bend)), mass


def element_weights(
    edges: Float[np.ndarray, " edges"], degree: int, powers: tuple[float, float] = (0.0, 0.0)
) -> Float[np.ndarray, "elements nodes"]:
    """The weights of all nodes in each element. At a wall with a power, where g² V may be finite though V is not, the other
    nodes of the element do without the one on the wall."""
    nodes, own = gauss_lobatto(degree)
    weights = np.diff(edges)[:, None] / 2 * own
    for power, element, wall, kept in (
        (powers[0], 0, 0, slice(1, None)),
        (powers[1], -1, -1, slice(None, -1)),
    ):
        if power:
            weights[element, kept] += weights[element, wall] * lagrange(nodes[kept], nodes[[wall]])[0]
            weights[element, wall] = 0
    return weights


def wall_factor(
    x: Float[np.ndarray, "*p"], ends: tuple[float, float], powers: tuple[float, float]
) -> tuple[Float[np.ndarray, "*p"], Float[np.ndarray, "*p"], Float[np.ndarray, "*p"]]:
    """g = ((x - a)/L)^s ((b - x)/L)^t for the powers s, t at the ends a, b; g'/g; and g''/g, 0 on a wall."""
    g, slope, bend = np.ones(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    for end, sign, power in ((ends[0], 1.0, powers[0]), (ends[1], -1.0, powers[1])):
        if power:
            away = sign * (x - end)
            rate = np.where(away > 0, sign * power / np.where(away > 0, away, 1.0), 0.0)
            g = g * (np.maximum(away, 0) / (ends[1] - ends[0])) ** power
            bend = bend + 2 * slope * rate + rate**2 * (power - 1) / power
            slope = slope + rate
    return g, slope, bend


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
