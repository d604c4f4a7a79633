"""README and docs: the example runs, and the tables name every module."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_example_runs(monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """As printed, with fewer features."""
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    assert "n_states=6)" in example
    names: dict[str, object] = {}
    exec(example.replace("n_states=6)", "n_states=6, method=qspin.Ritz(max_features=60))", 1), names)
    assert (tmp_path / "well.npz").exists()


def test_the_example_in_six_dimensions_runs(monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """As printed, with fewer steps and points; within a hundredth of exact diagonalisation."""
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    (example,) = (text for text in examples if "SampledRitz" in text)
    for printed, quicker in (
        ("steps=200)", "steps=60, batch_size=1024, evaluation_points=32768)"),
        ("plot_marginals()", "plot_marginals(axes=(0, 1), points=16384)"),
        ("ProductBasis()", "ProductBasis(max_functions=3000)"),
    ):
        assert printed in example
        example = example.replace(printed, quicker)
    names: dict[str, object] = {}
    exec(example, names)
    assert abs(names["spectrum"].energies - [3.77387, 4.77387, 4.85947, 5.06653]).max() < 0.04  # type: ignore[attr-defined]


def test_every_module_is_in_the_tables() -> None:
    top = ROOT / "qspin"
    first = {path.stem for path in top.glob("[a-z]*") if path.name != "py.typed"}
    inside = {f"{path.parent.name}.{path.stem}" for path in top.glob("*/[a-z]*.py")}
    for page, modules in (("README.md", first), ("docs/architecture.md", first | inside)):
        named = set(re.findall(r"`([a-z_.]+)`", (ROOT / page).read_text()))
        assert modules <= named, f"{page} lacks {modules - named}"


def test_the_picture_is_there() -> None:
    assert (ROOT / "docs" / "hydrogen_2d.png").stat().st_size > 10_000
