"""Print what Chromium shows of files: `python -m tests.browser.show [--out DIR] FILE...`.

`--corpus` prints the colour corpus: how far what we judge is from what Chromium shows. `--structures` and `--mutations`
write the tables of the structural cases and of the mutated files again, from what Chromium shows and we judge now;
their reasons stay, and new rows wait for theirs. What `--mutations` prints stands in docs/displayed.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tests.browser.corpus.figures import as_table, find_figures, find_oddities, oddities_table
from tests.browser.kit import Chromium, Shown, open_chromium
from tests.browser.mutations import table as mutations
from tests.browser.structures import table as structures


def main(arguments: Sequence[str] | None = None) -> None:
    """Show files, a line each; with `--out` their pixels become PNGs there."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.show", description="What Chromium shows of files.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write what is shown there, as NAME.shown.png")
    parser.add_argument("--screenshot", action="store_true", help="photograph the page instead of reading a canvas")
    parser.add_argument("--corpus", action="store_true", help="print the colour corpus")
    parser.add_argument("--structures", action="store_true", help="write the table of structural cases again")
    parser.add_argument("--mutations", action="store_true", help="write the table of mutated files again")
    options = parser.parse_args(arguments)
    with open_chromium() as chromium:
        if options.corpus:
            print(as_table(list(find_figures(chromium))))
            print(oddities_table(list(find_oddities(chromium))))
        if options.structures:
            structures.write_table(list(structures.find_rows(chromium)))
        if options.mutations:
            mutations.write_table(list(mutations.find_rows(chromium)))
            print(mutations.as_markdown(list(mutations.read_table().values())))
        _show(chromium, options.files, options.out, photograph=options.screenshot)


def describe(shown: Shown) -> str:
    """Say in a line what is shown: whether at all, size, mean colour, and how much of it."""
    if shown.size is None:
        return f"refused ({shown.event})"
    width, height = shown.size
    text = f"{width} x {height}" + ("" if shown.event == "load" else ", error")
    if shown.pixels is None:
        return text
    seen = shown.pixels[..., 3] > 0
    if not seen.any():
        return f"{text}, NOTHING in it"
    colour = " ".join(f"{level:.1f}" for level in shown.pixels[seen][:, :3].mean(axis=0))
    opaque = "" if shown.pixels[..., 3].min() == 255 else f", alpha {shown.pixels[..., 3].mean():.1f} on average"
    rows = "" if shown.share == 1 else f", {shown.share:.0%} of it there"
    return f"{text}, mean colour {colour}{opaque}{rows}"


def _show(chromium: Chromium, paths: Sequence[Path], out: Path | None, *, photograph: bool) -> None:
    for path, shown in zip(paths, chromium.show([path.read_bytes() for path in paths]), strict=True):
        print(f"{path}: {describe(shown)}")
        if out is not None and shown.pixels is not None:
            out.mkdir(parents=True, exist_ok=True)
            photographed = chromium.screenshot(path.read_bytes()) if photograph else Image.fromarray(shown.pixels)
            photographed.save(out / f"{path.name}.shown.png")


if __name__ == "__main__":
    main()
