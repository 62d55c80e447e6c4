import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.errors import FingerprintMismatchError, PolicyError, Problem
from clipwarden.policy.bundle import file as bundle_module
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.bundle.file import read_bundle, write_bundle
from clipwarden.policy.bundle.load import is_bundle, load_compiled
from clipwarden.policy.language.dump import dump_policy
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.tensors import dump_tensors, parse_metadata
from kit.lines import chosen_text
from kit.policies import DIM, FINGERPRINT, FULL_POLICY, FakeManifest, FakeModel, unit_vector

OTHER = "sha256:" + "cd" * 32
STALE = '{bias: 1.0, prevalence: 0.1, fitted_on: "sha256:' + "1" * 64 + '"}'
Fields = dict[str, object]


def compiled(text: str = FULL_POLICY, model: FakeModel | None = None) -> CompiledPolicy:
    return compile_policy(parse_policy(chosen_text(text)).policy, model=model or FakeModel())


def same(left: CompiledPolicy, right: CompiledPolicy) -> bool:
    names = [field.name for field in dataclasses.fields(left) if field.name != "vectors"]
    return all(getattr(left, name) == getattr(right, name) for name in names) and np.array_equal(
        left.vectors, right.vectors
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "policy.bundle"
    write_bundle(compiled(), file)
    return file


def refusal(path: Path) -> str:
    with pytest.raises(PolicyError) as caught:
        read_bundle(path)
    (problem,) = caught.value.problems
    assert problem.code == "bad-bundle"
    assert problem.file == str(path)
    return problem.message


def test_bundle_gives_back_what_was_compiled(path: Path) -> None:
    again = read_bundle(path)
    assert same(again, compiled())
    assert not again.vectors.flags.writeable


def test_bundle_of_a_bundle_is_the_same_file(path: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.bundle"
    write_bundle(read_bundle(path), second)
    assert second.read_bytes() == path.read_bytes()


def test_equal_policies_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    text = FULL_POLICY.replace(
        "{hunting-shop: {review: 0.8, block: 0.99}, kids: {review: 0.3}}",
        "{kids: {review: 0.3}, hunting-shop: {block: 0.99, review: 0.8}}",
    )
    assert text != FULL_POLICY
    second = tmp_path / "second.bundle"
    write_bundle(compiled(text), second)
    assert second.read_bytes() == path.read_bytes()


def test_logit_bias_and_scale_survive(tmp_path: Path) -> None:
    file = tmp_path / "policy.bundle"
    siglip = compiled(model=FakeModel(manifest=FakeManifest(logit_scale=117.33, logit_bias=-12.9)))
    write_bundle(siglip, file)
    assert same(read_bundle(file), siglip)


def test_dropped_calibrations_stay_in_the_bundle_s_policy(tmp_path: Path) -> None:
    text = FULL_POLICY.replace("mode: enforce", f"mode: shadow\n  calibration: {STALE}")
    stale = compiled(text)
    file = tmp_path / "policy.bundle"
    write_bundle(stale, file)
    again = read_bundle(file)
    assert same(again, stale)
    assert again.dropped_calibrations == {"weapons"}
    assert again.policy.categories[0].calibration is not None
    assert again.calibration(again.policy.categories[0]) is None


def test_policy_that_no_file_could_hold_is_not_written(tmp_path: Path) -> None:
    built = compiled()
    odd = dataclasses.replace(built.policy, metadata=dataclasses.replace(built.policy.metadata, owner="two  spaces"))
    with pytest.raises(PolicyError, match="without change"):
        write_bundle(dataclasses.replace(built, policy=odd), tmp_path / "policy.bundle")
    assert list(tmp_path.iterdir()) == []


def test_warnings_of_the_policy_inside_are_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "policy.bundle"
    write_bundle(compiled(FULL_POLICY.replace("2999-06-01", "2001-06-01")), file)
    found: list[Problem] = []
    read_bundle(file, on_warning=found.append)
    assert [problem.code for problem in found] == ["review-overdue", "uncalibrated-thresholds"]


# Hostile files.


def tamper(path: Path, change: Callable[[Fields], object], vectors: NDArray[np.generic] | None = None) -> str:
    header = json.loads(parse_metadata(path.read_bytes())["clipwarden"])
    change(header)
    table = compiled().vectors if vectors is None else vectors
    path.write_bytes(dump_tensors({"vectors": table}, metadata={"clipwarden": json.dumps(header)}))
    return refusal(path)


def other_policy() -> str:
    return dump_policy(parse_policy(FULL_POLICY.replace("a rifle", "a kitten")).policy)


def enforced_stale() -> Fields:
    text = FULL_POLICY.replace("  reason_code", f"  calibration: {STALE}\n  reason_code")
    policy = parse_policy(text).policy
    return {"policy": dump_policy(policy), "digest": bundle_module.policy_digest(policy)}


def enforced_unbound() -> Fields:
    policy = parse_policy(FULL_POLICY).policy
    return {"policy": dump_policy(policy), "digest": bundle_module.policy_digest(policy)}


def stale_attribute() -> Fields:
    policy = parse_policy(FULL_POLICY.replace('["a bedroom"]', f'["a bedroom"], calibration: {STALE}')).policy
    return {"policy": dump_policy(policy), "digest": bundle_module.policy_digest(policy)}


TAMPERINGS: dict[str, tuple[Callable[[Fields], object], str]] = {
    "format": (lambda fields: fields.update(format="clipwarden-bundle/2"), "not of the format"),
    "missing key": (lambda fields: fields.pop("rows"), "missing or unknown keys"),
    "unknown key": (lambda fields: fields.update(extra=1), "missing or unknown keys"),
    "other texts": (lambda fields: fields.update(policy=other_policy()), "digest is not that"),
    "other threshold": (
        lambda fields: fields.update(policy=str(fields["policy"]).replace("0.55", "0.9")),
        "digest is not that",
    ),
    "other texts, right digest": (
        lambda fields: fields.update(
            policy=other_policy(), digest=bundle_module.policy_digest(parse_policy(other_policy()).policy)
        ),
        "belong to other texts",
    ),
    "broken policy": (lambda fields: fields.update(policy="api: ["), "the policy inside is refused"),
    "endless policy": (lambda fields: fields.update(policy="#" * (4 * 1024 * 1024 + 1)), "too long"),
    "policy of another type": (lambda fields: fields.update(policy=["api"]), "policy in its header is no text"),
    "digest": (lambda fields: fields.update(digest=OTHER), "digest is not that"),
    "no digest": (lambda fields: fields.update(digest="abc"), "digest in its header is no digest"),
    "fingerprint": (lambda fields: fields.update(fingerprint=OTHER), "another model than the policy inside"),
    "no fingerprint": (lambda fields: fields.update(fingerprint=None), "fingerprint in its header is no text"),
    "scale NaN": (lambda fields: fields.update(logit_scale=float("nan")), "not finite"),
    "scale huge": (lambda fields: fields.update(logit_scale=10**400), "not finite"),
    "scale text": (lambda fields: fields.update(logit_scale="100"), "not finite"),
    "scale boolean": (lambda fields: fields.update(logit_scale=True), "not finite"),
    "bias infinite": (lambda fields: fields.update(logit_bias=float("inf")), "not finite"),
    "rows": (lambda fields: fields.update(rows=["0" * 64]), "belong to other texts"),
    "rows of another type": (lambda fields: fields.update(rows={}), "rows in its header is no list"),
    "enforced by a stale attribute": (lambda fields: fields.update(stale_attribute()), "fitted on something else"),
    "enforced by thresholds of anything": (
        lambda fields: fields.update(enforced_unbound()),
        "do not say what they were chosen on",
    ),
    "enforced and stale": (lambda fields: fields.update(enforced_stale()), "fitted on something else"),
}


@pytest.mark.parametrize(("change", "reason"), TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampered_header_is_refused(path: Path, change: Callable[[Fields], object], reason: str) -> None:
    assert reason in tamper(path, change)


def untouched(fields: Fields) -> None:
    """Leave the header as it is."""


def _table(rows: int) -> NDArray[np.float32]:
    return np.stack([unit_vector(str(index)) for index in range(rows)])


VECTORS = {
    "too few": (_table(7), "7 vectors where 8 belong"),
    "flat": (_table(1)[0], "one table"),
    "empty": (np.zeros((8, 0), np.float32), "one table"),
    "no rows": (np.zeros((0, DIM), np.float32), "one table"),
    "bytes": (np.zeros((8, DIM), np.uint8), "one table"),
    "NaN": (np.full((8, DIM), np.nan, np.float32), "not finite unit"),
    "long": (_table(8) * 1.1, "not finite unit"),
    "zero": (np.zeros((8, DIM), np.float32), "not finite unit"),
    "long background": (np.concatenate([_table(7), _table(1) * 2]), "not finite unit"),
    "NaN background": (np.concatenate([_table(7), _table(1) * np.nan]), "not finite unit"),
}


@pytest.mark.parametrize(("vectors", "reason"), VECTORS.values(), ids=VECTORS)
def test_wrong_vectors_are_refused(path: Path, vectors: NDArray[np.generic], reason: str) -> None:
    assert reason in tamper(path, untouched, vectors.astype(vectors.dtype))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no safetensors file"),
        (b"hello", "no safetensors file"),
        ((2**62).to_bytes(8, "little") + b"{", "no safetensors file"),
        (dump_tensors({"vectors": _table(2)}), "not a clipwarden bundle"),
        (dump_tensors({"vectors": _table(2)}, metadata={"other": "{}"}), "not a clipwarden bundle"),
        (dump_tensors({"vectors": _table(2)}, metadata={"clipwarden": "[]"}), "not of the format"),
        (dump_tensors({"vectors": _table(2)}, metadata={"clipwarden": "{"}), "Expecting"),
        (dump_tensors({"vectors": _table(2)}, metadata={"clipwarden": "[" * 100_000}), "recursion"),
        (dump_tensors({"vectors": _table(2).astype(np.float64)}), "type F64"),
        (dump_tensors({"vectors": _table(2).astype(np.float16)}), "type F16"),
    ],
)
def test_what_is_no_bundle_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    file = tmp_path / "x.bundle"
    file.write_bytes(data)
    assert reason in refusal(file)


@pytest.mark.parametrize("name", ["more", f"{OTHER}/layers.0.weight", f"{OTHER}/vector"])
def test_tensor_that_nothing_names_is_refused(path: Path, name: str) -> None:
    metadata = parse_metadata(path.read_bytes())
    path.write_bytes(dump_tensors({"vectors": compiled().vectors, name: _table(1)}, metadata=metadata))
    assert "a tensor that its policy does not name" in refusal(path)
    path.write_bytes(dump_tensors({"vectors": compiled().vectors, name: np.zeros(3, np.uint8)}, metadata=metadata))
    assert "a tensor that is no float32" in refusal(path)


def test_missing_and_too_large_bundles_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "cannot be read: No such file" in refusal(path.with_name("missing"))
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", 100)
    assert "larger than 100 bytes" in refusal(path)


@given(data=st.data())
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bundle_raises_nothing_else(path: Path, data: st.DataObject) -> None:
    whole = path.with_name("whole.bundle")
    if not whole.exists():
        path.rename(whole)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(0, len(content))) if data.draw(st.booleans()) else len(content) :]
    path.write_bytes(content)
    with contextlib.suppress(PolicyError):
        read_bundle(path)


# Loading for a model.


def test_load_compiled_reads_yaml_and_bundles_alike(path: Path, tmp_path: Path) -> None:
    # Names lie; the content decides.
    yaml = tmp_path / "policy.safetensors"
    yaml.write_text(chosen_text(FULL_POLICY))
    assert not is_bundle(yaml)
    assert is_bundle(path)
    assert same(load_compiled(yaml, model=FakeModel()), load_compiled(path, model=FakeModel()))


def test_bundle_needs_no_text_encoder(path: Path) -> None:
    assert load_compiled(path, model=FakeModel(text=None)).digest == compiled().digest


def test_bundle_of_another_model_is_refused_by_both_names(path: Path) -> None:
    with pytest.raises(FingerprintMismatchError, match=FINGERPRINT) as caught:
        load_compiled(path, model=FakeModel(fingerprint=OTHER))
    assert OTHER in str(caught.value)


@pytest.mark.parametrize(
    "model",
    [
        FakeModel(manifest=FakeManifest(logit_scale=1.0)),
        FakeModel(manifest=FakeManifest(logit_bias=1.0)),
        FakeModel(manifest=FakeManifest(dim=4), background=None),
        FakeModel(background=_table(3)),
    ],
)
def test_bundle_that_only_claims_the_fingerprint_is_refused(path: Path, model: FakeModel) -> None:
    with pytest.raises(PolicyError, match="claims this model's fingerprint"):
        load_compiled(path, model=model)


def test_bundle_of_margins_without_a_background_is_refused_whatever_the_model(path: Path) -> None:
    vectors = compiled().vectors.copy()
    vectors[-1] = 0
    assert "holds no background" in tamper(path, untouched, vectors)
    with pytest.raises(PolicyError, match="holds no background"):
        load_compiled(path, model=FakeModel(background=None))


def test_bundle_of_cosines_needs_no_background(path: Path) -> None:
    policy = parse_policy(FULL_POLICY).policy
    cosine = dataclasses.replace(policy, categories=policy.categories[1:2], attributes=())
    model = FakeModel(background=None)
    write_bundle(compile_policy(cosine, model=model), path)
    assert not load_compiled(path, model=model).vectors[-1].any()


def test_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_compiled(tmp_path / "missing.yaml", model=FakeModel())


def test_warnings_of_yaml_and_of_the_model_are_passed_on(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    text = FULL_POLICY.replace("2999-06-01", "2001-06-01").replace(
        "mode: enforce", f"mode: shadow\n  calibration: {STALE}"
    )
    file.write_text(chosen_text(text))
    found: list[Problem] = []
    load_compiled(file, model=FakeModel(), on_warning=found.append)
    assert [problem.code for problem in found] == ["review-overdue", "stale-calibration"]


def test_problems_with_the_model_have_the_file_s_places(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(chosen_text(FULL_POLICY))
    with pytest.raises(PolicyError) as caught:
        load_compiled(file, model=FakeModel(background=None))
    assert [problem.line for problem in caught.value.problems] == [13, 37]
