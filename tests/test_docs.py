"""Documentation: examples run and print what pages show, commands parse, links lead somewhere, every public name is there."""

import ast
import contextlib
import doctest
import functools
import importlib
import importlib.util
import inspect
import io
import math
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import qspin
from qspin.run.command import main, parsed

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = {"_build", "gallery", "notebooks", "benchmarks"}
PAGES = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if path.relative_to(DOCS).parts[0] not in GENERATED
}
# Pages whose examples take long: those of the first steps, singular centres and units are run every time.
SLOW = {
    "how-to/extending.md",
    "how-to/degenerate_levels.md",
    "how-to/many_dimensions.md",
    "how-to/not_converged.md",
    "how-to/other_operators.md",
    "how-to/results.md",
    "how-to/resuming_runs.md",
    "how-to/walls_and_space.md",
    "tutorial/own_potential.md",
    "tutorial/reading_the_table.md",
}
BLOCK = re.compile(r"```python\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", re.S)
WITH_EXAMPLES = [name for name, text in PAGES.items() if BLOCK.search(text)]
DOCUMENTED = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "qspin").rglob("*.py")
    if ">>>" in path.read_text() and path.stem not in ("exact", "potentials")  # tested with the rest of them
)


def same(shown: str, printed: str) -> bool:
    """The same words; the same numbers to 1e-4; of numbers written as 1.2e-05, errors and the like, only the rough size."""
    pairs = list(zip(shown.split(), printed.split(), strict=False))
    return len(shown.split()) == len(printed.split()) and all(_same_word(*pair) for pair in pairs)


def _same_word(shown: str, printed: str) -> bool:
    try:
        a, b = (float(word.strip("[],()")) for word in (shown, printed))
    except ValueError:
        return shown == printed
    if "e" in shown and "e" in printed:
        return a == b or (abs(a) < 1e-6 and abs(b) < 1e-6) or 1e-2 < abs(a) / abs(b) < 1e2
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6)


def test_what_is_the_same() -> None:
    assert same("E 1.23456789 ± 1.0e-09", "E  1.2345678  ± 3.0e-10")
    assert same("[0.5 1.5]", "[0.5  1.50000001]")
    assert not same("E 1.234", "E 1.236")
    assert not same("± 1.0e-03", "± 1.0e-06")
    assert not same("levels agree", "levels differ")
    assert not same("1 2", "1 2 3")


def run(page: str) -> None:
    names: dict[str, object] = {}
    for code, shown in BLOCK.findall(PAGES[page]):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, page, "exec"), names)
        assert same(shown, printed.getvalue()), f"{page} shows\n{shown}\nand prints\n{printed.getvalue()}"
    plt.close("all")


@pytest.fixture
def beside_the_problems(monkeypatch, tmp_path):  # type: ignore[no-untyped-def]
    """A folder to write in that has problems/, as a copy of the repository has."""
    (tmp_path / "problems").symlink_to(ROOT / "problems")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [page for page in WITH_EXAMPLES if page not in SLOW])
def test_examples_print_what_the_page_shows(page, beside_the_problems) -> None:  # type: ignore[no-untyped-def]
    run(page)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(SLOW))
def test_slow_examples_print_what_the_page_shows(page, beside_the_problems) -> None:  # type: ignore[no-untyped-def]
    run(page)


@pytest.mark.parametrize("page", sorted(SLOW))
def test_slow_examples_are_python(page) -> None:  # type: ignore[no-untyped-def]
    for code, _ in BLOCK.findall(PAGES[page]):
        compile(code, page, "exec")


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_in_docstrings(module, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0 and result.failed == 0


COMMANDS = [
    pytest.param(line, id=f"{page}: {line}")
    for page, text in {**PAGES, "README.md": (ROOT / "README.md").read_text(encoding="utf-8")}.items()
    for block in re.findall(r"```sh\n(.*?)```", text, re.S)
    for line in block.splitlines()
    if line.startswith("qspin ")
]


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_parse(line) -> None:  # type: ignore[no-untyped-def]
    options = parsed(shlex.split(line)[1:])
    file = getattr(options, "file", None)
    if file is not None and file != "well.py":  # the page's own file
        assert (ROOT / file).is_file() or (ROOT / "problems" / f"{file}.py").is_file()


OWN_FILES = {  # what a reader of the page writes first
    "well.py": "import qspin\n\nproblem = qspin.Problem(\n    qspin.Kinetic() + qspin.Potential(qspin.potentials.harmonic()), "
    "qspin.Box.cube(8.0, dim=1)\n)\n",
    "run.toml": PAGES["how-to/command_line.md"].split("```toml\n")[1].split("```")[0],
}


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({param.id.split(":")[0] for param in COMMANDS}))
def test_commands_run(page, beside_the_problems) -> None:  # type: ignore[no-untyped-def]
    """One after the other, as a reader types them; of the paper's million steps only twenty."""
    for name, text in OWN_FILES.items():
        Path(name).write_text(text)
    for param in COMMANDS:
        words = shlex.split(param.values[0])[1:]
        if not param.id.startswith(f"{page}:"):
            continue
        if "paper" in words:
            words = [w for w in words if w not in ("--steps", "100000")] + ["--steps", "20", "--quiet"]
        assert main(words) == 0, param.id
        plt.close("all")


def test_commands_were_found() -> None:
    named = {param.values[0].split()[1] for param in COMMANDS}
    assert {"solve", "validate", "resume", "plot", "list", "info"} <= named


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_to_files(page) -> None:  # type: ignore[no-untyped-def]
    """What the gallery writes is checked where pages are built; notebooks and benchmarks are copied from beside docs/."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", PAGES[page]):
        place = Path(os.path.normpath(DOCS / Path(page).parent / target)).relative_to(DOCS)
        if place.parts[0] != "gallery":
            home = ROOT if place.parts[0] in GENERATED else DOCS
            assert (home / place).is_file(), f"{page} links to {target}"


def _inline_calls(text: str) -> list[ast.Call]:
    """The calls in inline code, such as `Ritz(tolerance=1e-8)`; not those in blocks, which run."""
    calls = []
    for code in re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.S)):
        with contextlib.suppress(SyntaxError):
            tree = ast.parse(" ".join(code.replace("…", "...").split()))
            calls += [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return calls


def _wrong_settings(text: str) -> list[str]:
    """Calls of public names (`qspin.Name`, `Name`, `spectrum.method`) that do not exist or lack one of the keywords."""
    wrong = []
    for call in _inline_calls(text):
        path = ast.unparse(call.func).split(".")
        home = {"qspin": qspin, "spectrum": qspin.Spectrum}.get(path[0])
        if home is None:
            home = next((owner for owner in (qspin, qspin.Spectrum) if hasattr(owner, path[0])), None)
        elif len(path) > 1:
            path = path[1:]
        else:  # `spectrum(x)`
            path = ["__call__"]
        if home is None:  # the reader's own name, or another library's
            continue
        try:
            parameters = inspect.signature(functools.reduce(getattr, path, home)).parameters
        except AttributeError:
            wrong.append(ast.unparse(call))
            continue
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        given = {keyword.arg for keyword in call.keywords}
        if not open_ended and not given <= set(parameters):
            wrong.append(ast.unparse(call))
    return wrong


@pytest.mark.parametrize("page", [*sorted(PAGES), "README.md"])
def test_inline_code_names_settings_that_exist(page) -> None:  # type: ignore[no-untyped-def]
    text = PAGES[page] if page in PAGES else (ROOT / page).read_text(encoding="utf-8")
    assert _wrong_settings(text) == []


def test_inline_code_that_names_removed_settings_is_seen() -> None:
    text = "`Ritz(products=3)`, `qspin.Gone()` and `spectrum.plot_gone()`, but `Ritz(tolerance=1e-8)` and `own(size=1)`"
    assert _wrong_settings(text) == ["Ritz(products=3)", "qspin.Gone()", "spectrum.plot_gone()"]


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.rst"))
    named = set(re.findall(r"auto\w+:: qspin\.(?:\w+\.)*(\w+)", text))
    named -= {"report"}  # a module that draws, to be imported by itself
    named = {"shapes" if name == "region" else name for name in named}  # qspin.shapes is that module
    assert named == set(qspin.__all__)


def test_the_gallery_draws_every_problem() -> None:
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    assert spec is not None and spec.loader is not None
    gallery = importlib.util.module_from_spec(spec)
    sys.modules["gallery"] = gallery
    spec.loader.exec_module(gallery)
    assert set(gallery.DRAWN_BY) == {path.stem for path in (ROOT / "problems").glob("*.py")}
    assert set(gallery.DRAWN_BY) >= gallery.QUICK


@pytest.mark.slow
def test_pages_build_without_warnings(tmp_path) -> None:  # type: ignore[no-untyped-def]
    for library in ("sphinx", "myst_nb", "furo"):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed: pip install '.[docs]'")
    built = tmp_path / "html"
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(DOCS), str(built)]
    done = subprocess.run(
        command, env={**os.environ, "QSPIN_DOCS": "quick"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for page in (
        "index",
        "gallery/harmonic_1d",
        "notebooks/first_look",
        "benchmarks/RESULTS",
        "reference/solving",
    ):
        assert (built / f"{page}.html").stat().st_size > 3000
    assert (built / "_images" / "harmonic_1d.png").exists()
    text = (built / "reference" / "spin.html").read_text(encoding="utf-8")
    assert "bias-corrected; 1 means no averaging" in text
