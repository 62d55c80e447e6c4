"""Modes in contexts, over the wire: what is stopped elsewhere and allowed here, and what says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from clipwarden.engine.snapshot import make_snapshot
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.language.load import parse_policy
from clipwarden.serving.policylog import log_loaded
from clipwarden.serving.server import Server, running_server
from clipwarden.v1 import moderation_pb2 as pb
from clipwarden.v1 import moderation_pb2_grpc
from kit.lines import chosen_text
from kit.serving import COLOURS, picture, settings_for_test

CONTEXTS = "contexts:\n  shop: {description: red is sold here}\n  night: {description: what is black is dangerous}\n"
RED = "contexts: {shop: {mode: disabled}, night: {mode: shadow}, poppies: {review: 0.999, block: 1.0}}"
YELLOW = "thresholds: {unit: cosine, review: 0.9}\n  contexts: {shop: {mode: shadow}, night: {block: 0.95}}"
BLACK = (
    "mode: disabled\n  scoring: {method: cosine}\n  thresholds: {unit: cosine, review: 0.7, block: 0.8}\n"
    "  contexts: {night: {mode: enforce, block: 0.9}}\n"
)
ENFORCE, SHADOW, DISABLED = pb.MODE_ENFORCE, pb.MODE_SHADOW, pb.MODE_DISABLED
ALLOW, BLOCK = pb.VERDICT_ALLOW, pb.VERDICT_BLOCK


def contexts_yaml(model: Model) -> str:
    """Write the policy about colours with modes in contexts: the shop sells red, black is stopped by night."""
    text = COLOURS.format(id="colours", fingerprint=model.fingerprint).replace("contexts:\n", CONTEXTS, 1)
    for old, new in (
        ("contexts: {poppies: {review: 0.999, block: 1.0}}", RED),
        ("thresholds: {unit: cosine, review: 0.9}", YELLOW),
        ("mode: disabled\n", BLACK),
    ):
        assert old in text
        text = text.replace(old, new)
    return chosen_text(text)


@asynccontextmanager
async def serving(
    model: Model,
) -> AsyncIterator[tuple[Server, "moderation_pb2_grpc.ModerationServiceAsyncStub"]]:
    policy = compile_policy(parse_policy(contexts_yaml(model)).policy, model=model)
    async with running_server(settings_for_test(), make_snapshot(model, [policy])) as server:
        assert server.address
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield server, moderation_pb2_grpc.ModerationServiceStub(channel)


@pytest.mark.parametrize(
    ("colour", "context", "verdicts", "enforced"),
    [
        ("red", "", (BLOCK, BLOCK), 2),
        ("red", "poppies", (ALLOW, ALLOW), 2),
        ("red", "shop", (ALLOW, ALLOW), 0),
        ("red", "night", (ALLOW, BLOCK), 2),
        ("black", "", (ALLOW, ALLOW), 2),
        ("black", "shop", (ALLOW, ALLOW), 0),
        ("black", "night", (BLOCK, BLOCK), 2),
    ],
)
async def test_the_context_chooses_what_counts(
    toy_model: Model, colour: str, context: str, verdicts: tuple[int, int], enforced: int
) -> None:
    async with serving(toy_model) as (_, stub):
        options = pb.ModerationOptions(context=context)
        request = pb.ModerateRequest(image=pb.ImageSource(data=picture(colour)), options=options)
        moderation = (await stub.Moderate(request)).moderation
    assert (moderation.verdict, moderation.shadow_verdict) == verdicts
    assert moderation.enforced_categories == enforced
    assert list(moderation.decided_by) == ([colour] if moderation.verdict == BLOCK else [])


async def test_results_tell_the_mode_in_force(toy_model: Model) -> None:
    found = {}
    async with serving(toy_model) as (server, stub):
        for context in ("", "shop", "night"):
            options = pb.ModerationOptions(context=context)
            request = pb.ModerateRequest(image=pb.ImageSource(data=picture("red")), options=options)
            found[context] = {item.id: item for item in (await stub.Moderate(request)).moderation.categories}
        count = server.metrics.registry.get_sample_value
        labels = {"policy": "colours", "category": "red", "band": "block"}
        bands = [count("clipwarden_category_bands_total", labels | {"mode": mode}) for mode in ("enforce", "shadow")]
    modes = {context: [result.mode for result in results.values()] for context, results in found.items()}
    assert modes == {
        "": [ENFORCE, ENFORCE, SHADOW, DISABLED],
        "shop": [DISABLED, SHADOW, SHADOW, DISABLED],
        "night": [SHADOW, ENFORCE, SHADOW, ENFORCE],
    }
    red, black = found["shop"]["red"], found["night"]["black"]
    assert red.status == pb.EVALUATION_STATUS_NOT_EVALUATED
    assert red.not_evaluated_reason == pb.NOT_EVALUATED_REASON_DISABLED
    assert (red.band, red.HasField("score")) == (pb.VERDICT_UNSPECIFIED, False)
    assert (black.status, black.band) == (pb.EVALUATION_STATUS_EVALUATED, ALLOW)
    assert (black.review_threshold, black.block_threshold) == (0.7, 0.9)
    assert bands == [1, 1]


async def test_the_loaded_policy_tells_its_modes_in_contexts(toy_model: Model) -> None:
    async with serving(toy_model) as (server, stub):
        policy = (await stub.GetPolicy(pb.GetPolicyRequest())).policy
        (summary,) = (await stub.ListPolicies(pb.ListPoliciesRequest())).policies
        samples = {
            tuple(sorted(sample.labels.items())): sample.value
            for family in server.metrics.registry.collect()
            if family.name == "clipwarden_policy_categories"
            for sample in family.samples
        }
    red, yellow, green, black = policy.categories
    assert (red.mode, dict(red.context_modes)) == (ENFORCE, {"shop": DISABLED, "night": SHADOW, "poppies": ENFORCE})
    assert (black.mode, dict(black.context_modes)) == (DISABLED, {"night": ENFORCE})
    assert (black.context_bounds["night"].review, black.context_bounds["night"].block) == (0.7, 0.9)
    assert dict(yellow.context_modes) == {"shop": SHADOW, "night": ENFORCE}
    assert not green.context_modes
    assert (summary.enforced_categories, dict(summary.context_enforced_categories)) == (2, {"night": 2, "shop": 0})
    counts = {"": (2, 1, 1), "night": (2, 2, 0), "shop": (0, 2, 2)}
    assert samples == {
        (("context", context), ("mode", mode), ("policy", "colours")): count
        for context, numbers in counts.items()
        for mode, count in zip(("enforce", "shadow", "disabled"), numbers, strict=True)
    }


@pytest.mark.parametrize(
    ("own", "where"),
    [
        ("enforce", ["in the context shop: every verdict there is ALLOW"]),
        (
            "shadow",
            [f"{place}: every verdict there is ALLOW" for place in ("without a context", "in the context shop")],
        ),
    ],
)
def test_the_log_warns_of_every_place_where_nothing_is_enforced(
    toy_model: Model, caplog: pytest.LogCaptureFixture, own: str, where: list[str]
) -> None:
    text = contexts_yaml(toy_model).replace("mode: enforce, on_error", f"mode: {own}, on_error")
    log_loaded(make_snapshot(toy_model, [compile_policy(parse_policy(text).policy, model=toy_model)]))
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [f"policy colours enforces nothing {each}" for each in where]
