"""How a moderation that a server may send looks, whatever the pipeline of today would answer."""

from rich.console import Console

from clipwarden.cli.explain import explanation
from clipwarden.cli.outcome import NotJudgedError, Outcome
from clipwarden.cli.table import outcomes_table
from clipwarden.cli.wording import explained_oddities, oddities, where_seen
from clipwarden.terminal import printable
from clipwarden.v1 import moderation_pb2 as v1

MODERATION = v1.Moderation(
    verdict=v1.VERDICT_REVIEW,
    shadow_verdict=v1.VERDICT_BLOCK,
    enforced_categories=2,
    decided_by=["weapons"],
    raised_by=[v1.VERDICT_RAISE_PARTIAL],
    categories=[
        v1.CategoryResult(
            id="weapons",
            status=v1.EVALUATION_STATUS_EVALUATED,
            score_kind=v1.SCORE_KIND_CALIBRATED,
            score=0.95,
            block_threshold=0.9,
            band=v1.VERDICT_REVIEW,
            mode=v1.MODE_ENFORCE,
            winning_prompt=v1.TextMatch(text="a [b]gun", cosine=0.31),
            exempted_by="museum",
        )
    ],
    attributes=[v1.AttributeResult(id="museum", status=v1.EVALUATION_STATUS_NOT_EVALUATED)],
    image=v1.ImageFacts(
        format="GIF",
        width=3,
        height=2,
        sha256="ab" * 32,
        frames_total=9,
        frames_judged=1,
        partial=True,
        degradations=[v1.DEGRADATION_NEAR_UNIFORM],
    ),
)


def shown(renderable: object, width: int) -> str:
    console = Console(width=width, record=True, markup=False, emoji=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_exemptions_frames_and_odd_texts_are_shown_as_they_are() -> None:
    for width in (80, 160):
        text = " ".join(shown(explanation("a.gif", MODERATION, width=width), width).split())
        for expected in (
            "raised because partial",
            "not BLOCK: museum",
            "1 of 9 frames judged",
            '"a [b]gun"',
            "museum",
            "not evaluated",
            "Scores are calibrated probabilities.",
            "With shadow categories enforced it would be BLOCK.",
            "2 categories are enforced.",
        ):
            assert expected in text


def test_a_moderation_without_evaluated_categories_is_shown() -> None:
    empty = v1.Moderation(verdict=v1.VERDICT_ALLOW, shadow_verdict=v1.VERDICT_ALLOW)
    for width in (80, 160):
        assert "evaluated" in shown(outcomes_table([Outcome(name="x", moderation=empty)], width=width), width)
    text = shown(explanation("x", empty, width=80), 80)
    assert "No category is enforced, so nothing could have changed it." in text
    assert "No category was evaluated." in text
    empty.context = "shop"
    assert "No category is enforced in the context shop, so nothing" in shown(explanation("x", empty, width=80), 80)


def test_an_error_without_a_reason_is_named_by_its_code() -> None:
    assert "UNKNOWN" in shown(
        outcomes_table([Outcome(name="x", error=NotJudgedError("odd", code="UNKNOWN", reason=None))], width=80), 80
    )


def test_raises_stand_beside_the_verdict() -> None:
    outcome = Outcome(name="x", moderation=MODERATION)
    assert "x (near uniform, 1 of 9 frames judged)" in shown(outcomes_table([outcome], width=160), 160)
    assert "REVIEW (partial)" in shown(outcomes_table([outcome], width=160), 160)
    assert "shadow BLOCK" in shown(outcomes_table([outcome], width=80), 80)


def test_texts_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[31mb\n\udcff") == "a\\x1b[31mb\\n\\udcff"
    assert printable("a\nb", keep_lines=True) == "a\nb"
    assert printable("žluťoučký 猫") == "žluťoučký 猫"


def test_what_was_added_to_a_cosine_is_shown_beside_the_score() -> None:
    raised = v1.CategoryResult(
        id="nudity",
        status=v1.EVALUATION_STATUS_EVALUATED,
        score_kind=v1.SCORE_KIND_RAW_COSINE,
        score=0.205,
        cosine=0.195,
        block_threshold=0.2,
        band=v1.VERDICT_BLOCK,
        mode=v1.MODE_ENFORCE,
        winning_prompt=v1.TextMatch(text="vector concept_07", cosine=0.195),
        adjustment=v1.AppliedAdjustment(attribute="special_0", add=0.009999999776482582),
    )
    moderation = v1.Moderation(verdict=v1.VERDICT_BLOCK, decided_by=["nudity"], categories=[raised])
    for width in (80, 160):
        for made in (
            explanation("a.png", moderation, width=width),
            outcomes_table([Outcome(name="a.png", moderation=moderation)], width=width),
        ):
            text = shown(made, width)
            assert "0.205 ≥ block 0.200" in text
            assert "+0.01 by special_0" in text
            assert '"vector concept_07" 0.195' in text


def test_head_is_shown_by_its_logit() -> None:
    judged = v1.CategoryResult(
        id="nsfw",
        status=v1.EVALUATION_STATUS_EVALUATED,
        score_kind=v1.SCORE_KIND_UNCALIBRATED,
        score=0.75,
        logit=1.0986,
        mode=v1.MODE_ENFORCE,
    )
    moderation = v1.Moderation(verdict=v1.VERDICT_ALLOW, categories=[judged])
    for width in (80, 160):
        for made in (
            explanation("a.png", moderation, width=width),
            outcomes_table([Outcome(name="a.png", moderation=moderation)], width=width),
        ):
            assert "head, logit +1.10" in " ".join(shown(made, width).split())
            assert '""' not in shown(made, width)


def test_what_was_not_seen_is_named_and_explained() -> None:
    image = v1.ImageFacts(
        format="PNG",
        width=3,
        height=2,
        frames_total=3,
        frames_judged=1,
        partial=True,
        degradations=[v1.DEGRADATION_COLOUR_UNCERTAIN, 99],  # type: ignore[list-item]  # of a newer server
        unseen=[v1.UNSEEN_ROWS, v1.UNSEEN_HDR],
        share_shown=0.637,
    )
    moderation = v1.Moderation(verdict=v1.VERDICT_REVIEW, shadow_verdict=v1.VERDICT_REVIEW, image=image)
    short = "colour uncertain, 99, 1 of 3 frames judged, 63 % of rows whole, HDR"
    assert f"x ({short})" in shown(outcomes_table([Outcome(name="x", moderation=moderation)], width=240), 240)
    for width in (80, 160):
        lines = [line.rstrip() for line in shown(explanation("x", moderation, width=width), width).splitlines()]
        assert [line for line in lines if line.startswith(("Viewers", "Of its", "The file ends", "HDR:"))] == [
            "Viewers may read the file's colours differently, so some may show others.",
            "Of its 3 frames 1 was judged; nobody saw the others.",
            "The file ends early; 63 % of its rows are whole.",
            "HDR: brighter colours than a screen without HDR shows were not judged.",
        ]
        assert short in " ".join(lines)


def test_an_image_seen_whole_has_nothing_to_explain() -> None:
    for share in (0.0, 1.0):  # 0: of a server that is older than the field
        image = v1.ImageFacts(format="PNG", frames_total=1, frames_judged=1, share_shown=share)
        moderation = v1.Moderation(verdict=v1.VERDICT_ALLOW, shadow_verdict=v1.VERDICT_ALLOW, image=image)
        text = shown(explanation("x", moderation, width=80), 80)
        assert "Image: PNG 0x0, sha256" in text
        assert "rows" not in text


def test_a_frame_has_the_number_that_json_has() -> None:
    view = v1.View(name="full", frame=5)
    view.time.FromMilliseconds(1000)
    assert where_seen(view) == "frame 5 at 1.00 s"


def test_detail_that_is_not_known_is_no_zero() -> None:
    image = v1.ImageFacts(frames_total=1, frames_judged=1, unseen=[v1.UNSEEN_RESOLUTION])
    assert oddities(image) == ["unknown detail"]
    assert "0.0" not in " ".join(explained_oddities(image))
