"""model.json in, a frozen ModelManifest out (and back), or ModelError saying which key is wrong."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import cast, get_args

from clipwarden.errors import ModelError
from clipwarden.modelfolder.jsonfile import JsonObject, read_json_object
from clipwarden.modelfolder.manifest import (
    FORMAT,
    MANIFEST_NAME,
    TEXT_NAME,
    TOKENIZER_NAME,
    Alpha,
    Colour,
    FileRecord,
    Fit,
    Golden,
    GoldenImage,
    GoldenText,
    ModelManifest,
    Orientation,
    Precision,
    Preprocessing,
    Resample,
    TextSettings,
    check_file_name,
)

# Published CLIP-like encoders lie between 64 and 1,024 pixels a side and 64 and 4,096 values wide; the
# bounds leave room and keep a damaged number from allocating gigabytes.
MAX_SIDE = 4096
MAX_DIM = 65536
MAX_CONTEXT = 8192
MAX_TOKEN_ID = 2**31 - 1
# libjpeg can scale by 1/8 at most, so a larger factor could never be honoured.
MAX_DECODE_SCALE = 8

# A unit vector this far off has moved by several threshold windows (LAION's own cosine thresholds lie between 0.19 and
# 0.22, so 0.03 decides), so a larger tolerance would test nothing. The exporter writes 0.02 at most, for int8.
MAX_TOLERANCE = 0.1

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHANNELS = ("red", "green", "blue")
# The file's keys are the records' fields, so neither can gain a name that the other lacks.
_TOP_KEYS = ("format", *(item.name for item in fields(ModelManifest)))
_IMAGE_KEYS = tuple(item.name for item in fields(Preprocessing))
_TEXT_KEYS = tuple(item.name for item in fields(TextSettings))


def load_manifest(folder: Path) -> ModelManifest:
    """Read and check a folder's model.json; reads no other file.

    Args:
        folder: The model folder.

    Returns:
        The manifest.

    Raises:
        ModelError: No model.json (a folder that was never finished), or a key that is missing, unknown or wrong.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise ModelError(f"{folder} has no {MANIFEST_NAME}, so it is not a finished model folder; export it again.")
    return parse_manifest(read_json_object(path))


def parse_manifest(document: Mapping[str, object]) -> ModelManifest:
    """Turn a parsed model.json into a manifest.

    Args:
        document: The JSON object.

    Returns:
        The manifest.

    Raises:
        ModelError: The format is unknown, or a key is missing, unknown or wrong.
    """
    keys = JsonObject(document, where=MANIFEST_NAME)
    _check_format(keys)
    keys.allow_only(_TOP_KEYS)
    dim = keys.integer("dim", low=1, high=MAX_DIM)
    return ModelManifest(
        name=keys.text("name"),
        architecture=keys.text("architecture"),
        source=keys.text("source"),
        revision=keys.text("revision"),
        license=keys.text("license"),
        precision=cast("Precision", keys.choice("precision", get_args(Precision))),
        dim=dim,
        logit_scale=_positive(keys, "logit_scale"),
        logit_bias=None if keys.is_null("logit_bias") else keys.number("logit_bias"),
        max_batch=None if keys.is_null("max_batch") else keys.integer("max_batch", low=1, high=65536),
        image=_parse_preprocessing(keys.section("image")),
        text=None if keys.is_null("text") else _parse_text(keys.section("text")),
        background=_parse_background(keys.section("background")),
        golden=_parse_golden(keys.section("golden"), dim=dim),
        files=_parse_files(keys),
        omitted=_parse_omitted(keys),
        verification=None if keys.is_null("verification") else keys.mapping("verification"),
    )


def dump_manifest(manifest: ModelManifest) -> bytes:
    """Render a manifest as model.json; `parse_manifest` reads back an equal one.

    Args:
        manifest: The manifest.

    Returns:
        UTF-8 JSON with a final newline.

    Raises:
        ModelError: A number is NaN or infinite, or `verification` holds something that is not JSON.
    """
    document = {"format": FORMAT} | cast("dict[str, object]", to_plain(manifest))
    document["background"] = {"texts": list(manifest.background)}
    try:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise ModelError(f"The manifest cannot be written as JSON: {exc}.") from exc
    return text.encode() + b"\n"


def _check_format(keys: JsonObject) -> None:
    found = keys.text("format")
    if found != FORMAT:
        raise ModelError(f'{MANIFEST_NAME} is of format "{found}"; this version of clipwarden reads "{FORMAT}".')


def _positive(keys: JsonObject, name: str) -> float:
    value = keys.number(name, low=0.0)
    if value == 0:
        raise ModelError(f"{MANIFEST_NAME}: {name} must be greater than 0.")
    return value


def _parse_preprocessing(keys: JsonObject) -> Preprocessing:
    keys.allow_only(_IMAGE_KEYS)
    return Preprocessing(
        side=keys.integer("side", low=1, high=MAX_SIDE),
        resample=cast("Resample", keys.choice("resample", get_args(Resample))),
        fit=cast("Fit", keys.choice("fit", get_args(Fit))),
        orientation=cast("Orientation", keys.choice("orientation", get_args(Orientation))),
        alpha=cast("Alpha", keys.choice("alpha", get_args(Alpha))),
        pad_rgb=_parse_rgb(keys),
        decode_scale=keys.integer("decode_scale", low=0, high=MAX_DECODE_SCALE),
        # Folders of before the key exists show stored colours, and keep their fingerprint.
        colour=cast("Colour", keys.choice("colour", get_args(Colour))) if keys.has("colour") else "ignore",
    )


def _parse_rgb(keys: JsonObject) -> tuple[int, int, int]:
    values = keys.items("pad_rgb")
    if len(values) != len(_CHANNELS):
        raise ModelError(f"{MANIFEST_NAME}: image.pad_rgb must have three values, not {len(values)}.")
    inner = JsonObject(dict(zip(_CHANNELS, values, strict=True)), where=f"{MANIFEST_NAME}: image.pad_rgb")
    red, green, blue = (inner.integer(name, low=0, high=255) for name in _CHANNELS)
    return red, green, blue


def _parse_text(keys: JsonObject) -> TextSettings:
    keys.allow_only(_TEXT_KEYS)
    return TextSettings(
        context_length=keys.integer("context_length", low=1, high=MAX_CONTEXT),
        pad_id=keys.integer("pad_id", low=0, high=MAX_TOKEN_ID),
        lowercase=keys.boolean("lowercase"),
        attention_mask=keys.boolean("attention_mask"),
    )


def _parse_background(keys: JsonObject) -> tuple[str, ...]:
    keys.allow_only(["texts"])
    return keys.texts("texts")


def _parse_golden(keys: JsonObject, *, dim: int) -> Golden:
    keys.allow_only(["tolerance", "images", "texts"])
    return Golden(
        tolerance=keys.number("tolerance", low=0.0, high=MAX_TOLERANCE),
        images=tuple(
            GoldenImage(png=item.text("png"), embedding=item.numbers("embedding", length=dim))
            for item in keys.sections("images")
        ),
        texts=tuple(
            GoldenText(text=item.text("text"), embedding=item.numbers("embedding", length=dim))
            for item in keys.sections("texts")
        ),
    )


def _parse_files(keys: JsonObject) -> dict[str, FileRecord]:
    files = keys.section("files")
    return {name: _parse_record(files.section(name), name) for name in keys.mapping("files")}


def _parse_omitted(keys: JsonObject) -> tuple[str, ...]:
    omitted = keys.texts("omitted")
    if omitted and set(omitted) != {TEXT_NAME, TOKENIZER_NAME}:
        raise ModelError(
            f"{MANIFEST_NAME}: omitted may be empty, or name {TEXT_NAME} and {TOKENIZER_NAME}; nothing else."
        )
    return omitted


def _parse_record(keys: JsonObject, name: str) -> FileRecord:
    check_file_name(name)
    keys.allow_only(["sha256", "bytes"])
    digest = keys.text("sha256")
    if not _DIGEST.fullmatch(digest):
        raise ModelError(f"{MANIFEST_NAME}: the SHA-256 of {name} must be 64 lower-case hexadecimal digits.")
    return FileRecord(sha256=digest, bytes=keys.integer("bytes", low=0, high=2**50))


def _left_out(record: object, name: str) -> bool:
    """A key that came later is not written while it equals its default, so that no fingerprint moved."""
    return isinstance(record, Preprocessing) and name == "colour" and record.colour == "ignore"


def to_plain(value: object) -> object:
    """Turn records into plain JSON values, for model.json and for the fingerprint.

    Args:
        value: A record of `manifest.py`, or anything inside one.

    Returns:
        Dicts, lists, texts, numbers, booleans or None.
    """
    if is_dataclass(value):
        return {
            item.name: to_plain(getattr(value, item.name)) for item in fields(value) if not _left_out(value, item.name)
        }
    if isinstance(value, Mapping):
        return {key: to_plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(inner) for inner in value]
    return value
