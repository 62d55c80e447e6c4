"""Policies of learned vectors, adjustments and heads: from their files to the answer on the wire, and loaded again."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from clipwarden.engine.snapshot import make_snapshot
from clipwarden.errors import PolicyError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.file import write_bundle
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.language.learned import PolicyFolder
from clipwarden.policy.tensors import dump_tensors
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.lines import chosen_text
from kit.serving import picture, settings_for_test
from kit.toymodel import DIM

POLICY = """
api: clipwarden/v1
metadata: {{id: learned}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: enforce}}
categories:
- id: reddish
  severity: 3
  definition: Red pictures.
  prompts: [{{vector: concept_07, file: concepts.safetensors}}]
  scoring: {{method: cosine}}
  thresholds: {{unit: cosine, review: 0.9, block: 1.0}}
  adjustments: [{{when: {{attribute: special, gte: 0.9}}, add: 0.125}}]
attributes:
- {{id: special, prompts: [{{vector: special_0, file: concepts.safetensors}}], scoring: {{method: cosine}}}}
- {{id: plain, prompts: ["blue"], negatives: ["green", {{vector: special_0, file: concepts.safetensors}}]}}
"""

HEAD_POLICY = """
api: clipwarden/v1
metadata: {{id: headed}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: enforce}}
categories:
- id: red
  severity: 3
  definition: Red pictures.
  scoring: {{method: head, file: red-head.safetensors}}
  thresholds: {{unit: score, block: 0.9}}
"""


def write(folder: Path, model: Model, *, special: str) -> Path:
    """Write a policy that looks for red, and raises what the word `special` matches."""
    assert model.text is not None
    vectors = {"concept_07": model.text.embed(["red"])[0] * 3, "special_0": model.text.embed([special])[0]}
    (folder / "concepts.safetensors").write_bytes(dump_tensors(dict(vectors)))
    path = folder / "policy.yaml"
    path.write_text(chosen_text(POLICY.format(fingerprint=model.fingerprint), learned=PolicyFolder(folder)))
    return path


@asynccontextmanager
async def connected(model: Model, path: Path) -> AsyncIterator["moderation_pb2_grpc.ModerationServiceAsyncStub"]:
    snapshot = make_snapshot(model, [load_compiled(path, model=model)])
    async with (
        running_server(settings_for_test(), snapshot) as server,
        grpc.aio.insecure_channel(server.address or "") as channel,
    ):
        yield moderation_pb2_grpc.ModerationServiceStub(channel)


async def judge(stub: "moderation_pb2_grpc.ModerationServiceAsyncStub") -> pb.Moderation:
    request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")))
    return (await stub.Moderate(request, timeout=60)).moderation


@pytest.mark.parametrize("bundled", [False, True])
async def test_vectors_and_adjustments_judge_and_are_told(toy_model: Model, tmp_path: Path, *, bundled: bool) -> None:
    path = write(tmp_path, toy_model, special="red")
    if bundled:
        compiled = load_compiled(path, model=toy_model)
        path = tmp_path / "policy.bundle"
        write_bundle(compiled, path)
        (tmp_path / "concepts.safetensors").unlink()
    async with connected(toy_model, path) as stub:
        moderation = await judge(stub)
        policy = (await stub.GetPolicy(pb.GetPolicyRequest(), timeout=60)).policy
    (red,) = moderation.categories
    assert moderation.verdict == red.band == pb.VERDICT_BLOCK
    assert red.winning_prompt.text == "vector concept_07"
    assert red.cosine == red.winning_prompt.cosine == pytest.approx(1, abs=0.1)
    assert (red.adjustment.attribute, red.adjustment.add) == ("special", 0.125)
    assert red.score == red.cosine + 0.125
    (category,) = policy.categories
    (prompt,) = category.scoring.prompts
    assert (prompt.text, prompt.vector_digest[:7], len(prompt.vector_digest)) == ("vector concept_07", "sha256:", 71)
    assert red.winning_prompt.vector_digest == prompt.vector_digest
    green, special = policy.attributes[1].scoring.negative_vector_digests
    assert (green, special) == ("", policy.attributes[0].scoring.prompts[0].vector_digest)
    plain = moderation.attributes[1]
    assert (plain.winning_prompt.text, plain.winning_prompt.vector_digest) == ("blue", "")
    assert (plain.winning_contrast.text, plain.winning_contrast.vector_digest) == ("vector special_0", special)
    (adjustment,) = category.adjustments
    assert (adjustment.attribute, adjustment.gte, adjustment.add) == ("special", 0.9, 0.125)


async def test_loading_again_judges_with_the_new_vectors(toy_model: Model, tmp_path: Path) -> None:
    path = write(tmp_path, toy_model, special="red")
    text = path.read_text()
    async with connected(toy_model, path) as stub:
        before = await judge(stub)
    # The file of vectors alone changes, which is enough: the thresholds were not chosen on it.
    chosen = write(tmp_path, toy_model, special="blue").read_text()
    path.write_text(text)
    with pytest.raises(PolicyError, match='thresholds of "reddish" were chosen on another'):
        load_compiled(path, model=toy_model)
    path.write_text(chosen)
    async with connected(toy_model, path) as stub:
        after = await judge(stub)
    assert (before.verdict, after.verdict) == (pb.VERDICT_BLOCK, pb.VERDICT_REVIEW)
    assert before.policy.digest != after.policy.digest
    assert not after.categories[0].HasField("adjustment")
    assert after.categories[0].score == after.categories[0].cosine


def test_vectors_of_another_model_are_refused_before_a_server_starts(toy_model: Model, tmp_path: Path) -> None:
    path = write(tmp_path, toy_model, special="red")
    vectors = {name: np.ones(DIM + 1, np.float32) for name in ("concept_07", "special_0")}
    (tmp_path / "concepts.safetensors").write_bytes(dump_tensors(vectors))
    with pytest.raises(PolicyError, match=f"has {DIM + 1} numbers"):
        load_compiled(path, model=toy_model)


def write_head(folder: Path, model: Model) -> Path:
    """Write a policy whose head gives `8 * cosine to "red" - 4`."""
    assert model.text is not None
    weight = model.text.embed(["red"]) * 8
    layers = {"layers.0.weight": weight, "layers.0.bias": np.array([-4], np.float32)}
    (folder / "red-head.safetensors").write_bytes(dump_tensors(dict(layers)))
    path = folder / "policy.yaml"
    path.write_text(chosen_text(HEAD_POLICY.format(fingerprint=model.fingerprint), learned=PolicyFolder(folder)))
    return path


async def test_head_judges_and_is_told(toy_model: Model, tmp_path: Path) -> None:
    path = write_head(tmp_path, toy_model)
    async with connected(toy_model, path) as stub:
        moderation = await judge(stub)
        policy = (await stub.GetPolicy(pb.GetPolicyRequest(), timeout=60)).policy
    (red,) = moderation.categories
    assert (moderation.verdict, red.score_kind) == (pb.VERDICT_BLOCK, pb.SCORE_KIND_UNCALIBRATED)
    assert red.logit == pytest.approx(4, abs=0.5)
    assert red.score == pytest.approx(1 / (1 + math.exp(-red.logit)), rel=1e-12)
    for absent in ("cosine", "margin", "winning_prompt", "pair_probability"):
        assert not red.HasField(absent)
    (category,) = policy.categories
    assert (category.scoring.method, category.scoring.pool, len(category.scoring.head_digest)) == ("head", "", 71)
    assert not category.scoring.prompts
