"""clipwarden demo: a real server, a real client, real images, and one verdict explained."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from clipwarden.cli.exits import Exit
from clipwarden.errors import ConfigError
from clipwarden.terminal import notice, printable, stdout

if TYPE_CHECKING:
    from clipwarden.cli.outcome import Outcome
    from clipwarden.client import Client, Image

DEMO_IMAGES = Path(__file__).parent.parent / "demo" / "images"
BROKEN_NAME = "cut-in-half.png"

NEXT_STEPS = """Next:

  clipwarden moderate sticker.png --explain   judge a drawing of yours
  clipwarden policies stickers > mine.yaml    start a policy of your own ...
  clipwarden lint mine.yaml --model mini      ... and check it
  clipwarden serve --policy mine.yaml         answer on 127.0.0.1:50051
  clipwarden models --help                    use a real CLIP checkpoint

From Python:

  from clipwarden import Client
  with Client("localhost:50051") as client:
      print(client.moderate("sticker.png").decided_by)

The embedded model knows drawings only: emoji, stickers, icons.
For photographs, export a CLIP checkpoint first."""


def demo() -> Exit:
    """Start a server, judge a few drawn images over gRPC, explain one verdict, and stop the server.

    Uses the embedded model and the shipped policy "stickers", and needs neither network nor a free port. One of the
    files is cut in half, to show how an image that cannot be judged is answered. Ends with 0 if everything worked.
    """
    from clipwarden.modelfolder.runtime import import_onnxruntime

    # Asked here, and not only by the server, so that the sentence is ours and not a line in its log.
    import_onnxruntime()
    faults = show_demo(demo_images(DEMO_IMAGES), model="mini", policy="stickers")
    for fault in faults:
        notice(fault, style="bold red")
    return Exit.FAILED if faults else Exit.OK


def show_demo(images: Sequence[Path], *, model: str, policy: str) -> list[str]:
    """Judge images over gRPC, and one of them cut in half; print all of it.

    Args:
        images: At least one.
        model: For the server.
        policy: For the server.

    Returns:
        What went otherwise than it should; empty when all is well.

    Raises:
        ClipwardenError: There is no server to talk to.
    """
    from clipwarden.cli.outcome import Tally
    from clipwarden.cli.subserver import running_subserver
    from clipwarden.cli.table import outcomes_table
    from clipwarden.client import Client

    console = stdout()
    started = time.monotonic()
    with running_subserver(["--model", model, "--policy", policy]) as server:
        with Client(server.target, sleep=server.sleep) as client:
            client.wait_until_ready()
            seconds = time.monotonic() - started
            for warning in server.warnings():
                notice(printable(warning))
            console.print(f"A clipwarden server is ready after {seconds:.1f} s: model {model}, policy {policy}.\n")
            outcomes = [_judge(client, path.name, path) for path in images]
            outcomes.append(_judge(client, BROKEN_NAME, _cut_in_half(images[0])))
        status = server.stop()
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    console.print(outcomes_table(outcomes, width=console.width))
    console.print(f"\n{tally}\n")
    _explain(outcomes)
    console.print(NEXT_STEPS)
    return _faults(outcomes, status)


def demo_images(folder: Path) -> list[Path]:
    """List the images to judge.

    Raises:
        ConfigError: The installation lacks them.
    """
    images = sorted(path for path in folder.glob("*") if path.suffix in {".png", ".jpg", ".webp"})
    if not images:
        raise ConfigError(f"The demo's images are missing from {folder}; install clipwarden again.")
    return images


def _cut_in_half(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: len(data) // 2]


def _judge(client: "Client", name: str, image: "Image") -> "Outcome":
    from clipwarden.cli.outcome import Outcome
    from clipwarden.cli.serverjudge import not_judged
    from clipwarden.client import ClientError

    try:
        return Outcome(name=name, moderation=client.moderate(image, request_id=f"demo/{name}"))
    except ClientError as error:
        return Outcome(name=name, error=not_judged(error))


def _explain(outcomes: Sequence["Outcome"]) -> None:
    """Explain the strictest verdict: it has the most to say for itself."""
    from clipwarden.cli.explain import explanation

    judged = [(outcome.moderation, outcome.name) for outcome in outcomes if outcome.moderation is not None]
    if judged:
        moderation, name = max(judged, key=lambda pair: pair[0].verdict)
        console = stdout()
        console.print(Text("One verdict in full (`clipwarden moderate --explain`):\n", style="bold"))
        console.print(explanation(name, moderation, width=console.width))


def _faults(outcomes: Sequence["Outcome"], server_status: int) -> list[str]:
    from clipwarden.client import ImageRefusedError

    *whole, broken = outcomes
    faults = [f"{outcome.name} was not judged: {outcome.error}" for outcome in whole if outcome.moderation is None]
    if broken.error is None or not isinstance(broken.error.__cause__, ImageRefusedError):
        faults.append(f"{BROKEN_NAME} was not refused as an image that cannot be judged.")
    if server_status != 0:
        faults.append(f"The server ended with status {server_status} instead of 0.")
    return faults
