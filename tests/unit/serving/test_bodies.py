"""Raw messages are taken apart as protobuf would read them, or refused: never more, never at a price."""

import tracemalloc

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from clipwarden.errors import RequestError
from clipwarden.serving.bodies import MESSAGE_MARGIN, parse, take_apart
from clipwarden.v1 import moderation_pb2 as pb

FULL = pb.ModerateRequest(
    image=pb.ImageSource(data=b"file"), options=pb.ModerationOptions(policy_id="p"), request_id="r"
)
# Pieces of messages of these types, whole or not, known fields or not, in any order.
PIECES = st.one_of(
    st.sampled_from([FULL.SerializeToString(), b"\x0a\x02\x0a\x00", b"\x0a\x00", b"\x12\x00", b"\x0a\x06\x0a\x04data"]),
    # Paths of shared files; bytes and a path of one image, of which the later counts.
    st.sampled_from([b"\x0a\x03\x1a\x01p", b"\x0a\x07\x0a\x02ab\x1a\x01p", b"\x0a\x07\x1a\x01p\x0a\x02ab"]),
    st.binary(max_size=6),
    st.sampled_from([b"\x08\x96\x01", b"\x0d\x01\x02\x03\x04", b"\x09" + bytes(8), b"\x0b\x0c", b"\xff" * 11]),
)


@given(st.lists(PIECES, max_size=6).map(b"".join))
def test_a_message_of_one_image_means_what_protobuf_reads(raw: bytes) -> None:
    try:
        body = take_apart(raw, pb.ModerateRequest)
    except RequestError:
        assert not readable(raw, pb.ModerateRequest) or b"\x0b" in raw  # a group, which protobuf skips
        return
    whole = pb.ModerateRequest.FromString(raw)
    assert body.images == [source(whole.image)]
    assert (body.message.options, body.message.request_id) == (whole.options, whole.request_id)


@given(st.lists(PIECES, max_size=6).map(b"".join))
def test_a_message_of_several_images_means_what_protobuf_reads(raw: bytes) -> None:
    try:
        body = take_apart(raw, pb.BatchModerateRequest, most_images=64)
    except RequestError:
        assert not readable(raw, pb.BatchModerateRequest) or b"\x0b" in raw
        return
    whole = pb.BatchModerateRequest.FromString(raw)
    assert body.images == [source(each) for each in whole.images]
    assert body.image_bytes == sum(len(each.data) for each in whole.images)
    assert (body.message.options, body.message.request_id) == (whole.options, whole.request_id)


def source(image: pb.ImageSource) -> bytes | str | None:
    return {"data": image.data, "shared_path": image.shared_path}.get(image.WhichOneof("source") or "")


def readable(raw: bytes, kind: type[pb.ModerateRequest | pb.BatchModerateRequest]) -> bool:
    try:
        kind.FromString(raw)
    except DecodeError:
        return False
    return True


def test_an_item_of_a_stream_keeps_its_id_and_time() -> None:
    item = pb.StreamModerateRequest(id="7", image=pb.ImageSource(data=b"file"))
    item.timeout.FromSeconds(3)
    body = take_apart(item.SerializeToString(), pb.StreamModerateRequest)
    assert (body.message.id, body.message.timeout.seconds, body.images) == ("7", 3, [b"file"])


def test_a_usual_message_keeps_what_stands_behind_its_image() -> None:
    body = take_apart(FULL.SerializeToString(), pb.ModerateRequest)
    left = pb.ModerateRequest(image=pb.ImageSource(data=b""), options=FULL.options, request_id="r")
    assert (body.images, body.message) == ([b"file"], left)


BOMBS = {
    "images": (b"\x0a\x00" * 5_000_000, pb.BatchModerateRequest, "more than 64 images"),
    "the same image": (b"\x0a\x00" * 5_000_000, pb.ModerateRequest, "than any needs"),
    "unknown fields": (b"\x78\x01" * 5_000_000, pb.ModerateRequest, "than any needs"),
    "unknown fields of an image": (
        b"\x0a\x80\xad\xe2\x04" + b"\x78\x01" * 5_000_000,
        pb.ModerateRequest,
        "than any needs",
    ),
    "data of an image": (
        b"\x0a\x80\xad\xe2\x04" + b"\x0a\x00" * 5_000_000,
        pb.ModerateRequest,
        "than any needs",
    ),
    "an id": (b"\x1a\x80\xad\xe2\x04" + b"x" * 10_000_000, pb.ModerateRequest, "than any needs"),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_swell_under_protobuf_is_refused_for_the_price_of_a_look(bomb: str) -> None:
    raw, kind, words = BOMBS[bomb]
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match=words):
            take_apart(raw, kind, most_images=64 if kind is pb.BatchModerateRequest else 1)
        assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    finally:
        tracemalloc.stop()


def test_a_message_without_images_is_bounded_before_it_is_parsed() -> None:
    assert parse(pb.GetPolicyRequest(policy_id="p").SerializeToString(), pb.GetPolicyRequest).policy_id == "p"
    with pytest.raises(RequestError, match="a GetPolicyRequest needs at most 65536"):
        parse(bytes(MESSAGE_MARGIN + 1), pb.GetPolicyRequest)
    with pytest.raises(RequestError, match=r"is no clipwarden.v1.GetPolicyRequest"):
        parse(b"\xff", pb.GetPolicyRequest)
