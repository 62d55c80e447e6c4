from pathlib import Path

import pytest

from clipwarden_export.errors import SourceError
from clipwarden_export.sources.source import locate, read_license


def checkpoint(folder: Path, *names: str, card: str | None = None) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(b"x")
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def test_local_folder_is_named_without_its_path(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "my-clip", "model.safetensors", card="---\nlicense: mit\n---\n# Hello\n")
    located = locate(str(folder))
    assert (located.source, located.revision, located.license) == ("my-clip", "local", "mit")
    assert located.folder == folder.resolve()


def test_hub_id_is_fetched_without_pickles_and_named_by_its_commit(tmp_path: Path) -> None:
    asked = {}

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(checkpoint(tmp_path / "0123abc", "model.safetensors"))

    located = locate("hf-hub:owner/name", revision="main", download=download)
    assert (asked["name"], asked["revision"]) == ("owner/name", "main")
    assert not [pattern for pattern in asked["patterns"] if pattern.endswith((".bin", ".pt", ".pth"))]
    assert (located.source, located.revision, located.license) == ("owner/name", "0123abc", "unknown")


def test_pickle_is_refused_unless_asked_for_by_name(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "old", "pytorch_model.bin")
    with pytest.raises(SourceError, match=r"only the pickle pytorch_model\.bin.*--allow-pickle pytorch_model\.bin"):
        locate(str(folder))
    assert locate(str(folder), pickle="pytorch_model.bin").pickle == "pytorch_model.bin"
    with pytest.raises(SourceError, match=r"has no other\.bin"):
        locate(str(folder), pickle="other.bin")


def test_pickle_is_refused_where_safetensors_lie_beside_it(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "both", "pytorch_model.bin", "model.safetensors")
    with pytest.raises(SourceError, match="no pickle is needed"):
        locate(str(folder), pickle="pytorch_model.bin")


def test_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no weights to export"):
        locate(str(checkpoint(tmp_path / "empty")))


@pytest.mark.parametrize("name", ["nonsense", "a/b/c", "./missing", "/no/such"])
def test_what_is_neither_folder_nor_hub_id_is_refused(name: str) -> None:
    with pytest.raises(SourceError, match="a hub id has the form owner/name"):
        locate(name)


def test_failed_download_is_one_sentence() -> None:
    def download(name: str, **_settings: object) -> str:
        raise ConnectionError(f"cannot reach {name}\nlong trace")

    with pytest.raises(SourceError, match=r"could not be fetched from the hub: cannot reach owner/name$"):
        locate("owner/name", download=download)


@pytest.mark.parametrize(
    ("card", "license_name"),
    [
        ("---\nlicense: apache-2.0\ntags: [clip]\n---\n", "apache-2.0"),
        ("---\nlicense: other\nlicense_name: apple-ascl\n---\n", "apple-ascl"),
        ("# No front matter\n", "unknown"),
        ("---\ntags: [clip]\n---\n", "unknown"),
        ("---\n- a list\n---\n", "unknown"),
        ("---\nlicense: [unclosed\n---\n", "unknown"),
        ("Text first\n---\nlicense: mit\n---\n", "unknown"),
    ],
)
def test_licence_comes_from_the_model_card(card: str, license_name: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(card)
    assert read_license(tmp_path) == license_name


def test_no_card_no_licence(tmp_path: Path) -> None:
    assert read_license(tmp_path) == "unknown"


def test_hub_repository_with_nothing_but_a_pickle_says_how_to_go_on(tmp_path: Path) -> None:
    # Nothing but what is wanted is fetched, so the pickle cannot be seen: clip-vit-base-patch32 was such a repository.
    checkpoint(tmp_path / "4f5e", "config.json")
    with pytest.raises(SourceError, match=r"no weights to export\. Where the hub has only a pickle, .*--allow-pickle"):
        locate("owner/name", download=lambda *_name, **_settings: str(tmp_path / "4f5e"))
    with pytest.raises(SourceError, match=r"no weights to export\.$"):
        locate(str(tmp_path / "4f5e"))
