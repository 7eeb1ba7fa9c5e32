"""`hlu secret`: what it shows, what it stores, and that no value is ever seen."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.launches import launch_file

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine
    from tests.fakes.hero import FakeHero

CONTEXT = "hero_livekit"


def values(hero: FakeHero) -> set[str]:
    """Every value that may not be seen: the stored ones, and those within the record of a rotation."""
    found = set(hero.stored.values())
    for text in list(found):
        if text.startswith("{"):
            record = json.loads(text)
            found |= {*record["old"].values(), *record["new"].values()}
    return found


def said(hlu: CommandLine, hero: FakeHero, *arguments: str, code: int) -> str:
    """Run a command; what it prints on both streams, without a secret in it."""
    run = hlu.run("secret", *arguments)
    assert run.returncode == code, run.stderr
    text = run.stdout + run.stderr
    assert not [value for value in values(hero) if value in text]
    return text


def test_status_without_a_supervisor(hlu: CommandLine) -> None:
    """Unknown is said, and nothing differs."""
    run = hlu.run("secret", "status", "--json")
    report = json.loads(run.stdout)
    assert run.returncode == 5
    assert set(report) == {"secrets", "source", "files", "processes", "rotation", "supervisor"}
    assert [entry["exists"] for entry in report["secrets"]] == [None] * 4
    assert hlu.run("secret", "status").returncode == 5


def test_status_of_what_is_configured(hlu: CommandLine, hero: FakeHero) -> None:
    """The files agree; then somebody writes into one of them, and it is named with both fingerprints."""
    assert "api_key         not there" in said(hlu, hero, "status", code=3)
    assert hlu.run("configure").returncode == 0
    text = said(hlu, hero, "status", code=0)
    assert [line.split()[-1] for line in text.splitlines() if "/" in line] == ["agrees"] * 3
    assert "rotation    none" in text
    path = launch_file(hlu.places.home / "backend", "backend.env")
    path.write_text(path.read_text().replace("LIVEKIT_API_SECRET=", "LIVEKIT_API_SECRET=x"))
    assert "holds other secrets, should be " in said(hlu, hero, "status", code=3)


def test_rotate_what_does_not_run(hlu: CommandLine, hero: FakeHero) -> None:
    """It begins, writes the files, starts nothing, and says what comes next and what it costs."""
    assert hlu.run("configure").returncode == 0
    text = said(hlu, hero, "rotate", code=0)
    assert "rotation    of the api-key: phase introduce since " in text
    assert "next        livekit-server gets the new key beside the old one" in text
    assert "calls       livekit-server reads its keys only at its start: it is restarted while nobody is in" in text
    assert "service.start" not in hero.called
    config = yaml.safe_load(launch_file(hlu.places.home / "slots" / "a", "livekit.yaml").read_text())
    record = json.loads(hero.stored[CONTEXT, "rotation"])
    assert config["keys"] == {side["api_key"]: side["api_secret"] for side in (record["old"], record["new"])}

    data = json.loads(said(hlu, hero, "rotate", "--json", code=0))
    assert (data["receipt"]["changed"], data["status"]["rotation"]["phase"]) == (False, "introduce")
    assert json.loads(hero.stored[CONTEXT, "rotation"]) == record
    refused = said(hlu, hero, "rotate", "backend-secret", code=6)
    assert "the rotation of the api-key is not over yet" in refused
    assert "hint: `hlu secret rotate api-key` goes on with it" in refused


def test_rotate_without_a_supervisor(hlu: CommandLine) -> None:
    """Whoever cannot see the secrets makes none."""
    run = hlu.run("secret", "rotate")
    assert (run.returncode, run.stdout) == (5, "")
    assert "nobody listens" in run.stderr


def test_a_record_of_another_version(hlu: CommandLine, hero: FakeHero) -> None:
    """It is refused and not shown."""
    hero.stored[CONTEXT, "rotation"] = '{"format": 2, "old": {"k": "hunter2"}, "new": {}}'
    for command in ("status", "rotate"):
        text = said(hlu, hero, command, code=5)
        assert "is not the record of a rotation that this version knows" in text
    assert hero.stored[CONTEXT, "rotation"].startswith('{"format": 2')


def give(hlu: CommandLine, given: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `hlu secret set` with something on its standard input."""
    return subprocess.run(
        [hlu.program, "secret", "set", *arguments],
        env=hlu.environment,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30.0,
    )


@pytest.mark.parametrize("given", ["s3cret!of#redis\n", "s3cret!of#redis", "s3cret!of#redis\r\nmore\n"])
def test_set_reads_standard_input(given: str, hlu: CommandLine, hero: FakeHero) -> None:
    """One line, which is not repeated."""
    run = give(hlu, given, "redis_password")
    assert (run.returncode, run.stderr) == (0, "")
    assert hero.stored == {(CONTEXT, "redis_password"): "s3cret!of#redis"}
    assert "s3cret" not in run.stdout


@pytest.mark.parametrize("given", ["", "\n", "two words\n", "quo'te\n", 'quo"te\n', "back\\slash\n", "schlüssel\n"])
def test_set_refuses_what_a_file_cannot_hold(given: str, hlu: CommandLine, hero: FakeHero) -> None:
    """Nothing is stored, and what was given is not repeated."""
    run = give(hlu, given, "redis_password")
    assert (run.returncode, run.stdout, hero.stored) == (6, "", {})
    assert "the value for redis_password is empty, or holds white space" in run.stderr
    assert not given.strip() or given.strip() not in run.stderr


@pytest.mark.parametrize("arguments", [["api_key"], ["redis_password", "s3cret"], []], ids=["made", "in argv", "none"])
def test_set_takes_no_other_name_and_no_value(arguments: list[str], hlu: CommandLine, hero: FakeHero) -> None:
    """Keys are made, never given; and an argument could be read by everybody on this host."""
    assert give(hlu, "x\n", *arguments).returncode == 2
    assert hero.stored == {}


def test_library_and_command_agree_on_names(hlu: CommandLine) -> None:
    """What can be rotated and set is the same on both sides."""
    from hero_livekit_units.livekit.keys import GIVEN  # noqa: PLC0415
    from hero_livekit_units.livekit.rotation import Rotated  # noqa: PLC0415

    def shown(*arguments: str) -> Any:
        return hlu.run("secret", *arguments, "--help").stdout

    assert f"[{'|'.join(Rotated)}]" in shown("rotate")
    assert f"{{{'|'.join(GIVEN)}}}" in shown("set")
