"""Learned vectors: from a file beside the policy to the row that images are compared with."""

import contextlib
import hashlib
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from clipwarden.errors import PolicyError, Problem
from clipwarden.policy.bundle import file as bundle_module
from clipwarden.policy.bundle.file import read_bundle, write_bundle
from clipwarden.policy.bundle.lint import lint_with_model
from clipwarden.policy.bundle.load import load_compiled
from clipwarden.policy.digest import policy_digest
from clipwarden.policy.language import learned as learned_module
from clipwarden.policy.language import rules
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import LearnedVector, Policy
from clipwarden.policy.tensors import dump_tensors
from kit.policies import DIM, FINGERPRINT, FakeManifest, FakeModel, unit_vector

POLICY = f"""\
api: clipwarden/v1
metadata: {{id: learned}}
model: {{fingerprint: "{FINGERPRINT}"}}
defaults: {{templates: ["a photo of {{}}", "a drawing of {{}}"]}}
categories:
- id: weapons
  severity: 3
  definition: Real firearms.
  prompts: [{{vector: rifle, file: FILE}}]
  scoring: {{method: cosine}}
"""
RIFLE = np.array([3, 0, 0, 0, 0, 0, 0, 4], dtype=np.float32)
UNIT = struct.pack("<8f", 0.6, 0, 0, 0, 0, 0, 0, 0.8)


def write(
    folder: Path, tensors: dict[str, NDArray[np.generic]], *, file: str = "v.safetensors", text: str = POLICY
) -> Path:
    """Write a policy and its vectors, and return the policy's path."""
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(dump_tensors(tensors))
    path = folder / "policy.yaml"
    path.write_text(text.replace("FILE", file))
    return path


def policy_of(folder: Path, vector: NDArray[np.generic] = RIFLE, **choices: str) -> Policy:
    return load_policy(write(folder, {"rifle": vector}, **choices)).policy


def only_problem(load: Callable[[], object]) -> Problem:
    with pytest.raises(PolicyError) as caught:
        load()
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_vector_is_brought_to_unit_length(tmp_path: Path, kind: type[np.floating]) -> None:
    (prompt,) = policy_of(tmp_path, RIFLE.astype(kind)).categories[0].prompts
    assert prompt.text == LearnedVector(name="rifle", values=UNIT)
    assert str(prompt.text) == "vector rifle"
    assert isinstance(prompt.text, LearnedVector)
    assert (prompt.text.dim, prompt.text.content) == (8, f"sha256:{hashlib.sha256(UNIT).hexdigest()}")


def test_vector_wider_than_any_model_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"rifle": np.ones(65537, np.float16)})
    problem = only_problem(lambda: load_policy(path))
    assert problem.message == 'The tensor "rifle" has 65537 numbers; no model has more than 65536.'


def test_float16_counts_as_the_float32_that_it_becomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"rifle": RIFLE.astype(np.float16)})
    total = (tmp_path / "v.safetensors").stat().st_size + 2 * 8
    monkeypatch.setattr(learned_module, "MAX_TOTAL_BYTES", total)
    load_policy(path)
    monkeypatch.setattr(learned_module, "MAX_TOTAL_BYTES", total - 1)
    assert "come to more than" in only_problem(lambda: load_policy(path)).message


def test_negative_zero_is_zero(tmp_path: Path) -> None:
    assert policy_of(tmp_path, np.where(RIFLE == 0, np.float32(-0.0), RIFLE)) == policy_of(tmp_path)


@pytest.mark.parametrize("factor", [1e-5, 1e30])
def test_length_is_measured_without_overflow(tmp_path: Path, factor: float) -> None:
    (prompt,) = policy_of(tmp_path, RIFLE * np.float32(factor)).categories[0].prompts
    assert isinstance(prompt.text, LearnedVector)
    assert np.frombuffer(prompt.text.values, "<f4") == pytest.approx(np.frombuffer(UNIT, "<f4"), rel=1e-6)


def test_vector_too_short_to_point_anywhere_is_refused(tmp_path: Path) -> None:
    problem = only_problem(lambda: policy_of(tmp_path, RIFLE * np.float32(1e-8)))
    assert problem.code == "bad-vector"


def test_digest_names_content_and_not_path_or_length(tmp_path: Path) -> None:
    digest = policy_digest(policy_of(tmp_path / "a"))
    assert policy_digest(policy_of(tmp_path / "b", RIFLE * 2, file="deep/er/other.safetensors")) == digest
    assert policy_digest(policy_of(tmp_path / "c", RIFLE[::-1].copy())) != digest


@given(moved=st.integers(0, DIM - 1), by=st.sampled_from([2.0**-20, 0.5, -3.0]))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_change_of_a_vector_moves_the_digest(tmp_path: Path, moved: int, by: float) -> None:
    base = unit_vector("x")
    other = base.copy()
    other[moved] += np.float32(by)
    assert policy_digest(policy_of(tmp_path, base)) != policy_digest(policy_of(tmp_path, other))


def test_link_that_stays_inside_is_followed_and_one_that_leaves_is_refused(tmp_path: Path) -> None:
    # As Kubernetes mounts a ConfigMap: every file is a link into a folder of the volume.
    volume = tmp_path / "volume"
    write(volume / "..2026", {"rifle": RIFLE})
    (volume / "..data").symlink_to("..2026")
    for name in ("policy.yaml", "v.safetensors"):
        (volume / name).symlink_to(f"..data/{name}")
    assert load_policy(volume / "policy.yaml").policy.categories[0].prompts[0].text
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes((volume / "v.safetensors").read_bytes())
    (volume / "v.safetensors").unlink()
    (volume / "v.safetensors").symlink_to(outside)
    problem = only_problem(lambda: load_policy(volume / "policy.yaml"))
    assert (problem.code, problem.line, problem.column) == ("learned-path", 9, 35)
    assert "link that leads out" in problem.message


def test_links_in_a_circle_and_pipes_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"rifle": RIFLE})
    (tmp_path / "v.safetensors").unlink()
    (tmp_path / "v.safetensors").symlink_to("v.safetensors")
    assert only_problem(lambda: load_policy(path)).code == "learned-file"
    (tmp_path / "v.safetensors").unlink()
    os.mkfifo(tmp_path / "v.safetensors")
    assert "is no file" in only_problem(lambda: load_policy(path)).message


def test_files_are_bounded_alone_and_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, {"rifle": RIFLE})
    size = (tmp_path / "v.safetensors").stat().st_size
    monkeypatch.setattr(learned_module, "MAX_FILE_BYTES", size - 1)
    assert f"larger than {size - 1} bytes" in only_problem(lambda: load_policy(path)).message
    monkeypatch.setattr(learned_module, "MAX_FILE_BYTES", size)
    monkeypatch.setattr(learned_module, "MAX_TOTAL_BYTES", size - 1)
    assert "files of this policy come to more" in only_problem(lambda: load_policy(path)).message


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = POLICY.replace("[{vector: rifle, file: FILE}]", "[{vector: rifle, file: FILE}, {vector: gun, file: FILE}]")
    reads = []
    read = learned_module.read_bounded
    monkeypatch.setattr(
        learned_module, "read_bounded", lambda path, limit: reads.append(path) or read(path, limit=limit)
    )
    load_policy(write(tmp_path, {"rifle": RIFLE, "gun": RIFLE[::-1].copy()}, text=text))
    assert len(reads) == 1
    monkeypatch.setattr(learned_module, "MAX_FILE_BYTES", 1)
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "policy.yaml")
    assert (len(caught.value.problems), len(reads)) == (2, 2)


def test_text_without_a_folder_is_told_so() -> None:
    assert "text without a folder" in only_problem(lambda: parse_policy(POLICY.replace("FILE", "v"))).message


@pytest.mark.parametrize("headed", [False, True])
def test_learned_policy_bound_to_no_model_is_warned_about(tmp_path: Path, *, headed: bool) -> None:
    text = (HEAD_POLICY if headed else POLICY).replace(f'model: {{fingerprint: "{FINGERPRINT}"}}\n', "")
    (warning,) = load_policy(write(tmp_path, LAYERS if headed else {"rifle": RIFLE}, text=text)).warnings
    assert warning.code == "learned-without-fingerprint"
    assert warning.line == text[: text.index("- id")].count("\n") + 1
    assert 'Add `model: {fingerprint: "sha256:..."}`' in warning.fix


def test_templates_multiply_texts_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MAX_EMBEDDED_TEXTS", 2)
    text = POLICY.replace("file: FILE}]", 'file: FILE}, "a rifle"]')
    assert load_policy(write(tmp_path, {"rifle": RIFLE}, text=text)).warnings == ()


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    assert "holds none at all" in only_problem(lambda: load_policy(write(tmp_path, {}))).fix
    problem = only_problem(lambda: load_policy(write(tmp_path, {f"n{number}": RIFLE for number in range(7)})))
    assert problem.fix == "It holds n0, n1, n2, n3, n4 and 2 more."


# With a model.


def test_row_is_the_vector_itself_whatever_the_templates(tmp_path: Path) -> None:
    model = FakeModel()
    compiled = load_compiled(write(tmp_path, {"rifle": RIFLE}), model=model)
    assert compiled.vectors[0].tobytes() == UNIT
    assert model.text is not None
    assert model.text.seen == []


def test_policy_of_vectors_alone_needs_no_text_encoder(tmp_path: Path) -> None:
    path = write(tmp_path, {"rifle": RIFLE})
    found: list[Problem] = []
    compiled = load_compiled(path, model=FakeModel(text=None, background=None), on_warning=found.append)
    assert compiled.vectors[0].tobytes() == UNIT
    assert found == []


def test_text_beside_a_vector_still_needs_one(tmp_path: Path) -> None:
    text = POLICY.replace("file: FILE}]", 'file: FILE}, "a rifle"]')
    path = write(tmp_path, {"rifle": RIFLE}, text=text)
    with pytest.raises(PolicyError, match="no text encoder"):
        load_compiled(path, model=FakeModel(text=None))
    compiled = load_compiled(path, model=FakeModel())
    assert compiled.vectors.shape == (3, DIM)


def test_vector_of_another_width_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, {"rifle": RIFLE})
    model = FakeModel(manifest=FakeManifest(dim=16))
    problem = only_problem(lambda: load_compiled(path, model=model))
    assert (problem.code, problem.line, problem.column) == ("vector-width", 9, 13)
    assert problem.message == 'The vector rifle has 8 numbers; "fake" needs 16.'
    loaded = load_policy(path)
    assert [each.code for each in lint_with_model(loaded.policy, model, loaded.positions)] == ["vector-width"]


def test_vectors_may_be_negatives_and_look_alike(tmp_path: Path) -> None:
    text = POLICY.replace("scoring: {method: cosine}", "negatives: [{vector: toy, file: FILE}]")
    toy = RIFLE.copy()
    toy[1] = 0.01
    path = write(tmp_path, {"rifle": RIFLE, "toy": toy}, text=text)
    found: list[Problem] = []
    load_compiled(path, model=FakeModel(), on_warning=found.append)
    assert [problem.code for problem in found] == ["look-alike"]
    assert 'negative "vector toy" is nearly the prompt "vector rifle"' in found[0].message


def test_loading_again_sees_a_changed_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"rifle": RIFLE})
    first = load_compiled(path, model=FakeModel())
    write(tmp_path, {"rifle": RIFLE[::-1].copy()})
    second = load_compiled(path, model=FakeModel())
    assert second.digest != first.digest
    assert second.vectors[0].tobytes() == struct.pack("<8f", 0.8, 0, 0, 0, 0, 0, 0, 0.6)


# In bundles.


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    text = POLICY.replace(
        "[{vector: rifle, file: FILE}]\n  scoring: {method: cosine}",
        '[{vector: rifle, file: FILE, weight: 2}, "a gun"]\n  scoring: {method: cosine, pool: mean}',
    )
    path = write(tmp_path, {"rifle": RIFLE}, text=text)
    write_bundle(load_compiled(path, model=FakeModel()), tmp_path / "policy.bundle")
    (tmp_path / "v.safetensors").unlink()
    return tmp_path / "policy.bundle"


def test_bundle_holds_the_vectors_and_names_no_path(bundle: Path) -> None:
    again = read_bundle(bundle)
    assert again.vectors[0].tobytes() == UNIT
    assert again.policy.categories[0].prompts[0].text == LearnedVector(name="rifle", values=UNIT)
    assert again.policy.categories[0].prompts[0].weight == 2
    assert again.digest == policy_digest(again.policy)
    assert b"v.safetensors" not in bundle.read_bytes()
    copy = bundle.with_name("again.bundle")
    write_bundle(again, copy)
    assert copy.read_bytes() == bundle.read_bytes()


def test_bundle_too_large_to_be_read_is_not_written(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled, size = read_bundle(bundle), bundle.stat().st_size
    new = bundle.with_name("new.bundle")
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", size - 1)
    problem = only_problem(lambda: write_bundle(compiled, new))
    assert (
        problem.message == f"The bundle is refused: it would come to {size} bytes, and none above {size - 1} is read."
    )
    assert not new.exists()
    monkeypatch.setattr(bundle_module, "MAX_BUNDLE_BYTES", size)
    write_bundle(compiled, new)
    assert read_bundle(new).digest == compiled.digest


def test_bundle_whose_vector_was_changed_is_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    assert data.count(UNIT) == 1
    bundle.write_bytes(data.replace(UNIT, struct.pack("<8f", 0.8, 0, 0, 0, 0, 0, 0, 0.6)))
    assert "Nothing in it has the content sha256:" in only_problem(lambda: read_bundle(bundle)).message


def test_bundle_whose_rows_were_swapped_is_refused(bundle: Path) -> None:
    data = bundle.read_bytes()
    rows = read_bundle(bundle).vectors
    swapped = np.concatenate([rows[[1, 0]], rows[2:]])
    bundle.write_bytes(data.replace(rows.tobytes(), swapped.tobytes()))
    assert "the row of the vector rifle holds something else" in only_problem(lambda: read_bundle(bundle)).message


def test_bundle_keeps_what_disabled_categories_learned(tmp_path: Path) -> None:
    text = POLICY + POLICY.partition("categories:\n")[2].replace("weapons", "retired").replace("rifle", "old").replace(
        "  scoring", "  mode: disabled\n  scoring"
    )
    disabled = HEAD_POLICY.partition("categories:\n")[2].replace("definition", "mode: disabled\n  definition")
    (tmp_path / "head.safetensors").write_bytes(dump_tensors(LAYERS))
    text += disabled.replace("FILE", "head.safetensors")
    path = write(tmp_path, {"rifle": RIFLE, "old": np.ones(3, np.float32)}, text=text)
    compiled = load_compiled(path, model=FakeModel())  # nothing compares the width of what judges nothing
    write_bundle(compiled, tmp_path / "policy.bundle")
    again = read_bundle(tmp_path / "policy.bundle")
    assert (again.policy, again.digest, again.heads) == (compiled.policy, compiled.digest, ())
    assert again.vectors.shape == (2, DIM)


# Heads.

HEAD_POLICY = f"""\
api: clipwarden/v1
metadata: {{id: headed}}
model: {{fingerprint: "{FINGERPRINT}"}}
categories:
- id: nsfw
  severity: 2
  definition: Nudity.
  scoring: {{method: head, file: FILE}}
  thresholds: {{unit: score, review: 0.5}}
- id: again
  severity: 2
  definition: The same, elsewhere.
  scoring: {{method: head, file: FILE}}
"""
LAYERS: dict[str, NDArray[np.generic]] = {
    "layers.0.weight": np.arange(16, dtype=np.float32).reshape(2, 8),
    "layers.0.bias": np.array([0.5, -0.5], dtype=np.float16),
    "layers.1.weight": np.array([[1, -1]], dtype=np.float32),
    "layers.1.bias": np.array([0.25], dtype=np.float32),
}


def head_digest(folder: Path, file: str = "v.safetensors", **changes: NDArray[np.generic]) -> str:
    tensors = LAYERS | {name.replace("_", "."): tensor for name, tensor in changes.items()}
    return policy_digest(load_policy(write(folder, tensors, text=HEAD_POLICY, file=file)).policy)


def test_head_is_read_layer_by_layer(tmp_path: Path) -> None:
    category = load_policy(write(tmp_path, LAYERS, text=HEAD_POLICY)).policy.categories[0]
    assert (category.prompts, category.templates) == ((), ())
    first, second = category.head
    assert (first.place, first.inputs, first.outputs) == (0, 8, 2)
    assert (second.place, second.inputs, second.outputs) == (1, 2, 1)
    assert first.bias == struct.pack("<2f", 0.5, -0.5)
    assert second.weight == struct.pack("<2f", 1, -1)


def test_head_is_capped_as_the_float32_that_it_becomes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, LAYERS, text=HEAD_POLICY)
    monkeypatch.setattr(learned_module, "MAX_HEAD_BYTES", 4 * (16 + 2 + 2 + 1))
    load_policy(path)
    monkeypatch.setattr(learned_module, "MAX_HEAD_BYTES", 4 * (16 + 2 + 2 + 1) - 1)
    with pytest.raises(PolicyError, match="comes to more than 0 MiB of float32"):
        load_policy(path)


def test_what_is_named_often_is_in_memory_once(tmp_path: Path) -> None:
    text = POLICY + POLICY.partition("categories:\n")[2].replace("weapons", "more")
    text += HEAD_POLICY.partition("categories:\n")[2].replace("FILE", "head.safetensors")
    (tmp_path / "head.safetensors").write_bytes(dump_tensors(LAYERS))
    path = write(tmp_path, {"rifle": RIFLE}, text=text)
    write_bundle(load_compiled(path, model=FakeModel()), tmp_path / "policy.bundle")
    for policy in (load_policy(path).policy, read_bundle(tmp_path / "policy.bundle").policy):
        weapons, more, nsfw, again = policy.categories
        assert isinstance(weapons.prompts[0].text, LearnedVector)
        assert isinstance(more.prompts[0].text, LearnedVector)
        assert weapons.prompts[0].text.values is more.prompts[0].text.values
        assert nsfw.head is again.head


def test_digest_names_a_head_by_its_content(tmp_path: Path) -> None:
    digest = head_digest(tmp_path / "a")
    assert head_digest(tmp_path / "b", "in/other.safetensors") == digest
    assert head_digest(tmp_path / "c", layers_1_bias=np.array([0.5], dtype=np.float32)) != digest
    turned = np.asarray(LAYERS["layers.0.weight"])[::-1].copy()
    assert head_digest(tmp_path / "d", layers_0_weight=turned) != digest


DEEP = [f"layers.{place}.{kind}" for place in range(17) for kind in ("weight", "bias")]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (DEEP, "it has 17 layers; at most 16 are read."),
        ([], "it holds no tensor."),
        (["layers.0.weight"], "it lacks layers.0.bias."),
        (["layers.0.weight", "layers.0.bias", "layers.2.bias"], "it lacks layers.1.weight."),
        (["layers.0.weight", "layers.0.bias", "loss"], 'it holds "loss".'),
        (["layers.00.weight", "layers.00.bias"], "it lacks layers.0.weight."),
    ],
)
def test_file_that_is_no_head_is_told_what_is_wrong(tmp_path: Path, names: list[str], reason: str) -> None:
    path = write(tmp_path, dict.fromkeys(names, np.ones((1, 1), np.float32)), text=HEAD_POLICY)
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    problem = caught.value.problems[0]
    assert problem.message == f'The file "v.safetensors" is no head: {reason}'
    assert "at most 16 layers" in problem.fix


def test_head_needs_neither_text_encoder_nor_background_and_goes_into_a_bundle_once(tmp_path: Path) -> None:
    bare = FakeModel(text=None, background=None)
    path = write(tmp_path, LAYERS, text=HEAD_POLICY)
    compiled = load_compiled(path, model=bare)
    assert compiled.vectors.shape == (1, DIM)
    assert [category.head for category in compiled.policy.categories] == [*compiled.heads] * 2
    file = tmp_path / "policy.bundle"
    write_bundle(compiled, file)
    (tmp_path / "v.safetensors").unlink()
    assert file.read_bytes().count(struct.pack("<16f", *range(16))) == 1
    again = load_compiled(file, model=bare)
    assert (again.policy, again.heads, again.digest) == (compiled.policy, compiled.heads, compiled.digest)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (struct.pack("<2f", 1, -1), struct.pack("<2f", 1, 1), "A head in it is not sha256:"),
        (struct.pack("<2f", 1, -1), struct.pack("<2f", 1, float("nan")), "holds NaN"),
        (b"layers.1.bias", b"layers.2.bias", "it lacks layers.1.bias"),
    ],
)
def test_bundle_whose_head_was_changed_is_refused(tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    write_bundle(
        load_compiled(write(tmp_path, LAYERS, text=HEAD_POLICY), model=FakeModel()), tmp_path / "policy.bundle"
    )
    data = (tmp_path / "policy.bundle").read_bytes()
    assert old in data
    (tmp_path / "policy.bundle").write_bytes(data.replace(old, new))
    assert reason in only_problem(lambda: read_bundle(tmp_path / "policy.bundle")).message


def test_head_of_another_width_is_refused_where_it_stands(tmp_path: Path) -> None:
    path = write(tmp_path, LAYERS, text=HEAD_POLICY)
    with pytest.raises(PolicyError, match="head reads 8 numbers") as caught:
        load_compiled(path, model=FakeModel(manifest=FakeManifest(dim=16)))
    assert [(problem.code, problem.line, problem.column) for problem in caught.value.problems] == [
        ("vector-width", 8, 33),
        ("unbound-thresholds", 9, 15),
        ("vector-width", 13, 33),
    ]


# Hostile files.


@given(data=st.data())
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_file_raises_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    text = HEAD_POLICY + "attributes: [{id: a, prompts: [{vector: layers.1.bias, file: FILE}]}]\n"
    path = write(tmp_path, LAYERS, text=text)
    content = bytearray((tmp_path / "v.safetensors").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "v.safetensors").write_bytes(content)
    with contextlib.suppress(PolicyError):
        load_policy(path)
