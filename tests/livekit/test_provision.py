"""Which road is taken, what is kept, and what is said when none leads to the program."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import ProvisionFailed, UnitsError
from hero_livekit_units.livekit.provision import provision
from hero_livekit_units.livekit.roads import Host, Limits, RoadClosed
from hero_livekit_units.model.unit import BinarySection, GoModule, ReleaseArchive
from tests.fakes.release_site import Page, ReleaseSite, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hero_livekit_units.livekit.gobuild import Go
    from hero_livekit_units.livekit.progress import Reporter

RIGHT = b"#!/bin/sh\necho media 1.2.3\n"
WRONG = b"#!/bin/sh\necho media 1.2.2\n"
ARCHIVE = packed(("LICENSE", b"free"), ("media", RIGHT))
SUM = hashlib.sha256(ARCHIVE).hexdigest()


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.steps: list[tuple[int, int | None, str]] = []

    def task(self, name: str) -> None:
        """Remember it."""
        self.tasks.append(name)

    def progress(self, done_bytes: int, total: int | None, text: str) -> None:
        """Remember it."""
        self.steps.append((done_bytes, total, text))


def no_go(_host: Host, _scratch: Path, _limits: Limits, _reporter: Reporter) -> Go:
    """A machine without Go."""
    raise RoadClosed("no go here")


def program(path: Path, text: bytes, mode: int = 0o755) -> Path:
    """Write a program."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    path.chmod(mode)
    return path


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path below a folder, with what changes when it is written."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture
def site() -> Iterator[ReleaseSite]:
    """A release 1.2.3 with checksums."""
    pages = {
        "/v1.2.3/media_1.2.3_amd64.tar.gz": Page(ARCHIVE),
        "/v1.2.3/checksums.txt": Page(
            f"{'0' * 64}  media_1.2.3_arm64.tar.gz\n{SUM}  media_1.2.3_amd64.tar.gz\n".encode()
        ),
    }
    with ReleaseSite(pages) as running:
        yield running


@pytest.fixture
def binary(site: ReleaseSite) -> BinarySection:
    """What a definition says of that release."""
    return BinarySection(
        program="media",
        version_argv=("--version",),
        version_prints="media 1.2.3",
        archive=ReleaseArchive(
            url=site.address + "/v${version}/media_${version}_${arch}.tar.gz",
            checksums=site.address + "/v${version}/checksums.txt",
            member="media",
        ),
        go=GoModule(module="example.org/media", package="cmd/server", version="v1.2.3", built_name="server"),
    )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine with one empty folder on its search path."""
    (tmp_path / "path").mkdir()
    return Host(search_path=str(tmp_path / "path"), env={"PATH": "/usr/bin:/bin"}, machine="x86_64")


def test_a_named_program_is_used_in_place(binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite) -> None:
    """A path that the user gives is returned as it is, absolute, and nothing is fetched or written."""
    named = program(tmp_path / "own" / "media-of-mine", RIGHT)
    found = provision(binary, "1.2.3", tmp_path / "bin", named=named, host=host, find_go=no_go)
    assert (named, "named", hashlib.sha256(RIGHT).hexdigest(), "media 1.2.3") == (
        found.path,
        found.road,
        found.sha256,
        found.record,
    )
    assert site.hits == []
    assert not (tmp_path / "bin").exists()


def test_a_named_link_stays_a_link(binary: BinarySection, host: Host, tmp_path: Path) -> None:
    """The link that the user names is the stable path, not what it leads to today."""
    link = tmp_path / "current"
    link.symlink_to(program(tmp_path / "media-1.2.3", RIGHT))
    assert link == provision(binary, "1.2.3", tmp_path / "bin", named=link, host=host, find_go=no_go).path


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        pytest.param(WRONG, 0o755, "prints 'media 1.2.2', not 'media 1.2.3'", id="other version"),
        pytest.param(RIGHT, 0o644, "is not executable", id="not executable"),
        pytest.param(None, 0, "does not exist", id="absent"),
        pytest.param(b"\x7fELF nonsense", 0o755, "cannot be run: Exec format error", id="no program"),
        pytest.param(
            b"#!/bin/sh\necho media 1.2.3\nexit 3\n", 0o755, "prints its version, but ends with status 3", id="fails"
        ),
        pytest.param(b"#!/bin/sh\nsleep 60\n", 0o755, "did not end within 0.5 s", id="hangs"),
    ],
)
def test_a_wrong_named_program_fails_at_once(
    content: bytes | None, mode: int, reason: str, binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite
) -> None:
    """A named path that is not the program is an error, though every other road is open."""
    named = tmp_path / "mine"
    if content is not None:
        program(named, content, mode)
    program(tmp_path / "path" / "media", RIGHT)
    with pytest.raises(ProvisionFailed) as failed:
        provision(
            binary, "1.2.3", tmp_path / "bin", named=named, host=host, limits=Limits(version_s=0.5), find_go=no_go
        )
    assert [road for road, _ in failed.value.reasons] == ["named"]
    assert f"{named} {reason}" in str(failed.value)
    assert "--media PATH" in failed.value.hint
    assert site.hits == []


def test_the_search_path_is_asked_before_the_network(
    binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite
) -> None:
    """The right program on the search path is used in place."""
    path = program(tmp_path / "path" / "media", RIGHT)
    found = provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    assert (path, "path", "media 1.2.3") == (found.path, found.road, found.record)
    assert site.hits == []


def test_a_later_folder_may_hold_the_right_version(binary: BinarySection, tmp_path: Path) -> None:
    """Another version earlier on the search path does not hide the right one."""
    program(tmp_path / "old" / "media", WRONG)
    right = program(tmp_path / "new" / "media", RIGHT)
    host = Host(search_path=f"relative::{tmp_path}/old:{tmp_path}/new", env={"PATH": "/usr/bin:/bin"}, machine="x86_64")
    assert right == provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go).path


def test_the_working_folder_is_no_search_path(
    binary: BinarySection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty and relative entries are passed over: what lies in the working folder is never run."""
    program(tmp_path / "media", RIGHT)
    program(tmp_path / "here" / "media", RIGHT)
    monkeypatch.chdir(tmp_path)
    host = Host(search_path=":.:here", env={"PATH": "/usr/bin:/bin"}, machine="x86_64")
    assert provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go).road == "archive"


def test_the_archive_is_fetched_checked_and_kept(binary: BinarySection, host: Host, tmp_path: Path) -> None:
    """Another version on the search path is passed over; the archive's program lands in its folder with its record."""
    program(tmp_path / "path" / "media", WRONG)
    heard = Heard()
    found = provision(binary, "1.2.3", tmp_path / "bin", host=host, reporter=heard, find_go=no_go)
    home = tmp_path / "bin" / "media-1.2.3"
    assert (home / "media", "archive") == (found.path, found.road)
    assert f"{SUM}  media_1.2.3_amd64.tar.gz" == found.record
    assert home.joinpath("media").read_bytes() == RIGHT
    assert home.joinpath("media").stat().st_mode & 0o777 == 0o755
    record = json.loads((home / "provisioned.json").read_text())
    assert {"program", "version", "road", "source", "sha256", "record", "at"} == set(record)
    assert record["source"].endswith("/v1.2.3/media_1.2.3_amd64.tar.gz")
    assert {"media", "provisioned.json"} == {path.name for path in home.iterdir()}
    assert list((tmp_path / "bin" / ".partial").iterdir()) == []
    assert (len(ARCHIVE), len(ARCHIVE), "") == heard.steps[-1]
    assert "download media_1.2.3_amd64.tar.gz" in heard.tasks


def test_the_second_time_nothing_is_touched(
    binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite
) -> None:
    """A program that was fetched is found again: no request, no write, and the search path does not replace it."""
    first = provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    program(tmp_path / "path" / "media", RIGHT)
    before = snapshot(tmp_path / "bin")
    site.hits.clear()
    second = provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    assert first == second
    assert site.hits == []
    assert before == snapshot(tmp_path / "bin")


def test_what_is_here_costs_no_http_library(tmp_path: Path) -> None:
    """The way that finds a kept program imports neither requests nor rich."""
    code = "import sys, hero_livekit_units.livekit.provision; print({'requests', 'rich', 'tarfile'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "set()"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param(lambda home: (home / "media").write_bytes(WRONG), "was changed after", id="program changed"),
        pytest.param(lambda home: (home / "media").chmod(0o644), "not executable any more", id="mode changed"),
        pytest.param(lambda home: (home / "media").unlink(), "only its record is left", id="program gone"),
        pytest.param(lambda home: (home / "provisioned.json").unlink(), "has no record", id="record gone"),
        pytest.param(lambda home: (home / "provisioned.json").write_text('{"road": 1'), "damaged", id="record cut"),
        pytest.param(lambda home: (home / "provisioned.json").write_text("[]"), "damaged", id="record of other shape"),
        pytest.param(
            lambda home: (home / "provisioned.json").write_bytes(b"\xff"), "cannot be read", id="record no text"
        ),
    ],
)
def test_a_damaged_program_is_provisioned_anew(
    harm: object, said: str, binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite
) -> None:
    """What does not match its record is replaced, and that is said."""
    provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    assert callable(harm)
    harm(tmp_path / "bin" / "media-1.2.3")
    site.hits.clear()
    heard = Heard()
    found = provision(binary, "1.2.3", tmp_path / "bin", host=host, reporter=heard, find_go=no_go)
    assert heard.tasks[0].startswith("provision media 1.2.3 anew: ")
    assert said in heard.tasks[0]
    assert found.path.read_bytes() == RIGHT
    assert len(site.hits) == 2
    assert found == provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)


def test_a_damaged_program_that_cannot_be_had_again_is_named(
    binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite
) -> None:
    """Where no road is open any more, the damaged program is not handed out, and the error says what became of it."""
    found = provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    found.path.write_bytes(WRONG)
    site.pages.clear()
    with pytest.raises(ProvisionFailed) as failed:
        provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    assert ("kept", f"{found.path} was changed after it was provisioned") == failed.value.reasons[0]


def test_a_hash_pinned_later_distrusts_what_was_fetched_before(
    binary: BinarySection, host: Host, tmp_path: Path
) -> None:
    """When the definition comes to pin another hash, the program from the earlier archive no longer counts."""
    assert binary.archive
    provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    pinned = BinarySection(
        program="media",
        version_argv=("--version",),
        version_prints="media 1.2.3",
        archive=ReleaseArchive(binary.archive.url, binary.archive.checksums, "media", {"amd64": "1" * 64}),
    )
    with pytest.raises(ProvisionFailed) as failed:
        provision(pinned, "1.2.3", tmp_path / "bin", host=host, find_go=no_go)
    assert [road for road, _ in failed.value.reasons] == ["kept", "named", "path", "archive", "go"]
    assert failed.value.reasons[0][1].endswith("came from an archive with another hash than the definition pins")


def test_all_roads_closed(binary: BinarySection, host: Host, tmp_path: Path, site: ReleaseSite) -> None:
    """When nothing works, the error has the reason of each road in their order, and the hint says what to do."""
    site.pages.clear()
    program(tmp_path / "path" / "media", WRONG)
    with pytest.raises(ProvisionFailed) as failed:
        provision(binary, "1.2.3", tmp_path / "bin", host=host, find_go=no_go, flag="--media-at FILE")
    assert [
        ("named", "no path was given"),
        ("path", f"{tmp_path}/path/media prints 'media 1.2.2', not 'media 1.2.3'"),
        ("archive", f"{site.address}/v1.2.3/checksums.txt: HTTP 404 Not Found"),
        ("go", "no go here"),
    ] == list(failed.value.reasons)
    assert f"get it from {site.address}/v1.2.3 and name it with --media-at FILE" == failed.value.hint
    assert list((tmp_path / "bin" / ".partial").iterdir()) == []
    assert not (tmp_path / "bin" / "media-1.2.3").exists()


def test_a_definition_without_remote_roads(host: Host, tmp_path: Path) -> None:
    """A program that is only looked for says so for the roads that the definition does not open."""
    only_here = BinarySection(program="haproxy", version_argv=("-v",), version_prints="haproxy 3")
    with pytest.raises(ProvisionFailed) as failed:
        provision(only_here, "3", tmp_path / "bin", host=host, find_go=no_go)
    assert list(failed.value.reasons) == [
        ("named", "no path was given"),
        ("path", "haproxy is not on the search path"),
        ("archive", "the definition names no release archive"),
        ("go", "the definition names no go module"),
    ]


def test_the_hint_names_the_page_of_a_release(host: Host, tmp_path: Path) -> None:
    """For an archive on GitHub the hint leads to the page of the release, which people can read."""
    binary = BinarySection(
        program="media",
        version_argv=("--version",),
        version_prints="media 1.2.3",
        archive=ReleaseArchive(
            "https://github.com/o/r/releases/download/v${version}/m_${arch}.tgz",
            "https://github.com/o/r/releases/download/v${version}/checksums.txt",
            "media",
        ),
    )
    strange = Host(search_path=host.search_path, env=host.env, machine="riscv64")
    with pytest.raises(ProvisionFailed) as failed:
        provision(binary, "1.2.3", tmp_path / "bin", host=strange, find_go=no_go)
    assert failed.value.reasons[2] == ("archive", "no release archive for riscv64")
    assert "https://github.com/o/r/releases/tag/v1.2.3 " in failed.value.hint


@pytest.mark.parametrize(
    ("name", "version"),
    [
        pytest.param("", "1.2.3", id="no program"),
        pytest.param("../media", "1.2.3", id="program leaves the folder"),
        pytest.param("media", "1/../../2", id="version leaves the folder"),
        pytest.param("media", "", id="no version"),
        pytest.param(".hidden", "1.2.3", id="hidden program"),
    ],
)
def test_names_cannot_leave_the_folder(name: str, version: str, host: Host, tmp_path: Path) -> None:
    """Program and version become file names; anything that is not a plain name is refused before anything is done."""
    binary = BinarySection(program=name, version_argv=("--version",), version_prints="x")
    with pytest.raises(UnitsError, match="cannot provision"):
        provision(binary, version, tmp_path / "bin", host=host, find_go=no_go)
    assert not (tmp_path / "bin").exists()


@pytest.mark.parametrize("place", ["file/bin", "file"])
def test_a_folder_that_cannot_be_written(place: str, binary: BinarySection, host: Host, tmp_path: Path) -> None:
    """Where the folder cannot be made, the error says so and what to do; no error of the system leaves the package."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UnitsError, match=r"cannot provision media 1\.2\.3 in ") as failed:
        provision(binary, "1.2.3", tmp_path / place, host=host, find_go=no_go)
    assert failed.value.hint == "choose a folder that you may write to"
    assert isinstance(failed.value.__cause__, OSError)
