"""What operators change under a running server costs no request, and each request is judged by one version alone."""

import itertools
from pathlib import Path

import grpc

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.badpolicies import BAD_POLICIES, put
from kit.configmap import ConfigMap
from kit.logtail import LogTail
from kit.operated import OTHER, operated, refuses, tells_of
from kit.serverprocess import SERVING, serve_process
from kit.serving import eventually, picture
from kit.steadypolicies import version

GOOD = 30
assert GOOD + len(BAD_POLICIES) >= 50


async def test_fifty_swaps_of_which_two_dozen_are_bad_lose_nothing_and_mix_nothing(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    good = [version(toy_model, number) for number in range(1, GOOD + 1)]
    bad = list(BAD_POLICIES)
    async with operated(toy_model, toy_folder, tmp_path, socket_folder) as here:
        latest = here.timelines[""].first
        for to, kind in itertools.zip_longest(good, bad):
            if kind:
                await here.spoil(kind, latest)
            await here.swap(to)
            latest = to
        metrics = await here.server.metrics()
        assert await here.server.health() == SERVING
    here.assert_nothing_is_wrong()
    assert metrics["policy_reloads_total{outcome=changed}"] == GOOD
    assert metrics["policy_reloads_total{outcome=failed}"] >= len(bad)
    assert metrics["policy_last_reload_successful"] == 1


async def test_a_config_map_changes_all_its_policies_together_or_none(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    releases = [
        {
            "colours.yaml": version(toy_model, number),
            "other.yaml": version(toy_model, number + 1, policy_id=OTHER),
            "candidate.yaml": version(toy_model, number + 60),
        }
        for number in range(4)
    ]
    texts = [{name: each.text for name, each in release.items()} for release in releases]
    texts[2]["other.yaml"] = texts[2]["other.yaml"].replace("severity", "severeness")
    volume = ConfigMap(tmp_path / "policies", texts[0])
    files, candidate = [volume["colours.yaml"], volume["other.yaml"]], volume["candidate.yaml"]
    places = (toy_model, toy_folder, tmp_path, socket_folder)
    async with operated(*places, files=files, candidate=candidate) as here:
        for number in (1, 2, 3):
            if number == 2:
                volume.swap(texts[number])
                await here.log.until(refuses)
                await here.load.round()
                continue
            live = (releases[number]["colours.yaml"], releases[number]["other.yaml"])
            for policy, each in zip(("", OTHER), live, strict=True):
                here.timelines[policy].offer(each)
            volume.swap(texts[number])
            await here.reloaded(*live)
        judged = [line for line in here.server.lines() if line["message"] == "judged" and line["policy"] == "colours"]
    here.assert_nothing_is_wrong()
    watched = {(line["digest"], *(each["digest"] for each in line["candidates"])) for line in judged}  # type: ignore[attr-defined]
    assert watched == {
        (releases[number]["colours.yaml"].digest, releases[number]["candidate.yaml"].digest) for number in (0, 1, 3)
    }


async def test_policies_that_are_not_watched_change_at_a_hangup_and_only_then(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    async with operated(toy_model, toy_folder, tmp_path, socket_folder, watch_policies="false") as here:
        for number in (1, 2, 3):
            to = version(toy_model, number)
            put(here.policy, to.text)
            await here.load.round()  # by the version of before, since this one was not offered yet
            here.timelines[""].offer(to)
            here.hang_up()
            await here.reloaded(to)
        BAD_POLICIES["of another API"](here.policy, here.timelines[""].first.text)
        here.hang_up()
        await here.log.until(refuses)
        put(here.policy, to.text)
        for _ in range(20):
            here.hang_up()
        await here.log.until(lambda line: line["message"] == "policies unchanged")
        await here.load.round()
        assert await here.server.health() == SERVING
    here.assert_nothing_is_wrong()


async def test_what_is_under_way_is_judged_by_the_version_that_it_came_under(
    toy_model: Model, toy_folder: Path, tmp_path: Path, socket_folder: Path
) -> None:
    old, new, policy = version(toy_model, 0), version(toy_model, 1), tmp_path / "colours.yaml"
    policy.write_text(old.text)
    red = [pb.ImageSource(data=picture("red", number=number)) for number in range(4)]
    blue = pb.ImageSource(data=picture("blue"))
    # Two images of a call at work: a batch's third one begins after the exchange.
    settings = {"faulty": True, "stall_seconds": 1000, "call_in_flight": 2}
    async with (
        serve_process(toy_folder, policy, tmp_path, socket_folder, **settings) as server,
        grpc.aio.insecure_channel(server.target) as channel,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        await stub.Moderate(pb.ModerateRequest(image=blue))  # and is kept: no run of the encoder is needed for it
        with server.fault("hold-red"):
            alone = stub.Moderate(pb.ModerateRequest(image=red[0]), timeout=60)
            batch = stub.BatchModerate(pb.BatchModerateRequest(images=[red[1], red[3], blue]), timeout=60)
            stream = stub.StreamModerate(timeout=60)
            await stream.write(pb.StreamModerateRequest(id="before", image=red[2]))
            await eventually(lambda: server.decodes == 5)
            put(policy, new.text)
            await LogTail(server.log).until(lambda line: tells_of(line, new.digest))
            await stream.write(pb.StreamModerateRequest(id="after", image=blue))
            after = [await stream.read(), await stub.Moderate(pb.ModerateRequest(image=blue), timeout=60)]
        await stream.done_writing()
        before = [await stream.read(), await alone]
        results = [item.moderation for item in (await batch).results]
    assert [each.policy.digest for each in (after[0].result.moderation, after[1].moderation)] == [new.digest] * 2
    results += [before[0].result.moderation, before[1].moderation]
    assert {each.policy.digest for each in results} == {old.digest}
    verdicts = [old.verdicts[colour] for colour in ("red", "red", "blue", "red", "red")]
    assert [each.verdict for each in results] == verdicts
