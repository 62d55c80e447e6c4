"""What people type: the arguments and help of each command. Its work is in the module of its name.

That module is imported when the command runs: help, completion and a misspelt option need not wait for numpy, Pillow
and gRPC, which take most of a second.
"""
# ruff: noqa: PLC0415  for the reason above

import math
from pathlib import Path
from typing import Annotated

import typer

from clipwarden.cli.exits import EXIT_CODES_HELP
from clipwarden.cli.options import TIMEOUT_SECONDS, WIDTH, Asked
from clipwarden.errors import ConfigError

DEMO_HELP = """Start a server, judge a few drawn images over gRPC, explain one verdict, and stop the server.

Uses the embedded model and the shipped policy "stickers", and needs neither network nor a free port. One of the files
is cut in half, to show how an image that cannot be judged is answered. Ends with 0 if everything worked.
"""

MODERATE_HELP = f"""Judge images: files, folders, or `-` for one image on standard input.

Without --server the images are judged in this process, by the embedded model or the one that --model names.

**Examples**

- `clipwarden moderate sticker.png` says what the embedded model and its policy make of it.

- `clipwarden moderate uploads/ --recursive --json > verdicts.jsonl` writes a JSON line for each image.

- `curl -s URL | clipwarden moderate - --explain` shows all categories and the numbers behind them.

- `clipwarden moderate a.png b.png --server localhost:50051 --policy default` asks a running server.

- `clipwarden moderate photo.jpg --model ./clip-b32 --policy mine.yaml` tries a model and a policy of your own.

{EXIT_CODES_HELP}
"""

LINT_HELP = """Check policy files and say what to mend.

Every finding comes as `FILE:LINE:COLUMN: error|warning: MESSAGE MEND [RULE]`, which editors and CI can read.

With --explain no file is read: it tells what a key of the policy language is for, what may stand behind it, and what
holds without it.

With --model the policy is also checked against that model: texts that its tokenizer would cut off, prompts and
negatives that it can hardly tell apart, another fingerprint, stale calibrations.

**Examples**

- `clipwarden lint policies/*.yaml`

- `clipwarden lint mine.yaml --model ./clip-b32 --strict`

- `clipwarden lint --explain thresholds.review`

**Exit codes**: 0 no errors (with --strict: no warnings either) · 3 errors · 2 wrong usage · 4 unusable model.
"""

COMPILE_HELP = """Embed a policy's texts with a model, once, and write a bundle that servers load.

A bundle holds the policy, its vectors, its digest and the model's fingerprint; a server with another model refuses it.
Texts embedded before are taken from a cache, so that a changed threshold embeds nothing.

**Examples**

- `clipwarden compile policies/default.yaml --model ./clip-b32 -o default.bundle`

- `clipwarden serve --model ./clip-b32 --policy default.bundle`
"""

POLICIES_HELP = """List the policies that ship with clipwarden, or print one to start your own from.

With --schema, print the JSON Schema by which editors complete and check policy files while you type.

**Examples**

- `clipwarden policies`

- `clipwarden policies default > mine.yaml`

- `clipwarden policies --schema > policy.schema.json`
"""

MODELS_HELP = """Show what a model folder holds: without a name, the small model that ships with clipwarden.

A model folder is everything that decides an embedding, in one place: `image.onnx` (pixels to a vector), `text.onnx`
and `tokenizer.json` (a policy's texts to vectors; optional once policies are compiled), `background.safetensors`
(vectors of neutral texts that margins are measured from) and `model.json` (preprocessing, licence, golden
vectors, and the SHA-256 of every file). Its **fingerprint** is a digest over all that: policies that enforce are
bound to one fingerprint, since thresholds do not carry over to another model.

`clipwarden-export` makes model folders from CLIP checkpoints.

**Examples**

- `clipwarden models`

- `clipwarden models ./clip-b32 --verify` reads every file, checks digests, and runs the golden images and texts.

- `clipwarden models /srv/models` shows every model folder inside.
"""

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


def demo() -> None:
    """Show the whole way of an image; see DEMO_HELP."""
    from clipwarden.cli.demo import run_demo

    raise typer.Exit(run_demo())


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
    concurrency: Annotated[int, typer.Option(metavar="IMAGES", help="Images at work at the same time.")] = WIDTH,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Longest wait for one image, with --server.")
    ] = TIMEOUT_SECONDS,
    tls_ca: TlsCa = None,
) -> None:
    """Judge images; see MODERATE_HELP."""
    if server is not None and model is not None:
        raise ConfigError("--model and --server exclude each other: a server has its own model.")
    if server is None and tls_ca is not None:
        raise ConfigError("--tls-ca makes sense with --server only.")
    if embeddings and not as_json:
        raise ConfigError("--embeddings makes sense with --json only.")
    if concurrency < 1 or not 0 < timeout < math.inf:
        raise ConfigError("--concurrency must be at least 1, and --timeout above 0.")
    asked = Asked(
        server=server,
        policy=policy,
        model=model,
        context=context,
        concurrency=concurrency,
        timeout_seconds=timeout,
        return_embeddings=embeddings,
        root_certificates=tls_ca,
    )
    from clipwarden.cli.moderate import moderate_files

    raise typer.Exit(moderate_files(files, asked, recursive=recursive, as_json=as_json, explain=explain))


def lint(
    files: Annotated[
        list[str] | None,
        typer.Argument(metavar="POLICY...", help="Policy files, bundles, or names of shipped policies."),
    ] = None,
    *,
    explain: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="Tell what a key is for, such as thresholds.review, instead of checking."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help='Check against this model folder too, or "mini".')
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 3 on warnings too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line a finding, or a key.")] = False,
) -> None:
    """Check policies; see LINT_HELP."""
    from clipwarden.cli.lint import explain_key, lint_policies

    if explain and not files:
        explain_key(explain, as_json=as_json)
    elif files and not explain:
        raise typer.Exit(lint_policies(files, model=model, strict=strict, as_json=as_json))
    else:
        raise ConfigError("Name policies to check, or a key to --explain.")


def compile_(
    policy: Annotated[str, typer.Argument(help="Policy file, or the name of a shipped policy.", show_default=False)],
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The bundle to write or replace.", show_default=False)
    ],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model folder. Default: the embedded model.")
    ] = None,
    cache: Annotated[bool, typer.Option(help="Whether to use and fill the cache of text vectors.")] = True,
) -> None:
    """Compile a policy; see COMPILE_HELP."""
    from clipwarden.cli.compile import compile_to_bundle

    compile_to_bundle(policy, output, model=model, use_cache=cache)


def policies(
    name: Annotated[str | None, typer.Argument(help="Print this policy's file.", show_default=False)] = None,
    *,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON Schema of policy files, for editors.")
    ] = False,
) -> None:
    """List shipped policies; see POLICIES_HELP."""
    from clipwarden.cli.policies import list_policies, print_policy, print_schema

    if name is not None and schema:
        raise ConfigError("--schema is about every policy: name none.")
    if schema:
        print_schema()
    elif name is None:
        list_policies()
    else:
        print_policy(name)


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
    """Show model folders; see MODELS_HELP."""
    from clipwarden.cli.models import show_models

    show_models(folder, verify=verify, as_json=as_json)
