import dataclasses
from pathlib import Path

import numpy as np
import pytest

from clipwarden.errors import EncoderError, FingerprintMismatchError, PolicyError
from clipwarden.policy.bundle import cache as cache_module
from clipwarden.policy.bundle.cache import VectorCache
from clipwarden.policy.bundle.compile import bind_policy, compile_policy
from clipwarden.policy.bundle.embedding import ModelFacts
from clipwarden.policy.bundle.vectors import embed_texts, embedded_texts, scored_concepts
from clipwarden.policy.digest import fit_digest, policy_digest
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.lines import choose_lines
from clipwarden.policy.schema import Calibration, Method, Mode, Policy
from clipwarden.policy.tensors import dump_tensors
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.vision.plan import WHOLE
from kit.policies import DIM, FINGERPRINT, FULL_POLICY, FakeManifest, FakeModel, FakeText, FakeTokenizer, unit_vector
from kit.toymodel import load_toy_model

OTHER = "sha256:" + "cd" * 32


def full() -> Policy:
    return chosen(FULL_POLICY)


def chosen(text: str) -> Policy:
    """Parse a policy, its thresholds chosen on what it holds."""
    return choose_lines(parse_policy(text).policy, FINGERPRINT)


def slow_vector(text: str, templates: tuple[str, ...]) -> np.ndarray:
    """`t_p` as the formula says, written out."""
    total = np.zeros(DIM)
    for template in templates:
        vector = unit_vector(template.replace("{}", text)).astype(np.float64)
        total += vector / np.sqrt((vector**2).sum())
    mean = total / len(templates)
    return mean / np.sqrt((mean**2).sum())


def test_rows_are_the_formula_in_the_documented_order() -> None:
    policy, model = full(), FakeModel()
    compiled = compile_policy(policy, model=model)
    rows = [
        ("a rifle", ("{}", "a photo of {}")),
        ("a pistol on a table", ("{}", "a photo of {}")),
        ("a toy water gun", ("{}", "a photo of {}")),
        ("white powder", ("a screenshot of {}",)),
        ("a syringe", ("a screenshot of {}",)),
        ("a museum hall", ("{}", "a photo of {}")),
        ("a bedroom", ("{}", "a photo of {}")),
    ]
    expected = np.stack([slow_vector(text, templates) for text, templates in rows])
    assert compiled.vectors.shape == (len(rows) + 1, DIM)
    np.testing.assert_allclose(compiled.vectors[:-1], expected, atol=1e-7)
    assert model.background is not None
    np.testing.assert_allclose(compiled.vectors[-1], model.background.mean(axis=0), atol=1e-7)


def test_compiled_policy_names_what_it_came_from() -> None:
    compiled = compile_policy(full(), model=FakeModel(manifest=FakeManifest(logit_scale=20.0, logit_bias=-9.0)))
    assert compiled.policy == full()
    assert compiled.digest == policy_digest(full())
    assert compiled.fingerprint == FINGERPRINT
    assert (compiled.logit_scale, compiled.logit_bias) == (20.0, -9.0)
    assert compiled.dropped_calibrations == frozenset()
    assert compiled.vectors.dtype == np.float32
    assert not compiled.vectors.flags.writeable


def test_disabled_categories_own_no_rows() -> None:
    assert [concept.id for concept in scored_concepts(full())] == ["weapons", "drugs.hard", "museum"]


def test_each_text_is_embedded_once_and_alone() -> None:
    text = FULL_POLICY.replace('"a bedroom"', '"a bedroom", "a rifle"')
    model = FakeModel()
    compile_policy(chosen(text), model=model)
    assert model.text is not None
    assert len(model.text.seen) == len(set(model.text.seen)) == 12


def test_threshold_edit_embeds_nothing() -> None:
    cache, model = VectorCache(), FakeModel()
    first = compile_policy(full(), model=model, cache=cache)
    assert model.text is not None
    model.text.seen.clear()
    edited = chosen(FULL_POLICY.replace("review: 0.55", "review: 0.6"))
    second = compile_policy(edited, model=model, cache=cache)
    assert model.text.seen == []
    assert second.digest != first.digest
    assert np.array_equal(second.vectors, first.vectors)


def test_new_prompt_embeds_only_itself() -> None:
    cache, model = VectorCache(), FakeModel()
    compile_policy(full(), model=model, cache=cache)
    assert model.text is not None
    model.text.seen.clear()
    edited = chosen(FULL_POLICY.replace('"a syringe"', '"a syringe", "a pipe"'))
    compile_policy(edited, model=model, cache=cache)
    assert model.text.seen == ["a screenshot of a pipe"]


def test_another_model_shares_no_vectors() -> None:
    cache = VectorCache()
    policy = parse_policy(
        FULL_POLICY.replace("enforce", "shadow").replace(f'fingerprint: "{FINGERPRINT}", ', "")
    ).policy
    compile_policy(policy, model=FakeModel(), cache=cache)
    other = FakeModel(fingerprint=OTHER)
    compile_policy(policy, model=other, cache=cache)
    assert other.text is not None
    assert len(other.text.seen) == 12


def test_progress_counts_new_texts_to_the_end() -> None:
    steps: list[tuple[int, int]] = []
    cache = VectorCache()
    compile_policy(full(), model=FakeModel(), cache=cache, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(done, 12) for done in range(13)]
    steps.clear()
    compile_policy(full(), model=FakeModel(), cache=cache, progress=lambda done, total: steps.append((done, total)))
    assert steps == []


def test_policy_of_another_model_is_refused_by_both_names() -> None:
    with pytest.raises(FingerprintMismatchError, match=FINGERPRINT) as caught:
        compile_policy(full(), model=FakeModel(fingerprint=OTHER))
    assert OTHER in str(caught.value)


def test_model_without_text_encoder_is_told_to_use_a_bundle() -> None:
    with pytest.raises(PolicyError, match="bundle") as caught:
        compile_policy(full(), model=FakeModel(text=None))
    assert [problem.code for problem in caught.value.problems] == ["no-text-encoder"]


def test_margin_without_background_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        compile_policy(full(), model=FakeModel(background=None))
    assert [problem.code for problem in caught.value.problems] == ["no-background"] * 2


def test_cosine_needs_no_background() -> None:
    policy = full()
    cosine = dataclasses.replace(policy, categories=policy.categories[1:], attributes=())
    assert not compile_policy(cosine, model=FakeModel(background=None)).vectors[-1].any()


def test_vectors_without_a_text_encoder_are_no_silence() -> None:
    with pytest.raises(EncoderError, match="no text encoder"):
        embed_texts(full(), model=FakeModel(text=None), cache=None, progress=None)


def test_truncated_text_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        compile_policy(full(), model=FakeModel(text=FakeText(tokenizer=FakeTokenizer(capacity=4))))
    assert {problem.code for problem in caught.value.problems} == {"truncated"}


def test_templates_that_cancel_out_are_no_silent_noise() -> None:
    class Opposed(FakeText):
        def embed(self, texts: object) -> np.ndarray:
            assert isinstance(texts, list)
            sign = -1.0 if texts[0].startswith("a photo") else 1.0
            return np.full((1, DIM), sign / np.sqrt(DIM), dtype=np.float32)

    with pytest.raises(EncoderError, match="cancel out"):
        compile_policy(full(), model=FakeModel(text=Opposed()))


# Vectors without a model.


def facts(fingerprint: str = FINGERPRINT, dim: int = DIM) -> ModelFacts:
    return ModelFacts(name="kept", fingerprint=fingerprint, dim=dim, logit_scale=100.0, logit_bias=None)


def kept_vectors(policy: Policy) -> dict[str, np.ndarray]:
    return {text: unit_vector(text) for text in embedded_texts(policy)}


def test_vectors_that_were_kept_bind_as_the_model_that_made_them_compiles() -> None:
    policy, model = calibrated(fitted_on=OTHER), FakeModel()
    bound = bind_policy(policy, kept_vectors(policy), model.background, facts())
    expected = compile_policy(policy, model=model)
    assert np.array_equal(bound.vectors, expected.vectors)
    for field in dataclasses.fields(bound):
        if field.name != "vectors":
            assert getattr(bound, field.name) == getattr(expected, field.name)


def test_vectors_that_do_not_fit_the_policy_are_a_fault_of_the_caller() -> None:
    policy, background = full(), FakeModel().background
    vectors = kept_vectors(policy)
    with pytest.raises(ValueError, match="2 texts of the policy have no vector, such as 'a rifle'"):
        bind_policy(policy, {text: vectors[text] for text in [*vectors][2:]}, background, facts())
    with pytest.raises(ValueError, match="8 numbers where the model has 16"):
        bind_policy(policy, vectors, background, facts(dim=16))
    with pytest.raises(ValueError, match="same shape"):
        bind_policy(policy, vectors, np.full((1, 4), 0.5, dtype=np.float32), facts())
    broken = [np.ones((3, 8)) * 100, np.zeros((3, 8)), np.full((3, 8), np.nan)]
    for wrong in broken:
        with pytest.raises(ValueError, match="the background must be finite vectors of unit length"):
            bind_policy(policy, vectors, wrong.astype(np.float32), facts())
    with pytest.raises(ValueError, match="the background has no vector"):
        bind_policy(policy, vectors, np.ones((0, 8), dtype=np.float32), facts())
    vectors["a rifle"] = vectors["a rifle"] * np.nan
    with pytest.raises(EncoderError, match="not finite"):
        bind_policy(policy, vectors, background, facts())


def test_binding_refuses_what_compiling_refuses() -> None:
    policy, background = full(), FakeModel().background
    with pytest.raises(FingerprintMismatchError, match='model "kept"'):
        bind_policy(policy, kept_vectors(policy), background, facts(OTHER))
    stale = calibrated(fitted_on=OTHER, mode=Mode.ENFORCE)
    for refused, without, code in ((policy, None, "no-background"), (stale, background, "stale-calibration")):
        with pytest.raises(PolicyError) as caught:
            bind_policy(refused, kept_vectors(refused), without, facts())
        assert {problem.code for problem in caught.value.problems} == {code}


# Calibrations.


def calibrated(*, fitted_on: str | None = None, mode: Mode = Mode.SHADOW) -> Policy:
    policy = full()
    weapons = dataclasses.replace(policy.categories[0], mode=mode)
    right = fit_digest(weapons, fingerprint=FINGERPRINT, calibration_scale=0.5, plan=WHOLE)
    calibration = Calibration(bias=1.0, prevalence=0.1, fitted_on=fitted_on or right)
    museum = dataclasses.replace(policy.attributes[0], calibration=calibration)
    weapons = dataclasses.replace(weapons, calibration=calibration)
    changed = dataclasses.replace(policy, categories=(weapons,), attributes=(museum,))
    return choose_lines(changed, FINGERPRINT)


def test_stale_calibration_is_dropped_and_named() -> None:
    compiled = compile_policy(calibrated(fitted_on=OTHER), model=FakeModel())
    assert compiled.dropped_calibrations == {"weapons", "museum"}
    assert compiled.policy == calibrated(fitted_on=OTHER)
    assert compiled.calibration(compiled.policy.categories[0]) is None
    assert compiled.digest == policy_digest(calibrated(fitted_on=OTHER))


def test_fresh_calibration_is_kept() -> None:
    compiled = compile_policy(calibrated(), model=FakeModel())
    # The attribute carries the category's digest, and so is stale.
    assert compiled.dropped_calibrations == {"museum"}
    weapons, museum = compiled.policy.categories[0], compiled.policy.attributes[0]
    assert compiled.calibration(weapons) == weapons.calibration is not None
    assert compiled.calibration(museum) is None is not museum.calibration


def test_stale_calibration_of_an_enforced_category_is_refused() -> None:
    with pytest.raises(PolicyError) as caught:
        compile_policy(calibrated(fitted_on=OTHER, mode=Mode.ENFORCE), model=FakeModel())
    errors = [problem for problem in caught.value.problems if problem.severity == "error"]
    assert [problem.code for problem in errors] == ["stale-calibration"] * 2
    assert '"weapons"' in errors[0].message


def test_stale_calibration_behind_an_enforced_exemption_is_refused() -> None:
    # The weapons category itself is rightly fitted here; museum, which turns its blocks into reviews, is not.
    with pytest.raises(PolicyError) as caught:
        compile_policy(calibrated(mode=Mode.ENFORCE), model=FakeModel())
    (problem,) = caught.value.problems
    assert (problem.code, problem.severity) == ("stale-calibration", "error")
    assert '"museum"' in problem.message


# The cache on disk.


def test_cache_outlives_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "vectors"
    first = compile_policy(full(), model=FakeModel(), cache=VectorCache(folder))
    model = FakeModel()
    second = compile_policy(full(), model=model, cache=VectorCache(folder))
    assert model.text is not None
    assert model.text.seen == []
    assert np.array_equal(first.vectors, second.vectors)
    assert [path.name for path in folder.iterdir()] == [f"{'ab' * 32}.safetensors"]


def _rows(count: int, dim: int = DIM) -> np.ndarray:
    return np.stack([unit_vector(str(index), dim) for index in range(count)])


HOSTILE = {
    "empty": b"",
    "noise": b"\xff" * 100,
    "long header": (2**40).to_bytes(8, "little") + b"{}",
    "other tensors": dump_tensors({"x": _rows(1)}),
    "keys as floats": dump_tensors({"keys": _rows(2, 32), "vectors": _rows(2)}),
    "too few keys": dump_tensors({"keys": np.zeros((1, 32), np.uint8), "vectors": _rows(2)}),
    "flat vectors": dump_tensors({"keys": np.zeros((8, 32), np.uint8), "vectors": _rows(1)[0]}),
    "long vectors": dump_tensors({"keys": np.zeros((1, 32), np.uint8), "vectors": _rows(1) * 2}),
    "NaN": dump_tensors({"keys": np.zeros((1, 32), np.uint8), "vectors": np.full((1, DIM), np.nan, np.float32)}),
    "doubles": dump_tensors({"keys": np.zeros((1, 32), np.uint8), "vectors": _rows(1).astype(np.float64)}),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cache_file_costs_time_only(tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / f"{'ab' * 32}.safetensors"
    path.write_bytes(data)
    model = FakeModel()
    compile_policy(full(), model=model, cache=VectorCache(tmp_path))
    assert model.text is not None
    assert len(model.text.seen) == 12
    assert "is not used" in caplog.text
    again = FakeModel()
    compile_policy(full(), model=again, cache=VectorCache(tmp_path))
    assert again.text is not None
    assert again.text.seen == []


def test_too_large_cache_file_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compile_policy(full(), model=FakeModel(), cache=VectorCache(tmp_path))
    monkeypatch.setattr(cache_module, "MAX_FILE_BYTES", 100)
    assert VectorCache(tmp_path).get(FINGERPRINT, "a rifle") is None
    assert "larger than 100 bytes" in caplog.text


def test_cache_folder_that_cannot_be_written_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    compile_policy(full(), model=FakeModel(), cache=VectorCache(blocked / "folder"))
    assert "cannot be written" in caplog.text


def test_cache_forgets_the_oldest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_VECTORS", 2)
    cache = VectorCache(tmp_path)
    for text in "abc":
        cache.put(FINGERPRINT, text, unit_vector(text))
    cache.save(FINGERPRINT)
    for store in (cache, VectorCache(tmp_path)):
        assert [store.get(FINGERPRINT, text) is not None for text in "abc"] == [False, True, True]


def test_policy_larger_than_the_cache_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = compile_policy(full(), model=FakeModel())
    monkeypatch.setattr(cache_module, "MAX_VECTORS", 2)
    compiled = compile_policy(full(), model=FakeModel(), cache=VectorCache())
    assert np.array_equal(compiled.vectors, expected.vectors)


def test_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


# A real text encoder.


def test_toy_model_compiles_a_policy(tmp_path: Path) -> None:
    model = load_toy_model(tmp_path / "toy")
    text = """\
api: clipwarden/v1
metadata: {id: toy}
categories:
- {id: red, severity: 1, definition: Red., prompts: [red], negatives: [green]}
"""
    compiled = compile_policy(chosen(text), model=model)
    np.testing.assert_allclose(compiled.vectors[:-1], model.text.embed(["red", "green"]), atol=1e-6)
    assert compiled.policy.categories[0].method is Method.MARGIN
