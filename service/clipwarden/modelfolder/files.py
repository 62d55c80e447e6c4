"""Write a model folder so that a crash leaves none, and check that one holds exactly what its manifest lists."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from clipwarden.errors import ModelError
from clipwarden.modelfolder.manifest import (
    BACKGROUND_NAME,
    IMAGE_NAME,
    MANIFEST_NAME,
    TEXT_NAME,
    TOKENIZER_NAME,
    FileRecord,
    ModelManifest,
    check_file_name,
    is_companion,
)
from clipwarden.modelfolder.modeljson import dump_manifest
from clipwarden.modelfolder.staging import put_in_place, unfinished_folder
from clipwarden.unitvectors import require_unit

# Unit rows stored as float32 are off by about 1e-7; looser than that, tight enough to catch raw vectors.
_UNIT_ROW_TOLERANCE = 1e-4
_TENSOR_NAME = "background"
# A tensor kept outside its graph is named by an entry whose key is the text "location" (onnx.proto,
# TensorProto.external_data); protobuf may write that key's tag and length on more bytes than they need.
_EXTERNAL_TENSOR = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_CHUNK_BYTES = 16 * 1024 * 1024
_LONGEST_ENTRY = 32  # bytes of the pattern above: ten a padded number, and the word


def write_model_folder(
    destination: Path,
    manifest: ModelManifest,
    *,
    files: Mapping[str, bytes | Path],
    background: NDArray[np.float32] | None = None,
    overwrite: bool = False,
    before_publish: Callable[[Path], None] | None = None,
) -> ModelManifest:
    """Write a model folder atomically: it appears whole under its name, or not at all.

    Args:
        destination: The folder to create; its parent must exist.
        manifest: Everything but `files`, which is filled in here.
        files: Name to content, or to a file to copy: `image.onnx`, `text.onnx`, `tokenizer.json`, `*.md`, `LICENSE*`.
        background: float32 [K,D] unit rows, in the order of `manifest.background`; None writes none.
        overwrite: Whether an existing folder may be replaced.
        before_publish: Called with the finished, still hidden folder, such as to load and verify it, which no other
            process can; an exception from it stops the publication.

    Returns:
        The manifest with `files` filled in.

    Raises:
        ModelError: The folder exists, or is to be overwritten and is no model folder; a file name is not allowed, or a
            value cannot be written.
    """
    destination = destination.resolve()  # a link stays, and what it points to is replaced
    _require_free(destination, overwrite=overwrite)
    contents = dict(files)
    if background is not None:
        contents[BACKGROUND_NAME] = save({_TENSOR_NAME: np.ascontiguousarray(background)})
    with unfinished_folder(destination) as staging:
        finished = _fill(staging, manifest, contents)
        if before_publish is not None:
            before_publish(staging)
        _require_free(destination, overwrite=overwrite)  # again: verifying takes minutes, and publishing replaces
        _publish(staging, destination)
    return finished


def _require_free(destination: Path, *, overwrite: bool) -> None:
    if destination.exists() and not overwrite:
        raise ModelError(f"{destination} exists; remove it or ask to overwrite it.")
    require_replaceable(destination)


def require_replaceable(destination: Path) -> None:
    """Refuse to replace anything but a model folder or an empty one: overwriting removes all that is there.

    Args:
        destination: May be missing.

    Raises:
        ModelError: There is something else.
    """
    if not destination.exists() or (destination / MANIFEST_NAME).is_file():
        return
    if not destination.is_dir() or any(destination.iterdir()):
        raise ModelError(f"{destination} is no model folder, so it is not replaced; choose another name.")


def write_image_only_copy(source: Path, destination: Path, manifest: ModelManifest) -> ModelManifest:
    """Copy a model folder without its text encoder; the copy keeps the fingerprint, so it runs the same bundles.

    Args:
        source: A verified folder.
        destination: The folder to create.
        manifest: Of `source`.

    Returns:
        The copy's manifest.

    Raises:
        ModelError: `source` has no text encoder to leave out, or `destination` exists.
    """
    if manifest.text is None or manifest.omitted:
        raise ModelError(f"{source} has no text encoder to leave out.")
    omitted = (TEXT_NAME, TOKENIZER_NAME)
    files = {name: source / name for name in manifest.files if name not in omitted}
    files |= {path.name: path for path in source.glob("*.md")}
    return write_model_folder(destination, replace(manifest, omitted=omitted), files=files)


def verify_files(folder: Path, manifest: ModelManifest) -> None:
    """Check that a folder holds exactly the files its manifest lists, byte for byte.

    Args:
        folder: The model folder.
        manifest: Its manifest.

    Raises:
        ModelError: A file is missing, truncated, altered, or not listed; the text encoder's files do not match
            the manifest's text settings; or a graph keeps weights in another file, which no digest would cover.
    """
    _check_roster(manifest)
    for name, record in manifest.files.items():
        if name not in manifest.omitted:
            _verify_file(folder / name, record)
    for name in {IMAGE_NAME, TEXT_NAME} & set(manifest.files) - set(manifest.omitted):
        _refuse_external_tensors(folder / name)
    listed = set(manifest.files) - set(manifest.omitted)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in listed and not is_companion(path.name):
            raise ModelError(
                f"{folder} holds {path.name}, which {MANIFEST_NAME} does not list; remove it or export again."
            )


def load_background(folder: Path, manifest: ModelManifest) -> NDArray[np.float32] | None:
    """Read the background vectors.

    Args:
        folder: The model folder, already verified.
        manifest: Its manifest.

    Returns:
        float32 [K,D] unit rows; None when the folder has none.

    Raises:
        ModelError: The tensor is missing, or not of that dtype, shape and norm.
    """
    if BACKGROUND_NAME not in manifest.files:
        return None
    try:
        tensors = load_file(folder / BACKGROUND_NAME)
    except (SafetensorError, OSError, ValueError) as exc:
        raise ModelError(f"{BACKGROUND_NAME} is not a safetensors file: {exc}.") from exc
    if set(tensors) != {_TENSOR_NAME}:
        raise ModelError(f'{BACKGROUND_NAME} must hold the one tensor "{_TENSOR_NAME}"; it holds {sorted(tensors)}.')
    return _check_background(tensors[_TENSOR_NAME], manifest)


def _check_background(rows: NDArray[np.generic], manifest: ModelManifest) -> NDArray[np.float32]:
    shape = (len(manifest.background), manifest.dim)
    if rows.dtype != np.float32 or rows.shape != shape:
        raise ModelError(
            f"{BACKGROUND_NAME} is {rows.dtype} {list(rows.shape)}; {MANIFEST_NAME} promises float32 {list(shape)}."
        )
    vectors = rows.astype(np.float32, copy=False)
    error = ModelError(f"{BACKGROUND_NAME} holds rows that are not finite and of unit norm.")
    require_unit(vectors, error, tolerance=_UNIT_ROW_TOLERANCE)
    return vectors


def _check_roster(manifest: ModelManifest) -> None:
    wanted = {IMAGE_NAME}
    if manifest.text is not None:
        wanted |= {TEXT_NAME, TOKENIZER_NAME}
    if manifest.background:
        wanted.add(BACKGROUND_NAME)
    unlisted = sorted(wanted - set(manifest.files))
    if unlisted:
        raise ModelError(f"{MANIFEST_NAME} lists no {unlisted[0]}, which this model needs.")
    if manifest.text is None and {TEXT_NAME, TOKENIZER_NAME} & set(manifest.files):
        raise ModelError(f'{MANIFEST_NAME} lists a text encoder\'s files but its "text" is null.')


def _verify_file(path: Path, record: FileRecord) -> None:
    if not path.is_file():
        raise ModelError(
            f"{path.parent} lacks {path.name}, which {MANIFEST_NAME} lists; the folder was not copied whole."
        )
    size = path.stat().st_size
    if size != record.bytes:
        raise ModelError(
            f"{path.name} has {size} bytes where {MANIFEST_NAME} says {record.bytes}; it is truncated or was replaced."
        )
    if _sha256(path) != record.sha256:
        raise ModelError(f"{path.name} does not match its SHA-256 in {MANIFEST_NAME}; it is damaged or was replaced.")


def _refuse_external_tensors(path: Path) -> None:
    """Insist that a graph holds its own weights: others could be swapped under the same fingerprint."""
    window = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            window = window[-_LONGEST_ENTRY:] + chunk
            # The word first, a search of gigabytes a second; the pattern takes ten times as long.
            if b"location" in window and _EXTERNAL_TENSOR.search(window):
                raise ModelError(
                    f"{path.name} keeps weights in another file (ONNX external data), which no digest covers; "
                    "export it again with its weights inside."
                )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fill(staging: Path, manifest: ModelManifest, contents: Mapping[str, bytes | Path]) -> ModelManifest:
    records = {name: manifest.files[name] for name in manifest.omitted}
    for name, content in sorted(contents.items()):
        check_file_name(name)
        target = staging / name
        if isinstance(content, Path):
            shutil.copyfile(content, target)
        else:
            target.write_bytes(content)
        _sync(target)
        if not name.endswith(".md"):
            records[name] = FileRecord(sha256=_sha256(target), bytes=target.stat().st_size)
    finished = replace(manifest, files=records)
    # Last, so that even a half-copied staging folder is recognised as unfinished.
    (staging / MANIFEST_NAME).write_bytes(dump_manifest(finished))
    _sync(staging / MANIFEST_NAME)
    return finished


def _publish(staging: Path, destination: Path) -> None:
    staging.chmod(0o755)  # mkdtemp makes it private; a server under another user must read it
    _sync(staging)
    put_in_place(staging, destination)
    _sync(destination.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
