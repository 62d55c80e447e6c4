"""A change of model is told in the policy's own lines, on the scale that they were chosen on."""

from pathlib import Path

import numpy as np
import pytest

import clipwarden
from clipwarden import Moderator
from clipwarden.engine.snapshot import EMBEDDED_MODEL, resolve_model
from clipwarden.modelfolder.load import Model, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Verdict
from clipwarden.policy.shipped import shipped_policy
from clipwarden.scoring.decide import judge
from clipwarden.scoring.score import cosines
from clipwarden.scoring.tables import prepare
from clipwarden_export.verification.decisions import TextVectors, decide, load_unbound, policy_texts

IMAGES = sorted((Path(clipwarden.__path__[0]) / "demo" / "images").glob("*.png"))


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(resolve_model(EMBEDDED_MODEL))


def test_a_calibrated_policy_is_compared_on_its_own_scale(model: Model) -> None:
    assert model.text is not None
    assert model.background is not None
    policy = load_unbound(shipped_policy("stickers"))
    texts = policy_texts(policy)
    side = TextVectors(
        facts=model.manifest,
        tokenizer=model.text.tokenizer,
        texts=texts,
        vectors=np.concatenate([model.text.embed([text]) for text in texts]),
        background=model.background,
    )
    with Moderator() as moderator:
        embedded = [moderator.embed(image) for image in IMAGES]
    found = decide(policy, side, np.stack([each.embeddings[0] for each in embedded]))
    tables = prepare(compile_policy(load_policy(shipped_policy("stickers")).policy, model=model))
    whole = {"context": None, "partial": False, "degraded": False}
    judged = [
        judge(cosines(each.embeddings[:1], tables.compiled), each.views[:1], tables, **whole)  # type: ignore[arg-type]
        for each in embedded
    ]
    assert {each.shadow_verdict for each in found} >= {Verdict.ALLOW, Verdict.BLOCK}
    assert [each.bands for each in found] == [tuple(result.band for result in each.categories) for each in judged]
