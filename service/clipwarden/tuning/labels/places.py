"""A store in; where a labelled picture is in it, by digest or by address, out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from clipwarden.tuning.labels.rows import CellError

if TYPE_CHECKING:
    from clipwarden.tuning.store import Store


@dataclass(kw_only=True, slots=True)
class Places:
    """What a store has.

    Attributes:
        judged: sha256 of pictures that can be judged.
        failed: sha256 of pictures that cannot.
        by_name: The last part of an upload's address, to the addresses that end with it and their sha256.
    """

    judged: frozenset[str]
    failed: frozenset[str]
    by_name: Mapping[str, Mapping[str, str]] = field(repr=False)

    def find(self, uri: str) -> str | None:
        """Name the picture at an address, or at the one address that ends with it; None where there is none.

        Args:
            uri: As a label file has it, such as `stickers/mug.png` for `/data/stickers/mug.png`.

        Raises:
            CellError: Different pictures were uploaded from addresses that end so.
        """
        there = self.by_name.get(_last(uri), {})
        if uri in there:
            return there[uri]
        ending = "/" + uri.removeprefix("./").lstrip("/")
        found = {sha256 for address, sha256 in there.items() if address.endswith(ending)}
        if len(found) > 1:
            raise CellError(f'{len(found)} pictures of the store lie at "...{ending}"; name them by sha256')
        return next(iter(found), None)


def places_of(store: "Store") -> Places:
    """List what a store has."""
    uploads, by_name = store.uploads, {}
    for uri, sha256 in zip(uploads.uri, uploads.sha256, strict=True):
        by_name.setdefault(_last(str(uri)), {})[str(uri)] = str(sha256)
    return Places(judged=frozenset(map(str, store.pictures.sha256)), failed=frozenset(store.failed), by_name=by_name)


def _last(uri: str) -> str:
    return PurePosixPath(uri.replace("\\", "/")).name
