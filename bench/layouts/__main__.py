"""Measure view plans on drawings laid out as uploads: `python -m bench.layouts --recipe RECIPE --work DIR`.

RECIPE is a work folder of the embedded model's recipe, after `python -m recipes.mini fetch` and `render --work RECIPE`
(from npm, with the extra `mini` and `export/` on PYTHONPATH). DIR keeps what was drawn and embedded: a run that is
interrupted goes on. Half an hour of two cores the first time; then seconds.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from bench.layouts.embedding import Embedded, embed
from bench.layouts.judging import LIMITS, Floats, Judged, scored
from bench.layouts.material import POPULATIONS, Material, load
from bench.layouts.tables import figures, tables
from bench.tuning.materials import POLICY
from clipwarden.cli.policyfile import read_policy
from clipwarden.modelfolder.load import Model, embedded_model_path, load_model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from recipes.mini.layouts import LAYOUTS

_Key = tuple[str, str]


def main() -> None:
    """Embed what is not embedded yet, and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.layouts", description="Measure view plans on laid-out drawings."
    )
    parser.add_argument("--recipe", type=Path, required=True, help="work folder of the recipe, rendered")
    parser.add_argument("--work", type=Path, required=True, help="folder to write into, outside git")
    parser.add_argument("--harmless", type=int, default=3000, help="drawings, of some 19,000 (default: 3000)")
    parser.add_argument("--tiled", type=int, default=1000, help="of them that tiles are tried on (default: 1000)")
    parser.add_argument("--policy", type=Path, default=POLICY, help="for this model (default: stickers)")
    options = parser.parse_args()
    material = load(options.recipe, options.work, options.harmless)
    model = load_model(embedded_model_path(), threads=1)
    plain = _embedded(material, model, options.work, closer=False, first=options.harmless)
    closer = _embedded(material, model, options.work, closer=True, first=options.tiled) if options.tiled else {}
    compiled = compile_policy(read_policy(str(options.policy)).policy, model=model)
    judged = Judged(
        material=material,
        categories=tuple(category.id for category in compiled.policy.categories),
        scores={key: scored(compiled, own, closer.get(key)) for key, own in plain.items()},
        shipped=_shipped(compiled),
    )
    for line in tables(judged):
        print(line, flush=True)
    (options.work / "layouts.json").write_text(json.dumps(list(figures(judged)), indent=1), encoding="utf-8")


def _shipped(compiled: CompiledPolicy) -> dict[str, Floats]:
    bounds = [category.thresholds.bounds for category in compiled.policy.categories if category.thresholds]
    return {band: np.array([getattr(each, band) for each in bounds], np.float64) for band in LIMITS}


def _embedded(material: Material, model: Model, work: Path, *, closer: bool, first: int) -> dict[_Key, Embedded]:
    found = {}
    for layout in LAYOUTS:
        if closer and not layout.share:
            continue
        for population in POPULATIONS:
            made = embed(material, model, layout, population, work / "vectors", closer=closer, first=first)
            print(layout.name, population, len(made.vectors), "views", file=sys.stderr, flush=True)
            found[layout.name, population] = made
    return found


if __name__ == "__main__":
    main()
