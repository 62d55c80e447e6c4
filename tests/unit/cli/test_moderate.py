import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import grpc
import pytest
import trustme
from PIL import Image
from typer.testing import Result

from clipwarden import AsyncClient, Moderator, RetryPolicy
from clipwarden.cli import inputs, judging, reading, serverjudge
from clipwarden.cli.exits import Exit
from clipwarden.cli.outcome import NotJudgedError
from clipwarden.engine.settings import EngineSettings
from clipwarden.errors import ImageError
from clipwarden.modelfolder.manifest import Preprocessing
from clipwarden.v1 import moderation_pb2 as v1
from kit.cli import Run, write_policy
from kit.faultserver import FaultServer, allowed, info, overloaded, running_fault_server, status, unavailable
from kit.serving import cut_picture
from kit.toymodel import SIDE, build_toy_model

Judge = Callable[..., Result]
Record = dict[str, dict[str, object]]


@pytest.fixture
def judge(run: Run, toy_folder: Path, policy_file: Path) -> Judge:
    """Run `clipwarden moderate` with the toy model and its policy."""

    def judge_files(*args: object, **choices: object) -> Result:
        return run("moderate", *args, "--model", toy_folder, "--policy", policy_file, **choices)

    return judge_files


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with running_fault_server() as running:
        running.set_serving(serving=True)
        yield running


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Give what clients of the command wait for, in seconds; they wait for nothing."""
    seconds: list[float] = []

    async def sleep(pause: float) -> None:
        seconds.append(pause)
        await asyncio.sleep(0)

    monkeypatch.setattr(serverjudge, "AsyncClient", partial(AsyncClient, sleep=sleep))
    return seconds


def records(result: Result) -> list[Record]:
    """Return the lines on what was tried."""
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return [line for line in lines if "left_out" not in line]


def row(result: Result, name: str) -> str:
    return next(line for line in result.stdout.splitlines() if name in line)


def said(result: Result) -> list[str]:
    """Return what stands on stderr, but for what lint warns of in the policy, once."""
    lines = result.stderr.splitlines()
    warned = [line for line in lines if line.endswith("[uncalibrated-thresholds]")]
    assert len(warned) <= 1
    return [line for line in lines if line not in warned]


def test_a_blocked_image_ends_with_20_and_says_why(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "red.png")
    assert result.exit_code == 20
    assert row(result, "red.png").split()[:2] == ["BLOCK", "BLOCK"]
    assert '"red" 0.' in row(result, "red.png")
    assert '"yellow"' in row(result, "red.png")
    assert "≥ block 0.9" in row(result, "red.png")
    assert "1 image: 1 BLOCK." in result.stdout


def test_an_allowed_image_ends_with_0_and_shows_its_shadow_verdict(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "blue.png")
    assert result.exit_code == 0
    assert row(result, "blue.png").split()[:2] == ["ALLOW", "BLOCK"]
    assert "colour.blue (shadow)" in row(result, "blue.png")
    assert said(result) == []


def test_an_image_that_cannot_be_judged_ends_with_30_whatever_the_others(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "red.png", pictures / "cut.png", pictures / "blue.png")
    assert result.exit_code == 30
    assert "IMAGE_TRUNCATED" in row(result, "cut.png")
    assert "3 images: 1 ALLOW, 1 BLOCK, 1 NOT JUDGED." in result.stdout


def test_a_folder_is_judged_by_name_without_what_is_no_image(judge: Judge, pictures: Path) -> None:
    result = judge(pictures, "--json")
    names = [Path(cast("str", record["path"])).name for record in records(result)]
    assert names == ["blue.png", "cut.png", "red.png", "yellow.png"]
    assert f"folder inside: 1 ({pictures / 'more'}); add --recursive" in result.stderr


def test_recursive_looks_into_folders(judge: Judge, pictures: Path) -> None:
    result = judge(pictures, "-r", "--json")
    assert str(pictures / "more" / "red2.PNG") in [record["path"] for record in records(result)]
    assert "folder" not in "".join(said(result)).replace("hidden image or folder", "")


def test_a_file_that_is_named_is_judged_whatever_its_name(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "notes.txt", "--json")
    assert result.exit_code == 30
    assert records(result)[0]["error"]["reason"] == "IMAGE_FORMAT_UNSUPPORTED"


def test_a_file_that_ends_early_is_judged_where_the_policy_says_so(
    run: Run, toy_folder: Path, policy_file: Path, tmp_path: Path
) -> None:
    cut, policy = tmp_path / "early.png", tmp_path / "lenient.yaml"
    cut.write_bytes(cut_picture("red", rows=40))
    text = policy_file.read_text()
    assert "defaults: {" in text
    policy.write_text(text.replace("defaults: {", "defaults: {on_truncated: judge, ", 1))
    how = (cut, "--model", toy_folder, "--policy")
    (refused,) = records(run("moderate", *how, policy_file, "--json"))
    assert refused["error"]["reason"] == "IMAGE_TRUNCATED"
    assert "62 % of its rows are whole" in str(refused["error"]["message"])
    (judged,) = records(run("moderate", *how, policy, "--json"))
    image = cast("dict[str, object]", judged["moderation"]["image"])
    assert (image["partial"], image["unseen"], image["share_shown"]) == (True, ["UNSEEN_ROWS"], 0.625)
    table, explained = run("moderate", *how, policy), run("moderate", *how, policy, "--explain")
    assert table.exit_code == explained.exit_code == 20
    assert "62 % of rows whole" in " ".join(table.stdout.split())
    assert "The file ends early; 62 % of its rows are whole." in explained.stdout


def test_json_holds_the_whole_moderation(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "red.png", "--json")
    assert result.exit_code == 20
    (record,) = records(result)
    assert record["path"] == str(pictures / "red.png")
    moderation = record["moderation"]
    assert moderation["verdict"] == "VERDICT_BLOCK"
    assert moderation["decided_by"] == ["colour.red"]
    assert moderation["raised_by"] == []
    assert moderation["embeddings"] == []
    categories = cast("list[dict[str, object]]", moderation["categories"])
    assert "margin" not in categories[1], "absent stays absent"


def test_json_errors_carry_reason_and_the_policys_verdict(judge: Judge, pictures: Path) -> None:
    (record,) = records(judge(pictures / "cut.png", "--json"))
    assert record["error"]["reason"] == "IMAGE_TRUNCATED"
    assert record["error"]["policy_verdict"] == "VERDICT_REVIEW"
    assert record["error"]["code"] == "INVALID_ARGUMENT"


def test_embeddings_are_given_when_asked_for(judge: Judge, pictures: Path) -> None:
    (record,) = records(judge(pictures / "red.png", "--json", "--embeddings"))
    (embedding,) = cast("list[dict[str, list[float]]]", record["moderation"]["embeddings"])
    assert len(embedding["values"]) == 16


def test_standard_input_is_one_image(judge: Judge, pictures: Path) -> None:
    result = judge("-", "--json", stdin=(pictures / "red.png").read_bytes())
    assert (result.exit_code, records(result)[0]["path"]) == (20, "-")


def test_standard_input_is_not_cut_and_judged(judge: Judge, pictures: Path) -> None:
    data = (pictures / "red.png").read_bytes()
    assert judge("-", "--max-image-bytes", str(len(data)), stdin=data).exit_code == 20
    (record,) = records(judge("-", "--json", "--max-image-bytes", "1000", stdin=data))
    assert record["error"]["reason"] == "IMAGE_TOO_LARGE"
    assert record["error"]["policy_verdict"] == "VERDICT_REVIEW"
    assert record["error"]["message"] == "The image has more than 1,000 bytes, which is the limit (max_image_bytes)."


def sparse_pictures(folder: Path, size: int) -> Path:
    """Fill a folder with files that begin like pictures and say that they are of a size; all but nothing on disk."""
    folder.mkdir()
    for number in range(3):
        with (folder / f"{number}.png").open("wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n")
            file.truncate(size)
    return folder


def test_what_is_too_large_is_not_read_here_or_sent_and_gets_the_policys_verdict(
    judge: Judge, run: Run, server: FaultServer, tmp_path: Path
) -> None:
    large = sparse_pictures(tmp_path / "large", 2**40)
    server.service.answers.append(v1.GetPolicyResponse(policy=v1.Policy(on_error=v1.VERDICT_REVIEW)))
    for result in (judge(large, "--json"), run("moderate", large, "--server", server.address, "--json")):
        assert result.exit_code == 30
        for record in records(result):
            error = record["error"]
            assert (error["code"], error["reason"]) == ("INVALID_ARGUMENT", "IMAGE_TOO_LARGE")
            assert error["policy_verdict"] == "VERDICT_REVIEW"
            assert error["message"] == "The image has more than 64 MiB, which is the limit (max_image_bytes)."
    assert [type(request) for request in server.service.requests] == [v1.GetPolicyRequest]


async def test_what_was_not_judged_holds_no_file(pictures: Path) -> None:
    class Refuses:
        max_bytes = 10_000
        width = 1

        async def judge(self, data: bytes) -> v1.Moderation:
            raise NotJudgedError(f"{len(data)}", code="UNKNOWN", reason=None) from ValueError("its cause")

        async def refuse(self, error: ImageError) -> NotJudgedError:
            raise AssertionError(error)

    item = inputs.Input(name=str(pictures / "red.png"), named=True)
    outcome = await judging._judge_one(Refuses(), reading.Reading(limit=10_000), None, item)
    assert outcome.error is not None
    assert (outcome.error.__traceback__, outcome.error.__cause__, outcome.error.__context__) == (None, None, None)


async def test_files_at_work_hold_no_more_bytes_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BYTES_AT_WORK", 250)
    sparse_pictures(tmp_path / "some", 100)
    reader = reading.Reading(limit=200)
    at_work = most = 0
    done = asyncio.Event()

    async def hold(item: inputs.Item) -> None:
        nonlocal at_work, most
        assert isinstance(item, inputs.Input)
        async with reader.read(item) as data:
            at_work += len(data) if isinstance(data, bytes) else 0
            most = max(most, at_work)
            if at_work == 200:
                done.set()
            await done.wait()
            at_work -= 100

    await asyncio.gather(*map(hold, inputs.find_items([str(tmp_path / "some")], inputs.Search())))
    assert most == 200


def test_empty_standard_input_is_an_image_that_cannot_be_judged(judge: Judge) -> None:
    result = judge("-", "--json", stdin=b"")
    assert (result.exit_code, records(result)[0]["error"]["reason"]) == (30, "IMAGE_EMPTY")


def test_an_oversized_file_is_refused_by_its_size(judge: Judge, tmp_path: Path, pictures: Path) -> None:
    large = tmp_path / "large.png"
    large.write_bytes((pictures / "red.png").read_bytes() + bytes(100_000))
    (record,) = records(judge(large, "--json", "--max-image-bytes", "50 KB"))
    assert record["error"]["reason"] == "IMAGE_TOO_LARGE"
    assert "error" not in records(judge(large, "--json", "--max-image-bytes", "200KB"))[0]


def test_a_picture_that_holds_too_much_is_refused_with_what_would_help(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = tmp_path / "large.png"
    Image.new("RGB", (1200, 1000)).save(large)
    monkeypatch.setenv("CLIPWARDEN_MAX_DECODE_BYTES", "9MiB")  # as a server beside it obeys
    assert "error" not in records(judge(large, "--json", "--max-decode-bytes", "32MiB"))[0]
    (record,) = records(judge(large, "--json"))
    assert record["error"]["reason"] == "IMAGE_TOO_MANY_PIXELS"
    assert "would hold 12 MiB of memory; the limit is 9 MiB" in str(record["error"]["message"])
    assert "baseline JPEG" in str(record["error"]["message"])


def test_limits_are_read_as_servers_read_them(judge: Judge, run: Run, pictures: Path) -> None:
    result = judge(pictures / "red.png", "--max-decode-bytes", "much")
    assert result.exit_code == Exit.USAGE
    assert "--max-decode-bytes is 'much'; it must be a size, such as 20MiB" in result.stderr
    result = run("moderate", pictures / "red.png", "--server", "localhost:1", "--max-decode-bytes", "9MiB")
    assert "not with --server" in result.stderr


def test_a_file_that_cannot_be_read_fails_alone(judge: Judge, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root, permissions do not stop a read, so the failure is made here.
    read = inputs.Input.read

    def deny_red(self: inputs.Input, *, limit: int) -> bytes:
        if self.name.endswith("red.png"):
            raise PermissionError(13, "Permission denied")
        return read(self, limit=limit)

    monkeypatch.setattr(inputs.Input, "read", deny_red)
    result = judge(pictures / "red.png", pictures / "blue.png", "--json")
    assert result.exit_code == 30
    first, second = records(result)
    assert first["error"]["reason"] == "FILE_UNREADABLE"
    assert first["error"]["policy_verdict"] is None
    assert second["moderation"]["verdict"] == "VERDICT_ALLOW"


def test_a_context_changes_thresholds(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "red.png", "--context", "shop", "--explain")
    assert "context shop" in result.stdout


def test_an_unknown_context_is_wrong_usage_before_anything_is_judged(judge: Judge, pictures: Path) -> None:
    result = judge(pictures / "red.png", "--context", "shup")
    assert result.exit_code == 2
    assert "declares no context 'shup'" in result.stderr
    assert result.stdout == ""


def test_a_policy_that_enforces_nothing_is_announced(
    run: Run, toy_folder: Path, shadow_file: Path, pictures: Path
) -> None:
    for extra in ([], ["--json"]):
        result = run("moderate", pictures / "red.png", "--model", toy_folder, "--policy", shadow_file, *extra)
        assert result.exit_code == 0
        assert "this is no clean bill" in result.stderr


def test_a_model_that_sees_stored_colours_is_warned_of_wherever_it_is_loaded(
    run: Run, pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = build_toy_model(tmp_path / "old", preprocessing=Preprocessing(side=SIDE))
    policy = write_policy(tmp_path / "old.yaml", old, mode="enforce")
    sentence = f"`clipwarden models upgrade {old} -o NEW` writes a folder that sees what is shown. [stored-colours]"
    result = run("moderate", pictures / "blue.png", pictures / "yellow.png", "--model", old, "--policy", policy)
    assert (result.exit_code, result.stderr.count(sentence)) == (0, 1)
    assert run("serve", "--check", "--model", old, "--policy", policy).exit_code == 0
    assert caplog.text.count(sentence) == 1
    with Moderator(old, policy) as moderator:
        moderator.moderate(pictures / "blue.png")
    assert caplog.text.count(sentence) == 2


def test_explain_shows_every_category_and_what_judged(judge: Judge, pictures: Path) -> None:
    for columns in (80, 200):
        result = judge(pictures / "red.png", pictures / "cut.png", "--explain", columns=columns)
        for expected in ("decided by colour.red", "colour.blue", "not evaluated: disabled", "museum", "Model: toy"):
            assert expected in result.stdout
        assert "IMAGE_TRUNCATED" in result.stdout
        assert max(map(len, result.stdout.splitlines())) <= columns


def test_images_at_work_here_are_never_refused_for_want_of_room() -> None:
    settings = EngineSettings(max_batch=1).without_queue_limits()
    assert settings.queue_items > 10**9
    assert settings.queue_bytes > 10**9 * settings.limits.max_image_bytes
    assert (settings.max_batch, settings.limits) == (1, EngineSettings().limits)


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_fits_its_terminal(judge: Judge, pictures: Path, columns: int) -> None:
    lines = judge(pictures, columns=columns).stdout.splitlines()
    assert max(map(len, lines)) <= columns
    assert any("NOT JUDGED" in line for line in lines)
    assert any("shadow BLOCK" in line for line in lines)


def test_piped_output_has_one_line_an_image(judge: Judge, pictures: Path) -> None:
    result = judge(pictures, columns=400)
    assert len([line for line in result.stdout.splitlines() if ".png" in line]) == 4


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing.png"], "There is no file or folder nothing.png."),
        (["{pictures}/more", "--policy", "nothing"], "no shipped policy of that name.\n"),
        (["{pictures}/more", "--policy", "stiker"], 'no shipped policy of that name. Did you mean "stickers"?'),
        (
            ["{pictures}/red.png", "--server", "localhost"],
            "--server is 'localhost'; it must be HOST:PORT or unix:PATH, such as localhost:50051.",
        ),
        (["{pictures}/red.png", "--server", ""], "''; it must be HOST:PORT or unix:PATH, such as"),
        (["{pictures}/red.png", "--model", "m", "--server", "s:1"], "exclude each other"),
        (["{pictures}/red.png", "--root-certificates", "ca.pem"], "with --server only"),
        (["{pictures}/red.png", "--bulk"], "with --server only"),
        (["{pictures}/red.png", "--concurrency", "0"], "must be at least 1"),
        (["{pictures}/red.png", "--timeout", "0"], "above 0"),
        (["{pictures}/red.png", "--timeout", "nan"], "above 0"),
        (["{pictures}/red.png", "--embeddings"], "with --json only"),
        (["{empty}"], "There are no images in"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_sentence(
    run: Run, pictures: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    places = {"pictures": pictures, "empty": tmp_path / "empty", "nested": tmp_path / "nested"}
    places["empty"].mkdir()
    (places["nested"] / "inside").mkdir(parents=True)
    result = run("moderate", *(argument.format(**places) for argument in arguments))
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "address", ["localhost:1", "[::1]:1", "unix:s", "unix:///run/s", "unix-abstract:s", "dns:///s:1"]
)
def test_every_kind_of_address_is_asked(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    for wait in ("SILENT_SECONDS", "READY_SECONDS"):
        monkeypatch.setattr(serverjudge, wait, 0.01)
    result = run("moderate", pictures / "red.png", "--server", address)
    assert result.exit_code == 1
    assert "HOST:PORT" not in result.stderr


def test_a_model_that_cannot_be_used_ends_with_4(run: Run, pictures: Path, tmp_path: Path) -> None:
    result = run("moderate", pictures / "red.png", "--model", tmp_path)
    assert result.exit_code == 4
    assert "model.json" in result.stderr


def test_a_policy_that_cannot_be_used_ends_with_3(
    run: Run, toy_folder: Path, policy_file: Path, pictures: Path
) -> None:
    policy_file.write_text("api: clipwarden/v9\n")
    result = run("moderate", pictures / "red.png", "--model", toy_folder, "--policy", policy_file)
    assert result.exit_code == 3
    assert f"{policy_file}:1:" in result.stderr


def test_a_terminal_cannot_be_an_image(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_stdin_is_terminal", lambda: True)
    result = judge("-")
    assert result.exit_code == 2
    assert "pipe a file into it" in result.stderr


def test_a_server_judges_with_the_same_output(run: Run, server: FaultServer, pictures: Path) -> None:
    server.service.answers.extend(
        [
            v1.ModerateResponse(moderation=allowed()),
            status(
                grpc.StatusCode.INVALID_ARGUMENT,
                "cut short",
                info("IMAGE_TRUNCATED"),
                v1.ImageFault(reason=v1.IMAGE_FAULT_REASON_TRUNCATED, policy_verdict=v1.VERDICT_BLOCK),
            ),
        ]
    )
    arguments = ["--server", server.address, "--policy", "p", "--context", "c", "--concurrency", "1", "--json"]
    result = run("moderate", pictures / "blue.png", pictures / "cut.png", *arguments)
    assert result.exit_code == 30
    first, second = records(result)
    assert first["moderation"]["verdict"] == "VERDICT_ALLOW"
    assert second["error"]["policy_verdict"] == "VERDICT_BLOCK"
    request = server.service.requests[0]
    assert (request.options.policy_id, request.options.context) == ("p", "c")
    assert request.options.priority == v1.PRIORITY_INTERACTIVE
    assert request.image.data == (pictures / "blue.png").read_bytes()


def test_a_backfill_lets_others_go_first(run: Run, server: FaultServer, pictures: Path) -> None:
    server.service.answers.append(v1.ModerateResponse(moderation=allowed()))
    assert run("moderate", pictures / "blue.png", "--server", server.address, "--bulk").exit_code == 0
    assert server.service.requests[0].options.priority == v1.PRIORITY_BULK


def test_an_image_waits_for_a_full_server_until_its_own_timeout(
    run: Run, server: FaultServer, pictures: Path, slept: list[float]
) -> None:
    server.service.answers.extend([*[overloaded(0.001)] * 9, v1.ModerateResponse(moderation=allowed())])
    result = run("moderate", pictures / "blue.png", "--server", server.address)
    assert (result.exit_code, len(server.service.requests)) == (0, 10), result.output
    assert len([pause for pause in slept if pause > 0.0]) == 9
    server.service.answers.append(overloaded(3600))
    assert run("moderate", pictures / "blue.png", "--server", server.address).exit_code == 30


def test_a_fault_of_the_server_on_one_image_leaves_the_others(run: Run, server: FaultServer, pictures: Path) -> None:
    answers = [
        status(grpc.StatusCode.INTERNAL, "encoder", info("ENCODER_FAILED")),
        v1.ModerateResponse(moderation=allowed()),
    ]
    server.service.answers.extend(answers)
    files = [pictures / "blue.png", pictures / "red.png"]
    result = run("moderate", *files, "--server", server.address, "--concurrency", "1", "--json")
    assert result.exit_code == 30
    assert [list(record)[1] for record in records(result)] == ["error", "moderation"]


@pytest.mark.usefixtures("slept")
def test_a_server_that_goes_away_ends_the_command_and_shows_what_was_judged(
    run: Run, server: FaultServer, pictures: Path
) -> None:
    answers = [v1.ModerateResponse(moderation=allowed()), *[unavailable()] * RetryPolicy().restart_attempts]
    server.service.answers.extend(answers)
    files = [pictures / "blue.png", pictures / "red.png", pictures / "yellow.png"]
    result = run("moderate", *files, "--server", server.address, "--concurrency", "1")
    assert result.exit_code == 1
    assert "draining" in result.stderr
    assert "1 image: 1 ALLOW." in result.stdout


def test_a_policy_the_server_does_not_know_is_wrong_usage(run: Run, server: FaultServer, pictures: Path) -> None:
    server.service.answers.append(status(grpc.StatusCode.NOT_FOUND, "no policy 'x'", info("POLICY_UNKNOWN")))
    result = run("moderate", pictures / "red.png", "--server", server.address, "--policy", "x")
    assert result.exit_code == 2
    assert "no policy 'x'" in result.stderr


def test_a_certificate_file_makes_the_connection_tls(run: Run, server: FaultServer, pictures: Path) -> None:
    roots = pictures / "ca.pem"
    roots.write_bytes(trustme.CA().cert_pem.bytes())
    result = run("moderate", pictures / "red.png", "--server", server.address, "--root-certificates", roots)
    assert result.exit_code == 1
    assert result.stderr == (
        f"The server at {server.address} does not speak TLS; connect in plain text, or give the server a certificate.\n"
    ), "said at once, for no wait mends it"
    missing = run(
        "moderate", pictures / "red.png", "--server", server.address, "--root-certificates", pictures / "none"
    )
    assert missing.exit_code == 1
    assert "No such file or directory" in missing.stderr


def test_judging_here_imports_no_grpc(pictures: Path, toy_folder: Path, policy_file: Path) -> None:
    program = (
        "import sys; sys.argv[0] = 'clipwarden'\n"
        "from clipwarden.cli.main import main\n"
        "try: main()\n"
        "finally: print([name for name in ('grpc', 'prometheus_client') if name in sys.modules], file=sys.stderr)"
    )
    arguments = ["moderate", str(pictures), "--model", str(toy_folder), "--policy", str(policy_file), "--json"]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert "[]" in done.stderr.splitlines()
    assert '"error"' in done.stdout  # also where an image could not be judged
