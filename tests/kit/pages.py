"""Read the repository's pages and run what they show: commands, Python, and the output that stands below."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from typer.testing import CliRunner

from clipwarden.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "policies/README.md",
    "export/README.md",
    *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
)
ADDRESS = "localhost:50051"
"""Where pages say that a server listens; tests put their own server in its place."""

LEFT_OUT = "no-test"
"""After a fence's language: this block is not run."""

CUT = "..."
"""In shown output: any number of lines, or within a line any part of it."""

_FENCE = re.compile(r"^```(\w*)([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_EXITS = re.compile(r"# exits with (\d+)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        language: Of the fence.
        tested: False where the fence says `no-test`.
        text: What is inside.
        output: The block of text right below; None where there is none.
    """

    language: str
    tested: bool
    text: str
    output: str | None


def read_page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(page: str, *languages: str) -> list[Block]:
    """List a page's blocks of these languages."""
    text = read_page(page)
    fences = [*_FENCE.finditer(text), None]
    return [
        Block(
            language=fence[1],
            tested=LEFT_OUT not in fence[2],
            text=fence[3],
            output=below[3] if below and below[1] == "text" and below.start() - fence.end() <= 2 else None,
        )
        for fence, below in pairwise(fences)
        if fence is not None and fence[1] in languages
    ]


def run_commands(text: str, *, environment: Mapping[str, str]) -> str:
    """Run lines of a shell in the present folder; return what they print.

    `clipwarden ...` runs in this process, with `< file` and `> file`; anything else in a shell. A comment
    `# exits with N` states the exit code that is expected, 0 without it.
    """
    return "".join(_run_line(line, environment) for line in text.splitlines() if line.strip())


def _run_line(line: str, environment: Mapping[str, str]) -> str:
    expected = int(found[1]) if (found := _EXITS.search(line)) else 0
    words = shlex.split(line, comments=True)
    if words[0] != "clipwarden":
        # With the commands of this interpreter, as in an activated environment.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        with_ours = os.environ | {"PATH": path}
        return subprocess.run(line, shell=True, check=True, capture_output=True, text=True, env=with_ours).stdout  # noqa: S602  our own page
    words, target = _redirected(words, ">")
    words, source = _redirected(words, "<")
    done = CliRunner().invoke(app, words[1:], input=source.read_bytes() if source else None, env=dict(environment))
    assert done.exit_code == expected, f"{line}\n{done.output}\n{done.exception!r}"
    if target:
        target.write_bytes(done.stdout_bytes)
        return ""
    return done.output


def _redirected(words: Sequence[str], sign: str) -> tuple[list[str], Path | None]:
    if sign not in words:
        return list(words), None
    place = words.index(sign)
    return [*words[:place], *words[place + 2 :]], Path(words[place + 1])


def run_python(text: str) -> str:
    """Run Python in the present folder; return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, "page", "exec"), {"__name__": "__main__"})  # noqa: S102  our own page
    return printed.getvalue()


def is_shown(shown: str, printed: str) -> bool:
    """Tell whether a page shows what is printed: line by line, blank lines aside, but for what `...` leaves out."""
    pattern = "".join(r"(?:.*\n)*" if line == CUT else _line_pattern(line) for line in _filled_lines(shown))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _filled_lines(printed))) is not None


def _line_pattern(line: str) -> str:
    return re.escape(line).replace(re.escape(CUT), ".*") + r"\n"


def _filled_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]
