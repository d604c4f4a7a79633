"""README and docs: the example runs, and the tables name every module."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_example_runs(monkeypatch, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """As printed: every state converges, and the files are there."""
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1), {})  # type: ignore[union-attr]
    assert "All states converged." in capsys.readouterr().out
    assert (tmp_path / "well.npz").exists() and (tmp_path / "well.html").exists()


def test_the_tables_name_every_folder_and_only_files_that_exist() -> None:
    folders = {path.name for path in (ROOT / "qspin").iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(re.findall(r"`([a-z_]+)`", (ROOT / "docs/architecture.md").read_text()))
    for page in ("README.md", "docs/architecture.md"):
        text = (ROOT / page).read_text()
        for file in re.findall(r"`((?:\w+/)+\w+\.py)`", text):
            assert any((root / file).is_file() for root in (ROOT, ROOT / "qspin")), f"{page} names {file}"


def test_the_picture_is_there() -> None:
    assert (ROOT / "docs" / "hydrogen_2d.png").stat().st_size > 10_000
