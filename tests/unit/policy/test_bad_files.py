"""Malformed policy files, each in `bad/`, with the finding that is due and a part of the mend it must offer."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from clipwarden.errors import PolicyError, Severity
from clipwarden.policy.language.load import load_policy

BAD = Path(__file__).parent / "bad"


class Case(NamedTuple):
    name: str
    code: str
    line: int
    column: int
    fix: str


# Lines and columns were marked by hand in the files when they were written, not taken from the parser's answer.
CASES = (
    Case("adjustment-add-far-below", "out-of-range", 9, 60, "above 0, up to 1"),
    Case("adjustment-add-negative", "out-of-range", 9, 60, "above 0"),
    Case("adjustment-add-zero", "out-of-range", 9, 60, "above 0"),
    Case("adjustment-by-category", "unknown-attribute", 9, 36, "List it under `attributes`"),
    Case("adjustment-by-misspelt-method", "unknown-value", 10, 71, 'Did you mean "cosine"?'),
    Case("adjustment-by-score", "adjusted-by-score", 9, 36, "Give museum `scoring: {method: cosine}`"),
    Case("adjustment-idle", "idle-adjustment", 9, 67, "Delete it"),
    Case("adjustment-unknown", "unknown-attribute", 9, 36, 'Did you mean "museum"?'),
    Case("adjustment-without-add", "missing-key", 9, 17, "Add `add: ...`, above 0, at most 1"),
    Case("adjustments-on-attribute", "unknown-key", 8, 53, "the keys here are id"),
    Case("adjustments-under-margin", "adjustments-without-cosine", 8, 16, "method: cosine"),
    Case("alias", "alias", 8, 15, "Write the values out"),
    Case("anchor", "anchor", 7, 12, "Delete &p"),
    Case("attribute-with-mode", "unknown-key", 8, 48, "Delete it; the keys here are id"),
    Case("bad-category-id", "bad-id", 4, 7, "Write `id: weapons_real`"),
    Case("bad-date", "bad-date", 2, 33, "February 2027 has 28 days"),
    Case("bad-escape", "yaml-syntax", 4, 12, "single quotes"),
    Case("bad-fingerprint", "bad-digest", 3, 22, "sha256:"),
    Case("bad-fitted-on", "bad-digest", 8, 54, "sha256:"),
    Case("bad-indent", "yaml-syntax", 5, 3, "Begin the line with 2 spaces: `severity: 3`"),
    Case("bad-policy-id", "bad-id", 2, 16, "Write `id: my_shop`"),
    Case("both-sides", "both-sides", 8, 22, "Delete one"),
    Case("calibration-scale-zero", "out-of-range", 3, 28, "ends excluded"),
    Case("calibration-under-cosine", "calibration-under-cosine", 9, 16, "method: margin"),
    Case("categories-empty", "empty-value", 3, 13, "at least one item"),
    Case("chosen-on-a-word", "bad-digest", 8, 52, "sha256:"),
    Case("chosen-on-misspelt", "unknown-value", 8, 140, 'Did you mean "hand"?'),
    Case("chosen-on-without-digest", "missing-key", 8, 52, "Add `digest:"),
    Case("colon-in-text", "yaml-syntax", 5, 15, 'Write `definition: "Weapons: real ones"`'),
    Case("context-name-spaces", "bad-id", 4, 17, "lower-case letters"),
    Case("context-named-no", "yaml-trap", 4, 7, 'Put it in quotes: "no"'),
    Case("cosine-threshold-range", "out-of-range", 9, 38, "between -1 and 1"),
    Case("coverage-percent", "out-of-range", 3, 28, "0.9"),
    Case("coverage-zero", "out-of-range", 3, 28, "above 0, up to 1"),
    Case("decimal-comma", "wrong-type", 10, 12, "Write `block: 0.9`"),
    Case("definition-a-map", "wrong-type", 6, 15, "Write a text"),
    Case("definition-without-value", "empty-value", 6, 15, "or leave the key out"),
    Case("duplicate-exemption", "duplicate-exemption", 9, 74, "Keep one"),
    Case("duplicate-id", "duplicate-id", 9, 8, "Rename one"),
    Case("duplicate-key", "duplicate-key", 8, 3, "Keep one of the two"),
    Case("duplicate-prompt", "duplicate-text", 7, 22, "Delete one"),
    Case("duplicate-template", "duplicate-text", 3, 30, "Delete one"),
    Case("empty", "empty-file", 1, 1, "Start with `api: clipwarden/v1`"),
    Case("enforce-in-context-without-fingerprint", "enforce-without-fingerprint", 10, 27, "or write `mode: shadow`"),
    Case("enforce-in-context-without-thresholds", "enforce-without-thresholds", 10, 27, "Add `thresholds:"),
    Case("enforce-without-fingerprint", "enforce-without-fingerprint", 8, 9, "or write `mode: shadow`"),
    Case("enforce-without-thresholds", "enforce-without-thresholds", 4, 18, "Add `thresholds:"),
    Case("escaped-control", "bad-character", 7, 13, "Delete it"),
    Case("exempted-by-category", "unknown-attribute", 9, 35, "List it under `attributes`"),
    Case("exemption-allows", "unknown-value", 9, 62, 'Did you mean "block_to_review"?'),
    Case("exemption-by-misspelt-method", "unknown-value", 10, 71, 'Did you mean "cosine"?'),
    Case("exemption-range", "out-of-range", 9, 48, "between 0 and 1"),
    Case("file-without-head", "file-without-head", 8, 35, "method: head"),
    Case("frames-many", "out-of-range", 3, 20, "from 1 to 64"),
    Case("frames-none", "out-of-range", 3, 20, "from 1 to 64"),
    Case("hand-with-a-placeholder", "placeholder", 8, 154, "Say it in words"),
    Case("hand-without-approval", "hand-without-approval", 10, 52, "a second person"),
    Case("hand-without-reason", "missing-key", 8, 52, "Add `reason:"),
    Case("head-adjusted", "adjustments-without-cosine", 8, 16, "method: cosine"),
    Case("head-broken-chain", "bad-head", 7, 33, "Export the head again"),
    Case("head-cosine-unit", "unit-mismatch", 8, 22, "Write `unit: score`"),
    Case("head-flat-weight", "bad-head", 7, 33, "Export the head again"),
    Case("head-integers", "bad-head", 7, 33, "float32 or float16"),
    Case("head-missing", "learned-file", 7, 33, "Check the path"),
    Case("head-misspelt", "unknown-value", 7, 21, 'Did you mean "head"?'),
    Case("head-not-finite", "bad-head", 7, 33, "Export the head again"),
    Case("head-of-vectors", "bad-head", 7, 33, "Store layers.0.weight"),
    Case("head-outside", "learned-path", 7, 33, "without `..`"),
    Case("head-two-logits", "bad-head", 7, 33, "the row of the class"),
    Case("head-with-negatives", "negatives-under-head", 7, 14, "method: margin"),
    Case("head-with-pool", "pool-under-head", 7, 57, "Delete the pool"),
    Case("head-with-prompts", "prompts-under-head", 7, 12, "method: margin"),
    Case("head-with-templates", "templates-under-head", 7, 14, "Delete them"),
    Case("head-without-file", "missing-key", 7, 12, "Add `file: nsfw-head.safetensors`"),
    Case("hex-severity", "yaml-trap", 5, 13, "plain decimal number"),
    Case("huge-escape", "yaml-syntax", 4, 10, "Write the character itself"),
    Case("infinite-weight", "not-finite", 7, 37, "plain decimal number"),
    Case("invisible-character", "bad-character", 7, 15, "Delete it"),
    Case("list-as-key", "complex-key", 3, 1, "one word"),
    Case("lists-later", "not-supported-yet", 8, 1, "Delete it"),
    Case("merge-key", "merge-key", 8, 3, "Write the keys out here"),
    Case("minors-in-attribute", "minors", 8, 37, "vetted hash programmes"),
    Case("minors-in-prompt", "minors", 7, 22, "vetted hash programmes"),
    Case("minors-in-sexual-negative", "minors", 8, 25, "Delete it"),
    Case("minors-in-template", "minors", 8, 21, "Delete it"),
    Case("minors-in-weighted-prompt", "minors", 7, 13, "Delete it"),
    Case("misplaced-key", "unknown-key", 8, 3, "It belongs under `scoring`"),
    Case("misplaced-top-key", "unknown-key", 3, 1, "It belongs under `model`"),
    Case("missing-api", "missing-key", 1, 1, "Add `api: clipwarden/v1`"),
    Case("missing-definition", "missing-key", 4, 3, "Add `definition:"),
    Case("missing-unit", "missing-key", 8, 15, "Add `unit: score`"),
    Case("mode-off", "unknown-value", 8, 9, 'Did you mean "disabled"?'),
    Case("mode-typo", "unknown-value", 8, 9, 'Did you mean "enforce"?'),
    Case("nan-threshold", "not-finite", 8, 36, "plain decimal number"),
    Case("negative-score-threshold", "out-of-range", 8, 37, "between 0 and 1"),
    Case("negative-with-weight", "unknown-key", 8, 57, "the keys here are vector, file"),
    Case("negatives-under-cosine", "negatives-under-cosine", 9, 14, "method: margin"),
    Case("negatives-without-value", "empty-value", 8, 13, "`negatives: []`"),
    Case("no-contexts-declared", "unknown-context", 9, 19, "Declare it at the top"),
    Case("no-such-attribute", "unknown-attribute", 9, 35, "Add it under `attributes`"),
    Case("nonsense-key", "unknown-key", 3, 1, "Delete it; the keys here are api"),
    Case("not-a-map", "wrong-type", 1, 1, "Write it as a map"),
    Case("not-utf8", "not-utf8", 7, 27, "Save the file as UTF-8"),
    Case("nul-byte", "bad-character", 7, 24, "Delete it"),
    Case("octal-severity", "yaml-trap", 5, 13, "plain decimal number"),
    Case("on-error-unknown", "unknown-value", 3, 22, "Write one of: allow, review, block"),
    Case("on-truncated-a-verdict", "unknown-value", 3, 26, 'Did you mean "judge"?'),
    Case("only-comments", "empty-file", 1, 1, "Start with"),
    Case("overflowing-number", "not-finite", 8, 36, "finite number"),
    Case("override-bound-beside-mode", "context-without-thresholds", 9, 13, "Add `thresholds:"),
    Case("override-crosses", "review-not-below-block", 10, 20, "Lower review, or write a `block:` above it here too"),
    Case("override-crosses-inherited-review", "review-not-below-block", 10, 20, "Raise block, or write a `review:`"),
    Case("override-crosses-itself", "review-not-below-block", 10, 20, "Lower review or raise block"),
    Case("override-mode-typo", "unknown-value", 9, 27, 'Did you mean "disabled"?'),
    Case("override-with-chosen-on", "unknown-key", 10, 34, "It belongs under `thresholds`"),
    Case("override-with-unit", "unknown-key", 10, 21, "under `thresholds`"),
    Case("override-without-bound", "no-bound", 10, 20, "or delete it"),
    Case("override-without-thresholds", "context-without-thresholds", 9, 13, "Add `thresholds:"),
    Case("percent-threshold", "wrong-type", 8, 36, "Write `block: 0.9`"),
    Case("plain-word", "wrong-type", 1, 1, "Write it as a map"),
    Case("prevalence-one", "out-of-range", 8, 38, "ends excluded"),
    Case("prompt-blank", "empty-value", 7, 22, "Write a text"),
    Case("prompt-no", "yaml-trap", 7, 22, 'Put it in quotes: "no"'),
    Case("prompt-too-long", "too-long", 7, 22, "Shorten it"),
    Case("prompt-with-braces", "bad-prompt", 7, 22, "templates"),
    Case("prompts-empty", "empty-value", 7, 12, "at least one item"),
    Case("prompts-not-a-list", "wrong-type", 7, 12, 'Write `prompts: ["a rifle"]`'),
    Case("python-tag", "tag", 7, 12, "Delete the tag"),
    Case("quoted-number", "wrong-type", 8, 36, "Remove the quotes: `block: 0.9`"),
    Case("reason-code-sexagesimal", "yaml-trap", 8, 16, 'quotes: "1:30"'),
    Case("references-later", "not-supported-yet", 8, 1, "Delete it"),
    Case("resolution-with-unit", "wrong-type", 3, 30, "above 0, up to 10000"),
    Case("review-above-block", "review-not-below-block", 8, 15, "Lower review or raise block"),
    Case("review-equals-block", "review-not-below-block", 8, 15, "leave review out"),
    Case("scoring-a-word", "wrong-type", 7, 12, "Write it as a map"),
    Case("second-document", "several-documents", 8, 1, "Delete the `---`"),
    Case("severity-fraction", "out-of-range", 5, 13, "from 0 (least harmful) to 4 (most"),
    Case("severity-too-high", "out-of-range", 5, 13, "to 4 (most harmful)"),
    Case("sexagesimal-threshold", "yaml-trap", 8, 36, "plain decimal number"),
    Case("special-character", "yaml-syntax", 6, 15, 'Write `definition: "@home, and abroad"`'),
    Case("tab-indent", "tab", 5, 1, "Begin the line with 2 spaces: `severity: 3`"),
    Case("template-other-braces", "bad-template", 8, 15, "a photo of {}"),
    Case("template-two-slots", "bad-template", 3, 24, "a photo of {}"),
    Case("template-without-slot", "bad-template", 8, 15, "a photo of {}"),
    Case("templates-empty", "empty-value", 8, 14, "at least one item"),
    Case("text-and-vector", "text-and-vector", 7, 47, "Make it two prompts"),
    Case("text-like-vector", "vector-like-text", 7, 13, "Word it another way"),
    Case("threshold-above-one", "out-of-range", 8, 36, "between 0 and 1"),
    Case("thresholds-without-bound", "no-bound", 8, 15, "Add `review:` or `block:`"),
    Case("too-deep", "too-deep", 3, 68, "flatten it"),
    Case("unclosed-bracket", "yaml-syntax", 3, 37, "Write `contexts: {shop: {description: guns}}`"),
    Case("unclosed-quote", "yaml-syntax", 4, 15, 'Write `- id: "weapons"`'),
    Case("undeclared-context", "unknown-context", 10, 55, 'Did you mean "hunting-shop"?'),
    Case("underscore-number", "yaml-trap", 8, 36, "plain decimal number"),
    Case("unit-mismatch", "unit-mismatch", 8, 22, "Write `unit: score`"),
    Case("unit-probability", "unknown-value", 8, 22, 'Did you mean "score"?'),
    Case("unknown-attribute", "unknown-attribute", 9, 35, 'Did you mean "museum"?'),
    Case("unknown-key", "unknown-key", 6, 3, "Did you mean `thresholds`?"),
    Case("unknown-key-hyphen", "unknown-key", 8, 3, "Did you mean `reason_code`?"),
    Case("utf16", "not-utf8", 1, 1, "Save the file as UTF-8"),
    Case("vector-absolute", "learned-path", 7, 43, "beside the policy"),
    Case("vector-both-sides", "both-sides", 8, 15, "Delete one"),
    Case("vector-file-a-folder", "learned-file", 7, 43, "Name a safetensors file"),
    Case("vector-file-is-yaml", "learned-file", 7, 43, "Write it again as safetensors"),
    Case("vector-file-missing", "learned-file", 7, 43, "Check the path"),
    Case("vector-file-truncated", "learned-file", 7, 43, "Write it again as safetensors"),
    Case("vector-integers", "bad-vector", 7, 31, "float32 or float16"),
    Case("vector-not-finite", "bad-vector", 7, 31, "finite numbers"),
    Case("vector-on-category", "unknown-key", 8, 3, "It belongs under `prompts`"),
    Case("vector-outside", "learned-path", 7, 43, "without `..`"),
    Case("vector-table", "bad-vector", 7, 31, "a tensor of its own"),
    Case("vector-twice", "duplicate-text", 7, 65, "Delete one"),
    Case("vector-unknown", "unknown-vector", 7, 31, 'Did you mean "good"?'),
    Case("vector-weight-under-max", "weight-under-max", 7, 72, "pool: mean"),
    Case("vector-without-file", "missing-key", 7, 22, "Add `file: concepts.safetensors`"),
    Case("vector-without-name", "missing-key", 7, 22, "Add `vector: concept_07`"),
    Case("vector-zero", "bad-vector", 7, 31, "leave this prompt out"),
    Case("version-date", "yaml-trap", 2, 31, 'quotes: "2026-11-21"'),
    Case("version-number", "yaml-trap", 2, 31, 'Put it in quotes: "1.10"'),
    Case("views-a-fit", "unknown-value", 3, 19, 'Did you mean "whole"?'),
    Case("views-all", "unknown-value", 3, 19, 'Did you mean "auto"?'),
    Case("views-of-a-category", "unknown-key", 8, 3, "It belongs under `defaults`: move `views: auto` there"),
    Case("views-typo", "unknown-value", 3, 19, 'Did you mean "tiles"?'),
    Case("waive-a-list-of-texts", "wrong-type", 8, 11, "{rule: identity,"),
    Case("waive-a-text", "wrong-type", 8, 10, "[{rule: identity,"),
    Case("waive-nonsense-rule", "unknown-value", 8, 18, "Write one of: identity"),
    Case("waive-unknown-rule", "unknown-value", 8, 18, 'Did you mean "identity"?'),
    Case("waive-with-a-placeholder", "placeholder", 8, 67, "Say it in words"),
    Case("waive-without-approval", "missing-key", 8, 11, "Add `approved_by:"),
    Case("waive-without-reason", "missing-key", 8, 11, "Add `reason:"),
    Case("waive-without-rule", "missing-key", 8, 11, "Add `rule: identity`"),
    Case("waive-without-texts", "missing-key", 8, 11, "Add `texts:"),
    Case("weight-under-max", "weight-under-max", 7, 47, "pool: mean"),
    Case("weight-zero", "out-of-range", 7, 37, "ends excluded"),
    Case("word-for-number", "wrong-type", 5, 13, "from 0 (least harmful)"),
    Case("wrong-api", "bad-version", 1, 6, "Write `api: clipwarden/v1`"),
    Case("yaml-directive", "directive", 1, 1, "Delete the lines that start with %"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_file_is_answered_with_place_and_mend(case: Case) -> None:
    path = BAD / f"{case.name}.yaml"
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    errors = [problem for problem in caught.value.problems if problem.severity is Severity.ERROR]
    assert [(problem.code, problem.line, problem.column) for problem in errors] == [(case.code, case.line, case.column)]
    assert case.fix in errors[0].fix
    assert errors[0].file == str(path)


def test_every_bad_file_has_a_case() -> None:
    assert sorted(path.stem for path in BAD.glob("*.yaml")) == sorted(case.name for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_problems_are_sentences_and_json(case: Case) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(BAD / f"{case.name}.yaml")
    for problem in caught.value.problems:
        assert problem.message.endswith(".")
        assert problem.fix.endswith((".", "?"))
        assert json.loads(json.dumps(dataclasses.asdict(problem)))["code"] == problem.code
