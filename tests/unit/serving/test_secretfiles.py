"""Files that are looked at again and again: what goes wrong once, in whatever way, ends nothing."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipwarden.engine.threads import WorkThreads
from clipwarden.errors import ConfigError
from clipwarden.serving import secretfiles
from clipwarden.serving.secretfiles import Contents, SecretFiles
from kit.serving import eventually


class Watched:
    """A file, what was made of it, and what was told."""

    def __init__(self, file: Path, stall_seconds: float, threads: int = 1) -> None:
        self.file = file
        self.faults: list[Exception] = []
        self.told: list[str | None] = []
        self.answers = threading.Event()
        self.made = list[bytes]()
        self.threads = WorkThreads("read secrets", threads=threads, stall_seconds=stall_seconds)
        file.write_text("one")
        self.files = SecretFiles("tokens", {"tokens": str(file)}, self._make, on_outcome=self._note)

    async def look(self, *, at_once: bool = False) -> bool:
        return await self.files.look(self.threads, at_once=at_once)

    def _make(self, contents: Contents) -> bytes:
        if self.faults:
            raise self.faults.pop()
        self.made.append(contents["tokens"])
        if contents["tokens"] == b"slow":
            self.answers.wait(60)
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
    assert await watched.look()  # without another change
    assert watched.files.current == b"two"
    assert watched.told == ["New tokens cannot be used; the old stays: a fault of ours (OSError).", None]
    watched.threads.close()


async def test_what_is_refused_is_tried_at_every_look_and_told_of_once_or_when_asked(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "tokens", stall_seconds=60)
    watched.file.write_text("two")
    watched.faults += [ConfigError(f"tokens: {why}.") for why in ("late", "late", "late", "early", "early", "early")]
    for _ in range(4):  # the first finds it, and the others try it
        assert not await watched.look()
    assert not await watched.look(at_once=True)
    assert not await watched.look()
    sentence = "New tokens cannot be used; the old stays: tokens: {}.".format
    assert watched.told == [sentence("early"), sentence("late")]
    assert not await watched.look(at_once=True)
    assert watched.told[2:] == [sentence("late")]
    assert await watched.look()
    assert watched.told[3:] == [None]
    assert watched.files.current == b"two"
    watched.threads.close()


async def test_back_to_what_is_in_use_mends_a_refusal(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "tokens", stall_seconds=60)
    watched.file.write_text("two")
    watched.faults.append(ConfigError("tokens: bad."))
    await watched.look(at_once=True)
    watched.file.write_text("one")
    assert [await watched.look() for _ in range(3)] == [False, True, False]
    assert watched.told[1:] == [None]
    watched.threads.close()


async def test_what_was_read_last_is_in_use_last_however_long_the_former_takes(tmp_path: Path) -> None:
    watched = Watched(tmp_path / "tokens", stall_seconds=60, threads=2)
    watched.file.write_text("slow")
    await watched.look()
    periodic = asyncio.create_task(watched.look())
    await eventually(lambda: watched.made[-1] == b"slow")
    watched.file.write_text("revoked")
    hangup = asyncio.create_task(watched.look(at_once=True))
    await asyncio.wait({hangup}, timeout=0.3)  # in which it would overtake
    watched.answers.set()
    assert await periodic
    assert await hangup
    assert watched.files.current == b"revoked"
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
