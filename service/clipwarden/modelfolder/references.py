"""A model's fingerprint in, the drawings that ship beside that model out: embedded, named, labelled; or None."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from clipwarden.errors import ModelError
from clipwarden.modelfolder.load import embedded_model_path
from clipwarden.textfiles.atomic import write_atomically
from clipwarden.unitvectors import require_unit, row_lengths

_TENSOR = "embeddings"
# One entry only: the library writes several in random order, and equal drawings must give equal bytes.
_METADATA = "clipwarden"


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """One drawing that ships with a model as its embedding.

    Attributes:
        icon_set: The set that it is from.
        name: Its name there.
        shows: Ids of the categories that a person saw in it; none for a neutral drawing.
    """

    icon_set: str
    name: str
    shows: tuple[str, ...] = ()

    @property
    def neutral(self) -> bool:
        """Whether it shows nothing that any category of the recipe looks for."""
        return not self.shows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class References:
    """Drawings as one model sees them, so that lint can say what a policy's lines would do without any picture.

    They are of the recipe's selection sets, on which the shipped policy's lines were chosen: rates on them flatter it.

    Attributes:
        fingerprint: Of the model.
        drawings: N of them, neutral and other ones.
        embeddings: `[N,D]` float32, unit rows; on white, one view each.
    """

    fingerprint: str
    drawings: tuple[Drawing, ...]
    embeddings: NDArray[np.float32]


def references_path() -> Path:
    """Return the file that ships beside the embedded model's folder; inside, the fingerprint would have to cover it."""
    model = embedded_model_path()
    return model.with_name(f"{model.name}.references.safetensors")


def load_references(fingerprint: str, path: Path | None = None) -> References | None:
    """Read the drawings that ship for a model.

    Args:
        fingerprint: Of the model in use.
        path: The file; None takes the embedded model's.

    Returns:
        The drawings; None where there are none for this model.

    Raises:
        ModelError: The file is damaged.
    """
    path = path or references_path()
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_METADATA])
            if facts["fingerprint"] != fingerprint:
                return None
            drawings = tuple(
                Drawing(icon_set=of, name=name, shows=tuple(shows)) for of, name, shows in facts["drawings"]
            )
            return References(
                fingerprint=fingerprint, drawings=drawings, embeddings=_rows(file.get_tensor(_TENSOR), drawings)
            )
    except (SafetensorError, OSError, ValueError, TypeError, KeyError) as exc:
        raise ModelError(f"{path.name} cannot be read ({exc}); install clipwarden again.") from exc


def write_references(references: References, path: Path) -> None:
    """Write drawings, atomically, their embeddings as float16; equal drawings give equal bytes.

    Args:
        references: What to write.
        path: The file to write or replace.

    Raises:
        OSError: The file cannot be written.
    """
    drawings = [[each.icon_set, each.name, each.shows] for each in references.drawings]
    facts = {"fingerprint": references.fingerprint, "drawings": drawings}
    metadata = {_METADATA: json.dumps(facts, separators=(",", ":"))}
    write_atomically(path, save({_TENSOR: references.embeddings.astype(np.float16)}, metadata=metadata))


def _rows(table: NDArray[np.generic], drawings: tuple[Drawing, ...]) -> NDArray[np.float32]:
    """Widen and bring back to unit length what float16 has moved."""
    if table.dtype != np.float16 or table.ndim != len("ND") or len(table) != len(drawings) or not drawings:
        raise ValueError("its embeddings are not float16, one row a drawing")
    rows = table.astype(np.float32)
    require_unit(rows, ValueError("its embeddings are not of unit length"))
    rows = (rows / row_lengths(rows)[:, np.newaxis]).astype(np.float32)
    rows.setflags(write=False)
    return rows
