"""Keys of maps are set and deleted, and every other character stays as it is."""

import difflib
import re
from datetime import date

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clipwarden.policy.language.dump import policy_document
from clipwarden.policy.language.load import parse_policy
from clipwarden.policy.schema import By, ChosenOn, Policy
from clipwarden.textfiles.editing import Entry, Layout, edit_maps, layout_of
from clipwarden.textfiles.rendering import Word, in_one_line
from kit.policies import learned_of, policies

M = ("m",)


def put(text: str, **entries: str | None) -> str:
    return edit_maps(text, [Entry(path=M, key=key, value=value) for key, value in entries.items()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m: {a: 1}\n", 'm: {a: 1, b: "x"}\n'),
        ("m: {a: 1 }  # c\nz: 2\n", 'm: {a: 1, b: "x" }  # c\nz: 2\n'),
        ("m: {a: 1, }\n", 'm: {a: 1, b: "x", }\n'),
        ("m: {a: 1, # c\n  z: 2 # d\n  }\n", 'm: {a: 1, # c\n  z: 2, b: "x" # d\n  }\n'),
        ("m: {a: [1, 2]}\n", 'm: {a: [1, 2], b: "x"}\n'),
        ("m: {a: one two\n  three}\n", 'm: {a: one two\n  three, b: "x"}\n'),
        ('{"m": {"a": "1"}}', '{"m": {"a": "1", "b": "x"}}'),
        ("m:\n  a: 1\n", 'm:\n  a: 1\n  b: "x"\n'),
        ("m:\n  a: 1  # c\n\n# d\nz: 2\n", 'm:\n  a: 1  # c\n  b: "x"\n\n# d\nz: 2\n'),
        ("m:\n      a: 1", 'm:\n      a: 1\n      b: "x"'),
        ("m:\r\n  a: 1\r\nz: 2\r\n", 'm:\r\n  a: 1\r\n  b: "x"\r\nz: 2\r\n'),
        ("m:\n  a: >\n    one\n    two\n\n# c\nz: 2\n", 'm:\n  a: >\n    one\n    two\n  b: "x"\n\n# c\nz: 2\n'),
        ("m:\n  a:\n  - 1\n  - {c: 2} # c\nz: 1\n", 'm:\n  a:\n  - 1\n  - {c: 2} # c\n  b: "x"\nz: 1\n'),
        ("m:\n  a:\n    c:\n      d: 'e' # f\n", "m:\n  a:\n    c:\n      d: 'e' # f\n  b: \"x\"\n"),
        ("m:\n  ? a\n  : 1\n", 'm:\n  ? a\n  : 1\n  b: "x"\n'),
        ("---\nm:\n  a: 1 # c\n...\n", '---\nm:\n  a: 1 # c\n  b: "x"\n...\n'),
        ("q: '猫 🐈'\nm: {a: 🐈}\n", "q: '猫 🐈'\nm: {a: 🐈, b: \"x\"}\n"),
    ],
)
def test_a_new_key_comes_last(text: str, expected: str) -> None:
    assert put(text, b="x") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m: {b: 1, a: 2}  # c\n", 'm: {b: "x", a: 2}  # c\n'),
        ("m:\n  b: 'old'   # c\n  a: 2\n", 'm:\n  b: "x"   # c\n  a: 2\n'),
        ("m:\n  b: |\n    old\n    text\n\n  a: 2\n", 'm:\n  b: "x"\n\n  a: 2\n'),
        ("m:\n  b: old\n    text # c\n  a: 2\n", 'm:\n  b: "x" # c\n  a: 2\n'),
        ('m: {"b":1}', 'm: {"b":"x"}'),
        ("m:\n  b: {c: 1}\n", 'm:\n  b: "x"\n'),
    ],
)
def test_a_value_is_replaced_where_it_stands(text: str, expected: str) -> None:
    assert put(text, b="x") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m: {b: 1, a: 2}\n", "m: {a: 2}\n"),
        ("m: {a: 2, b: 1}\n", "m: {a: 2}\n"),
        ("m: {a: 2, b: 1, }\n", "m: {a: 2, }\n"),
        ("m: {z: 1, b: 1, a: 2}\n", "m: {z: 1, a: 2}\n"),
        ("m: {a: 2, # c\n  b: 1}\n", "m: {a: 2, # c\n  }\n"),
        ("m:\n  b: 1 # c\n  a: 2\n", "m:\n  a: 2\n"),
        ("m:\n  a: 2 # c\n  b: 1", "m:\n  a: 2 # c\n"),
        ("m:\n  b: >\n    old\n    text\n  a: 2\n", "m:\n  a: 2\n"),
        ("m:\r\n  b: 1\r\n  a: 2\r\n", "m:\r\n  a: 2\r\n"),
        ("m: {a: 2}\n", "m: {a: 2}\n"),
    ],
)
def test_a_key_is_deleted_with_its_line_or_comma(text: str, expected: str) -> None:
    assert put(text, b=None) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m: {a: 1, b: 2}\n", 'm: {a: 1, c: "x", d: "y"}\n'),
        ("m:\n  a: 1\n  b: 2\nz: 3\n", 'm:\n  a: 1\n  c: "x"\n  d: "y"\nz: 3\n'),
        ("m: {b: 2, a: 1, c: 3}\n", 'm: {a: 1, c: "x", d: "y"}\n'),
    ],
)
def test_many_edits_of_one_map_keep_their_order(text: str, expected: str) -> None:
    assert put(text, c="x", b=None, d="y") == expected


@pytest.mark.parametrize("value", ["a: b", "'", '"', "\\", "# no comment", "é 🐈", "{}", "- x", "null", "1.10", "a\tb"])
def test_any_text_is_read_back(value: str) -> None:
    for text in ("m: {a: 1}\n", "m:\n  a: 1\n"):
        assert yaml.safe_load(put(text, b=value)) == {"m": {"a": 1, "b": value}}


DEEP = {
    "a": Word("x"),
    "b": {"c": 0.00001, "d": date(2026, 11, 29)},
    "e": ["one" * 20, "two: #"],
    "f": ["short"],
    "g": 3,
}
LINES = f'a: x\nb: {{c: 0.00001, d: 2026-11-29}}\ne:\n- "{"one" * 20}"\n- "two: #"\nf: ["short"]\ng: 3'


def indented(spaces: int) -> str:
    return "\n".join(f"{' ' * spaces}{line}" for line in LINES.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m:\n  a: 1  # c\nz: 2\n", f"m:\n  a: 1  # c\n  b:\n{indented(4)}\nz: 2\n"),
        ("m:\n  b: {c: 1}  # why\n  a: 1\n", f"m:\n  b: # why\n{indented(4)}\n  a: 1\n"),
        ("m:\n  b:  # why\n    c: 1\n    d:\n    - 2 # e\n  a: 1\n", f"m:\n  b:  # why\n{indented(4)} # e\n  a: 1\n"),
        ("m:\n  b: old", f"m:\n  b:\n{indented(4)}"),
        ("m: {a: 1}\n", f"m: {{a: 1, b: {in_one_line(DEEP)}}}\n"),
        ("m: {b: [1], a: 1}  # c\n", f"m: {{b: {in_one_line(DEEP)}, a: 1}}  # c\n"),
    ],
)
def test_maps_of_maps_stand_on_lines_of_their_own_and_comments_stay(text: str, expected: str) -> None:
    written = edit_maps(text, [Entry(path=M, key="b", value=DEEP)])
    assert written == expected
    read = yaml.safe_load(written)["m"]["b"]
    assert read["b"] == {"c": 1e-5, "d": date(2026, 11, 29)}
    assert (read["e"], read["f"], read["g"]) == (["one" * 20, "two: #"], ["short"], 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m: {a: 1, z: 2}\n", "m: {a: 1, b: 3, z: 2}\n"),
        ("m:\n  a: 1  # c\n  z: 2\n", "m:\n  a: 1  # c\n  b: 3\n  z: 2\n"),
        ("m:\n  y: 1\n  z: 2\n", "m:\n  y: 1\n  z: 2\n  b: 3\n"),
    ],
)
def test_a_new_key_comes_behind_those_that_it_follows(text: str, expected: str) -> None:
    assert edit_maps(text, [Entry(path=M, key="b", value=3, after=("a", "aa"))]) == expected


def test_a_map_is_put_where_there_was_none() -> None:
    text = "api: 1  # c\nlast: 2\n"
    assert edit_maps(text, [Entry(path=(), key="m", value={"a": "x"}, after=("api",))]) == (
        'api: 1  # c\nm: {a: "x"}\nlast: 2\n'
    )


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("m: {a: 1}\n", Layout.FLOW),
        ("m: {a: '#', b: \"x # y\"} # c\n", Layout.FLOW),
        ("m: {a: 1, # c\n  b: 2}\n", Layout.FLOW_WITH_COMMENTS),
        ("m:\n  a: 1 # c\n", Layout.BLOCK),
        ("m: 1\n", None),
        ("l: [1]\n", None),
    ],
)
def test_how_a_map_stands_is_told(text: str, layout: Layout | None) -> None:
    assert layout_of(text, M) is layout


def test_a_path_that_leads_to_no_map_is_an_error() -> None:
    for path in (("n",), ("m", "a"), ("l", 0)):
        with pytest.raises(KeyError):
            edit_maps("m: {a: 1}\nl: [1]\n", [Entry(path=path, key="b", value="x")])


@st.composite
def layouts(draw: st.DrawFn, value: object, *, indent: int = 0, flow: bool = False) -> list[str]:
    """Lay a document out in lines, as some author might: block or flow, any quotes, comments, blank lines."""
    if isinstance(value, dict | list) and not value:
        return ["{}" if isinstance(value, dict) else "[]"]
    if isinstance(value, dict | list):
        inner_flow = flow or (indent > 0 and draw(st.booleans()))
        items = value.items() if isinstance(value, dict) else ((None, each) for each in value)
        parts = [(key, draw(layouts(item, indent=indent + 2, flow=inner_flow))) for key, item in items]
        return draw(_flow(parts, indent)) if inner_flow else draw(_block(parts, indent))
    return [draw(_scalar(value))]


@st.composite
def _scalar(draw: st.DrawFn, value: object) -> str:
    # A text that begins or ends with a quote is taken for a slip where it stands in none.
    styles = ["'", '"'] if re.search("[\"'\u2018-\u201f]", str(value)) else ["'", '"', None]
    style = draw(st.sampled_from(styles)) if isinstance(value, str) else None
    # Inside a list, so that what stands without quotes may do so in a flow collection too.
    text: str = yaml.safe_dump([value], default_style=style, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.strip()[1:-1]


COMMENTS = st.sampled_from(["", "", "  # a comment", " # {b: [c, 'd"])


@st.composite
def _flow(draw: st.DrawFn, parts: list[tuple[str | None, list[str]]], indent: int) -> list[str]:
    opening, closing = ("[", "]") if parts[0][0] is None else ("{", "}")
    lines = [opening]
    pad = " " * (indent + 2)
    for place, (key, value) in enumerate(parts):
        comma = "," if place < len(parts) - 1 or draw(st.booleans()) else ""
        first, *rest = value
        lines[-1] += first if key is None else f"{key}: {first}"
        lines += rest
        lines[-1] += f"{comma} "
        if draw(st.booleans()):
            lines[-1] += draw(COMMENTS)
            lines.append(pad)
    lines[-1] += closing
    return lines


@st.composite
def _block(draw: st.DrawFn, parts: list[tuple[str | None, list[str]]], indent: int) -> list[str]:
    lines: list[str] = [""]
    for key, value in parts:
        head = "-" if key is None else f"{key}:"
        first, *rest = value
        lines.append(f"{' ' * indent}{head} {first}".rstrip())
        lines += rest
        if lines[-1].strip():
            lines[-1] += draw(COMMENTS)
        lines += draw(st.sampled_from([[], [], [""], ["# between"]]))
    return lines


@st.composite
def files(draw: st.DrawFn) -> tuple[Policy, str]:
    policy = draw(policies())
    document = {key: value for key, value in policy_document(policy).items() if value}
    lines = draw(layouts(document))[1:]
    return policy, draw(st.sampled_from(["\n", "\r\n"])).join(lines) + draw(st.sampled_from(["", "\n"]))


@given(files(), st.sampled_from([None, 'kim: "é" # 🐈']))
@settings(deadline=None, max_examples=40)
def test_a_policy_laid_out_in_any_way_is_edited_and_nothing_else(
    drawn: tuple[Policy, str], approved_by: str | None
) -> None:
    policy, text = drawn
    learned = learned_of(policy)
    assert parse_policy(text, learned=learned).policy == policy
    bound = [index for index, each in enumerate(policy.categories) if each.thresholds and not each.thresholds.chosen_on]
    digest = "sha256:" + "cd" * 32
    told = {"version": "9.9.9", "author": "sam", "reason": "mended", "approved_by": approved_by}
    entries = [Entry(path=("metadata",), key=key, value=value) for key, value in told.items()]
    chosen = {"digest": digest, "by": "hand", "reason": 'on "trust": # 🐈', "approved_by": "kim"}
    written = [digest if index % 2 else chosen for index in bound]
    entries += [
        Entry(path=("categories", index, "thresholds"), key="chosen_on", value=value)
        for index, value in zip(bound, written, strict=True)
    ]
    edited = edit_maps(text, entries)

    again = parse_policy(edited, learned=learned).policy
    document, before = policy_document(again), policy_document(policy)
    kept = {key: value for key, value in before["metadata"].items() if key not in told}  # type: ignore[attr-defined]
    assert document["metadata"] == {**kept, **{key: value for key, value in told.items() if value}}
    for index, value in zip(bound, written, strict=True):
        found = again.categories[index].thresholds
        expected = ChosenOn(digest=digest) if isinstance(value, str) else ChosenOn(**{**chosen, "by": By.HAND})  # type: ignore[arg-type]
        assert found is not None
        assert found.chosen_on == expected
        document["categories"][index]["thresholds"].pop("chosen_on")  # type: ignore[index]
    assert {**document, "metadata": 0} == {**before, "metadata": 0}

    # Every line that holds none of what was written, replaced or deleted is still there, in its order.
    old, new = (re.split(r"\r?\n", each) for each in (text, edited))
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for kind, first, last, start, end in blocks:
        if kind != "equal":
            written = "\n".join(new[start:end])
            was = "\n".join(old[first:last])
            marks = ("9.9.9", "sam", "mended", "cd" * 32, "kim")
            assert any(mark in written for mark in marks) or "approved_by" in was
            assert last - first <= 1 or any(f"{key}:" in was for key in told)
    assert ("\r\n" in text) == ("\r\n" in edited) or "\n" not in text


@pytest.mark.parametrize(
    ("text", "gone", "left"),
    [
        ("{mode: enforce, review: 0.5, block: 0.9}", ("review", "block"), "{mode: enforce}"),
        ("{review: 0.5, mode: enforce, block: 0.9}", ("review", "block"), "{mode: enforce}"),
        ("{review: 0.5, block: 0.9, mode: enforce}", ("review", "block"), "{mode: enforce}"),
        ("{review: 0.5, block: 0.9, mode: enforce}", ("block", "mode"), "{review: 0.5}"),
        ("{mode: enforce, review: 0.5,\n  block: 0.9}", ("block", "review"), "{mode: enforce}"),
    ],
)
def test_keys_taken_out_of_braces_leave_no_comma(text: str, gone: tuple[str, ...], left: str) -> None:
    entries = [Entry(path=("shop",), key=key, value=None) for key in gone]
    assert edit_maps(f"shop: {text}  # ours\n", entries) == f"shop: {left}  # ours\n"
