"""What a policy rests on: the files that its text names, be it right or wrong, and by what each is seen to change."""

from pathlib import Path

import pytest

from clipwarden.engine.origin import Origin, identity_of, look_at
from clipwarden.policy.shipped import shipped_policies


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "policy.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("api: clipwarden/v1\n", []),
        ("prompts: [{vector: a, file: v.safetensors}, {vector: b, file: v.safetensors}]\n", ["v.safetensors"]),
        ("a: [{file: deeper/v.safetensors}]\nb: {c: {file: h.st}}\n", ["deeper/v.safetensors", "h.st"]),
        ('a: {"file": "v.safetensors"}\n', ["v.safetensors"]),
        ("a: {file : v.safetensors}\n", ["v.safetensors"]),
        ("nonsense: [{file: v.safetensors}]\nmore: 1\n", ["v.safetensors"]),
        ("a: {file: ../v.safetensors}\nb: {file: /etc/passwd}\nc: {file: ''}\nd: {file: [x]}\n", []),
        ("a: {file: v.safetensors\n", ["v.safetensors"]),  # the brace is supplied, as lint does
        (b"a: {file: v.safetensors}\xff\n", []),
        (b"\x10\0\0\0\0\0\0\0{file: v}", []),
        ("", []),
    ],
)  # fmt: skip
def test_files_are_those_that_the_text_names_inside_its_folder(
    tmp_path: Path, text: str | bytes, named: list[str]
) -> None:
    path = write(tmp_path, text)
    assert list(look_at([path])) == [path, *(tmp_path / name for name in named)]


def test_shipped_policies_rest_on_themselves() -> None:
    shipped = shipped_policies()
    assert set(look_at(shipped)) == set(shipped)


def test_what_is_missing_has_no_identity_and_what_is_there_has_that_of_where_links_lead(tmp_path: Path) -> None:
    path = write(tmp_path, "a: {file: v.safetensors}\n")
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    assert look_at([link]) == {link: identity_of(path), tmp_path / "v.safetensors": None}
    assert look_at([tmp_path]) == {tmp_path: identity_of(tmp_path)}
    assert look_at([tmp_path / "missing"]) == {tmp_path / "missing": None}


def test_a_policy_that_is_live_and_watches_is_one_file() -> None:
    a, b = Path("a.yaml"), Path("b.yaml")
    assert Origin(policies=(a, b), candidates=(b, a)).paths == (a, b)
