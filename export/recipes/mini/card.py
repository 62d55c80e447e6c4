"""Write the model card and the attributions from what was measured and from collections.json."""

import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from clipwarden.modelfolder.references import references_path
from recipes.mini.comparison import compare_tables, gate_tables, slice_tables
from recipes.mini.fetch import collections
from recipes.mini.report import Record, tables
from recipes.mini.rules import ENOUGH_POSITIVES
from recipes.mini.sets import ALL_SETS, SELECTION_SETS, role_of
from recipes.mini.trained import read_trained

_TEXT = "card_text.md"


def write_card(work: Path, folder: Path) -> None:
    """Write MODEL_CARD.md and ATTRIBUTION.md.

    Args:
        work: The work folder, with what `evaluate`, `decide` and `compare` wrote, each of them for every role.
        folder: The model folder.
    """
    report, selection = _read(work, "report"), _read(work, "selection")
    text = files("recipes.mini").joinpath(_TEXT).read_text(encoding="utf-8")
    trained = read_trained()
    fillings = {
        "{NAMES}": f"{trained['names']:,}",
        "{TRAINED}": _trained(trained),
        "{SUMMARY}": summary(report),
        "{COMPARE}": compare_tables(_versions(work, "report")).replace("#### ", "#### Report sets: "),
        "{GATE}": gate_tables(_read(work, "gate")),
        "{CHOSEN}": "\n\n".join(
            slice_tables(_versions(work, role), f"{role.capitalize()} sets") for role in ("selection", "training")
        ),
        "{REPORT}": tables(report),
        "{SELECTION}": tables(selection).replace("### ", "#### "),
    }
    for mark, words in fillings.items():
        text = text.replace(mark, words)
    (folder / "MODEL_CARD.md").write_text(text)
    (folder / "ATTRIBUTION.md").write_text(_attribution(work))


def summary(record: Record) -> str:
    """Set the figures beside what was asked for.

    Args:
        record: Of the report sets.

    Returns:
        A Markdown table; nothing is rounded in the model's favour.
    """
    recalls = {(r["icon_set"], r["view"], r["subset"]): r for r in record["recall"]}
    clean = recalls["emojione", "clean", "all"]
    lines = ["| asked for | measured | |", "|---|---|---|"]
    for key, goal in (("image_to_name_1", 0.5), ("image_to_name_5", 0.75)):
        lines.append(_line(f"emojione, image to name, recall@{key[-1]} at least {goal}", clean[key], goal))
    for view in ("dark", "noisy", "half_size"):
        share = recalls["emojione", view, "all"]["image_to_name_1"] / max(clean["image_to_name_1"], 1e-9)
        lines.append(_line(f"recall@1 on {view.replace('_', ' ')} composites at least 0.7 of that", share, 0.7))
    for row in record["moderation"]["clean"]:
        name, low = row["category"], row["auroc"]["low"]
        if row["positives"] >= ENOUGH_POSITIVES:
            lines.append(_line(f"{name}: lower bound of AUROC at least 0.9", low, 0.9))
        else:
            found = row["review"]["recall"]
            wanted = f"{name}: fewer than {ENOUGH_POSITIVES} positives, found at the review threshold"
            lines.append(f"| {wanted} | {found['hits']} of {found['of']} | shadow |")
    parity = record["parity"]
    kept = 1.0 - parity["verdicts_changed"] / parity["drawings"]
    lines.append(_line("verdicts unchanged by the export, at least 0.99", kept, 0.99))
    return "\n".join(lines)


def _line(wanted: str, value: float, goal: float) -> str:
    return f"| {wanted} | {value:.3f} | {'reached' if value >= goal else 'not reached'} |"


def _read(work: Path, name: str) -> Record:
    found: Record = json.loads((work / f"{name}.json").read_text())
    return found


def _versions(work: Path, role: str) -> list[Record]:
    found: list[Record] = json.loads((work / f"compare-{role}.json").read_text())
    return found


def _trained(facts: Record) -> str:
    clock = f"{facts['minutes']} minutes of wall clock beside other work"
    return f"{clock}, {facts['steps']:,} steps, {facts['samples']:,} samples"


def attribution_table(work: Path, sets: Iterable[str]) -> str:
    """Name the makers of icon sets.

    Args:
        work: The work folder, fetched.
        sets: Iconify prefixes.

    Returns:
        A Markdown table.
    """
    facts = collections(work)
    lines = ["| set | name | author | licence | role |", "|---|---|---|---|---|"]
    for prefix in sets:
        info = facts[prefix]
        author, licence = info["author"], info["license"]
        lines.append(
            f"| {prefix} | {info['name']} | [{author['name']}]({author.get('url', '')}) | "
            f"[{licence['spdx']}]({licence.get('url', '')}) | {role_of(prefix)} |"
        )
    return "\n".join(lines) + "\n"


def _attribution(work: Path) -> str:
    return (
        "# Attribution\n\n"
        "The image tower was trained on, and measured with, drawings of these icon sets, from npm `@iconify/json`.\n"
        "No drawing is contained in this folder but four noto-v1 renders among the golden images of `model.json`.\n\n"
        + attribution_table(work, ALL_SETS)
        + f"\nBeside it, `{references_path().name}` holds embeddings and names of drawings of "
        f"{' and '.join(SELECTION_SETS)}, made with this model for `clipwarden lint`; not the drawings themselves.\n"
        + "\nThe text tower is all-MiniLM-L6-v2 (Apache-2.0, by the Sentence-Transformers project), its weights stored "
        "as int8, its output centred.\nThe words for emoji come from emojibase-data (MIT) and @mdi/svg (Apache-2.0).\n"
    )
