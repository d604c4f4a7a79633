"""Surfaces where a function on a mesh takes a value: naive surface nets (Gibson 1998), in NumPy."""

from itertools import product

import numpy as np

__all__ = ["surface_net"]


def surface_net(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The surface values = level, as quadrangles.

    One vertex in every cell that the surface cuts, at the mean of where it cuts the cell's edges; one quadrangle for every
    edge that it cuts. That is a third of the faces of marching cubes, and of even size. Their area is right to O(h²). The
    surface is open where it leaves the mesh.

    Args:
        values: (nx, ny, nz) finite numbers on a mesh.
        level: the value.

    Returns vertices (V, 3) in units of mesh steps, counted from values[0, 0, 0], and quadrangles (Q, 4) of indices of
    vertices, anticlockwise as seen from where values are smaller. Both are empty where the surface does not meet the mesh.
    Raises ValueError for another shape or values that are not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 3 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(f"surface_net: values must be finite and (nx, ny, nz), got shape {values.shape}.")
    inside = values > level
    cells = tuple(n - 1 for n in values.shape)
    total, count = np.zeros((*cells, 3)), np.zeros(cells)
    cuts = []
    for axis in range(3):
        start, end = (np.take(values, np.arange(values.shape[axis] - 1) + step, axis) for step in (0, 1))
        below, above = (np.take(inside, np.arange(values.shape[axis] - 1) + step, axis) for step in (0, 1))
        cut = below != above
        cuts.append((cut, below))
        where = np.where(cut, (level - start) / np.where(cut, end - start, 1), 0)
        for offset in product((0, 1), repeat=2):  # the cell's four edges along this axis
            corner = np.insert(offset, axis, 0)
            part = tuple(slice(c, c + n) for c, n in zip(corner, cells, strict=True))
            hit = cut[part]
            count += hit
            total += hit[..., None] * corner
            total[..., axis] += where[part]
    active = count > 0
    vertices = np.argwhere(active) + total[active] / count[active][:, None]
    number = np.cumsum(active.ravel()).reshape(cells) - 1

    faces = []
    for axis, (cut, below) in enumerate(cuts):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        inner = [slice(None)] * 3
        inner[i], inner[j] = slice(1, -1), slice(1, -1)  # edges that four cells share
        edges = np.argwhere(cut[tuple(inner)])
        around = []
        for step_i, step_j in ((0, 0), (1, 0), (1, 1), (0, 1)):
            cell = edges.copy()
            cell[:, i] += step_i
            cell[:, j] += step_j
            around.append(number[tuple(cell.T)])
        quads = np.stack(around, axis=1)
        leaving = below[tuple(inner)][cut[tuple(inner)]]
        faces.append(np.where(leaving[:, None], quads, quads[:, ::-1]))
    return vertices, np.concatenate(faces)
