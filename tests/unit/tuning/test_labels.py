"""Label files: what they say, in every form; what people differ on; and what is refused, in one sentence."""

import codecs
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as pq

from clipwarden.errors import LabelError
from clipwarden.tuning.labels import merging, textlines
from clipwarden.tuning.labels.jsonlines import HEADER_KEYS
from clipwarden.tuning.labels.model import Design, Labels, Mark, Walk, no_marks
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.labels.selecting import without_labels
from clipwarden.tuning.labels.writing import label_text, write_labels

CATEGORIES = ["weapons", "drugs", "gambling"]
NO_MARK = "is no mark: write 1, 0 or unsure, or leave it empty where nobody knows."
OTHER_FORMAT = ':1: the file is of the format "clipwarden.labels/2"; this version reads "clipwarden.labels/1".'
A, B, C = (letter * 64 for letter in "abc")


def read(path: Path, **options: object) -> Labels:
    return read_labels(path, categories=CATEGORIES, **options)  # type: ignore[arg-type]


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def refused(path: Path, **options: object) -> str:
    with pytest.raises(LabelError) as caught:
        read(path, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence[-1] in ".?"
    return sentence.removeprefix(f"{path}")


def header(**facts: object) -> str:
    return json.dumps({"labels": "clipwarden.labels/1", "design": "set", "categories": CATEGORIES, **facts}) + "\n"


def row(sha256: str = A, **facts: object) -> str:
    return json.dumps({"sha256": sha256, **facts}) + "\n"


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "labels.csv"


def test_a_missing_label_is_unknown_and_no_negative(lines: Path) -> None:
    written(
        lines, header() + row(A, labels={"weapons": True, "drugs": False, "gambling": "unsure"}) + row(B, labels={})
    )
    labels = read(lines)
    assert labels.marks.tolist() == [[1, 0, -1], [-2, -2, -2]]
    assert labels.counts("weapons") == {Mark.POSITIVE: 1, Mark.NEGATIVE: 0, Mark.UNSURE: 0, Mark.UNKNOWN: 1}
    assert (labels.design, labels.complete, labels.labellers) == (Design.SET, False, ())


def test_complete_labels_make_what_is_missing_a_no(lines: Path) -> None:
    written(lines, header(complete=True) + row(A, labels={"weapons": True}) + row(B, labels={"drugs": "unsure"}))
    assert read(lines).marks.tolist() == [[1, 0, 0], [0, -1, 0]]
    assert read(written(lines, row(A, labels={"weapons": True})), complete=True).complete


def test_labels_are_about_what_their_files_name(lines: Path) -> None:
    written(lines, header(categories=["drugs"]) + row(A, labels={"drugs": True}))
    labels = read(lines)
    assert labels.categories == ("drugs",)
    assert labels.column("drugs").tolist() == [1]


def test_rows_keep_groups_slices_probabilities_and_addresses(lines: Path) -> None:
    facts = {"uri": "a.png", "pi": 0.25, "group": "g1", "slices": {"country": "de"}, "labels": {"weapons": True}}
    written(lines, header(design="sample", seed="s") + row(A, **facts) + row(B, pi=1))
    labels = read(lines)
    assert labels.pi.tolist() == [0.25, 1]
    assert (labels.uri, labels.group) == (("a.png", None), ("g1", None))
    assert labels.slices == {"country": ("de", None)}
    assert labels.seed == "s"


def test_what_is_written_is_read_back_and_written_the_same(tmp_path: Path) -> None:
    walk = Walk(category="weapons", uploads=3000, at_most=0.005, confidence=0.95, allowed=8)
    for design, extra in (
        (Design.SAMPLE, {"seed": "x"}),
        (Design.TOP, {"walk": walk}),
        (Design.SET, {"complete": True}),
    ):
        categories = ("weapons",) if design is Design.TOP else tuple(CATEGORIES)
        marks = no_marks(3, categories)
        marks[0], marks[1] = Mark.POSITIVE, Mark.UNSURE
        if design is Design.SET:
            marks[2] = Mark.NEGATIVE
        labels = Labels(
            design=design,
            categories=categories,
            sha256=(C, A, B),
            uri=("c\u2028.png", None, "ü.png"),
            pi=np.array([0.1, 1e-7, 1 / 3]) if design is Design.SAMPLE else np.full(3, np.nan),
            group=("g", None, None),
            slices={"country": ("de", None, "fr")},
            marks=marks,
            labellers=("kim",),
            escalated=(1,),
            store="sha256:1",
            policy="sha256:2",
            **extra,
        )
        path = tmp_path / f"{design}.jsonl"
        write_labels(labels, path)
        again = read(path)
        assert label_text(again) == path.read_text(encoding="utf-8") == label_text(labels)
        assert again.digest == labels.digest
        assert (again.walk, again.seed, again.escalated) == (labels.walk, labels.seed, (1,))


def test_a_file_is_never_overwritten(lines: Path) -> None:
    labels = read(written(lines, row(A, labels={"weapons": True})))
    before = lines.read_bytes()
    with pytest.raises(LabelError, match="never overwritten"):
        write_labels(labels, lines)
    with pytest.raises(LabelError, match="cannot be written"):
        write_labels(labels, lines.parent / "none" / "x.jsonl")
    with pytest.raises(LabelError, match=r"end with \.jsonl"):
        write_labels(labels, lines.with_suffix(".txt"))
    assert lines.read_bytes() == before


def test_the_digest_is_of_what_is_said_and_not_of_its_order(lines: Path) -> None:
    rows = [row(A, labels={"weapons": True}), row(B, labels={"drugs": False})]
    one = read(written(lines, header() + "".join(rows))).digest
    assert read(written(lines, header(categories=CATEGORIES[::-1]) + "".join(rows[::-1]))).digest == one
    assert read(written(lines, header() + row(A, labels={"weapons": False}) + rows[1])).digest != one


# Several people, and several files.


def test_two_who_disagree_are_shown_and_count_as_unsure(tmp_path: Path) -> None:
    kim = written(tmp_path / "kim.jsonl", header() + row(A, labels={"weapons": True, "drugs": False}, labeller="kim"))
    lee = written(tmp_path / "lee.jsonl", header() + row(A, labels={"weapons": False, "drugs": False}, labeller="lee"))
    labels = read_labels([kim, lee], categories=CATEGORIES)
    assert labels.marks.tolist() == [[-1, 0, -2]]
    (one,) = labels.disagreements
    assert (one.sha256, one.category) == (A, "weapons")
    assert dict(one.marks) == {"kim": Mark.POSITIVE, "lee": Mark.NEGATIVE}
    assert labels.labellers == ("kim", "lee")


def test_somebody_unsure_disagrees_with_somebody_sure(lines: Path) -> None:
    both = row(A, labels={"weapons": True}, labeller="kim") + row(A, labels={"weapons": "unsure"}, labeller="lee")
    labels = read(written(lines, both))
    assert labels.marks.tolist() == [[-1]]
    assert len(labels.disagreements) == 1


def test_what_one_leaves_open_the_other_says(lines: Path) -> None:
    both = row(A, labels={"weapons": True}, labeller="kim") + row(A, labels={"drugs": False}, labeller="lee")
    labels = read(written(lines, both))
    assert labels.marks.tolist() == [[1, 0]]
    assert not labels.disagreements


def test_files_without_names_are_people_of_their_own(tmp_path: Path) -> None:
    one = written(tmp_path / "one.csv", f"sha256,weapons\n{A},1\n")
    two = written(tmp_path / "two.csv", f"sha256,weapons\n{A},0\n")
    labels = read_labels([one, two], categories=CATEGORIES)
    assert labels.disagreements[0].marks == {str(one): Mark.POSITIVE, str(two): Mark.NEGATIVE}


def test_one_person_may_not_say_two_things(table: Path) -> None:
    written(table, f"sha256,weapons\n{A},1\n{B},0\n{A},0\n")
    assert refused(table) == (
        f':4: "weapons" is no, and yes at {table}:2; if two people said so, name each as labeller.'
    )
    assert read(written(table, f"sha256,weapons\n{A},1\n{A},1\n{A},\n")).marks.tolist() == [[1]]


@pytest.mark.parametrize(
    ("one", "two", "sentence"),
    [
        ({"pi": 0.5}, {"pi": 0.25}, ":3: pi is 0.25, and 0.5 at "),
        ({"pi": 0.5, "group": "a"}, {"pi": 0.5, "group": "b"}, ':3: group is "b", and "a" at '),
        ({"pi": 1, "slices": {"c": "x"}}, {"pi": 1, "slices": {"c": "y"}}, ':3: slice "c" is "y", and "x" at '),
    ],
)
def test_rows_of_one_picture_agree_on_what_it_is(lines: Path, one: dict, two: dict, sentence: str) -> None:
    written(lines, header(design="sample") + row(A, **one) + row(A, **two))
    assert refused(lines).startswith(sentence)


def test_designs_are_not_mixed(tmp_path: Path) -> None:
    drawn = written(tmp_path / "drawn.csv", f"sha256,pi,weapons\n{A},0.5,1\n")
    picked = written(tmp_path / "picked.csv", f"sha256,weapons\n{B},1\n")
    with pytest.raises(LabelError) as caught:
        read_labels([drawn, picked], categories=CATEGORIES)
    assert str(caught.value) == (
        f"{drawn} has the design sample and {picked} set; figures follow from one design. Tune by the files of one, "
        "then the version that it wrote by those of the other."
    )
    assert read(drawn).design is Design.SAMPLE
    assert read(picked).design is Design.SET
    assert read(picked, design=Design.QUEUE).design is Design.QUEUE
    assert np.isnan(read(drawn, design=Design.SET).pi).all()


def test_samples_of_two_seeds_are_not_mixed(tmp_path: Path) -> None:
    files = [
        written(tmp_path / f"{seed}.jsonl", header(design="sample", seed=seed) + row(A, pi=1))
        for seed in ("one", "two")
    ]
    with pytest.raises(LabelError, match="drawn with another seed; add to a sample by"):
        read_labels(files, categories=CATEGORIES)


def test_what_the_file_says_of_its_design_holds(lines: Path) -> None:
    written(lines, header(design="set") + row(A))
    assert refused(lines, design=Design.SAMPLE) == " says that its design is set, and you say sample; drop yours."
    written(lines, header(design="top") + row(A))
    assert "walk from the top" in refused(lines)


def test_what_was_escalated_is_unsure_where_nobody_said_more(lines: Path) -> None:
    written(lines, header() + row(A, escalated=True) + row(B, escalated=True, labels={"weapons": True}))
    labels = read(lines)
    assert labels.marks.tolist() == [[-1, -1, -1], [1, -1, -1]]
    assert labels.escalated == (0, 1)


def test_what_is_left_to_label_is_what_nobody_said_anything_of(lines: Path) -> None:
    written(
        lines,
        header(design="sample", seed="s")
        + row(A, pi=0.5, labels={"weapons": True}, slices={"c": "x"})
        + row(B, pi=0.25, slices={"c": "y"})
        + row(C, pi=1, escalated=True),
    )
    left = without_labels(read(lines))
    assert (left.sha256, left.pi.tolist(), left.slices, left.escalated) == ((B,), [0.25], {"c": ("y",)}, ())


# Tables.


@pytest.mark.parametrize(
    ("encoding", "delimiter", "end"),
    [
        ("utf-8", ",", "\n"),
        ("utf-8-sig", ";", "\r\n"),
        ("utf-16", "\t", "\r\n"),
        ("utf-16-le", ";", "\r"),
        ("utf-8", "\t", "\r"),
    ],
)
def test_tables_are_read_as_spreadsheets_save_them(table: Path, encoding: str, delimiter: str, end: str) -> None:
    cells = [["sha256", "weapons", "drugs", "slice:land", "notes"], [A, "1", "", "Österreich", 'a "b"; c'], [B, "0"]]
    text = end.join(delimiter.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line) for line in cells) + end
    data = codecs.BOM_UTF16_LE + text.encode(encoding) if encoding == "utf-16-le" else text.encode(encoding)
    table.write_bytes(data)
    labels = read(table)
    assert labels.categories == ("weapons", "drugs")
    assert labels.marks.tolist() == [[1, -2], [0, -2]]
    assert labels.slices == {"land": ("Österreich", None)}


def test_a_table_between_semicolons_may_have_decimal_commas(table: Path) -> None:
    assert read(written(table, f"sha256;pi;drugs\n{A};0,5;ja\n".replace("ja", "yes"))).pi.tolist() == [0.5]


def test_a_column_of_labels_names_what_a_picture_shows(table: Path) -> None:
    cells = ["weapons", "weapons; drugs", "harmless", "Unsure", ""]
    lines = "".join(f"{letter * 64},{cell}\n" for letter, cell in zip("abcde", cells, strict=True))
    labels = read(written(table, f"sha256,label\n{lines}"))
    assert labels.categories == ("weapons", "drugs")
    assert labels.marks.tolist() == [[1, -2], [1, 1], [0, 0], [-1, -1], [-2, -2]]


def test_words_for_yes_and_no(table: Path) -> None:
    words = ["1", "0", "TRUE", "False", "yes", "No", "unsure", "?", ""]
    text = "sha256,weapons\n" + "".join(f"{at:064x},{word}\n" for at, word in enumerate(words))
    assert read(written(table, text)).column("weapons").tolist() == [1, 0, 1, 0, 1, 0, -1, -1, -2]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", " has no line of column names."),
        ("sha256,weapon\n", ':1: the column "weapon" is no category of the policy; did you mean "weapons"?'),
        (
            "sha256,weapons,land\n",
            (
                ':1: the column "land" is no category of the policy; call it "slice:land" to compare its values, or '
                "leave it out."
            ),
        ),
        (
            "weapons\n",
            ':1: there is neither a column "sha256" nor "uri", so nothing says which picture a line is about.',
        ),
        (
            "sha256,notes\n",
            ':1: there is neither a column "label" nor one that is named after a category of the policy.',
        ),
        ("sha256,label,drugs\n", ':1: there is a column "label" and one named "drugs"; keep one way.'),
        ("sha256,drugs,drugs\n", ':1: the column "drugs" stands twice.'),
        (
            f"sha256,drugs\n{A},1\n{A},maybe\n",
            f':3: "maybe" {NO_MARK}',
        ),
        ("sha256,drugs\nabc,1\n", ':2: "abc" is no sha256, which has 64 hexadecimal digits.'),
        (
            f"sha256,pi,drugs\n{A},,1\n",
            ":2: there is no pi, the probability with which a picture of a sample was drawn.",
        ),
        (f"sha256,label\n{A},drug\n", ':2: the policy has no category "drug"; did you mean "drugs"?'),
        (
            f"sha256,label\n{A},xylophone\n",
            ':2: the policy has no category "xylophone"; it has weapons, drugs, gambling.',
        ),
        (f"sha256,label\n{A},drugs;harmless\n", ':2: "harmless" stands beside another label; it is one alone.'),
        (f"sha256,drugs\n{A},1,7\n", ":2: the line has 3 cells, and there are 2 columns."),
        (f'sha256,notes,drugs\n{A},"open,1\n{B},,1\n', ":2: a quotation mark is not closed, or stands within a cell."),
        ("uri,drugs\na.png,1\n", ":2: the picture has no sha256, and there is no store to look its uri up in."),
        ("sha256,uri,drugs\n,,1\n", ":2: there is neither a sha256 nor a uri, so nothing says which picture this is."),
        ("sha256,drugs\n", " has no rows."),
    ],
)
def test_a_table_that_cannot_be_read_is_told_with_its_line(table: Path, text: str, sentence: str) -> None:
    assert refused(written(table, text)) == sentence


@pytest.mark.parametrize("pi", ["0", "-0.1", "1.0001", "nan", "inf", "half", "1e999", "0,5"])
def test_a_probability_lies_above_0_and_is_at_most_1(table: Path, pi: str) -> None:
    text = f'sha256,pi,drugs\n{A},1,1\n{B},"{pi}",1\n'
    assert refused(written(table, text)) == (
        f':3: pi is "{pi}"; a picture was drawn with a probability above 0 and at most 1.'
    )


def test_a_table_in_another_encoding_is_told_with_its_line(table: Path) -> None:
    table.write_bytes(f"sha256,drugs,slice:land\n{A},1,ok\n{B},1,".encode() + "Österreich\n".encode("cp1252"))
    assert refused(table) == ':3: it is not UTF-8; save it as "CSV UTF-8", or as UTF-8 text.'
    table.write_bytes("sha256,drugs\n".encode("utf-16-le"))
    assert refused(table) == ":1: there are zero bytes, so it is no text in UTF-8; save it as UTF-8."
    table.write_bytes(codecs.BOM_UTF16_LE + b"\x00\xd8" * 5)
    assert "no whole text" in refused(table)


def test_parquet_is_read_with_marks_of_any_type(tmp_path: Path) -> None:
    path = tmp_path / "labels.parquet"
    columns = {
        "sha256": [A, B, C],
        "weapons": pa.array([1, 0, None], pa.int8()),
        "drugs": pa.array([True, False, None]),
        "gambling": pa.array(["1", "unsure", ""]),
        "pi": [0.5, 0.25, 1.0],
        "slice:land": pa.array(["de", None, "fr"]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), path)
    labels = read(path)
    assert labels.marks.tolist() == [[1, 1, 1], [0, 0, -1], [-2, -2, -2]]
    assert labels.pi.tolist() == [0.5, 0.25, 1.0]
    assert labels.slices == {"land": ("de", None, "fr")}
    pq.write_table(pa.table({"sha256": [A], "weapons": [7]}), path)
    assert refused(path) == f':1: "7" {NO_MARK}'
    path.write_bytes(path.read_bytes()[:-9])
    assert refused(path) == " cannot be read as Parquet."


# JSON lines.


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", " has no line."),
        ("[]\n", ":1: the line is no JSON object."),
        (header() + "{\n", ":2: the line is no JSON object."),
        (header() + "[" * 60000 + "\n", ":2: the line is no JSON object."),
        (header() + f'{{"sha256":"{A}","sha256":"{B}"}}\n', ':2: "sha256" stands twice.'),
        (header() + f'{{"sha256":"{A}","pi":NaN}}\n', ":2: NaN is no number of JSON."),
        (header(design="random"), ':1: design is "random"; there is sample, set, queue, top.'),
        (header(categories=["weapon"]), ':1: the policy has no category "weapon"; did you mean "weapons"?'),
        (header(complete="yes"), ":1: complete is neither true nor false."),
        (header(colour="red"), f':1: there is no key "colour"; there is {", ".join(HEADER_KEYS)}.'),
        (header().replace("labels/1", "labels/2"), OTHER_FORMAT),
        (header() + row(A, label={}), ':2: there is no key "label"; did you mean "labels"?'),
        (header() + row(A, labels={"drug": True}), ':2: the policy has no category "drug"; did you mean "drugs"?'),
        (header() + row(A, labels={"weapons": 2}), f':2: "2" {NO_MARK}'),
        (header() + row(A, labels=[1]), ":2: labels is no JSON object."),
        (header() + row(A, escalated=1), ":2: escalated is neither true nor false."),
        (header() + row(A, group={}), ":2: group is no text."),
        (header() + row(A, pi=True), ':2: pi is "True"; a picture was drawn with a probability above 0 and at most 1.'),
        (header() + "x" * 70000, ":2: the line has more than 65,536 characters."),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_told(lines: Path, text: str, sentence: str) -> None:
    assert refused(written(lines, text)) == sentence


@pytest.mark.parametrize(
    "walk",
    [
        {},
        {"category": "weapons", "uploads": 10, "at_most": 0.1, "confidence": 0.95, "allowed": 10},
        {"category": "weapons", "uploads": 10, "at_most": 0, "confidence": 0.95, "allowed": 1},
        {"category": "weapons", "uploads": True, "at_most": 0.1, "confidence": 0.95, "allowed": 1},
        {"category": "weapon", "uploads": 10, "at_most": 0.1, "confidence": 0.95, "allowed": 1},
    ],
)
def test_a_walk_that_nobody_walked_is_refused(lines: Path, walk: dict) -> None:
    assert refused(written(lines, header(design="top", walk=walk))).startswith(":1: ")


def test_nobody_is_told_to_take_rows_out_of_a_sample_or_a_walk(lines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "MOST_ROWS", 1)
    said = refused(written(lines, header() + row(A) + row(B)))
    assert "of a set leave out those without labels. A sample or a walk has to be whole: draw a smaller one" in said
    monkeypatch.setattr(textlines, "MOST_BYTES", 10)
    assert "leave out" not in refused(lines)


@pytest.mark.parametrize("mark", ["yes", 1, None])
def test_whether_a_row_is_beyond_the_list_is_true_or_false(lines: Path, mark: object) -> None:
    assert "beyond is neither true nor false" in refused(written(lines, header() + row(A, beyond=mark)))


def test_a_file_that_is_no_label_file_is_told_by_its_name(tmp_path: Path) -> None:
    assert refused(tmp_path / "none.csv").startswith("There is no file")
    assert "save spreadsheets as CSV UTF-8" in refused(written(tmp_path / "labels.xlsx", "PK"))


@given(st.binary(max_size=300))
def test_any_bytes_are_labels_or_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name in ("any.jsonl", "any.csv", "any.parquet"):
        path = folder / name
        path.write_bytes(data if name != "any.csv" else b"sha256,weapons\n" + data)
        try:
            read(path)
        except LabelError as error:
            assert "\n" not in str(error).strip()  # noqa: PT017


@given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.lists(st.text(max_size=12), max_size=8), max_size=4))
def test_any_table_is_labels_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], cells: list[list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.csv"
    lines = [["sha256", "weapons", *names], *([A, "1", *each] for each in cells)]
    text = "\n".join(",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line) for line in lines)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert read(path).categories[0] == "weapons"
    except LabelError as error:
        assert str(error)  # noqa: PT017


# Folders.


def test_folders_are_named_after_what_their_pictures_show(tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    pictures = {
        "weapons/a.png": "a",
        "weapons/more/b.png": "b",
        "drugs/b2.png": "b",
        "harmless/c.png": "c",
        "unsure/d": "d",
    }
    for name, content in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / ".DS_Store").write_text("")
    labels = read(folder)
    marks = dict(zip(labels.uri, labels.marks.tolist(), strict=True))
    assert labels.categories == ("weapons", "drugs")
    assert marks == {
        str(folder / "drugs/b2.png"): [1, 1],
        str(folder / "harmless/c.png"): [0, 0],
        str(folder / "unsure/d"): [-1, -1],
        str(folder / "weapons/a.png"): [1, -2],
    }
    os.mkfifo(folder / "weapons" / "pipe")
    assert len(read(folder)) == 4
    (folder / "weapons" / "c.png").write_text("c")
    assert '"weapons" is yes, and no at' in refused(folder)


def test_folders_of_other_names_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    folder.mkdir()
    assert refused(folder) == " has no folders that are named after categories, such as harmless/."
    (folder / "weapon").mkdir()
    assert refused(folder) == '/weapon: the policy has no category "weapon"; did you mean "weapons"?'
    (folder / "loose.png").write_text("")
    assert refused(folder).startswith("/loose.png lies in no folder that says what it shows")
