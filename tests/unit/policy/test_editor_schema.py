"""What editors are told about policy files agrees with what lint says, or leaves it to lint on purpose."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from jsonschema import Draft202012Validator

from clipwarden.errors import PolicyError, Severity
from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.language.editor_schema import policy_schema
from clipwarden.policy.language.keys import POLICY
from clipwarden.policy.language.kinds import Plain
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.language.tables import Key, chains
from clipwarden.policy.schema import Policy
from clipwarden.policy.shipped import shipped_policies
from kit.policies import FINGERPRINT, FULL_POLICY, policies

BAD = Path(__file__).parent / "bad"
SCHEMA = Draft202012Validator(policy_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER)

# What a schema cannot say, by the rule's name in lint: each has at least one bad file, and every one of them passes.
LEFT_TO_LINT = {
    "compares one part of the file with another": {
        "adjusted-by-score", "both-sides", "duplicate-exemption", "duplicate-id", "duplicate-text",
        "enforce-without-fingerprint", "enforce-without-thresholds", "hand-without-approval", "idle-adjustment",
        "review-not-below-block",
        "unknown-attribute", "unknown-context", "vector-like-text",
    },
    "looks into the files that the policy names": {
        "bad-head", "bad-vector", "learned-file", "learned-path", "unknown-vector",
    },
    "reads texts": {"minors"},
    "is about how the YAML is written, of which no value tells": {"anchor", "directive", "duplicate-key"},
}  # fmt: skip
# The same of some files of a rule, whose others the schema does refuse.
LEFT_IN_PART = {
    # Invisible in a text that is right otherwise; YAML itself refuses others.
    "bad-character": {"escaped-control", "invisible-character"},
    "not-finite": {"nan-threshold"},  # NaN is no JSON, and neither below nor above anything
    "out-of-range": {"exemption-range"},  # depends on the attribute's method, which stands elsewhere
    # YAML 1.2, which editors read, takes them for what was meant; 1.1 does not, which is the trap.
    "yaml-trap": {
        "context-named-no", "hex-severity", "octal-severity", "prompt-no", "reason-code-sexagesimal", "version-date",
    },
}  # fmt: skip


class CoreLoader(yaml.SafeLoader):
    """Reads YAML by the core schema of version 1.2, as editors do; PyYAML alone knows 1.1."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  PyYAML's own form


for tag, pattern in {
    "bool": "true|True|TRUE|false|False|FALSE",
    "null": "~|null|Null|NULL|",
    "int": "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
}.items():
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^({pattern})$"), None)
# The rest is alike: `010` is ten here, and eight in YAML 1.1.
CoreLoader.add_constructor(
    "tag:yaml.org,2002:int", lambda _, node: int(node.value, 0 if node.value[:2] in ("0x", "0o") else 10)
)


def documents(data: bytes) -> list[object]:
    """Return what an editor makes of a file: one document, or none where its own parser refuses it."""
    try:
        return [yaml.load(data.decode(), CoreLoader)]  # noqa: S506  a safe loader
    except (yaml.YAMLError, ValueError, OverflowError):
        return []


def rule_of(path: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    return next(problem.code for problem in caught.value.problems if problem.severity is Severity.ERROR)


def passes(path: Path) -> bool:
    return any(SCHEMA.is_valid(document) for document in documents(path.read_bytes()))


def test_it_is_a_schema_and_json() -> None:
    Draft202012Validator.check_schema(policy_schema())
    assert json.loads(json.dumps(policy_schema(), allow_nan=False)) == policy_schema()


@pytest.mark.parametrize("path", shipped_policies(), ids=lambda path: path.stem)
def test_shipped_policies_are_right(path: Path) -> None:
    assert passes(path)


def test_full_policy_is_right() -> None:
    (document,) = documents(FULL_POLICY.encode())
    assert list(SCHEMA.iter_errors(document)) == []


@given(policies())
@settings(deadline=None, max_examples=60)
def test_any_policy_is_right(policy: Policy) -> None:
    assert list(SCHEMA.iter_errors(policy_document(policy))) == []


@pytest.mark.parametrize(("right", "untidy"), [("id: weapons", 'id: " weapons "'), ("a rifle", f"a{' ' * 1000}rifle")])
def test_white_space_that_lint_tidies_is_refused(right: str, untidy: str) -> None:
    text = FULL_POLICY.replace(right, untidy, 1)
    (document,) = documents(text.encode())
    assert parse_policy(text).policy == parse_policy(FULL_POLICY).policy
    assert not SCHEMA.is_valid(document)


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_bad_file_is_refused_or_left_to_lint(path: Path) -> None:
    code = rule_of(path)
    left = any(code in codes for codes in LEFT_TO_LINT.values()) or path.stem in LEFT_IN_PART.get(code, ())
    assert passes(path) == left


def test_nothing_is_left_to_lint_that_has_no_bad_file() -> None:
    codes = {rule_of(path) for path in BAD.glob("*.yaml")}
    assert {code for left in LEFT_TO_LINT.values() for code in left} | set(LEFT_IN_PART) <= codes
    assert {name for names in LEFT_IN_PART.values() for name in names} <= {path.stem for path in BAD.glob("*.yaml")}


def test_every_key_tells_what_it_is_for() -> None:
    told = json.dumps(policy_schema())
    for chain in chains(POLICY):
        assert json.dumps(chain[-1].sentences)[1:-1] in told


@pytest.mark.parametrize("chain", list(chains(POLICY)), ids=lambda chain: ".".join(key.name for key in chain))
def test_every_example_is_right(chain: tuple[Key, ...]) -> None:
    key = chain[-1]
    (value,) = documents(key.kind.example.replace("sha256:...", FINGERPRINT).encode())
    if "..." not in key.kind.example.replace("sha256:...", ""):
        Draft202012Validator(key.kind.json_schema()).validate(value)


def test_every_required_value_has_a_stand_in() -> None:
    for *_, key in chains(POLICY):
        if key.required and isinstance(key.kind, Plain):
            assert key.kind.stand_in is not None
