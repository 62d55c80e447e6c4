"""The command line's entry point: every command registered, its help told, its errors answered."""

from typing import Annotated

import typer

import clipwarden
from clipwarden.cli import commands
from clipwarden.cli.exits import EXIT_CODES_HELP, answering
from clipwarden.cli.serve import serve

HELP = """Self-hosted image moderation that can be audited.

An image encoder looks at each image, a policy written in YAML says what to look for, and every verdict (ALLOW, REVIEW
or BLOCK) names the prompt, the contrast and the numbers behind it.

**First steps**

- `clipwarden demo` starts a server, judges a few images and explains one verdict.

- `clipwarden moderate sticker.png` judges an image here and now.

- `clipwarden serve` answers over gRPC; `from clipwarden import Client` calls it from Python.
"""

_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="clipwarden",
    help=HELP,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # Tracebacks are for CLIPWARDEN_DEBUG=1, and then in full.
    pretty_exceptions_enable=False,
    context_settings=_HELP_OPTIONS,
)

for _name, _command, _help in (
    ("demo", commands.demo, commands.DEMO_HELP),
    ("moderate", commands.moderate, commands.MODERATE_HELP),
    ("serve", serve, None),
    ("lint", commands.lint, commands.LINT_HELP),
    ("compile", commands.compile_, commands.COMPILE_HELP),
    ("policies", commands.policies, commands.POLICIES_HELP),
    ("models", commands.models, commands.MODELS_HELP),
):
    app.command(_name, help=_help, context_settings=_HELP_OPTIONS)(answering(_command))


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer calls it with the flag
    if asked:
        typer.echo(f"clipwarden {clipwarden.__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Options of no command in particular."""


def main() -> None:
    """Run the command line."""
    app(prog_name="clipwarden")


if __name__ == "__main__":
    main()
