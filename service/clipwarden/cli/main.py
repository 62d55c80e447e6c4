"""The command line's entry point: which commands there are, where they lie, and help for all of them together.

A command's file holds it whole: options, help (its docstring) and work. At its top it imports what its help needs; all
else is imported by the functions that work with it, so that `--help` and a misspelt option need not wait for numpy,
Pillow and gRPC, which take longer than all the rest.
"""

from typing import Annotated

import typer

import clipwarden
from clipwarden.cli.exits import EXIT_CODES_HELP, exit_of
from clipwarden.commandline import HELP_OPTIONS, CommandGroup

HELP = """Self-hosted image moderation that can be audited.

An image encoder looks at each image, a policy written in YAML says what to look for, and every verdict (ALLOW, REVIEW
or BLOCK) names the prompt, the contrast and the numbers behind it.

**First steps**

- `clipwarden demo` starts a server, judges a few images and explains one verdict.

- `clipwarden moderate sticker.png` judges an image here and now.

- `clipwarden serve` answers over gRPC; `from clipwarden import Client` calls it from Python.
"""

COMMANDS = {
    "demo": (
        "clipwarden.cli.demo:demo",
        "Start a server, judge a few drawn images over gRPC, explain one verdict, and stop the server.",
    ),
    "moderate": (
        "clipwarden.cli.moderate:moderate",
        "Judge images: files, folders, or `-` for one image on standard input.",
    ),
    "serve": (
        "clipwarden.cli.serve:serve",
        "Judge images over gRPC until SIGTERM or Ctrl-C; a second one stops at once.",
    ),
    "token": (
        "clipwarden.cli.token:token",
        "Make a token for somebody who calls a server, and the line that lets it in.",
    ),
    "health": (
        "clipwarden.cli.health:health",
        "Ask a server whether it serves: 0 yes, 6 no, 7 nobody answers there.",
    ),
    "plan": (
        "clipwarden.cli.plan:plan",
        "Measure how a model's encoder is best run on this machine, and write that down as settings.",
    ),
    "lint": (
        "clipwarden.cli.lint:lint",
        "Check policy files and say what to mend.",
    ),
    "compile": (
        "clipwarden.cli.compile:compile_",
        "Embed a policy's texts with a model, once, and write a bundle that servers load.",
    ),
    "policies": (
        "clipwarden.cli.policies:policies",
        "List the policies that ship with clipwarden, or print one to start your own from.",
    ),
    "diff": (
        "clipwarden.cli.diff:diff",
        "Say in words what changed from one policy to another, category by category.",
    ),
    "enforce": (
        "clipwarden.cli.enforce:enforce",
        "Write a version of a policy in which categories that only watched stop uploads.",
    ),
    "restore": (
        "clipwarden.cli.restore:restore",
        "Make a version of a policy live again, and keep the one that was.",
    ),
    "embed": (
        "clipwarden.cli.embed:embed",
        "Keep what a model sees in images, so that any policy can be tried on them without encoding them again.",
    ),
    "store": (
        "clipwarden.cli.store:store",
        "Say what a store holds, and with --check whether all of it is sound.",
    ),
    "store forget": (
        "clipwarden.cli.store:forget",
        "Take uploads out of a store, and the pictures that no other upload shows.",
    ),
    "sample": (
        "clipwarden.cli.sample:sample",
        "Draw pictures for people to label: a label file, and a page to label them on.",
    ),
    "tune": (
        "clipwarden.cli.tune:tune",
        "Say by labels what limits find and at what price, and write a version of the policy with new ones.",
    ),
    "audit verify": (
        "clipwarden.cli.audit:verify",
        "Check that an audit log is whole and unchanged, and say what is not.",
    ),
    "models": (
        "clipwarden.cli.models:models",
        "Show what a model folder holds: without a name, the small model that ships with clipwarden.",
    ),
    "models upgrade": (
        "clipwarden.cli.upgrade:upgrade",
        "Write a model folder anew, so that the model sees the colours that a browser shows.",
    ),
}


class Commands(CommandGroup):
    """The commands of `clipwarden`."""

    table = COMMANDS
    exit_of = staticmethod(exit_of)


app = typer.Typer(
    name="clipwarden",
    cls=Commands,
    help=HELP,
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # Tracebacks are for CLIPWARDEN_DEBUG=1, and then in full.
    pretty_exceptions_enable=False,
    context_settings=HELP_OPTIONS,
)


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
