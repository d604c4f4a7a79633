"""The arrows of the module table: each module of qspin imports only what stands above it."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "qspin"

# Each may import the ones before it. Change this list together with the table in docs/architecture.md.
ORDER = [
    "checks",
    "states.atomic_files",
    "runtime",
    "domain",
    "region",
    "shapes",
    "states.domain_record",
    "laplacian",
    "force_field",
    "potentials",
    "expression",
    "separable",
    "exact",
    "hamiltonian",
    "operators",
    "networks",
    "wavefunction",
    "sampling",
    "many_dimensions.metropolis",
    "spectral",
    "states.levels",
    "states.tensor_grid",
    "problem",
    "spectral_inference.semiclassical",
    "states.eigenfunctions",
    "states.potential_samples",
    "spectrum",
    "states.comparison",
    "units",
    "states.phases",
    "symmetry",
    "states.rotation",
    "states.tables",
    "method",
    "spectral_inference.jacobian",
    "spectral_inference.estimators",
    "spectral_inference.rivals",
    "spectral_inference.evaluate",
    "spin",
    "variational.jumps",
    "variational.quadrature",
    "variational.features",
    "variational.extent",
    "variational.rayleigh_ritz",
    "variational.gauss_newton",
    "variational.strong_form",
    "variational.ritz_functions",
    "many_dimensions.gaussian_reference",
    "many_dimensions.jets",
    "many_dimensions.product_reference",
    "many_dimensions.product_ansatz",
    "many_dimensions.sampled_functions",
    "many_dimensions.sampled_evaluation",
    "many_dimensions.point_sources",
    "many_dimensions.directions",
    "many_dimensions.energy_metric",
    "many_dimensions.updates",
    "many_dimensions.sampled_training",
    "sampled_ritz",
    "many_dimensions.marginals",
    "many_dimensions.surroundings",
    "variational.trial_space",
    "variational.claimed_errors",
    "variational.solver",
    "ritz",
    "meshes.finite_elements",
    "meshes.axes",
    "meshes.schemes",
    "meshes.cut_cells",
    "meshes.singular_cells",
    "meshes.mesh",
    "meshes.eigensolver",
    "meshes.walls",
    "meshes.extrapolation",
    "meshes.grid_functions",
    "grid",
    "oscillator_basis.oscillator_products",
    "oscillator_basis.fitted_polynomial",
    "oscillator_basis.oscillator_matrices",
    "oscillator_basis.davidson",
    "oscillator_basis.basis_selection",
    "oscillator_basis.product_basis_functions",
    "product_basis",
    "presets",
    "runs.interruption",
    "runs.checkpoint",
    "callbacks",
    "states.unseen",
    "solve",
    "validation",
    "files",
    "problem_file",
    "pictures.style",
    "pictures.windows",
    "pictures.panels",
    "pictures.orbitals",
    "pictures.levels",
    "pictures.history",
    "pictures.overlap",
    "pictures.surface_nets",
    "pictures.isosurfaces",
    "pictures.marginals",
    "plot",
    "pictures.evolution",
    "animation",
    "pictures.html_page",
    "pictures.report_pictures",
    "report",
    "runs.method_table",
    "runs.settings_file",
    "runs.console",
    "runs.run_folder",
    "runs.arguments",
    "cli",
]
EXEMPT = {"__init__", "__main__"}
MAY_IMPORT = {module: set(ORDER[:place]) for place, module in enumerate(ORDER)}
MAY_IMPORT_WHEN_CALLED = {
    # spectrum.plot_levels(), spectrum.rotate() and their like; in function bodies only
    "spectrum": {
        "plot",
        "pictures.marginals",
        "animation",
        "report",
        "states.comparison",
        "states.rotation",
        "states.tables",
        "units",
    },
    "states.eigenfunctions": {"states.rotation"},
    "states.comparison": {"states.tables"},
}
SPARSE = {
    "meshes.finite_elements",
    "meshes.axes",
    "meshes.singular_cells",
    "meshes.mesh",
    "meshes.eigensolver",
    "oscillator_basis.oscillator_matrices",
    "oscillator_basis.davidson",
}
DRAW_NOTHING = {"pictures.surface_nets", "pictures.evolution", "pictures.html_page"}
PICTURES = {"plot", "animation"} | {m for m in ORDER if m.startswith("pictures.") and m not in DRAW_NOTHING}

SOURCES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
ROOMS = {
    name.removesuffix(".__init__"): SOURCES.pop(name) for name in [*SOURCES] if name.endswith(".__init__")
}
MODULES = sorted(SOURCES.keys() - EXEMPT)


def imports(source: str) -> Iterator[tuple[str, bool]]:
    """The full name of everything that is imported, and whether only inside a function, or for who checks types."""

    def visit(node: ast.AST, inside: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "qspin" if node.level else ""
            origin = ".".join(filter(None, [package, node.module]))
            yield from ((f"{origin}.{alias.name}", inside) for alias in node.names)
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        inside = inside or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), False)


def target_of(name: str) -> str:
    """The module of qspin that an import is of; "" for the package itself."""
    parts = name.split(".")[1:]
    prefixes = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next((prefix for prefix in prefixes if prefix in SOURCES), "")


def wrong_imports(module: str, source: str) -> list[str]:
    """What `module` imports from qspin and may not; "" stands for the package itself."""
    wrong = []
    for name, inside in imports(source):
        target = target_of(name)
        allowed = MAY_IMPORT[module] | (MAY_IMPORT_WHEN_CALLED.get(module, set()) if inside else set())
        if name.split(".")[0] == "qspin" and target not in allowed:
            wrong.append(target)
    return wrong


def dotted_names(source: str) -> Iterator[str]:
    """Everything that is imported, and every attribute chain that is used: scipy.sparse.eye."""
    yield from (name for name, _ in imports(source))
    yield from (ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute))


def uses(source: str, library: str) -> bool:
    return any(f"{name}.".startswith(f"{library}.") for name in dotted_names(source))


def test_the_package_is_found_and_its_rooms_are_one_deep():
    assert "runtime" in SOURCES
    assert all(name.count(".") <= 1 for name in SOURCES)
    assert len(ROOMS) + sum("." not in name for name in SOURCES) < 50  # seen in one glance


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_says_what_it_is_for_and_holds_nothing_by_itself(room):
    (only,) = ast.parse(ROOMS[room]).body
    assert isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module):
    assert module in ORDER, (
        f"qspin.{module} stands nowhere in ORDER of tests/test_layers.py; give it a place."
    )


@pytest.mark.parametrize("module", [module for module in MODULES if module in ORDER])
def test_imports_point_up(module):
    wrong = wrong_imports(module, SOURCES[module])
    assert not wrong, f"qspin.{module} may import {sorted(MAY_IMPORT[module])}, and imports {wrong}."


@pytest.mark.parametrize("module", MODULES)
def test_only_the_grid_uses_sparse_matrices(module):
    assert module in SPARSE or not uses(SOURCES[module], "scipy.sparse")


@pytest.mark.parametrize("library", ["pandas", "xarray"])
def test_tables_alone_know_optional_libraries(library):
    """And by name, when they are asked for: no module imports one."""
    assert not [m for m in MODULES for name, _ in imports(SOURCES[m]) if name.split(".")[0] == library]
    assert f'"{library}"' in SOURCES["states.tables"]


@pytest.mark.parametrize("module", MODULES)
def test_only_plot_uses_matplotlib(module):
    libraries = ["matplotlib", "mpl_toolkits"]
    assert module in PICTURES or not any(uses(SOURCES[module], library) for library in libraries)


# --- the rules above catch what they should


@pytest.mark.parametrize(
    "source",
    [
        "import qspin.plot",
        "from qspin import plot",
        "from qspin.plot import plot_levels",
        "from . import plot",
        "from .plot import plot_levels",
    ],
)
def test_an_import_that_points_down_is_seen(source):
    assert wrong_imports("spectrum", source) == ["plot"]
    lazily = "def picture():\n" + "".join(f"    {line}\n" for line in source.splitlines())
    assert wrong_imports("spectrum", lazily) == []
    assert wrong_imports("spectral", lazily) == ["plot"]


def test_an_import_for_who_checks_types_counts_as_one_when_called():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from qspin.plot import plot_levels"
    assert wrong_imports("spectrum", source) == []
    assert wrong_imports("spectral", source) == ["plot"]


@pytest.mark.parametrize("source", ["import qspin", "from qspin import Problem", "from . import Problem"])
def test_a_module_does_not_import_the_package(source):
    assert wrong_imports("cli", source) != []


@pytest.mark.parametrize(
    "source",
    [
        "import scipy.sparse",
        "from scipy import sparse",
        "from scipy.sparse.linalg import eigsh",
        "scipy.sparse.eye(3)",
    ],
)
def test_sparse_matrices_are_seen(source):
    assert uses(source, "scipy.sparse")
    assert not uses("import scipy.special\nimport jax.scipy.sparse.linalg", "scipy.sparse")


# --- import qspin

AFTER_IMPORT = """
import sys, time
import qspin
print(time.process_time(), "matplotlib" in sys.modules, "scipy.sparse" in sys.modules)
"""


def test_import_is_light():
    """Under 1.5 s of processor time, Python's start included: a busy machine does not count against it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    seconds = []
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", AFTER_IMPORT], env=environment, cwd=ROOT, capture_output=True, text=True
        )
        assert run.returncode == 0, run.stderr
        time, matplotlib, sparse = run.stdout.split()
        assert (matplotlib, sparse) == ("False", "False"), "import qspin imported Matplotlib or scipy.sparse"
        seconds.append(float(time))
        if seconds[-1] < 1.5:
            break
    assert min(seconds) < 1.5, f"import qspin took {min(seconds):.2f} s at best."
