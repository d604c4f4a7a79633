"""The gallery: a page for each file in problems/, with a picture and its levels from a cheap solve, and one page of all."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt

import qspin
from qspin.methods.base import Method
from qspin.run.problem_file import ProblemFile, load_problem

PROBLEMS = Path(__file__).parents[1] / "problems"

REFEREE = qspin.ProductBasis(max_functions=3000, tolerance=1e-4)
# What draws each problem in a few seconds; a path is a picture at hand, and None shows levels of the closed form alone.
DRAWN_BY: dict[str, Method | Path | None] = {
    "anharmonic_chain": REFEREE,
    "box_2d": qspin.Grid(),
    "box_5d": None,
    "chlorine_dioxide": qspin.Grid(points=24),
    "coupled_oscillators": REFEREE,
    "double_well_1d": qspin.Grid(),
    "harmonic_1d": qspin.Grid(),
    "harmonic_2d": qspin.Grid(),
    "henon_heiles_2d": qspin.Grid(),
    "hooke_atom": None,
    "hydrogen_2d": Path("..") / "hydrogen_2d.png",
    "hydrogen_3d": None,
    "l_shaped_membrane": qspin.Grid(points=60),
    "moshinsky": REFEREE,
}
QUICK = {"harmonic_1d", "double_well_1d"}


@dataclass(frozen=True)
class Entry:
    """What the gallery shows of one problem: a picture by its address, a table of levels; "" for what it has not."""

    file: ProblemFile
    picture: str
    table: str


def write(folder: Path, quick: bool = False) -> None:
    """Pages and pictures in `folder`; with `quick` only of the fastest problems are solved. ~20 s without, 1 s with."""
    matplotlib.use("Agg")  # not by the environment: notebooks inherit that, and would show no pictures
    folder.mkdir(exist_ok=True)
    entries = [_entry(name, folder, quick) for name in sorted(path.stem for path in PROBLEMS.glob("*.py"))]
    for entry in entries:
        _write(folder / f"{entry.file.path.stem}.md", _page(entry))
    _write(folder / "index.md", _index(entries))


def _entry(name: str, folder: Path, quick: bool) -> Entry:
    file = load_problem(PROBLEMS / f"{name}.py")
    method = DRAWN_BY[name]
    closed = "" if file.problem.exact is None else _closed_form(file)
    if isinstance(method, Path):
        return Entry(file, method.as_posix(), closed)
    if method is None or (quick and name not in QUICK):
        return Entry(file, "", closed)
    spectrum = qspin.solve(file.problem, file.n_states, method)
    axes = spectrum.plot_orbitals() if file.problem.dim <= 3 else spectrum.plot_levels()
    figure = axes.flat[0].figure if hasattr(axes, "flat") else axes.figure
    figure.savefig(folder / f"{name}.png", dpi=110)
    plt.close(figure)
    return Entry(file, f"{name}.png", str(spectrum))


def _closed_form(file: ProblemFile) -> str:
    levels = file.problem.exact_energies(file.n_states)
    assert levels is not None
    return "\n".join(
        ["closed form", *(f"{k:>5}  {level:.9g}" for k, level in enumerate(levels[: file.n_states]))]
    )


def _page(entry: Entry) -> str:
    name = entry.file.path.stem
    source = f"../../problems/{name}.py"
    lines = [f"# {name}", "", f"The file: {{download}}`problems/{name}.py <{source}>`. Solve it:", ""]
    lines += ["```sh", f"qspin solve problems/{name}.py", "```", ""]
    if entry.picture:
        lines += [f"![{name}]({entry.picture})", ""]
    if entry.table:
        lines += ["```text", entry.table, "```", ""]
    return "\n".join([*lines, f"```{{literalinclude}} {source}", "```", ""])


def _index(entries: list[Entry]) -> str:
    lines = [
        "# Gallery",
        "",
        "Every file in `problems/` defines one physical system. Each picture leads to its file; `qspin solve NAME` runs it.",
        "",
    ]
    for entry in entries:
        name = entry.file.path.stem
        title = f"{entry.file.title} {entry.file.problem.dim}D, {entry.file.n_states} states."
        lines += [f"## {name}", "", f"{title} [The file and its levels]({name}.md)", ""]
        if entry.picture:
            lines += [f"[![{name}]({entry.picture})]({name}.md)", ""]
    names = [entry.file.path.stem for entry in entries]
    return "\n".join([*lines, "```{toctree}", ":hidden:", "", *names, "```", ""])


def _write(path: Path, text: str) -> None:
    """Only where it changed, so that Sphinx need not read it again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
