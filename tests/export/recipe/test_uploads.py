"""Lines of a view plan stand on drawings as they may be uploaded, over all their views."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.compile import compile_policy
from clipwarden.policy.bundle.compiled import CompiledPolicy
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.shipped import shipped_policy
from clipwarden.vision.plan import ViewPlan, Views
from clipwarden.vision.preprocess import fit_to_side
from kit.toymodel import load_toy_model
from recipes.mini.apply import bare
from recipes.mini.evidence import Evidence
from recipes.mini.heldout import SEED
from recipes.mini.layouts import LAYOUTS, deal
from recipes.mini.lines import choose_lines
from recipes.mini.moderation import score_cases
from recipes.mini.pictures import on_colour
from recipes.mini.uploads import uploaded_margins

COUNT, SIDE, HARMFUL, TONED = 60, 48, 3, 5


class Drawings:
    """Sixty drawings of noise, as the recipe would hold them."""

    def __init__(self, cache: Path, model: Model) -> None:
        self.cache, self.model = cache, model
        self.pixels = np.random.default_rng(3).integers(0, 256, (COUNT, SIDE, SIDE, 4), np.uint8)

    def rgba(self, row: int) -> np.ndarray:
        return self.pixels[row]

    def vectors(self, rows: np.ndarray, _view: str) -> np.ndarray:
        shown = [fit_to_side(on_colour(self.pixels[r], (255, 255, 255)), self.model.manifest.image) for r in rows]
        return self.model.image.encode(np.stack(shown))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_toy_model(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(scope="module")
def compiled(model: Model) -> CompiledPolicy:
    policy = bare(load_policy(shipped_policy("stickers")).policy)
    plan = ViewPlan(views=Views.AUTO)
    return compile_policy(replace(policy, plan=plan, categories=policy.categories[:1]), model=model)


@pytest.fixture
def evidence() -> Evidence:
    truth = np.full(COUNT, "negative", dtype="<U16")
    truth[HARMFUL] = "positive"
    listed = np.arange(COUNT) != TONED
    colour = np.arange(COUNT) % 2 == 0
    return Evidence(
        rows=np.arange(COUNT),
        families=np.array(["a"] * COUNT),
        colour=colour,
        listed=listed,
        truth={"weapons": truth},
        slices={},
        detail=np.array([""] * COUNT),
    )


def test_harmless_drawings_alone_score_as_ever_and_others_by_their_views(
    model: Model, compiled: CompiledPolicy, evidence: Evidence, tmp_path: Path
) -> None:
    held = Drawings(tmp_path, model)
    margins = uploaded_margins(held, model, evidence, compiled)
    assert np.isnan(margins).all(1).nonzero()[0].tolist() == [HARMFUL, TONED]
    rows = np.flatnonzero(~np.isnan(margins[:, 0]))
    layouts = deal(np.random.default_rng(SEED), len(rows))
    alone = np.array([layout.name == "single" for layout in layouts])
    assert 0.5 < alone.mean() < 0.9
    clean = score_cases(held.vectors(rows, "clean"), compiled).margin
    assert np.array_equal(margins[rows][alone], clean[alone])
    assert (margins[rows][~alone] != clean[~alone]).all()
    (kept,) = tmp_path.glob("uploads-auto-*.npz")
    assert np.load(kept)["counts"].max() == 3
    assert np.array_equal(uploaded_margins(held, model, evidence, compiled), margins, equal_nan=True)


def test_uploads_move_a_line_up_and_never_down(evidence: Evidence) -> None:
    scores = np.linspace(0.1, 0.2, COUNT)
    everything = np.ones(COUNT, np.bool_)
    before = choose_lines(scores, evidence, "weapons", everything)
    uploads = np.where(np.arange(COUNT) == HARMFUL, np.nan, scores)
    assert choose_lines(scores, evidence, "weapons", everything, uploads) == before
    assert choose_lines(scores, evidence, "weapons", everything, uploads / 2) == before
    higher = choose_lines(scores, evidence, "weapons", everything, uploads + 0.05)
    assert all(higher[band] == pytest.approx(line + 0.05, abs=2e-4) for band, line in before.items())


def test_the_mix_deals_every_layout_that_has_a_share() -> None:
    dealt = [layout.name for layout in deal(np.random.default_rng(0), 5000)]
    for layout in LAYOUTS:
        assert dealt.count(layout.name) / 5000 == pytest.approx(layout.share, abs=0.02)
