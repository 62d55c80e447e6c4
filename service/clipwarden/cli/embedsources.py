"""What the user named in, uploads to embed out, and what is left out of folders; manifests and folders alike."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from clipwarden.cli.inputs import STDIN, Input, Search, find_items
from clipwarden.cli.leftovers import LeftOut
from clipwarden.cli.manifests import Reading, ignored_columns, is_manifest, read_manifest
from clipwarden.errors import ConfigError
from clipwarden.tuning.store.records import UploadRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One upload whose file is still to be read.

    Attributes:
        file: Where it lies.
        upload: All that is known of it but for its content.
    """

    file: Input
    upload: UploadRecord


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where uploads come from; may be gone through several times.

    Attributes:
        names: Files, folders and manifests, as the user wrote them.
        search: How far to look inside folders.
        reading: How to read manifests.
    """

    names: Sequence[str]
    search: Search = field(default_factory=Search)
    reading: Reading = field(default_factory=Reading)

    def find(self) -> Iterator[Found | LeftOut]:
        """Find all uploads, in the order of the names; files are not opened, manifests are read.

        Raises:
            ConfigError: A name stands for nothing, or a manifest makes no sense.
        """
        manifests = [name for name in self.names if is_manifest(name) and not os.path.isdir(name)]  # noqa: PTH112  a text
        others = [name for name in self.names if name not in manifests]
        if STDIN in others:
            raise ConfigError("embed reads files, folders and manifests; standard input has no name to keep it under.")
        for item in find_items(others, self.search):
            yield (
                item
                if isinstance(item, LeftOut)
                else Found(file=item, upload=UploadRecord(uri=uri_of(item.name), sha256=None))
            )
        for name in dict.fromkeys(manifests):
            for row in read_manifest(Path(name), self.reading):
                upload = UploadRecord(uri=row.uri or uri_of(row.path), sha256=None, time=row.time, slices=row.slices)
                yield Found(file=Input(name=row.path, listed=True, is_link=True), upload=upload)

    def ignored(self) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield each manifest that has columns which nothing reads, and their names."""
        for name in dict.fromkeys(self.names):
            if is_manifest(name) and (columns := ignored_columns(Path(name), self.reading)):
                yield name, columns


def uri_of(path: str) -> str:
    """Name a file so that it is found again from elsewhere: its absolute path, or a file URI where that is no UTF-8."""
    whole = os.path.abspath(path)  # noqa: PTH100  Path would follow nothing either, and is slower
    try:
        whole.encode()
    except UnicodeEncodeError:
        return f"file://{quote(os.fsencode(whole))}"
    return whole
