"""Closed-form spectra with degeneracy: call one with n and it returns the lowest n energies.

Every factory returns a `ClosedForm`. All use H = -∇²/(2 mass) + V with ħ = 1, so mass=1 is atomic units and
mass=0.5 is -∇² + V. Separable spectra are merged axis by axis and keep n sums throughout, so sixty-four axes
cost no more than a few. Every factory raises TypeError for what is not a number, and ValueError for a number that is not
finite or, where nothing else is said, not positive.

>>> hydrogen_2d()(4) * 9
array([-9., -1., -1., -1.])
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from qspin.numerics.checks import (
    MOST_DIMENSIONS,
    check_kind,
    check_sizes,
    positive,
    real_number,
    real_numbers,
    shown,
    table,
    vector,
    whole,
)
from qspin.numerics.separable import half_integers, separable, squares_from_one, squares_in_pairs

__all__ = [
    "ClosedForm",
    "box",
    "coupled_oscillators",
    "harmonic",
    "hooke_atom",
    "hydrogen_2d",
    "hydrogen_3d",
    "morse",
    "moshinsky",
    "poschl_teller",
    "ring",
    "torus",
]

_MOST_LEVELS = 10_000_000
Levels = Callable[[int], Float[np.ndarray, " n"]]


@dataclass(frozen=True)
class ClosedForm:
    """A spectrum known in closed form: `exact(n)` is its lowest n energies, degenerate levels repeated.

    `exact(n)` returns shape (n,), float64, ascending, in the units of the Hamiltonian. It raises ValueError where n is not
    an integer of at least 1, and where fewer than n bound states exist or are known.

    Fields: `name` is the call that made it, `formula` the equation in words of the field, `levels` the function
    n -> energies behind it, and `capacity` the number of bound states (None: infinitely many).

    >>> ring(length=2 * math.pi)(3)
    array([0. , 0.5, 0.5])
    """

    name: str
    formula: str
    levels: Levels = field(repr=False)
    capacity: int | None = None

    def __call__(self, n: Any) -> Float[np.ndarray, " n"]:
        n = whole(f"{self.name}: n", n, most=_MOST_LEVELS)
        if self.capacity is not None and n > self.capacity:
            raise ValueError(f"{self.name}: {self.capacity} bound states exist, {n} were asked for.")
        return self.levels(n)


def box(lengths: Any, mass: Any = 1.0) -> ClosedForm:
    """Particle between hard walls, V = 0 inside: E = Σ_i (π n_i / L_i)² / (2 m_i), n_i = 1, 2, 3, …

    `lengths` and `mass` are each one number or one per axis (a number is shared by all axes; two numbers are one axis).
    Energies come in 1/(mass·length²), hartree where lengths are in bohr and mass in electron masses. Raises ValueError also
    for two sequences of different size. Source: Griffiths, Introduction to Quantum Mechanics, section 2.2.

    >>> box(lengths=(math.pi, math.pi), mass=0.5)(4)
    array([2., 5., 5., 8.])
    """
    return _flat("box", "E = Σ (π n_i/L_i)²/(2 m_i), n_i = 1, 2, …", np.pi, squares_from_one, lengths, mass)


def harmonic(omega: Any, dim: Any = None) -> ClosedForm:
    """Harmonic oscillator: E = Σ_i ω_i (n_i + 1/2), n_i = 0, 1, 2, …

    `omega` is one angular frequency for all `dim` axes (dim=None: one axis), or one per axis; energies come in its
    units. The mass does not enter. Raises ValueError also for a `dim` that is not the number of frequencies. Source:
    Griffiths, section 2.3.

    >>> harmonic(1.0, dim=2)(6)
    array([1., 2., 2., 3., 3., 3.])
    """
    dim = None if dim is None else whole("harmonic: dim", dim, most=MOST_DIMENSIONS)
    frequencies = np.array(vector("harmonic: omega", omega, dim, above=0))
    levels = partial(separable, frequencies, half_integers)
    return _named("harmonic", "E = Σ ω_i (n_i + 1/2), n_i = 0, 1, …", levels, {"omega": frequencies})


def coupled_oscillators(matrix: Any) -> ClosedForm:
    """Unit masses in V = ½ qᵀ A q: harmonic, with the square roots of the eigenvalues of A as frequencies.

    `matrix` is A, shape (dim, dim), in energy per length². Raises ValueError where it is not real, finite, symmetric and
    positive definite. Source: normal modes, Goldstein, Classical Mechanics, chapter 6.

    >>> coupled_oscillators([[2.5, 1.5], [1.5, 2.5]])(3)    # frequencies 1 and 2
    array([1.5, 2.5, 3.5])
    """
    given = table("coupled_oscillators: matrix", matrix)
    real = not np.iscomplexobj(given) and np.isfinite(given).all()
    if not real or given.ndim != 2 or given.shape[0] != given.shape[1] or given.size == 0:
        raise ValueError(
            f"coupled_oscillators: matrix must be finite real numbers of shape (dim, dim), got {shown(matrix)}."
        )
    # The rounding of the caller's own dtype: a float32 matrix is symmetric to float32 only.
    own = np.asarray(matrix).dtype
    eps = np.finfo(own if own.kind == "f" else float).eps
    rounding = float(len(given) * eps * np.abs(given).max())
    asymmetry = float(np.abs(given - given.T).max())
    if asymmetry > rounding:
        raise ValueError(f"coupled_oscillators: matrix must be symmetric, |A - Aᵀ| reaches {asymmetry:.3g}.")
    squares = np.linalg.eigvalsh((given + given.T) / 2)
    if squares[0] <= rounding:
        raise ValueError(
            f"coupled_oscillators: matrix must be positive definite, its lowest eigenvalue is {squares[0]:.3g}."
        )
    formula = "E = Σ ω_i (n_i + 1/2), ω_i² the eigenvalues of A"
    levels = partial(separable, np.sqrt(squares), half_integers)
    return ClosedForm(f"coupled_oscillators(dim={len(given)})", formula, levels)


def moshinsky(particles: Any, space: Any, omega: Any, k: Any) -> ClosedForm:
    """Particles in a harmonic well, joined by springs: V = ½ ω² Σ_i r_i² + ½ k Σ_{i<j} (r_i - r_j)², mass 1.

    The N = `particles` particles are distinguishable and move in D = `space` dimensions. Their centre of mass
    oscillates at ω (D modes), their relative motion at Ω = √(ω² + N k) (D (N - 1) modes): E = ω Σ (n_i + ½) +
    Ω Σ (m_i + ½). `omega` is an angular frequency; `k`, in units of ω², may be negative (the particles
    repel) as long as ω² + N k > 0. Raises ValueError also for fewer than one particle or dimension, or where the particles
    are not bound. Source: M. Moshinsky, Am. J. Phys. 36, 52 (1968), doi:10.1119/1.1974410, with N = 2 and D = 3.

    >>> moshinsky(particles=2, space=1, omega=1.0, k=1.5)(4)    # frequencies 1 and 2
    array([1.5, 2.5, 3.5, 3.5])
    """
    space = whole("moshinsky: space", space, most=MOST_DIMENSIONS)
    particles = whole("moshinsky: particles", particles, most=MOST_DIMENSIONS // space)
    omega, k = real_number("moshinsky: omega", omega, above=0), real_number("moshinsky: k", k)
    square = omega**2 + particles * k
    if particles > 1 and square <= 8 * np.finfo(float).eps * omega**2:
        raise ValueError(f"moshinsky: omega² + particles·k must be positive, got {square:.6g}.")
    relative = [math.sqrt(square)] * (space * (particles - 1)) if particles > 1 else []
    return _named(
        "moshinsky",
        "E = ω Σ (n_i + 1/2) + √(ω² + N k) Σ (m_i + 1/2), D and D (N - 1) modes",
        partial(separable, np.array([omega] * space + relative), half_integers),
        {"particles": particles, "space": space, "omega": omega, "k": k},
    )


def hooke_atom(omega: Any = 0.5, relative: Any = False) -> ClosedForm:
    """Two electrons in a harmonic well, V = ½ ω² (r₁² + r₂²) + 1/|r₁ - r₂|: the ground state at ω = 1/2 and 1/10.

    E = 3ω/2 + E_rel in hartree, for mass 1 and `omega` in hartree. The centre of mass holds 3ω/2; relative motion,
    H_rel = -∇² + ¼ ω² r² + 1/r in r = r₁ - r₂, holds E_rel = ω (p + 3/2), and ψ_rel = P(r) exp(-ω r²/4) with a
    polynomial of degree p: P = 1 + r/2 at ω = 1/2 (E = 2), P = 1 + r/2 + r²/20 at ω = 1/10 (E = 1/2).
    `relative=True` is E_rel alone.

    Series end in this way at special frequencies only, and never for all levels at once: calling the result with
    n > 1 raises ValueError, and so does another frequency. Source: M. Taut, Phys. Rev. A 48, 3561 (1993),
    doi:10.1103/PhysRevA.48.3561.

    >>> hooke_atom(omega=0.5)(1), hooke_atom(omega=0.5, relative=True)(1)
    (array([2.]), array([1.25]))
    """
    omega = real_number("hooke_atom: omega", omega, above=0)
    check_kind("hooke_atom: relative", relative, bool, "True or False")
    degree = next((p for known, p in ((0.5, 1), (0.1, 2)) if math.isclose(omega, known, rel_tol=1e-12)), None)
    if degree is None:
        raise ValueError(
            f"hooke_atom: omega must be 1/2 or 1/10, where a closed form is known, got {omega:.6g}."
        )
    name = f"hooke_atom(omega={omega:.6g}, relative={relative})"
    formula = f"E = ω (p + {'3/2' if relative else '3'}), p = {degree}, the ground state"
    energy = omega * (degree + 1.5) + (0.0 if relative else 1.5 * omega)
    return ClosedForm(name, formula, partial(_ground_state, energy))


def _ground_state(energy: float, n: int) -> Float[np.ndarray, " n"]:
    if n > 1:
        raise ValueError(
            f"hooke_atom: only the ground state is known in closed form, {n} levels were asked for."
        )
    return np.array([energy])


def hydrogen_2d(charge: Any = 1.0, mass: Any = 0.5) -> ClosedForm:
    """Hydrogen in the plane, V = -Z/|x|: E = -2 m Z²/(2n + 1)², each 2n + 1 times, n = 0, 1, 2, …

    The default mass 0.5 is -∇² - 1/|x| with levels -1/(2n + 1)². Free space: walls raise every level. Source: X. L.
    Yang et al., Phys. Rev. A 43, 1186 (1991), doi:10.1103/PhysRevA.43.1186.

    >>> hydrogen_2d(mass=1.0)(2)
    array([-2.        , -0.22222222])
    """
    numbers = positive("hydrogen_2d", charge=charge, mass=mass)
    levels = partial(_odd_shells, 2 * numbers["mass"] * numbers["charge"] ** 2)
    return _named("hydrogen_2d", "E = -2 m Z²/(2n + 1)², 2n + 1 times, n = 0, 1, …", levels, numbers)


def _odd_shells(unit: float, n: int) -> Float[np.ndarray, " n"]:
    """-unit/(2k + 1)², 2k + 1 times: K shells hold K² states."""
    odd = 2.0 * np.arange(math.isqrt(n - 1) + 1) + 1
    return np.repeat(-unit / odd**2, odd.astype(int))[:n]


def hydrogen_3d(charge: Any = 1.0, mass: Any = 1.0) -> ClosedForm:
    """Hydrogen in space, V = -Z/|x|: E = -m Z²/(2 n²), each n² times (no spin), n = 1, 2, 3, …

    With mass 1 energies are in hartree. Free space: walls raise every level. Source: Griffiths, section 4.2.

    >>> hydrogen_3d()(5)
    array([-0.5  , -0.125, -0.125, -0.125, -0.125])
    """
    numbers = positive("hydrogen_3d", charge=charge, mass=mass)
    levels = partial(_square_shells, numbers["mass"] * numbers["charge"] ** 2 / 2)
    return _named("hydrogen_3d", "E = -m Z²/(2 n²), n² times, n = 1, 2, …", levels, numbers)


def _square_shells(unit: float, n: int) -> Float[np.ndarray, " n"]:
    """-unit/k², k² times: K shells hold K(K + 1)(2K + 1)/6 > K³/3 states."""
    k = np.arange(1, math.ceil((3 * n) ** (1 / 3)) + 1)
    return np.repeat(-unit / k**2.0, k**2)[:n]


def morse(depth: Any, a: Any, mass: Any = 1.0) -> ClosedForm:
    """Morse well V = D (1 - exp(-a (x - x₀)))²: E = D - (a²/2m)(Λ - n - ½)², Λ = √(2mD)/a, 0 ≤ n < Λ - ½.

    The minimum of V is 0 and the continuum starts at D = `depth`; E is the familiar ω(n + ½) - (a²/2m)(n +
    ½)² with ω = a √(2D/m). `capacity` counts the bound states, none where Λ ≤ ½; calling the result with n > capacity
    raises ValueError. Source: P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57.

    >>> well = morse(depth=8.0, a=1.0)
    >>> well.capacity, well(4)
    (4, array([1.875, 4.875, 6.875, 7.875]))
    """
    numbers = positive("morse", depth=depth, a=a, mass=mass)
    d, a, m = numbers.values()
    quanta = math.sqrt(2 * m * d) / a
    levels, capacity = partial(_morse, a**2 / (2 * m), quanta), _integers_below(quanta - 0.5)
    return _named("morse", "E = D - (a²/2m)(√(2mD)/a - n - 1/2)², n = 0, 1, …", levels, numbers, capacity)


def _morse(unit: float, quanta: float, n: int) -> Float[np.ndarray, " n"]:
    """unit (Λ² - (Λ - n - ½)²), multiplied out so that low levels do not cancel against the depth."""
    above = np.arange(n) + 0.5
    return unit * above * (2 * quanta - above)


def poschl_teller(lam: Any, a: Any = 1.0, mass: Any = 1.0) -> ClosedForm:
    """Pöschl-Teller well V = -a² λ(λ + 1)/(2m cosh²(a x)): E = -(a²/2m)(λ - n)², 0 ≤ n < λ.

    V vanishes far away, so bound states lie below 0; `capacity` counts them, λ of them for an integer λ, and calling the
    result with n > capacity raises ValueError. `lam` is λ, a pure number; 1/a is a length. Source: G. Pöschl, E.
    Teller, Z. Phys. 83, 143 (1933), doi:10.1007/BF01331132.

    >>> poschl_teller(lam=3)(3)
    array([-4.5, -2. , -0.5])
    """
    numbers = positive("poschl_teller", lam=lam, a=a, mass=mass)
    lam, a, m = numbers.values()
    levels = partial(_poschl_teller, a**2 / (2 * m), lam)
    formula = "E = -(a²/2m)(λ - n)², n = 0, 1, …"
    return _named("poschl_teller", formula, levels, numbers, _integers_below(lam))


def _poschl_teller(unit: float, lam: float, n: int) -> Float[np.ndarray, " n"]:
    return -unit * (lam - np.arange(n)) ** 2


def ring(length: Any, mass: Any = 1.0) -> ClosedForm:
    """Particle on a ring, one periodic axis with V = 0: E = (2π k/L)²/(2m), k = 0, ±1, ±2, …

    `length` is the circumference. Source: any textbook.

    >>> ring(length=2 * math.pi, mass=0.5)(5)
    array([0., 1., 1., 4., 4.])
    """
    numbers = positive("ring", length=length, mass=mass)
    return _named("ring", "E = (2π k/L)²/(2m), k = 0, ±1, …", torus(*numbers.values()).levels, numbers)


def torus(lengths: Any, mass: Any = 1.0) -> ClosedForm:
    """Particle on periodic axes with V = 0: E = Σ_i (2π k_i/L_i)²/(2 m_i), k_i = 0, ±1, ±2, …

    `lengths` and `mass` as in `box`, and so are the errors. Source: any textbook.

    >>> torus(lengths=(2 * math.pi, math.pi))(4)
    array([0. , 0.5, 0.5, 2. ])
    """
    formula = "E = Σ (2π k_i/L_i)²/(2 m_i), k_i = 0, ±1, …"
    return _flat("torus", formula, 2 * np.pi, squares_in_pairs, lengths, mass)


def _integers_below(top: float) -> int:
    """How many of 0, 1, 2, … lie below `top`; one within rounding of it is at threshold, so not bound."""
    return max(0, math.ceil(top - 8 * np.finfo(float).eps * (abs(top) + 1)))


def _flat(owner: str, formula: str, turn: float, ladder: Levels, lengths: Any, mass: Any) -> ClosedForm:
    """V = 0 in a box: Σ_i (turn/L_i)²/(2 m_i) · ladder; a number is shared by all axes."""
    given = {"lengths": lengths, "mass": mass}
    numbers = {name: real_numbers(f"{owner}: {name}", value, above=0) for name, value in given.items()}
    size = check_sizes(owner, **numbers)
    each = {name: np.broadcast_to(value, (size,)) for name, value in numbers.items()}
    scales = (turn / each["lengths"]) ** 2 / (2 * each["mass"])
    return _named(owner, formula, partial(separable, scales, ladder), each)


def _named(
    owner: str, formula: str, levels: Levels, values: dict[str, Any], capacity: int | None = None
) -> ClosedForm:
    """Named by the call as a reader would write it."""

    def written(value: Any) -> str:
        entries = [f"{entry:.6g}" for entry in np.atleast_1d(value).tolist()]
        if len(entries) == 1:
            return entries[0]
        return f"({entries[0]},)*{len(entries)}" if len(set(entries)) == 1 else f"({', '.join(entries)})"

    call = f"{owner}({', '.join(f'{name}={written(value)}' for name, value in values.items())})"
    return ClosedForm(call, formula, levels, capacity)
