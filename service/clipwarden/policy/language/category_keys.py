"""The keys of categories, beyond those that attributes have too; see `keys`."""

from dataclasses import replace

from clipwarden.policy.language.concept_keys import DIGEST_TEXT, ID, NAME, SAID, SHARED
from clipwarden.policy.language.kinds import Choice, Day, Number, Shape, Text, Texts, Whole
from clipwarden.policy.language.tables import Key, Keys, ListOf, Map, MapOf, Misuse, TextOrMap
from clipwarden.policy.schema import By, Drawn, Effect, Evidence, Mode, Unit
from clipwarden.policy.slices import SLICE_PATTERN
from clipwarden.textfiles.values import MAX_TEXT

MAX_SEVERITY = 4
MAX_CONTEXTS = 256
"""Most declared contexts; each is a surface or tenant that somebody reviews by hand."""
MAX_CONDITIONS = 512
"""Most exemptions, or adjustments, of one category: as many as there may be attributes."""
MAX_ADJUSTMENT = 1.0
"""Largest `add`, half of the range of cosines. The Stable Diffusion safety checker's is 0.01."""

_ALLOWED = ("allow", "allowed", "permit", "permitted", "accept", "accepted", "ignore", "ignored", "skip")
"""What people write where a kind of harm is welcome; lint says to disable the category there."""
MODE = Choice(
    example="shadow",
    words={mode.value: mode for mode in Mode},
    habits={
        **dict.fromkeys(("off", "false", "no", "none", "inactive", *_ALLOWED), "disabled"),
        **dict.fromkeys(("on", "true", "yes", "active", "enabled", "block"), "enforce"),
        **dict.fromkeys(("monitor", "log", "audit", "dry-run", "dry_run"), "shadow"),
    },
)
BOUND = Number(example="0.55", low=-1.0, high=1.0)
"""The wider range, which holds while the unit is unknown."""

MAX_COUNTED = 1_000_000_000
"""Most pictures, or looks, that evidence may speak of; only a bound."""
MAX_SENTENCES = 16
"""Most promises, or targets, of one category."""

MAX_SLICES = 256
"""Most slices that evidence may speak of."""
MAX_SLICE_TEXT = 2 * MAX_TEXT
"""Characters of what it says of one: a name, and the reason of whoever waived it."""
_SLICE = Shape(
    pattern=SLICE_PATTERN,
    code="slice-finding",
    rule="what `clipwarden tune --slice-ceiling` or `clipwarden enforce --waive-slice` wrote",
    fix="Put back what they wrote, or run `clipwarden tune --slice-ceiling` again.",
)
_COUNTED = Whole(example="412", low=0, high=MAX_COUNTED)
EVIDENCE = Keys(
    keys=(
        Key(
            name="store",
            kind=DIGEST_TEXT,
            help="digest of the pictures, which `clipwarden store` prints",
            required=True,
        ),
        Key(
            name="labels",
            kind=DIGEST_TEXT,
            help="digest of the file that says what they are",
            absent="none: there were no labels",
        ),
        Key(
            name="design",
            kind=Choice(
                example="sample",
                words={drawn.value: drawn for drawn in Drawn},
                help={
                    "sample": "drawn from traffic with known chances",
                    "top": "drawn evenly from traffic, labelled from the highest score down",
                    "set": "picked by hand: nothing is promised of other pictures",
                    "traffic": "drawn evenly from traffic, without labels",
                },
            ),
            help="how the pictures came together",
            required=True,
        ),
        Key(name="labelled", kind=_COUNTED, help="how many have a label for this category", required=True),
        Key(
            name="positives", kind=replace(_COUNTED, example="31"), help="how many of those are harmful", required=True
        ),
        Key(
            name="groups",
            kind=replace(_COUNTED, example="390"),
            help="how many of those labelled are distinct, near-duplicates counting once",
            required=True,
        ),
        Key(
            name="how",
            kind=Text(example='"Platt\'s calibration; exact binomial tests on margins"', shape=SAID),
            help="the methods, in words",
            required=True,
        ),
        Key(
            name="confidence",
            kind=Number(example="0.95", low=0.0, high=1.0, open_low=True, open_high=True),
            help="of each promise alone, looked at once",
            required=True,
        ),
        Key(
            name="looks",
            kind=Whole(example="1", low=1, high=MAX_COUNTED),
            help="how often these labels had been looked at, this time included: every look is another try",
            required=True,
        ),
        Key(name="day", kind=Day(example="2027-06-01"), help="when", required=True),
        Key(name="author", kind=Text(example="sam@example.com"), help="who ran the tool", required=True),
        Key(
            name="promises",
            kind=Texts(example='["..."]', item=Text(example='"..."', shape=SAID), most=MAX_SENTENCES),
            help="what holds of the thresholds, and of scores as probabilities",
        ),
        Key(
            name="targets",
            kind=Texts(example='["block-fpr 0.001"]', item=Text(example='"block-fpr 0.001"'), most=MAX_SENTENCES),
            help="what was asked for, as options of `clipwarden tune`; `--refit` asks for it again",
        ),
        Key(
            name="slices",
            kind=Texts(
                example="['\"country=de\": UNKNOWN by the block limit at 2 %, label 109 more']",
                item=Text(
                    example="'\"country=de\": UNKNOWN by the block limit at 2 %, label 109 more'",
                    limit=MAX_SLICE_TEXT,
                    shape=_SLICE,
                ),
                most=MAX_SLICES,
            ),
            help="what slices of the pictures say: `enforce` asks for a waiver by name for what is not PASS",
        ),
    )
)

CHOSEN_ON = Keys(
    keys=(
        Key(
            name="digest",
            kind=DIGEST_TEXT,
            help="what the numbers were chosen on; `clipwarden lint` prints the one that holds now",
            required=True,
        ),
        Key(
            name="by",
            kind=Choice(
                example="hand",
                words={by.value: by for by in By},
                habits={**dict.fromkeys(("manual", "human", "person", "me"), "hand"), "tune": "fit", "tool": "fit"},
                help={"fit": "a tool, on images", "hand": "a person, who gives a `reason`"},
            ),
            help="who chose them: a tool on images, or a person",
            required=True,
        ),
        Key(
            name="reason",
            kind=Text(example='"looked through 300 uploads on 1 June"', shape=SAID),
            help="why these numbers",
            absent="none; required under `by: hand`",
        ),
        Key(
            name="approved_by",
            kind=Text(example='"second.reviewer@example.com"', shape=SAID),
            help="who else stands for them",
            absent="none; required under `by: hand` once the category is enforced",
        ),
        Key(
            name="evidence",
            kind=Map(
                example='{store: "sha256:...", design: sample, labelled: 412, positives: 31, ...}',
                keys=EVIDENCE,
                make=Evidence,
            ),
            help="what a tool chose them on; `clipwarden tune --write` writes it",
        ),
    )
)
_BY_UNIT = "0 to 1 for `score`, -1 to 1 for `cosine`"
THRESHOLDS = Keys(
    keys=(
        Key(
            name="unit",
            kind=Choice(
                example="score",
                words={unit.value: unit for unit in Unit},
                habits={"probability": "score", "percent": "score"},
            ),
            help="must match the method, so that nobody reads 0.25 as the wrong thing",
            required=True,
        ),
        Key(name="review", kind=BOUND, help="lower end of the review band, inclusive", narrower=_BY_UNIT),
        Key(
            name="block",
            kind=replace(BOUND, example="0.92"),
            help="lower end of the block band, inclusive; above `review`",
            narrower=_BY_UNIT,
        ),
        Key(
            name="chosen_on",
            kind=TextOrMap(example='"sha256:..."', text=DIGEST_TEXT, keys=CHOSEN_ON),
            help="digest of all that the bands rest on, or a map that also says who chose the numbers; without the "
            "right one there is no band",
            absent="none: no band; required once the category is enforced",
        ),
    ),
    any_of=(("review",), ("block",)),
)
BOUNDS = Keys(keys=tuple(key for key in THRESHOLDS if key.name in ("review", "block")))
OVERRIDE = Keys(
    keys=(
        *(replace(key, absent="as in `thresholds`") for key in BOUNDS),
        Key(
            name="mode",
            kind=MODE,
            help="what holds here in place of the category's own `mode`",
            absent="as the category's own",
        ),
    ),
    any_of=(*THRESHOLDS.any_of, ("mode",)),
)

WHEN = Keys(
    keys=(
        Key(name="attribute", kind=Text(example="museum"), help="id of an attribute", required=True),
        Key(
            name="gte",
            kind=Number(example="0.8", low=-1.0, high=1.0),
            help="what its number, or for an adjustment its cosine, must at least be",
            required=True,
            narrower="0 to 1, or -1 to 1 for an attribute under `method: cosine`",
        ),
    )
)
_WHEN = Map(example="{attribute: museum, gte: 0.8}", keys=WHEN)
EXEMPTION = Keys(
    keys=(
        Key(name="when", kind=_WHEN, help="the attribute that exempts, and from which number on", required=True),
        Key(
            name="effect",
            kind=Choice(
                example="block_to_review",
                words={effect.value: effect for effect in Effect},
                habits={"allow": "block_to_review", "review": "block_to_review"},
            ),
            help="a block by this category becomes a review, in the same view of the image",
            default="block_to_review",
        ),
    )
)
ADJUSTMENT = Keys(
    keys=(
        Key(name="when", kind=_WHEN, help="the attribute that raises, and from which cosine on", required=True),
        Key(
            name="add",
            kind=Number(example="0.01", low=0.0, high=MAX_ADJUSTMENT, open_low=True),
            help="added to this category's cosine, in the same view of the image",
            required=True,
        ),
    )
)

CATEGORY = Keys(
    keys=(
        ID,
        Key(
            name="severity",
            kind=Whole(example="3", low=0, high=MAX_SEVERITY, ends=("least harmful", "most harmful")),
            help="how harmful, **not** how certain",
            required=True,
        ),
        Key(
            name="definition",
            kind=Text(example='"Real firearms or blades shown as weapons."'),
            help="one sentence for reviewers",
            required=True,
        ),
        Key(
            name="mode",
            kind=MODE,
            help="`shadow`: scored and reported. `enforce`: counts. `disabled`: not scored",
            inherited=True,
        ),
        *SHARED,
        Key(
            name="thresholds",
            kind=Map(example="{unit: score, review: 0.55, block: 0.92}", keys=THRESHOLDS),
            help="from which number on an image is for review, or blocked",
            absent="none: scored, no band; required once the category is enforced",
        ),
        Key(
            name="reason_code",
            kind=Text(example="WPN-1", limit=64),
            help="text that results carry, such as a paragraph of your rules",
        ),
        Key(
            name="exemptions",
            kind=ListOf(
                example="[{when: {attribute: museum, gte: 0.8}, effect: block_to_review}]",
                item=Map(example="{when: {attribute: museum, gte: 0.8}}", keys=EXEMPTION),
                most=MAX_CONDITIONS,
            ),
            help="attributes that turn a block into a review",
        ),
        Key(
            name="contexts",
            kind=MapOf(
                example="{hunting-shop: {review: 0.8}}",
                item=Map(example="{review: 0.8}", keys=OVERRIDE),
                names=NAME,
                most=MAX_CONTEXTS,
            ),
            help="bounds and modes that hold instead in a context, which the policy declares; bounds need `thresholds`",
        ),
        Key(
            name="adjustments",
            kind=ListOf(
                example="[{when: {attribute: swimwear, gte: 0.2}, add: 0.01}]",
                item=Map(example="{when: {attribute: swimwear, gte: 0.2}, add: 0.01}", keys=ADJUSTMENT),
                most=MAX_CONDITIONS,
            ),
            help="attributes that raise this category's cosine",
            misuse=Misuse(
                code="adjustments-without-cosine",
                message="Adjustments raise a cosine; under `method: {method}` there is none to raise.",
                fix="Delete them, or write `scoring: {{method: cosine}}`.",
            ),
        ),
    )
)
