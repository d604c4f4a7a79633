"""Folders are layers: a file imports only from its own folder and from those before it, inside functions too."""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LAYERS = ["numerics", "problem", "spectrum", "methods", "draw", "run"]
METHODS = ["base", "locate", "spin", "ritz", "sampled", "grid", "product_basis", "bounds"]


def imported(path: Path) -> set[tuple[str, ...]]:
    """What a file imports from qspin, as ("methods", "grid", ...)."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "qspin":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names if alias.name.split(".")[0] == "qspin"}
        elif isinstance(node, ast.ImportFrom) and node.level:
            names.add("qspin.relative")  # written out in full everywhere else
    return {tuple(name.split(".")[1:]) for name in names}


def test_layers() -> None:
    wrong = []
    for path in sorted((ROOT / "qspin").rglob("*.py")):
        folder, *below = path.relative_to(ROOT / "qspin").parts
        if (
            folder not in LAYERS or path.name == "__init__.py"
        ):  # the package itself, which puts the layers together
            continue
        allowed = LAYERS[: LAYERS.index(folder) + 1]
        for name in imported(path):
            late = folder == name[0] == "methods" and METHODS.index(name[1]) > METHODS.index(
                below[0].removesuffix(".py")
            )
            if name[0] not in allowed or late:
                wrong.append(f"{path.relative_to(ROOT)} imports {'.'.join(name)}")
    assert wrong == []


AFTER_IMPORT = """
import sys, time
import equinox, jax, optax, scipy.special
libraries = time.process_time()
import qspin
print(time.process_time() / libraries, "matplotlib" in sys.modules, "scipy.sparse" in sys.modules)
"""


def test_import_is_light() -> None:
    """Less than half on top of Python and the libraries it stands on: a busy machine slows both."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", AFTER_IMPORT]
    ratios = []
    for _ in range(3):
        run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
        ratio, matplotlib, sparse = run.stdout.split()
        assert (matplotlib, sparse) == ("False", "False"), "import qspin imported Matplotlib or scipy.sparse"
        ratios.append(float(ratio))
        if ratios[-1] < 1.5:
            break
    assert min(ratios) < 1.5, f"import qspin took {min(ratios):.2f} times what its libraries take."
