"""The pages promise what the code has: tables, links, names, figures."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cryptography import x509
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from clipwarden.cli.csvreport import COLUMNS
from clipwarden.cli.exits import Exit
from clipwarden.cli.leftovers import KINDS
from clipwarden.cli.main import app
from clipwarden.errors import ClipwardenError, Reason
from clipwarden.modelfolder.load import embedded_model_path, load_model
from clipwarden.policy.language.load import load_policy
from clipwarden.policy.schema import Method, Pool
from clipwarden.policy.shipped import shipped_policy
from clipwarden.serving.config import settings_table
from clipwarden.serving.metrics import Metrics
from clipwarden.serving.probes import LIVEZ, READYZ
from clipwarden.serving.sources import load_settings
from clipwarden.serving.status import code_of
from clipwarden.v1.moderation_pb2 import Timings
from kit.pages import PAGES, ROOT, blocks, read_page

CODE = ("service", "export", "bench", "tests")
# A file, or a design that is none: the page of that name is called a page.
_CITED = r"\b[\w-]+\.md\b|\b[Tt]he (?:\w+ )?design\b(?! page)"
SCORING = read_page("docs/scoring.md")
OPERATE = read_page("docs/operate.md")
CLI = read_page("docs/cli.md")


def test_the_settings_table_is_the_one_the_settings_render() -> None:
    assert settings_table().strip() in OPERATE


def test_the_file_of_settings_is_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    read = []
    for block in blocks("docs/operate.md", "yaml"):
        if block.tested:
            file.write_text(block.text)
            read.append(load_settings({}, {}, [file]))
    settings, of_sockets = read
    assert (of_sockets.listen, of_sockets.unix_socket_mode, of_sockets.unix_socket_group) == (None, "660", "2000")
    assert (settings.policies, settings.queue_bytes) == (("policies/shop.yaml", "policies/chat.yaml"), 512 * 2**20)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed, which makes the certificates")
def test_certificates_by_the_recipe_sign_no_others_and_the_token_is_nobody_elses_to_read(tmp_path: Path) -> None:
    (recipe,) = [block.text for block in blocks("docs/operate.md", "sh") if "openssl req" in block.text]
    lines = [line for line in recipe.splitlines() if "serve --check" not in line]
    script, ours = "umask 022\n" + "\n".join(lines), {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=ours, check=True, capture_output=True)
    authority = {}
    for name in ("ca", "tls", "uploads"):
        certificate = x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes())
        authority[name] = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert authority == {"ca": True, "tls": False, "uploads": False}
    assert (tmp_path / "uploads.token").stat().st_mode & 0o077 == 0


def test_kubelets_are_told_to_ask_what_is_there() -> None:
    (block,) = [each for each in blocks("docs/operate.md", "yaml") if "startupProbe" in each.text]
    asked = {name: probe["httpGet"]["path"] for name, probe in yaml.safe_load(block.text).items() if name != "ports"}
    assert asked == {"startupProbe": READYZ, "readinessProbe": READYZ, "livenessProbe": LIVEZ}


def test_every_command_has_a_row() -> None:
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output.partition(" Commands ")[2]
    assert set(re.findall(r"^\| \[`([\w ]+)`\]", CLI, re.MULTILINE)) == {
        name.strip() for name in re.findall(r"^│ ([\w ]{14}) ", listed, re.MULTILINE) if name.strip()
    }


def test_every_exit_code_has_a_row() -> None:
    table = CLI.partition("## Exit codes")[2]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)] == sorted(Exit)


def test_every_reason_of_an_error_is_told_to_other_languages_under_its_code() -> None:
    rows = re.findall(r"^\| ([A-Z_]+) \| (.*?) \|", read_page("docs/languages.md"), re.MULTILINE)
    told = {reason: code for code, reasons in rows for reason in re.findall(r"`([A-Z_]+)`", reasons)}
    assert told.keys() == {reason.value for reason in Reason}
    for kind in _kinds(ClipwardenError):
        if isinstance(getattr(kind, "reason", None), Reason):
            assert code_of(kind.__new__(kind)) == told[kind.reason], kind


def _kinds(base: type[ClipwardenError]) -> Iterator[type[Any]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)


def test_every_reason_to_leave_something_out_has_a_row_with_its_exit_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| .* \| (\d+) \|$", CLI, re.MULTILINE)
    assert [(reason, int(code)) for reason, code in rows] == [(reason, kind.exit) for reason, kind in KINDS.items()]


def test_every_column_of_csv_that_is_named_is_one() -> None:
    section = CLI.partition("### Spreadsheets")[2].partition("\n### ")[0].partition("A header")[2]
    named = set(re.findall(r"`([a-z_]{4,})`", section))
    of_an_image = {"path", "verdict", "decided_by", "score", "threshold", "text", "reason", "message"}
    assert named == of_an_image | {"frame", "seconds", "frames_seen", "coverage", "resolution"}
    assert named <= set(COLUMNS)


def test_every_metric_has_a_row() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    names = {
        family.name.removeprefix("clipwarden_") + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
    }
    rows = OPERATE.partition("## Metrics")[2].partition("## Logs")[0]
    assert {name for name in names if f"`{name}`" not in rows} == set()
    stages = {field.name for field in Timings.DESCRIPTOR.fields} - {"batch_size"}
    assert {stage for stage in stages if f"`{stage}`" not in rows} == set()


def test_every_reason_is_explained() -> None:
    table = OPERATE.partition("## When something fails")[2]
    missing = [reason for reason in Reason if f"`{reason}`" not in table and not reason.startswith("IMAGE_")]
    assert missing == ["DEADLINE_EXCEEDED"]  # which is also gRPC's own word, and stands there without quotes
    assert "DEADLINE_EXCEEDED |" in table


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    lost = []
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", read_page(page)):
        target = (ROOT / page).parent / path if path else ROOT / page
        found = target.exists() and (not anchor or anchor in _anchors(target))
        lost += [] if found else [f"{path}#{anchor}"]
    assert lost == []


def _anchors(page: Path) -> set[str]:
    """Headings as GitHub links to them: lower case, punctuation dropped, spaces as hyphens."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_test_that_holds_an_attacker_is_there_and_each_section_says_what_is_not_held() -> None:
    model = read_page("docs/security.md").partition("## Threat model")[2]
    named = set(re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", model))
    assert len(named) > 30
    assert [name for name in named if not ((ROOT / name).exists() or list(ROOT.glob(f"tests/**/{name}")))] == []
    sections = model.split("\n### ")[1:]
    assert [section.partition("\n")[0] for section in sections if "**Not defended" not in section] == []


def test_pods_are_counted_by_the_figures_of_the_benchmark() -> None:
    sizing = read_page("docs/kubernetes.md").partition("## Sizing")[2].partition("\n## ")[0]
    table = {
        row[0]: row[1:] for row in re.findall(r"^\| ([^|]+) \| (\S+)[^|]* \| (\S+)[^|]* \|$", sizing, re.MULTILINE)
    }
    for column, size in enumerate(("1600x1200", "224x224")):
        per_second = _benchmark(f"{size}: clipwarden")
        assert table["images a second, two CPUs"][column] == f"{per_second:.0f}"
        assert float(table["for each CPU, to plan with"][column]) == per_second / 2 // 5 * 5
        assert table["most that one process can, by the interpreter lock"][column] == str(
            int(_benchmark(f"{size}: ceiling by the lock"))
        )
        waits = _benchmark(f"{size}: clipwarden, p99 of 8 callers")
        assert table["p99 of eight callers who never pause"][column] == f"{waits:.0f}"
        goodput = _benchmark(f"{size}: goodput / capacity")
        assert table["goodput at twice the capacity"][column] == f"{goodput:.0%}".rstrip("%")


def _benchmark(row: str) -> float:
    """The first figure of that name in the benchmarks."""
    found = re.search(rf"^\| {re.escape(row)} \| ([\d.,]+)", read_page("docs/benchmarks.md"), re.MULTILINE)
    assert found, row
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize("page", PAGES)
def test_no_placeholder_is_left(page: str) -> None:
    assert "<!--" not in read_page(page)


def test_every_place_to_touch_exists() -> None:
    table = read_page("CONTRIBUTING.md").partition("## To add X, touch Y")[2].partition("## How the code reads")[0]
    places = [place for place in re.findall(r"`([\w/.]+)`", table) if "/" in place and "NAME" not in place]
    assert len(places) > 15
    within = [ROOT, ROOT / "service" / "clipwarden", ROOT / "export" / "clipwarden_export"]
    assert [place for place in places if not any((folder / place).exists() for folder in within)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_its_language(page: str) -> None:
    assert blocks(page, "") == []


def test_few_blocks_of_commands_are_left_out_of_the_tests() -> None:
    # Those of export/README.md fetch checkpoints. Of kubernetes.md two build containers, three talk to a registry or a
    # cluster, and two are run by tests/platform, where Helm is. Other languages bring their own compilers.
    left_out = [page for page in PAGES for block in blocks(page, "sh", "python") if not block.tested]
    assert len([page for page in left_out if page != "export/README.md"]) <= 14


def test_no_code_cites_a_document_that_is_not_here() -> None:
    there = {path.name for path in ROOT.rglob("*.md")} | {"spec.md", "Privacy.md"}  # of git-lfs, of onnxruntime
    assert [cited for cited in _cited_documents() if cited[1] not in there] == []


def _cited_documents() -> Iterator[tuple[str, str]]:
    files = [file for folder in CODE for file in (ROOT / folder).rglob("*.py")]
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            comment = re.search(
                r"(?:#|\"\"\"|^\s*[A-Z`]).*", line
            )  # comments and docstrings, not the names of test files
            for cited in re.findall(_CITED, comment[0] if comment else ""):
                yield f"{file.relative_to(ROOT)}: {line.strip()}", cited


def test_the_verdict_by_hand_is_what_the_formulas_give(tmp_path: Path) -> None:
    image = str(ROOT / "service/clipwarden/demo/images/beer-mug.png")
    printed = CliRunner().invoke(
        app, ["moderate", image, "--json", "--embeddings"], env={"XDG_CACHE_HOME": str(tmp_path)}
    )
    moderation = json.loads(printed.stdout)["moderation"]
    policy = load_policy(shipped_policy("stickers")).policy
    category = next(category for category in policy.categories if category.id == "substances.alcohol")
    assert (category.method, category.pool, category.templates) == (Method.MARGIN, Pool.MEAN, ("{}",))
    assert category.calibration is not None
    model = load_model(embedded_model_path())
    assert model.text is not None
    assert model.background is not None

    vector = np.array(moderation["embeddings"][0]["values"])
    prompts = model.text.embed([str(prompt.text) for prompt in category.prompts]) @ vector
    negatives = model.text.embed([str(text) for text in category.negatives]) @ vector
    pooled, negative, background = prompts.mean(), negatives.max(), (model.background @ vector).mean()
    lead, penalty = pooled - background, 0.5 * max(0.0, negative - pooled)
    margin = model.manifest.logit_scale * (lead - penalty)
    logit = policy.model.calibration_scale * margin + category.calibration.bias
    score = 1 / (1 + math.exp(-logit))

    table = SCORING.partition("## One verdict by hand")[2].partition("(The last digits")[0]
    shown = [float(number) for number in re.findall(r"\| (-?[0-9.]+) \|$", table, re.MULTILINE)]
    numbers = [pooled, prompts.max(), negative, background, lead, penalty, margin, logit, score]
    assert shown == pytest.approx(numbers, abs=6e-4)
    assert "is 0.84." in SCORING
    assert 1 / (1 + math.exp(-logit + math.log(0.02 / 0.98))) == pytest.approx(0.84, abs=0.005)

    reported = next(item for item in moderation["categories"] if item["id"] == category.id)
    assert reported["cosine"] == pytest.approx(pooled, abs=1e-5)
    assert reported["margin"] == pytest.approx(margin, abs=1e-3)
    assert reported["score"] == pytest.approx(score, abs=1e-5)


def test_the_precisions_at_a_prevalence_are_right() -> None:
    rows = re.findall(r"^\| (\d+) in ([\d,]+) \| (\d+) % \| ([\d.]+) % \| ([\d.]+) % \|$", SCORING, re.MULTILINE)
    assert len(rows) == 4
    for one, many, found, wrong, shown in rows:
        pi, tpr, fpr = int(one) / int(many.replace(",", "")), int(found) / 100, float(wrong) / 100
        assert 100 * pi * tpr / (pi * tpr + (1 - pi) * fpr) == pytest.approx(float(shown), abs=0.05)


@pytest.mark.parametrize(("rate", "needed"), [(0.01, "299"), (0.001, "2,995"), (0.0001, "29,956")])
def test_the_harmless_images_that_a_rate_needs_are_right(rate: float, needed: str) -> None:
    assert f"{math.ceil(math.log(0.05) / math.log(1 - rate)):,}" == needed
    assert f"{needed} for {rate * 100:g} %" in SCORING


def test_the_page_on_design_compares_bounds_rightly() -> None:
    false_alarms, images, limit = 5, 3000, 0.005
    exact = sum(math.comb(images, k) * limit**k * (1 - limit) ** (images - k) for k in range(false_alarms + 1))
    hoeffding = math.exp(-2 * images * (limit - false_alarms / images) ** 2)
    assert (round(exact, 4), round(hoeffding, 2)) == (0.0027, 0.94)
    assert re.search(r"p = 0\.0027, where Hoeffding gives\s+0\.94", read_page("docs/design.md"))
