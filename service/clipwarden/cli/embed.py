"""clipwarden embed: images in, a store of what a model sees in them out, for every policy to be tried on them."""

from pathlib import Path
from typing import Annotated

import typer

from clipwarden.cli.exits import Exit
from clipwarden.cli.options import MaxDecodeBytes, MaxImageBytes, read_limits
from clipwarden.engine.settings import AT_ONCE
from clipwarden.errors import ConfigError
from clipwarden.modelfolder.runtime import CPU_PROVIDER
from clipwarden.tuning.extra import require_tune
from clipwarden.vision.plan import MAX_VIEWS, WHOLE, ViewPlan, Views


def embed(
    source: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Images, folders, and manifests (.csv, .jsonl).", show_default=False),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="STORE", help="Store to make, or to go on with.")],
    *,
    traffic: Annotated[
        bool, typer.Option("--traffic", help="These are all uploads of --from to --to, or a uniform sample of them.")
    ] = False,
    chosen: Annotated[bool, typer.Option("--set", help="Somebody chose these. The default.")] = False,
    queue: Annotated[bool, typer.Option("--queue", help="These came to reviewers, or back from appeals.")] = False,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Of --traffic: its first day (UTC), as 2026-10-01.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Of --traffic: its last day.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help='Model folder. Default: "mini", the embedded model.')
    ] = None,
    views: Annotated[
        str, typer.Option(metavar="VIEWS", help=f"Which parts of a picture are looked at: {', '.join(Views)}.")
    ] = WHOLE.views.value,
    frames: Annotated[
        int, typer.Option(metavar="COUNT", help=f"Most frames of an animation that are looked at, 1 to {MAX_VIEWS}.")
    ] = WHOLE.frames,
    slice_: Annotated[
        list[str] | None,
        typer.Option("--slice", metavar="COLUMN", help="A manifest's column that divides uploads. Repeatable."),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where a manifest's relative paths begin. Default: its own folder."),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders inside folders.")] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links inside folders, to each folder once.")
    ] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Look at what begins with a dot inside folders.")] = False,
    provider: Annotated[str, typer.Option(metavar="PROVIDER", help="As of `serve`.")] = CPU_PROVIDER,
    concurrency: Annotated[int, typer.Option(metavar="IMAGES", help="Images at work at the same time.")] = AT_ONCE,
    max_image_bytes: MaxImageBytes = None,
    max_decode_bytes: MaxDecodeBytes = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end.")] = False,
) -> Exit:
    """Keep what a model sees in images, so that any policy can be tried on them without encoding them again.

    STORE is a folder with a row an upload and, for each distinct picture, its vectors: what the server's encoder gives,
    to the bit. No policy is looked at. Pictures themselves are not copied, but vectors can be personal data:
    `clipwarden store forget` takes some out.

    Say what the uploads are. Only `--traffic --from DAY --to DAY` lets later commands promise anything about traffic.

    A **manifest** has a row an upload: `path`, or `uri` (a name; where there is no path, a local one); `time` (as in
    2026-10-01T12:00:00Z; without a zone it is UTC); and columns called `slice:NAME`, or named by --slice, that divide
    uploads (`slice:country`).

    **--views and --frames** are the policy's own, `defaults.views` and `defaults.frames`: a policy is tried on stores
    of its view plan alone, since over more views all scores are higher.

    What was begun goes on: whatever ended a run, the same command embeds what is missing. A file that cannot be judged
    is a row with its reason, and is tried again by the next run.

    **Examples**

    - `clipwarden embed uploads/ -r -o october.store --traffic --from 2026-10-01 --to 2026-10-31`

    - `clipwarden embed uploads.csv -o october.store --traffic --from 2026-10-01 --to 2026-10-31 --slice country`

    - `clipwarden embed drawings/ -o drawings.store --model ./clip-b32`

    - `clipwarden embed clips/ -r -o clips.store --views auto --frames 16`

    **Exit codes**: 0 all embedded · 5 something was left out of a folder that is or may hold an image · 30 some files
    cannot be judged · 2 wrong usage, or nothing to embed · 4 unusable model or runtime · 8 STORE cannot be used, or is
    another · 1 failure · 130 interrupted; what was done is kept.
    """
    require_tune()
    from clipwarden.cli.embedrun import EmbedOptions, Purpose, run
    from clipwarden.cli.embedsources import Sources
    from clipwarden.cli.inputs import Search
    from clipwarden.cli.manifests import Reading

    if concurrency < 1:
        raise ConfigError("--concurrency must be at least 1.")
    if views not in tuple(Views):
        raise ConfigError(f"--views has to be one of {', '.join(Views)}, not {views!r}.")
    if not 1 <= frames <= MAX_VIEWS:
        raise ConfigError(f"--frames has to be a number from 1 to {MAX_VIEWS}, not {frames}.")
    purpose = Purpose.of(output, traffic=traffic, chosen=chosen, queue=queue, since=since, until=until)
    reading = Reading(root=root, slices=slice_ or (), since=purpose.since, until=purpose.until)
    search = Search(recursive=recursive, follow_links=follow_links, hidden=hidden)
    options = EmbedOptions(
        model=model,
        provider=provider,
        plan=ViewPlan(views=Views(views), frames=frames),
        limits=read_limits(max_image_bytes, max_decode_bytes),
        at_once=concurrency,
    )
    return run(Sources(names=source, search=search, reading=reading), output, purpose, options, as_json=as_json)
