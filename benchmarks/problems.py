"""Every shipped problem with default settings: time, accuracy, and honesty of the error bars.

    python benchmarks/problems.py [--spin] [NAME ...]

By the method that `solve` chooses and by its referee; with --spin by `SpIN` alone, where a box has up to three dimensions.
The truth is the closed form where there is one, else the referee's energies: a grid, or past three
dimensions `ProductBasis`. Prints a
Markdown table. Seconds are wall clock of `solve`, compilation included; `off` is the worst |E - truth| over the
states, relative to |truth|; `|off|/error` the worst ratio of that difference to the claimed error.
"""

import sys
import time

import numpy as np

import qspin
from qspin.run.problem_file import load_problem, shipped_problems


def row(name: str, method: qspin.Spectrum, seconds: float, truth: np.ndarray) -> str:
    off = np.abs(method.energies - truth)
    ratio = off / np.maximum(method.errors, 1e-300)
    groups = ", ".join(str(len(group)) for group in method.groups())
    claimed = np.max(method.errors / np.abs(truth))
    return (
        f"| {name} | {method.n_states} | {method.method} | {seconds:.0f} | {np.max(off / np.abs(truth)):.1e} "
        f"| {claimed:.1e} | {ratio.max():.2f} | {groups} |"
    )


def main(names: list[str], spin: bool) -> None:
    print(
        "| problem | states | method | s | worst off (relative) | worst claimed (relative) | worst off/claimed | groups |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        file = load_problem(name)
        if spin and file.problem.dim > 3:
            continue
        closed = file.problem.exact_energies(file.n_states)
        referee, referee_seconds = None, 0.0
        if closed is None or file.problem.dim <= 3:
            started = time.perf_counter()
            method = qspin.Grid() if file.problem.dim <= 3 else qspin.ProductBasis()
            referee = qspin.solve(file.problem, file.n_states, method)
            referee_seconds = time.perf_counter() - started
        truth = referee.energies if closed is None else closed[: file.n_states]  # type: ignore[union-attr]
        started = time.perf_counter()
        spectrum = qspin.solve(file.problem, file.n_states, qspin.SpIN() if spin else None)
        print(row(name, spectrum, time.perf_counter() - started, truth), flush=True)
        if referee is None or spin:
            continue
        if closed is not None:
            print(row(name, referee, referee_seconds, truth), flush=True)
        else:
            worst = np.max(referee.errors / np.abs(referee.energies))
            print(
                f"| {name} | {referee.n_states} | {referee.method} | {referee_seconds:.0f} | – | {worst:.1e} | – | – |",
                flush=True,
            )


if __name__ == "__main__":
    asked = [name for name in sys.argv[1:] if name != "--spin"]
    main(asked or list(shipped_problems()), "--spin" in sys.argv)
