"""clipwarden diff: two policies in, what changed between them in words out."""

import json
from typing import Annotated

import typer

from clipwarden.cli.exits import Exit
from clipwarden.terminal import notice, printable


def diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A policy file, a bundle, or a shipped policy's name.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="What became of it, in any of these forms.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> Exit:
    """Say in words what changed from one policy to another, category by category.

    Comments, layout and the order of lists are no change, and defaults count as if they were written. Learned vectors
    and heads are compared by what they hold. At the end stands what the changes mean: which calibrations and thresholds
    they void, whether any verdict can differ, and the digests.

    **Examples**

    - `clipwarden diff mine.yaml mine-1.4.1.yaml`

    - `clipwarden diff stickers ./stickers.bundle --json`

    **Exit codes**: 0 nothing changed · 10 something did, and is for somebody to look at · 2 wrong usage · 3 one of the
    two cannot be used. Where `diff` of other tools says 1, this says 10: 1 means here that a command failed.
    """
    from clipwarden.cli.changes import show_comparison
    from clipwarden.cli.comparison import compare
    from clipwarden.cli.policyfile import read_policy

    comparison = compare(read_policy(old), read_policy(new))
    if as_json:
        print(json.dumps(comparison.facts))  # noqa: T201  results go to stdout
    else:
        show_comparison(comparison)
    if comparison.same_version:
        metadata = comparison.new.policy.metadata
        notice(
            printable(
                f'Two digests share one name: both are version "{metadata.version}" of "{metadata.id}". '
                "Give the new one a version of its own, or a log cannot say which of the two judged."
            )
        )
    return Exit.REVIEW if comparison.changes else Exit.OK
