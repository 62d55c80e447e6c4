"""The contact sheet, in Chromium: every key, what it keeps, what it saves, and what it never does."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.browser.kit import Chromium
from tests.browser.sheets import CATEGORIES, ESCALATE_TO, Visit, make_renditions, make_sample, write_sheet

from clipwarden.tuning.labels.model import Labels, Mark, Walk
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.labels.writing import label_text

Opens = Callable[..., Visit]


@pytest.fixture
def open_sheet(any_chromium: Chromium, tmp_path: Path) -> Iterator[Opens]:
    """Open a page; when the test ends, none may have asked or complained."""
    visits: list[Visit] = []

    def opens(
        labels: Labels | None = None, *, path: Path | None = None, clear: bool | None = True, **options: object
    ) -> Visit:
        if path is None:
            labels = labels or make_sample()
            shown = None if clear is None else make_renditions(labels, clear=clear)
            path = write_sheet(tmp_path / f"sheet{len(visits)}.html", labels, shown)
        visits.append(Visit(any_chromium.browser, path, **options))
        return visits[-1]

    yield opens
    for visit in visits:
        visit.close()


def read(path: Path) -> Labels:
    return read_labels(path, categories=CATEGORIES)


# Keys.


def test_digits_say_yes_and_the_rest_becomes_no(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("1")
    assert visit.marks()[0] == "weapons"
    assert visit.number == "Picture 1 of 5"
    visit.press("3")
    assert visit.marks()[0] == "weapons, gambling"
    assert visit.pressed() == ["1 weapons", "3 gambling"]
    visit.press("1")
    assert visit.marks()[0] == "gambling"
    visit.press("Numpad3")
    assert visit.marks()[0] == "harmless"
    assert visit.pressed() == ["0 Harmless"]
    visit.press("4", "9")
    assert visit.marks()[0] == "harmless"


def test_shift_and_a_digit_is_unsure_of_one_category(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("Shift+Digit2")
    assert visit.marks()[0] == "drugs?"
    visit.press("Digit1")
    assert visit.marks()[0] == "weapons, drugs?"
    visit.press("Shift+Digit2")
    assert visit.marks()[0] == "weapons"


def test_harmless_and_unsure_move_on(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("0")
    assert visit.number == "Picture 2 of 5"
    visit.press("u")
    assert visit.number == "Picture 3 of 5"
    assert visit.marks() == ["harmless", "unsure", "no label", "no label", "no label"]
    assert visit.said == "Picture 2: unsure. Picture 3: no label."
    assert visit.text("#progress") == "2 of 5 labelled, by kim"


def test_with_one_category_a_digit_moves_on_too(open_sheet: Opens) -> None:
    visit = open_sheet(make_sample(3, categories=["weapons"])).begin()
    visit.press("1", "0")
    assert visit.number == "Picture 3 of 3"
    assert visit.marks() == ["weapons", "harmless", "no label"]


@pytest.mark.parametrize(
    ("on", "back"), [("ArrowRight", "ArrowLeft"), ("ArrowDown", "ArrowUp"), ("j", "k"), ("J", "K")]
)
def test_pictures_are_walked_through(open_sheet: Opens, on: str, back: str) -> None:
    visit = open_sheet().begin()
    visit.press(on, on)
    assert visit.number == "Picture 3 of 5"
    visit.press(back)
    assert visit.number == "Picture 2 of 5"
    visit.press(back, back)
    assert visit.said == "That was the first picture."
    visit.press(on, on, on, on, on)
    assert visit.said == "That was the last picture. 5 have no label yet."


def test_everything_can_be_undone(open_sheet: Opens, tmp_path: Path) -> None:
    visit = open_sheet().begin()
    before = visit.save(tmp_path).read_bytes()
    visit.press("1", "2", "j", "0", "u", "s")
    assert visit.marks() == ["weapons, drugs", "harmless", "unsure", "escalated", "no label"]
    visit.press("z")
    assert (visit.marks()[3], visit.number) == ("no label", "Picture 4 of 5")
    assert visit.said == "Undone. Picture 4: no label."
    visit.press("z", "z")
    assert visit.number == "Picture 2 of 5"
    visit.press("z")
    assert visit.marks()[0] == "weapons"
    visit.press("z")
    assert visit.marks() == ["no label"] * 5
    visit.press("z")
    assert visit.said == "There is nothing to undo."
    assert visit.save(tmp_path).read_bytes() == before


def test_help_tells_every_key_and_keys_wait_meanwhile(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("?")
    assert visit.page.locator("#explained").is_visible()
    told = visit.text("#explained")
    for key in ("1", "9", "0", "u", "z", "r", "s", "j", "k", "→", "←", "?"):
        assert key in told
    visit.press("1")
    visit.press("Escape")
    assert visit.page.locator("#explained").is_hidden()
    assert visit.marks()[0] == "no label"


def test_keys_can_be_switched_off_and_rest_while_somebody_types(open_sheet: Opens) -> None:
    visit = open_sheet().begin("kim 1 0 u s z r")
    assert visit.marks() == ["no label"] * 5
    assert visit.text("#progress") == "0 of 5 labelled, by kim 1 0 u s z r"
    visit.page.locator("#keys").uncheck()
    visit.page.locator("#current").focus()
    visit.press("1", "0", "j")
    assert (visit.marks()[0], visit.number) == ("no label", "Picture 1 of 5")
    visit.page.locator("#keys").check()
    visit.page.locator("#current").focus()
    visit.press("Control+0", "0")
    assert visit.marks()[:2] == ["harmless", "no label"]


def test_every_key_has_a_button_that_the_keyboard_reaches(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.page.locator("#keys").uncheck()
    visit.page.locator("#current").focus()
    reached = []
    for _ in range(40):
        visit.press("Tab")
        reached.append(visit.page.evaluate("document.activeElement.id || document.activeElement.innerText"))
    order = [
        reached.index(name)
        for name in ("copy", "1 weapons", "harmless", "unsure", "previous", "next", "reveal", "stop")
    ]
    assert order == sorted(order)
    assert {"filter", "save", "load", "help", "keys", "grey"} <= set(reached)
    visit.page.get_by_role("button", name="2 drugs").focus()
    visit.press("Enter")
    visit.page.locator("#next").focus()
    visit.press("Space")
    visit.page.get_by_role("button", name="Unsure about gambling").focus()
    visit.press("Enter")
    assert visit.marks()[:2] == ["drugs", "gambling?"]
    visit.page.locator("#undo").focus()
    visit.press("Enter")
    assert visit.marks()[:2] == ["drugs", "no label"]


def test_tiles_show_what_was_said_and_lead_to_their_picture(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.page.get_by_role("button", name="Picture 4: no label").click()
    assert visit.number == "Picture 4 of 5"
    assert visit.page.locator("#tiles [aria-current]").get_attribute("aria-label") == "Picture 4: no label"
    visit.press("ArrowRight")
    focused = visit.page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert focused == "Picture 5: no label"


def test_the_filter_leads_to_what_is_left(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("0", "ArrowRight", "1", "ArrowRight", "u")
    visit.page.locator("#filter").select_option(label="without a label")
    assert visit.number == "Picture 5 of 5"
    visit.press("k")
    assert visit.number == "Picture 2 of 5"
    assert visit.page.locator("#tiles button:visible").count() == 2
    visit.page.locator("#current").focus()
    visit.press("0")
    assert visit.number == "Picture 5 of 5"
    visit.page.locator("#filter").select_option(label="weapons")
    assert visit.number == "Picture 3 of 5"
    visit.page.locator("#filter").select_option(label="escalated")
    assert visit.said == "There are no such pictures."


# What is kept, saved and loaded.


def test_what_is_saved_is_what_read_labels_reads(open_sheet: Opens, tmp_path: Path) -> None:
    uris = ["ü\u2028.png", 'a"b\\c.png', "𝄞</script>.png"]
    sample = make_sample(5, uris=uris)
    visit = open_sheet(sample).begin("Kim Ö.")
    visit.press("1", "2", "j", "0", "u", "Shift+Digit3", "j", "s")
    path = visit.save(tmp_path)
    assert path.name == "sample-Kim-Ö.jsonl"
    labels = read(path)
    assert labels.marks.tolist() == [[1, 1, 0], [0, 0, 0], [-1, -1, -1], [0, 0, -1], [-1, -1, -1]]
    assert (labels.labellers, labels.escalated) == (("Kim Ö.",), (4,))
    assert (labels.sha256, labels.uri, labels.seed, labels.store) == (sample.sha256, sample.uri, "seed", "sha256:1")
    assert labels.pi.tolist() == sample.pi.tolist()
    saved = path.read_text(encoding="utf-8")
    assert visit.save(tmp_path).read_text(encoding="utf-8") == saved
    plain = make_sample(2)
    visit = open_sheet(plain).begin()
    visit.press("1", "j", "0")
    path = visit.save(tmp_path)
    assert path.read_text(encoding="utf-8") == label_text(read(path))


def test_what_was_marked_is_there_again_after_the_page_was_closed(open_sheet: Opens, tmp_path: Path) -> None:
    visit = open_sheet().begin()
    visit.press("1", "j", "u", "s")
    saved = visit.save(tmp_path).read_bytes()
    visit.reload()
    assert visit.said == "Welcome back: 3 of 5 are labelled. Picture 4: no label."
    assert visit.marks() == ["weapons", "unsure", "escalated", "no label", "no label"]
    assert visit.save(tmp_path).read_bytes() == saved


def test_a_second_labeller_sees_nothing_of_the_first(open_sheet: Opens, tmp_path: Path) -> None:
    visit = open_sheet().begin("kim")
    visit.press("1", "j", "u")
    kims = visit.save(tmp_path)
    visit.reload("lee")
    assert visit.marks() == ["no label"] * 5
    visit.load(kims)
    visit.page.locator("#alarm", has_text="Those are labels of kim. You label blind, so they are not shown.").wait_for()
    assert visit.marks() == ["no label"] * 5
    visit.press("2", "j", "u")
    both = read_labels([kims, visit.save(tmp_path)], categories=CATEGORIES)
    assert {each.category: dict(each.marks) for each in both.disagreements} == {
        "weapons": {"kim": Mark.POSITIVE, "lee": Mark.NEGATIVE},
        "drugs": {"kim": Mark.NEGATIVE, "lee": Mark.POSITIVE},
    }


def test_saved_labels_are_taken_up_on_another_machine(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample()
    first = open_sheet(sample).begin()
    first.press("1", "j", "u", "s")
    saved = first.save(tmp_path)
    second = open_sheet(sample).begin()
    second.load(saved)
    second.page.locator("#said", has_text="Labels of 3 pictures were loaded. Picture 4: no label.").wait_for()
    assert second.marks() == ["weapons", "unsure", "escalated", "no label", "no label"]
    assert second.save(tmp_path).read_bytes() == saved.read_bytes()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "That is no label file."),
        ("{", "That is no label file."),
        ("null\n1\n", "That is no label file."),
        ("[[[\n", "That is no label file."),
        (label_text(make_sample(seed="another")), "Those are labels of another sample."),
    ],
)
def test_what_is_no_file_of_this_sample_is_refused(open_sheet: Opens, tmp_path: Path, text: str, sentence: str) -> None:
    visit = open_sheet().begin()
    visit.press("1")
    (tmp_path / "other.jsonl").write_text(text, encoding="utf-8")
    visit.load(tmp_path / "other.jsonl")
    visit.page.locator("#alarm", has_text=sentence).wait_for()
    assert visit.marks() == ["weapons", *["no label"] * 4]


def test_odd_rows_of_a_file_and_of_the_browser_are_passed_over(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample(2)
    header, first, second = label_text(sample).splitlines()
    odd = {**json.loads(first), "labels": {"__proto__": True, "weapons": "much", "drugs": True, "other": True}}
    (tmp_path / "odd.jsonl").write_text("\n".join([header, json.dumps(odd), second, '{"sha256":7,"labels":[]}']))
    visit = open_sheet(sample).begin()
    visit.load(tmp_path / "odd.jsonl")
    visit.page.locator("#said", has_text="Labels of 1 pictures were loaded.").wait_for()
    assert visit.marks()[0] == "drugs"
    key = visit.page.evaluate("Object.keys(localStorage)[0]")
    for kept in ("{", '"text"', "[1, null, [7], []]"):
        visit.page.evaluate("([key, kept]) => localStorage.setItem(key, kept)", [key, kept])
        assert visit.reload().marks() == ["no label"] * 2


def test_a_browser_that_keeps_nothing_says_so(open_sheet: Opens, tmp_path: Path) -> None:
    visit = open_sheet()
    visit.page.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }})")
    visit.reload()
    visit.press("0")
    assert visit.text("#alarm") == "This browser keeps nothing: save before you close the page."
    assert read(visit.save(tmp_path)).marks[0].tolist() == [0, 0, 0]


# From the top.


def test_a_walk_says_when_it_is_enough(open_sheet: Opens, tmp_path: Path) -> None:
    walk = Walk(category="weapons", uploads=6, at_most=0.5, confidence=0.9, allowed=1)
    visit = open_sheet(make_sample(6, categories=["weapons"], walk=walk)).begin()
    visit.press("1", "0")
    assert visit.text("#walk") == (
        "2 labelled from the top, 1 of them not weapons or unsure. "
        "Go on until there are 2; the highest scores come first."
    )
    visit.press("j", "0")
    assert "2 labelled" in visit.text("#walk")
    visit.press("k", "k", "u")
    assert visit.said == "Picture 3: unsure. That is enough: 3 labels from the top. Save the labels."
    assert visit.text("#walk").startswith("3 labelled from the top, 2 of them not weapons or unsure. That is enough")
    labels = read(visit.save(tmp_path))
    assert labels.walk == walk
    assert labels.column("weapons").tolist() == [1, 0, -1, 0, -2, -2]


# Pictures.

NOT_CLEAR = (
    "The clear picture is not in this page. Open uploads/0.png, or have a page made that holds it: "
    "`clipwarden sample --again`, with --pictures and --reveal."
)


def test_without_pictures_the_page_says_where_they_are(open_sheet: Opens) -> None:
    visit = open_sheet(clear=None).begin()
    assert visit.page.locator("#picture").is_hidden()
    assert visit.text("#missing") == "The picture is not in this page. Open its address where you may see it."
    visit.press("r")
    assert visit.said == NOT_CLEAR


def test_a_blurred_picture_is_not_revealed_unless_the_file_has_it(open_sheet: Opens) -> None:
    visit = open_sheet(clear=False).begin()
    before = visit.page.locator("#picture").get_attribute("src")
    visit.press("r")
    assert visit.said == NOT_CLEAR
    assert visit.page.locator("#picture").get_attribute("src") == before


def test_a_picture_is_revealed_until_somebody_moves_on(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    picture = visit.page.locator("#picture")
    blurred = picture.get_attribute("src")
    assert picture.get_attribute("alt") == "Picture 1, blurred"
    visit.press("r")
    clear = picture.get_attribute("src")
    assert clear != blurred
    assert picture.get_attribute("alt") == "Picture 1, as it is"
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
    visit.press("r")
    assert picture.get_attribute("src") == blurred
    visit.press("r", "j", "k")
    assert picture.get_attribute("src") == blurred


def test_an_animation_says_how_many_of_its_frames_are_shown(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample(3)
    still, some, every = make_renditions(sample).values()
    moving = [still, replace(some, frames_shown=6, frames_total=40), replace(every, frames_shown=2, frames_total=2)]
    path = write_sheet(tmp_path / "moving.html", sample, dict(zip(sample.sha256, moving, strict=True)))
    visit = open_sheet(path=path).begin()
    picture, tiles = visit.page.locator("#picture"), visit.page.locator("#tiles button")
    assert visit.page.locator("#frames").is_hidden()
    assert tiles.locator(".moves").all_inner_texts() == ["6/40 frames", "2/2 frames"]
    assert tiles.nth(1).get_attribute("aria-label") == "Picture 2, 6 of 40 frames: no label"
    visit.press("j")
    assert picture.get_attribute("alt") == "Picture 2, blurred, 6 of 40 frames"
    assert visit.text("#frames") == "Shown: 6 of 40 frames. Open the file to see the others."
    assert visit.said == "Picture 2: no label. Shown: 6 of 40 frames. Open the file to see the others."
    assert serious(visit) == []
    visit.press("r")
    assert picture.get_attribute("alt") == "Picture 2, as it is, 6 of 40 frames"
    visit.press("j")
    assert visit.text("#frames") == "Shown: 2 of 2 frames."
    visit.press("s")
    assert visit.page.locator("#frames").is_hidden()
    assert tiles.locator(".moves").all_inner_texts() == ["6/40 frames"]


def test_what_was_stopped_is_gone_from_the_page_for_good(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample()
    shown = make_renditions(sample)[sample.sha256[1]]
    pixels = [base64.b64encode(each).decode() for each in (shown.blurred, shown.clear)]
    visit = open_sheet(sample).begin()

    def held() -> str:
        return visit.page.evaluate("document.documentElement.outerHTML + JSON.stringify(sheetData)")

    visit.press("j", "r")
    assert all(each in held() for each in pixels)
    visit.press("s")
    assert not any(each in held() for each in pixels)
    told = visit.text("#missing")
    assert "Do not open it again, copy it or send it to anybody." in told
    assert f"Tell {ESCALATE_TO}" in told
    assert sample.sha256[1] in told
    assert "This file still holds the picture" in told
    visit.press("0", "1", "u", "r")
    assert visit.marks()[1] == "escalated"
    visit.reload()
    assert not any(each in held() for each in pixels)
    assert read(visit.save(tmp_path)).escalated == (1,)
    visit.press("j", "k", "z")
    assert visit.marks()[1] == "escalated"


def test_undoing_a_stop_does_not_bring_the_picture_back_by_itself(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    visit.press("s", "z")
    assert visit.marks()[0] == "no label"
    assert visit.page.locator("#picture").is_hidden()
    assert visit.text("#missing") == "The picture was removed; open the page again to have it back."
    assert visit.reload().page.locator("#picture").is_visible()


def test_a_new_page_of_an_escalated_sample_never_holds_its_pixels(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample()
    visit = open_sheet(sample).begin()
    visit.press("1", "j", "s")
    saved = visit.save(tmp_path)
    again = read(saved)
    shown = make_renditions(again)
    path = write_sheet(tmp_path / "again.html", again, shown)
    assert base64.b64encode(shown[sample.sha256[1]].blurred).decode() not in path.read_text()
    visit = open_sheet(path=path).begin("lee")
    assert visit.marks() == ["no label", "escalated", *["no label"] * 3]
    visit = open_sheet(path=path).begin("kim")
    visit.load(saved)
    visit.page.locator("#said", has_text="Labels of 2 pictures were loaded.").wait_for()
    assert visit.save(tmp_path).read_bytes() == saved.read_bytes()


# What it never does.

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    '"><img src=x onerror="window.hacked = 1">',
    "javascript:window.hacked=1//",
    "<!--<script>\u2028window.hacked = 1\u2029",
    "%data% %scripts% ${window.hacked = 1} {{7*7}} \\u003c",
]


def test_nothing_that_a_sample_holds_becomes_markup(open_sheet: Opens, tmp_path: Path) -> None:
    names = [f"{name} {at}" for at, name in enumerate(HOSTILE)]
    sample = make_sample(5, categories=names, uris=HOSTILE)
    path = write_sheet(
        tmp_path / "hostile.html",
        sample,
        make_renditions(sample),
        definitions=dict(zip(names, HOSTILE, strict=True)),
        escalate_to=HOSTILE[1],
    )
    visit = open_sheet(path=path).begin(HOSTILE[1][:80])
    for at, uri in enumerate(HOSTILE):
        visit.press(str(at + 1), "r")
        assert visit.page.locator("#address").text_content() == uri
        assert names[at] in (visit.page.locator("#categories").text_content() or "")
        visit.press("j")
    visit.press("s")
    assert HOSTILE[1] in (visit.page.locator("#missing").text_content() or "")
    assert visit.page.evaluate("window.hacked") is None
    assert visit.page.locator("script").count() == 3
    assert visit.page.locator("#current img").count() == 1
    saved = visit.save(tmp_path)
    labels = read_labels(saved, categories=names)
    assert labels.uri == sample.uri
    assert labels.labellers == (HOSTILE[1][:80],)


def test_the_page_may_not_ask_any_network(open_sheet: Opens) -> None:
    visit = open_sheet().begin()
    fetched = visit.page.evaluate("fetch('http://server.invalid/a').then(() => 'answered', () => 'refused')")
    visit.page.evaluate("""new Promise((done) => {
      const image = new Image();
      image.onload = image.onerror = done;
      image.src = "http://server.invalid/b";
    })""")
    visit.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'hacked = 1'}))")
    assert fetched == "refused"
    assert {why for _, why in visit.refused} == {"csp"}
    assert {url for url, _ in visit.refused} == set(visit.requests[1:])
    assert visit.page.evaluate("window.hacked") is None
    assert [text for text in visit.complaints if "Content Security Policy" not in text] == []
    visit.complaints.clear()
    visit.requests[1:] = []


# For everybody.


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_sheet: Opens, scheme: str) -> None:
    visit = open_sheet(color_scheme=scheme, reduced_motion="reduce", forced_colors="none")
    found = {"asked": serious(visit)}
    visit.begin()
    found["begun"] = serious(visit)
    visit.press("1", "Shift+Digit2", "r")
    found["marked"] = serious(visit)
    visit.press("?")
    found["help"] = serious(visit)
    visit.press("Escape", "s")
    found["stopped"] = serious(visit)
    assert not any(found.values()), found


def test_axe_finds_nothing_in_a_walk_without_pictures_on_a_phone(open_sheet: Opens) -> None:
    walk = Walk(category="weapons", uploads=3, at_most=0.5, confidence=0.9, allowed=1)
    sample = make_sample(3, categories=["weapons"], walk=walk)
    visit = open_sheet(sample, clear=None, viewport={"width": 360, "height": 700}).begin()
    visit.press("0", "0")
    assert serious(visit) == []
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 360


def serious(visit: Visit) -> list[str]:
    """Name what axe finds, of whatever weight."""
    result = Axe().run(visit.page, options={"resultTypes": ["violations"]}).response
    return [f"{each['id']}: {each['nodes'][0]['html']}" for each in result["violations"]]


def test_a_screen_reader_is_told_what_happens(open_sheet: Opens) -> None:
    visit = open_sheet()
    assert visit.page.get_by_role("dialog", name="Who labels?").is_visible()
    assert visit.page.get_by_label("Your name, as the label file is to hold it").evaluate(
        "it => it === document.activeElement"
    )
    visit.press("Escape")
    assert visit.page.locator("#who").is_visible()
    visit.press("Enter")
    assert visit.page.locator("#who").is_visible()
    visit.begin()
    assert visit.page.get_by_role("status").inner_text() == "Picture 1: no label."
    visit.press("2")
    assert visit.page.get_by_role("status").inner_text() == "Picture 1: drugs."
    assert visit.page.get_by_role("button", name="2 drugs", pressed=True).is_visible()
    assert visit.page.get_by_role("progressbar", name="Pictures labelled").get_attribute("value") == "1"
    assert visit.page.get_by_role("navigation", name="Pictures").is_visible()
    visit.press("s")
    assert visit.said == "Picture 1 was removed and is recorded as escalated. Read what to do."


def test_three_thousand_pictures_are_shown_a_few_at_a_time(open_sheet: Opens, tmp_path: Path) -> None:
    sample = make_sample(3000)
    one = make_renditions(make_sample(1))[make_sample(1).sha256[0]]
    path = write_sheet(tmp_path / "many.html", sample, dict.fromkeys(sample.sha256, one))
    visit = open_sheet(path=path).begin()
    assert visit.page.locator("#tiles li").count() == 48
    assert visit.page.evaluate("document.querySelectorAll('*').length") < 500
    visit.press(*["0"] * 50)
    assert visit.number == "Picture 51 of 3000"
    assert visit.text("#page") == "49 to 96 of 3000"
    visit.page.locator("#later").click()
    assert visit.number == "Picture 97 of 3000"
    visit.page.locator("#earlier").click()
    visit.page.locator("#earlier").click()
    assert visit.page.locator("#earlier").is_disabled()
    visit.reload()
    assert visit.said.startswith("Welcome back: 50 of 3000 are labelled.")
    assert visit.page.locator("#tiles li").count() == 48
    assert len(read(visit.save(tmp_path))) == 3000
