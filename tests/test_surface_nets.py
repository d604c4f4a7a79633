"""Surfaces on a mesh: area and volume of a sphere, which side is out, and what is refused."""

import numpy as np
import pytest

from qspin.draw.surface_nets import surface_net


def sphere(n, radius=1.0, half=1.5):
    x = np.linspace(-half, half, n)
    r = np.sqrt(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2)
    vertices, faces = surface_net(-r, -radius)
    return vertices * (2 * half / (n - 1)) - half, faces


def area_and_volume(vertices, faces):
    """Each quadrangle as two triangles; the volume by the divergence theorem, positive where faces look outwards."""
    corners = vertices[faces]
    area = volume = 0.0
    for second in (1, 2):
        a, b, c = corners[:, 0], corners[:, second], corners[:, second + 1]
        area += np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
        volume += np.einsum("fi,fi->", a, np.cross(b, c)) / 6
    return area, volume


def test_area_and_volume_of_a_sphere_converge():
    errors = []
    for n in (20, 40, 80):
        area, volume = area_and_volume(*sphere(n))
        errors.append([abs(area / (4 * np.pi) - 1), abs(volume / (4 * np.pi / 3) - 1)])
    errors = np.array(errors)
    assert (errors[-1] < 3e-3).all()
    assert (errors[:-1] / errors[1:] > 3).all(), "second order in the step"


def test_a_closed_surface_is_closed():
    """Every edge belongs to two faces, once in each direction; and V - E + F = 2."""
    vertices, faces = sphere(24)
    edges = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2)
    directed = {tuple(edge) for edge in edges}
    assert len(directed) == len(edges)
    assert {(b, a) for a, b in directed} == directed
    assert len(vertices) - len(edges) // 2 + len(faces) == 2


def test_vertices_of_a_plane_lie_on_it():
    x = np.linspace(0, 1, 11)
    height = x[:, None, None] + 0.5 * x[:, None] - 0.25 * x
    vertices, faces = surface_net(height, 0.63)
    assert vertices @ [0.1, 0.05, -0.025] == pytest.approx(0.63)
    corners = vertices[faces]
    normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    assert (normals @ [1, 0.5, -0.25] < 0).all(), "faces look to where the function is smaller"


def test_no_surface():
    vertices, faces = surface_net(np.zeros((4, 5, 6)), 1.0)
    assert vertices.shape == (0, 3) and faces.shape == (0, 4)


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.zeros((1, 3, 3)), np.full((3, 3, 3), np.nan)])
def test_wrong_values(values):
    with pytest.raises(ValueError, match="surface_net: values must be finite and"):
        surface_net(values, 0.0)
