"""How commands reach a server: through real servers with TLS, tokens and proxies, and what is said where that fails."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import trustme

from clipwarden.cli.serveroptions import in_flags
from clipwarden.errors import Reason
from clipwarden.v1 import moderation_pb2 as v1
from kit.certificates import issue, pem, server_credentials
from kit.cli import Run, make_pictures
from kit.faultserver import FaultServer, allowed, info, running_fault_server, status
from kit.proxies import VARIABLES, recording_proxy

OK = v1.ModerateResponse(moderation=allowed())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "pictures")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Write an authority's certificate, one of a client, its key, and a token."""
    authority = trustme.CA()
    chain, key = pem(issue(authority, "me@example.org"))
    contents = {"roots": authority.cert_pem.bytes(), "chain": chain, "key": key, "token": b"s3cr3t\n"}
    server_chain, server_key = pem(issue(authority, "images.example.org"))
    contents |= {"server-chain": server_chain, "server-key": server_key}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: tmp_path / name for name in contents}


@pytest.fixture
def secure_server(files: dict[str, Path]) -> Iterator[FaultServer]:
    pair = [(files["server-key"].read_bytes(), files["server-chain"].read_bytes())]
    credentials = grpc.ssl_server_credentials(pair, files["roots"].read_bytes(), require_client_auth=True)
    with running_fault_server(credentials) as server:
        server.set_serving(serving=True)
        yield server


def test_every_option_reaches_the_client(
    run: Run, secure_server: FaultServer, files: dict[str, Path], pictures: Path
) -> None:
    secure_server.service.answers.append(OK)
    given = {
        "--server": secure_server.address,
        "--root-certificates": files["roots"],
        "--client-certificate": files["chain"],
        "--client-key": files["key"],
        "--server-name": "images.example.org",
        "--token-file": files["token"],
    }
    flags = [part for pair in given.items() for part in pair]
    result = run("moderate", pictures / "blue.png", *flags)
    assert result.exit_code == 0, result.output
    assert [metadata["authorization"] for metadata in secure_server.service.metadata] == ["Bearer s3cr3t"]


def test_a_folder_is_judged_without_the_proxy_of_the_environment(
    run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording_proxy() as proxy, running_fault_server() as server:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, proxy.url)
        server.set_serving(serving=True)
        server.service.answers.append(OK)
        assert run("moderate", pictures / "blue.png", "--server", server.address).exit_code == 0
        assert proxy.connections == 0


def test_a_folder_is_judged_by_all_servers_in_turn(run: Run, pictures: Path) -> None:
    with running_fault_server() as one, running_fault_server() as other:
        for server in (one, other):
            server.set_serving(serving=True)
            server.service.answers.extend([OK] * 20)
        addresses = f"ipv4:{one.address},{other.address}"
        while not (one.service.requests and other.service.requests):
            done = run("moderate", pictures / "blue.png", "--server", addresses, "--round-robin")
            assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--proxy", "http://p:1"], "Proxy is http://p:1, and localhost:1 is on this machine"),
        (["--proxy", "http://p:1", "--round-robin"], "--proxy is given beside --round-robin"),
        (["--proxy", "https://a:b@p:1"], "--proxy is https://p:1; gRPC knows proxies of http:// alone"),
        (
            ["--client-certificate", "{chain}"],
            "--client-certificate and --client-key go together; give both or neither.",
        ),
        (["--root-certificates", "{key}"], "--root-certificates ({key}) holds no certificate in PEM."),
        (["--token-file", "{chain}"], "the file {chain} must hold one token"),
    ],
)
def test_what_cannot_be_used_is_named_as_commands_name_it(
    run: Run, pictures: Path, files: dict[str, Path], flags: list[str], said: str
) -> None:
    names = {name.replace("-", "_"): str(path) for name, path in files.items()}
    result = run("moderate", pictures / "red.png", "--server", "localhost:1", *(flag.format(**names) for flag in flags))
    assert result.exit_code == 2
    assert said.format(**names).lower() in result.stderr.lower()
    assert "a:b" not in result.stderr


@pytest.mark.parametrize(
    "flags",
    [
        ["--tls"],
        ["--server-name", "a"],
        ["--token-file", "t"],
        ["--insecure-token"],
        ["--proxy", "http://p:1"],
        ["--round-robin"],
    ],
)
def test_without_a_server_there_is_none_to_reach(run: Run, pictures: Path, flags: list[str]) -> None:
    result = run("moderate", pictures / "red.png", *flags)
    assert (result.exit_code, result.stderr) == (2, f"{flags[0]} makes sense with --server only.\n")


def test_a_token_in_plain_text_needs_to_be_said(run: Run, pictures: Path, files: dict[str, Path]) -> None:
    result = run("moderate", pictures / "red.png", "--server", "images.invalid:1", "--token-file", files["token"])
    assert result.exit_code == 2
    assert "in plain text" in result.stderr
    assert "--root-certificates" in result.stderr
    assert "--insecure-token" in result.stderr
    assert "s3cr3t" not in result.output


def test_a_file_that_is_not_there_is_named(run: Run, pictures: Path) -> None:
    result = run("moderate", pictures / "red.png", "--server", "localhost:1", "--token-file", "none")
    assert (result.exit_code, result.stderr) == (1, "none: No such file or directory.\n")


def test_a_wait_says_soon_what_it_waits_for(run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipwarden.cli.serverjudge.READY_SECONDS", 0.25)
    result = run("moderate", pictures / "red.png", "--server", "localhost:1")
    assert result.exit_code == 1
    first, second = result.stderr.splitlines()
    cause = "No clipwarden server answers at localhost:1: nothing listens there; start the server, or mend the address."
    assert first == f"The server at localhost:1 was not ready within 1 s: {cause} Waiting up to 0.25 s more."
    assert second == f"The server at localhost:1 was not ready within 0.25 s: {cause}"


def test_a_server_that_wants_a_certificate_is_told_with_flags(
    run: Run, secure_server: FaultServer, files: dict[str, Path], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipwarden.cli.serverjudge.READY_SECONDS", 0.25)
    flags = ["--root-certificates", files["roots"], "--server-name", "images.example.org"]
    result = run("moderate", pictures / "red.png", "--server", secure_server.address, *flags)
    assert result.exit_code == 1
    assert "give one (--client-certificate, --client-key)" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (Reason.TOKEN_MISSING, "asks for a token; give one (--token-file)."),
        (
            Reason.TOKEN_INVALID,
            "does not take the token that it is sent, or no longer does; give another (--token-file).",
        ),
    ],
)
def test_a_server_that_wants_a_token_is_told_with_flags(
    run: Run, pictures: Path, reason: Reason, sentence: str
) -> None:
    with running_fault_server() as server:
        server.set_serving(serving=True)
        server.service.answers.append(status(grpc.StatusCode.UNAUTHENTICATED, "send the header", info(reason)))
        result = run("moderate", pictures / "red.png", "--server", server.address)
        assert (result.exit_code, result.stderr) == (2, f"The server at {server.address} {sentence}\n")


def test_no_line_of_grpcs_own_reaches_the_terminal(pictures: Path, files: dict[str, Path]) -> None:
    with running_fault_server(server_credentials(issue(trustme.CA(), "localhost"))) as server:
        command = [sys.executable, "-P", "-m", "clipwarden.cli.main", "moderate", str(pictures / "red.png")]
        target = f"localhost:{server.address.rpartition(':')[2]}"
        flags = ["--server", target, "--root-certificates", str(files["roots"])]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GRPC_")}
        done = subprocess.run(
            [*command, *flags], capture_output=True, text=True, check=False, env=environment, timeout=100
        )
    assert done.returncode == 1
    assert done.stderr == (
        f"The certificate of the server at {target} comes from an authority that is not trusted here; name the "
        "authority's certificate (--root-certificates).\n"
    )


def test_only_words_become_flags() -> None:
    assert in_flags("see that client_key is the key of client_certificate.") == (
        "see that --client-key is the key of --client-certificate."
    )
    assert in_flags("root_certificates (/etc/client_key.pem) (tls, root_certificates)") == (
        "--root-certificates (/etc/client_key.pem) (--tls, --root-certificates)"
    )
    assert in_flags("the file tls/token_file is empty") == "the file tls/token_file is empty"
