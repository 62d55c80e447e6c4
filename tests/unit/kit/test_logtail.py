"""A log that grows is read line by line: each once, none before it is whole."""

import asyncio
from pathlib import Path

from kit.logtail import LogTail


def test_lines_come_once_and_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tail = LogTail(log)
    log.write_text('{"n": 1}\n{"n": 2}\n{"n"')
    assert [line["n"] for line in tail.read()] == [1, 2]
    assert not tail.read()
    with log.open("a") as file:
        file.write(": 3}\n")
    assert [line["n"] for line in tail.read()] == [3]


async def test_what_stands_behind_the_line_that_was_waited_for_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text('{"n": 1}\n{"n": 2}\n{"n": 3}\n')
    tail = LogTail(log)
    assert await tail.until(lambda line: line["n"] == 2) == {"n": 2}
    waited = asyncio.create_task(tail.until(lambda line: line["n"] == 4))
    with log.open("a") as file:
        file.write('{"n": 4}\n{"n": 5}\n')
    assert await waited == {"n": 4}
    assert [line["n"] for line in tail.read()] == [5]
