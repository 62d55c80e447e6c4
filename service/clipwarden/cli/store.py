"""clipwarden store: what a store holds, and whether it is sound; `store forget`: what is taken out of one."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.cli.exits import Exit
from clipwarden.terminal import notice, print_facts, printable, stdout
from clipwarden.tuning.extra import require_tune

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clipwarden.tuning.store.forgetting import Forgotten

StoreFolder = Annotated[
    Path, typer.Argument(metavar="STORE", help="A folder that `clipwarden embed` made.", show_default=False)
]


def store(
    folder: StoreFolder,
    *,
    check: Annotated[bool, typer.Option("--check", help="Read every byte as well, and compare checksums.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a store holds, and with --check whether all of it is sound.

    What its uploads are, and of which days; how many distinct pictures they show, what saw those, how many files cannot
    be judged and why, how uploads divide into slices; and the **digest** that policies name as their evidence, which
    stays the same however often and in whatever order the same uploads are embedded.

    **Examples**

    - `clipwarden store october.store`

    - `clipwarden store october.store --check` reads all of it.

    - `clipwarden store october.store --json` prints every number.

    **Exit codes**: 0 it can be used · 8 it cannot, and a sentence says why.
    """
    require_tune()
    from clipwarden.cli.loading import progress_bar
    from clipwarden.cli.storefacts import store_lines, store_record
    from clipwarden.tuning.store.store import open_store

    opened = open_store(folder)
    if check:
        with progress_bar("Reading vectors") as advance:
            for done in opened.check():
                advance(done, len(opened.pictures))
    if as_json:
        print(json.dumps(store_record(opened)))  # noqa: T201  results go to stdout
        return
    print_facts(store_lines(opened))
    if check:
        notice("Every byte is sound.", style="green")


def forget(
    folder: StoreFolder,
    names: Annotated[
        list[str],
        typer.Argument(metavar="URI|SHA256...", help="Uploads by name, or pictures by digest.", show_default=False),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> Exit:
    """Take uploads out of a store, and the pictures that no other upload shows.

    A name takes the uploads of that name; a digest (64 hexadecimal digits) takes a picture and whatever shows it.
    The parts that held them are written anew and deleted. Labels and policies are not looked at. Take the files out of
    their source as well: the next `embed` of it would take them up again.

    **Examples**

    - `clipwarden store forget october.store /data/uploads/4711.jpg`

    - `clipwarden store forget october.store "$(sha256sum < photo.jpg | cut -c-64)"`

    **Exit codes**: 0 all forgotten · 2 some name is not in the store; the others are forgotten · 8 unusable
    store, or one in which something of it could not be deleted.
    """
    require_tune()
    from dataclasses import asdict

    forgotten = _forget(folder, names)
    if as_json:
        print(json.dumps(asdict(forgotten)))  # noqa: T201  results go to stdout
    else:
        text = f"{forgotten.uploads:,} uploads and {forgotten.pictures:,} pictures are forgotten."
        stdout().print(text, soft_wrap=True)
        for digest in forgotten.kept:
            notice(f"The picture {digest} stays: uploads of other names show it. Forget it by that digest.")
    for name in forgotten.unknown:
        notice(
            printable(
                f"{name} is not in the store. Uploads are called as their manifest had them, or by the path that they "
                "were embedded from; a digest as of sha256sum finds a picture under any name."
            )
        )
    if forgotten.remains:
        notice(
            printable(
                f"{forgotten.remains}. It numbers pictures that look alike, and is read no more; delete it as who may."
            )
        )
        return Exit.DATA
    return Exit.USAGE if forgotten.unknown else Exit.OK


def _forget(folder: Path, names: "Sequence[str]") -> "Forgotten":
    """Forget by names as they are, then by the paths that they stand for here: a folder's files have absolute ones."""
    from clipwarden.cli.embedsources import uri_of
    from clipwarden.tuning.store.forgetting import Forgotten, forget

    first = forget(folder, names)
    paths = {uri_of(name): name for name in first.unknown if uri_of(name) != name}
    if not paths:
        return first
    second = forget(folder, [*paths])
    found = {name for path, name in paths.items() if path not in second.unknown}
    return Forgotten(
        uploads=first.uploads + second.uploads,
        pictures=first.pictures + second.pictures,
        kept=tuple(sorted({*first.kept, *second.kept})),
        unknown=tuple(name for name in first.unknown if name not in found),
        remains=second.remains,
    )
