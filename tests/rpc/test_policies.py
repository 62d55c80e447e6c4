"""ListPolicies and GetPolicy: what is loaded, in full."""

import dataclasses

import grpc
import pytest

from clipwarden.engine.snapshot import make_snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import parse_policy
from clipwarden.serving.server import running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.builders import make_evidence
from kit.serving import colours_yaml, refused, serving, settings_for_test


async def test_list_is_ordered_by_id_and_counts_categories(toy_model: Model) -> None:
    async with serving(toy_model, "zebra", "ant") as rig:
        answer = await rig.stub.ListPolicies(pb.ListPoliciesRequest())
    assert [summary.policy.id for summary in answer.policies] == ["ant", "zebra"]
    assert [summary.is_default for summary in answer.policies] == [False, True]
    assert [(summary.categories, summary.enforced_categories) for summary in answer.policies] == [(4, 2), (4, 2)]
    assert answer.next_page_token == ""


async def test_pages_cover_the_list_once(toy_model: Model) -> None:
    ids = ["a", "b", "c", "d", "e"]
    seen, sizes, token = [], [], ""
    async with serving(toy_model, *ids) as rig:
        while not sizes or token:
            page = await rig.stub.ListPolicies(pb.ListPoliciesRequest(page_size=2, page_token=token))
            seen += [summary.policy.id for summary in page.policies]
            sizes.append(len(page.policies))
            token = page.next_page_token
    assert seen == ids
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize("page", [{"page_size": -1}, {"page_token": "x"}, {"page_token": "99"}, {"page_token": "²"}])
async def test_bad_page_is_invalid(toy_model: Model, page: dict[str, object]) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.stub.ListPolicies(pb.ListPoliciesRequest(**page)))  # type: ignore[arg-type]
    assert answer.reason == "REQUEST_INVALID"


async def test_large_page_size_is_not_an_error(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        assert len((await rig.stub.ListPolicies(pb.ListPoliciesRequest(page_size=2**31 - 1))).policies) == 1


async def test_policy_is_told_in_full(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        policy = (await rig.stub.GetPolicy(pb.GetPolicyRequest())).policy
    assert (policy.ref.id, policy.is_default) == ("colours", True)
    assert (policy.owner, policy.reason, policy.review_by) == ("t@example.com", "for tests", "2999-06-01")
    assert policy.model.fingerprint == toy_model.fingerprint
    assert (policy.on_error, policy.on_partial) == (pb.VERDICT_BLOCK, pb.VERDICT_REVIEW)
    assert [(context.name, context.description) for context in policy.contexts] == [("poppies", "a field of poppies")]
    assert policy.calibration_scale == 1.0
    red, yellow, green, black = policy.categories
    assert (red.bounds.review, red.bounds.block, red.reason_code) == (0.8, 0.9, "RED-1")
    assert red.threshold_unit == pb.THRESHOLD_UNIT_COSINE
    assert (red.context_bounds["poppies"].review, red.context_bounds["poppies"].block) == (0.999, 1.0)
    assert (red.scoring.method, red.scoring.pool, red.scoring.score_kind) == ("cosine", "max", pb.SCORE_KIND_RAW_COSINE)
    assert [(prompt.text, prompt.weight) for prompt in red.scoring.prompts] == [("red", 1.0)]
    assert not yellow.bounds.HasField("block")
    assert list(green.scoring.negatives) == ["blue"]
    assert green.scoring.score_kind == pb.SCORE_KIND_UNCALIBRATED
    assert not green.scoring.HasField("calibration_bias")
    assert (green.scoring.slope, red.scoring.HasField("slope")) == (1.0, False)
    assert (black.mode, black.threshold_unit) == (pb.MODE_DISABLED, pb.THRESHOLD_UNIT_UNSPECIFIED)
    assert [attribute.id for attribute in policy.attributes] == ["white"]


async def test_waivers_are_told_of_categories_and_attributes(toy_model: Model) -> None:
    waive = 'waive: [{rule: identity, texts: ["a hijab"], reason: "an archive", approved_by: m.okafor}]'
    text = colours_yaml(toy_model)
    for prompts in ('prompts: ["yellow"]', 'prompts: ["white"]'):
        text = text.replace(prompts, f"{prompts}\n  {waive}")
    snapshot = make_snapshot(toy_model, [compile_policy(parse_policy(text).policy, model=toy_model)])
    async with running_server(settings_for_test(), snapshot) as server:
        assert server.address
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            policy = (await stub.GetPolicy(pb.GetPolicyRequest())).policy
    told = pb.Waiver(rule="identity", texts=["a hijab"], reason="an archive", approved_by="m.okafor")
    assert [list(each.scoring.waivers) for each in policy.categories] == [[], [told], [], []]
    assert list(policy.attributes[0].scoring.waivers) == [told]


async def test_the_evidence_of_thresholds_is_told_where_there_is_some(toy_model: Model) -> None:
    compiled = compile_policy(parse_policy(colours_yaml(toy_model)).policy, model=toy_model)
    red, *others = compiled.policy.categories
    assert red.thresholds is not None
    assert red.thresholds.chosen_on is not None
    chosen = dataclasses.replace(red.thresholds.chosen_on, evidence=make_evidence(labels=None))
    red = dataclasses.replace(red, thresholds=dataclasses.replace(red.thresholds, chosen_on=chosen))
    policy = dataclasses.replace(compiled.policy, categories=(red, *others))
    async with running_server(
        settings_for_test(), make_snapshot(toy_model, [compile_policy(policy, model=toy_model)])
    ) as server:
        assert server.address
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            told = (await stub.GetPolicy(pb.GetPolicyRequest())).policy
    assert told.ref.digest == compiled.digest
    assert not told.categories[1].chosen_on.HasField("evidence")
    evidence = told.categories[0].chosen_on.evidence
    assert (evidence.store, evidence.labels, evidence.design) == ("sha256:" + "5" * 64, "", "sample")
    assert (evidence.labelled, evidence.positives, evidence.groups, evidence.looks) == (412, 31, 390, 2)
    assert (evidence.how, evidence.confidence) == ("Platt's calibration; exact binomial tests", 0.95)
    assert (evidence.day, evidence.author) == ("2026-11-29", "sam@example.com")
    # What slices say stands among them.
    said = [*chosen.evidence.promises, *(f"slice {each}" for each in chosen.evidence.slices)]
    assert (list(evidence.promises), list(evidence.targets)) == (said, ["block-fpr 0.01"])


@pytest.mark.parametrize(("policy_id", "reason"), [("typo", "POLICY_UNKNOWN"), ("x" * 129, "REQUEST_INVALID")])
async def test_unknown_policy_is_refused(toy_model: Model, policy_id: str, reason: str) -> None:
    async with serving(toy_model) as rig:
        answer = await refused(rig.stub.GetPolicy(pb.GetPolicyRequest(policy_id=policy_id)))
    assert answer.reason == reason
