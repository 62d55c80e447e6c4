import pytest
from google.protobuf.duration_pb2 import Duration

from clipwarden.engine.results import EmbeddedImage
from clipwarden.errors import RequestError
from clipwarden.serving.requests import read_embedded_image
from clipwarden.v1 import moderation_pb2 as pb

SQUARES = (0, 0, 90, 90), (35, 0, 125, 90), (70, 0, 160, 90)


def part(number: int, name: str = "part", frame: int = 0) -> pb.View:
    left, top, right, bottom = SQUARES[number]
    return pb.View(name=name, frame=frame, box=pb.Box(left=left, top=top, right=right, bottom=bottom))


def read(*views: pb.View, views_of: str = "auto", **facts: object) -> EmbeddedImage:
    request = pb.ModerateEmbeddingRequest(
        embeddings=[pb.Embedding(values=[1.0, 0.0], view=view) for view in views],
        view_plan=pb.ViewPlan(views=views_of, frames=16),
        **{"coverage": 1.0} | facts,  # type: ignore[arg-type]
    )
    return read_embedded_image(request, width=2)


def test_all_views_of_an_image_are_read() -> None:
    see_through = [part(number, name) for name in ("part_on_white", "part_on_black") for number in range(3)]
    frames = [part(number, frame=frame) for frame in (0, 5) for number in range(3)]
    whole = [pb.View(name="full", frame=frame) for frame in (0, 5)]
    for views, judged in ((see_through, 1), (frames, 2), (whole, 2)):
        assert len(read(*views, frames_total=9, frames_judged=judged).views) == len(views)
    assert len(read(pb.View(), pb.View(), views_of="whole", coverage=0).views) == 2  # older clients name none


@pytest.mark.parametrize(
    ("views", "facts", "sentence"),
    [
        ([part(0)], {}, "has one part, and no picture has one alone"),
        ([part(0), part(1), part(1)], {}, "two embeddings are of the same view"),
        ([pb.View(), pb.View()], {}, "two embeddings are of the same view"),
        ([part(0, "part_on_white"), part(1, "part_on_white")], {}, "lacks views on white or on black"),
        ([part(0, "part_on_white"), part(1, "part_on_black")], {}, "lacks views on white or on black"),
        ([pb.View(name="full"), pb.View(name="on_white")], {}, "lacks views on white or on black"),
        ([pb.View(frame=3)], {"frames_judged": 2}, "of 1 frames, and frames_judged is 2"),
        ([pb.View(frame=3)], {"frames_judged": 2, "views_of": "whole"}, "of 1 frames, and frames_judged is 2"),
        ([pb.View(), pb.View(frame=3)], {}, "of 2 frames, and frames_judged is 1"),
        ([pb.View()], {"coverage": 0}, "coverage is required under the view plan auto"),
        ([pb.View(time=Duration(seconds=2**62))], {}, "view.time is"),
        ([pb.View(time=Duration(seconds=-5, nanos=-(2**31)))], {}, "view.time is"),
    ],
)
def test_embeddings_that_are_not_all_of_an_image_are_refused(
    views: list[pb.View], facts: dict[str, object], sentence: str
) -> None:
    with pytest.raises(RequestError, match=sentence):
        read(*views, **{"frames_total": 9} | facts)
