"""Operators that are not Hamiltonians: integral kernels, matrices, graph Laplacians, slowness.

They stand behind the same interface, so whatever solves by sampling solves them: `SpIN` here, with
`Problem(..., largest=True)` where the largest eigenvalues are wanted.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from qspin.numerics.checks import check_function, set_fields, shown, table, traced, whole
from qspin.numerics.laplacian import Function
from qspin.numerics.points import Points
from qspin.numerics.precision import double_precision
from qspin.problem.domain import Domain, Nodes
from qspin.problem.hamiltonian import Operator

__all__ = ["KernelOperator", "MatrixOperator", "graph_laplacian", "slowness"]

_MOST_NODES = 10_000_000
_SAMPLE = 256  # pairs of points on which the symmetry of a kernel is checked


@dataclass(frozen=True)
class KernelOperator(Operator):
    """The integral operator (Kf)(x) = ∫ k(x, x') f(x') dμ(x'), for a symmetric kernel.

    Args:
        kernel: k(x, x') of two points (dim,) -> scalar, in jax.numpy; k(x, x') = k(x', x).

    The integral is a mean over a second, independent minibatch: all pairs of the two are used, so time and memory
    of a step grow as batch². The measure is the domain's: uniform in a `Box`, a normal density in `Gaussian`.

    Raises (when put in a `Problem`): TypeError for a kernel that does not give a scalar, ValueError for one that
    is not symmetric or not finite on a sample of pairs, with the pair.
    """

    kernel: Any

    def __post_init__(self) -> None:
        check_function("KernelOperator: kernel", self.kernel, "k(x, x') of two points (dim,) -> scalar", 2)

    def __call__(self, f: Function) -> Function:
        raise TypeError(
            "KernelOperator: Kf is an integral over the domain; use image(f, x, others) with points of it."
        )

    @property
    def is_local(self) -> bool:
        return False

    def image(
        self, f: Function, x: Float[Array, "batch dim"], others: Points | None
    ) -> Float[Array, "batch *values"]:
        assert others is not None
        pairs = jax.vmap(lambda a: jax.vmap(lambda b: self.kernel(a, b))(others.x))(x)
        return jnp.tensordot(pairs * others.weights, jax.vmap(f)(others.x), 1)

    def local_form(self, dim: int) -> None:
        """None: Kf at a point is an integral over the domain."""

    @double_precision()
    def check(self, domain: Domain) -> None:
        unit = np.random.default_rng(0).uniform(size=(2, _SAMPLE, domain.dim))
        x, y = (domain.from_unit(jnp.asarray(u)) for u in unit)
        value = traced("KernelOperator: k(x, x')", self.kernel, domain.dim, domain.dim)
        if getattr(value, "shape", None) != () or jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise TypeError(
                f"KernelOperator: k(x, x') must be a real scalar for two points of shape ({domain.dim},), got {value}."
            )
        there, back = np.asarray(jax.vmap(self.kernel)(x, y)), np.asarray(jax.vmap(self.kernel)(y, x))
        finite = np.isfinite(there) & np.isfinite(back)
        apart = np.abs(np.where(finite, there, 0) - np.where(finite, back, 0))
        wrong = ~finite | (apart > 1e-6 * np.abs(there[finite]).max(initial=0.0))
        if wrong.any():
            first = int(np.argmax(wrong))
            a, b = (", ".join(f"{c:.6g}" for c in np.asarray(p[first])) for p in (x, y))
            raise ValueError(
                f"KernelOperator: k must be finite and symmetric, but k(x, x') = {there[first]:.6g} and "
                f"k(x', x) = {back[first]:.6g} at x = ({a}), x' = ({b})."
            )


@dataclass(frozen=True, eq=False, repr=False)
class MatrixOperator(Operator):
    """A real symmetric matrix acting on functions of nodes: (Af)(i) = Σ_j A_ij f(j).

    Args:
        matrix: (n, n), dense, or sparse with a method `tocoo` (SciPy's).

    A point costs as many evaluations of f as the fullest row has entries, but a minibatch never more than n.
    Raises ValueError for a matrix that is not square, finite and symmetric.

    >>> MatrixOperator(np.eye(3))
    MatrixOperator(3 × 3, at most 1 entries a row, ...)
    """

    columns: np.ndarray  # (n, m): of the entries of each row, filled up with zeros
    entries: np.ndarray  # (n, m)

    def __init__(self, matrix: Any) -> None:
        from scipy.sparse import csr_array  # here, as it takes a third of a second to import

        given = matrix if hasattr(matrix, "tocoo") else table("MatrixOperator: matrix", matrix)
        if np.iscomplexobj(given):
            raise ValueError("MatrixOperator: expected a real symmetric matrix, got a complex one.")
        shape = given.shape
        if len(shape) != 2 or shape[0] != shape[1] or shape[0] == 0:
            raise ValueError(f"MatrixOperator: expected a square matrix, got shape {tuple(shape)}.")
        sparse = csr_array(given, dtype=float)
        sparse.sum_duplicates()
        if not np.isfinite(sparse.data).all():
            raise ValueError("MatrixOperator: the matrix has entries that are not finite.")
        difference = (sparse - sparse.T).tocoo()
        wrong = np.abs(difference.data) > 1e-12 * np.abs(sparse.data).max(initial=0.0)
        if wrong.any():
            i, j = (int(places[wrong][0]) for places in (difference.row, difference.col))
            raise ValueError(
                f"MatrixOperator: the matrix must be symmetric, but A[{i}, {j}] = {sparse[i, j]:.6g} and "
                f"A[{j}, {i}] = {sparse[j, i]:.6g}."
            )
        counts = np.diff(sparse.indptr)
        filled = np.arange(max(counts.max(), 1)) < counts[:, None]
        columns, entries = np.zeros(filled.shape, np.int32), np.zeros(filled.shape)
        columns[filled], entries[filled] = sparse.indices, sparse.data
        set_fields(self, columns=columns, entries=entries)

    def __repr__(self) -> str:
        n, width = self.entries.shape
        digest = hashlib.sha256(self.columns.tobytes() + self.entries.tobytes()).hexdigest()[:8]
        return f"MatrixOperator({n} × {n}, at most {width} entries a row, {digest})"

    def __call__(self, f: Function) -> Function:
        def image(x: Float[Array, " dim"]) -> Float[Array, "*values"]:
            row = jnp.round(x[0]).astype(jnp.int32)
            values = jax.vmap(f)(jnp.asarray(self.columns)[row][:, None].astype(x.dtype))
            return jnp.tensordot(jnp.asarray(self.entries, x.dtype)[row], values, 1)

        return image

    def image(
        self, f: Function, x: Float[Array, "batch dim"], others: Points | None
    ) -> Float[Array, "batch *values"]:
        n, width = self.entries.shape
        if len(x) * width < n:
            return super().image(f, x, others)
        everywhere = jax.vmap(f)(jnp.arange(n, dtype=x.dtype)[:, None])
        rows = jnp.round(x[:, 0]).astype(jnp.int32)
        values = everywhere[jnp.asarray(self.columns)[rows]]
        return jnp.einsum("bm,bm...->b...", jnp.asarray(self.entries, x.dtype)[rows], values)

    def local_form(self, dim: int) -> None:
        """None: (Af)(i) depends on f at other nodes."""

    def check(self, domain: Domain) -> None:
        n = len(self.entries)
        if not isinstance(domain, Nodes) or domain.volume != n:
            raise ValueError(f"MatrixOperator: a {n} × {n} matrix needs Nodes of {n} nodes, got {domain!r}.")


def graph_laplacian(n_nodes: int, edges: Any, weights: Any = None) -> MatrixOperator:
    """L = D - W of an undirected graph: fᵀLf = Σ over edges of weight · (f(i) - f(j))².

    Args:
        n_nodes: how many nodes, n.
        edges: (m, 2) node numbers.
        weights: (m,), 1 by default.

    Raises ValueError for edges that are not pairs of nodes, or weights that are negative or of another number.

    >>> graph_laplacian(3, [(0, 1), (1, 2)]).entries[1]
    array([-1.,  2., -1.])
    """
    n_nodes = whole("graph_laplacian: n_nodes", n_nodes, most=_MOST_NODES)
    pairs = np.asarray(edges)
    shaped = pairs.dtype.kind in "iu" and pairs.ndim == 2 and pairs.shape[1] == 2
    if not shaped or pairs.min(initial=0) < 0 or pairs.max(initial=0) >= n_nodes:
        raise ValueError(
            f"graph_laplacian: edges must be pairs (m, 2) of node numbers from 0 to {n_nodes - 1}, got {shown(edges)}."
        )
    strength = np.ones(len(pairs)) if weights is None else table("graph_laplacian: weights", weights)
    if strength.shape != (len(pairs),) or not (strength >= 0).all():
        raise ValueError(
            f"graph_laplacian: weights must be {len(pairs)} numbers of at least 0, got {shown(weights)}."
        )
    from scipy.sparse import coo_array

    i, j = pairs.astype(np.int64).T
    values = np.concatenate([-strength, -strength, strength, strength])
    places = (np.concatenate([i, j, i, j]), np.concatenate([j, i, i, j]))
    return MatrixOperator(coo_array((values, places), shape=(n_nodes, n_nodes)))


def slowness(n_frames: Any) -> MatrixOperator:
    """The slowness of features of a film, uᵀAu = Σ_t (u(x_{t+1}) - u(x_t))²: slow feature analysis is its lowest
    eigenfunctions (the paper's §5.2), on `Nodes(frames)`.

    Args:
        n_frames: number of frames, or a sequence of them for several clips, between which nothing is compared.

    It is the Laplacian of a path through each clip's frames. The constant is the slowest feature of all.

    >>> slowness([2, 2]).entries.sum(1)
    array([0., 0., 0., 0.])
    """
    lengths = np.atleast_1d(np.asarray(n_frames))
    counted = lengths.ndim == 1 and lengths.dtype.kind in "iu" and lengths.size > 0 and lengths.min() >= 2
    if not counted or sum(lengths.tolist()) > _MOST_NODES:
        raise ValueError(
            f"slowness: expected a number of frames of at least 2, or one a clip, {_MOST_NODES:,} in all at most, "
            f"got {shown(n_frames)}."
        )
    last = np.cumsum(lengths.astype(int)) - 1
    first = np.setdiff1d(np.arange(last[-1] + 1), last)
    return graph_laplacian(int(last[-1]) + 1, np.stack([first, first + 1], axis=1))
