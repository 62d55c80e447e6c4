from dataclasses import replace
from pathlib import Path

from clipwarden.policy.language.load import load_policy
from clipwarden.policy.lines import unbound_lines
from clipwarden.policy.schema import Category, Mode
from clipwarden.policy.shipped import shipped_policy
from recipes.mini.apply import Setting, set_modes, write_settings
from recipes.mini.demo import keep_shown, shown_in


def test_modes_are_written_and_move_no_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    before = shipped_policy("stickers").read_text()
    path.write_text(before)
    set_modes(path, frozenset({"gambling"}))
    policy = load_policy(path).policy
    assert {c.id for c in policy.categories if c.mode is Mode.ENFORCE} == {"gambling"}
    assert policy.model.fingerprint is not None
    assert unbound_lines(policy, policy.model.fingerprint) == {}
    changed = [new for old, new in zip(before.splitlines(), path.read_text().splitlines(), strict=True) if old != new]
    assert set(changed) == {"  mode: shadow"}


def test_a_fit_writes_its_numbers_and_nothing_else_and_the_same_fit_writes_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = shipped_policy("stickers").read_text()
    path.write_text(shipped)
    policy = load_policy(path).policy
    model, settings = policy.model, {each.id: setting_of(each) for each in policy.categories}
    enforced = frozenset(each.id for each in policy.categories if each.mode is Mode.ENFORCE)
    fitted = {name: replace(each, bias=each.bias + 1.0, block=0.9) for name, each in settings.items()}
    write_settings(path, model.fingerprint or "", 0.5, fitted)
    new = load_policy(path).policy
    assert {each.id: setting_of(each) for each in new.categories} == fitted
    assert {each.mode for each in new.categories} == {Mode.SHADOW}
    assert unbound_lines(new, model.fingerprint or "") == {}
    assert [line for line in shipped.splitlines() if line.startswith("#")] == path.read_text().splitlines()[:4]
    write_settings(path, model.fingerprint or "", model.calibration_scale, settings)
    set_modes(path, enforced)
    assert path.read_text() == shipped


def setting_of(category: Category) -> Setting:
    assert category.calibration
    assert category.thresholds
    bounds = category.thresholds.bounds
    return Setting(bias=category.calibration.bias, review=bounds.review or 0.0, block=bounds.block or 0.0)


def test_the_demo_keeps_what_it_shows_and_fills_up() -> None:
    assert keep_shown([5, 3, 8, 1], frozenset({8}), 2) == [8, 5]
    assert keep_shown([5, 3, 8, 1], frozenset({8, 1, 3}), 2) == [3, 8, 1]
    assert keep_shown([5], frozenset(), 2) == [5]


def test_what_a_folder_shows_is_read_off_its_attribution(tmp_path: Path) -> None:
    assert shown_in(tmp_path) == frozenset()
    (tmp_path / "ATTRIBUTION.md").write_text("# Title\n\n- champagne-party.png: champagne-party-alcohol of a-set\n")
    assert shown_in(tmp_path) == {("a-set", "champagne-party-alcohol")}
