"""`Spectrum.bounds`: widths and seconds on five wells, and random potentials against independent references.

    python benchmarks/bounds.py claims
    python benchmarks/bounds.py random [--first 0] [--count 300]

`random`: two thirds in one dimension; polynomials, Gaussian wells, cosines, in boxes with and without room. The reference is
a Galerkin method in P_k - P_{k+2}, which shares nothing with `bounds` but V: its energies E lie above the true ones, so that
lower <= E must hold whatever its own error is; upper >= E - error takes three times the change from a smaller basis for the
error. Rounding in the reference is taken to be 2e-11 of the highest energy.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular

import qspin
from qspin import potentials

Case = tuple[Callable[[Any], Any], qspin.Box, float, int]


def claims() -> dict[str, Case]:
    return {
        "Hénon-Heiles": (potentials.henon_heiles(), qspin.Box.cube(8.0, dim=2), 1.0, 10),
        "(|x|²-1)²": (lambda x: (jnp.sum(x**2) - 1) ** 2, qspin.Box.cube(4.0, dim=2), 0.5, 10),
        "(x₁²-1)²+x₂²": (lambda x: (x[0] ** 2 - 1) ** 2 + x[1] ** 2, qspin.Box.cube(5.0, dim=2), 0.5, 10),
        "x⁴": (potentials.quartic(), qspin.Box(-6.0, 6.0), 0.5, 10),
        "tilted double well": (
            lambda x: (x[0] ** 2 - 4) ** 2 / 4 + 0.3 * x[0],
            qspin.Box(-8.0, 8.0),
            1.0,
            10,
        ),
    }


def random_case(seed: int) -> Case:
    rng = np.random.default_rng(seed)
    dim, kind = (1 if seed % 3 else 2), seed // 3 % 3
    width = rng.uniform(2.5, 4.0 if dim == 2 else 8.0, dim)
    box = qspin.Box(list(-width * rng.uniform(0.7, 1, dim)), list(width))
    bowl, tilt = rng.uniform(0.05, 1.0, dim), rng.normal(size=dim)
    if kind == 0:
        quartic, cubic, mixed = (
            rng.uniform(0.05, 0.5, dim),
            0.3 * rng.normal(size=dim),
            rng.uniform(-0.3, 0.3),
        )

        def v(x: Any) -> Any:
            return jnp.sum(quartic * x**4 + cubic * x**3 + 2 * tilt * x**2 + tilt * x) + mixed * x[0] * x[-1]
    elif kind == 1:
        centres, depths = rng.uniform(-1.5, 1.5, (3, dim)), rng.uniform(-5.0, 10.0, 3)
        spread = rng.uniform(0.5, 1.5, 3)

        def v(x: Any) -> Any:
            squares = jnp.sum((x - centres) ** 2, axis=1) / (2 * spread**2)
            return jnp.sum(bowl * x**2) - jnp.sum(depths * jnp.exp(-squares))
    else:
        size, wave, phase = rng.normal(size=4), rng.uniform(-2.0, 2.0, (4, dim)), rng.uniform(0, 6.3, 4)

        def v(x: Any) -> Any:
            return jnp.sum(bowl * x**2) + jnp.sum(size * jnp.cos(wave @ x + phase))

    return v, box, float(rng.uniform(0.5, 2.0)), int(rng.integers(1, 12 if dim == 1 else 6))


def reference(problem: qspin.Problem, n_states: int, size: int) -> np.ndarray:
    """Energies by a Galerkin method in P_k - P_{k+2} on each axis."""
    box, c = problem.domain, problem.local.coefficients
    t, w = np.polynomial.legendre.leggauss(size + 40)
    k = np.arange(size)
    legendre = np.polynomial.legendre.legvander(t, size + 1)
    tables, kinetic, points, weights = [], [], [], []
    for low, high, ci in zip(box.lower, box.upper, c, strict=True):
        half = (high - low) / 2
        f = (legendre[:, :-2] - legendre[:, 2:]) / np.sqrt(4 * k + 6)  # ∫ f'_j f'_k dt = δ_jk
        mass = half * (f * w[:, None]).T @ f
        root = cholesky(mass, lower=True)
        tables.append(solve_triangular(root, f.T, lower=True).T)
        inverse = solve_triangular(root, np.eye(size), lower=True)
        kinetic.append(ci / half * inverse @ inverse.T)
        points.append((high + low) / 2 + half * t)
        weights.append(half * w)
    grid = np.stack(np.meshgrid(*points, indexing="ij"), axis=-1)
    v = problem.potential_values(grid.reshape(-1, box.dim)).reshape(grid.shape[:-1])
    pairs = [
        (w[:, None, None] * f[:, :, None] * f[:, None]).reshape(len(w), -1)
        for w, f in zip(weights, tables, strict=True)
    ]
    if box.dim == 1:
        h = kinetic[0] + (v @ pairs[0]).reshape(size, size)
    else:
        h = (pairs[0].T @ v @ pairs[1]).reshape((size,) * 4).transpose(0, 2, 1, 3).reshape(size**2, -1)
        h = h + np.kron(kinetic[0], np.eye(size)) + np.kron(np.eye(size), kinetic[1])
    return eigh((h + h.T) / 2, eigvals_only=True, subset_by_index=(0, n_states - 1))


def random_row(seed: int, template: qspin.Spectrum) -> tuple[str, bool]:
    v, box, mass, n = random_case(seed)
    problem = qspin.Problem(qspin.Kinetic(mass=mass) + qspin.Potential(v), box)
    sizes = (90, 120) if box.dim == 1 else (26, 32)
    fewer, energies = (reference(problem, n, size) for size in sizes)
    began, spent = time.perf_counter(), time.process_time()
    try:  # of the spectrum only the number of states and the energies are read
        result = replace(template, energies=energies).bounds(problem)
    except ValueError as error:
        return f"{seed:>4} {box.dim}D {n:>2} refused: {error}", True
    seconds, spent = time.perf_counter() - began, time.process_time() - spent
    rounding = 2e-10 * max(1.0, np.abs(energies).max()) / 10
    over = float((result.lower - energies).max())
    under = float((energies - 3 * np.abs(fewer - energies) - result.upper).max())
    right = max(over, under) <= rounding
    scale = np.maximum(np.abs(energies), 1.0)
    text = f"{seed:>4} {box.dim}D {n:>2} width {(result.widths / scale).max():.1e} rounding {result.rounding.max():.1e}"
    text += f" lower-E {over:+.1e} E-upper {under:+.1e} E's error {np.abs(fewer - energies).max():.1e}"
    return f"{text} {seconds:.1f} s ({spent:.1f} s CPU) {'' if right else 'VIOLATION'}", right


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["claims", "random"])
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.part == "random":
        oscillator = qspin.Kinetic() + qspin.Potential(potentials.harmonic())
        template = qspin.solve(qspin.Problem(oscillator, qspin.Box(-5.0, 5.0)), 1, method=qspin.Grid())
        wrong = 0
        for seed in range(arguments.first, arguments.first + arguments.count):
            text, right = random_row(seed, template)
            wrong += not right
            print(text, flush=True)
        print(f"{wrong} violations in {arguments.count} problems")
        return
    for name, (v, box, mass, n) in claims().items():
        problem = qspin.Problem(qspin.Kinetic(mass=mass) + qspin.Potential(v), box, name=name)
        spectrum = qspin.solve(problem, n, method=qspin.Grid())
        began, spent = time.perf_counter(), time.process_time()
        result = spectrum.bounds()
        seconds, spent = time.perf_counter() - began, time.process_time() - spent
        print(result)
        relative = (result.widths / np.abs(result.energies)).max()
        print(f"largest relative width {relative:.1e}, {seconds:.1f} s ({spent:.1f} s CPU)\n", flush=True)


if __name__ == "__main__":
    main()
