"""The grid referee: accuracy, time and memory of each scheme, honesty of its brackets, and qmsolve on the same problem.

    python benchmarks/grid.py [claims] [schemes] [honesty] [peers]

Prints Markdown tables. Every row of `claims`, `schemes` and `peers` is a process of its own: seconds are those of the solve,
compilation included (imports not), and MB what its peak memory rose by meanwhile. `peers` needs `pip install qmsolve`.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

import qspin
from qspin import exact, potentials, shapes
from qspin.run.problem_file import load_problem

ANGSTROM, ELECTRONVOLT = 1.8897261246257702, 0.03674932217565499  # in atomic units


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _child(pipe: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    before, started = peak(), time.perf_counter()
    answer = function(*arguments)
    pipe.send((answer, time.perf_counter() - started, peak() - before))


def alone(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float, float]:
    """The answer of a function in a process of its own, seconds, and megabytes."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_child, args=(theirs, function, arguments))
    process.start()
    theirs.close()
    answer = mine.recv()
    process.join()
    return answer


# --- problems


def quartic(dim: int = 1) -> qspin.Problem:
    v = qspin.Potential(potentials.quartic())
    return qspin.Problem(qspin.Kinetic(mass=0.5) + v, qspin.Box.cube(6.0, dim=dim), name="x⁴")


def oscillator(dim: int = 2) -> qspin.Problem:
    v = qspin.Potential(lambda x: jnp.sum(x**2))
    box = qspin.Box.cube(8.0, dim=dim)
    closed = exact.harmonic((2.0,) * dim)
    return qspin.Problem(qspin.Kinetic(mass=0.5) + v, box, exact=closed, name=f"−∇² + r², {dim}D")


def membrane() -> qspin.Problem:
    return qspin.Problem(qspin.Kinetic(mass=0.5), shapes.l_shape(), name="L-shape")


def disk() -> qspin.Problem:
    return qspin.Problem(qspin.Kinetic(mass=0.5), shapes.disk(), name="disk")


def named(name: str) -> qspin.Problem:
    return load_problem(name).problem


PROBLEMS: dict[str, Callable[[], qspin.Problem]] = {
    "x⁴": quartic,
    "oscillator": oscillator,
    "L": membrane,
    "disk": disk,
}


def problem(name: str) -> qspin.Problem:
    return PROBLEMS[name]() if name in PROBLEMS else named(name)


def solved(
    name: str, n_states: int, settings: dict[str, Any], warm: bool = False
) -> tuple[np.ndarray, np.ndarray, Any, float]:
    asked = problem(name)
    if warm:
        qspin.solve(asked, n_states, qspin.Grid(**settings))
    started = time.perf_counter()
    spectrum = qspin.solve(asked, n_states, qspin.Grid(**settings))
    return spectrum.energies, spectrum.errors, spectrum.provenance, time.perf_counter() - started


# --- tables


def claims() -> None:
    """The issue's list, default settings."""
    from scipy.special import jn_zeros

    finer = {"henon_heiles_2d": {"points": 120}, "chlorine_dioxide": {"points": 48}}
    truths = {
        "x⁴": np.array([1.060362090484183]),
        "L": np.array([9.63972384402194]),
        "disk": np.sort(np.concatenate([np.repeat(jn_zeros(m, 4) ** 2, 2 - (m == 0)) for m in range(6)]))[:6],
    }
    rows = [("x⁴", 1), ("oscillator", 10), ("henon_heiles_2d", 10), ("hydrogen_2d", 9), ("hydrogen_3d", 5),
            ("chlorine_dioxide", 20), ("L", 1), ("disk", 6)]  # fmt: skip
    print("| problem | states | s | MB | points | worst off | relative | worst claimed | off/claimed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, n_states in rows:
        (energies, errors, provenance, again), seconds, megabytes = alone(
            solved, name, n_states, {}, name == "x⁴"
        )
        closed = problem(name).exact_energies(n_states)
        truth = truths.get(name, None if closed is None else closed[:n_states])
        if truth is None:
            truth = alone(solved, name, n_states, finer[name])[0][0]
        off = np.abs(energies - truth)
        shape = " × ".join(map(str, provenance["points"][-1]))
        taken = f"{seconds - again:.1f} ({again:.3f} again)" if name == "x⁴" else f"{seconds:.1f}"
        print(
            f"| {problem(name).name} | {n_states} | {taken} | {megabytes:.0f} | {shape} | {off.max():.1e} "
            f"| {(off / np.abs(truth)).max():.1e} | {errors.max():.1e} | {(off / errors).max():.2f} |",
            flush=True,
        )


def schemes() -> None:
    """Time, memory and error against points, scheme by scheme."""
    smooth = [
        qspin.differences(2),
        qspin.differences(4),
        qspin.differences(8),
        qspin.dvr(),
        qspin.elements(8),
    ]
    table: list[tuple[str, int, Any, tuple[int, ...]]] = [
        *(("oscillator", 10, scheme, (30, 48, 75, 120)) for scheme in smooth),
        *(("hydrogen_2d", 9, scheme, (80, 160, 240)) for scheme in (qspin.differences(8), qspin.elements(6))),
        *(("harmonic_3d", 5, scheme, (24, 40)) for scheme in (qspin.differences(8), qspin.dvr())),
        ("hydrogen_3d", 5, qspin.elements(4), (32, 44, 56)),
        ("disk", 6, qspin.differences(2), (100, 200, 400)),
    ]
    PROBLEMS["harmonic_3d"] = lambda: oscillator(3)
    print("| problem | scheme | points | s | MB | worst relative off | worst relative claim |")
    print("|---|---|---|---|---|---|---|")
    for name, n_states, scheme, counts in table:
        for points in counts:
            (off, claimed, shape), seconds, megabytes = alone(_scheme_row, name, n_states, scheme, points)
            print(
                f"| {problem(name).name} | {scheme!r} | {shape} | {seconds:.2f} | {megabytes:.0f} "
                f"| {off:.1e} | {claimed:.1e} |",
                flush=True,
            )


def _scheme_row(name: str, n_states: int, scheme: Any, points: int) -> tuple[float, float, str]:
    PROBLEMS["harmonic_3d"] = lambda: oscillator(3)
    asked = problem(name)
    spectrum = qspin.solve(asked, n_states, qspin.Grid(points=points, scheme=scheme))
    if name == "disk":
        from scipy.special import jn_zeros

        truth = np.sort(np.concatenate([np.repeat(jn_zeros(m, 4) ** 2, 2 - (m == 0)) for m in range(6)]))[
            :n_states
        ]
    else:
        closed = asked.exact_energies(n_states)
        assert closed is not None
        truth = closed[:n_states]
    off = np.abs(spectrum.energies / truth - 1).max()
    shape = " × ".join(map(str, spectrum.provenance["points"][-1]))
    return float(off), float((spectrum.errors / np.abs(truth)).max()), shape


def random_potential(dim: int, seed: int) -> qspin.Problem:
    """Odd seeds: a quadratic-quartic well with Gaussians in it. Even seeds: a random polynomial well of degree four."""
    rng = np.random.default_rng([dim, seed])
    stiffness, quartics = rng.uniform(0.1, 1.0, dim), rng.uniform(0.02, 0.2, dim)
    tilt, coupling = rng.normal(0, 0.3, dim), rng.normal(0, 0.03, (dim, dim))
    depth, width, place = rng.uniform(-8, 4, 3), rng.uniform(0.4, 1.5, 3), rng.uniform(-2, 2, (3, dim))

    def v(x):  # type: ignore[no-untyped-def]
        well = jnp.sum(stiffness * x**2 + quartics * x**4 + tilt * x)
        if seed % 2:
            return well + jnp.sum(depth * jnp.exp(-jnp.sum((x - place) ** 2, axis=1) / (2 * width**2)))
        return (
            well
            - jnp.sum(stiffness * x**2) * 2 * (seed % 4 == 0)
            + x @ coupling @ x
            + 0.02 * jnp.sum(x) ** 3 / dim
        )

    return qspin.Problem(
        qspin.Kinetic() + qspin.Potential(v), qspin.Box.cube(6.0, dim=dim), name=f"{dim}D {seed}"
    )


def honesty() -> None:
    """|E - truth| against the claimed error; truth by a finer mesh of another scheme than the one judged."""
    judged: dict[str, Callable[[int], qspin.Grid]] = {
        "default": lambda dim: qspin.Grid(),
        "dvr, coarse": lambda dim: qspin.Grid(points={1: 40, 2: 34, 3: 28}[dim], scheme=qspin.dvr()),
        "differences(8), coarse": lambda dim: qspin.Grid(
            points={1: 60, 2: 45, 3: 32}[dim], scheme=qspin.differences(8)
        ),
        "differences(2), coarse": lambda dim: qspin.Grid(
            points={1: 120, 2: 60, 3: 32}[dim], scheme=qspin.differences(2)
        ),
        "elements(8), coarse": lambda dim: qspin.Grid(
            points={1: 60, 2: 45, 3: 32}[dim], scheme=qspin.elements(8)
        ),
    }
    held: dict[str, list[bool]] = {name: [] for name in judged}
    ratios: dict[str, list[float]] = {name: [] for name in judged}
    off_by: dict[str, list[float]] = {name: [] for name in judged}
    for dim, count in ((1, 20), (2, 16), (3, 6)):
        for seed in range(count):
            asked = random_potential(dim, seed)
            finest = {1: 1000, 2: 100, 3: 48}[dim]
            truth = qspin.solve(asked, 6, qspin.Grid(points=finest, scheme=qspin.dvr()))
            for name, settings in judged.items():
                spectrum = qspin.solve(asked, 6, settings(dim))
                off = np.abs(spectrum.energies - truth.energies)
                rounding = 2e-12 * np.abs(truth.energies).max()
                held[name].extend((off <= spectrum.errors + truth.errors).tolist())
                known = off > 10 * np.maximum(truth.errors, rounding)
                ratios[name].extend((spectrum.errors / off)[known].tolist())
                off_by[name].extend(off.tolist())
            print(f"{asked.name}: {truth.errors.max():.1e}", file=sys.stderr, flush=True)
    print("42 random potentials (20 in 1D, 16 in 2D, 6 in 3D), 6 states each\n")
    print("| grid | inside its bracket | bracket/error, median | 95 % | error, median | largest |")
    print("|---|---|---|---|---|---|")
    for name in judged:
        wide = ratios[name] or [np.nan]
        print(
            f"| {name} | {np.mean(held[name]):.1%} | {np.median(wide):.1f} ({len(ratios[name])} errors that can be told) "
            f"| {np.quantile(wide, 0.95):.0f} | {np.median(off_by[name]):.1e} | {np.max(off_by[name]):.1e} |"
        )


def qmsolve_oscillator(points: int) -> tuple[float, float]:
    """qmsolve's own example: electron in ½k r², k = 100 eV/Å², 30 states, box of 15 Å. Its largest relative error, and E0's."""
    from qmsolve import Hamiltonian, SingleParticle

    k = 100 * ELECTRONVOLT / ANGSTROM**2
    hamiltonian = Hamiltonian(
        particles=SingleParticle(), potential=lambda particle: 0.5 * k * (particle.x**2 + particle.y**2),
        spatial_ndim=2, N=points, extent=15 * ANGSTROM,
    )  # fmt: skip
    energies = hamiltonian.solve(max_states=30).energies  # in eV
    off = np.abs(np.asarray(energies) * ELECTRONVOLT / exact.harmonic((k**0.5,) * 2)(30) - 1)
    return float(off.max()), float(off[0])


def qspin_oscillator(points: int | None) -> tuple[float, float]:
    k = 100 * ELECTRONVOLT / ANGSTROM**2
    v = qspin.Potential(lambda x: 0.5 * k * jnp.sum(x**2))
    asked = qspin.Problem(
        qspin.Kinetic() + v, qspin.Box.cube(7.5 * ANGSTROM, dim=2), exact=exact.harmonic((k**0.5,) * 2)
    )
    spectrum = qspin.solve(asked, 30, qspin.Grid(points=points))
    assert spectrum.exact is not None
    off = np.abs(spectrum.energies / spectrum.exact[:30] - 1)
    return float(off.max()), float(off[0])


def peers() -> None:
    """qmsolve's 2D oscillator example at rising N, and qspin at as many points as give that accuracy and better."""
    print("| program | points | s | MB | worst relative error of 30 states | of the lowest |")
    print("|---|---|---|---|---|---|")
    for program, function, counts in (
        ("qmsolve", qmsolve_oscillator, (100, 200, 400, 600)),
        ("qspin", qspin_oscillator, (48, 60, None)),
    ):
        for points in counts:
            (worst, lowest), seconds, megabytes = alone(function, points)
            print(
                f"| {program} | {points or 'default'} | {seconds:.2f} | {megabytes:.0f} | {worst:.1e} | {lowest:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    chosen = sys.argv[1:] or ["claims", "schemes", "honesty", "peers"]
    for table in chosen:
        print(f"\n{table}\n")
        {"claims": claims, "schemes": schemes, "honesty": honesty, "peers": peers}[table]()
