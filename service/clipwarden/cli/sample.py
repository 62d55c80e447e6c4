"""clipwarden sample: a store and a policy in; pictures to label, as a label file and as a page for people, out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clipwarden.cli.shares import read_share
from clipwarden.errors import ConfigError
from clipwarden.terminal import print_facts, printable, stdout

if TYPE_CHECKING:
    from clipwarden.cli.samplefiles import Written

ESCALATE_TO = "the person whom your organisation names for this"


def sample(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="Policy file, bundle, or name of a shipped one.", show_default=False)
    ],
    *,
    store: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Store of embedded pictures.", show_default=False)
    ] = None,
    n: Annotated[int | None, typer.Option("-n", metavar="N", help="How many pictures.", show_default=False)] = None,
    categories: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="What to look for: at most three.", show_default=False)
    ] = None,
    from_the_top: Annotated[
        str | None, typer.Option(metavar="CATEGORY", help="Walk down by this score instead.", show_default=False)
    ] = None,
    at_most: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Of uploads, stopped wrongly. Default: 0.5%.", show_default=False),
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(metavar="SHARE", help="Of that promise. Default: 95%.", show_default=False)
    ] = None,
    uniform_share: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Part drawn whatever the scores. Default: 20%.", show_default=False),
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Of the draw. Default: by the store.", show_default=False)
    ] = None,
    add: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Labels of a sample to add to.", show_default=False)
    ] = None,
    again: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Draw nothing: a new page for this sample.", show_default=False),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Label file to write.")] = Path(
        "labels.jsonl"
    ),
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Page to write. Default: beside the label file.", show_default=False),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Put blurred pictures into the page, from here.", show_default=False),
    ] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help="Put clear ones in too, behind the key R.")] = False,
    escalate_to: Annotated[
        str, typer.Option(metavar="TEXT", help="Whom the page says to tell of what must not be seen.")
    ] = ESCALATE_TO,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Model folder. Default: the embedded one.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Draw pictures for people to label: a label file, and a page to label them on.

    With -n and --categories each picture is drawn with a known probability, the likelier the nearer it lies to where
    limits may come to lie; rates of traffic follow from that. A part is drawn whatever the scores: --uniform-share 80%
    promises with fewer labels how much is found at all (`tune --review-recall`), where kinds may be missed that no
    prompt names. With --from-the-top pictures are drawn evenly and
    labelled from the highest score down, until enough were not of the category: a few dozen labels promise that wrong
    stops are rare. The same store and seed give the same sample. A later round with --add keeps what was labelled.

    The page (the contact sheet) works without a network and holds no pictures, unless --pictures says where they are;
    then they are blurred in their pixels. Clear ones are in the file only with --reveal, blurred until the key R is
    pressed: who labels by eye needs them, and the file is then to be kept as the pictures are. Each labeller opens the
    page, gives a name, and saves a label file; `clipwarden tune --labels` takes one or several of them.

    No file is ever overwritten.

    **Examples**

    - `clipwarden sample mine.yaml --store uploads.store -n 600 --categories weapons,drugs --pictures uploads/ --reveal`

    - `clipwarden sample mine.yaml --store uploads.store --from-the-top weapons -n 3000 --at-most 0.5%`

    - `clipwarden sample mine.yaml --store uploads.store -n 900 --add labels-kim.jsonl -o more.jsonl`

    - `clipwarden sample mine.yaml --again labels-kim.jsonl --sheet again.html --pictures uploads/ --reveal`

    **Exit codes**: 0 drawn · 2 wrong usage, or a store or labels that do not allow it · 3 unusable policy · 4 unusable
    model · 1 a file that cannot be written.
    """
    from clipwarden.tuning.extra import require_tune

    require_tune()
    from clipwarden.cli.samplefiles import require_new, write_sample
    from clipwarden.cli.sampling import Wish, draw, draw_again

    wish = Wish(
        n=n,
        categories=tuple(name.strip() for name in (categories or "").split(",") if name.strip()),
        top=from_the_top,
        at_most=None if at_most is None else read_share(at_most, "--at-most", small=True),
        confidence=None if confidence is None else read_share(confidence, "--confidence"),
        seed=seed,
        add=tuple(add or ()),
        uniform=None if uniform_share is None else read_share(uniform_share, "--uniform-share"),
    )
    if reveal and pictures is None:
        raise ConfigError("--reveal puts clear pictures into the page; say with --pictures where they are.")
    page = sheet or output.with_suffix(".html")
    require_new([page] if again else [output, page])
    drawn = draw_again(policy, again, wish) if again else draw(policy, store, model, wish)
    written = write_sample(
        drawn, None if again else output, page, pictures=pictures, reveal=reveal, escalate_to=escalate_to
    )
    if as_json:
        print(json.dumps(written.facts))  # noqa: T201  results go to stdout
    else:
        _show(written)


def _show(written: "Written") -> None:
    print_facts(written.rows)
    stdout().print()
    for sentence in written.sentences:
        stdout().print(printable(sentence), soft_wrap=True)
