"""What somebody wants to label in, typed in as options; the pictures that were drawn for it, out."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from clipwarden.cli.loading import load_model_and_policies
from clipwarden.cli.policyfile import read_policy
from clipwarden.cli.stages import stage_bar
from clipwarden.errors import ConfigError
from clipwarden.policy.schema import Mode, Policy
from clipwarden.tuning.design.sampling import MOST_CATEGORIES, UNIFORM
from clipwarden.tuning.labels.drawing import (
    Scored,
    draw_from_the_top,
    draw_sample,
    judged_rows,
    require_same_walk,
    seed_of,
)
from clipwarden.tuning.labels.model import Labels
from clipwarden.tuning.labels.reading import read_labels
from clipwarden.tuning.labels.rows import CellError, category_named
from clipwarden.tuning.labels.selecting import select, without_labels
from clipwarden.tuning.scores import score_store
from clipwarden.tuning.store.contents import Pictures
from clipwarden.tuning.store.store import open_store
from clipwarden.tuning.tune.walking import order_of
from clipwarden.vision.plan import WHOLE

AT_MOST = 0.005
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What somebody typed in; None, or nothing, where nothing was.

    Attributes:
        n: How many pictures.
        categories: What to look for.
        top: The category of a walk from the top.
        at_most: Share of uploads that may be stopped wrongly, in (0, 1).
        confidence: Of that promise, in (0, 1).
        seed: Of the draw.
        add: Label files of a former sample.
        uniform: Share of the sample that is drawn whatever the scores, in (0, 1].
    """

    n: int | None = None
    categories: tuple[str, ...] = ()
    top: str | None = None
    at_most: float | None = None
    confidence: float | None = None
    seed: str | None = None
    add: tuple[Path, ...] = ()
    uniform: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A sample.

    Attributes:
        labels: All of it, with what was said of it before.
        to_label: What is left to label.
        policy: Whose categories it is about.
        rows: What was drawn from what, by name.
        file: The policy, as typed.
        judged: Of each picture that the store has, by sha256, the frames that were judged; empty without a store.
    """

    labels: Labels
    to_label: Labels
    policy: Policy
    rows: Mapping[str, str]
    file: str
    judged: Mapping[str, Collection[int]] = field(default_factory=dict)


def draw(policy_name: str, folder: Path | None, model: str | None, wish: Wish) -> Drawn:
    """Draw a sample, or a walk from the top.

    Args:
        policy_name: As typed.
        folder: Of the store.
        model: Folder or name of the model that embeds the policy's texts.
        wish: What to draw.

    Raises:
        ConfigError: The wish contradicts itself.
        ClipwardenError: The policy, the model, the store or the former labels cannot be used.
    """
    if folder is None:
        raise ConfigError("Name the store to draw from with --store; `clipwarden embed` writes one.")
    _require_one_wish(wish)
    policy = read_policy(policy_name).policy
    former = read_labels(wish.add, categories=[each.id for each in policy.categories]) if wish.add else None
    names = _names(policy, wish, former)
    scored = _score(policy_name, folder, model)
    seed = wish.seed or (former.seed if former and former.seed else seed_of(scored.store))
    if wish.top:
        labels = _walk(scored, names[0], wish, former, seed)
    else:
        labels = draw_sample(scored, names, wish.n or 0, seed=seed, former=former, uniform=wish.uniform or UNIFORM)
    there = judged_rows(labels, scored)
    to_label = without_labels(labels if len(there) == len(labels) else select(labels, there))
    if not len(to_label):
        what = "All that was drawn has labels already" if len(labels) else "The draw came out empty"
        raise ConfigError(f"{what}; ask for more with -n.")
    rows = _drawn_from(labels, scored, wish, former) | _lost(len(labels) - len(there))
    judged = _frames_judged(scored.store.pictures, to_label.sha256)
    return Drawn(labels=labels, to_label=to_label, policy=policy, rows=rows, file=policy_name, judged=judged)


def _frames_judged(pictures: Pictures, wanted: Sequence[str]) -> dict[str, frozenset[int]]:
    ends = [*pictures.starts[1:].tolist(), len(pictures.views)]
    return {
        sha256: frozenset(view.frame for view in pictures.views[int(pictures.starts[row]) : ends[row]])
        for sha256, row in zip(wanted, pictures.sha256.find(wanted).tolist(), strict=True)
        if row >= 0
    }


def draw_again(policy_name: str, files: Sequence[Path], wish: Wish) -> Drawn:
    """Take a sample that was drawn, for another page.

    Args:
        policy_name: As typed.
        files: Its label files.
        wish: Has to be empty.

    Raises:
        ConfigError: Something else is wished for.
        ClipwardenError: The policy or the labels cannot be used.
    """
    if wish != Wish():
        raise ConfigError("--again makes a new page for a sample as it was drawn; drop what says how to draw.")
    policy = read_policy(policy_name).policy
    labels = read_labels(list(files), categories=[each.id for each in policy.categories])
    rows = {"Sample": f"{len(labels):,} pictures, {len(labels.escalated)} of them escalated"}
    return Drawn(labels=labels, to_label=labels, policy=policy, rows=rows, file=policy_name)


def _require_one_wish(wish: Wish) -> None:
    if wish.n is not None and wish.n < 1:
        raise ConfigError(f"-n is {wish.n}; draw at least one picture.")
    if wish.top and wish.categories:
        raise ConfigError("--from-the-top is about its own category; drop --categories.")
    if wish.top and wish.add and (wish.n or wish.at_most or wish.confidence or wish.seed):
        raise ConfigError("--add lists more of a walk as it was drawn; drop -n, --at-most, --confidence and --seed.")
    if wish.top and wish.uniform:
        raise ConfigError("--from-the-top draws evenly, all of it; drop --uniform-share.")
    if not wish.top and (wish.at_most or wish.confidence):
        raise ConfigError(
            "--at-most and --confidence are about a promise that --from-the-top makes; name its category."
        )
    if not wish.top and not wish.categories and not wish.add:
        raise ConfigError("Say with --categories what to look for, or with --from-the-top what to walk down by.")
    if not wish.top and wish.n is None:
        raise ConfigError("Say with -n how many pictures to draw.")
    if len(wish.categories) > MOST_CATEGORIES:
        raise ConfigError(
            f"--categories names {len(wish.categories)}; a sample serves {MOST_CATEGORIES} at most, since over many it "
            "finds little of any. Draw one for each."
        )


def _names(policy: Policy, wish: Wish, former: Labels | None) -> tuple[str, ...]:
    """Return what to look for, in the policy's order.

    Raises:
        ConfigError: The policy has no such category, or does not score it.
    """
    declared = [category.id for category in policy.categories]
    asked = (wish.top,) if wish.top else wish.categories or (former.categories if former else ())
    try:
        named = {category_named(name, declared) for name in asked}
    except CellError as exc:
        raise ConfigError(exc.sentence) from exc
    for category in policy.categories:
        contexts = category.contexts.values()
        scored = category.mode is not Mode.DISABLED or any(each.mode not in (None, Mode.DISABLED) for each in contexts)
        if category.id in named and not scored:
            raise ConfigError(f"The policy has {category.id} disabled, so no picture has a score for it.")
    return tuple(name for name in declared if name in named)


def _walk(scored: Scored, category: str, wish: Wish, former: Labels | None, seed: str) -> Labels:
    """Begin a walk from the top, or list more of a former one."""
    if former is None:
        at_most, confidence, n = wish.at_most or AT_MOST, wish.confidence or CONFIDENCE, wish.n
    else:
        before = require_same_walk(former, category, scored.store)
        at_most, confidence, n = before.at_most, before.confidence, before.uploads
    with stage_bar() as told:
        grouping = partial(told, "Finding near-duplicates")
        return draw_from_the_top(
            scored, category, at_most=at_most, confidence=confidence, seed=seed, n=n, former=former, told=grouping
        )


def _how(labels: Labels, wish: Wish) -> str:
    if labels.walk:
        return "evenly, one of each group of near-duplicates"
    return f"each by a chance of its own, which makes {wish.n or 0:,} in the mean"


def _score(policy_name: str, folder: Path, model: str | None) -> Scored:
    store = open_store(folder)
    snapshot = load_model_and_policies(model, [policy_name])
    tables = snapshot.tables[snapshot.default_policy_id]
    with stage_bar() as told:
        scores = score_store(store, tables, told=partial(told, "Scoring pictures"))
    orders = {category.id: order_of(tables.compiled, category.id) for category in tables.compiled.policy.categories}
    return Scored(store=store, scores=scores, policy=tables.compiled.digest, orders=orders)


def _lost(count: int) -> dict[str, str]:
    told = (
        f"{count:,} of them, not on the page: the store lacks them, or the policy refuses them. They stay in the file"
    )
    return {"Lost": f"{told}, and count against every promise"} if count else {}


def _drawn_from(labels: Labels, scored: Scored, wish: Wish, former: Labels | None) -> dict[str, str]:
    store = scored.store
    days = f", {store.info.since} to {store.info.until}" if store.info.since else ""
    rows = {
        "Store": f"{store.path}, {store.info.source}{days}: {len(store.uploads):,} uploads of "
        f"{len(store.pictures):,} pictures",
        **({} if store.info.plan == WHOLE else {"Views": store.info.plan.name}),
        "Drawn": f"{labels.walk.uploads if labels.walk else len(labels):,} pictures, {_how(labels, wish)}",
        "For": ", ".join(labels.categories),
        "Seed": labels.seed or "",
    }
    if labels.walk and labels.walk.listed:
        rows["Listed"] = f"the {labels.walk.listed:,} with the highest scores"
    if former is not None:
        rows["Drawn"] += f", {len(labels) - len(without_labels(labels)):,} of them labelled before"
    return rows
