"""Files that are looked at again and again: what goes wrong once, in whatever way, ends nothing."""

from pathlib import Path

import pytest

from clipwarden.serving.secretfiles import Contents, SecretFiles


async def test_a_fault_keeps_what_is_in_use_says_none_of_its_words_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = []
    told: list[str] = []
    file = tmp_path / "tokens"
    file.write_text("one")

    def make(contents: Contents) -> bytes:
        if faults:
            raise faults.pop()
        return contents["tokens"]

    files = SecretFiles("tokens", {"tokens": str(file)}, make, on_outcome=lambda *outcome: told.append(outcome[1]))
    file.write_text("two")
    faults.append(OSError(24, "a word of the file"))
    assert not await files.look(at_once=True)
    assert files.current == b"one"
    assert "OSError" in caplog.text
    assert "a word of the file" not in caplog.text
    assert not await files.look()  # without another change
    assert await files.look()
    assert (files.current, told) == (b"two", ["refused", "loaded"])
