"""Walls of a region across a mesh: whether they run along elements, and what they add where they cut spacings."""

from collections.abc import Sequence

import numpy as np

from qspin.methods.grid.axes import Axis
from qspin.problem.region import Region

__all__ = ["check_aligned", "wall_cuts"]

_BISECTIONS = 48
_NEAREST = 1e-6  # of a spacing: a wall counts as at least so far from a point


def check_aligned(region: Region, axes: Sequence[Axis]) -> None:
    """ValueError unless every element lies wholly inside or wholly outside."""
    dim, inner = len(axes), []
    for axis in axes:
        assert axis.edges is not None
        low, high = axis.edges[:-1, None], axis.edges[1:, None]
        inner.append(low + (high - low) * np.array([0.01, 0.5, 0.99]))
    # Three points an axis of each element, all combinations of them: (elements, 3^dim).
    signs = np.stack(np.meshgrid(*(x.ravel() for x in inner), indexing="ij"), -1).reshape(-1, dim)
    held = (region.signed(signs) > 0).reshape([n for x in inner for n in x.shape])
    held = np.moveaxis(held, range(1, 2 * dim, 2), range(dim, 2 * dim))
    share = held.reshape(*held.shape[:dim], -1).mean(-1)
    if ((share > 0) & (share < 1)).any():
        raise ValueError(
            "Region: a wall runs through elements; use scheme=differences(2), or declare corners so that "
            "element edges meet the walls."
        )


def wall_cuts(region: Region, axes: Sequence[Axis], held: np.ndarray) -> np.ndarray:
    """What walls between points add to the diagonal of -∂²/∂x_i² by differences of order 2: (P, dim), for the P points that
    the region holds; `held` says which of all do, the last axis fastest.

    Of a wall at the share θ of a spacing: -ψ'' ≈ ((1 + 1/θ)ψ - ψ_other)/h², symmetric, second order (Gibou, Fedkiw, Cheng
    and Kang 2002). Beyond what the matrix without walls has: (1/θ - 1)/h² each.
    """
    shape = [len(axis.points) for axis in axes]
    place = np.stack(np.unravel_index(np.flatnonzero(held), shape), -1)
    points = np.stack([axis.points[own] for axis, own in zip(axes, place.T, strict=True)], -1)
    cuts = np.zeros(place.shape)
    for i, axis in enumerate(axes):
        h, n = axis.weights[0], len(axis.points)
        for direction in (-1, 1):
            beyond = place.copy()
            beyond[:, i] += direction
            if axis.periodic:
                beyond[:, i] %= n
            exists = (beyond[:, i] >= 0) & (beyond[:, i] < n)
            beyond[:, i] = np.clip(beyond[:, i], 0, n - 1)
            # A neighbour on the box's wall is no point; the region may end before.
            rows = np.flatnonzero(~exists | ~held[np.ravel_multi_index(tuple(beyond.T), shape)])
            share = _share_inside(region, points[rows], direction * h * np.eye(len(axes))[i])
            cuts[rows, i] += (1 / np.maximum(share, _NEAREST) - 1) / h**2
    return cuts


def _share_inside(region: Region, start: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Of steps (dim,) from points (P, dim) inside, the shares before a wall, (P,); 1 where there is none."""
    low, high = np.zeros(len(start)), np.ones(len(start))
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        within = region.signed(start + middle[:, None] * step) > 0
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return (low + high) / 2
