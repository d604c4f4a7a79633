"""Tensor grids over a box: `GridValues`, functions at all combinations of coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qspin.problem.domain import Box, Domain

__all__ = ["GridValues", "tensor_axes", "tensor_points"]

# Arguments are checked by value, with a message that names them; a run-time check of types would come first.
if TYPE_CHECKING:
    Points = int | Sequence[int | np.ndarray | Sequence[float]]
else:
    Points = Any


@dataclass(frozen=True, eq=False)
class GridValues:
    """Eigenfunctions at all combinations of coordinates.

    Attributes:
        axes: for each coordinate x_i its values, (n_i,), ascending, in the units of x.
        values: (n_0, …, n_{dim-1}, N): axis i runs along x_i, the last over the states. float64, or complex.
    """

    axes: tuple[np.ndarray, ...]
    values: np.ndarray


def tensor_points(axes: Sequence[np.ndarray]) -> np.ndarray:
    """All combinations of the coordinates, (n_0, …, n_{dim-1}, dim)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def tensor_axes(domain: Domain, points: Points) -> tuple[np.ndarray, ...]:
    """For each axis of a box its coordinates: what `Spectrum.on_grid` takes as `points`."""
    if not isinstance(domain, Box):
        raise ValueError(f"Spectrum.on_grid: a tensor grid needs a Box, the domain is {domain!r}.")
    per_axis = [points] * domain.dim if isinstance(points, int | np.integer) else _entries(points, domain.dim)
    return tuple(_axis(domain, axis, entry) for axis, entry in enumerate(per_axis))


def _entries(points: Any, dim: int) -> list[Any]:
    try:
        entries = list(points)
    except TypeError:
        entries = []
    if len(entries) != dim:
        raise ValueError(
            f"Spectrum.on_grid: points must be an integer, or {dim} entries, one an axis, each an integer or an ascending "
            f"array; got {points!r}."
        )
    return entries


def _axis(box: Box, axis: int, entry: Any) -> np.ndarray:
    """Equally spaced coordinates, walls included; of a periodic axis the end is the beginning, and is left out."""
    whole = isinstance(entry, int | np.integer) and not isinstance(entry, bool)
    if whole and entry >= 2:
        return np.linspace(box.lower[axis], box.upper[axis], int(entry), endpoint=not box.periodic[axis])
    try:
        values = np.array(entry, dtype=float)
    except (TypeError, ValueError):
        values = np.zeros(())
    if values.ndim != 1 or values.size == 0 or not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        raise ValueError(
            f"Spectrum.on_grid: axis {axis} must be an integer of at least 2, or finite ascending coordinates, got {entry!r}."
        )
    return values
