"""The programs that measure servers under pressure measure what they say, on an encoder too small to mean anything."""

import asyncio
import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from bench.photos import Photo
from bench.pressure import __main__ as command
from bench.pressure import bare, barejudge, overload
from bench.pressure.figures import Figure, Outcome, paired, splice
from bench.pressure.grpccalls import _require_verdict
from bench.pressure.harness import Bench, Options
from bench.pressure.limit import measure, open_session, read_pixels, work_of
from bench.pressure.load import Run
from bench.pressure.loads import Answer, Load, Summary
from bench.pressure.material import TINY, Material, make_material
from bench.pressure.processes import Program, resident_bytes
from bench.pressure.quotas import CpuQuota
from bench.pressure.rehearsal import Rehearsal
from bench.pressure.statistics import estimate, percentiles, slope
from bench.pressure.watch import Watch
from PIL import Image

from clipwarden.v1 import moderation_pb2 as pb

SMALL = (224, 224)
QUICK = Options(seconds=1.0, pairs=1, warm_seconds=0.1, sizes=("224x224",))


class TestStatistics:
    def test_the_third_smallest_of_nine_is_the_bound_whatever_the_two_below_are(self) -> None:
        values = [0.95, 0.93, 0.92, 0.94, 0.96, 0.97, 0.91, 0.1, 0.2]
        found = estimate(values)
        assert (found.median, found.low, found.high) == (0.93, 0.91, 0.95)

    @pytest.mark.parametrize(("runs", "rank"), [(1, 0), (3, 0), (4, 0), (6, 0), (7, 1), (9, 2), (20, 6)])
    def test_bounds_are_those_of_the_sign_test(self, runs: int, rank: int) -> None:
        assert estimate(range(runs)).low == rank

    def test_a_level_series_has_a_slope_whose_interval_holds_nothing_and_a_growing_one_has_not(self) -> None:
        seconds = [float(second) for second in range(120)]
        noise = [(-1.0) ** second * (second % 7) for second in range(120)]
        level, growing = slope(seconds, noise), slope(seconds, [x + y for x, y in zip(seconds, noise, strict=True)])
        assert level.low < 0 < level.high
        assert growing.low > 0.9
        assert growing.high < 1.1

    def test_no_latency_is_left_out(self) -> None:
        assert percentiles([1.0] * 99 + [1000.0])["max"] == 1000
        assert percentiles([]) == {"p50": None, "p99": None, "max": None}


class TestFigures:
    def test_a_bar_is_held_by_the_bound_on_its_side(self) -> None:
        values = [0.8, 0.85, 0.89, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0]
        assert not paired("ratio", values, bar=0.9).holds
        assert paired("ratio", values, bar=0.89).holds
        assert paired("cost", values, bar=0.98, sense="<=").holds
        assert not paired("cost", values, bar=0.97, sense="<=").holds

    def test_what_could_not_be_measured_meets_no_bar(self) -> None:
        assert not Figure(name="refusals", value=None, bar=10, sense="<").holds
        assert not Figure(name="refusals", value=float("inf"), bar=10, sense="<").holds

    def test_an_outcome_is_read_back_as_it_was_saved(self, tmp_path: Path) -> None:
        saved = outcome(value=0.95)
        saved.save(tmp_path / "x.json")
        assert Outcome.read(tmp_path / "x.json") == saved
        assert json.loads((tmp_path / "x.json").read_text())["figures"][0]["holds"] is True

    def test_a_table_fills_its_own_section_and_no_other(self) -> None:
        document = "a\n\n### `x`\n\nold\n\n### `y`\n\nb\n"
        made = splice(document, [outcome(value=0.5), replace(outcome(value=1.0), scenario="z")])
        assert made.startswith("a\n\n### `x`\n\nA title.\n\n| | measured |")
        assert "| ratio | 0.5 | >= 0.9 | MISSED |" in made
        assert made.endswith("Machine: cores 2, commit 0123456789.\n\n### `y`\n\nb\n")
        assert "old" not in made
        assert splice(made, [outcome(value=0.5)]) == made


def outcome(*, value: float) -> Outcome:
    figures = [Figure(name="ratio", value=value, bar=0.9)]
    return Outcome(
        scenario="x", title="a title", machine={"cores": "2", "commit": "0123456789"}, figures=figures, notes=["a note"]
    )


class Fixed:
    """A caller that takes so long for each call in turn; the last one's time is that of all that follow."""

    def __init__(self, *seconds: float) -> None:
        self._seconds = list(seconds)
        self.calls: list[int] = []

    async def call(self, connection: int, seconds: float) -> Answer:
        self.calls.append(connection)
        taken = self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]
        await asyncio.sleep(min(taken, seconds))
        return Answer(outcome="verdict" if taken < seconds else "late")

    async def close(self) -> None:
        """Nothing to close."""


def hold_the_loop(seconds: float) -> None:
    time.sleep(seconds)


class Stalling(Fixed):
    """Holds the whole event loop at its first call, as a generator that got no processor."""

    async def call(self, connection: int, seconds: float) -> Answer:
        if not self.calls:
            hold_the_loop(0.3)
        return await super().call(connection, seconds)


class TestGenerator:
    async def test_an_open_loop_sends_every_arrival_that_is_due_however_slow_the_answers_are(self) -> None:
        load = Load(target="", size=SMALL, seconds=0.5, warm_seconds=0.0, rates=(100.0,), deadline=60.0)
        summary = await Run(load, Fixed(0.9)).run()
        assert summary.offered == 49  # of fifty intervals, the last one's arrival is the end
        assert summary.outcomes == {"verdict": 49}
        assert summary.verdict_ms["p50"] is not None
        assert summary.verdict_ms["p50"] >= 900

    async def test_latency_counts_from_when_a_call_was_due_not_from_when_it_was_sent(self) -> None:
        load = Load(target="", size=SMALL, seconds=0.5, warm_seconds=0.0, rates=(100.0,), deadline=60.0)
        summary = await Run(load, Stalling(0.0)).run()
        assert summary.offered == 49  # those that were due meanwhile are sent after all
        assert summary.lag_ms["max"] is not None
        assert summary.lag_ms["max"] >= 250  # and said to have been late
        assert summary.verdict_ms["max"] is not None
        assert summary.verdict_ms["max"] >= summary.lag_ms["max"]

    async def test_what_comes_after_the_deadline_is_no_goodput(self) -> None:
        load = Load(target="", size=SMALL, seconds=0.3, warm_seconds=0.0, rates=(20.0,), deadline=0.2)
        summary = await Run(load, Fixed(0.4)).run()
        assert summary.offered == 6 - 1
        assert set(summary.outcomes) <= {"late", "never sent"}
        assert summary.verdicts_a_second == 0

    async def test_streams_keep_a_connection_each_and_are_counted_apart(self) -> None:
        load = Load(target="", size=SMALL, seconds=0.5, warm_seconds=0.0, rates=(40.0, 10.0, 10.0))
        caller = Fixed(0.0)
        summary = await Run(load, caller).run()
        assert sorted(set(caller.calls)) == [0, 1, 2]
        assert summary.offered_by_stream == summary.verdicts_by_stream
        assert summary.offered_by_stream[0] > 2 * summary.offered_by_stream[1]

    async def test_a_closed_loop_has_so_many_calls_out_and_no_more(self) -> None:
        load = Load(target="", size=SMALL, seconds=1.0, warm_seconds=0.0, callers=3, deadline=1.5)
        caller = Fixed(30.0)
        summary = await Run(load, caller).run()
        assert sorted(caller.calls) == [0, 1, 2]
        assert summary.outcomes == {}  # they ended after the measured part


class TestPhotos:
    def test_no_file_comes_twice_and_all_decode_to_the_same_pixels(self) -> None:
        photo = Photo((64, 48))
        first, second = photo.next(), photo.next()
        assert first != second
        assert len(first) == len(second)
        assert Image.open(io.BytesIO(first)).tobytes() == Image.open(io.BytesIO(second)).tobytes()

    def test_padding_makes_a_file_large_and_leaves_it_a_picture(self) -> None:
        data = Photo((64, 48), padding=200_000).next()
        assert len(data) >= 200_000
        assert Image.open(io.BytesIO(data)).convert("RGB").size == (64, 48)

    def test_requests_are_read_back_as_the_server_reads_them(self) -> None:
        request = pb.ModerateRequest.FromString(Photo((64, 48)).in_request().next())
        assert Image.open(io.BytesIO(request.image.data)).size == (64, 48)
        assert request == pb.ModerateRequest(image=pb.ImageSource(data=request.image.data))


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("bench"), geometry=TINY)


def test_the_limit_counts_images_that_were_decoded_and_encoded(material: Material) -> None:
    assert read_pixels(Photo((320, 240)).next(), 32).shape == (1, 32, 32, 3)
    work = work_of(open_session(str(material.onnx), 1), material.side, SMALL, encode_only=False)
    found = measure(work, threads=2, seconds=1.0, warm_seconds=0.0)
    assert found["images_a_second"] > 0
    assert found["image_ms"]["p50"] > 0


def test_the_bench_measures_a_real_server_and_bare_ones_side_by_side(material: Material) -> None:
    with Bench(material, QUICK) as bench:
        server, plain, judge = bench.clipwarden(), bench.bare(), bench.bare_judge()
        ours = bench.saturate(server, "224x224", kind="ours")
        echo = bench.load(plain, "224x224", kind="echo", callers=1, method=bare.ECHO)
        refused = bench.load(plain, "224x224", kind="refused", rates=(50.0,), method=bare.REFUSE)
        judged_bare = bench.saturate(judge, "224x224", kind="bare")
        limit = bench.limit("224x224")
        mixed = bench.load(server, "224x224", kind="mix", rates=(30.0,), protocol="mix", seconds=1.0)
        own_client = bench.load(server, "224x224", kind="client", rates=(20.0,), protocol="client")
        with bench.only(server):
            judged = server.metric("clipwarden_requests_total", method="Moderate", code="OK")
    assert set(ours.outcomes) == {"verdict"}
    assert ours.peak_bytes > 0
    assert ours.generator_cpu > 0
    assert echo.outcomes == {"verdict": echo.offered}
    assert refused.outcomes == {"refused": refused.offered}
    assert refused.unadvised == 0
    assert set(judged_bare.outcomes) == {"verdict"}
    assert limit["images_a_second"] > 0
    assert {"verdict", "INVALID_ARGUMENT"} <= set(mixed.outcomes)
    assert own_client.attempts == own_client.offered == own_client.outcomes["verdict"]
    assert judged >= ours.offered + own_client.offered
    assert [run["kind"] for run in bench.runs] == ["ours", "echo", "refused", "bare", "limit", "mix", "client"]


def test_health_is_asked_only_while_the_server_may_answer(material: Material) -> None:
    with Bench(material, QUICK) as bench:
        server = bench.clipwarden()
        watch = Watch(server, every_seconds=0.01, health=True)
        bench.load(server, "224x224", kind="watched", beside=watch, callers=1)
    assert watch.seen.checks > 0
    assert watch.seen.unhealthy == 0
    assert len(watch.seen.resident) == len(watch.seen.seconds)


def test_the_bare_server_answers_a_verdict_as_long_as_ours() -> None:
    verdict = barejudge.canned_verdict()
    _require_verdict(verdict, parse=True)
    assert abs(len(verdict) - bare.VERDICT_BYTES) < 10


@pytest.mark.parametrize(
    ("outcomes", "others"),
    [
        ({"verdict": 5, "refused": 3, "late": 1, "never sent": 1}, 0),
        ({"verdict": 5, "refused": 3, "INTERNAL": 2}, 2),
    ],
)
def test_calls_that_ended_as_none_should_are_counted(outcomes: dict[str, int], others: int) -> None:
    none: dict[str, float | None] = percentiles([1.0])
    run = Summary(
        seconds=1.0,
        offered=sum(outcomes.values()),
        outcomes=outcomes,
        verdicts_a_second=5.0,
        verdict_ms=none,
        accepted_ms=none,
        refused_ms=none,
        unadvised=0,
        attempts=10,
        lag_ms=none,
        generator_cpu=0.1,
        server_cpu=0.1,
        peak_bytes=1,
    )
    (row,) = (figure for figure in overload._rest("224x224", [run]) if "any other end" in figure.name)
    assert (row.value, row.holds) == (others, others == 0)


def test_a_frozen_program_does_nothing_until_it_is_thawed(tmp_path: Path) -> None:
    echo = "import sys\nfor line in sys.stdin: print(line, end='', flush=True)"
    with Program([sys.executable, "-c", echo], log=tmp_path / "log", piped=True) as program:
        assert program.ask({"a": 1}) == {"a": 1}
        program.freeze()
        while states(program) != {"T"}:  # a signal is on its way for a moment; the test's own timeout bounds it
            time.sleep(0.01)
        program.thaw()
        assert program.ask({"b": 2}) == {"b": 2}
        assert resident_bytes(program.pids) > 0


def states(program: Program) -> set[str]:
    return {Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in program.pids}


def test_a_program_that_ends_says_its_last_words(tmp_path: Path) -> None:
    with (
        Program([sys.executable, "-c", "raise SystemExit('no model')"], log=tmp_path / "log", piped=True) as program,
        pytest.raises(RuntimeError, match="no model"),
    ):
        program.ask("")


class TestCommand:
    def test_a_scenario_is_measured_once_and_then_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        measured = []

        def measure_it(_: Bench) -> Outcome:
            measured.append(1)
            return outcome(value=0.5)

        monkeypatch.setattr(command, "SCENARIOS", {"x": measure_it})
        common = ["x", "--tiny", "--folder", str(tmp_path)]
        document = tmp_path / "doc.md"
        document.write_text("### `x`\n")
        assert command.main(common) == 0
        assert command.main([*common, "--check", "--markdown", str(document)]) == 1
        assert len(measured) == 1
        assert "MISSED" in document.read_text()
        assert "ratio: 0.5; bar >= 0.9: MISSED" in capsys.readouterr().out
        assert command.main([*common, "--again", "--json"]) == 0
        assert len(measured) == 2
        assert json.loads(capsys.readouterr().out)[0]["figures"][0]["holds"] is False

    @pytest.mark.parametrize(
        "arguments", [["speed"], ["lone", "--plot", "x.svg"], ["--seconds", "0"], ["--pairs", "0"]]
    )
    def test_what_cannot_be_done_is_refused(self, arguments: Sequence[str]) -> None:
        with pytest.raises(SystemExit):
            command.main(arguments)

    @pytest.mark.parametrize("name", list(command.SCENARIOS))
    def test_how_long_a_scenario_takes_grows_with_what_is_asked_for(self, tmp_path: Path, name: str) -> None:
        taken = []
        for pairs, seconds in ((3, 10.0), (9, 10.0), (9, 20.0)):
            with Rehearsal(tmp_path, replace(QUICK, pairs=pairs, seconds=seconds)) as bench:
                assert command.SCENARIOS[name](bench).scenario == name
            taken.append(bench.seconds)
        assert taken == sorted(taken)
        assert taken[0] > 0

    def test_a_listing_measures_nothing_and_leaves_out_what_is_kept(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        common = ["lone", "seen", "--folder", str(tmp_path), "--seconds", "60", "--pairs", "1", "--sizes", "224x224"]
        outcome(value=1.0).save(tmp_path / "results-1x60s-224x224" / "lone.json")
        assert command.main([*common, "--list"]) == 0
        lone, seen, left = capsys.readouterr().out.splitlines()
        assert lone.endswith("(measured already)")
        assert seen.split()[:3] == [*left.split()[:2], "seen:"]
        assert command.main([*common, "--list", "--again"]) == 0
        assert "(measured already)" not in capsys.readouterr().out

    def test_what_was_measured_on_another_commit_is_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        outcome(value=1.0).save(tmp_path / "results-9x10s" / "lone.json")
        assert command.main(["lone", "--folder", str(tmp_path)]) == 0
        seen = capsys.readouterr()
        assert "machine: cores 2, commit 0123456789" in seen.out
        assert "measured on 0123456789, not on" in seen.err

    def test_the_page_has_a_section_for_each_table(self) -> None:
        page = (Path(command.__file__).parents[2] / "docs" / "benchmarks.md").read_text(encoding="utf-8")
        # A sweep has some 180 rows, and is drawn.
        assert [name for name in command.SCENARIOS if f"\n### `{name}`\n" not in page] == ["sweep"]

    def test_all_names_every_scenario(self) -> None:
        assert command._parse(["all"]).names == list(command.SCENARIOS)


@pytest.mark.parametrize(("bounded", "label"), [(True, "0.5 CPUs"), (False, "1 whole CPUs in place of 0.5")])
def test_a_quota_that_cannot_be_set_is_not_named_as_if_it_were(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    bounded: bool,  # noqa: FBT001
    label: str,
) -> None:
    folder = tmp_path / "group"
    folder.mkdir()
    monkeypatch.setattr(CpuQuota, "_v1", lambda _: folder if bounded else None)
    monkeypatch.setattr(CpuQuota, "_v2", lambda _: None)
    with CpuQuota(0.5) as quota:
        assert quota.label == label
