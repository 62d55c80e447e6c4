"""What is in the image: nothing but what runs, and the same bits whenever it is built."""

import re
import shutil
import tarfile
from pathlib import Path

from tests.image import kit
from tests.image.tools import ROOT

COMPILERS = re.compile(r"(^|/)(g?cc|g\+\+|c\+\+|cpp|cc1(plus)?|clang|ld|as|make|cargo|rustc|go)(-[\d.]+)?$")
PYC_FLAGS = slice(4, 8)
UNCHECKED_HASH = b"\x01\x00\x00\x00"
"""Bit 0: by hash; bit 1, which is not set: checked against the source (PEP 552)."""


def test_two_builds_have_equal_layers(layers: list[kit.Layer], tmp_path: Path) -> None:
    context = tmp_path / "elsewhere"
    kept = shutil.ignore_patterns(".git", ".venv", ".work", "__pycache__", "tests")
    shutil.copytree(ROOT, context, ignore=kept, copy_function=shutil.copy)  # new times
    kit.build_ours(context, "localhost/clipwarden:again")
    try:
        again = kit.layers("localhost/clipwarden:again", tmp_path / "pushed")
    finally:
        kit.podman("rmi", "--force", "localhost/clipwarden:again")
    assert [each.digest for each in again] == [each.digest for each in layers]


def test_one_layer_lies_above_the_base(layers: list[kit.Layer]) -> None:
    _base, ours = layers
    print(f"\nours: {len(ours.tar):,} bytes, {len(ours.compressed):,} compressed")  # noqa: T201  a figure for -s
    added = [entry for entry in ours.entries() if not entry.isdir() and not removes(entry)]
    assert {"/".join(Path(entry.name).parts[:2]) for entry in added} == {"opt/clipwarden", "etc/clipwarden"}


def removes(entry: tarfile.TarInfo) -> bool:
    """Tell a mark that takes something of the base away."""
    return Path(entry.name).name.startswith(".wh.")


def test_nothing_of_the_base_is_taken_away_but_what_installs(layers: list[kit.Layer]) -> None:
    taken = {entry.name for entry in layers[-1].entries() if removes(entry)}
    assert taken
    assert all(re.search(r"/\.wh\.(pip|ensurepip|python-wheels)", name) for name in taken), taken


def test_the_image_has_neither_a_compiler_nor_what_builds_leave(layers: list[kit.Layer]) -> None:
    _base, ours = layers
    files = [entry.name for layer in layers for entry in layer.entries() if not entry.isdir()]
    assert not [name for name in files if COMPILERS.search(name)]
    names = [entry.name for entry in ours.entries() if not removes(entry)]
    left = re.compile(r"\.cache|/pip/|/pip-|hatchling|\.whl$|^build/|^wheel/|pip\.conf|^root/|^tmp/")
    assert not [name for name in names if left.search(name)]


def test_no_command_but_ours_is_in_its_environment(layers: list[kit.Layer]) -> None:
    commands = [entry for entry in layers[-1].entries() if re.match(r"opt/clipwarden/bin/", entry.name)]
    assert {entry.name.rpartition("/")[2] for entry in commands if entry.isfile()} == {"clipwarden"}


def test_nobody_but_root_may_write_what_runs(layers: list[kit.Layer]) -> None:
    for entry in layers[-1].entries():
        if entry.name.rstrip("/") == "var/cache/clipwarden":
            assert (entry.uid, entry.gid, entry.mode & 0o777) == (65532, 65532, 0o755)
        elif not entry.issym() and not removes(entry):
            assert (entry.uid, entry.gid) == (0, 0), entry.name
            assert not entry.mode & 0o022, entry.name
        assert not entry.mode & 0o6000, entry.name


def test_byte_code_is_there_and_names_no_time(layers: list[kit.Layer]) -> None:
    ours = layers[-1]
    modules = {entry.name for entry in ours.entries() if entry.name.endswith(".pyc")}
    (server,) = [name for name in modules if re.search(r"clipwarden/serving/__pycache__/server\.", name)]
    assert ours.read(server)[PYC_FLAGS] == UNCHECKED_HASH
    assert {entry.mtime for entry in ours.entries() if not removes(entry)} == {kit.EPOCH}


def test_the_image_says_what_it_is(image: str) -> None:
    config = kit.inspect(image)["Config"]
    assert config["User"] == "65532:65532"
    assert (config["Entrypoint"], config["Cmd"]) == (["clipwarden"], ["serve"])
    assert set(config["ExposedPorts"]) == {"50051/tcp", "8081/tcp", "9464/tcp"}
    labels = {name.rpartition(".")[2]: value for name, value in config["Labels"].items()}
    assert (labels["title"], labels["licenses"], labels["name"]) == ("clipwarden", "Apache-2.0", kit.base_name())
    assert labels["digest"] == ""  # nothing was pinned
    variables = [each.partition("=")[0] for each in config["Env"]]
    assert "CLIPWARDEN_CONFIG" in variables
    # Any other would win over the settings that a chart mounts.
    assert [name for name in variables if name.startswith("CLIPWARDEN_")] == ["CLIPWARDEN_CONFIG"]
