"""A store in; where a labelled picture is in it, by digest or by address, out."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from clipwarden.tuning.labels.rows import CellError

if TYPE_CHECKING:
    from clipwarden.tuning.store.store import Store


class Places:
    """What a store has.

    Attributes:
        judged: sha256 of pictures that can be judged.
        failed: sha256 of pictures that cannot.
    """

    def __init__(self, store: "Store") -> None:
        self.judged = frozenset(store.pictures.sha256)
        self.failed = frozenset(store.failed)
        self._uploads = store.uploads

    @cached_property
    def by_name(self) -> Mapping[str, Mapping[str, str]]:
        """The last part of an upload's address, to the addresses that end with it and their sha256."""
        found: dict[str, dict[str, str]] = {}
        for uri, sha256 in zip(self._uploads.uri, self._uploads.sha256, strict=True):
            found.setdefault(_last(uri), {})[uri] = sha256
        return found

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
        ending = "/" + uri.replace("\\", "/").removeprefix("./").lstrip("/")
        found = {sha256 for address, sha256 in there.items() if address.endswith(ending)}
        if len(found) > 1:
            raise CellError(f'{len(found)} pictures of the store lie at "...{ending}"; name them by sha256')
        return next(iter(found), None)


def _last(uri: str) -> str:
    return PurePosixPath(uri.replace("\\", "/")).name
