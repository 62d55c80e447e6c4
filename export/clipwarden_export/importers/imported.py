"""A policy's document and arrays in, a folder with both out, loaded as a server would before it appears."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from numpy.typing import NDArray
from safetensors.numpy import save

from clipwarden.modelfolder.load import Model
from clipwarden.modelfolder.staging import put_in_place, unfinished_folder
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.digest import lines_digests
from clipwarden.policy.language.learned import PolicyFolder
from clipwarden.policy.language.load import load_policy, parse_policy
from clipwarden.policy.schema import Mode
from clipwarden.textfiles.atomic import write_atomically
from clipwarden_export.errors import ExportError

POLICY_NAME = "policy.yaml"
MODEL_NAME = "model"
_MARK = "mported by `clipwarden-export import"
"""In the comment on top of every policy.yaml that an import writes."""
_WIDTH = 120  # columns of the YAML


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """A published import.

    Attributes:
        folder: Holds policy.yaml and its arrays; and `model`, where the import brought its own.
        model: The model folder that the policy is bound to.
        fingerprint: Of that model.
        policy_id: Of the policy.
        digest: Of the policy.
        categories: How many.
        figures: What was measured, for model.json's reader and `--json`.
    """

    folder: Path
    model: Path
    fingerprint: str
    policy_id: str
    digest: str
    categories: int
    figures: Mapping[str, object]


@contextmanager
def import_folder(destination: Path, *, overwrite: bool, model: Path | None = None) -> Iterator[Path]:
    """Lend a hidden folder that takes its final name when the block ends well, and is removed otherwise.

    Args:
        destination: The folder to create; its parent must exist.
        overwrite: Whether an earlier import there may be replaced.
        model: What the import will be bound to, where it brings no model of its own.

    Yields:
        The hidden folder, empty.

    Raises:
        ExportError: The destination exists and may not be replaced, is no import, or holds the model; or its parent is
            missing.
    """
    resolved = destination.resolve()
    if model is not None and model.resolve().is_relative_to(resolved):
        raise ExportError(f"{destination} holds the model to bind to, which would be lost; choose another folder.")
    _require_replaceable(resolved, overwrite=overwrite)
    with unfinished_folder(resolved) as work:
        yield work
        work.chmod(0o755)  # it was private; a server under another user must read it
        _sync(work)
        _require_replaceable(resolved, overwrite=overwrite)  # again: minutes have passed, and others write here too
        put_in_place(work, resolved)
        _sync(resolved.parent)


def write_policy(
    folder: Path,
    document: Mapping[str, object],
    *,
    notes: Sequence[str],
    arrays: Mapping[str, Mapping[str, NDArray[np.float32]]],
    model: Model,
) -> CompiledPolicy:
    """Write policy.yaml and the files it names, and load it as a server would.

    Args:
        folder: Where.
        document: The policy; every category has thresholds, which `chosen_on` is added to.
        notes: Sentences for the comment on top.
        arrays: File name to named float32 arrays.
        model: What it is bound to.

    Returns:
        The compiled policy.

    Raises:
        PolicyError: The policy is not valid, or not for this model.
        OSError: The folder cannot be written.
    """
    for name, tensors in arrays.items():
        whole = {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in tensors.items()}
        write_atomically(folder / name, save(whole))
    path = folder / POLICY_NAME
    # The digests are those of the policy as it is read, its arrays among it.
    policy = parse_policy(_render(document, notes), file=str(path), learned=PolicyFolder(folder)).policy
    digests = lines_digests(policy.categories, policy, fingerprint=model.fingerprint)
    write_atomically(path, _render(_chosen(document, digests), notes).encode())
    return compile_policy(load_policy(path).policy, model=model)


def _chosen(document: Mapping[str, object], digests: Mapping[str, str]) -> dict[str, object]:
    """Say of each category's thresholds what they were chosen on: that which the import brings."""
    categories = [
        {**each, "thresholds": {**each["thresholds"], "chosen_on": digests[each["id"]]}}
        for each in cast("list[dict[str, Any]]", document["categories"])
    ]
    return {**document, "categories": categories}


def header(policy_id: str, reason: str, fingerprint: str, mode: Mode) -> dict[str, object]:
    """Begin a policy's document: everything above its categories."""
    return {
        "api": "clipwarden/v1",
        "metadata": {"id": policy_id, "reason": reason},
        "model": {"fingerprint": fingerprint},
        "defaults": {"mode": mode.value},
    }


def _render(document: Mapping[str, object], notes: Sequence[str]) -> str:
    # A source's name is anybody's, and a line break in it would end the comment.
    comment = "".join(f"# {''.join(letter if letter.isprintable() else '?' for letter in line)}\n" for line in notes)
    # None: mappings and lists that hold only scalars are written on one line.
    return comment + yaml.safe_dump(
        dict(document), sort_keys=False, default_flow_style=None, width=_WIDTH, allow_unicode=True
    )


def _require_replaceable(destination: Path, *, overwrite: bool) -> None:
    if not destination.parent.is_dir():
        raise ExportError(f"{destination.parent} does not exist; make it first.")
    if not destination.exists():
        return
    if not overwrite:
        raise ExportError(f"{destination} exists; remove it, choose another folder, or pass --overwrite.")
    if not _is_import(destination):
        raise ExportError(f"{destination} is no import of ours and not empty, so it is not replaced; choose another.")


def _is_import(folder: Path) -> bool:
    """Say whether a folder is empty, or holds what an import writes and nothing else: all of it will be removed."""
    if not folder.is_dir():
        return False
    names = {path.name for path in folder.iterdir()}
    if not names:
        return True
    others = {name for name in names - {POLICY_NAME, MODEL_NAME} if not name.endswith(".safetensors")}
    if others or not (folder / POLICY_NAME).is_file():
        return False
    lines = (folder / POLICY_NAME).read_text(encoding="utf-8", errors="replace").splitlines()
    return any(_MARK in line for line in lines if line.startswith("#"))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
