"""What tests of tuning share: a policy for the toy model, stores of made-up pictures whose truth is known, labels."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np

from clipwarden.modelfolder.load import Model
from clipwarden.tuning.store.info import Sight, Source
from clipwarden.tuning.store.storefile import Charter
from clipwarden.vision.plan import WHOLE, ViewPlan
from kit.lines import chosen_text
from kit.stores import digest_of, made_picture, made_upload, write_store
from kit.toymodel import DIM, reference_texts

POLICY = """\
api: clipwarden/v1
metadata: {{id: tuned, version: "1.0", owner: t@example.com, reason: for tests, review_by: 2999-06-01}}
model: {{fingerprint: "{fingerprint}"}}
defaults: {{mode: shadow, on_error: review, templates: ["{{}}"]}}
contexts:
  shop: {{description: a paint shop}}
categories:
- id: red  # what this test is about
  severity: 3
  definition: Red.
  prompts: ["red", "a weapon"]
  negatives: ["yellow", "a statue"]
- id: blue
  severity: 2
  definition: Blue.
  prompts: ["blue"]
- id: green
  severity: 1
  definition: Green.
  prompts: ["green"]
  scoring: {{method: cosine}}
  thresholds: {{unit: cosine, review: 0.5, block: 0.9}}
  contexts: {{shop: {{review: 0.6}}}}
- id: black
  severity: 1
  mode: disabled
  definition: Black.
  prompts: ["black"]
"""


def policy_text(model: Model) -> str:
    """Write the policy for a model."""
    return chosen_text(POLICY.format(fingerprint=model.fingerprint))


@dataclass(frozen=True, kw_only=True)
class World:
    """A store and its truth.

    Attributes:
        store: Its folder.
        red: The pictures that are red, by digest; the others are not.
        digests: Of all pictures.
    """

    store: Path
    red: frozenset[str]
    digests: Sequence[str]

    def labels(  # one keyword a fact of the file
        self,
        path: Path,
        *,
        design: str = "set",
        of: Iterable[str] | None = None,
        categories: Sequence[str] = ("red",),
        rows: Mapping[str, Mapping[str, object]] | None = None,
        **header: object,
    ) -> Path:
        """Write what somebody who knows the truth says of some pictures, all by default."""
        head = {"labels": "clipwarden.labels/1", "design": design, "categories": list(categories), **header}
        lines = [json.dumps(head)]
        for digest in self.digests if of is None else of:
            marks = dict.fromkeys(categories, digest in self.red)
            more = dict((rows or {}).get(digest, {}))
            lines.append(json.dumps({"sha256": digest, "labels": marks, **more}))
        path.write_text("\n".join(lines) + "\n")
        return path


def filled_in(path: Path, world: World) -> Path:
    """Say the truth in a label file that `clipwarden sample` wrote."""
    head, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    done = path.with_name(f"done-{path.name}")
    marked = [{**row, "labels": dict.fromkeys(head["categories"], row["sha256"] in world.red)} for row in rows]
    done.write_text("".join(f"{json.dumps(each)}\n" for each in (head, *marked)))
    return done


def make_world(
    path: Path,
    model: Model,
    *,
    red: int = 40,
    others: int = 400,
    copies: int = 1,
    strength: float = 0.9,
    traffic: bool = False,
    slices: Mapping[str, Sequence[str]] | None = None,
    days: int = 0,
    plan: ViewPlan = WHOLE,
) -> World:
    """Write a store of pictures of which some look like the word red, and some others a little.

    Args:
        path: Its folder.
        model: A toy model, of seed 7.
        red: How many pictures are red.
        others: How many are not.
        copies: How many near-duplicates each red picture has, itself included.
        strength: How much the red ones look like it.
        traffic: Whether the store is uniform traffic.
        slices: By name, values that are dealt to the uploads in turn.
        days: Over how many days uploads are spread; 0 writes no time.
        plan: The view plan that they are said to be seen by.
    """
    word = reference_texts(["red"], 7)[0]
    rng = np.random.default_rng(11)
    pictures, reds, number = [], [], 0
    for which in range(red + others):
        base = rng.normal(size=DIM).astype(np.float32) / np.sqrt(DIM)
        vector = base + word * (strength if which < red else 0.35 * rng.random())
        for copy in range(copies if which < red else 1):
            moved = vector + (rng.normal(size=DIM).astype(np.float32) * 0.002 if copy else 0)
            moved = moved / np.linalg.norm(moved)
            pictures.append(replace(made_picture(number), vectors=moved.astype(np.float32)[np.newaxis]))
            reds += [digest_of(number)] if which < red else []
            number += 1
    start = datetime(2026, 10, 1, 12, tzinfo=UTC)
    uploads = [
        made_upload(
            each,
            time=start + timedelta(days=each % days) if days else None,
            slices={name: values[each % len(values)] for name, values in (slices or {}).items()},
        )
        for each in range(number)
    ]
    sight = Sight(
        model="toy",
        fingerprint=model.fingerprint,
        provider="CPUExecutionProvider",
        precision="fp32",
        plan=plan,
        width=DIM,
    )
    charter = Charter(source=Source.SET, sight=sight)
    if traffic:
        since, until = date(2026, 10, 1), date(2026, 12, 31)
        charter = Charter(source=Source.TRAFFIC, sight=sight, since=since, until=until)
    write_store(path, uploads, pictures, charter=charter)
    return World(store=path, red=frozenset(reds), digests=[each.sha256 for each in pictures])
