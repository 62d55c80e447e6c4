from pathlib import Path

import pytest

from clipwarden.policy import shipped


def test_default_policy_is_found_in_the_checkout() -> None:
    assert shipped.shipped_policy("default").is_file()
    assert shipped.shipped_policy("default") in shipped.shipped_policies()


def test_wheel_s_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "default.yaml").write_text("")
    monkeypatch.setattr(shipped, "_FOLDERS", (tmp_path, *shipped._FOLDERS))
    assert shipped.shipped_policies() == [tmp_path / "default.yaml"]
    assert shipped.shipped_policy("default") == tmp_path / "default.yaml"


def test_unknown_name_is_a_path_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_FOLDERS", (tmp_path / "none",))
    assert not shipped.shipped_policy("nothing").exists()
    assert shipped.shipped_policies() == []
