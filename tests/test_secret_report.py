"""Where secrets are and whether they agree: what is said of files and processes, and what never is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hero_livekit_units.atomic import write_atomically
from hero_livekit_units.definitions.digest import digest
from hero_livekit_units.definitions.render import file_text
from hero_livekit_units.livekit import keys
from hero_livekit_units.livekit.desired import desired_specs
from hero_livekit_units.livekit.rotation import Phase, Rotated, Rotation, Secrets, effective
from hero_livekit_units.model.observed import Observed
from hero_livekit_units.model.settings import RedisSettings, Settings
from hero_livekit_units.observe.held import held_secrets
from hero_livekit_units.secret_report import secret_report
from tests import strategies

if TYPE_CHECKING:
    from hero_livekit_units.definitions.catalog import Catalog
    from hero_livekit_units.model.launch import LaunchSpec

STORED = {
    "api_key": "APIone",
    "api_secret": "key-secret-0123456789",
    "backend_secret": "bearer-0123456789",
    "redis_password": "hunter2",
}


class Host:
    """Files on the disk, written with these secrets."""

    def __init__(self, catalog: Catalog, home: Path, written: dict[str, str]) -> None:
        self.catalog = catalog
        self.home = home
        for spec in self.specs(effective(written, None)):
            for file in spec.files:
                write_atomically(Path(file.path), file_text(file, effective(written, None)), file.mode)

    def specs(self, values: dict[str, Any] | None) -> tuple[LaunchSpec, ...]:
        """What should run with these secrets."""
        settings = Settings(redis=RedisSettings(enabled=True, own=True))
        return desired_specs(self.catalog, settings, home=str(self.home), python=sys.executable, secrets=values)

    def report(self, secrets: Secrets | None, *, runs_with: dict[str, str] | None = STORED) -> dict[str, Any]:
        """The report, with processes that were started with some secrets, or with none that run."""
        wanted = self.specs(secrets.values if secrets else None)
        started = self.specs(effective(runs_with, None) if runs_with else None)
        seen = [
            attrs.evolve(strategies.healthy(old), spec=new) if runs_with else strategies.stopped(new)
            for new, old in zip(wanted, started, strict=True)
        ]
        held = {file.path: held_secrets(file) for spec in wanted for file in spec.files}
        supervisor = strategies.ANSWERING if secrets else strategies.SILENT
        world = Observed(supervisor, tuple(seen), 1.0)
        return secret_report(world, held, secrets, made=keys.NAMES, given=keys.GIVEN)

    def path(self, name: str) -> Path:
        """One of the files."""
        (found,) = self.home.rglob(name)
        return found


@pytest.fixture
def host(catalog: Catalog, tmp_path: Path) -> Host:
    """All is written as it should be."""
    return Host(catalog, tmp_path, STORED)


def known(**changes: str) -> Secrets:
    """What the supervisor holds."""
    return Secrets(effective(STORED | changes, None))


def agreements(report: dict[str, Any], kind: str) -> dict[str, Any]:
    """What agrees, by name."""
    name = {"files": "path", "processes": "instance"}[kind]
    return {Path(entry[name]).name: entry["agrees"] for entry in report[kind]}


def test_all_agree(host: Host) -> None:
    """Each file and each process, and their fingerprints are those of the source."""
    report = host.report(known())
    assert agreements(report, "files") == {
        "redis.conf": True,
        "livekit.yaml": True,
        "backend.env": True,
        "runtime.json": True,
    }
    assert agreements(report, "processes") == {"livekit-redis": True, "livekit-server@a": True, "lk-backend": True}
    assert all(entry["wanted"] == entry["found"] for entry in report["files"])
    assert [entry["exists"] for entry in report["secrets"]] == [True] * 4
    assert report["rotation"] is None


def test_another_key_in_the_supervisor(host: Host) -> None:
    """The 401 of the past: file and process have an older key, and both are seen."""
    report = host.report(known(api_secret="another-0123456789"))
    assert agreements(report, "files") == {
        "redis.conf": True,
        "livekit.yaml": False,
        "backend.env": False,
        "runtime.json": False,
    }
    assert agreements(report, "processes") == {"livekit-redis": True, "livekit-server@a": False, "lk-backend": False}
    assert {entry["says"] for entry in report["processes"]} == {
        "has read these",
        "has read older ones, or older settings",
    }
    assert all(entry["wanted"] != entry["found"] for entry in report["files"] if not entry["agrees"])


def test_a_password_that_a_person_chose_is_in_no_fingerprint(host: Host) -> None:
    """It could be guessed from one. Whether it agrees is told all the same."""
    one, other = host.report(known()), host.report(known(redis_password="hunter3"))
    assert (one["source"], [entry["wanted"] for entry in one["files"]]) == (
        other["source"],
        [entry["wanted"] for entry in other["files"]],
    )
    assert agreements(other, "files")["redis.conf"] is False
    assert agreements(other, "files")["livekit.yaml"] is False
    guesses = {digest({"redis_password": "hunter2"}), digest({"x": "hunter2"}), digest("hunter2")}
    assert not [guess for guess in guesses if guess in json.dumps(one)]
    assert next(entry for entry in one["files"] if entry["path"].endswith("redis.conf"))["found"] == ""


@pytest.mark.parametrize(
    ("content", "agrees", "says"),
    [
        pytest.param(None, False, "it is not there", id="gone"),
        pytest.param(b"{", None, "it is not JSON", id="damaged"),
        pytest.param(b"\xff\xfe", None, "it is not text", id="binary"),
        pytest.param(b"{}", False, "holds other secrets", id="emptied"),
    ],
)
def test_a_file_that_is_not_as_it_was(content: bytes | None, agrees: bool | None, says: str, host: Host) -> None:  # noqa: FBT001
    """It is told what is the matter with it; what cannot be read is not said to differ."""
    path = host.path("runtime.json")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    entry = next(entry for entry in host.report(known())["files"] if entry["path"] == str(path))
    assert (entry["agrees"], entry["says"], entry["found"]) == (agrees, says, "")


def test_a_file_that_cannot_be_read(host: Host) -> None:
    """Neither there nor not there."""
    path = host.path("runtime.json")
    path.unlink()
    path.mkdir()
    entry = next(entry for entry in host.report(known())["files"] if entry["path"] == str(path))
    assert (entry["agrees"], entry["says"]) == (None, "it cannot be read: Is a directory")


def test_nothing_runs(host: Host) -> None:
    """A process that is not there has read nothing."""
    report = host.report(known(), runs_with=None)
    assert set(agreements(report, "processes").values()) == {None}
    assert all(entry["says"].startswith("does not run: ") for entry in report["processes"])


def test_a_silent_supervisor(host: Host) -> None:
    """Nothing can be compared, and nothing is said to differ."""
    report = host.report(None)
    assert {*agreements(report, "files").values(), *agreements(report, "processes").values()} == {None}
    assert [entry["exists"] for entry in report["secrets"]] == [None] * 4
    assert report["source"] == ""
    assert report["supervisor"]["verdict"] == "unknown"


def test_a_rotation_and_no_value(host: Host) -> None:
    """Phase, moments and cost; and whatever is in the report, no secret is."""
    new = {"api_key": "APItwo", "api_secret": "new-0123456789"}
    old = {name: STORED[name] for name in new}
    lasting = Rotation(Rotated.API_KEY, Phase.OVERLAP, old, new, 60.0, 0.0, 30.0, until_s=90.0)
    report = host.report(Secrets(effective(STORED, lasting), lasting))
    assert report["rotation"] == {
        "what": "api-key",
        "phase": "overlap",
        "began": "1970-01-01T00:00:00Z",
        "since": "1970-01-01T00:00:30Z",
        "until": "1970-01-01T00:01:30Z",
        "next": "livekit-server forgets the old key",
        "not_before": "1970-01-01T00:01:30Z",
        "effect": "livekit-server reads its keys only at its start: it is restarted while nobody is in a call",
    }
    assert agreements(report, "files")["livekit.yaml"] is False
    assert not [value for value in (*STORED.values(), *new.values()) if value in json.dumps(report)]
