"""What tests of the command line share: a policy of colours bound to the toy model, and pictures of those colours."""

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from typer.testing import Result

from clipwarden.modelfolder.fingerprint import fingerprint
from clipwarden.modelfolder.load import load_manifest
from kit.lines import chosen_text
from kit.pictures import encode, natural_picture

POLICY = """\
api: clipwarden/v1
metadata: {{id: colours, version: "1.0"}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: {mode}, on_error: review, templates: ["{{}}", "a photo of {{}}"]}}
contexts:
  shop: {{description: "a paint shop"}}
categories:
- id: colour.red
  severity: 3
  definition: "Red."
  prompts: ["red"]
  negatives: ["yellow"]
  thresholds: {{unit: score, review: 0.5, block: 0.9}}
  contexts: {{shop: {{review: 0.99999999999, block: 0.999999999999}}}}
- id: colour.blue
  severity: 2
  definition: "Blue."
  mode: shadow
  prompts: ["blue"]
  scoring: {{method: cosine}}
  thresholds: {{unit: cosine, review: 0.5, block: 0.9}}
- id: colour.green
  severity: 1
  mode: disabled
  definition: "Green."
  prompts: ["green"]
attributes:
- {{id: museum, prompts: ["a statue"]}}
"""

Run = Callable[..., Result]


def write_policy(path: Path, toy_folder: Path, *, mode: str) -> Path:
    path.write_text(chosen_text(POLICY.format(fingerprint=fingerprint(load_manifest(toy_folder)), mode=mode)))
    return path


def make_pictures(folder: Path) -> Path:
    """Fill a folder: red, blue and yellow pictures, one cut short, a text file, a hidden file, and a folder inside."""
    (folder / "more").mkdir(parents=True)
    texture = natural_picture(1, (64, 64))
    for name, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255)), ("yellow", (255, 255, 0))):
        picture = Image.blend(Image.new("RGB", (64, 64), colour), texture, 0.25)
        (folder / f"{name}.png").write_bytes(encode(picture, "PNG"))
    red = (folder / "red.png").read_bytes()
    (folder / "cut.png").write_bytes(red[: len(red) // 2])
    (folder / "more" / "red2.PNG").write_bytes(red)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(red)
    return folder
