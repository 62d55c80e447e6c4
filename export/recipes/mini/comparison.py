"""Records of `compare` and `decide` in, Markdown tables out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from clipwarden.tuning.gate import Slice, judge_slice
from recipes.mini.identity import GATED
from recipes.mini.rules import CEILINGS

Record = Mapping[str, Any]
_LONGEST_LIST: Final = 8


def gate_tables(record: Record) -> str:
    """Write the slice gate: counts, upper limits and what they decide.

    Args:
        record: As `decide` returned it.

    Returns:
        Markdown.
    """
    head = ["| category | " + " | ".join(GATED) + " | decision |", "|---" * (len(GATED) + 2) + "|"]
    rows = [
        f"| {name} | " + " | ".join(_gate_cells(found["slices"])) + f" | {_decision(found['decision'])} |"
        for name, found in record.items()
    ]
    return "\n".join([*head, *rows])


def _gate_cells(slices: Record) -> Iterator[str]:
    for of_slice in zip(*(slices[band] for band in CEILINGS), strict=True):
        yield "; ".join(_gate_cell(each, ceiling) for each, ceiling in zip(of_slice, CEILINGS.values(), strict=True))


def _gate_cell(band: Record, ceiling: float) -> str:
    unseen = band["unseen"]
    alone = judge_slice(Slice(name="", stopped=unseen["stopped"], groups=unseen["groups"]), ceiling)
    return (
        f"{band['stopped']} of {band['groups']} (at most {100 * band['high']:.1f} %, {band['outcome']}; "
        f"held out {unseen['stopped']} of {unseen['groups']}, {alone})"
    )


def _decision(decision: Record) -> str:
    return "enforce" if decision["enforce"] else f"shadow: {'; '.join(decision['reasons'])}"


def compare_tables(versions: Sequence[Record]) -> str:
    """Write two versions beside each other.

    Args:
        versions: As `compare` returned them.

    Returns:
        Markdown: categories, slices, fixtures and twins.
    """
    parts = [
        "#### Found and wrongly stopped, by category\n",
        _categories(versions),
        "\n#### Wrongly stopped, by slice\n",
        _slices(versions),
        "\n#### Fixtures\n",
        _fixtures(versions),
        "\n#### Twins\n",
        _twins(versions),
        "\n#### Wrongly stopped, by skin tone (reviewed or blocked / blocked)\n",
        _tones(versions),
    ]
    return "\n".join(parts)


def slice_tables(versions: Sequence[Record], title: str) -> str:
    """Write what concerns people alone: slices, fixtures counted, twins counted, skin tones.

    Args:
        versions: As `compare` returned them.
        title: Says which drawings.

    Returns:
        Markdown.
    """
    parts = [f"#### {title}\n", _slices(versions), ""]
    for version in versions:
        fixtures, twins = version["fixtures"], version["twins"]["verdict"]
        allow, stop = _holds(fixtures["must_allow"]), _holds(fixtures["must_stop"])
        parts.append(
            f"- {version['version']}: {allow} that must be allowed are (blocked: "
            f"{len(fixtures['must_allow']['blocked'])}), {stop} that must stop do; {len(twins['differing'])} of "
            f"{twins['sets']} sets of twins differ."
        )
    return "\n".join([*parts, "", "Reviewed or blocked / blocked by skin tone:", "", _tones(versions)])


def _categories(versions: Sequence[Record]) -> str:
    head = (
        "| category | version | mode | found: review or block | block | wrong: review or block | block |\n"
        "|---|---|---|---|---|---|---|"
    )
    names = [*versions[-1]["categories"], *versions[-1]["verdicts"]]
    return "\n".join([head, *(_category_row(name, version) for name in names for version in versions)])


def _category_row(name: str, version: Record) -> str:
    found = {**version["categories"], **version["verdicts"]}[name]
    cells = [
        *(_hits(found["found"][band]) for band in ("review", "block")),
        *(_percent(found["wrong"][band]) for band in ("review", "block")),
    ]
    return f"| {name} | {version['version']} | {found.get('mode', '')} | {' | '.join(cells)} |"


def _hits(share: Record) -> str:
    return f"{share['hits']} of {share['of']} ({100 * share['low']:.0f}-{100 * share['high']:.0f} %)"


def _percent(share: Record) -> str:
    return f"{100 * share['value']:.2f} % ({100 * share['low']:.2f}-{100 * share['high']:.2f})"


def _slices(versions: Sequence[Record]) -> str:
    names = [*versions[-1]["categories"]]
    head = (
        "| slice | groups | version | verdict: review or block | block | if all were enforced | "
        + " | ".join(names)
        + " |\n"
        + "|---" * (len(names) + 6)
        + "|"
    )
    rows = [_slice_row(s, version, names) for s in versions[-1]["slices"] for version in versions]
    return "\n".join([head, *rows])


def _slice_row(name: str, version: Record, categories: Iterable[str]) -> str:
    counted = version["slices"][name]
    verdict = counted["verdict"]
    names = ("if all were enforced", *categories)
    each = [f"{counted[name]['review']['stopped']} / {counted[name]['block']['stopped']}" for name in names]
    return (
        f"| {name} | {verdict['review']['groups']} | {version['version']} | {_limits(verdict['review'])} | "
        f"{_limits(verdict['block'])} | {' | '.join(each)} |"
    )


def _limits(counted: Record) -> str:
    return f"{counted['stopped']} ({100 * counted['low']:.1f}-{100 * counted['high']:.1f} %)"


def _fixtures(versions: Sequence[Record]) -> str:
    lines = []
    for version in versions:
        allow, stop = version["fixtures"]["must_allow"], version["fixtures"]["must_stop"]
        lines += [
            f"- {version['version']}: {_holds(allow)} that must be allowed are, {_holds(stop)} that must stop do.",
            f"  - blocked: {_list(allow['blocked'])}",
            f"  - reviewed ({len(allow['reviewed'])}): {_list(allow['reviewed'], _LONGEST_LIST)}",
            f"  - missed: {_list(stop['missed'])}",
        ]
    return "\n".join(lines)


def _holds(counted: Record) -> str:
    return f"{counted['holds']} of {counted['of']}"


def _twins(versions: Sequence[Record]) -> str:
    lines = ["| version | sets of twins | differ in the verdict | " + " | ".join(versions[-1]["categories"]) + " |"]
    lines.append("|---" * (len(versions[-1]["categories"]) + 3) + "|")
    for version in versions:
        twins = version["twins"]
        counts = [str(len(twins[name]["differing"])) for name in ("verdict", *version["categories"])]
        lines.append(f"| {version['version']} | {twins['verdict']['sets']} | {' | '.join(counts)} |")
    latest = versions[-1]["twins"]
    lines += ["", f"Twins that differ under {versions[-1]['version']}:", ""]
    enforced = [n for n, found in versions[-1]["categories"].items() if found["mode"] == "enforce"]
    for name, words in latest["verdict"]["differing"].items():
        why = ", ".join(n for n in enforced if name in latest[n]["differing"])
        lines.append(f"- {name} ({why}): {_by_verdict(words)}")
    return "\n".join(lines)


def _tones(versions: Sequence[Record]) -> str:
    """Write what was stopped by skin tone."""
    tones = versions[-1]["tones"]
    head = ["| version | " + " | ".join(tones) + " |", "|---" * (len(tones) + 1) + "|"]
    rows = [
        f"| {v['version']} | "
        + " | ".join(f"{c['review']} / {c['block']} of {c['of']}" for c in v["tones"].values())
        + " |"
        for v in versions
    ]
    return "\n".join([*head, *rows])


def _by_verdict(words: Mapping[str, list[str]]) -> str:
    fewest = min(words, key=lambda word: len(words[word]))
    return f"{fewest} {_list(words[fewest], _LONGEST_LIST)}; {_others(words, fewest)}"


def _others(words: Mapping[str, list[str]], fewest: str) -> str:
    return ", ".join(f"{word} the other {len(names)}" for word, names in words.items() if word != fewest)


def _list(names: list[str], longest: int | None = None) -> str:
    if not names:
        return "none"
    shown = names if longest is None else names[:longest]
    rest = len(names) - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest else "")
