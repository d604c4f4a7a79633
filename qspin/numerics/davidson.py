"""The lowest eigenpairs of a sparse symmetric matrix by block Davidson steps, of a small one by diagonalisation."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

__all__ = ["BLOCK", "lowest_states"]

BLOCK = 1200  # rows of the block that is inverted exactly
_DENSE = 1500  # rows up to which the whole matrix is diagonalised
_ACCURATE = 1e-7  # residual, of the largest energy; energies are good to its square
_MOST_PASSES = 100


@threadpool_limits.wrap(limits=1)
def lowest_states(h: sp.csr_array, count: int, start: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Energies (count,) and vectors (M, count): all of a small matrix, else block Davidson from `start`.

    Preconditioned by the inverse of the block of the rows with the lowest diagonal elements, whose own lowest states
    stand beside `start`, in case it misses some, and of the diagonal of the rest.
    """
    if h.shape[0] <= max(_DENSE, 3 * count) or start is None:
        x = scipy.linalg.eigh(h.toarray(), subset_by_index=(0, min(count, h.shape[0]) - 1))[1]
        # Rounding is relative to the largest element, which may be 10⁸: once more, with the vectors, which are small there.
        energies, turn = np.linalg.eigh(x.T @ (h @ x))
        return energies, x @ turn
    diagonal = h.diagonal()
    block = np.sort(np.argsort(diagonal, kind="stable")[:BLOCK])
    levels, modes = scipy.linalg.eigh(h[block][:, block].toarray())
    least = max(float(np.diff(levels[: 2 * count]).mean()), 1e-6 * abs(levels[0]))

    def corrected(residual: np.ndarray, energies: np.ndarray) -> np.ndarray:
        def over(values: np.ndarray) -> np.ndarray:
            gap = values[:, None] - energies
            return np.where(np.abs(gap) < least, least, gap)

        new = residual / over(diagonal)
        new[block] = modes @ ((modes.T @ residual[block]) / over(levels))
        return new

    beside = np.zeros((len(diagonal), count))
    beside[block] = modes[:, :count]
    v = np.linalg.qr(np.column_stack([start, beside]))[0]
    hv = h @ v
    for _ in range(_MOST_PASSES):
        energies, turn = np.linalg.eigh(v.T @ hv)
        energies = energies[:count]
        x, hx = v @ turn[:, :count], hv @ turn[:, :count]
        residual = hx - x * energies
        norms = np.linalg.norm(residual, axis=0)
        accurate = _ACCURATE * np.abs(energies).max()
        wanted = norms > accurate
        if not wanted.any():
            break
        if v.shape[1] > 5 * count:
            v, hv = x, hx
        new = corrected(residual[:, wanted], energies[wanted])
        for _ in range(2):
            new = np.linalg.qr(new - v @ (v.T @ new))[0]
        v, hv = np.column_stack([v, new]), np.column_stack([hv, h @ new])
    return energies, x
