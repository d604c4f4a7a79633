"""`PotentialSamples`: V on a tensor grid, so that a spectrum that was loaded can still be drawn over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from qspin.problem.domain import Box
from qspin.spectrum.eigenfunctions import Eigenfunctions
from qspin.spectrum.tensor_grid import tensor_points

__all__ = ["PotentialSamples", "sampled_potential"]

_NODES = {1: 1001, 2: 256, 3: 40}  # an axis, by dimension: half a megabyte at most
_MOST_POINTS = 20_000  # at which densities are looked at
_EVEN = 0.25  # share of the nodes that is spread evenly over the box


@dataclass(frozen=True, eq=False)
class PotentialSamples:
    """V between the nodes of a tensor grid, linear along each axis, constant beyond.

    Attributes:
        axes: of each coordinate its nodes, (n_i,), ascending.
        values: V there, (n_0, …, n_{dim-1}), in units of energy.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """V at points (P, dim) -> (P,)."""
        from scipy.interpolate import RegularGridInterpolator  # takes a third of a second to import

        inside = np.stack(
            [np.clip(x, axis[0], axis[-1]) for x, axis in zip(points.T, self.axes, strict=True)], axis=1
        )
        return RegularGridInterpolator(self.axes, self.values)(inside)

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restored` makes it from."""
        return {"values": self.values, **{f"axis{i}": axis for i, axis in enumerate(self.axes)}}

    @classmethod
    def restored(cls, arrays: Mapping[str, np.ndarray]) -> PotentialSamples:
        """The inverse of `arrays`."""
        values = arrays["values"]
        return cls(tuple(arrays[f"axis{i}"] for i in range(values.ndim)), values)


def sampled_potential(
    potential: Callable[[np.ndarray], np.ndarray],
    box: Box,
    functions: Eigenfunctions,
    groups: list[list[int]],
) -> PotentialSamples | None:
    """V at nodes that stand close where the states live, each degenerate level counting as much as another.

    None past three dimensions, and where V is not finite on the grid. Cost: the states at 20,000 points of their quadrature,
    and V at up to 65,536 nodes.
    """
    if box.dim not in _NODES:
        return None
    if isinstance(potential, PotentialSamples):
        return potential
    points, weights = functions.quadrature()
    some = slice(None, None, -(-len(points) // _MOST_POINTS))
    density = np.abs(weights[some])[:, None] * np.abs(functions(points[some])) ** 2
    density = np.nan_to_num(density / np.maximum(density.sum(axis=0), 1e-300))  # of what broke down, nothing
    share = np.sum([density[:, group].mean(axis=1) for group in groups], axis=0) / len(groups)
    axes = tuple(_nodes(box, axis, points[some][:, axis], share) for axis in range(box.dim))
    edge = 1e-9 * np.asarray(box.lengths)
    at = np.clip(tensor_points(axes), box.lower + edge, box.upper - edge).reshape(-1, box.dim)
    for nudge in (0.0, 1e-6 * np.asarray(box.lengths) / np.sqrt(2)):  # off a centre, where V is not finite
        try:
            values = potential(np.minimum(at + nudge, box.upper - edge))
        except ValueError:
            continue
        return PotentialSamples(axes, np.asarray(values, dtype=float).reshape([len(axis) for axis in axes]))
    return None


def _nodes(box: Box, axis: int, x: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Ascending coordinates from wall to wall, as many to each equal part of the density, and some evenly."""
    low, high = box.lower[axis], box.upper[axis]
    places, which = np.unique(x, return_inverse=True)
    # Each place stands for its surroundings.
    edges = np.concatenate([[low], (places[1:] + places[:-1]) / 2, [high]])
    below = np.concatenate([[0.0], np.cumsum(np.bincount(which, share))])
    cumulated = _EVEN * (edges - low) / (high - low) + (1 - _EVEN) * below / max(below[-1], 1e-300)
    nodes = np.interp(np.linspace(0, 1, _NODES[box.dim]), cumulated, edges)
    return np.unique(np.concatenate([[low], nodes[1:-1], [high]]))
