"""Kernels, matrices, graph Laplacians and slowness: what they do to functions, and SpIN where closed forms exist."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse

import qspin

QUICK = qspin.SpIN(steps=2000, batch_size=128, network=qspin.SeparateMLPs((16, 16)))


def symmetric(n, seed=0):
    a = np.random.default_rng(seed).normal(size=(n, n))
    return (a + a.T) / 2


def applied(operator, n, f):
    """Af at every node, by the function and by the batch."""
    x = jnp.arange(n, dtype=float)[:, None]
    one_by_one = jax.vmap(operator(f))(x)
    at_once = operator.image(f, x, None)
    np.testing.assert_allclose(one_by_one, at_once, rtol=1e-12, atol=1e-12)
    return np.asarray(at_once)


def table(values):
    return lambda x: jnp.asarray(values)[jnp.round(x[0]).astype(int)]


# --- matrices


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_matrix, scipy.sparse.coo_matrix])
@pytest.mark.parametrize("shape", [(), (2,)], ids=["scalar", "vector"])
def test_a_matrix_acts_as_the_matrix(x64, form, shape):
    a = symmetric(6) * (np.random.default_rng(1).uniform(size=(6, 6)) > 0.4)
    a = np.triu(a) + np.triu(a, 1).T
    values = np.random.default_rng(2).normal(size=(6, *shape))
    np.testing.assert_allclose(
        applied(qspin.MatrixOperator(form(a)), 6, table(values)), a @ values, atol=1e-12
    )


def test_few_points_of_a_sparse_matrix(x64):
    """Here only the neighbours are evaluated; Af at every node is the other route."""
    operator = qspin.graph_laplacian(50, [(i, i + 1) for i in range(49)])
    values = np.random.default_rng(0).normal(size=50)
    some = np.array([0, 7, 49])
    image = operator.image(table(values), jnp.asarray(some[:, None], float), None)
    np.testing.assert_allclose(image, applied(operator, 50, table(values))[some], atol=1e-12)


def test_sums_and_multiples(x64):
    a, b, f = symmetric(5), symmetric(5, 1), np.random.default_rng(3).normal(size=5)
    combined = 2.0 * qspin.MatrixOperator(a) - qspin.MatrixOperator(b)
    np.testing.assert_allclose(applied(combined, 5, table(f)), (2 * a - b) @ f, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: qspin.MatrixOperator(np.ones((2, 3))), r"square matrix, got shape \(2, 3\)"),
        (lambda: qspin.MatrixOperator(np.ones(3)), r"square matrix, got an array of shape \(3,\)"),
        (lambda: qspin.MatrixOperator([[1, np.nan], [np.nan, 1]]), "not finite"),
        (lambda: qspin.MatrixOperator([[1, 2], [3, 1]]), r"A\[0, 1\] = 2 and A\[1, 0\] = 3"),
        (lambda: qspin.MatrixOperator([[1, 2], [0, 1]]), r"A\[0, 1\] = 2 and A\[1, 0\] = 0"),
        (lambda: qspin.Problem(qspin.MatrixOperator(np.eye(3)), qspin.Nodes(4)), "needs Nodes of 3 nodes"),
        (lambda: qspin.Problem(qspin.MatrixOperator(np.eye(3)), qspin.Box([0.0], [1.0])), "needs Nodes"),
        (lambda: qspin.graph_laplacian(3, [(0, 3)]), "node numbers from 0 to 2"),
        (lambda: qspin.graph_laplacian(3, [0, 1]), "must be pairs"),
        (lambda: qspin.graph_laplacian(3, [(0, 1)], [-1.0]), "1 numbers of at least 0"),
        (lambda: qspin.slowness(1), "at least 2"),
        (lambda: qspin.slowness([4, 1.5]), "number of frames"),
    ],
)
def test_bad_matrices(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_what_is_local_only_in_a_box_says_so():
    with pytest.raises(TypeError, match="Kinetic: the domain must be a Box"):
        qspin.Problem(qspin.Kinetic(), qspin.Nodes(3))
    matrix = qspin.Problem(qspin.MatrixOperator(np.eye(3)), qspin.Nodes(3))
    with pytest.raises(ValueError, match="Grid: solves for the lowest states of a Hamiltonian in a Box"):
        qspin.solve(matrix, 2, qspin.Grid())


# --- graphs and films


def test_the_quadratic_form_of_a_graph(x64):
    """fᵀLf = Σ w (f_i - f_j)²; edges that are named twice add up, a loop adds nothing."""
    rng = np.random.default_rng(0)
    edges, weights, f = rng.integers(0, 8, (30, 2)), rng.uniform(size=30), rng.normal(size=8)
    image = applied(qspin.graph_laplacian(8, edges, weights), 8, table(f))
    expected = np.sum(weights * (f[edges[:, 0]] - f[edges[:, 1]]) ** 2)
    np.testing.assert_allclose(f @ image, expected, rtol=1e-12)


@pytest.mark.parametrize("clips", [7, [7], [3, 4], [2, 2, 3]])
def test_slowness_is_the_sum_of_squared_steps_within_clips(x64, clips):
    f = np.random.default_rng(0).normal(size=7)
    image = applied(qspin.slowness(clips), 7, table(f))
    steps = [np.diff(part) for part in np.split(f, np.cumsum(np.atleast_1d(clips))[:-1])]
    np.testing.assert_allclose(f @ image, sum(np.sum(step**2) for step in steps), rtol=1e-12)


# --- kernels


@pytest.mark.parametrize(
    "domain", [qspin.Box([0.0], [2.0]), qspin.Gaussian(0.5, 0.7)], ids=["box", "gaussian"]
)
def test_the_mean_over_other_points_is_the_integral(x64, domain):
    """Of k = 1 + x x', f = (1, x): moments 0, 1, 2 of the measure. To five standard errors."""
    moments = (2.0, 2.0, 8 / 3) if isinstance(domain, qspin.Box) else (1.0, 0.5, 0.25 + 0.49)
    operator = 2.0 * qspin.KernelOperator(lambda a, b: 1 + a[0] * b[0])
    x = jnp.asarray([[0.3], [1.1]])
    n = 4000

    def image(key):
        others = qspin.Uniform().draw(key, 16, domain)
        return operator.image(lambda y: jnp.stack([1.0, y[0]]), x, others)

    found = np.asarray(jax.vmap(image)(jax.random.split(jax.random.key(0), n)))
    expected = 2 * np.array([[moments[0] + p * moments[1], moments[1] + p * moments[2]] for p in (0.3, 1.1)])
    assert (np.abs(found.mean(0) - expected) <= 5 * found.std(0) / np.sqrt(n)).all()


def test_a_kernel_is_no_function_of_one_point():
    operator = qspin.KernelOperator(lambda a, b: a[0] * b[0])
    assert not operator.is_local
    assert not (operator + operator).is_local
    with pytest.raises(TypeError, match="integral over the domain"):
        operator(lambda x: x[0])


@pytest.mark.parametrize(
    ("kernel", "error", "match"),
    [
        (lambda a, b: a[0] - b[0], ValueError, r"symmetric, but k\(x, x'\) = .* at x = \("),
        (lambda a, b: jnp.log(a[0] - b[0]) + jnp.log(b[0] - a[0]), ValueError, "finite and symmetric"),
        (lambda a, b: a * b, TypeError, r"must be a scalar .* shape \(1,\)"),
        ("rbf", TypeError, "expected a function k"),
    ],
)
def test_bad_kernels(kernel, error, match):
    with pytest.raises(error, match=match):
        qspin.Problem(qspin.KernelOperator(kernel), qspin.Box([0.0], [1.0]))


# --- SpIN


@pytest.mark.parametrize("largest", [False, True], ids=["lowest", "largest"])
def test_spin_on_a_5_by_5_matrix(largest):
    a = symmetric(5)
    exact = np.linalg.eigvalsh(a)[::-1] if largest else np.linalg.eigvalsh(a)
    problem = qspin.Problem(
        qspin.MatrixOperator(a), qspin.Nodes(5), exact=lambda n: exact[:n], largest=largest
    )
    spectrum = qspin.solve(problem, 3, QUICK)
    assert (np.diff(spectrum.energies) * (-1 if largest else 1) > 0).all()
    np.testing.assert_allclose(spectrum.energies, exact[:3], atol=1e-4)
    vectors = np.linalg.eigh(a)[1][:, :: -1 if largest else 1][:, :3]
    overlaps = np.abs(np.sum(vectors * spectrum(np.arange(5.0)[:, None]), axis=0))
    np.testing.assert_allclose(overlaps, 1, atol=1e-4)
    assert spectrum.groups() == [[0], [1], [2]]
    assert (spectrum.provenance["statistical_errors"] == np.zeros(3)).all()  # summed, not sampled


def mercer(length, deviation, n):
    """Eigenvalues, and eigenfunctions up to their norm, of exp(-(x-x')²/(2 length²)) under a normal density
    (Rasmussen and Williams 2006, section 4.3.1)."""
    a, b = 1 / (4 * deviation**2), 1 / (2 * length**2)
    c = np.sqrt(a * a + 2 * a * b)
    total = a + b + c

    def functions(x):
        hermite = np.polynomial.hermite.hermval(np.sqrt(2 * c) * x, np.eye(n)).T
        return np.exp(-(c - a) * x**2)[:, None] * hermite

    return np.sqrt(2 * a / total) * (b / total) ** np.arange(n), functions


def test_the_rbf_kernel_under_a_gaussian_density_against_mercer():
    exact, functions = mercer(length=1.0, deviation=1.0, n=4)
    kernel = qspin.KernelOperator(lambda a, b: jnp.exp(-jnp.sum((a - b) ** 2) / 2))
    problem = qspin.Problem(kernel, qspin.Gaussian(0.0, 1.0), exact=lambda n: exact[:n], largest=True)
    spectrum = qspin.solve(problem, 4, QUICK)
    np.testing.assert_allclose(spectrum.energies, exact, rtol=0.01)
    assert (np.abs(spectrum.energies - exact) <= 3 * spectrum.errors).all()
    assert (spectrum.residuals > 0).all()
    t, w = np.polynomial.hermite_e.hermegauss(60)  # weights of a normal density, up to their sum
    psi, phi = spectrum(t[:, None]), functions(t)
    overlaps = np.abs(w @ (psi * phi)) / np.sqrt((w @ psi**2) * (w @ phi**2))
    assert (overlaps > 0.99).all()


def test_a_path_graph_against_cosines():
    n = 30
    problem = qspin.Problem(
        qspin.graph_laplacian(n, [(i, i + 1) for i in range(n - 1)]), qspin.Nodes(np.linspace(-1, 1, n))
    )
    spectrum = qspin.solve(problem, 4, QUICK)
    k, i = np.arange(4), np.arange(n)[:, None]
    np.testing.assert_allclose(spectrum.energies, 2 - 2 * np.cos(np.pi * k / n), rtol=0.02, atol=1e-5)
    cosines = np.cos(np.pi * k * (i + 0.5) / n)
    overlaps = np.abs(np.sum(spectrum(i.astype(float)) * cosines, axis=0)) / np.linalg.norm(cosines, axis=0)
    assert (overlaps > 0.99).all()


def test_slow_features_of_a_mixture_of_sinusoids():
    """After the constant the slowest function of the frames is the slow source, whatever mixed it."""
    t = np.arange(400)
    slow, fast = np.sin(2 * np.pi * 1.5 * t / 400 + 0.3), np.sin(2 * np.pi * 23 * t / 400)
    frames = np.stack([slow, fast], axis=1) @ np.array([[1.0, 0.6], [-0.5, 1.2]])
    spectrum = qspin.solve(qspin.Problem(qspin.slowness(400), qspin.Nodes(frames)), 2, QUICK)
    features = spectrum(t[:, None].astype(float))
    assert np.ptp(features[:, 0]) < 0.3 * np.abs(features[:, 0]).mean()
    assert abs(np.corrcoef(features[:, 1], slow)[0, 1]) > 0.95
    assert abs(np.corrcoef(features[:, 1], fast)[0, 1]) < 0.1


# --- files and pictures


@pytest.mark.parametrize("which", ["nodes", "gaussian"])
def test_spectra_on_other_domains_are_saved_and_loaded(tmp_path, which):
    if which == "nodes":
        problem = qspin.Problem(qspin.MatrixOperator(symmetric(5)), qspin.Nodes(np.linspace(-1, 1, 5)))
        x = np.arange(5.0)[:, None]
    else:
        kernel = qspin.KernelOperator(lambda a, b: jnp.exp(-jnp.sum((a - b) ** 2)))
        problem, x = qspin.Problem(kernel, qspin.Gaussian([0.0, 1.0]), largest=True), np.ones((3, 2))
    short = qspin.SpIN(steps=20, batch_size=32, network=qspin.SeparateMLPs((4,)), evaluation_points=1024)
    spectrum = qspin.solve(problem, 2, short)
    loaded = qspin.load(spectrum.save(tmp_path / "s"))
    assert loaded.domain == spectrum.domain
    np.testing.assert_array_equal(loaded.energies, spectrum.energies)
    np.testing.assert_array_equal(loaded(x), spectrum(x))
    np.testing.assert_array_equal(loaded.expect(problem.hamiltonian), spectrum.expect(problem.hamiltonian))
    assert loaded.compare(spectrum).agrees.all()
    spectrum.plot_levels()
    with pytest.raises(TypeError, match="can draw functions in a Box"):
        spectrum.plot_orbitals()
