"""Ready-made potentials: values, derivatives, dtypes, levels against closed forms, bad input."""

import dataclasses
import doctest
import itertools
import math
import random
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qspin import exact, potentials

CHLORINE_DIOXIDE = Path(__file__).parent.parent / "problems" / "data" / "chlorine_dioxide.toml"


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


SMOOTH = [  # each with a point that is neither a symmetry point nor a singularity
    (potentials.harmonic(), (0.3, -1.2, 2.0)),
    (potentials.harmonic(omega=(1.0, 2.0), mass=(0.5, 3.0), centre=(0.1, -0.2)), (0.3, -1.2)),
    (potentials.coulomb(), (0.3, -1.2)),
    (potentials.coulomb((1.0, -2.0), [(0.0, 0.0, 1.0), (0.0, 0.0, -1.0)]), (0.3, -1.2, 0.1)),
    (potentials.double_well(), (0.7,)),
    (potentials.quartic(0.5), (0.7, -1.1)),
    (potentials.morse(depth=10.0, a=0.7, centre=0.2), (-0.4,)),
    (potentials.poschl_teller(lam=2.5, a=1.3, mass=2.0), (0.4,)),
    (potentials.henon_heiles(), (0.7, -1.1)),
    (potentials.gaussian_wells((1.0, -2.0), [(0.0, 0.0), (1.0, 1.0)], (0.5, 1.5)), (0.3, 0.4)),
    (potentials.force_field(CHLORINE_DIOXIDE), (0.4, -0.3, 0.6)),
]
EVERY = [*SMOOTH, (potentials.square_well(depth=2.0, width=(1.0, 3.0)), (0.2, 1.0))]


def potential_and_point(cases):
    return pytest.mark.parametrize(("v", "point"), cases, ids=[repr(v)[:60] for v, _ in cases])


def sinc_levels(v, half_width, n, mass=1.0, points=200, dim=1):
    """The lowest n levels in a cube by the sinc grid of Colbert and Miller, J. Chem. Phys. 96, 1982."""
    axis, step = np.linspace(-half_width, half_width, points, retstep=True)
    offset = np.subtract.outer(np.arange(points), np.arange(points))
    with np.errstate(divide="ignore"):
        shape = np.where(offset == 0, np.pi**2 / 3, 2.0 / offset**2) * (-1.0) ** offset
    kinetic, one = shape / (2 * mass * step**2), np.eye(points)
    matrix = kinetic if dim == 1 else np.kron(kinetic, one) + np.kron(one, kinetic)
    x = np.stack(np.meshgrid(*[axis] * dim, indexing="ij"), -1).reshape(-1, dim)
    return np.linalg.eigvalsh(matrix + np.diag(jax.vmap(v)(x)))[:n]


def oscillator_levels(v, omega, quanta, n):
    """The lowest n levels of Σ ω_i p_i²/2 + V in oscillator products of at most `quanta` quanta."""
    nodes, weights = np.polynomial.hermite.hermgauss(quanta + 6)
    one = np.ones((quanta + 1, nodes.size)) * np.pi**-0.25  # normalised Hermite polynomials at the nodes
    one[1] *= np.sqrt(2) * nodes
    for k in range(2, quanta + 1):
        one[k] = np.sqrt(2 / k) * nodes * one[k - 1] - np.sqrt((k - 1) / k) * one[k - 2]
    dim = len(omega)
    occupations = [o for o in itertools.product(range(quanta + 1), repeat=dim) if sum(o) <= quanta]
    q = np.stack(np.meshgrid(*[nodes] * dim, indexing="ij"), -1).reshape(-1, dim)
    w = np.prod(np.stack(np.meshgrid(*[weights] * dim, indexing="ij")), axis=0).ravel()
    basis = []
    for occupation in occupations:
        functions = (one[k] for k in occupation)
        product = next(functions)
        for function in functions:
            product = np.multiply.outer(product, function)
        basis.append(product.ravel())
    basis = np.array(basis)
    remainder = np.asarray(jax.vmap(v)(q)) - q**2 @ np.asarray(omega) / 2
    matrix = np.einsum("aq,q,bq->ab", basis, w * remainder, basis, optimize=True)
    return np.linalg.eigvalsh(matrix + np.diag((np.array(occupations) + 0.5) @ np.asarray(omega)))[:n]


def test_docstring_examples_run(monkeypatch):
    monkeypatch.chdir(CHLORINE_DIOXIDE.parent.parent.parent)
    result = doctest.testmod(potentials)
    assert result.failed == 0 and result.attempted > 10


# What every potential keeps to


@potential_and_point(EVERY)
def test_scalar_in_the_dtype_of_the_point_even_under_strict_promotion(v, point):
    value_and_slope = jax.jit(jax.value_and_grad(v))
    with jax.numpy_dtype_promotion("strict"):
        for dtype in (jnp.float64, jnp.float32):
            x = jnp.array(point, dtype)
            value, slope = value_and_slope(x)
            assert value.shape == () and value.dtype == dtype == slope.dtype
            reference, slope = value_and_slope(x.astype(jnp.float64))
            scale = abs(float(reference)) + np.abs(np.asarray(slope)).sum()
            assert abs(float(value) - float(reference)) <= 32 * float(jnp.finfo(dtype).eps) * scale


@potential_and_point(EVERY)
def test_no_double_precision_hides_in_a_float32_trace(v, point):
    jaxpr = str(jax.make_jaxpr(jax.grad(v))(jnp.array(point, jnp.float32)))
    assert "f32" in jaxpr and "f64" not in jaxpr.replace("f64[]", "")


@potential_and_point(EVERY)
def test_vmap_and_jit_agree_with_one_point_at_a_time(v, point):
    x = np.array(point) + np.linspace(-0.1, 0.1, 2)[:, None]
    one_by_one = [v(jnp.array(point)) for point in x]
    np.testing.assert_allclose(jax.jit(jax.vmap(v))(x), one_by_one, rtol=1e-13, atol=1e-13)


@potential_and_point(SMOOTH)
def test_derivatives_agree_with_differences(v, point):
    """Central differences: error h²/6 times a third derivative, h = 1e-4, plus eps/h of rounding."""
    x, h = np.array(point), 1e-4
    every_order = jax.jit(jax.vmap(lambda x: (v(x), jax.grad(v)(x), jax.hessian(v)(x))))
    steps = h * np.eye(x.size)
    far = [np.zeros_like(x), np.full_like(x, 100.0)]
    value, slope, hessian = every_order(np.array([x, *(x + steps), *(x - steps), *far]))
    scale = float(abs(value[0]) + np.abs(hessian[0]).max())
    ahead, behind = slice(1, 1 + x.size), slice(1 + x.size, 1 + 2 * x.size)
    for order, expected in ((value, slope), (slope, hessian)):
        differences = (order[ahead] - order[behind]) / (2 * h)
        np.testing.assert_allclose(expected[0], differences, rtol=1e-6, atol=1e-7 * scale)
    if "coulomb" not in repr(v):  # two derivatives are finite at the origin and far out
        assert all(np.isfinite(order[-2:]).all() for order in (value, slope, hessian))


@potential_and_point(EVERY)
def test_hashable_equal_to_a_twin_and_frozen(v, point):
    twin = dataclasses.replace(v)
    assert v == twin and hash(v) == hash(twin)
    assert jax.eval_shape(jax.jit(lambda v, x: v(x), static_argnums=0), v, jnp.array(point)).shape == ()
    with pytest.raises(AttributeError):
        v.depth = 1.0


@potential_and_point(EVERY)
def test_a_call_wants_one_floating_point_of_the_right_size(v, point):
    x = jnp.array(point)
    wrong = (ValueError, TypeError)  # TypeError from a run-time check of the annotations
    with pytest.raises(wrong, match=r"expected one point of shape .*got \(1, \d\); use jax\.vmap|Float"):
        v(x[None])
    with pytest.raises(wrong, match=r"expected one point|Float"):
        v(x[0])
    with pytest.raises(TypeError, match=r"floating-point|Float"):
        v(jnp.ones(x.shape, int))
    if v.dim is not None:
        with pytest.raises(wrong, match=rf"shape \({len(point)},\), got \({len(point) + 1},\)|Float"):
            v(jnp.zeros(len(point) + 1))


# Values and physics


def test_harmonic_broadcasts_numbers_over_axes():
    x = jnp.array([1.0, -2.0])
    for omega, mass in ((2.0, 0.5), ((2.0, 2.0), 0.5), (2.0, (0.5, 0.5))):
        assert float(potentials.harmonic(omega, mass)(x)) == 5.0
    assert float(potentials.harmonic(centre=np.array([1.0, -2.0]))(x)) == 0.0
    assert potentials.harmonic(np.float64(2)).dim is None and potentials.harmonic(mass=(1, 2)).dim == 2


@pytest.mark.parametrize("mass", [0.5, 1.0, 3.0])
def test_harmonic_levels_do_not_depend_on_mass(mass):
    levels = sinc_levels(potentials.harmonic(omega=1.5, mass=mass), 9.0, 6, mass)
    np.testing.assert_allclose(levels, exact.harmonic(1.5)(6), rtol=1e-9)


@pytest.mark.parametrize("mass", [0.5, 2.0])
def test_morse_levels_are_the_closed_form(mass):
    depth, a = 12.0, 0.6
    well = exact.morse(depth, a, mass)
    levels = sinc_levels(potentials.morse(depth, a, centre=-4.0), 12.0, 4, mass, points=300)
    np.testing.assert_allclose(levels, well(4), rtol=1e-8)


def test_poschl_teller_levels_are_the_closed_form():
    v = potentials.poschl_teller(lam=4.0, a=0.8, mass=2.0)
    np.testing.assert_allclose(sinc_levels(v, 15.0, 3, 2.0), exact.poschl_teller(4.0, 0.8, 2.0)(3), rtol=1e-9)


def test_quartic_levels_are_benders():
    levels = sinc_levels(potentials.quartic(), 6.0, 4, mass=0.5)
    expected = [1.060362090484, 3.799673029801, 7.455697937987, 11.644745511378]
    np.testing.assert_allclose(levels, expected, rtol=1e-9)


def test_square_well_ground_state_obeys_its_transcendental_equation():
    """k tan(k w/2) = κ; the grid places a jump only to one step, so energies agree to that."""
    depth, width = 5.0, 2.0
    energy = sinc_levels(potentials.square_well(depth, width), 6.0, 1, points=400)[0]
    k, kappa = math.sqrt(2 * (energy + depth)), math.sqrt(-2 * energy)
    assert k * math.tan(k * width / 2) == pytest.approx(kappa, rel=0.05)


def test_double_well_splits_its_ground_state():
    v = potentials.double_well(barrier=6.0, separation=3.0)
    x = jnp.array([1.5])
    assert float(v(jnp.zeros(1))) == 6.0 and float(v(x)) == 0.0 == float(v(-x))
    assert jax.hessian(v)(x)[0, 0] == pytest.approx(8 * 6.0 / 1.5**2)
    levels = sinc_levels(v, 5.0, 4)
    assert levels[1] < 6.0 and 0 < levels[1] - levels[0] < 0.1 * (levels[2] - levels[1])


def test_gaussian_wells_far_apart_are_two_single_ones():
    single = potentials.gaussian_wells(4.0, [(0.0,)], 1.0)
    pair = potentials.gaussian_wells(4.0, [(-8.0,), (8.0,)], 1.0)
    ground = sinc_levels(single, 16.0, 1)[0]
    np.testing.assert_allclose(sinc_levels(pair, 16.0, 2), [ground, ground], rtol=1e-6)


def test_square_well_is_a_cuboid():
    v = potentials.square_well(depth=2.0, width=(1.0, 3.0))
    points = jnp.array([[0.4, 1.4], [0.6, 1.4], [0.4, 1.6], [-0.4, -1.4]])
    assert jax.vmap(v)(points).tolist() == [-2.0, 0.0, 0.0, -2.0]


def test_coulomb_centres_and_singularities():
    v = potentials.coulomb(1.0, centres=np.array([[0.0, 0.0, -0.7], [0.0, 0.0, 0.7]]))
    x = np.array([0.3, 0.2, 0.1])
    expected = -sum(1 / np.linalg.norm(x - centre) for centre in v.singularities)
    np.testing.assert_allclose(v(jnp.array(x)), expected, rtol=1e-14)
    assert v.singularities == ((0.0, 0.0, -0.7), (0.0, 0.0, 0.7)) and v.dim == 3
    assert potentials.coulomb().singularities is None and potentials.coulomb().dim is None
    assert float(v(jnp.array([0.0, 0.0, 0.7]))) == -math.inf


@pytest.mark.parametrize(("dim", "mass", "rate"), [(3, 1.0, 1.0)])
def test_coulomb_has_its_exponential_ground_state(dim, mass, rate):
    """(H e^{-κr})/e^{-κr} is the energy at every point: κ = 2mZ/(dim - 1)."""
    v, x = potentials.coulomb(), jnp.linspace(0.4, 1.1, dim)

    def state(x):
        return jnp.exp(-rate * jnp.linalg.norm(x))

    local_energy = jax.jit(lambda x: -jnp.trace(jax.hessian(state)(x)) / (2 * mass * state(x)) + v(x))(x)
    closed_form = {2: exact.hydrogen_2d, 3: exact.hydrogen_3d}[dim](mass=mass)
    assert float(local_energy) == pytest.approx(closed_form(1)[0], rel=1e-12)


def test_henon_heiles_levels_agree_by_two_routes():
    """An oscillator basis and a grid at λ² = 1/80, far below the saddles at 13.3; its C₃ᵥ pairs."""
    basis = oscillator_levels(potentials.henon_heiles(), (1.0, 1.0), quanta=24, n=10)
    grid = sinc_levels(potentials.henon_heiles(), 6.3, 10, points=26, dim=2)
    np.testing.assert_allclose(basis, grid, atol=1e-5)
    pairs = np.flatnonzero(np.diff(basis) < 1e-6)
    assert pairs.tolist() == [1, 4, 6]
    assert np.diff(basis)[7:].min() > 1e-3  # the last two are singles, split by λ⁴


def test_henon_heiles_ground_state_by_perturbation_theory():
    """By hand: 1 - λ²/9 + O(λ⁴), from ⟨2,1|V|0⟩ = λ/2 and ⟨0,3|V|0⟩ = -λ/(2√3) over a gap of 3."""
    for lam in (0.01, 0.02):
        energy = oscillator_levels(potentials.henon_heiles(lam), (1.0, 1.0), quanta=10, n=1)[0]
        assert energy == pytest.approx(1 - lam**2 / 9, abs=lam**4)


def test_henon_heiles_has_a_threefold_axis():
    c, s = math.cos(2 * math.pi / 3), math.sin(2 * math.pi / 3)
    x = jnp.array([0.7, -1.1])
    v = potentials.henon_heiles(0.2)
    np.testing.assert_allclose(v(jnp.array([[c, -s], [s, c]]) @ x), v(x), rtol=1e-13)


# Force fields


def write(tmp_path, text):
    path = tmp_path / "molecule.toml"
    path.write_text(text, encoding="utf-8")
    return path


def direct_sum(field, q):
    total = sum(w * x**2 / 2 for w, x in zip(field.frequencies, q, strict=True))
    for powers, k in field.terms:
        total += k * math.prod(x**n / math.factorial(n) for x, n in zip(q, powers, strict=True))
    return total


def test_chlorine_dioxide_is_read_in_full():
    field = potentials.force_field(str(CHLORINE_DIOXIDE))
    assert field.dim == 3 and field.units == "cm^-1" and field.order == 6 and len(field.terms) == 43
    assert field.frequencies == (455.617542, 960.149798, 1127.824246)
    assert field.modes == ("bend", "symmetric stretch", "antisymmetric stretch")
    assert field.terms[0] == ((3, 0, 0), 56.02720865) and field.terms[-1] == ((0, 0, 6), 2.914537141)
    np.testing.assert_allclose(np.multiply(field.masses, field.frequencies), 1.0, rtol=1e-15)


def test_chlorine_dioxide_against_the_slow_sum():
    field = potentials.force_field(CHLORINE_DIOXIDE)
    q = np.random.default_rng(0).normal(size=(50, 3)) * 2
    np.testing.assert_allclose(jax.vmap(field)(q), [direct_sum(field, point) for point in q], rtol=1e-11)


def test_chlorine_dioxide_at_its_minimum():
    field, q = potentials.force_field(CHLORINE_DIOXIDE), jnp.zeros(3)
    assert float(field(q)) == 0.0 and jax.grad(field)(q).tolist() == [0.0] * 3
    np.testing.assert_allclose(jax.jit(jax.hessian(field))(q), np.diag(field.frequencies), rtol=1e-15)


def test_taylor_coefficients_at_the_minimum_are_the_force_constants():
    """k is the derivative of V at q = 0: ∂³V/∂q₂∂q₃² = -298.67."""
    field = potentials.force_field(CHLORINE_DIOXIDE)
    third = jax.jit(jax.jacfwd(jax.hessian(field)))(jnp.zeros(3))
    constants = dict(field.terms)
    for i, j, k in itertools.product(range(3), repeat=3):
        powers = tuple((i, j, k).count(mode) for mode in range(3))
        assert float(third[i, j, k]) == pytest.approx(constants.get(powers, 0.0), rel=1e-13)


def test_chlorine_dioxide_fundamentals():
    """Observed 447.7, 945.6, 1110.1 cm⁻¹; H leaves out rotation and the surface is good to some cm⁻¹."""
    field = potentials.force_field(CHLORINE_DIOXIDE)
    levels = oscillator_levels(field, field.frequencies, quanta=12, n=6)
    excitations = levels - levels[0]
    for observed in (447.7, 945.6, 1110.1):
        assert np.abs(excitations - observed).min() < 6.0


def test_renaming_the_modes_changes_nothing(tmp_path):
    field = potentials.force_field(CHLORINE_DIOXIDE)
    q = jnp.array([0.4, -0.7, 1.1])
    for order in [(1, 2, 0), (1, 0, 2)]:
        terms = [[[powers[i] for i in order], k] for powers, k in field.terms]
        random.Random(0).shuffle(terms)
        frequencies = [field.frequencies[i] for i in order]
        other = potentials.force_field(write(tmp_path, f"frequencies = {frequencies}\nterms = {terms}"))
        np.testing.assert_allclose(other(q[jnp.array(order)]), field(q), rtol=1e-13)


def test_many_modes_high_order(tmp_path):
    rng, dim = np.random.default_rng(1), 10
    picks = [rng.integers(dim, size=rng.integers(1, 9)) for _ in range(60)]
    drawn = {tuple(np.bincount(pick, minlength=dim).tolist()) for pick in picks}
    terms = [[list(powers), float(rng.normal())] for powers in sorted(drawn)]
    frequencies = [1.0 + i for i in range(dim)]
    field = potentials.force_field(write(tmp_path, f"frequencies = {frequencies}\nterms = {terms}"))
    q = rng.normal(size=dim)
    assert float(field(jnp.array(q))) == pytest.approx(direct_sum(field, q), rel=1e-11)
    assert np.isfinite(jax.jit(jax.hessian(field))(jnp.zeros(dim))).all()


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ("[]", 3.0),
        ("[[[0, 0], 7.0]]", 10.0),
        ("[[[1, 1], 2]]", 5.0),
        ("[[[2, 0], 1.0]]", 3.5),
        ("[[[0, 9], 362880]]", 4.0),  # 9! = 362880
    ],
)
def test_small_force_fields(tmp_path, terms, value):
    field = potentials.force_field(write(tmp_path, f"frequencies = [2, 4]\nterms = {terms}"))
    assert float(field(jnp.ones(2))) == pytest.approx(value, rel=1e-14)
    assert np.isfinite(jax.jit(jax.hessian(field))(jnp.zeros(2))).all()
    assert field.units == "" and field.modes == ("q_1", "q_2") and "2 modes" in repr(field)


def test_no_such_file(tmp_path):
    for path in (tmp_path / "nowhere.toml", tmp_path):
        with pytest.raises(FileNotFoundError, match="expected a TOML file at"):
            potentials.force_field(path)


GOOD = {
    "frequencies": "[1.0, 2.0]",
    "terms": "[[[3, 0], 1.5], [[1, 2], -0.5]]",
    "modes": '["a", "b"]',
    "units": '"eV"',
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frequencies": None}, "expected the key 'frequencies', got .*'modes', 'terms', 'units'"),
        ({"terms": None}, "expected the key 'terms'"),
        ({"mode": "3"}, "expected the keys units, modes, frequencies, terms, got also mode"),
        ({"frequencies": "[1.0, 2.0"}, "not TOML"),
        ({"frequencies": "3.0"}, "frequencies must be a list, got 3.0"),
        ({"frequencies": "[]"}, "frequencies must not be empty"),
        ({"frequencies": '[1.0, "2.0"]'}, "frequencies must be a real number, got '2.0'"),
        ({"frequencies": "[true, 2.0]"}, "frequencies must be a real number, got True"),
        ({"frequencies": "[1.0, 0.0]"}, "frequencies must be positive, got 0.0"),
        ({"frequencies": "[1.0, nan]"}, "must be positive, got nan"),
        ({"frequencies": "[inf, 1.0]"}, "must be positive, got inf"),
        ({"terms": "5"}, "terms must be a list, got 5"),
        ({"terms": "[[[3, 0], 1.0], 5]"}, r"term 2 must be \[2 powers, force constant\], got 5"),
        ({"terms": "[[[3, 0]]]"}, r"term 1 must be \[2 powers, force constant\]"),
        ({"terms": "[[3, 0]]"}, r"term 1 must be \[2 powers, force constant\]"),
        ({"terms": "[[[3, 0], 1.0], [[3, 0, 0], 1.0]]"}, r"term 2 must be \[2 powers, .*got \[\[3, 0, 0\]"),
        ({"terms": "[[[3], 1.0]]"}, r"term 1 must be \[2 powers"),
        ({"terms": "[[[3, -1], 1.0]]"}, "term 1: each power must be an integer from 0 to 64, got -1"),
        ({"terms": "[[[3, 1000000], 1.0]]"}, "integer from 0 to 64, got 1000000"),
        ({"terms": "[[[3, 1.0], 1.0]]"}, "integer from 0 to 64, got 1.0"),
        ({"terms": "[[[3, true], 1.0]]"}, "integer from 0 to 64, got True"),
        ({"terms": '[[[3, 0], "1.0"]]'}, "term 1: force constant must be a real number, got '1.0'"),
        ({"terms": "[[[3, 0], true]]"}, "force constant must be a real number, got True"),
        ({"terms": "[[[3, 0], nan]]"}, "force constant must be finite, got nan"),
        ({"terms": "[[[3, 0], -inf]]"}, "force constant must be finite, got -inf"),
        ({"terms": "[[[3, 0], 1.0], [[0, 3], 1.0], [[3, 0], 2.0]]"}, r"once, got \[3, 0\] 2 times"),
        ({"modes": '["a"]'}, r"modes must be 2 names, one per frequency, got \['a'\]"),
        ({"modes": '["a", 2]'}, "modes must be 2 names"),
        ({"modes": '"ab"'}, "modes must be 2 names, one per frequency, got 'ab'"),
        ({"units": "3"}, "units must be a string, got 3"),
    ],
)
def test_malformed_files(tmp_path, change, message):
    def text(fields):
        return "\n".join(f"{key} = {value}" for key, value in fields.items() if value is not None)

    assert potentials.force_field(write(tmp_path, text(GOOD))).units == "eV"
    with pytest.raises(ValueError, match=rf"force_field: .*molecule\.toml.*{message}"):
        potentials.force_field(write(tmp_path, text(GOOD | change)))


def test_a_binary_file_is_not_toml(tmp_path):
    path = tmp_path / "molecule.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"molecule\.toml is not TOML"):
        potentials.force_field(path)


# Bad input


@pytest.mark.parametrize(
    "make",
    [
        lambda v: potentials.harmonic(omega=v),
        lambda v: potentials.harmonic(mass=v),
        lambda v: potentials.double_well(barrier=v),
        lambda v: potentials.double_well(separation=v),
        lambda v: potentials.quartic(v),
        lambda v: potentials.morse(v, 1.0),
        lambda v: potentials.morse(1.0, v),
        lambda v: potentials.poschl_teller(v),
        lambda v: potentials.poschl_teller(1.0, a=v),
        lambda v: potentials.poschl_teller(1.0, mass=v),
        lambda v: potentials.square_well(v, 1.0),
        lambda v: potentials.square_well(1.0, v),
        lambda v: potentials.gaussian_wells(1.0, [(0.0,)], v),
    ],
)
def test_parameters_are_positive_numbers(make):
    for value in (0.0, -1.0, math.nan, math.inf, np.float32(-1)):
        with pytest.raises(ValueError, match=r"must be (positive|finite), got"):
            make(value)
    for value in ("1.0", None, 1j, True, object()):
        with pytest.raises(TypeError):
            make(value)


@pytest.mark.parametrize(
    "make",
    [
        lambda v: potentials.harmonic(centre=v),
        lambda v: potentials.coulomb(charge=v),
        lambda v: potentials.coulomb(centres=[(0.0, v)]),
        lambda v: potentials.morse(1.0, 1.0, centre=v),
        lambda v: potentials.henon_heiles(v),
        lambda v: potentials.gaussian_wells(v, [(0.0,)], 1.0),
        lambda v: potentials.gaussian_wells(1.0, [(v,)], 1.0),
    ],
)
def test_parameters_are_finite_numbers(make):
    for value in (math.nan, -math.inf):
        with pytest.raises(ValueError, match="must be finite, got"):
            make(value)
    for value in ("1.0", 1j, True, object()):
        with pytest.raises(TypeError):
            make(value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: potentials.harmonic((1.0, 2.0), mass=(1.0,) * 3), "omega has 2 entries, mass has 3 entries"),
        (lambda: potentials.harmonic((1.0, 2.0), centre=(1.0,)), "omega has 2 entries, centre has 1 entries"),
        (lambda: potentials.harmonic(()), "omega must not be empty"),
        (lambda: potentials.coulomb((1.0, 2.0)), "charge must be one number or 1 of them"),
        (lambda: potentials.coulomb(1.0, centres=[]), r"must be a list of at least 1 points \(n, dim\)"),
        (lambda: potentials.coulomb(1.0, centres=1.0), "must be a list of at least 1 points"),
        (lambda: potentials.coulomb(1.0, centres=[0.0, 1.0]), "must be a list of at least 1 points"),
        (
            lambda: potentials.coulomb(1.0, centres=[(0.0, 1.0), (1.0,)]),
            "must be a list of at least 1 points",
        ),
        (
            lambda: potentials.gaussian_wells(1.0, [(0.0,)], (1.0, 2.0)),
            "widths must be one number or 1 of them",
        ),
    ],
)
def test_sizes_must_agree(make, message):
    with pytest.raises(ValueError, match=message):
        make()
