"""clipwarden serve: judge images over gRPC until told to stop. Its options are the server's settings, one for one."""

import inspect
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from clipwarden.serving.config import ENV_PREFIX, RETIRED_SETTINGS, SETTING_DOCS, SettingDocs
from clipwarden.serving.sources import load_settings

CONFIG_VARIABLE = f"{ENV_PREFIX}CONFIG"


def serve(*, config: Sequence[Path] | None, check: bool, **flags: str | Sequence[str] | None) -> None:
    """Judge images over gRPC until SIGTERM or Ctrl-C; a second one stops at once.

    Policies, certificates and tokens are loaded again when their files change, and at SIGHUP; a model by a new start.

    Each option can also be set by its environment variable, or in a YAML file of settings under the same name with
    underscores. Options win over variables, variables over files, and a later file over an earlier one.
    """
    if not check:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server is there to heed it
    settings = load_settings(flags, os.environ, config or ())
    from clipwarden.serving.process import check_loads, serve_until_signal

    if check:
        typer.echo(check_loads(settings))
    else:
        serve_until_signal(settings)


def _option(docs: SettingDocs) -> inspect.Parameter:
    # typer would read variables by its own rules, and print them in brackets that rich takes for markup.
    text = f"{docs.help} Default: {docs.default_text}. Variable: {docs.variable}."
    option = typer.Option(docs.flag, metavar=docs.unit, help=text, show_default=False)
    kind = list[str] | None if docs.repeated else str | None
    return inspect.Parameter(
        docs.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _own_options() -> list[inspect.Parameter]:
    config = typer.Option(
        "--config",
        metavar="FILE",
        help="YAML file with settings. May be repeated, such as for a plan: later ones win. "
        f"Variable: {CONFIG_VARIABLE}, with {os.pathsep!r} between files.",
        envvar=CONFIG_VARIABLE,
        show_envvar=False,
    )
    check = typer.Option(
        "--check", help="Load settings, model, policies, certificates and tokens, say what was loaded, and leave."
    )
    keyword = inspect.Parameter.KEYWORD_ONLY
    # Hidden, and refused with what to write instead.
    retired = [
        inspect.Parameter(
            name,
            keyword,
            default=None,
            annotation=Annotated[str | None, typer.Option(f"--{name.replace('_', '-')}", hidden=True)],
        )
        for name in RETIRED_SETTINGS
    ]
    return [
        *retired,
        inspect.Parameter("config", keyword, default=None, annotation=Annotated[list[Path] | None, config]),
        inspect.Parameter("check", keyword, default=False, annotation=Annotated[bool, check]),
    ]


# typer reads options from the signature: one is made here for each setting, so that no help text is written twice.
serve.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [*_own_options(), *(_option(docs) for docs in SETTING_DOCS.values())]
)
