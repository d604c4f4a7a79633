"""README and docs: the example runs, and the tables name every module."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_example_runs(monkeypatch, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """As printed, with fewer features."""
    monkeypatch.chdir(tmp_path)
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    assert "n_states=6)" in example
    names: dict[str, object] = {}
    exec(example.replace("n_states=6)", "n_states=6, method=qspin.Ritz(max_features=60))", 1), names)
    assert (tmp_path / "well.npz").exists()


@pytest.mark.slow
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


def test_the_tables_name_every_folder_and_only_files_that_exist() -> None:
    folders = {path.name for path in (ROOT / "qspin").iterdir() if (path / "__init__.py").is_file()}
    for page in ("README.md", "docs/architecture.md"):
        text = (ROOT / page).read_text()
        assert folders <= set(re.findall(r"`([a-z_]+)`", text)), page
        for file in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
            assert any((root / file).is_file() for root in (ROOT, ROOT / "qspin")), f"{page} names {file}"


def test_the_picture_is_there() -> None:
    assert (ROOT / "docs" / "hydrogen_2d.png").stat().st_size > 10_000
