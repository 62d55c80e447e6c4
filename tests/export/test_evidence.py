"""Verification with a policy that has no text of its own: a head or learned vectors alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.schema import Policy
from clipwarden_export.verification.background import background_texts
from clipwarden_export.verification.evidence import gather_evidence, prepare_images
from clipwarden_export.verification.verify import Candidate, Encoders, verify_candidate
from kit.builders import make_category, make_head, make_policy
from kit.toymodel import load_toy_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_toy_model(tmp_path_factory.mktemp("toy") / "model")


def head_alone(dim: int) -> Policy:
    policy = make_policy([make_category("nsfw", head=make_head((np.ones((1, dim)).tolist(), [0.0])), block=0.5)])
    return replace(policy, model=replace(policy.model, fingerprint=None))


def test_images_are_compared_with_the_background_and_decisions_are_too(model: Model) -> None:
    origin = SimpleNamespace(
        embed_images=lambda images: model.image.encode(prepare_images(images, model.manifest.image)),
        embed_texts=model.text.embed,
        token_ids=lambda texts: [model.text.tokenizer.encode(text)[0] for text in texts],
    )
    evidence = gather_evidence(SimpleNamespace(origin=origin), policy=head_alone(model.manifest.dim))
    assert evidence.prompts == background_texts()
    facts = ModelFacts(
        fingerprint="sha256:none", name="toy", dim=model.manifest.dim, logit_scale=100.0, logit_bias=None
    )
    candidate = Candidate(
        open=lambda _provider: Encoders(image=model.image, text=model.text),
        preprocessing=model.manifest.image,
        precision="fp32",
        facts=facts,
    )
    (figures,) = verify_candidate(candidate, evidence, providers=("CPUExecutionProvider",)).providers.values()
    assert (figures.prompts.prompts, figures.decision_agreement) == (300, 1.0)
