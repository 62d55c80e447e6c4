"""An import's folder appears whole, holds only what was meant, and replaces nothing that is not an import."""

from pathlib import Path

import pytest
import yaml

from clipwarden_export.errors import ExportError
from clipwarden_export.importers.imported import MODEL_NAME, POLICY_NAME, _render, import_folder

OLD, NEW = (_render({"id": name}, ["Imported by `clipwarden-export import q16`."]) for name in ("old", "new"))


def test_a_folder_appears_when_the_block_ends_and_not_before(tmp_path: Path) -> None:
    with import_folder(tmp_path / "out", overwrite=False) as work:
        (work / POLICY_NAME).write_text("new")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / POLICY_NAME).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failed_import_keeps_the_old_one(tmp_path: Path) -> None:
    with import_folder(tmp_path / "out", overwrite=False) as work:
        (work / POLICY_NAME).write_text(OLD)

    def fail() -> None:
        with import_folder(tmp_path / "out", overwrite=True) as work:
            (work / POLICY_NAME).write_text(NEW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "out" / POLICY_NAME).read_text() == OLD
    with import_folder(tmp_path / "out", overwrite=True) as work:
        (work / POLICY_NAME).write_text("new")
    assert (tmp_path / "out" / POLICY_NAME).read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_no_import_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    for name in ("own", "tuned"):
        (tmp_path / name).mkdir()
    (tmp_path / "own" / POLICY_NAME).write_text("# Mine.\nid: mine\n")
    (tmp_path / "tuned" / POLICY_NAME).write_text(OLD)
    (tmp_path / "tuned" / "labels.csv").write_text("a week's work")
    for name, overwrite, sentence in (
        ("letters", False, "pass --overwrite"),
        ("letters", True, "is no import of ours and not empty"),
        ("file", True, "is no import of ours"),
        ("own", True, "is no import of ours"),
        ("tuned", True, "is no import of ours"),
        ("no/where", True, "does not exist; make it first"),
    ):
        with pytest.raises(ExportError, match=sentence), import_folder(tmp_path / name, overwrite=overwrite):
            pytest.fail("began")
    (tmp_path / "empty").mkdir()
    with import_folder(tmp_path / "empty", overwrite=True) as work:
        (work / POLICY_NAME).write_text("new")


def test_the_model_to_bind_to_is_never_replaced(tmp_path: Path) -> None:
    """A second import over the first, bound to the model that the first brought."""
    with import_folder(tmp_path / "out", overwrite=False) as work:
        (work / POLICY_NAME).write_text(OLD)
        (work / MODEL_NAME).mkdir()
    model = tmp_path / "out" / MODEL_NAME
    with (
        pytest.raises(ExportError, match="holds the model to bind to, which would be lost"),
        import_folder(tmp_path / "out", overwrite=True, model=model),
    ):
        pytest.fail("began")
    assert model.is_dir()


def test_a_folder_that_came_up_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    def import_slowly() -> None:
        with import_folder(tmp_path / "out", overwrite=False) as work:
            (work / POLICY_NAME).write_text(NEW)
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / POLICY_NAME).write_text(OLD)

    with pytest.raises(ExportError, match="pass --overwrite"):
        import_slowly()
    assert (tmp_path / "out" / POLICY_NAME).read_text() == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_name_with_line_breaks_stays_a_comment() -> None:
    text = _render({"api": "clipwarden/v1"}, ["from evil\ndefaults: {mode: disabled}\u2028x"])
    assert text.splitlines()[0] == "# from evil?defaults: {mode: disabled}?x"
    assert yaml.safe_load(text) == {"api": "clipwarden/v1"}
