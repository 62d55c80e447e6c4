"""clipwarden moderate: names of files and folders in, their verdicts printed, in the order of the names."""

import inspect
import math
from typing import Annotated

import typer

from clipwarden.cli.exits import EXIT_CODES_HELP, Exit
from clipwarden.cli.leftovers import LEFT_OUT_HELP
from clipwarden.cli.options import TIMEOUT_SECONDS, JudgeOptions, MaxDecodeBytes, MaxImageBytes, read_limits
from clipwarden.cli.serveroptions import (
    ClientCertificate,
    ClientKey,
    InsecureToken,
    ProxyUrl,
    RootCertificates,
    RoundRobin,
    ServerName,
    ServerOptions,
    Tls,
    TokenFile,
    require_address,
    require_server,
)
from clipwarden.engine.settings import AT_ONCE
from clipwarden.errors import ConfigError

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
Only = Annotated[
    str | None,
    typer.Option(
        metavar="RESULTS",
        help="Show only these of ALLOW, REVIEW, BLOCK, NOT-JUDGED and LEFT-OUT, with commas between them. All are "
        "counted all the same, in the last line and the exit code.",
    ),
]
Csv = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="Write a CSV file that spreadsheets open, with a row an image; `-` for standard output."
    ),
]
Picture = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="With --explain, of one image: write a PNG that shows where in it each category was found. One that is "
        "there is written over, unless it is the image itself.",
    ),
]


def moderate(
    files: Files,
    *,
    server: Server = None,
    policy: Policy = None,
    model: ModelOption = None,
    context: Context = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Look into folders inside folders.")] = False,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Follow links inside folders, to each folder once.")
    ] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Look at what begins with a dot inside folders.")] = False,
    only: Only = None,
    csv: Csv = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line an image, as it is judged.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", "-v", help="Show every category, score and text of each image.")
    ] = False,
    picture: Picture = None,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Include embeddings in --json. They can be personal data.")
    ] = False,
    concurrency: Annotated[int, typer.Option(metavar="IMAGES", help="Images at work at the same time.")] = AT_ONCE,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest wait for one image, with --server.")
    ] = TIMEOUT_SECONDS,
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Let calls that somebody waits for go first. With --server.")
    ] = False,
    tls: Tls = False,
    root_certificates: RootCertificates = None,
    client_certificate: ClientCertificate = None,
    client_key: ClientKey = None,
    server_name: ServerName = None,
    token_file: TokenFile = None,
    insecure_token: InsecureToken = False,
    proxy: ProxyUrl = None,
    round_robin: RoundRobin = False,
    max_image_bytes: MaxImageBytes = None,
    max_decode_bytes: MaxDecodeBytes = None,
) -> Exit:
    """Judge images: files, folders, or `-` for one image on standard input.

    Without --server the images are judged in this process, by the embedded model or the one that --model names.

    In a folder, whatever begins like an image or is named like one is judged, or reported as not judged with its
    reason, in the order of names. All else that is there is counted and named; nothing is passed over in silence.

    **Examples**

    - `clipwarden moderate sticker.png` says what the embedded model and its policy make of it.

    - `clipwarden moderate uploads/ --recursive --json > verdicts.jsonl` writes a JSON line for each image.

    - `clipwarden moderate uploads/ --only BLOCK,REVIEW` shows what is for people to look at, and counts the rest.

    - `clipwarden moderate uploads/ -r --csv verdicts.csv` writes a file that spreadsheets open.

    - `curl -s URL | clipwarden moderate - --explain` shows all categories and the numbers behind them.

    - `clipwarden moderate strip.jpg --explain --picture where.png` draws where in the image it was found.

    - `clipwarden moderate a.png b.png --server localhost:50051 --policy default` asks a running server.

    - `clipwarden moderate photo.jpg --model ./clip-b32 --policy mine.yaml` tries a model and a policy of your own.
    """
    if as_json + explain + (csv is not None) > 1:
        raise ConfigError(
            "--json, --csv and --explain exclude one another: each is a way to show the same. Choose one."
        )
    if embeddings and not as_json:
        raise ConfigError("--embeddings makes sense with --json only.")
    if picture is not None and not explain:
        raise ConfigError("--picture makes sense with --explain only.")
    options = JudgeOptions(
        server=server,
        policy=policy,
        model=model,
        context=context,
        limits=read_limits(max_image_bytes, max_decode_bytes),
        concurrency=concurrency,
        timeout_seconds=timeout,
        return_embeddings=embeddings,
        bulk=bulk,
        reach=ServerOptions(
            tls=tls,
            root_certificates=root_certificates,
            client_certificate=client_certificate,
            client_key=client_key,
            server_name=server_name,
            token_file=token_file,
            insecure_token=insecure_token,
            proxy=proxy,
            round_robin=round_robin,
        ),
    )
    if server is not None and max_decode_bytes:
        raise ConfigError("--max-decode-bytes is a server's own setting; not with --server.")
    _check(options)
    # Late, as all that works.
    from clipwarden.cli.inputs import Search
    from clipwarden.cli.judging import judge_files
    from clipwarden.cli.report import make_report
    from clipwarden.cli.selection import selected

    shown = None if only is None else selected(only)
    report = make_report(as_json=as_json, explain=explain, csv=csv, only=shown)
    search = Search(recursive=recursive, follow_links=follow_links, hidden=hidden)
    if picture is None:
        return judge_files(files, search, options, report)
    from clipwarden.cli.picture import require_place

    return judge_files(files, search, options, report, picture=require_place(picture))


# No docstring can be put together from texts.
moderate.__doc__ = f"{inspect.getdoc(moderate)}\n\n{LEFT_OUT_HELP}\n\n{EXIT_CODES_HELP}"


def _check(options: JudgeOptions) -> None:
    if options.server is not None and options.model is not None:
        raise ConfigError("--model and --server exclude each other: a server has its own model.")
    if options.server is None:
        require_server(options.reach)
    else:
        require_address(options.server)
    if options.server is None and options.bulk:
        raise ConfigError("--bulk makes sense with --server only: nobody else waits for this process.")
    if options.concurrency < 1 or not 0 < options.timeout_seconds < math.inf:
        raise ConfigError("--concurrency must be at least 1, and --timeout above 0.")
