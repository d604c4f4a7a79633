"""Settings of the documentation: `sphinx-build -W docs docs/_build/html`, after `pip install '.[docs]'`.

Pages are Markdown (MyST), the reference is made from docstrings, the notebooks are executed, and the gallery's pictures are
drawn by `gallery.py`. With QSPIN_DOCS=quick notebooks are shown without outputs, and only the fastest problems are solved.
"""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(ROOT)]

import gallery  # noqa: E402

import qspin  # noqa: E402

QUICK = os.environ.get("QSPIN_DOCS") == "quick"

project = "qspin"
author = "the qspin authors"
release = qspin.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"qspin {release}"
html_show_sourcelink = False

myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off" if QUICK else "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # seconds a cell
nb_merge_streams = True

default_role = "py:obj"  # `Ritz` in a docstring links to it
autodoc_typehints = "none"  # docstrings give shapes and units
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_use_ivar = True


def escape(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """Docstrings are plain text: outside examples a | is a bar and a * a product or a star, never markup."""
    example = False
    for place, line in enumerate(lines):
        example = line.lstrip().startswith(">>>") or (example and line.strip() != "")
        if not example:
            lines[place] = line.replace("|", r"\|").replace("*", r"\*")


def setup(app):  # type: ignore[no-untyped-def]
    """Before Sphinx looks for pages: draw the gallery, and copy what lies outside docs/, so that its links lead to pages."""
    app.connect("autodoc-process-docstring", escape, priority=100)
    gallery.write(HERE / "gallery", quick=QUICK)
    for folder in ("notebooks", "benchmarks"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
        shutil.copytree(
            ROOT / folder, HERE / folder, ignore=shutil.ignore_patterns("*.py", "__pycache__", ".*")
        )
