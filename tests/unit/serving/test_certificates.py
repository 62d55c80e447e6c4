"""Certificates and keys that cannot be used, each in one sentence that names the file."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from clipwarden.errors import ConfigError
from clipwarden.serving.access import check_access, exposure
from clipwarden.serving.certificates import check_authorities, check_pair
from clipwarden.serving.tls import ExpiryWatch
from kit.authorities import Authority, PairFiles, authority, odd_pair
from kit.serving import settings_for_test


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def encrypted(key: bytes) -> bytes:
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))


def damaged(pem: bytes) -> bytes:
    lines = pem.splitlines(keepends=True)
    return b"".join([*lines[:2], b"AAAA" + lines[2][4:], *lines[3:]])


def test_good_pair_tells_its_names_and_dates(ca: Authority) -> None:
    key, chain = ca.pair("localhost", "127.0.0.1")
    pair = check_pair(chain, key, files=("c", "k"))
    assert list(pair.names) == ["localhost", "127.0.0.1"]
    assert pair.begins < pair.expires
    assert "PRIVATE" not in repr(pair)


BAD: dict[str, tuple[Callable[[bytes, bytes, Authority], tuple[bytes, bytes]], str]] = {
    "no certificate": (lambda key, _, __: (key, b"nothing"), "tls_certificate: c holds no certificate in PEM"),
    "empty": (lambda key, _, __: (key, b""), "tls_certificate: c holds no certificate in PEM"),
    "swapped": (lambda key, chain, _: (chain, key), "tls_certificate: c holds no certificate in PEM"),
    "no key": (lambda _, chain, __: (b"\x00", chain), "tls_key: k holds no private key in PEM"),
    "of another": (lambda _, chain, ca: (ca.pair("b")[0], chain), "tls_key: k is not the key of the certificate in c"),
    "encrypted": (lambda key, chain, _: (encrypted(key), chain), "tls_key: k is encrypted"),
    "damaged": (lambda key, chain, _: (key, damaged(chain)), "tls_certificate: c"),
    "damaged key": (lambda key, chain, _: (damaged(key), chain), "tls_key: k"),
    "cut short": (lambda key, chain, _: (key, chain[: len(chain) // 3]), "tls_certificate: c holds no certificate"),
    "expired": (lambda _, __, ca: ca.pair("a", expired=True), "tls_certificate: c: certificate has expired"),
}


@pytest.mark.parametrize("bad", BAD)
def test_pair_that_cannot_be_used_is_one_sentence(ca: Authority, bad: str) -> None:
    spoil, words = BAD[bad]
    key, chain = spoil(*ca.pair("localhost"), ca)
    with pytest.raises(ConfigError) as caught:
        check_pair(chain, key, files=("c", "k"))
    assert words in str(caught.value)
    assert str(caught.value).endswith((".", ")."))
    assert "\n" not in str(caught.value)


CURVE = "ec_paramgen_curve:{}".format
KINDS = {
    "rsa": ("rsa:2048",),
    "p256": ("ec", "-pkeyopt", CURVE("P-256")),
    "p384": ("ec", "-pkeyopt", CURVE("P-384")),
    "p521": ("ec", "-pkeyopt", CURVE("P-521")),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "rsa-pss": ("rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048"),
    "rsa of a large exponent": ("rsa:2048", "-pkeyopt", f"rsa_keygen_pubexp:{2**40 + 15}"),
}
TAKEN = {"rsa", "p256", "p384"}


def client_connects(pair: tuple[bytes, bytes]) -> bool:
    """Tell whether gRPC's client connects to gRPC's server by a pair."""
    server = grpc.server(ThreadPoolExecutor(1))
    try:
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    except RuntimeError:
        return False
    server.start()
    credentials = grpc.ssl_channel_credentials(pair[1])
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/no/method", _registered_method=False)(b"", timeout=60)
    server.stop(None).wait()
    return caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", KINDS)
def test_pair_is_taken_where_servers_and_clients_of_grpc_take_it(tmp_path: Path, kind: str) -> None:
    pair, files = odd_pair(tmp_path, *KINDS[kind]), PairFiles(tmp_path)
    assert client_connects(pair) == (kind in TAKEN)
    files.write(pair)
    if kind in TAKEN:
        assert check_access(settings_for_test(**files.settings))
        return
    with pytest.raises(ConfigError, match=r"RSA, P-256 or P-384\.$|^gRPC cannot listen with") as caught:
        check_access(settings_for_test(**files.settings))
    assert str(files.certificate) in str(caught.value)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_trial_with_grpc_leaves_no_descriptor_open(ca: Authority, tmp_path: Path) -> None:
    files = PairFiles(tmp_path)
    files.write(ca.pair("localhost"))
    settings = settings_for_test(**files.settings)
    check_access(settings)
    before = open_files()
    for _ in range(20):
        check_access(settings)
    assert open_files() < before + 20


def test_authorities_are_certificates(ca: Authority) -> None:
    check_authorities(ca.pem, file="ca")
    for bad in (b"", b"nothing", damaged(ca.pem), ca.pair("a")[0]):
        with pytest.raises(ConfigError, match="tls_client_ca: ca"):
            check_authorities(bad, file="ca")


def test_files_that_cannot_be_read_are_one_sentence(ca: Authority, tmp_path: Path) -> None:
    files = PairFiles(tmp_path)
    files.write(ca.pair("localhost"))
    good = files.settings | {"tls_client_ca": str(ca.file())}
    lines = check_access(settings_for_test(**good))
    assert lines[0].startswith("tls localhost: expires ")
    for name, bad in (
        ("tls_key", tmp_path / "none"),
        ("tls_certificate", tmp_path),
        ("tls_client_ca", Path("/dev/null")),
    ):
        with pytest.raises(ConfigError, match=f"^{name}: {bad}") as caught:
            check_access(settings_for_test(**good | {name: str(bad)}))
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"^tokens: .*no such file"):
        check_access(settings_for_test(tokens=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tls_certificate": "c"}, "tls_key is not"),
        ({"tls_key": "k"}, "tls_certificate is not"),
        ({"tls_client_ca": "a"}, "tls_certificate is not"),
    ],
)
def test_half_of_tls_is_refused(settings: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        settings_for_test(**settings)


@pytest.mark.parametrize(
    ("listen", "more", "words"),
    [
        ("127.0.0.1:1", {}, None),
        ("[::1]:1", {}, None),
        ("localhost:1", {}, None),
        (None, {"unix_socket": "s"}, None),
        ("0.0.0.0:1", {}, "asks nobody who calls: set tls_certificate"),
        ("example.com:1", {}, "is plain TCP"),
        ("[::]:1", {"tokens": "t"}, "in plain text"),
        ("[::]:1", {"path_root": "/", "path_callers": "all"}, "under path_root"),
        ("0.0.0.0:1", {"tls_certificate": "c", "tls_key": "k"}, "set tokens or tls_client_ca"),
        ("0.0.0.0:1", {"tls_certificate": "c", "tls_key": "k", "tokens": "t"}, None),
        ("0.0.0.0:1", {"tls_certificate": "c", "tls_key": "k", "tls_client_ca": "a"}, None),
    ],
)
def test_what_is_open_beyond_this_machine_is_warned_of(
    listen: str | None, more: dict[str, str], words: str | None
) -> None:
    said = exposure(settings_for_test(listen=listen, **more))
    assert bool(said) == bool(words)
    assert words is None or words in said[0]


def test_end_of_a_certificate_is_told_once_a_day_and_when_it_has_come(
    ca: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    key, chain = ca.pair("localhost")
    pair, told = check_pair(chain, key, files=("c", "k")), list[str | None]()
    left = [15 * 86400.0, 14 * 86400.0 - 1, 14 * 86400.0 - 2, 13 * 86400.0 - 1, 0.0, -1.0, -2.0]
    looks = iter(left)
    watch = ExpiryWatch(told.append, clock=lambda: pair.expires - next(looks))
    for _ in left:
        watch.look(pair)
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "ERROR", "ERROR"]
    assert len(told) == 2  # it is a day later by then
    assert str(told[0]).startswith("The TLS certificate has expired at ")
    looks = iter([1e9, 1e9])
    for _ in range(2):
        watch.look(replace(pair))  # another object, as another pair is
    assert told[2:] == [None]
