"""clipwarden moderate: names of files and folders in, their verdicts printed, in the order of the names."""

import asyncio
import inspect
import math
from collections.abc import Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.cli.exits import EXIT_CODES_HELP, Exit
from clipwarden.cli.inputs import Input, find_inputs
from clipwarden.cli.options import TIMEOUT_SECONDS, JudgeOptions, MaxDecodeBytes, MaxImageBytes, read_limits
from clipwarden.engine.settings import AT_ONCE
from clipwarden.errors import ConfigError
from clipwarden.serving.values import address
from clipwarden.terminal import notice

if TYPE_CHECKING:
    from clipwarden.cli.judges import Judge
    from clipwarden.cli.outcome import Outcome
    from clipwarden.cli.report import Report
    from clipwarden.engine.snapshot import Snapshot

FILE_UNREADABLE = "FILE_UNREADABLE"
"""Reason, in JSON and table, of a file that this process could not read; no server has ever seen it."""

Files = Annotated[list[str], typer.Argument(metavar="FILE|FOLDER|-...", help="What to judge.", show_default=False)]
Server = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Ask the server at HOST:PORT or unix:PATH, instead of judging here."),
]
Policy = Annotated[
    str | None,
    typer.Option(
        metavar="POLICY",
        help="With --server: id of a loaded policy. Else: a policy file, a bundle, or the name of a shipped policy "
        '(see `clipwarden policies`). Default: the server\'s; here "stickers" for the embedded model, else "default".',
    ),
]
ModelOption = Annotated[
    str | None, typer.Option(metavar="MODEL", help='Model folder, or "mini" for the embedded model. Not with --server.')
]
Context = Annotated[
    str | None, typer.Option(metavar="NAME", help="Context that the policy declares, which may change thresholds.")
]
TlsCa = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Connect by TLS, trusting these root certificates (PEM). With --server."),
]


def moderate(
    files: Files,
    *,
    server: Server = None,
    policy: Policy = None,
    model: ModelOption = None,
    context: Context = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders inside folders.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line an image, as it is judged.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", "-v", help="Show every category, score and text of each image.")
    ] = False,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Include embeddings in --json. They can be personal data.")
    ] = False,
    concurrency: Annotated[int, typer.Option(metavar="IMAGES", help="Images at work at the same time.")] = AT_ONCE,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest wait for one image, with --server.")
    ] = TIMEOUT_SECONDS,
    tls_ca: TlsCa = None,
    max_image_bytes: MaxImageBytes = None,
    max_decode_bytes: MaxDecodeBytes = None,
) -> Exit:
    """Judge images: files, folders, or `-` for one image on standard input.

    Without --server the images are judged in this process, by the embedded model or the one that --model names.

    **Examples**

    - `clipwarden moderate sticker.png` says what the embedded model and its policy make of it.

    - `clipwarden moderate uploads/ --recursive --json > verdicts.jsonl` writes a JSON line for each image.

    - `curl -s URL | clipwarden moderate - --explain` shows all categories and the numbers behind them.

    - `clipwarden moderate a.png b.png --server localhost:50051 --policy default` asks a running server.

    - `clipwarden moderate photo.jpg --model ./clip-b32 --policy mine.yaml` tries a model and a policy of your own.
    """
    if embeddings and not as_json:
        raise ConfigError("--embeddings makes sense with --json only.")
    options = JudgeOptions(
        server=server,
        policy=policy,
        model=model,
        context=context,
        limits=read_limits(max_image_bytes, max_decode_bytes),
        concurrency=concurrency,
        timeout_seconds=timeout,
        return_embeddings=embeddings,
        root_certificates=tls_ca,
    )
    if server is not None and (max_image_bytes or max_decode_bytes):
        raise ConfigError("--max-image-bytes and --max-decode-bytes are a server's own settings; not with --server.")
    _check(options)
    found = find_inputs(files, recursive=recursive)
    code = _report(found.inputs, options, as_json=as_json, explain=explain)
    if found.folders_left_out:
        notice(f"Folders not looked into: {found.folders_left_out}. Add --recursive to judge what they hold.")
    return code


# No docstring can be put together from texts.
moderate.__doc__ = f"{inspect.getdoc(moderate)}\n\n{EXIT_CODES_HELP}"


def _check(options: JudgeOptions) -> None:
    if options.server is not None and options.model is not None:
        raise ConfigError("--model and --server exclude each other: a server has its own model.")
    if options.server is not None and not _is_address(options.server):
        raise ConfigError(f"--server is {options.server!r}; it must be HOST:PORT or unix:PATH.")
    if options.server is None and options.root_certificates is not None:
        raise ConfigError("--tls-ca makes sense with --server only.")
    if options.concurrency < 1 or not 0 < options.timeout_seconds < math.inf:
        raise ConfigError("--concurrency must be at least 1, and --timeout above 0.")


def _is_address(server: str) -> bool:
    # Names in a scheme of gRPC's own, such as dns:///host, are left to it. To a host alone it would add port 443.
    if server.startswith(("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "vsock:", "xds:")):
        return True
    try:
        return address(server) is not None
    except ValueError:
        return False


def _report(inputs: Sequence[Input], options: JudgeOptions, *, as_json: bool, explain: bool) -> Exit:
    """Judge and print; what was judged is printed even where not every image could be tried."""
    from clipwarden.cli.judges import load_for
    from clipwarden.cli.report import make_report

    report = make_report(as_json=as_json, explain=explain)
    try:
        asyncio.run(_judge_all(inputs, options, load_for(options), report))
    finally:
        # What was judged before Ctrl-C or before the server went away is still worth seeing.
        report.finish()
    return report.tally.exit


async def _judge_all(
    inputs: Sequence[Input], options: JudgeOptions, snapshot: "Snapshot | None", report: "Report"
) -> None:
    from clipwarden.cli.judges import open_judge
    from clipwarden.cli.loading import progress_bar
    from clipwarden.engine.in_order import in_order

    async with (
        open_judge(options, snapshot, images=len(inputs)) as judge,
        aclosing(in_order(inputs, partial(_judge_one, judge), width=judge.width)) as outcomes,
    ):
        with progress_bar("Judging") as advance:
            done = 0
            async for outcome in outcomes:
                report.add(outcome)
                done += 1
                # A bar for one image would only flicker.
                advance(done, len(inputs) if len(inputs) > 1 else 0)


async def _judge_one(judge: "Judge", item: Input) -> "Outcome":
    from clipwarden.cli.outcome import NotJudgedError, Outcome

    try:
        data = await asyncio.to_thread(item.read, limit=judge.max_bytes)
        return Outcome(name=item.name, moderation=await judge.judge(data))
    except NotJudgedError as error:
        return Outcome(name=item.name, error=error)
    except OSError as error:
        message = f"the file cannot be read: {error.strerror or error}"
        return Outcome(name=item.name, error=NotJudgedError(message, code="UNKNOWN", reason=FILE_UNREADABLE))
