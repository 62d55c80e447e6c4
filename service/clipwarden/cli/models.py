"""clipwarden models: what a model folder is, and what one holds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from clipwarden.errors import ModelError
from clipwarden.terminal import print_facts, printable, stdout

if TYPE_CHECKING:
    from clipwarden.modelfolder.load import ModelManifest, Runtime
    from clipwarden.modelfolder.manifest import Colour

MAX_DEPTH_SHOWN = 6
"""Levels of a verification's figures that are shown; what exporters write has three."""
COLOURS: Final[Mapping["Colour", str]] = {
    "srgb": "as a browser shows them, whatever profile or transfer function a file carries",
    "ignore": "as stored, where a browser shows others; `clipwarden models upgrade` mends that",
}
"""What `preprocessing.colour` does, in words."""


def models(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="A model folder, a folder of model folders, or mini.")
    ] = "mini",
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check every file's digest and run the golden images and texts.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line a model.")] = False,
) -> None:
    """Show what a model folder holds: without a name, the small model that ships with clipwarden.

    A model folder is everything that decides an embedding, in one place: `image.onnx` (pixels to a vector), `text.onnx`
    and `tokenizer.json` (a policy's texts to vectors; optional once policies are compiled), `background.safetensors`
    (vectors of neutral texts that margins are measured from) and `model.json` (preprocessing, licence, golden
    vectors, and the SHA-256 of every file). Its **fingerprint** is a digest over all that: policies that enforce are
    bound to one fingerprint, since thresholds do not carry over to another model.

    `clipwarden-export` makes model folders from CLIP checkpoints; `clipwarden models upgrade` brings older ones up to
    date.

    **Examples**

    - `clipwarden models`

    - `clipwarden models ./clip-b32 --verify` reads every file, checks digests, and runs the golden images and texts.

    - `clipwarden models /srv/models` shows every model folder inside.
    """
    from clipwarden.machine import prepare_process
    from clipwarden.modelfolder.load import load_manifest, load_model

    prepare_process()
    for path in _model_folders(folder):
        manifest = load_manifest(path)
        runtime = load_model(path).runtime if verify else None
        if as_json:
            print(json.dumps(_record(path, manifest, runtime)))  # noqa: T201  results go to stdout
        else:
            _show(path, manifest, runtime)


def _model_folders(name: str) -> list[Path]:
    from clipwarden.modelfolder.load import EMBEDDED_MODEL, embedded_model_path, resolve_model
    from clipwarden.modelfolder.manifest import MANIFEST_NAME
    from clipwarden.modelfolder.staging import require_finished

    path = embedded_model_path() if name == EMBEDDED_MODEL else resolve_model(name)
    require_finished(path)
    if (path / MANIFEST_NAME).is_file():
        return [path]
    # Hidden ones are on their way to be published, or were left by an export that was killed.
    inside = sorted(manifest.parent for manifest in path.glob(f"[!.]*/{MANIFEST_NAME}"))
    if not inside:
        raise ModelError(
            f"{path} is no model folder: it has no {MANIFEST_NAME}, and neither has any folder in it. "
            "See `clipwarden models --help`."
        )
    return inside


def _show(path: Path, manifest: "ModelManifest", runtime: "Runtime | None") -> None:
    console = stdout()
    console.print(Text.assemble((printable(manifest.name), "bold"), f"  {printable(str(path))}"), soft_wrap=True)
    print_facts(dict(_rows(manifest, runtime)))
    if runtime is None:
        console.print(Text("Files were not read; --verify checks digests and golden vectors.", style="dim"))
    console.print()


def _rows(manifest: "ModelManifest", runtime: "Runtime | None") -> Iterator[tuple[str, str]]:
    from clipwarden.modelfolder.fingerprint import fingerprint

    yield "Architecture", manifest.architecture
    yield "Source", f"{manifest.source}, revision {manifest.revision}"
    yield "Licence", manifest.license
    yield "Fingerprint", fingerprint(manifest)
    bias = "" if manifest.logit_bias is None else f", logit bias {manifest.logit_bias:g}"
    yield "Embeddings", f"{manifest.dim} wide, {manifest.precision}, logit scale {manifest.logit_scale:g}{bias}"
    yield "Batches", "any size" if manifest.max_batch is None else f"at most {manifest.max_batch}"
    image = manifest.image
    scaled = f"JPEGs decoded at {image.decode_scale} times that or more" if image.decode_scale else "decoded in full"
    yield "Images", f"{image.side} x {image.side} pixels, {image.fit}, {image.resample}, {scaled}"
    yield "Colours", COLOURS[image.colour]
    yield "Texts", _texts(manifest)
    yield "Background", f"{len(manifest.background)} texts"
    yield "Golden", _golden(manifest, runtime)
    for name, value in _figures(manifest.verification or {}):
        yield f"Verified {name}", value
    for name, record in manifest.files.items():
        left_out = " (left out of this copy)" if name in manifest.omitted else ""
        yield name, f"{record.bytes:,} bytes, sha256 {record.sha256[:16]}{left_out}"


def _texts(manifest: "ModelManifest") -> str:
    if manifest.text is None or manifest.omitted:
        return "no text encoder: loads compiled policies (bundles), and policies without texts"
    return f"up to {manifest.text.context_length} tokens"


def _golden(manifest: "ModelManifest", runtime: "Runtime | None") -> str:
    golden = manifest.golden
    text = f"{len(golden.images)} images and {len(golden.texts)} texts, tolerance {golden.tolerance:g}"
    if runtime is None:
        return text
    return (
        f"{text}; drift {runtime.golden_drift:.2g} on {runtime.provider}, onnxruntime {runtime.onnxruntime}: all well"
    )


def _figures(figures: Mapping[str, object], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    for name, value in figures.items():
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping) and depth < MAX_DEPTH_SHOWN:
            yield from _figures(value, f"{label}: ", depth + 1)
        else:
            yield label, f"{value:.6g}" if isinstance(value, float) else str(value)


def _record(path: Path, manifest: "ModelManifest", runtime: "Runtime | None") -> dict[str, object]:
    from clipwarden.modelfolder.fingerprint import fingerprint

    # Golden vectors and background texts are for machines that load the folder, and thousands of numbers long.
    record = asdict(manifest)
    record["golden"] = {"tolerance": manifest.golden.tolerance, "images": len(manifest.golden.images)}
    record["background"] = len(manifest.background)
    verified = None if runtime is None else asdict(runtime)
    return {"path": str(path), "fingerprint": fingerprint(manifest), **record, "verified": verified}
