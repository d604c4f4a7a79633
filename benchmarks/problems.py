"""Every shipped problem by every method, with default settings: time, accuracy, and honesty of the error bars.

    python benchmarks/problems.py [NAME ...]

The truth is the closed form where there is one, else the grid's energies (their own error is far below SpIN's). Prints a
Markdown table. Seconds are wall clock of `solve`, compilation included; `off` is the worst |E - truth| over the
states, relative to |truth|; `|off|/error` the worst ratio of that difference to the claimed error.
"""

import sys
import time

import numpy as np

import qspin
from qspin.problem_file import load_problem, shipped_problems


def row(name: str, method: qspin.Spectrum, seconds: float, truth: np.ndarray) -> str:
    off = np.abs(method.energies - truth)
    ratio = off / np.maximum(method.errors, 1e-300)
    groups = ", ".join(str(len(group)) for group in method.groups())
    claimed = np.max(method.errors / np.abs(truth))
    return (
        f"| {name} | {method.n_states} | {method.method} | {seconds:.0f} | {np.max(off / np.abs(truth)):.1e} "
        f"| {claimed:.1e} | {ratio.max():.2f} | {groups} |"
    )


def main(names: list[str]) -> None:
    print(
        "| problem | states | method | s | worst off (relative) | worst claimed (relative) | worst off/claimed | groups |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        file = load_problem(name)
        started = time.perf_counter()
        grid = qspin.solve(file.problem, file.n_states, qspin.Grid())
        grid_seconds = time.perf_counter() - started
        exact = None if grid.exact is None else grid.exact[: file.n_states]
        truth = grid.energies if exact is None else exact
        started = time.perf_counter()
        spin = qspin.solve(file.problem, file.n_states)
        print(row(name, spin, time.perf_counter() - started, truth), flush=True)
        if exact is not None:
            print(row(name, grid, grid_seconds, truth), flush=True)
        else:
            worst = np.max(grid.errors / np.abs(grid.energies))
            print(
                f"| {name} | {grid.n_states} | grid | {grid_seconds:.0f} | – | {worst:.1e} | – | – |",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:] or list(shipped_problems()))
