"""Closed forms: degeneracies, literature values, brute force in few dimensions, speed in many, bad input."""

import doctest
import heapq
import itertools
import math
import pickle
import time

import jax.numpy as jnp
import numpy as np
import pytest

import qspin
from qspin import exact

ROUNDING = 64 * np.finfo(float).eps  # relative: some dozen roundings between two ways of summing one energy

EVERY = [
    exact.box((1.0, 2.0, 1.0), mass=(1.0, 0.5, 3.0)),
    exact.harmonic(1.3, dim=3),
    exact.harmonic((1.0, math.sqrt(2), math.pi)),
    exact.hydrogen_2d(),
    exact.hydrogen_3d(charge=2.0),
    exact.morse(depth=5000.0, a=1.0),
    exact.poschl_teller(lam=100.5),
    exact.ring(3.0),
    exact.torus((1.0, 1.0, 2.0)),
    exact.coupled_oscillators(np.diag([1.0, 4.0]) + 0.3),
    exact.moshinsky(particles=3, space=2, omega=1.0, k=0.5),
]


def degeneracies(energies):
    """Sizes of the groups of energies equal to rounding; the last one may be cut."""
    gaps = np.diff(energies) > ROUNDING * np.abs(energies).max()
    return np.diff(np.flatnonzero(np.concatenate([[True], gaps, [True]]))).tolist()


def brute_force(ladders, n):
    return np.sort([sum(levels) for levels in itertools.product(*ladders)])[:n]


def test_docstring_examples_run():
    assert doctest.testmod(exact).failed == 0


@pytest.mark.parametrize("spectrum", EVERY, ids=lambda spectrum: spectrum.name)
def test_lowest_n_is_ascending_float64_and_a_prefix_of_more(spectrum):
    many = spectrum(90)
    assert many.shape == (90,) and many.dtype == np.float64
    assert np.all(np.diff(many) >= 0)
    for n in (1, 2, 3, 7, 50):
        np.testing.assert_allclose(spectrum(n), many[:n], rtol=ROUNDING)
    assert spectrum.formula and spectrum.name in repr(spectrum)


def test_frozen_and_picklable():
    spectrum = exact.box((1.0, 2.0))
    with pytest.raises(AttributeError):
        spectrum.capacity = 3
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(spectrum))(20), spectrum(20))


def test_numpy_integers_count():
    assert exact.ring(1.0)(np.int32(3)).shape == (3,)


# Literature values and degeneracies


def test_hydrogen_2d_is_the_papers_ladder():
    shells = [-1 / (2 * k + 1) ** 2 for k in range(4)]
    expected = np.repeat(shells, [1, 3, 5, 7])
    np.testing.assert_allclose(exact.hydrogen_2d()(16), expected, rtol=ROUNDING)
    assert degeneracies(exact.hydrogen_2d()(36)) == [1, 3, 5, 7, 9, 11]


def test_hydrogen_2d_ground_state_is_four_rydberg_in_atomic_units():
    assert exact.hydrogen_2d(mass=1.0)(1)[0] == pytest.approx(-2.0, rel=ROUNDING)  # hartree; -0.5 in 3D


def test_hydrogen_3d_in_electronvolts():
    levels = exact.hydrogen_3d()(14) * 27.211386245988  # CODATA hartree
    np.testing.assert_allclose(levels[[0, 1, 5]], [-13.605693, -3.401423, -1.511744], atol=1e-6)
    assert degeneracies(exact.hydrogen_3d()(91)) == [1, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("make", [exact.hydrogen_2d, exact.hydrogen_3d])
def test_hydrogen_scales_with_charge_squared_and_mass(make):
    np.testing.assert_allclose(make(charge=3.0, mass=2.0)(20), 3**2 * 2 * make(mass=1.0)(20), rtol=ROUNDING)


@pytest.mark.parametrize(
    ("make", "shell"), [(exact.hydrogen_2d, lambda k: 2 * k - 1), (exact.hydrogen_3d, lambda k: k**2)]
)
def test_hydrogen_shells_close_where_they_should(make, shell):
    full = 0
    for k in range(1, 40):
        full += shell(k)
        last, beyond = make()(full)[-1], make()(full + 1)[-1]
        assert make()(full).shape == (full,) and last < beyond


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_isotropic_oscillator_degeneracies_are_binomial_and_exact(dim):
    shells = [math.comb(k + dim - 1, dim - 1) for k in range(6)]
    energies = exact.harmonic(math.sqrt(2), dim=dim)(sum(shells))
    assert [np.count_nonzero(energies == e) for e in np.unique(energies)] == shells  # equal to the last bit
    assert energies[0] == pytest.approx(dim * math.sqrt(2) / 2, rel=ROUNDING)


def test_square_box_levels():
    energies = exact.box((1.0, 1.0), mass=0.5)(11) / math.pi**2
    np.testing.assert_allclose(energies, [2, 5, 5, 8, 10, 10, 13, 13, 17, 17, 18], rtol=ROUNDING)


def test_accidental_degeneracy_of_the_square_box():
    """50 = 1² + 7² = 5² + 5² = 7² + 1² (a threefold level no symmetry asks for)."""
    energies = exact.box((1.0, 1.0), mass=0.5)(60) / math.pi**2
    assert np.count_nonzero(np.isclose(energies, 50, rtol=ROUNDING)) == 3


def test_cube_degeneracies():
    assert degeneracies(exact.box((2.0, 2.0, 2.0))(17)) == [1, 3, 3, 3, 1, 6]


def test_five_dimensional_box():
    """Σ n_i² from 5 ones: one 2, two 2s, a 3, three 2s."""
    energies = exact.box([1.0] * 5, mass=0.5)(31) / math.pi**2
    np.testing.assert_allclose(energies, np.repeat([5, 8, 11, 13, 14], [1, 5, 10, 5, 10]), rtol=ROUNDING)


def test_box_twice_as_long_has_a_quarter_of_the_energy():
    np.testing.assert_allclose(exact.box(2.0)(9), exact.box(1.0)(9) / 4, rtol=ROUNDING)


def test_ring_and_torus_degeneracies():
    assert degeneracies(exact.ring(5.0)(9)) == [1, 2, 2, 2, 2]
    assert degeneracies(exact.torus((1.0, 1.0))(25)) == [1, 4, 4, 4, 8, 4]
    np.testing.assert_allclose(exact.ring(5.0, mass=2.0)(9), exact.torus(5.0, mass=2.0)(9), rtol=ROUNDING)


def test_torus_obeys_weyls_law():
    """N(E) → area · mass · E/(2π) in two dimensions; the remainder is of order √N at most."""
    lengths, mass, n = (1.0, 1.7), 0.5, 20_000
    energy = exact.torus(lengths, mass)(n)[-1]
    assert abs(math.prod(lengths) * mass * energy / (2 * math.pi) - n) < 3 * math.sqrt(n)


def test_hydrogen_molecule_as_a_morse_well():
    """H₂ (Huber and Herzberg): ω_e = 4401.21, ω_e x_e = 121.34 cm⁻¹; fundamental ω_e - 2 ω_e x_e."""
    omega, anharmonicity = 4401.21, 121.34
    well = exact.morse(depth=omega**2 / (4 * anharmonicity), a=math.sqrt(2 * anharmonicity))
    energies = well(3)
    assert energies[0] == pytest.approx(omega / 2 - anharmonicity / 4, rel=ROUNDING)
    assert energies[1] - energies[0] == pytest.approx(omega - 2 * anharmonicity, rel=ROUNDING)
    assert energies[2] - energies[0] == pytest.approx(2 * omega - 6 * anharmonicity, rel=ROUNDING)


def test_deep_morse_well_tends_to_the_oscillator():
    depth = 1e8  # the anharmonicity is (a²/2)(n + ½)² with a² = 1/(2 D)
    error = exact.morse(depth, a=1 / math.sqrt(2 * depth))(10) - exact.harmonic(1.0)(10)
    assert np.all(np.abs(error) <= (np.arange(10) + 0.5) ** 2 / (4 * depth) * (1 + 1e-4) + ROUNDING * 10)


@pytest.mark.parametrize(
    ("depth", "a", "mass", "bound"),
    [
        (8.0, 1.0, 1.0, 4),  # √(2mD)/a = 4
        (6.125, 1.0, 1.0, 3),  # 3.5: the state n = 3 would sit at threshold
        (0.06125, 0.1, 1.0, 3),  # the same, with rounding
        (0.125, 1.0, 1.0, 0),  # 1/2: too shallow
        (0.1, 1.0, 1.0, 0),
    ],
)
def test_morse_counts_its_bound_states(depth, a, mass, bound):
    well = exact.morse(depth, a, mass)
    assert well.capacity == bound
    if bound:
        assert well(bound)[-1] < depth
    with pytest.raises(ValueError, match=rf"morse.*{bound} bound states exist, {bound + 1} were asked for"):
        well(bound + 1)


@pytest.mark.parametrize(("lam", "bound"), [(0.3, 1), (1, 1), (1.01, 2), (3, 3), (6.0, 6)])
def test_poschl_teller_counts_its_bound_states(lam, bound):
    well = exact.poschl_teller(lam)
    assert well.capacity == bound and well(bound)[-1] < 0
    with pytest.raises(ValueError, match=f"{bound} bound states exist"):
        well(bound + 1)


def test_poschl_teller_scales_with_a_squared_over_mass():
    scaled = exact.poschl_teller(4, a=3.0, mass=2.0)(4)
    np.testing.assert_allclose(scaled, np.array([-16, -9, -4, -1]) * 9 / 4)


def test_coupled_oscillators_by_hand():
    """Two unit masses on unit springs, coupled by a spring k: ω = 1 and √(1 + 2k)."""
    k = 1.5
    spectrum = exact.coupled_oscillators([[1 + k, -k], [-k, 1 + k]])
    np.testing.assert_allclose(spectrum(30), exact.harmonic((1.0, 2.0))(30), rtol=ROUNDING)


def test_coupled_oscillators_do_not_see_a_rotation(dim=6):
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    omega = rng.uniform(0.5, 3.0, dim)
    spectrum = exact.coupled_oscillators(rotation @ np.diag(omega**2) @ rotation.T)
    np.testing.assert_allclose(spectrum(100), exact.harmonic(omega)(100), rtol=dim * ROUNDING)


def moshinsky_matrix(particles, space, omega, k):
    """V = ½ xᵀ A x: ω² + (N - 1) k for each particle, -k between two of them, the same along every axis of space."""
    laplacian = particles * np.eye(particles) - np.ones((particles, particles))  # of the complete graph
    return np.kron(omega**2 * np.eye(particles) + k * laplacian, np.eye(space))


@pytest.mark.parametrize("k", [-0.3, 0.0, 0.5, 4.0])
@pytest.mark.parametrize(("particles", "space"), [(1, 1), (2, 1), (2, 3), (3, 2), (8, 3)])
def test_moshinsky_agrees_with_the_normal_modes_of_its_springs(particles, space, k, omega=1.7):
    by_modes = exact.coupled_oscillators(moshinsky_matrix(particles, space, omega, k))
    closed = exact.moshinsky(particles, space, omega, k)
    np.testing.assert_allclose(closed(60), by_modes(60), rtol=particles * space * ROUNDING)


def test_moshinsky_without_springs_is_independent_oscillators():
    """Six of them: degeneracies 1, 6, 21, 56, equal to the last bit."""
    free = exact.moshinsky(3, 2, omega=1.3, k=0.0)(84)
    np.testing.assert_array_equal(free, exact.harmonic(1.3, dim=6)(84))
    assert degeneracies(free) == [1, 6, 21, 56]


def test_moshinsky_degeneracies_are_those_of_the_two_kinds_of_modes():
    """ω = 1 twice and Ω = √2.5 four times: 0, ω, Ω, 2ω, ω + Ω, 3ω and 2Ω above the ground state."""
    assert degeneracies(exact.moshinsky(3, 2, omega=1.0, k=0.5)(32)) == [1, 2, 4, 3, 8, 4, 10]


def test_one_particle_has_no_springs():
    np.testing.assert_array_equal(exact.moshinsky(1, 3, 1.0, k=-9.0)(20), exact.harmonic(1.0, dim=3)(20))


def test_two_particles_on_a_line_against_the_grid(omega=1.0, k=1.0):
    def potential(x):
        return 0.5 * omega**2 * jnp.sum(x**2) + 0.5 * k * (x[0] - x[1]) ** 2

    hamiltonian = qspin.Kinetic() + qspin.Potential(potential)
    grid = qspin.solve(qspin.Problem(hamiltonian, qspin.Box.cube(7.0, dim=2)), 4, qspin.Grid())
    off = np.abs(grid.energies - exact.moshinsky(2, 1, omega, k)(4))
    assert (off <= grid.errors + 1e-9).all() and (grid.errors < 1e-6).all()


@pytest.mark.parametrize("omega", [0.5, 0.1])
def test_hooke_atom_solves_the_radial_equation(omega):
    """u = r ψ: -u'' + (¼ω²r² + 1/r) u = E u with u(0) = 0, in sines (a matrix of 200 × 200)."""
    end, n = 12 / math.sqrt(2 * omega), 200
    i = np.arange(1, n + 1)
    r = end * i / (n + 1)
    sines = math.sqrt(2 / (n + 1)) * np.sin(math.pi * np.outer(i, i) / (n + 1))
    matrix = sines @ np.diag((math.pi * i / end) ** 2) @ sines + np.diag(omega**2 * r**2 / 4 + 1 / r)
    off = np.linalg.eigvalsh(matrix)[0] - exact.hooke_atom(omega, relative=True)(1)[0]
    assert abs(off) < 1e-4 * omega  # it falls as n⁻², for 1/r bends u at 0: 4e-5 omega


def test_hooke_atom_is_its_centre_of_mass_and_its_relative_motion():
    for omega, total in ((0.5, 2.0), (0.1, 0.5)):
        centre = exact.harmonic(omega, dim=3)(1)
        np.testing.assert_allclose(centre + exact.hooke_atom(omega, relative=True)(1), total, rtol=ROUNDING)
        np.testing.assert_allclose(exact.hooke_atom(omega)(1), total, rtol=ROUNDING)


def test_repulsion_raises_hookes_atom_but_by_less_than_unrelaxed_electrons_would():
    """Between two free electrons, 3ω, and their mean energy with 1/r₁₂: ⟨1/r₁₂⟩ = √(2ω/π) for Gaussians."""
    for omega in (0.5, 0.1):
        repulsion = exact.hooke_atom(omega)(1)[0] - 3 * omega
        assert 0 < repulsion < math.sqrt(2 * omega / math.pi)


def test_hooke_atom_knows_its_ground_state_only():
    with pytest.raises(ValueError, match=r"only the ground state is known .*, 2 levels were asked for"):
        exact.hooke_atom()(2)


def test_coupled_oscillators_take_a_float32_matrix():
    matrix = np.array([[1.0, 0.1], [np.nextafter(np.float32(0.1), np.float32(1)), 2.0]], np.float32)
    assert exact.coupled_oscillators(matrix)(1)[0] == pytest.approx(1.2, abs=0.1)


# Two routes


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("n", [1, 2, 10, 60])
def test_separable_sums_agree_with_brute_force(dim, n):
    rng = np.random.default_rng(dim)
    scale, mass = rng.uniform(0.5, 2.0, dim), rng.uniform(0.5, 2.0, dim)
    k = np.arange(60)
    turns = (k + 1) // 2
    axes = list(zip(scale, mass, strict=True))
    pairs = [
        (exact.box(scale, mass), [(math.pi * (k + 1) / s) ** 2 / (2 * m) for s, m in axes]),
        (exact.torus(scale, mass), [(2 * math.pi * turns / s) ** 2 / (2 * m) for s, m in axes]),
        (exact.harmonic(scale), [s * (k + 0.5) for s in scale]),
        (exact.harmonic(1.1, dim=dim), [1.1 * (k + 0.5)] * dim),
    ]
    for spectrum, ladders in pairs:
        reachable = [ladder[: n if dim < 3 else 20] for ladder in ladders]
        np.testing.assert_allclose(spectrum(n), brute_force(reachable, n), rtol=ROUNDING)


def test_axes_may_come_in_any_order():
    omega = (1.0, 2.0, math.sqrt(3), 1.0)
    for order in itertools.permutations(omega):
        np.testing.assert_allclose(exact.harmonic(order)(80), exact.harmonic(omega)(80), rtol=ROUNDING)


def test_sixty_four_dimensions_by_their_own_count():
    """Lowest level, 64 singles, 64·65/2 doubles: 200 levels end inside the doubles."""
    energies = exact.harmonic(1.0, dim=64)(200)
    np.testing.assert_allclose(energies, np.repeat([32.0, 33.0, 34.0], [1, 64, 135]), rtol=ROUNDING)


def test_sixty_four_unlike_dimensions_are_fast_and_right():
    omega = np.linspace(1.0, 1.9, 64)
    start = time.perf_counter()
    energies = exact.harmonic(omega)(200)
    assert time.perf_counter() - start < 1.0  # seconds; it takes some thousandths
    excited = [0.0, *omega, *(a + b for a, b in itertools.combinations_with_replacement(omega, 2))]
    np.testing.assert_allclose(energies, omega.sum() / 2 + np.sort(excited)[:200], rtol=ROUNDING)


def best_first(nu, n):
    """E = Σ ν_i (n_i + ½) off a heap: each level, once popped, is raised in its last raised mode and those after it."""
    heap, levels = [(sum(nu) / 2, 0)], []
    while len(levels) < n:
        energy, last = heapq.heappop(heap)
        levels.append(energy)
        for mode in range(last, len(nu)):
            heapq.heappush(heap, (energy + nu[mode], mode))
    return np.array(levels)


def test_sixty_four_coupled_oscillators_are_fast_and_right():
    omega = np.sqrt(np.arange(1, 65) / 2)
    matrix = np.diag(omega**2) + 0.1 * (np.sqrt(np.outer(omega, omega)) - np.diag(omega))
    start = time.perf_counter()
    energies = exact.coupled_oscillators(matrix)(65)
    assert time.perf_counter() - start < 1.0  # seconds; it takes some hundredths
    expected = best_first(np.sqrt(np.linalg.eigvalsh(matrix)), 65)
    np.testing.assert_allclose(energies, expected, rtol=ROUNDING)


def test_a_hundred_thousand_levels_are_no_trouble():
    start = time.perf_counter()
    assert exact.box((1.0, 1.1, 1.2))(100_000).shape == (100_000,)
    assert exact.hydrogen_3d()(1_000_000)[-1] < 0
    assert time.perf_counter() - start < 5.0


# Bad input


@pytest.mark.parametrize("spectrum", EVERY, ids=lambda spectrum: spectrum.name)
def test_asking_for_fewer_than_one_level_or_a_fraction(spectrum):
    for n in (0, -3):
        with pytest.raises(ValueError, match=f"from 1 to 10000000, got {n}"):
            spectrum(n)
    for n in (2.0, "3", None, True, [3]):
        with pytest.raises(ValueError, match="n must be an integer from 1 to 10000000, got"):
            spectrum(n)


@pytest.mark.parametrize(
    "make",
    [
        lambda v: exact.box(v),
        lambda v: exact.box(1.0, mass=v),
        lambda v: exact.harmonic(v),
        lambda v: exact.hydrogen_2d(charge=v),
        lambda v: exact.hydrogen_2d(mass=v),
        lambda v: exact.hydrogen_3d(charge=v),
        lambda v: exact.hydrogen_3d(mass=v),
        lambda v: exact.hooke_atom(v),
        lambda v: exact.moshinsky(2, 1, v, 1.0),
        lambda v: exact.morse(v, 1.0),
        lambda v: exact.morse(1.0, v),
        lambda v: exact.morse(1.0, 1.0, mass=v),
        lambda v: exact.poschl_teller(v),
        lambda v: exact.poschl_teller(1.0, a=v),
        lambda v: exact.poschl_teller(1.0, mass=v),
        lambda v: exact.ring(v),
        lambda v: exact.ring(1.0, mass=v),
        lambda v: exact.torus(v),
        lambda v: exact.torus(1.0, mass=v),
    ],
)
def test_every_parameter_is_a_positive_number(make):
    for value in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="must be"):
            make(value)
    for value in ("1.0", None, 1j, True, object(), [[1.0]]):
        with pytest.raises(TypeError, match="must be"):
            make(value)


@pytest.mark.parametrize(
    "make", [exact.hydrogen_2d, exact.hydrogen_3d, exact.poschl_teller, exact.ring, exact.hooke_atom]
)
def test_one_number_means_one(make):
    for value in ([], [1.0, 2.0]):
        with pytest.raises(TypeError, match="must be a real number, got"):
            make(value)


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="box: lengths has 2 entries, mass has 3 entries"):
        exact.box((1.0, 2.0), mass=(1.0, 2.0, 3.0))
    with pytest.raises(ValueError, match="omega must be one number or 3 of them"):
        exact.harmonic((1.0, 2.0), dim=3)
    with pytest.raises(ValueError, match="lengths must not be empty"):
        exact.box([])
    for dim in (0, 2.0):
        with pytest.raises(ValueError, match=f"dim must be an integer from 1 to 1000, got {dim}"):
            exact.harmonic(1.0, dim=dim)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 2.0]], r"finite real numbers of shape \(dim, dim\), got"),
        ([1.0, 2.0], r"shape \(dim, dim\), got"),
        ([], "shape"),
        ([["a", "b"], ["c", "d"]], "must hold numbers"),
        ([[1.0], [1.0, 2.0]], "rows of equal length"),
        (np.eye(2) * 1j, "finite real numbers"),
        ([[1.0, 0.5], [0.4, 1.0]], r"symmetric, .* reaches 0\.1"),
        ([[1.0, 2.0], [2.0, 1.0]], "positive definite, its lowest eigenvalue is -1"),
        ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
        ([[math.nan, 0.0], [0.0, 1.0]], "finite"),
    ],
)
def test_coupled_oscillators_want_a_symmetric_positive_definite_matrix(matrix, message):
    with pytest.raises((ValueError, TypeError), match=message):
        exact.coupled_oscillators(matrix)


def test_moshinsky_wants_particles_that_are_bound():
    with pytest.raises(ValueError, match=r"omega² \+ particles·k must be positive, got -0\.5"):
        exact.moshinsky(3, 2, omega=1.0, k=-0.5)
    with pytest.raises(ValueError, match="must be positive"):
        exact.moshinsky(3, 2, omega=0.3, k=-0.03)  # free, but for rounding
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="k must be"):
            exact.moshinsky(3, 2, 1.0, value)
    for value in ("1.0", None, 1j, True, [], [1.0, 2.0]):
        with pytest.raises(TypeError, match="k must be"):
            exact.moshinsky(3, 2, 1.0, value)
    for counts in ((0, 2), (3, -1), (3.0, 2), (3, None), (True, 2)):
        with pytest.raises(ValueError, match="must be an integer from 1 to"):
            exact.moshinsky(*counts, omega=1.0, k=1.0)


def test_hooke_atom_names_the_frequencies_it_knows():
    with pytest.raises(ValueError, match=r"omega must be 1/2 or 1/10, .* got 0\.25"):
        exact.hooke_atom(0.25)
    with pytest.raises(TypeError, match="relative must be True or False, got 'yes'"):
        exact.hooke_atom(relative="yes")
