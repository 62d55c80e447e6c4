import gc
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from clipwarden import Client, RetryPolicy, StreamItem
from clipwarden.client import (
    ClientError,
    DeadlineExceededError,
    ImageRefusedError,
    RequestRefusedError,
    Result,
    ServerFaultError,
    ServerOverloadedError,
    ServerUnavailableError,
)
from clipwarden.client.channel import Connection
from clipwarden.v1 import moderation_pb2 as v1
from kit.faultserver import FaultServer, allowed, info, overloaded, running_fault_server, status, unavailable

OK = v1.ModerateResponse(moderation=allowed(request_id="seen"))
BAD_IMAGE = status(
    grpc.StatusCode.INVALID_ARGUMENT,
    "the file ends before the image does",
    info("IMAGE_TRUNCATED"),
    v1.ImageFault(reason=v1.IMAGE_FAULT_REASON_TRUNCATED, policy_verdict=v1.VERDICT_REVIEW),
)


class Waiting:
    """A client's clock, sleep and chance: time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []
        self.fraction = 0.5
        self.oversleeps = 0.0

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + self.oversleeps

    def client(self, target: str, **choices: RetryPolicy | int) -> Client:
        return Client(target, clock=lambda: self.now, sleep=self.sleep, random=lambda: self.fraction, **choices)


@pytest.fixture
def waiting() -> Waiting:
    return Waiting()


@pytest.fixture
def client(server: FaultServer) -> Iterator[Client]:
    with Client(server.address, timeout=60) as client:
        yield client


def test_moderate_sends_what_was_asked_and_returns_the_moderation(client: Client, server: FaultServer) -> None:
    server.service.answers.append(OK)
    found = client.moderate(b"image", policy="p", context="shop", request_id="mine", return_embeddings=True, timeout=60)
    assert found == OK.moderation
    assert server.service.requests == [
        v1.ModerateRequest(
            image=v1.ImageSource(data=b"image"),
            options=v1.ModerationOptions(
                policy_id="p", context="shop", return_embeddings=True, priority=v1.PRIORITY_INTERACTIVE
            ),
            request_id="mine",
        )
    ]
    assert 0 < server.service.remaining[0] <= 61  # gRPC rounds a deadline up, by at most a hundredth


def test_a_backfill_says_that_nobody_waits(client: Client, server: FaultServer) -> None:
    one = v1.ModerationResult(moderation=allowed())
    server.service.answers.extend([OK, v1.BatchModerateResponse(results=[one])])
    client.moderate(b"image", priority="bulk")
    client.moderate_batch([b"image"], priority="bulk")
    assert [request.options.priority for request in server.service.requests] == [v1.PRIORITY_BULK] * 2


def test_a_priority_that_is_none_is_refused_before_anything_is_sent(client: Client, server: FaultServer) -> None:
    with pytest.raises(ValueError, match="priority is 'low'; it must be one of 'interactive', 'bulk'"):
        client.moderate(b"image", priority="low")
    assert server.service.requests == []


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, Path, str])
def test_moderate_takes_bytes_and_paths(client: Client, server: FaultServer, tmp_path: Path, kind: type) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(b"from a file")
    server.service.answers.append(OK)
    client.moderate(kind(file) if kind in (Path, str) else kind(b"from a file"))
    assert server.service.requests[0].image.data == b"from a file"


def test_every_request_gets_an_id_of_its_own(client: Client, server: FaultServer) -> None:
    server.service.answers.extend([OK, OK])
    client.moderate(b"1")
    client.moderate(b"2")
    first, second = (request.request_id for request in server.service.requests)
    assert first
    assert second
    assert first != second


def test_a_missing_file_is_an_os_error(client: Client, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.moderate(tmp_path / "none.png")


def test_a_bad_image_tells_its_reason_and_is_not_retried(client: Client, server: FaultServer) -> None:
    server.service.answers.append(BAD_IMAGE)
    with pytest.raises(ImageRefusedError, match="ends before") as caught:
        client.moderate(b"cut", request_id="mine")
    error = caught.value
    assert (error.reason, error.request_id, error.attempts) == ("IMAGE_TRUNCATED", "mine", 1)
    assert error.image_fault is not None
    assert error.image_fault.policy_verdict == v1.VERDICT_REVIEW
    assert isinstance(error.__cause__, grpc.RpcError)


@pytest.mark.parametrize("verdict", [v1.VERDICT_UNSPECIFIED, 9])
def test_a_verdict_this_client_does_not_know_never_reaches_the_caller(
    client: Client, server: FaultServer, verdict: int
) -> None:
    server.service.answers.append(v1.ModerateResponse(moderation=v1.Moderation(verdict=verdict)))
    with pytest.raises(ServerFaultError, match="must not pass as ALLOW"):
        client.moderate(b"image")


def test_an_unavailable_server_is_asked_again_with_the_same_id(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([unavailable(), unavailable(), OK])
    with waiting.client(server.address) as client:
        client.moderate(b"image")
    assert waiting.slept == [0.05, 0.1]
    assert len({request.request_id for request in server.service.requests}) == 1


def test_an_overloaded_server_is_given_the_time_it_asks_for(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([overloaded(2.0), OK])
    with waiting.client(server.address) as client:
        client.moderate(b"image")
    assert waiting.slept == [3.0]


def test_a_refused_call_never_comes_back_sooner_than_it_was_told(waiting: Waiting, server: FaultServer) -> None:
    waiting.fraction = 0.0
    hints = [0.0, 2.0, 0.05, 5.0]
    server.service.answers.extend([*map(overloaded, hints), OK])
    with waiting.client(server.address, retry=RetryPolicy(max_attempts=9, reserve=9)) as client:
        client.moderate(b"image", timeout=60)
    assert waiting.slept == hints


def test_who_oversleeps_its_deadline_is_told_why_there_was_no_verdict(waiting: Waiting, server: FaultServer) -> None:
    waiting.oversleeps = 60.0
    server.service.answers.extend([overloaded(2.0), OK])
    with waiting.client(server.address) as client, pytest.raises(ServerOverloadedError) as caught:
        client.moderate(b"image", timeout=60)
    assert (caught.value.attempts, len(waiting.slept), len(server.service.requests)) == (1, 1, 1)
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_the_deadline_covers_all_attempts(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([overloaded(2000.0)] * 3)
    with (
        waiting.client(server.address, retry=RetryPolicy(reserve=9)) as client,
        pytest.raises(ServerOverloadedError) as caught,
    ):
        client.moderate(b"image", timeout=5000)
    # A third pause would end past 5000 s, so the caller learns of the overload at once. Each attempt was told what was
    # left of them.
    assert (len(waiting.slept), caught.value.attempts, caught.value.retry_after_seconds) == (2, 3, 2000.0)
    # The server sees real seconds pass, at most a few of them.
    left = [5000 - sum(waiting.slept[:attempts]) for attempts in range(3)]
    assert server.service.remaining == pytest.approx(left, abs=60)


def test_attempts_end_and_the_last_error_is_raised(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([unavailable()] * 2)
    retry = RetryPolicy(max_attempts=2, restart_attempts=2)
    with (
        waiting.client(server.address, retry=retry) as client,
        pytest.raises(ServerUnavailableError, match="draining") as caught,
    ):
        client.moderate(b"image")
    assert (caught.value.attempts, caught.value.reason) == (2, "SHUTTING_DOWN")


def test_the_budget_is_shared_by_all_clients_of_a_target(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([overloaded(0.0)] * 4)
    for expected in (3, 1):
        with (
            waiting.client(server.address, retry=RetryPolicy(reserve=2, max_attempts=3)) as client,
            pytest.raises(ServerOverloadedError) as caught,
        ):
            client.moderate(b"image")
        assert caught.value.attempts == expected


def test_a_server_that_has_answered_is_waited_for(waiting: Waiting, server: FaultServer) -> None:
    server.service.answers.extend([OK, *[unavailable()] * 9, OK])
    with waiting.client(server.address) as client:
        client.moderate(b"image")
        client.moderate(b"image")
    assert len(waiting.slept) == 9


@pytest.mark.parametrize("code", [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED])
def test_other_failures_are_not_retried(waiting: Waiting, server: FaultServer, code: grpc.StatusCode) -> None:
    server.service.answers.append(status(code))
    with waiting.client(server.address) as client, pytest.raises(ClientError):
        client.moderate(b"image")
    assert waiting.slept == []


def test_no_server_is_told_by_its_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            Client(target, retry=RetryPolicy(max_attempts=1)) as client,
            pytest.raises(ServerUnavailableError, match=f"No clipwarden server answers at {target}"),
        ):
            client.moderate(b"image", timeout=60)


def test_a_slow_server_meets_the_deadline(client: Client, server: FaultServer) -> None:
    silence = threading.Event()
    server.service.answers.append(silence)
    with pytest.raises(DeadlineExceededError, match="did not answer within the deadline"):
        client.moderate(b"image", timeout=0.1)
    silence.set()


def test_large_images_fit(client: Client, server: FaultServer) -> None:
    server.service.answers.append(OK)
    client.moderate(bytes(6 * 2**20))
    assert len(server.service.requests[0].image.data) == 6 * 2**20


def test_a_failed_call_lets_go_of_its_image_without_the_garbage_collector(client: Client, server: FaultServer) -> None:
    data = bytes(1000)
    gc.disable()
    try:
        before = sys.getrefcount(data)
        server.service.answers.append(status(grpc.StatusCode.INVALID_ARGUMENT))
        with pytest.raises(RequestRefusedError) as caught:
            client.moderate(data)
        del caught
        assert sys.getrefcount(data) == before
    finally:
        gc.enable()


def test_a_message_over_the_clients_own_limit_is_refused_and_not_retried(waiting: Waiting, server: FaultServer) -> None:
    with (
        waiting.client(server.address, max_message_bytes=1000) as client,
        pytest.raises(
            RequestRefusedError, match=r"too large for one message to or from the server at .*larger than max"
        ),
    ):
        client.moderate(bytes(2000))
    assert waiting.slept == []


def test_metadata_goes_with_every_call(server: FaultServer) -> None:
    server.service.answers.append(OK)
    with Client(server.address, metadata=[("authorization", "Bearer t")]) as client:
        client.moderate(b"image")
    assert server.service.metadata[0]["authorization"] == "Bearer t"


def test_unix_sockets_work(socket_folder: Path) -> None:
    target = f"unix:{socket_folder}/s"
    with running_fault_server(address=target) as server, Client(target) as client:
        server.service.answers.append(OK)
        assert client.moderate(b"image") == OK.moderation


def test_a_batch_answers_in_order_and_a_bad_item_fails_alone(client: Client, server: FaultServer) -> None:
    results = [
        v1.ModerationResult(moderation=allowed()),
        v1.ModerationResult(error=BAD_IMAGE),
        v1.ModerationResult(),
        v1.ModerationResult(error=unavailable()),
    ]
    server.service.answers.append(v1.BatchModerateResponse(results=results))
    first, second, third, fourth = client.moderate_batch(
        [b"1", b"2", b"3", b"4"], policy="p", request_id="r", timeout=60
    )
    assert first == Result(id="r/0", moderation=allowed())
    assert first.unwrap() == allowed()
    assert isinstance(second.error, ImageRefusedError)
    assert second.error.request_id == "r/1"
    with pytest.raises(ImageRefusedError):
        second.unwrap()
    assert isinstance(third.error, ServerFaultError)
    # Even an error that would be worth a retry alone is the caller's to decide on: asked once.
    assert isinstance(fourth.error, ServerUnavailableError)
    assert len(server.service.requests) == 1


def test_a_batch_of_another_length_matches_nothing(client: Client, server: FaultServer) -> None:
    server.service.answers.append(v1.BatchModerateResponse())
    with pytest.raises(ServerFaultError, match="0 results for 1 images"):
        client.moderate_batch([b"1"])


def test_an_empty_result_unwraps_to_an_error() -> None:
    with pytest.raises(ServerFaultError, match="empty result"):
        Result(id="x").unwrap()


def echo(requests: Iterator[v1.StreamModerateRequest], _context: object) -> Iterator[v1.StreamModerateResponse]:
    for request in requests:
        moderation = allowed(request_id=request.image.data.decode())
        yield v1.StreamModerateResponse(id=request.id, result=v1.ModerationResult(moderation=moderation))


def test_a_stream_answers_items_by_id(client: Client, server: FaultServer, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"two")
    server.service.stream = echo
    items = [StreamItem(id="a", image=b"one", timeout_seconds=60), StreamItem(id="b", image=tmp_path / "b")]
    found = {result.id: result.unwrap().request_id for result in client.moderate_stream(items)}
    assert found == {"a": "one", "b": "two"}


def test_a_stream_sends_each_items_own_choices(client: Client, server: FaultServer) -> None:
    seen = []

    def keep(requests: Iterator[v1.StreamModerateRequest], _context: object) -> Iterator[v1.StreamModerateResponse]:
        seen.extend(requests)
        yield from ()

    server.service.stream = keep
    how = {"policy": "p", "context": "c", "return_embeddings": True, "priority": "bulk"}
    item = StreamItem(id="a", image=b"x", timeout_seconds=1.5, **how)
    assert list(client.moderate_stream([item])) == []
    assert seen[0].timeout.ToNanoseconds() == 1_500_000_000
    assert seen[0].options == v1.ModerationOptions(
        policy_id="p", context="c", return_embeddings=True, priority=v1.PRIORITY_BULK
    )


def test_a_broken_stream_is_never_tried_again(client: Client, server: FaultServer) -> None:
    def fail(requests: Iterator[v1.StreamModerateRequest], _context: object) -> Iterator[object]:
        yield v1.StreamModerateResponse(id=next(requests).id, result=v1.ModerationResult(moderation=allowed()))
        yield unavailable()

    server.service.stream = fail
    results = client.moderate_stream([StreamItem(id="a", image=b"1"), StreamItem(id="b", image=b"2")])
    assert next(results).id == "a"
    with pytest.raises(ServerUnavailableError, match="draining"):
        next(results)


def test_what_the_items_raise_reaches_the_caller(
    client: Client, server: FaultServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.service.stream = echo
    results = client.moderate_stream([StreamItem(id="a", image=b"1"), StreamItem(id="b", image=tmp_path / "none")])
    assert next(results).id == "a"
    with pytest.raises(FileNotFoundError):
        next(results)
    assert capfd.readouterr().err == ""


def test_closing_a_stream_cancels_it(client: Client, server: FaultServer) -> None:
    over = threading.Event()

    def forever() -> Iterator[StreamItem]:
        yield StreamItem(id="a", image=b"1")
        over.wait(60)

    server.service.stream = echo
    results = client.moderate_stream(forever())
    next(results)
    results.close()
    assert server.service.ended.wait(60)
    over.set()


def test_stored_embeddings_are_sent_with_their_facts(client: Client, server: FaultServer) -> None:
    answer = v1.ModerateEmbeddingResponse(moderation=allowed())
    server.service.answers.extend([answer, answer])
    vectors = [v1.Embedding(view=v1.View(name="full"), values=[1.0, 0.0])]
    unseen = [v1.UNSEEN_FRAMES, v1.UNSEEN_ROWS, v1.UNSEEN_HDR]
    facts = v1.ImageFacts(
        frames_total=3, frames_judged=1, degradations=[v1.DEGRADATION_TINY], unseen=unseen, share_shown=0.5
    )
    client.moderate_embedding(vectors, model_fingerprint="sha256:f", facts=facts, policy="p", context="c")
    client.moderate_embedding(vectors, model_fingerprint="sha256:f")
    first, second = server.service.requests
    assert (first.frames_total, first.frames_judged, list(first.degradations)) == (3, 1, [v1.DEGRADATION_TINY])
    assert (list(first.unseen), first.share_shown) == (unseen, 0.5)
    assert (first.model_fingerprint, first.options.policy_id, first.options.context) == ("sha256:f", "p", "c")
    assert list(first.embeddings) == vectors
    assert (second.frames_total, second.frames_judged) == (1, 1)


def test_all_pages_of_policies_are_listed(client: Client, server: FaultServer) -> None:
    one, two = (v1.PolicySummary(policy=v1.PolicyRef(id=name)) for name in "ab")
    server.service.answers.extend(
        [v1.ListPoliciesResponse(policies=[one], next_page_token="t"), v1.ListPoliciesResponse(policies=[two])]  # noqa: S106  a page token
    )
    assert client.list_policies() == [one, two]
    assert [request.page_token for request in server.service.requests] == ["", "t"]


def test_candidates_of_all_pages_are_listed(client: Client, server: FaultServer) -> None:
    live, one, two = (v1.PolicySummary(policy=v1.PolicyRef(id="a", version=version)) for version in "123")
    pages = [v1.ListPoliciesResponse(policies=[live], candidates=[one], next_page_token="t")]  # noqa: S106  a page token
    server.service.answers.extend([*pages, v1.ListPoliciesResponse(candidates=[two])])
    assert client.list_candidates() == [one, two]
    assert [request.page_token for request in server.service.requests] == ["", "t"]


def test_a_policy_is_told(client: Client, server: FaultServer) -> None:
    policy = v1.Policy(ref=v1.PolicyRef(id="p"))
    server.service.answers.extend([v1.GetPolicyResponse(policy=policy), v1.GetPolicyResponse(policy=policy)])
    assert client.get_policy("p") == client.get_policy() == policy
    assert [request.policy_id for request in server.service.requests] == ["p", ""]


def test_readiness_follows_the_health_of_the_service(client: Client, server: FaultServer) -> None:
    assert not client.ready()
    server.set_serving(serving=False)
    assert not client.ready()
    server.set_serving(serving=True)
    assert client.ready()
    client.wait_until_ready(60)


def test_waiting_ends_when_the_server_is_ready(server: FaultServer) -> None:
    def sleep(_seconds: float) -> None:
        server.set_serving(serving=True)

    with Client(server.address, sleep=sleep) as client:
        client.wait_until_ready(60)


def test_waiting_for_no_server_ends_with_a_sentence(waiting: Waiting, socket_folder: Path) -> None:
    with waiting.client(f"unix:{socket_folder}/none") as client:
        assert not client.ready()
        with pytest.raises(DeadlineExceededError, match=r"was not ready within 5 s: No clipwarden server answers"):
            client.wait_until_ready(5)


def test_a_server_without_health_is_no_clipwarden_server() -> None:
    with (
        running_fault_server(with_health=False) as server,
        Client(server.address) as client,
        pytest.raises(RequestRefusedError),
    ):
        client.ready()


def test_a_closed_client_refuses_calls(server: FaultServer) -> None:
    client = Client(server.address)
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.moderate(b"image")


def test_closing_a_client_ends_its_calls_for_good(client: Client, server: FaultServer) -> None:
    silence = threading.Event()
    server.service.answers.append(silence)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.moderate, b"image")
        assert server.service.asked.wait(60)
        client.close()
        assert isinstance(call.exception(60), ClientError)
    silence.set()
    assert len(server.service.requests) == 1


def test_tls_never_talks_to_a_server_in_plain_text(server: FaultServer) -> None:
    credentials = grpc.ssl_channel_credentials()
    with (
        Client(server.address, credentials=credentials, retry=RetryPolicy(max_attempts=1)) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.moderate(b"image", timeout=60)


def test_channel_options_of_the_caller_win() -> None:
    connection = Connection(target="t:1", channel_options=[("grpc.keepalive_time_ms", 5), ("grpc.x", "y")])
    options = dict(connection.grpc_options())
    assert (options["grpc.keepalive_time_ms"], options["grpc.x"]) == (5, "y")
    assert options["grpc.max_receive_message_length"] == options["grpc.max_send_message_length"] > 4 * 2**20
