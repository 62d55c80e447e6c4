"""What may stand in the place of a policy's file and must never judge: broken texts, other files, no files."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from kit.policies import FINGERPRINT

Spoil = Callable[[Path, str], None]
"""Puts something bad in the place of a path, given a good text."""


def put(path: Path, content: str | bytes) -> None:
    """Write a file as careful programs do, whatever was there: beside it, and then by a rename."""
    clear(path)
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    beside.replace(path)


def clear(path: Path) -> None:
    """Make way for a file where something else stands; a file stays until it is replaced."""
    if path.is_dir():
        shutil.rmtree(path)
    elif path.is_symlink() or path.is_fifo():
        path.unlink()


def _text(change: Callable[[str], str | bytes]) -> Spoil:
    return lambda path, good: put(path, change(good))


def _replaced(old: str, new: str) -> Spoil:
    def change(good: str) -> str:
        assert old in good
        return good.replace(old, new, 1)

    return _text(change)


def _in_place_of_it(make: Callable[[Path], None]) -> Spoil:
    def spoil(path: Path, _: str) -> None:
        clear(path)
        path.unlink(missing_ok=True)
        make(path)

    return spoil


def _begun_in_place(path: Path, good: str) -> None:
    clear(path)
    with path.open("w") as file:
        file.write(good[: good.index("thresholds") + 5])


BAD_POLICIES: Mapping[str, Spoil] = {
    "empty": _text(lambda _: ""),
    "begun in place": _begun_in_place,
    "not UTF-8": _text(lambda good: good.encode("utf-16")),
    "with a NUL": _text(lambda good: good + "\0"),
    "with tabs": _replaced("\n- id: yellow", "\n\t- id: yellow"),
    "with an unknown key": _replaced("  severity: 3", "  severity: 3\n  colour: red"),
    "of another API": _replaced("clipwarden/v1", "clipwarden/v9"),
    "of another model": _text(lambda good: good.replace(good.partition('fingerprint: "')[2][:71], FINGERPRINT)),
    "with a category twice": _replaced("- id: yellow", "- id: red"),
    "with ends that cross": _replaced("block: 0.9", "block: 0.1"),
    "with words about minors": _replaced('prompts: ["yellow"]', 'prompts: ["yellow", "a child"]'),
    "with aliases within aliases": _text(lambda _: "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"),
    "too large": _text(lambda good: good + "#" * 2**21),
    "a bundle cut short": _text(lambda _: b"\0\1\0\0\0\0\0\0{}"),
    "a picture": _text(lambda _: b"\x89PNG\r\n\x1a\n" + bytes(100)),
    "with a vector that is not there": _replaced(
        'prompts: ["yellow"]', "prompts: [{vector: a, file: none.safetensors}]"
    ),
    "with the id of another": _replaced("{id: colours", "{id: other"),
    "with an id that nobody asks for": _replaced("{id: colours", "{id: colors"),
    "gone": _in_place_of_it(lambda _: None),
    "a folder": _in_place_of_it(Path.mkdir),
    "a pipe": _in_place_of_it(os.mkfifo),
    "a device without an end": _in_place_of_it(lambda path: path.symlink_to("/dev/zero")),
    "a link to itself": _in_place_of_it(lambda path: path.symlink_to(path.name)),
    "a link to nowhere": _in_place_of_it(lambda path: path.symlink_to("nowhere.yaml")),
}
"""By what they are; each is refused by a server that starts with it and with the policy `other`."""
