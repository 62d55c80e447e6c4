"""What operating a server costs is measured by the server's own clock, beside a plain one of the same run."""

from pathlib import Path

from bench.operations import AGAIN, PLAIN, measure, table, variants

from clipwarden.serving.tokens import parse_tokens


class Counted:
    """Stands for a server that is asked, and keeps the order."""

    def __init__(self, way: str, order: list[str], microseconds: float) -> None:
        self._way, self._order, self._microseconds = way, order, microseconds

    async def microseconds(self, _request: bytes, _calls: int) -> float:
        self._order.append(self._way)
        return self._microseconds


async def test_rounds_begin_with_another_server_each_and_the_first_does_not_count() -> None:
    order: list[str] = []
    servers = {way: Counted(way, order, 1.0) for way in ("a", "b", "c")}
    found = await measure(servers, rounds=2, calls=1)  # type: ignore[arg-type]
    assert "".join(order) == "abcabc" + "bcabca" + "cabcab"
    assert {len(taken) for taken in found.values()} == {2}


def test_table_pairs_each_round_with_the_plain_server() -> None:
    found = {("s", PLAIN): [100.0, 200.0, 400.0], ("s", "TLS"): [110.0, 220.0, 430.0]}
    rows = table(found).splitlines()[2:]
    assert rows == [f"| s | {PLAIN} | 200 | +0 | 1.000 |", "| s | TLS | 220 | +20 | 1.100 |"]


def test_every_way_has_its_files_and_the_plain_ones_none(tmp_path: Path) -> None:
    made = variants(tmp_path)
    assert made[PLAIN].flags == made[AGAIN].flags == ()
    for variant in made.values():
        for flag, value in zip(variant.flags[::2], variant.flags[1::2], strict=True):
            assert flag.startswith("--audit") or Path(value).is_file()
    assert parse_tokens((tmp_path / "tokens").read_bytes(), file="tokens").names == ["bench"]
