"""A folder that changes as a mounted ConfigMap does: every path shows the old files or the new, and nothing else."""

from pathlib import Path

from kit.configmap import ConfigMap


def test_a_swap_changes_all_files_by_one_link(tmp_path: Path) -> None:
    volume = ConfigMap(tmp_path / "volume", {"a": "old a", "b": "old b"})
    link = (tmp_path / "volume" / "..data").readlink()
    kept = volume["a"].resolve().parent
    volume.swap({"a": "new a", "c": "new c"})
    assert (tmp_path / "volume" / "..data").readlink() != link
    assert (volume["a"].read_text(), volume["c"].read_text()) == ("new a", "new c")
    assert not volume["b"].is_symlink()
    assert not kept.exists()
    assert volume["a"].readlink() == Path("..data/a")
