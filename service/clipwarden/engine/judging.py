"""An embedded image and what was selected for it in, its judgement out; what that takes; what cannot be judged."""

import time

from clipwarden.engine.results import EmbeddedImage
from clipwarden.engine.snapshot import Selection
from clipwarden.errors import EmbeddingError, ImageError, Reason
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.schema import OnTruncated, Policy
from clipwarden.scoring.decide import judge
from clipwarden.scoring.floors import floors_missed
from clipwarden.scoring.score import cosines
from clipwarden.scoring.verdict import Judgement
from clipwarden.unitvectors import require_unit
from clipwarden.vision.facts import ImageFacts, rows_in_words
from clipwarden.vision.plan import ViewPlan

JUDGING_MICROSECONDS = (60.0, 3.0, 0.00025)
"""What judging takes: in any case, for each concept, and for each number of each text or head compared with each view.
Measured: 199 at 1,000 texts of 512 numbers and one view, 706 at 8 views, 41,000 at 5,000 texts and 64 views (13
categories, pool lse, one core of a Xeon)."""


def judging_microseconds(views: int, compiled: CompiledPolicy) -> float:
    """Estimate what judging an image takes.

    Args:
        views: V.
        compiled: The policy: its texts, heads and concepts count.

    Returns:
        Microseconds; see `JUDGING_MICROSECONDS`.
    """
    always, a_concept, a_number = JUDGING_MICROSECONDS
    heads = sum(layer.inputs * layer.outputs for head in compiled.heads for layer in head)
    concepts = len(compiled.policy.categories) + len(compiled.policy.attributes)
    return always + a_concept * concepts + a_number * views * (compiled.vectors.size + heads)


def judge_image(image: EmbeddedImage, selection: Selection) -> tuple[Judgement, float]:
    """Judge one image's embeddings; also return the seconds it took.

    Raises:
        ImageError: As `require_rows`.
    """
    facts, policy = image.facts, selection.compiled.policy
    require_rows(facts, policy)
    started = time.perf_counter()
    judgement = judge(
        cosines(image.embeddings, selection.compiled),
        image.views,
        selection.tables,
        context=selection.context,
        partial=facts.partial,
        degraded=bool(facts.degraded),
        missed=floors_missed(policy, coverage=facts.coverage, resolution=facts.resolution),
    )
    return judgement, time.perf_counter() - started


def require_rows(facts: ImageFacts, policy: Policy) -> None:
    """Refuse a picture that lacks rows, if the policy does.

    Asked when judging and not when decoding, so that an embedding does not depend on the policy; and before the encoder
    runs, where only a verdict is wanted.

    Raises:
        ImageError: IMAGE_TRUNCATED.
    """
    if facts.share_shown == 1 or policy.on_truncated is OnTruncated.JUDGE:
        return
    image_format = facts.file.format if facts.file else ""
    kind, rows = f"{image_format} image".strip(), rows_in_words(facts.share_shown, image_format)
    raise ImageError(
        f"The {kind} ends too early: {rows}. A policy with `on_truncated: judge` goes by what is there.",
        reason=Reason.IMAGE_TRUNCATED,
    )


def require_judgeable(image: EmbeddedImage, plan: ViewPlan, *, width: int) -> None:
    """Refuse embeddings that no verdict can rest on."""
    if image.plan != plan:
        raise EmbeddingError(
            f"the embeddings are of the view plan {image.plan.name}, not {plan.name}, which the policy asks for. Send "
            "the image facts of the answer that they came with, view_plan among them: without it they count as of whole"
        )
    shape = image.embeddings.shape  # [V,D]
    if shape != (len(image.views), width) or not shape[0]:
        raise EmbeddingError(
            f"embeddings must be a vector of {width} numbers, the width of the loaded model, for each of their views"
        )
    # Within the tolerance that the proto promises for `Embedding.values`.
    require_unit(image.embeddings, EmbeddingError("embeddings must be finite vectors of unit norm (within 0.001)"))
