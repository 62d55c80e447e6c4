"""Bad policies are bad: no server starts with one, and a good file may stand in their place again."""

from pathlib import Path

import pytest

from clipwarden.engine.snapshot import find_policy, make_snapshot
from clipwarden.errors import ClipwardenError
from clipwarden.modelfolder.load import Model
from clipwarden.policy.bundle.load import load_compiled
from kit.badpolicies import BAD_POLICIES, put
from kit.steadypolicies import version


def load(model: Model, path: Path, other: Path) -> str:
    found = [load_compiled(find_policy(str(each)), model=model) for each in (path, other)]
    return make_snapshot(model, found, "colours").tables["colours"].compiled.digest


@pytest.mark.parametrize("kind", BAD_POLICIES)
def test_each_is_refused_and_a_good_file_takes_its_place(toy_model: Model, tmp_path: Path, kind: str) -> None:
    path, other, good = tmp_path / "colours.yaml", tmp_path / "other.yaml", version(toy_model, 0)
    put(other, version(toy_model, 1, policy_id="other").text)
    put(path, good.text)
    BAD_POLICIES[kind](path, good.text)
    with pytest.raises(ClipwardenError):
        load(toy_model, path, other)
    put(path, good.text)
    assert load(toy_model, path, other) == good.digest
