"""Settings: who wins over whom, and what is refused with which words."""

from pathlib import Path

import pytest

from clipwarden.cli.options import read_limits
from clipwarden.engine.settings import EngineSettings
from clipwarden.errors import ConfigError
from clipwarden.serving.config import SETTING_DOCS, Settings, settings_table
from clipwarden.serving.sources import load_settings
from clipwarden.vision.limits import DecodeLimits


def load(
    flags: dict[str, str | list[str] | None] | None = None,
    environ: dict[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    return load_settings(flags or {}, environ or {}, [file] if file else [])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def test_nothing_given_yields_the_defaults() -> None:
    assert load() == Settings()
    assert Settings().listen == "127.0.0.1:50051"


def test_flags_win_over_variables_and_variables_over_the_file(file: Path) -> None:
    file.write_text("queue_items: 1\ncall_in_flight: 1\nmax_call_items: 1\n")
    environ = {"CLIPWARDEN_QUEUE_ITEMS": "2", "CLIPWARDEN_CALL_IN_FLIGHT": "2"}
    settings = load({"queue_items": "3", "model": None, "policies": []}, environ, file)
    assert (settings.queue_items, settings.call_in_flight, settings.max_call_items) == (3, 2, 1)
    assert settings.model == "mini"


def test_every_kind_of_value_is_read_alike_from_everywhere(file: Path) -> None:
    file.write_text(
        'listen: "[::1]:0"\nunix_socket: null\nmetrics_listen: ""\npolicies: [a.yaml, b.yaml]\nmax_image_bytes: 5 MiB\n'
        "drain_seconds: 0.5\nreflection: false\nlog_level: DEBUG\n"
    )
    variables = {
        "LISTEN": "[::1]:0", "UNIX_SOCKET": "", "METRICS_LISTEN": "", "POLICIES": "a.yaml,b.yaml",
        "MAX_IMAGE_BYTES": "5MiB", "DRAIN_SECONDS": "0.5", "REFLECTION": "off", "LOG_LEVEL": "debug",
    }  # fmt: skip
    settings = load(file=file)
    assert settings == load(environ={f"CLIPWARDEN_{name}": text for name, text in variables.items()})
    assert settings.policies == ("a.yaml", "b.yaml")
    assert (settings.listen, settings.unix_socket, settings.metrics_listen) == ("[::1]:0", None, None)
    assert (settings.max_image_bytes, settings.drain_seconds, settings.reflection) == (5 * 2**20, 0.5, False)
    assert settings.log_level == "debug"


def test_candidates_are_given_as_policies_are(file: Path) -> None:
    file.write_text("candidates: [a.yaml, b.yaml]\n")
    assert SETTING_DOCS["candidates"].flag == "--candidate"
    for settings in (
        load(file=file),
        load(environ={"CLIPWARDEN_CANDIDATES": "a.yaml,b.yaml"}),
        load({"candidates": ["a.yaml", "b.yaml"]}),
    ):
        assert settings.candidates == ("a.yaml", "b.yaml")


def test_single_policy_in_a_file_needs_no_brackets(file: Path) -> None:
    file.write_text("policies: a.yaml\n")
    assert load(file=file).policies == ("a.yaml",)


@pytest.mark.parametrize("text", ["", "# all defaults\n\n"])
def test_empty_file_says_nothing(file: Path, text: str) -> None:
    file.write_text(text)
    assert load(file=file) == Settings()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_image_byte: 5", "settings.yaml:1:1: max_image_byte is no setting. Did you mean max_image_bytes?"),
        ("max_pixels: 50000000", "settings.yaml:1:1: max_pixels is no setting any more: what an image takes"),
        ("listen: 127.0.0.1:1\nlisten: 127.0.0.1:2", "settings.yaml:2:1: listen is given twice"),
        ("queue_items: many", "settings.yaml:1:1: queue_items is 'many'; it must be a whole number"),
        ("queue_items: [1, 2]", "queue_items must be a single value"),
        ("policies: [[a]]", "policies must be a list of values"),
        ("- listen", "must be a map"),
        ("listen: [", "settings.yaml:"),
        (
            "queue_items 5\nlisten: 127.0.0.1:1",
            "settings.yaml:1:12: error: A colon is missing behind the key. Write `queue",
        ),
        ("zzz: 1", "zzz is no setting."),
        ("api: clipwarden/v1", "api is no setting: this is a policy. Name it with --policy."),
        ("cache_bytes: 32Mi", "it must be a size, such as 32MiB."),
        ("cache_bytes: 10M", "it must be a size, such as 10MB."),
        ("max_decode_bytes: 1MiB", "it must be at least 8MiB, which a small picture takes"),
        ("audit_queue_bytes: 256KiB", "it must be at least 1MiB, since a burst of images would lose lines"),
    ],
)
def test_faults_of_a_file_are_told_with_their_place(file: Path, text: str, words: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["a: 1\n---\nb: 2\n", "a: *x\n", "a: " + "[" * 40, "#" * (2**20 + 1)])
def test_broken_file_is_not_called_a_policy(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file=file)
    assert "polic" not in str(caught.value)


def test_missing_file_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(file=file)


def test_misspelt_variable_is_refused_but_foreign_ones_are_not() -> None:
    with pytest.raises(ConfigError, match="Did you mean CLIPWARDEN_MAX_IMAGE_BYTES"):
        load(environ={"CLIPWARDEN_MAX_IMAGE_BYTE": "5"})
    links = {
        "CLIPWARDEN_PORT": "tcp://10.0.0.1:50051",
        "CLIPWARDEN_PORT_50051_TCP_ADDR": "10.0.0.1",
        "CLIPWARDEN_SERVICE_HOST": "10.0.0.1",
        "CLIPWARDEN_METRICS_SERVICE_PORT": "9464",
        "CLIPWARDEN_ZZZ": "1",
        "PATH": "/bin",
    }
    assert load(environ=links) == Settings()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("listen", "somewhere"), ("listen", "a b:1"), ("listen", "127.0.0.1:65536"), ("model", " "),
        ("max_image_bytes", "5 parsecs"), ("max_image_bytes", "-1"), ("drain_seconds", "soon"), ("drain_seconds", "-1"),
        ("drain_seconds", "nan"), ("drain_seconds", "inf"), ("reflection", "maybe"), ("log_level", "loud"),
        ("max_image_bytes", "0"), ("queue_bytes", "9" * 400), ("keepalive_seconds", "1e9"),
        ("min_ping_seconds", "86401"), ("vector_cache", "~nobody-of-this-name/x"),
        ("queue_items", "0"), ("queue_items", "1.5"), ("queue_items", "²"), ("max_decode_bytes", "half"),
        ("max_decode_bytes", "1"), ("max_decode_bytes", "8MB"),
    ],
)  # fmt: skip
def test_value_that_cannot_be_read_is_refused_by_its_flags_name(name: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: text})
    assert str(caught.value).startswith(SETTING_DOCS[name].flag + " ")


@pytest.mark.parametrize("place", ["flag", "variable", "file"])
def test_setting_of_earlier_versions_is_refused_with_what_to_write_instead(file: Path, place: str) -> None:
    file.write_text("max_pixels: 9\n")
    given = {
        "flag": lambda: load({"max_pixels": "9"}),
        "variable": lambda: load(environ={"CLIPWARDEN_MAX_PIXELS": "9"}),
        "file": lambda: load(file=file),
    }
    with pytest.raises(ConfigError, match="Set max_decode_bytes instead, such as 1GiB"):
        given[place]()


def test_server_command_and_moderator_refuse_the_same_by_default() -> None:
    assert Settings().engine.limits == EngineSettings().limits == read_limits(None, None) == DecodeLimits()
    flags = {"max_image_bytes": "200 MB", "max_decode_bytes": "3GiB"}
    served = load(flags | {"max_message_bytes": "500MiB"}).engine.limits
    assert served == read_limits("200 MB", "3GiB")
    assert (served.max_image_bytes, served.max_decode_bytes) == (200_000_000, 3 * 2**30)


@pytest.mark.parametrize("more", [{"unix_socket": "/run/s"}, {"path_callers": "all"}])
def test_files_may_be_named_where_somebody_can(more: dict[str, str]) -> None:
    assert load({"path_root": "/srv", **more}).path_root == "/srv"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"listen": "", "unix_socket": None}, "nobody could call"),
        ({"max_message_bytes": "20MiB"}, "64 KiB above max_image_bytes"),
        ({"max_message_bytes": "2GiB"}, "below 2 GiB"),
        ({"queue_bytes": "1MiB"}, "none ever could be. Write at least 80MiB, or lower max_message_bytes"),
        ({"listen": "127.0.0.1:1", "metrics_listen": "127.0.0.1:1"}, "are both 127.0.0.1:1; give one"),
        ({"path_root": "/srv"}, "Set unix_socket, or path_callers to all"),
        ({"listen": "h:1", "probe_listen": "h:1"}, "listen and probe_listen are both h:1; give one"),
        ({"metrics_listen": "h:1", "probe_listen": "h:1"}, "metrics_listen and probe_listen are both h:1; give one"),
        ({"stall_seconds": "0"}, "stall_seconds must be above 0"),
    ],
)
def test_settings_that_contradict_one_another_are_refused(
    changes: dict[str, str | list[str] | None], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load(changes)


def test_every_setting_is_documented() -> None:
    for docs in SETTING_DOCS.values():
        assert docs.help.endswith("."), docs.name
        assert docs.unit.isupper() or docs.unit == "HOST:PORT"
        assert docs.variable == f"CLIPWARDEN_{docs.name.upper()}"


def test_table_has_a_row_for_every_setting() -> None:
    rows = settings_table().splitlines()
    assert len(rows) == 2 + len(SETTING_DOCS)
    assert "| `--max-image-bytes` | `CLIPWARDEN_MAX_IMAGE_BYTES` | 64MiB | Largest image file" in settings_table()
    assert "| `--policy` | `CLIPWARDEN_POLICIES` | none |" in settings_table()
    assert "| `--reflection` | `CLIPWARDEN_REFLECTION` | true |" in settings_table()
