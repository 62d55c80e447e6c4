"""docs/tuning.md is followed as it stands, from a folder of pictures to a server that stops by the enforced policy."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clipwarden.cli.loading import vector_cache
from clipwarden.cli.subserver import Subserver, running_subserver
from clipwarden.client import Client
from clipwarden.engine.snapshot import load_snapshot
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Mode, Verdict
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.verdicts import judge_store
from kit.pages import ADDRESS, Block, blocks, is_shown, read_page, run_commands
from kit.uploads import is_drink, write_uploads

PAGE = "docs/tuning.md"
CATEGORY = "substances.alcohol"
COMMANDS = [block for block in blocks(PAGE, "sh") if block.tested]


class Reader:
    """Somebody who follows the page: runs its commands, labels where it says so, and leaves the server running.

    Args:
        stack: Ends the server.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server: Subserver | None = None

    def follow(self, block: Block) -> None:
        command = block.text.strip()
        if command.startswith("clipwarden serve "):
            self._serve(command.split()[2:])
            return
        if ADDRESS in command:
            self._wait_for(Path("mine-1.0.3.yaml"))
            command = command.replace(ADDRESS, self._running.target)
        printed = run_commands(command, environment={"COLUMNS": "120"})
        assert block.output is None or is_shown(block.output, printed), f"{command}\n{printed}"
        if "moderate" in command:
            _check_verdicts(printed)
        if command.startswith("clipwarden sample"):
            _label(Path("top.jsonl" if "top.jsonl" in command else "labels.jsonl"))

    @property
    def _running(self) -> Subserver:
        assert self._server is not None
        return self._server

    def _serve(self, flags: list[str]) -> None:
        self._server = self._stack.enter_context(running_subserver(flags))
        with Client(self._server.target, sleep=self._server.sleep) as client:
            client.wait_until_ready()

    def _wait_for(self, version: Path) -> None:
        """Wait until the server has taken what was made live."""
        digest = policy_digest(load_policy(version).policy)
        with Client(self._running.target) as client:
            while client.list_policies()[0].policy.digest != digest:
                self._running.sleep(0.05)


def _label(drawn: Path) -> None:
    """Label as Kim does, in the file that the page saves: a walk ends as soon as it may."""
    header, *rows = [json.loads(line) for line in drawn.read_text().splitlines()]
    left = header["walk"]["allowed"] + 1 if "walk" in header else len(rows)
    for row in rows:
        shows = is_drink(Path(row["uri"]).name)
        if left:
            row |= {"labels": {CATEGORY: shows}, "labeller": "kim"}
            left -= not shows
    saved = "".join(f"{json.dumps(line, sort_keys=True)}\n" for line in [header, *rows])
    drawn.with_name(f"{drawn.stem}-kim.jsonl").write_text(saved)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    write_uploads(tmp_path / "uploads", 700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with ExitStack() as stack:
        yield Reader(stack)


@pytest.mark.timeout(300)
def test_the_page_leads_to_a_server_that_stops_what_was_promised(reader: Reader) -> None:
    for block in COMMANDS:
        reader.follow(block)
        if "restore" in block.text:
            _check_live()


def _check_live() -> None:
    """What is live is what was tuned, and a second person stands for it."""
    policy = load_policy(Path("mine.yaml")).policy
    (enforced,) = [category for category in policy.categories if category.mode is Mode.ENFORCE]
    assert enforced.id == CATEGORY
    assert enforced.thresholds is not None
    assert enforced.thresholds.chosen_on is not None
    assert enforced.thresholds.chosen_on.approved_by == policy.metadata.approved_by == "lee"
    assert enforced.thresholds.chosen_on.evidence is not None
    assert len(enforced.thresholds.chosen_on.evidence.promises) > 1


def _check_verdicts(printed: str) -> None:
    """The server's verdicts are those that the store foretells, and few harmless pictures are stopped."""
    store = open_store(Path("uploads.store"))
    verdict = judge_store(store, load_snapshot("mini", ["mine.yaml"], cache=vector_cache()).select().tables).verdict
    told = re.search(r"(\d+) images: (\d+) ALLOW, (\d+) REVIEW, (\d+) BLOCK", printed)
    assert told, printed
    assert [int(number) for number in told.groups()] == [700, *(int((verdict == each).sum()) for each in Verdict)]
    drink = {sha: is_drink(Path(uri).name) for sha, uri in zip(store.uploads.sha256, store.uploads.uri, strict=True)}
    stopped = [drink[sha] for sha, each in zip(store.pictures.sha256, verdict, strict=True) if each == Verdict.BLOCK]
    assert sum(stopped) > 5
    assert stopped.count(False) <= 0.02 * (len(drink) - sum(drink.values()))


def test_it_takes_eight_commands_and_no_hand_writes_yaml() -> None:
    steps = read_page(PAGE).partition("## The eight commands")[2].partition("Uploads are stopped by it")[0]
    commands = re.findall(r"^```sh\n(.*?)^```$", steps, re.DOTALL | re.MULTILINE)
    assert len(commands) == len(re.findall(r"^\*\*\d\. ", steps, re.MULTILINE)) == 8
    assert [command for command in commands if not re.fullmatch(r"clipwarden .*\n", command)] == []
