"""Files that are looked at again and again: what goes wrong once, in whatever way, ends nothing."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwarden.engine.threads import WorkThreads
from clipwarden.serving import secretfiles
from clipwarden.serving.secretfiles import Contents, SecretFiles


class Watched:
    """A file, what was made of it, and what was told."""

    def __init__(self, file: Path, stall_seconds: float) -> None:
        self.file = file
        self.faults: list[Exception] = []
        self.told: list[str | None] = []
        self.threads = WorkThreads("read secrets", threads=1, stall_seconds=stall_seconds)
        file.write_text("one")
        self.files = SecretFiles("tokens", {"tokens": str(file)}, self._make, on_outcome=self._note)

    async def look(self, *, at_once: bool = False) -> bool:
        return await self.files.look(self.threads, at_once=at_once)

    def _make(self, contents: Contents) -> bytes:
        if self.faults:
            raise self.faults.pop()
        return contents["tokens"]

    def _note(self, _subject: str, _outcome: str, sentence: str | None) -> None:
        self.told.append(sentence)


async def test_a_fault_keeps_what_is_in_use_says_none_of_its_words_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(tmp_path / "tokens", stall_seconds=60)
    watched.file.write_text("two")
    watched.faults.append(OSError(24, "a word of the file"))
    assert not await watched.look(at_once=True)
    assert watched.files.current == b"one"
    assert "OSError" in caplog.text
    assert "a word of the file" not in caplog.text
    assert not await watched.look()  # without another change
    assert await watched.look()
    assert watched.files.current == b"two"
    assert watched.told == ["New tokens cannot be used; the old stays: a fault of ours (OSError).", None]
    watched.threads.close()


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Answers while it is set."""
    answers, read = threading.Event(), secretfiles.read_together
    answers.set()

    def held(*given: object) -> object:
        answers.wait(60)
        return read(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(secretfiles, "read_together", held)
    yield answers
    answers.set()


async def test_a_file_system_that_does_not_answer_is_told_of_once_and_waited_for_by_nobody(
    tmp_path: Path, storage: threading.Event
) -> None:
    watched = Watched(tmp_path / "tokens", stall_seconds=0.05)
    storage.clear()
    for _ in range(4):
        assert not await watched.look()
    sentence = "New tokens cannot be used; the old stays: the file system that they are on does not answer."
    assert watched.told == [sentence]
    assert watched.files.current == b"one"
    assert watched.threads.stuck
    storage.set()
    while watched.told[-1] is not None:
        await asyncio.sleep(0)  # the loop's turn, on which it hears that the thread is back
        await watched.look()
    watched.threads.close()
