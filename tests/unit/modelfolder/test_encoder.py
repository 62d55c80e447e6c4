from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer as RawTokenizer
from tokenizers.processors import TemplateProcessing

from clipwarden.errors import EncoderError, ModelError
from clipwarden.modelfolder.batch_dependence import MAX_BATCH_DEPENDENCE, batch_dependence, varied_pixels
from clipwarden.modelfolder.encoder import ImageEncoder, TextEncoder
from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.manifest import TextSettings
from clipwarden.modelfolder.tokenizer import Tokenizer
from kit import toymodel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return toymodel.load_toy_model(tmp_path_factory.mktemp("models") / "toy")


def tensor(name: str, dtype: str, shape: Sequence[object]) -> SimpleNamespace:
    return SimpleNamespace(name=name, type=dtype, shape=shape)


PIXELS = tensor("pixels", "tensor(uint8)", ["N", 4, 4, 3])
EMBEDDINGS = tensor("embeddings", "tensor(float)", ["N", 2])


class ScriptedSession:
    """A session that answers what a function says, and remembers the batches it saw."""

    def __init__(
        self,
        answer: Callable[[int], object] | None = None,
        inputs: Sequence[object] = (PIXELS,),
        outputs: Sequence[object] = (EMBEDDINGS,),
    ) -> None:
        self.answer, self.inputs, self.outputs = answer or unit, inputs, outputs
        self.batches: list[int] = []

    def get_inputs(self) -> Sequence[object]:
        return self.inputs

    def get_outputs(self) -> Sequence[object]:
        return self.outputs

    def run(self, _names: object, feed: dict[str, np.ndarray]) -> list[object]:
        (pixels, *_) = feed.values()
        self.batches.append(len(pixels))
        return [self.answer(len(pixels))]


def unit(count: int) -> np.ndarray:
    return np.tile(np.array([0.6, 0.8], dtype=np.float32), (count, 1))


def scripted(session: ScriptedSession, max_batch: int | None = None) -> ImageEncoder:
    return ImageEncoder(session, side=4, dim=2, max_batch=max_batch)


BLANK = np.zeros((7, 4, 4, 3), dtype=np.uint8)


def test_max_batch_splits_a_batch_and_keeps_its_order(tmp_path: Path) -> None:
    session = ScriptedSession()
    assert scripted(session, max_batch=3).encode(BLANK).shape == (7, 2)
    assert session.batches == [3, 3, 1]
    split = toymodel.load_toy_model(tmp_path / "split", max_batch=2)
    whole = toymodel.load_toy_model(tmp_path / "whole")
    pixels = varied_pixels(32)
    assert np.abs(split.image.encode(pixels) - whole.image.encode(pixels)).max() < 1e-6
    assert split.image.max_batch == 2


def test_without_max_batch_everything_runs_at_once() -> None:
    session = ScriptedSession()
    scripted(session).encode(BLANK)
    assert session.batches == [7]


def test_no_image_and_no_text_give_no_rows(model: Model) -> None:
    assert model.image.encode(np.empty((0, 32, 32, 3), dtype=np.uint8)).shape == (0, 16)
    assert model.text.embed([]).shape == (0, 16)


@pytest.mark.parametrize(
    "pixels", [np.zeros((1, 4, 4, 3), dtype=np.float32), np.zeros((1, 3, 4, 4), dtype=np.uint8), BLANK[0]]
)
def test_pixels_of_another_type_or_shape_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(EncoderError, match=r"The encoder wants uint8 \[N,4,4,3\], not"):
        scripted(ScriptedSession()).encode(pixels)


@pytest.mark.parametrize(
    "answer",
    [
        lambda count: np.full((count, 2), np.nan, dtype=np.float32),
        lambda count: np.full((count, 2), np.inf, dtype=np.float32),
        lambda count: np.zeros((count, 2), dtype=np.float32),
        lambda count: unit(count) * 1.01,
    ],
)
@pytest.mark.filterwarnings("error")
def test_answers_that_are_not_finite_unit_vectors_are_an_encoder_error(answer: Callable[[int], np.ndarray]) -> None:
    with pytest.raises(EncoderError, match="not finite and of unit norm"):
        scripted(ScriptedSession(answer)).encode(BLANK)


def test_answer_of_another_shape_is_an_encoder_error() -> None:
    with pytest.raises(EncoderError, match=r"answered \[1, 2\] where \[7, 2\] was due"):
        scripted(ScriptedSession(lambda _count: unit(1))).encode(BLANK)


def test_failure_of_the_runtime_is_an_encoder_error_of_one_line_with_its_cause() -> None:
    boom = RuntimeError("out of memory\nstack")

    def fail(_count: int) -> np.ndarray:
        raise boom

    with pytest.raises(EncoderError, match=r"^onnxruntime failed: out of memory$") as caught:
        scripted(ScriptedSession(fail)).encode(BLANK)
    assert caught.value.__cause__ is boom


@pytest.mark.parametrize(
    ("session", "sentence"),
    [
        (ScriptedSession(inputs=(PIXELS, PIXELS)), "image.onnx must have exactly one input; it has 2"),
        (ScriptedSession(outputs=()), "image.onnx must have exactly one output; it has 0"),
        (ScriptedSession(inputs=(tensor("x", "tensor(float)", ["N", 4, 4, 3]),)), r"input is tensor\(float\)"),
        (ScriptedSession(inputs=(tensor("x", "tensor(uint8)", ["N", 3, 4, 4]),)), r"promises .* \[N, 4, 4, 3\]"),
        (
            ScriptedSession(inputs=(tensor("x", "tensor(uint8)", [1, 4, 4, 3]),)),
            r"is tensor\(uint8\) \[1, 4, 4, 3\]; model.json promises .* \[N, 4, 4, 3\]",
        ),
        (ScriptedSession(inputs=(tensor("x", "tensor(uint8)", [4, 4, 3]),)), "image.onnx input is"),
        (ScriptedSession(outputs=(tensor("y", "tensor(float)", ["N", 3]),)), r"output is .* promises .* \[N, 2\]"),
        (ScriptedSession(outputs=(tensor("y", "tensor(float16)", ["N", 2]),)), r"output is tensor\(float16\)"),
    ],
)
def test_graph_of_another_shape_or_type_is_refused_at_load(session: ScriptedSession, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        scripted(session)


def test_symbolic_axes_are_left_to_the_first_run() -> None:
    session = ScriptedSession(outputs=(tensor("y", "tensor(float)", ["N", "D"]),))
    assert scripted(session).encode(BLANK).shape == (7, 2)


def test_text_graph_without_a_mask_input_is_refused(model: Model) -> None:
    session = ScriptedSession(inputs=(tensor("input_ids", "tensor(int64)", ["N", 12]),))
    with pytest.raises(ModelError, match="must have the inputs input_ids and attention_mask; it has input_ids"):
        TextEncoder(session, model.text.tokenizer, context_length=12, dim=2)
    with pytest.raises(ModelError, match="it has none"):
        TextEncoder(ScriptedSession(inputs=()), model.text.tokenizer, context_length=12, dim=2)


def test_prompts_are_embedded_alone_so_their_company_does_not_matter(model: Model) -> None:
    texts = ["red", "a photo of a cat", "", "unknown"]
    together = model.text.embed(texts)
    assert np.array_equal(together[2:3], model.text.embed([""]))
    assert np.array_equal(together[::-1], model.text.embed(texts[::-1]))


def test_toy_embeddings_do_not_depend_on_their_batch(model: Model) -> None:
    assert batch_dependence(model.image, varied_pixels(32)) <= MAX_BATCH_DEPENDENCE


def test_a_graph_that_scales_over_the_whole_batch_is_caught() -> None:
    class WholeBatch:
        """Divides by the batch's largest value, as dynamic int8 scales its activations."""

        def encode(self, pixels: np.ndarray) -> np.ndarray:
            rows = np.concatenate(
                [pixels.reshape(len(pixels), -1)[:, :3].astype(np.float32), np.ones((len(pixels), 1))], 1
            )
            rows[:, 3] = pixels.max()
            return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    assert batch_dependence(WholeBatch(), varied_pixels(32)) > 100 * MAX_BATCH_DEPENDENCE


def test_varied_pixels_differ_and_repeat() -> None:
    pixels = varied_pixels(16)
    assert pixels.shape == (9, 16, 16, 3)
    assert len(np.unique(pixels.reshape(9, -1), axis=0)) == 9
    assert np.array_equal(pixels, varied_pixels(16))


def test_threads_share_an_encoder(model: Model) -> None:
    pixels = varied_pixels(32)
    expected = model.image.encode(pixels)
    with ThreadPoolExecutor(4) as pool:
        images = list(pool.map(model.image.encode, [pixels] * 16))
        texts = list(pool.map(model.text.embed, [["a photo of a cat"]] * 16))
    assert all(np.abs(answer - expected).max() < 1e-6 for answer in images)
    assert all(np.array_equal(answer, texts[0]) for answer in texts)


def write_tokenizer(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    path.write_bytes(toymodel.tokenizer_json())
    return path


def test_tokenizer_pads_and_masks_to_the_fixed_length(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_tokenizer(tmp_path), TextSettings(context_length=6, pad_id=9))
    ids, mask = tokenizer.encode("a photo of")
    assert ids.dtype == mask.dtype == np.int64
    assert ids.tolist()[3:] == [9, 9, 9]
    assert mask.tolist() == [1, 1, 1, 0, 0, 0]
    assert tokenizer.encode("")[1].tolist() == [0] * 6


def test_tokenizer_truncates_but_counts_what_it_cut(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_tokenizer(tmp_path), TextSettings(context_length=2))
    assert (tokenizer.capacity, tokenizer.content_tokens("a photo of")) == (2, 3)
    assert len(tokenizer.encode("a photo of")[0]) == 2


def test_model_that_attends_to_padding_gets_a_mask_of_ones(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_tokenizer(tmp_path), TextSettings(context_length=6, attention_mask=False))
    assert tokenizer.encode("a")[1].tolist() == [1] * 6


def test_tokenizer_lower_cases_only_when_told(tmp_path: Path) -> None:
    raw = RawTokenizer.from_str(toymodel.tokenizer_json().decode())
    document = raw.to_str().replace('"normalizer":{"type":"Lowercase"}', '"normalizer":null')
    path = tmp_path / "tokenizer.json"
    path.write_text(document)
    kept = Tokenizer(path, TextSettings(context_length=2)).encode("RED")[0]
    lowered = Tokenizer(path, TextSettings(context_length=2, lowercase=True)).encode("RED")[0]
    assert kept[0] == 1
    assert lowered[0] == 2


def test_special_tokens_count_against_the_capacity_and_survive_truncation(tmp_path: Path) -> None:
    raw = RawTokenizer.from_str(toymodel.tokenizer_json().decode())
    raw.post_processor = TemplateProcessing(single="[PAD] $A [UNK]", special_tokens=[("[PAD]", 0), ("[UNK]", 1)])
    raw.enable_padding(length=99)  # stored settings of the exporter, which must not count
    raw.enable_truncation(1)
    path = tmp_path / "tokenizer.json"
    raw.save(str(path))
    tokenizer = Tokenizer(path, TextSettings(context_length=4))
    assert (tokenizer.capacity, tokenizer.content_tokens("red green blue")) == (2, 3)
    assert tokenizer.encode("red green blue")[0].tolist() == [0, 2, 3, 1]
    with pytest.raises(ModelError, match="adds 2 special tokens, which leaves no room in a context of 2"):
        Tokenizer(path, TextSettings(context_length=2))
