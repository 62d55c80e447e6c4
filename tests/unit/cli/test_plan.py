"""`clipwarden plan`: what it prints and writes, and what it refuses before it measures."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clipwarden.cli.main import app
from clipwarden.cli.plan import SETTINGS, settings_text
from clipwarden.engine.encoderplan import EncoderPlan
from clipwarden.engine.planning import Findings, Measured
from clipwarden.machine import available_cpus, usable_cpus
from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import load_manifest
from clipwarden.serving.sources import load_settings
from kit.pictures import encode, natural_picture

SHORT = ("--seconds", "0.05")
DEFAULT = EncoderPlan(encoder_threads=1, encoder_runs=2, max_batch=1, decode_threads=2, cpus=1.5)


def run(*arguments: str | Path) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, ["plan", *map(str, arguments)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(encode(natural_picture(3, (90, 70)), "PNG"))
    return path


def measured(*rounds: float, **changes: int) -> Measured:
    plan = EncoderPlan(**{**{f: getattr(DEFAULT, f) for f in DEFAULT.__slots__}, **changes})
    return Measured(plan=plan, same_bits=True, looks=[1.0], rounds=list(rounds), alone=[2.0], lone_seconds=[0.0123])


def test_every_way_is_shown_and_the_plan_is_settings_that_a_server_reads(
    toy_folder: Path, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    result = run(toy_folder, *SHORT, "--image", photo, "-o", file)
    assert result.exit_code == 0, result.output
    for expected in ("Threads", "Of default", "Views/s alone", "Lone image", "default", "a run", str(photo)):
        assert expected in result.stdout
    assert f"clipwarden serve --config {file}" in result.stderr
    text = file.read_text()
    assert fingerprint(load_manifest(toy_folder)) in text
    settings = load_settings({}, {}, [file])
    assert min(getattr(settings, name) for name in SETTINGS) >= 1
    assert [line.partition(":")[0] for line in text.splitlines() if not line.startswith("#")] == list(SETTINGS)


def test_json_holds_the_figures_of_every_way(toy_folder: Path, photo: Path) -> None:
    result = run(toy_folder, *SHORT, "--image", photo, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    ways = record["ways"]
    runs = available_cpus() + (usable_cpus() >= 2)
    assert (ways[0]["default"], ways[0]["encoder_runs"], ways[0]["max_batch"]) == (True, runs, 1)
    assert [sum(way[key] for way in ways) for key in ("default", "chosen")] == [1, 1]
    assert all(way["images_per_second"] > 0 and way["lone_image_seconds"] > 0 for way in ways if way["same_bits"])
    assert sum(way["of_default"] is not None for way in ways) == 2
    assert 0 <= record["taken_by_others"] <= 1
    assert record["model"].endswith(fingerprint(load_manifest(toy_folder)))


def test_a_plan_that_is_there_is_kept_without_force(toy_folder: Path, photo: Path, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("mine")
    refused = run(toy_folder, *SHORT, "-o", file)
    assert (refused.exit_code, file.read_text()) == (2, "mine")
    assert "is there; it is not overwritten. Add --force" in refused.stderr
    assert run(toy_folder, *SHORT, "--image", photo, "-o", file, "--force").exit_code == 0
    assert load_settings({}, {}, [file]).encoder_runs >= 1


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["mini", "--seconds", "0"], 2, "--seconds must be above 0"),
        (["mini", "--seconds", "nan"], 2, "--seconds must be above 0"),
        (["mini", "--provider", "CUDAExecutionProvider"], 2, "one run at a time, of up to 32 views"),
        (["mini", "-o", "nowhere/plan.yaml"], 2, "There is no folder"),
        (["mini", "-o", "."], 2, ". is a folder; name a file with -o"),
        (["mini", "-o", ".", "--force"], 2, ". is a folder; name a file with -o"),
        (["mini", "--image", "absent.jpg"], 1, "absent.jpg: No such file"),
        (["mini", "--image", "text.txt"], 2, "text.txt cannot be decoded"),
        (["no-such-folder"], 4, "There is no model folder"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    arguments: Sequence[str], code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipwarden.engine.planning.measure", None)
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("no image")
    result = run(*arguments)
    assert (result.exit_code, said in result.stderr.replace("\n", " ")) == (code, True), result.output


def test_file_says_what_was_measured_whatever_the_model_is_called(tmp_path: Path) -> None:
    better = measured(*[12.0] * 9, encoder_runs=3)
    findings = Findings(ways=[measured(*[10.0] * 9), better], taken=0.0)
    facts = {"model": "evil\nqueue_items: 1\r\nmax_batch: 9\u2028listen: x", "machine": "m"}
    text = settings_text(findings, facts, command="clipwarden plan x\nmax_batch: 9")
    for expected in ("12.0 images/s", "2.0 views/s", "12.3 ms", "1.20 (1.20-1.20)", "1 thread a run, 2 runs of"):
        assert expected in text
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    settings = load_settings({}, {}, [file])
    assert (settings.encoder_threads, settings.encoder_runs, settings.max_batch, settings.decode_threads) == (
        1,
        3,
        1,
        2,
    )
    assert (settings.queue_items, settings.listen) == (512, "127.0.0.1:50051")


def test_busy_neighbours_are_named(
    monkeypatch: pytest.MonkeyPatch, toy_folder: Path, photo: Path, tmp_path: Path
) -> None:
    disturbed = Findings(ways=[measured(*[10.0] * 9), measured(*[20.0] * 9, encoder_runs=3)], taken=0.34)
    monkeypatch.setattr("clipwarden.engine.planning.measure", lambda *_, **__: disturbed)
    result = run(toy_folder, "--image", photo, "-o", tmp_path / "plan.yaml")
    assert "# Other programs took 34 % of the CPUs meanwhile" in (tmp_path / "plan.yaml").read_text()
    assert "Other programs took 34 % of the CPUs meanwhile" in result.stderr.replace("\n", " ")
    assert "The default stays (1 thread a run, 2 runs of up to 1 view, 2 decodes)." in result.stdout


def test_a_file_that_cannot_be_written_is_a_failure(toy_folder: Path, photo: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/plan.yaml")
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "plan.yaml"
    assert run(toy_folder, *SHORT, "--image", photo, "-o", target).exit_code == 1
