"""What is said of an image that was not wholly seen."""

import pytest

from clipwarden.vision.facts import ImageFacts, Unseen, share_in_words


@pytest.mark.parametrize(
    ("facts", "unseen"),
    [
        (ImageFacts(), ()),
        (ImageFacts(frames_total=3, frames_judged=3), ()),
        (ImageFacts(frames_total=3), (Unseen.FRAMES,)),
        (ImageFacts(share_shown=0.999), (Unseen.ROWS,)),
        (ImageFacts(hdr=True), (Unseen.HDR,)),
        (ImageFacts(frames_total=2, share_shown=0.5, hdr=True), (Unseen.FRAMES, Unseen.ROWS, Unseen.HDR)),
        (ImageFacts(degraded=("COLOUR_UNCERTAIN",)), ()),
    ],
)
def test_whatever_was_not_looked_at_is_named_and_makes_the_image_partial(
    facts: ImageFacts, unseen: tuple[Unseen, ...]
) -> None:
    assert facts.unseen == unseen
    assert facts.partial is bool(unseen)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "100 %"),
        (0.9999, "99 %"),
        (0.63, "63 %"),
        (0.01, "1 %"),
        (0.0099, "less than 1 %"),
        (1e-9, "less than 1 %"),
    ],
)
def test_a_share_is_never_said_to_be_more_than_it_is(share: float, words: str) -> None:
    assert share_in_words(share) == words
