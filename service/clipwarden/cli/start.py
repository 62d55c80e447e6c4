"""The program's entry: `health` by a short way of its own, everything else by `main`.

A probe may run `clipwarden health` every few seconds beside a server that needs the processor. What reads the options
of all commands takes several times as long to import as the question takes to ask. So the plain forms of this one
command are read here; its help, TLS, and whatever is not understood, are `main`'s like all else.
"""

import os
import signal
import sys

ENDED = 143  # 128 and SIGTERM, as `exits` has it

# The first process of a container hears no signal that it has not asked for: SIGTERM would change nothing until a
# server heeds it, and `serve --check` would go on to its end while a pod is deleted. Nothing is imported before this.
if os.getpid() == 1:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ENDED))

from collections.abc import Sequence  # noqa: E402
from typing import Any, NamedTuple  # noqa: E402

from clipwarden.cli.healthanswers import TIMEOUT_SECONDS, ask_until, asking  # noqa: E402
from clipwarden.errors import ClipwardenError  # noqa: E402

INTERRUPTED = 130
BROKEN_PIPE = 141  # both as `commandline` has them, which is what takes so long


def main() -> None:
    """Run the command line."""
    code = _quick_health(sys.argv[1:])
    if code is not None:
        sys.exit(code)
    from clipwarden.cli.main import main as whole

    whole()


class _Options(NamedTuple):
    """Of `health`."""

    address: str | None = None
    live: bool = False
    as_json: bool = False
    wait: float = 0.0
    timeout: float = TIMEOUT_SECONDS


_SWITCHES = {"--live": "live", "--json": "as_json"}
_SECONDS = {"--wait": "wait", "--timeout": "timeout"}


def _quick_health(arguments: Sequence[str]) -> int | None:
    """Run `health` to its exit code; None where anything about it takes more words than there are here."""
    if arguments[:1] != ["health"]:
        return None
    try:
        options = _read(arguments[1:])
        ask = asking(options.address, live=options.live)
        answer = ask_until(ask, wait_seconds=options.wait, timeout_seconds=options.timeout)
        text = answer.as_json() if options.as_json else answer.as_text()
        os.write(sys.stdout.fileno(), f"{text}\n".encode())
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE
    except (ValueError, IndexError, OSError, ClipwardenError):
        return None
    return answer.code


def _read(arguments: Sequence[str]) -> _Options:
    """Read options; ValueError or IndexError for what is not plain."""
    given: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word, equals, value = rest.pop(0).partition("=")
        if word in _SWITCHES and not equals:
            given[_SWITCHES[word]] = True
        elif word in _SECONDS:
            given[_SECONDS[word]] = float(value if equals else rest.pop(0))
        elif word.startswith("-") or "address" in given:
            raise ValueError(word)
        else:
            given["address"] = word + equals + value
    return _Options(**given)
