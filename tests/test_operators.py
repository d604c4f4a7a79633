"""Kernels, matrices, graphs and films: the operators themselves, and SpIN on them against closed forms."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from numpy.polynomial import hermite, hermite_e, legendre

import qspin
from qspin.numerics.points import Points
from qspin.problem.sampling import Uniform

EPS = np.finfo(float).eps
MATRIX = np.random.default_rng(0).normal(size=(5, 5))
MATRIX = MATRIX + MATRIX.T


def tabulated(table):
    """The function of nodes that takes the rows of a table as its values."""
    values = jnp.asarray(table)
    return lambda x: values[jnp.round(x[0]).astype(int)]


def as_points(numbers):
    return jnp.asarray(numbers, float)[:, None]


def tridiagonal(n):
    return np.diag(np.arange(1.0, n + 1)) + np.diag(np.ones(n - 1), 1) + np.diag(np.ones(n - 1), -1)


def dense(operator):
    """The matrix that is stored."""
    n, _ = operator.entries.shape
    matrix = np.zeros((n, n))
    np.add.at(matrix, (np.arange(n)[:, None], operator.columns), operator.entries)
    return matrix


# --- matrices


@pytest.mark.parametrize(
    "matrix", [MATRIX, tridiagonal(40), np.zeros((3, 3))], ids=["full", "narrow", "zero"]
)
@pytest.mark.parametrize(
    "kind", [np.asarray, np.ndarray.tolist, scipy.sparse.csr_matrix, scipy.sparse.coo_array]
)
def test_dense_and_sparse_matrices_are_kept_as_they_are(kind, matrix):
    assert np.array_equal(dense(qspin.MatrixOperator(kind(matrix))), matrix)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("matrix", [MATRIX, tridiagonal(40)], ids=["full", "narrow"])
@pytest.mark.parametrize("shape", [(), (3,)], ids=["one", "three"])
def test_a_matrix_acts_on_functions_of_nodes(matrix, shape):
    """At few points (only their rows are read) and at many (f is evaluated everywhere once), and one by one."""
    operator, n, rng = qspin.MatrixOperator(matrix), len(matrix), np.random.default_rng(1)
    table = rng.normal(size=(n, *shape))
    f, expected = tabulated(table), matrix @ table
    near = 8 * EPS * n * np.abs(matrix).max() * np.abs(table).max()
    few, many = [0, n - 1], rng.integers(n, size=3 * n)
    for numbers in (few, many):
        image = jax.jit(lambda x: operator.image(f, x, None))(as_points(numbers))
        np.testing.assert_allclose(image, expected[numbers], rtol=0, atol=near)
    np.testing.assert_allclose(
        jax.jit(operator(f))(as_points([n - 1])[0]), expected[n - 1], rtol=0, atol=near
    )
    assert operator.is_local


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("n_points", "everywhere"), [(13, False), (14, True)])
def test_f_is_evaluated_no_more_often_than_there_are_nodes(n_points, everywhere):
    """Rows of 3 entries and 40 nodes: 3 evaluations a point, until that is 40."""
    evaluations = []

    def f(x):
        jax.debug.callback(lambda a: evaluations.append(float(a)), x[0])
        return x[0]

    jax.block_until_ready(
        qspin.MatrixOperator(tridiagonal(40)).image(f, as_points(np.arange(n_points) % 40), None)
    )
    jax.effects_barrier()
    assert len(evaluations) == (40 if everywhere else 3 * n_points)


def test_repeated_entries_add_up():
    """As in SciPy, whatever their order; two that cancel leave a zero."""
    rows, columns = [0, 1, 0, 1, 2, 0, 2, 2], [1, 0, 1, 0, 2, 0, 1, 1]
    values = [1.0, 2.5, 2.0, 0.5, 4.0, -1.0, 3.0, -3.0]
    coo = scipy.sparse.coo_matrix((values, (rows, columns)), shape=(3, 3))
    assert np.array_equal(dense(qspin.MatrixOperator(coo)), [[-1, 3, 0], [3, 0, 0], [0, 0, 4]])


@pytest.mark.usefixtures("x64")
def test_matrices_add_with_each_other_and_with_a_potential():
    """-3 L + V + L on a graph, with V diagonal."""
    laplacian = qspin.graph_laplacian(5, [(0, 1), (1, 2), (0, 4)])
    diagonal, table = np.array([1.0, -2.0, 0.5, 3.0, 7.0]), np.random.default_rng(0).normal(size=(5, 2))
    operator = -3 * laplacian + qspin.Potential(tabulated(diagonal)) + laplacian
    problem = qspin.Problem(operator, qspin.Nodes(5))
    image = problem.hamiltonian.image(tabulated(table), as_points(range(5)), None)
    expected = (np.diag(diagonal) - 2 * dense(laplacian)) @ table
    np.testing.assert_allclose(image, expected, atol=64 * EPS)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.ones((2, 3)), r"expected a square matrix, got shape \(2, 3\)"),
        (scipy.sparse.csr_matrix(np.ones((2, 3))), r"expected a square matrix, got shape \(2, 3\)"),
        (np.ones(3), r"expected a square matrix, got shape \(3,\)"),
        (np.zeros((0, 0)), r"expected a square matrix, got shape \(0, 0\)"),
        ([[1.0, 2.0], [3.0, 1.0]], r"must be symmetric, but A\[0, 1\] = 2 and A\[1, 0\] = 3"),
        ([[1.0, 0.0], [5.0, 1.0]], r"must be symmetric, but A\[0, 1\] = 0 and A\[1, 0\] = 5"),
        (scipy.sparse.coo_matrix(([4.0], ([2], [0])), (3, 3)), r"A\[0, 2\] = 0 and A\[2, 0\] = 4"),
        ([[1.0, 1.0], [1.0 + 1e-9, 1.0]], "must be symmetric"),
        ([[np.nan, 0.0], [0.0, 1.0]], "not finite"),
        ([[np.inf, 0.0], [0.0, 1.0]], "not finite"),
    ],
)
def test_matrices_that_are_not_symmetric_and_finite_are_refused(matrix, message):
    with pytest.raises(ValueError, match=f"MatrixOperator: .*{message}"):
        qspin.MatrixOperator(matrix)


def test_rounding_does_not_count_as_asymmetry():
    """A product such as QᵀDQ is symmetric up to eps."""
    rng = np.random.default_rng(0)
    q = rng.normal(size=(50, 50))
    product = q.T @ np.diag(rng.normal(size=50)) @ q
    product[0, 1] += 8 * EPS * np.abs(product).max()
    assert len(qspin.MatrixOperator(product).entries) == 50


@pytest.mark.parametrize("wrap", [lambda a: a, lambda a: 2 * a, lambda a: a + a], ids=["A", "2A", "A+A"])
@pytest.mark.parametrize("domain", [qspin.Nodes(4), qspin.Box([0.0], [3.0]), qspin.Gaussian()], ids=repr)
def test_a_matrix_needs_as_many_nodes_as_rows(wrap, domain):
    with pytest.raises(
        ValueError, match="a 3 × 3 matrix needs Nodes of 3 nodes, got " + type(domain).__name__
    ):
        qspin.Problem(wrap(qspin.MatrixOperator(np.eye(3))), domain)


def test_the_repr_of_a_matrix_tells_matrices_apart():
    one, same, other = (qspin.MatrixOperator(a) for a in (np.eye(3), scipy.sparse.eye(3), 2 * np.eye(3)))
    assert re.fullmatch(r"MatrixOperator\(3 × 3, at most 1 entries a row, [0-9a-f]{8}\)", repr(one))
    assert repr(one) == repr(same) != repr(other)
    assert "at most 3 entries" in repr(qspin.MatrixOperator(tridiagonal(9)))


# --- graphs and films


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("weighted", [False, True])
def test_a_graph_laplacian_sums_squares_over_edges(seed, weighted):
    """fᵀLf = Σ weight (f_i - f_j)²: repeated edges add up, in either direction; a self-loop gives nothing."""
    rng, n = np.random.default_rng(seed), 12
    edges = rng.integers(n, size=(20, 2))
    edges = np.concatenate([edges, edges[:5], edges[5:8, ::-1], [[4, 4]]])
    weights = rng.uniform(0, 2, len(edges)) if weighted else None
    laplacian = dense(qspin.graph_laplacian(n, edges, weights))
    f = rng.normal(size=n)
    expected = np.sum((1.0 if weights is None else weights) * (f[edges[:, 0]] - f[edges[:, 1]]) ** 2)
    assert f @ laplacian @ f == pytest.approx(expected, rel=64 * EPS)
    np.testing.assert_allclose(laplacian, laplacian.T, atol=64 * EPS)
    np.testing.assert_allclose(laplacian.sum(1), 0, atol=64 * EPS)


@pytest.mark.parametrize("edges", [[(1, 1)], np.zeros((0, 2), int)], ids=["self-loop", "none"])
def test_a_graph_without_edges_between_nodes_is_zero(edges):
    assert np.array_equal(dense(qspin.graph_laplacian(3, edges)), np.zeros((3, 3)))


@pytest.mark.parametrize("edges", [[(0, 3)], [(-1, 0)], [0, 1], [(0, 1, 2)], [[[0, 1]]], []])
def test_edges_that_are_not_pairs_of_nodes_are_refused(edges):
    with pytest.raises(ValueError, match=r"edges must be pairs \(m, 2\) of node numbers from 0 to 2, got"):
        qspin.graph_laplacian(3, edges)


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, np.nan], [[1.0, 1.0]], 1.0])
def test_weights_that_are_negative_or_of_another_number_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be 2 numbers of at least 0, got"):
        qspin.graph_laplacian(3, [(0, 1), (1, 2)], weights)


def test_infinite_weights_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        qspin.graph_laplacian(3, [(0, 1)], [np.inf])


@pytest.mark.parametrize("lengths", [7, [7], [3, 5, 2], (2, 2), np.array([4, 3], np.uint8)], ids=str)
def test_slowness_sums_squared_steps_within_clips(lengths):
    clips = np.split(
        np.random.default_rng(0).normal(size=np.sum(lengths)), np.cumsum(np.atleast_1d(lengths))[:-1]
    )
    f = np.concatenate(clips)
    expected = sum(np.sum(np.diff(clip) ** 2) for clip in clips)
    assert f @ dense(qspin.slowness(lengths)) @ f == pytest.approx(expected, rel=64 * EPS)


@pytest.mark.parametrize("lengths", [1, 0, -3, 2.0, [3, 1], [], [[2, 2]], True, "film", None])
def test_films_without_two_frames_are_refused(lengths):
    with pytest.raises(
        ValueError, match="slowness: expected a number of frames of at least 2, or one a clip"
    ):
        qspin.slowness(lengths)


# --- kernels


def separable(x, y):
    return x[0] * y[0] + 1.0


def functions(x):
    return jnp.stack([x[0], x[0] ** 2 + x[1], x[0] * x[1] ** 2])


def quadrature(domain):
    """A Gauss rule for the measure, exact for what `separable` and `functions` need."""
    if isinstance(domain, qspin.Box):
        nodes, weights = legendre.leggauss(6)
        axes = [c + nodes * length / 2 for c, length in zip(domain.centre, domain.lengths, strict=True)]
        weights = weights / weights.sum()
    else:
        nodes, weights = hermite_e.hermegauss(6)
        axes = [m + nodes * s for m, s in zip(domain.mean, domain.deviation, strict=True)]
        weights = weights / weights.sum()
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    return points, domain.volume * np.outer(weights, weights).ravel()


DOMAINS = [qspin.Box([0.0, -1.0], [2.0, 3.0]), qspin.Gaussian([0.5, -1.0], [1.0, 2.0])]
each_domain = pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: type(domain).__name__)


@pytest.mark.usefixtures("x64")
@each_domain
def test_the_image_under_a_kernel_is_unbiased(domain):
    """Means over independent minibatches, against Gauss quadrature of the integral."""
    operator, x = qspin.KernelOperator(separable), jnp.array([[0.3, 0.1], [-1.0, 2.0], [1.7, 0.0]])
    points, weights = quadrature(domain)
    f = np.asarray(jax.vmap(functions)(points))
    exact = np.einsum("xp,p,pn->xn", 1 + np.outer(x[:, 0], points[:, 0]), weights, f)

    def once(key):
        return operator.image(functions, x, Uniform().draw(key, 32, domain))

    found = np.asarray(jax.jit(jax.vmap(once))(jax.random.split(jax.random.key(0), 500)))
    assert found.shape == (500, 3, 3)
    standard_error = found.std(0) / np.sqrt(len(found))
    assert (np.abs(found.mean(0) - exact) < 5 * standard_error).all()
    assert (standard_error < 0.1 * np.abs(exact).max()).all()  # so that the line above says something


@pytest.mark.usefixtures("x64")
@each_domain
def test_the_image_is_linear_in_kernel_and_function(domain):
    """On the same points to rounding; sums and multiples of operators are those of their kernels."""
    gauss = qspin.KernelOperator(lambda x, y: jnp.exp(-jnp.sum((x - y) ** 2)))
    straight = qspin.KernelOperator(separable)
    both = qspin.KernelOperator(lambda x, y: 2 * gauss.kernel(x, y) - 3 * separable(x, y))
    here, there = (Uniform().draw(jax.random.key(seed), 20, domain) for seed in (1, 2))
    g = lambda x: jnp.sin(x[:1])  # noqa: E731
    image = functools.partial(gauss.image, x=here.x, others=there)
    near = 1e3 * EPS * domain.volume
    mixed = image(lambda x: 2 * functions(x) - 5 * g(x))
    np.testing.assert_allclose(mixed, 2 * image(functions) - 5 * image(g), rtol=1e3 * EPS, atol=near)
    for operator in (2 * gauss - 3 * straight, 2.0 * (gauss - straight) + (-straight)):
        np.testing.assert_allclose(
            operator.image(functions, here.x, there),
            both.image(functions, here.x, there),
            rtol=1e3 * EPS,
            atol=1e2 * near,
        )
    np.testing.assert_allclose((2 * gauss + gauss).image(g, here.x, there), 3 * image(g), atol=near)


def test_a_function_of_one_value_keeps_its_shape():
    others = Points(jnp.zeros((6, 2)), jnp.zeros(6))
    image = jax.eval_shape(
        lambda x: qspin.KernelOperator(separable).image(lambda y: y[0], x, others), jnp.zeros((4, 2))
    )
    assert image.shape == (4,)


def test_kernels_are_not_local_alone_or_in_sums():
    kernel, potential = qspin.KernelOperator(separable), qspin.Potential(lambda x: x[0])
    for operator in (kernel, -kernel, 2 * kernel + kernel, kernel + potential):
        assert not operator.is_local
        qspin.Problem(operator, DOMAINS[1], largest=True)
        with pytest.raises(TypeError, match=r"KernelOperator: Kf is an integral.* use image\(f, x, others\)"):
            operator(functions)


@pytest.mark.parametrize("domain", [qspin.Box([0.0], [1.0]), qspin.Gaussian(), qspin.Nodes(9)], ids=repr)
def test_an_asymmetric_kernel_is_refused_with_the_pair(domain):
    """k(x, x') = x: the values named are the coordinates named."""
    with pytest.raises(ValueError, match="KernelOperator: k must be finite and symmetric, but") as refused:
        qspin.Problem(qspin.KernelOperator(lambda x, y: x[0]), domain)
    pattern = r"k\(x, x'\) = (\S+) and k\(x', x\) = (\S+) at x = \((.+)\), x' = \((.+)\)\."
    there, back, x, y = re.search(pattern, str(refused.value)).groups()
    assert (there, back) == (x, y) and x != y


def test_a_kernel_that_is_not_finite_is_refused():
    kernel = qspin.KernelOperator(lambda x, y: jnp.where(x[0] * y[0] > 1, jnp.nan, 1.0))
    with pytest.raises(ValueError, match=r"finite and symmetric, but k\(x, x'\) = nan and"):
        qspin.Problem(kernel, qspin.Gaussian())


@pytest.mark.parametrize(("kernel", "shape"), [(lambda x, y: x + y, r"\(2,\)"), (jnp.outer, r"\(2, 2\)")])
def test_a_kernel_that_is_not_a_scalar_is_refused(kernel, shape):
    message = rf"must be a real scalar for two points of shape \(2,\), got .*shape={shape}"
    with pytest.raises(TypeError, match=message):
        qspin.Problem(qspin.KernelOperator(kernel), qspin.Gaussian([0.0, 0.0]))


def test_a_kernel_must_be_a_function():
    with pytest.raises(TypeError, match=r"KernelOperator: kernel must be a function k\(x, x'\) .* got array"):
        qspin.KernelOperator(np.eye(3))


# --- SpIN on them


def spin(steps=2000, batch_size=64):
    network = qspin.SeparateMLPs((16, 16))
    return qspin.SpIN(steps=steps, batch_size=batch_size, network=network, evaluation_points=16_384)


def overlaps(spectrum, expected, points, weights):
    """|⟨ψ_k, expected_k⟩| by a quadrature on which both are normalised."""
    found = spectrum(points)
    found, expected = (f / np.sqrt(weights @ f**2) for f in (found, expected))
    return np.abs(weights @ (found * expected))


def on_nodes(spectrum, expected):
    points = spectrum.domain.all_points()
    return overlaps(spectrum, expected, points, np.ones(len(points)))


@pytest.mark.parametrize(
    "largest", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["lowest", "largest"]
)
def test_spin_finds_the_eigenvectors_of_a_matrix(largest):
    """Indicators of the nodes are features enough for any vector."""
    values, vectors = np.linalg.eigh(MATRIX)
    chosen = np.s_[:-4:-1] if largest else np.s_[:3]
    spectrum = solved("largest" if largest else "matrix")
    assert (np.diff(spectrum.energies) * (-1 if largest else 1) > 0).all()
    off = np.abs(spectrum.energies - values[chosen])
    assert off.max() < 1e-4
    assert (off < 3 * spectrum.errors + 1e-6).all()
    assert (on_nodes(spectrum, vectors[:, chosen]) > 1 - 1e-4).all()
    np.testing.assert_allclose(spectrum.expect(NODES.hamiltonian), spectrum.energies, rtol=1e-9)


NODES = qspin.Problem(qspin.MatrixOperator(MATRIX), qspin.Nodes(5), name="matrix")
SIGMA, LENGTH = 1.0, 1.0
RBF = qspin.Problem(
    qspin.KernelOperator(lambda x, y: jnp.exp(-jnp.sum((x - y) ** 2) / (2 * LENGTH**2))),
    qspin.Gaussian(0.0, SIGMA),
    name="rbf",
    largest=True,
)
PATH = qspin.Problem(
    qspin.graph_laplacian(30, [(i, i + 1) for i in range(29)]),
    qspin.Nodes(np.linspace(-1, 1, 30)),
    name="path",
)


@functools.cache
def solved(name):
    """Four states of the path of 30 nodes or of the squared exponential kernel, three of either end of a small matrix."""
    if name in ("matrix", "largest"):
        return qspin.solve(dataclasses.replace(NODES, largest=name == "largest"), 3, spin(1000))
    return qspin.solve(PATH, 4, spin(4000)) if name == "path" else qspin.solve(RBF, 4, spin(3000, 128))


@pytest.mark.slow
def test_spin_finds_the_mercer_expansion_of_a_squared_exponential():
    """Under a normal density (Rasmussen & Williams 2006, 4.3.1): a geometric series, and Hermite functions."""
    a, b = 1 / (4 * SIGMA**2), 1 / (2 * LENGTH**2)
    c = np.sqrt(a**2 + 2 * a * b)
    exact = np.sqrt(2 * a / (a + b + c)) * (b / (a + b + c)) ** np.arange(4)
    spectrum = solved("rbf")
    off = np.abs(spectrum.energies - exact)
    assert (off < np.maximum(0.01 * exact, 3 * spectrum.errors)).all()
    assert (spectrum.errors < 0.05 * exact).all()  # so that three of them are not much to ask
    assert (np.diff(spectrum.energies) < 0).all()
    x, weights = hermite_e.hermegauss(60)
    x = SIGMA * x
    expected = np.exp(-(c - a) * x[:, None] ** 2) * hermite.hermvander(np.sqrt(2 * c) * x, 3)
    assert (overlaps(spectrum, expected, x[:, None], weights / weights.sum()) > 0.99).all()


@pytest.mark.slow
def test_spin_finds_the_cosines_of_a_path():
    """Eigenvalues 2 - 2 cos(πk/n); the constant, of eigenvalue 0, first."""
    n, k = 30, np.arange(4)
    spectrum = solved("path")
    off = np.abs(spectrum.energies - (2 - 2 * np.cos(np.pi * k / n)))
    assert off.max() < 2e-3  # the highest wanted eigenvalue is 0.098, of a range up to 4
    assert (off < 3 * spectrum.errors + 1e-6).all()
    cosines = np.cos(np.pi * k * (np.arange(n)[:, None] + 0.5) / n)
    assert (on_nodes(spectrum, cosines) > 0.99).all()


def test_functions_of_nodes_are_summed_over_not_sampled():
    """Orthonormal to rounding, upper bounds of the eigenvalues, and no statistical error."""
    spectrum = solved("matrix")
    u = spectrum(NODES.domain.all_points())
    np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(u.T @ MATRIX @ u, np.diag(spectrum.energies), atol=1e-6)
    assert (spectrum.energies > np.linalg.eigvalsh(MATRIX)[:3] - 1e-12).all()
    assert spectrum.provenance["statistical_errors"] == [0.0] * 3


@pytest.mark.slow
def test_spin_finds_the_slow_source_of_a_mixture():
    """Slow feature analysis: after the constant, of two mixed sinusoids the slow one."""
    t = np.arange(400) / 400
    slow, fast = np.sin(2 * np.pi * 2 * t), np.cos(2 * np.pi * 11 * t)
    frames = np.stack([slow, fast], axis=1) @ [[1.0, 0.6], [-0.5, 1.0]] + 0.2
    problem = qspin.Problem(qspin.slowness(400), qspin.Nodes(frames))
    constant, feature = qspin.solve(problem, 2, spin())(problem.domain.all_points()).T
    assert np.ptp(constant) < 0.1 * np.abs(constant).mean() * np.sqrt(len(t)) / 2
    assert abs(np.corrcoef(feature, slow)[0, 1]) > 0.95


@pytest.mark.parametrize(
    "problem", [pytest.param(RBF, marks=pytest.mark.slow), NODES], ids=lambda problem: problem.name
)
def test_a_saved_spectrum_comes_back(problem, tmp_path):
    spectrum = solved(problem.name)
    loaded = qspin.load(spectrum.save(tmp_path / "spectrum"))
    for name in ("energies", "errors", "residuals", "converged"):
        assert np.array_equal(getattr(loaded, name), getattr(spectrum, name))
    assert loaded.domain == spectrum.domain == problem.domain
    points = np.array([[0.0], [3.0], [1.0]])
    assert np.array_equal(loaded(points), spectrum(points))
    assert not loaded.compare(spectrum).differences.any()
    assert str(loaded) == str(spectrum)


@pytest.mark.parametrize("name", [pytest.param("rbf", marks=pytest.mark.slow), "matrix"])
def test_pictures_of_orbitals_need_a_box(name):
    with pytest.raises(
        TypeError, match=f"orbitals: can draw functions in a Box, got {type(solved(name).domain).__name__}"
    ):
        solved(name).plot_orbitals()
    solved(name).plot_levels()
    solved(name).plot_history()


@pytest.mark.parametrize(
    "problem",
    [
        RBF,
        PATH,
        qspin.Problem(RBF.hamiltonian, qspin.Box([0.0], [1.0])),
    ],
    ids=["gaussian", "nodes", "kernel"],
)
def test_a_grid_solves_hamiltonians_only(problem):
    with pytest.raises(ValueError, match=r"Grid: .* use qspin\.SpIN\(\)"):
        qspin.solve(problem, 2, qspin.Grid())


@pytest.mark.parametrize("operator", [RBF.hamiltonian, PATH.hamiltonian], ids=["kernel", "matrix"])
def test_there_is_no_local_form(operator):
    assert operator.local_form(1) is None


def test_a_matrix_has_no_more_eigenvectors_than_rows():
    with pytest.raises(ValueError, match="n_states=6 is more than the 5 nodes of the domain"):
        qspin.solve(qspin.Problem(qspin.MatrixOperator(MATRIX), qspin.Nodes(5)), 6, spin())


@pytest.mark.slow
def test_a_checkpoint_of_another_kernel_or_of_the_other_end_is_refused(tmp_path):
    def problem(rate, largest):
        kernel = qspin.KernelOperator(lambda x, y: jnp.exp(-rate * jnp.sum((x - y) ** 2)))
        return qspin.Problem(kernel, qspin.Gaussian(), largest=largest)

    method = qspin.SpIN(steps=4, batch_size=16, network=qspin.MLP((4,)), evaluation_points=1024)
    qspin.solve(problem(1.0, True), 1, method, checkpoint=tmp_path / "c.npz")
    for other in (problem(9.0, True), problem(1.0, False)):
        with pytest.raises(ValueError, match="belongs to a run with another problem"):
            qspin.solve(other, 1, method, checkpoint=tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("kernel", "error", "match"),
    [
        (lambda x, y: None, TypeError, "must be a real scalar .* got None"),
        (lambda x, y: 1j * x[0] * y[0], TypeError, "must be a real scalar"),
        (lambda x, y: jnp.where(x[0] * y[0] > 0.1, jnp.inf, 1.0), ValueError, "finite and symmetric"),
    ],
    ids=["nothing", "complex", "infinite"],
)
def test_kernels_that_are_no_numbers_are_refused(kernel, error, match):
    with pytest.raises(error, match=match):
        qspin.Problem(qspin.KernelOperator(kernel), qspin.Gaussian())


def test_matrices_and_edges_that_would_be_rounded_are_refused():
    with pytest.raises(ValueError, match="expected a real symmetric matrix, got a complex one"):
        qspin.MatrixOperator(np.array([[1, 1j], [-1j, 1]]))
    with pytest.raises(ValueError, match="edges must be pairs"):
        qspin.graph_laplacian(3, [(0.5, 1.7)])


def test_nodes_keep_their_own_copy():
    table = np.zeros((3, 1))
    nodes = qspin.Nodes(table)
    table[0] = 1
    assert nodes == qspin.Nodes(np.zeros((3, 1)))
    assert hash(qspin.Nodes([0.0, 1.0])) == hash(qspin.Nodes([-0.0, 1.0]))
