"""Targets: what hero_proc is given, and what it can do with that."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hero_livekit_units.embedded.dependencies import check_actions
from hero_livekit_units.embedded.spec import parse_action, parse_service
from hero_livekit_units.plugin import read_catalog, unit_target
from hero_livekit_units.targets.specs import ORDER, UnitOrder, media_target
from tests.fakes.plugins import EXAMPLE

FOLDER = EXAMPLE / "status_page" / "unit_defs"


def test_hero_proc_takes_the_targets() -> None:
    """Specs as hero_proc reads them; all can start, and nothing starts by itself."""
    for target in (media_target(), unit_target(read_catalog(FOLDER), "status-page")):
        service = parse_service(target.service)
        actions = [parse_action(action) for action in target.actions]
        check_actions(actions)
        assert [action.name for action in actions] == list(service.actions)
        assert service.status == "stop"
        assert (service.requires, service.after) == ((), ())


def test_a_unit_target_is_the_newest_release_with_the_ports_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program waits for its files, lives below PATH_VAR, and is probed as its definition says."""
    monkeypatch.setenv("PATH_VAR", "/srv/var")
    target = unit_target(read_catalog(FOLDER), "status-page", service="page", ports={"http": 9999})
    assert target.service["actions"] == ["page.configure", "status-page"]
    configure, process = (parse_action(action) for action in target.actions)
    assert [dep.action for dep in process.depends_on] == [configure.name]
    page = process.argv[-3]
    assert page.startswith("/srv/var/page/page/launch-")
    assert process.argv[-3:] == [page, "127.0.0.1", "9999"]
    assert (process.cwd, process.is_process, process.tcp_ports) == ("/srv/var/page/page", True, (9999,))
    assert [check.url for check in process.health_checks] == ["http://127.0.0.1:9999/"]
    assert process.env["HLU_RELEASE"] == "1.0.0-r2"


def test_the_order_says_the_same_in_another_process() -> None:
    """What `configure` resolves from the text is what the target was made of."""
    target = unit_target(read_catalog(FOLDER), "status-page", release="1.0.0-r1", ports={"http": 9999})
    order = UnitOrder.from_text(target.actions[0]["env"][ORDER])
    spec = order.read()
    assert (spec.release, spec.environment["HLU_DIGEST"]) == ("1.0.0-r1", target.actions[1]["env"]["HLU_DIGEST"])
    assert [Path(file.path).name for file in spec.files] == ["index.html"]


def test_a_parameter_without_a_value_is_told(tmp_path: Path) -> None:
    """Which one, and of which unit."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    base = tmp_path / "status-page" / "base-1.toml"
    base.write_text(base.read_text().replace("all is well on", "${join_url}"))
    catalog = read_catalog(tmp_path)
    with pytest.raises(ValueError, match=r"cannot run status-page: no value is given for \$\{join_url\}"):
        unit_target(catalog, "status-page")
    assert (
        unit_target(catalog, "status-page", parameters={"join_url": "ws://127.0.0.1"}).service["name"] == "status_page"
    )


def test_what_the_plugin_was_found_by_its_programs_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTHONPATH is handed on, and is no part of what makes a restart due."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    plain = unit_target(read_catalog(FOLDER), "status-page")
    monkeypatch.setenv("PYTHONPATH", "/opt/plugins")
    found = unit_target(read_catalog(FOLDER), "status-page")
    assert all(action["env"]["PYTHONPATH"] == "/opt/plugins" for action in found.actions)
    assert "PYTHONPATH" not in plain.actions[1]["env"]
    assert found.actions[1]["env"]["HLU_DIGEST"] == plain.actions[1]["env"]["HLU_DIGEST"]
