"""What a model folder says of itself, as frozen records; `modeljson.py` reads and writes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from clipwarden.errors import ModelError

FORMAT = "clipwarden-model/1"
MANIFEST_NAME = "model.json"
IMAGE_NAME = "image.onnx"
TEXT_NAME = "text.onnx"
TOKENIZER_NAME = "tokenizer.json"
BACKGROUND_NAME = "background.safetensors"
JUDGING_FILES = (IMAGE_NAME, TEXT_NAME, TOKENIZER_NAME, BACKGROUND_NAME)

Precision = Literal["fp32", "fp16", "int8"]
Resample = Literal["bicubic", "bilinear", "lanczos", "box"]
Fit = Literal["crop", "crop_half_even", "pad", "squash"]
Orientation = Literal["exif", "ignore"]
Alpha = Literal["white_and_black"]
Colour = Literal["ignore", "srgb"]
COLOUR: Colour = "srgb"
"""Of new folders, whatever makes them: what a browser shows is judged. Published CLIPs were trained on stored values,
but of pictures that are mostly sRGB, where both are the same; where they differ, whoever uploads chose the stored ones.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """How an image becomes S x S pixels; every field is part of the fingerprint.

    Attributes:
        side: S, the encoder's input side, in pixels.
        resample: Pillow filter that resizes to S.
        fit: `crop`: short side to S, then the centre, its offset rounded down (transformers); `crop_half_even`: the
            same with the offset rounded half to even (torchvision, open_clip); `pad`: long side to S, then borders;
            `squash`: both sides to S.
        orientation: `exif` turns the image as its EXIF orientation says; `ignore` leaves it.
        alpha: Transparent images are judged twice, on white and on black.
        pad_rgb: Colour of the borders under `pad`, 0-255 each.
        decode_scale: A JPEG may be decoded smaller, as long as it keeps this many times S; 0 decodes in full.
        colour: `srgb` shows the model the colours that a browser shows, whatever profile or transfer function the file
            carries; `ignore` the stored ones.
    """

    side: int
    resample: Resample = "bicubic"
    fit: Fit = "crop"
    orientation: Orientation = "exif"
    alpha: Alpha = "white_and_black"
    pad_rgb: tuple[int, int, int] = (255, 255, 255)
    decode_scale: int = 2
    colour: Colour = "ignore"


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSettings:
    """How a prompt becomes L token ids; every field is part of the fingerprint.

    Attributes:
        context_length: L, the fixed length, special tokens included.
        pad_id: Token id that fills up to L.
        lowercase: Whether the text is lower-cased before it is tokenised.
        attention_mask: True: the mask is 1 for content and 0 for padding; False: 1 everywhere (SigLIP).
    """

    context_length: int
    pad_id: int = 0
    lowercase: bool = False
    attention_mask: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenImage:
    """A tiny image with the embedding it had at export.

    Attributes:
        png: Base64 of an S x S RGB PNG.
        embedding: D values, unit norm.
    """

    png: str
    embedding: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenText:
    """A text with the embedding it had at export.

    Attributes:
        text: The prompt.
        embedding: D values, unit norm.
    """

    text: str
    embedding: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """What the encoders must still answer, wherever they run.

    Attributes:
        tolerance: Largest L2 distance allowed between a stored and a computed unit vector.
        images: Golden images.
        texts: Golden texts.
    """

    tolerance: float
    images: tuple[GoldenImage, ...] = ()
    texts: tuple[GoldenText, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileRecord:
    """Size and digest of one file of the folder.

    Attributes:
        sha256: 64 lower-case hexadecimal digits.
        bytes: Size.
    """

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelManifest:
    """Everything that model.json says.

    Attributes:
        name: Short name shown to people.
        architecture: Free text.
        source: Where the weights come from.
        revision: Which version of them.
        license: SPDX expression, or the licence's name.
        precision: Of the weights.
        dim: D, the width of an embedding.
        logit_scale: s, the factor on cosines that the checkpoint was trained with.
        logit_bias: SigLIP's bias, else None.
        max_batch: Largest batch the image graph may be run with; None means any.
        image: Preprocessing.
        text: Text settings; None when the folder has no text encoder.
        background: The texts behind background.safetensors, in its row order; may be empty.
        golden: Golden vectors.
        files: Every judged file's digest; filled in by `write_model_folder`.
        omitted: Files that `files` lists for the fingerprint's sake but that an image-only copy leaves out.
        verification: Figures written by `clipwarden-export verify`, or None.
    """

    name: str
    architecture: str
    source: str
    revision: str
    license: str
    precision: Precision = "fp32"
    dim: int
    logit_scale: float
    logit_bias: float | None = None
    max_batch: int | None = None
    image: Preprocessing
    text: TextSettings | None = None
    background: tuple[str, ...] = ()
    golden: Golden
    files: Mapping[str, FileRecord] = field(default_factory=dict)
    omitted: tuple[str, ...] = ()
    verification: Mapping[str, object] | None = None


def check_file_name(name: str) -> None:
    """Refuse a name that could reach outside the folder, or that this format does not know.

    Args:
        name: As listed in model.json.

    Raises:
        ModelError: The name is a path, or not one of `JUDGING_FILES`, a licence, a notice or a Markdown file.
    """
    if Path(name).name != name or "\\" in name:
        raise ModelError(f'{MANIFEST_NAME} lists "{name}"; a model folder holds plain file names only, no paths.')
    if name not in JUDGING_FILES and not is_companion(name):
        raise ModelError(f'{MANIFEST_NAME} lists "{name}", a file that {FORMAT} does not know.')


def is_companion(name: str) -> bool:
    """Tell whether a file accompanies a model without being able to change an embedding.

    Anything else must be listed with its digest. That no graph reads weights from a companion or a folder below
    (ONNX external data) is for `folder.verify_files` to check.
    """
    return name == MANIFEST_NAME or name.endswith(".md") or name.startswith((".", "LICENSE", "NOTICE"))
