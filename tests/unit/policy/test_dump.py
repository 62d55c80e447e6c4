from hypothesis import given, settings

from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language.dump import dump_policy, policy_document
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import Policy
from kit.policies import FULL_POLICY, learned_of, policies


@given(policies())
@settings(deadline=None, max_examples=60)
def test_any_policy_is_read_back_as_it_was_written(policy: Policy) -> None:
    again = parse_policy(dump_policy(policy), learned=learned_of(policy)).policy
    assert again == policy
    assert policy_digest(again) == policy_digest(policy)
    assert dump_policy(again) == dump_policy(policy)


def test_document_writes_the_defaults_out() -> None:
    document = policy_document(parse_policy(FULL_POLICY).policy)
    category = document["categories"][1]  # type: ignore[index]
    assert category["mode"] == "shadow"
    assert category["prompts"] == [{"text": "white powder", "weight": 2.0}, {"text": "a syringe", "weight": 1.0}]
    assert "negatives" not in category
    assert document["defaults"] == {"on_error": "block", "on_partial": "allow"}


def test_document_writes_what_older_releases_do_not_know_only_where_it_is_used() -> None:
    judging = FULL_POLICY.replace("on_partial: allow", "on_partial: allow\n  on_truncated: judge")
    document = policy_document(parse_policy(judging).policy)
    assert document["defaults"] == {"on_error": "block", "on_partial": "allow", "on_truncated": "judge"}
    said = "on_partial: allow\n  views: whole\n  frames: 1"
    document = policy_document(parse_policy(FULL_POLICY.replace("on_partial: allow", said)).policy)
    assert document["defaults"] == {"on_error": "block", "on_partial": "allow"}
    for key, value in (("views", "auto"), ("frames", 16), ("least_coverage", 0.5), ("least_resolution", 100.0)):
        text = FULL_POLICY.replace("on_partial: allow", f"on_partial: allow\n  {key}: {value}")
        document = policy_document(parse_policy(text).policy)
        assert document["defaults"] == {"on_error": "block", "on_partial": "allow", key: value}
