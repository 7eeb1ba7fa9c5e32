"""The road over the release archive: every way in which a download can be other than it should."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.livekit.archive import extract, find_checksum, from_archive
from hero_livekit_units.livekit.fetch import next_url, shown
from hero_livekit_units.livekit.progress import SILENT
from hero_livekit_units.livekit.roads import Limits, RoadClosed, arch_of
from hero_livekit_units.model.unit import ReleaseArchive
from tests.fakes.release_site import Page, ReleaseSite, packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = b"#!/bin/sh\necho media 1.2.3\n" * 50
ARCHIVE = packed(("media", PROGRAM))
SUM = hashlib.sha256(ARCHIVE).hexdigest()
QUICK = Limits(connect_s=2.0, read_s=0.3)


@pytest.fixture
def site() -> Iterator[ReleaseSite]:
    """A release with one archive, `media.tar.gz`, and its checksums."""
    pages = {"/media.tar.gz": Page(ARCHIVE), "/checksums.txt": Page(f"{SUM}  media.tar.gz\n".encode())}
    with ReleaseSite(pages) as running:
        yield running


def fetched(site: ReleaseSite, folder: Path, *, member: str = "media", limits: Limits = QUICK, pin: str = "") -> Path:
    """Go the road and return the program."""
    archive = ReleaseArchive(
        url=site.address + "/media.tar.gz",
        checksums=site.address + "/checksums.txt",
        member=member,
        sha256={"amd64": pin} if pin else {},
    )
    return from_archive(archive, "1.2.3", "x86_64", folder, limits=limits, reporter=SILENT).path


def test_a_good_archive(site: ReleaseSite, tmp_path: Path) -> None:
    """The program arrives whole and executable, alone in the folder."""
    path = fetched(site, tmp_path, pin=SUM)
    assert path.read_bytes() == PROGRAM
    assert path.stat().st_mode & 0o111 == 0o111
    assert [path] == list(tmp_path.iterdir())


def test_a_server_that_tells_no_length(site: ReleaseSite, tmp_path: Path) -> None:
    """Without a Content-Length the hash alone decides."""
    site.pages["/media.tar.gz"] = Page(ARCHIVE, declared=-1)
    assert fetched(site, tmp_path).read_bytes() == PROGRAM


def test_a_redirect_on_this_machine(site: ReleaseSite, tmp_path: Path) -> None:
    """Redirects are followed, relative ones too."""
    site.pages["/elsewhere/it"] = Page(ARCHIVE)
    site.pages["/media.tar.gz"] = Page(status=302, location="elsewhere/it?signature=s3cret")
    site.pages["/elsewhere/it?signature=s3cret"] = Page(ARCHIVE)
    assert fetched(site, tmp_path).read_bytes() == PROGRAM
    assert site.hits == ["/checksums.txt", "/media.tar.gz", "/elsewhere/it?signature=s3cret"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        pytest.param(Page(ARCHIVE[:100], declared=len(ARCHIVE)), f"ended after 100 of {len(ARCHIVE)} bytes", id="cut"),
        pytest.param(Page(ARCHIVE[:100]), "has SHA-256", id="cut with matching length"),
        pytest.param(Page(ARCHIVE[:100], declared=-1), "has SHA-256", id="cut without length"),
        pytest.param(Page(ARCHIVE[:-9] + b"tampered!"), "has SHA-256", id="tampered"),
        pytest.param(Page(status=404), "HTTP 404", id="not there"),
        pytest.param(Page(b"oops", status=503), "HTTP 503", id="server in trouble"),
        pytest.param(Page(status=302, location="/media.tar.gz"), "more than 5 redirects", id="redirects in a circle"),
        pytest.param(Page(status=302, location="http://releases.example/x"), "not an https address", id="to http"),
        pytest.param(Page(status=302, location="file:///etc/passwd"), "not an https address", id="to a file"),
        pytest.param(Page(status=302, location="http://[bad"), "no address", id="to nonsense"),
        pytest.param(Page(ARCHIVE, declared=10**12), "more than the", id="too large by its word"),
    ],
)
def test_a_bad_download(page: Page, reason: str, site: ReleaseSite, tmp_path: Path) -> None:
    """Whatever is wrong with the download closes the road with its reason, and there is no program."""
    site.pages["/media.tar.gz"] = page
    with pytest.raises(RoadClosed, match=reason):
        fetched(site, tmp_path)
    assert not (tmp_path / "program").exists()


def test_a_download_larger_than_allowed(site: ReleaseSite, tmp_path: Path) -> None:
    """A server that tells no length cannot fill the disk."""
    site.pages["/media.tar.gz"] = Page(ARCHIVE + bytes(10_000), declared=-1)
    with pytest.raises(RoadClosed, match="more than the 5000 bytes allowed"):
        fetched(site, tmp_path, limits=Limits(download_bytes=5000))
    assert (tmp_path / "archive").stat().st_size <= 5000


def test_a_server_that_stalls(site: ReleaseSite, tmp_path: Path) -> None:
    """A connection over which nothing comes any more is given up."""
    site.pages["/media.tar.gz"] = Page(ARCHIVE, gate=threading.Event())
    with pytest.raises(RoadClosed, match=r"timed out"):
        fetched(site, tmp_path)


def test_nobody_listens(site: ReleaseSite, tmp_path: Path) -> None:
    """A refused connection is told as such, in a few words."""
    with ReleaseSite() as gone:
        address = gone.address
    archive = ReleaseArchive(url=site.address + "/media.tar.gz", checksums=address + "/checksums.txt", member="media")
    with pytest.raises(RoadClosed) as closed:
        from_archive(archive, "1.2.3", "x86_64", tmp_path, limits=QUICK, reporter=SILENT)
    assert f"{address}/checksums.txt: [Errno 111] Connection refused" == str(closed.value)


def test_a_pinned_hash_that_differs(site: ReleaseSite, tmp_path: Path) -> None:
    """When the release's own checksums disagree with the definition, the archive is not even downloaded."""
    with pytest.raises(RoadClosed, match=f"list {SUM} for media.tar.gz, the definition pins {'1' * 64}"):
        fetched(site, tmp_path, pin="1" * 64)
    assert site.hits == ["/checksums.txt"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "do not list media.tar.gz", id="empty"),
        pytest.param(f"{SUM}  other.tar.gz", "do not list media.tar.gz", id="other file"),
        pytest.param(f"{SUM}  old-media.tar.gz", "do not list media.tar.gz", id="name only ends like it"),
        pytest.param(f"{SUM[:-1]}  media.tar.gz", "do not list media.tar.gz", id="hash too short"),
        pytest.param(f"{SUM}  media.tar.gz\n{'0' * 64}  media.tar.gz", "twice, and differently", id="contradiction"),
        pytest.param("<html>sign in</html>", "do not list media.tar.gz", id="a page"),
    ],
)
def test_checksums_that_do_not_help(text: str, reason: str, site: ReleaseSite, tmp_path: Path) -> None:
    """Without exactly one hash for the archive, nothing is downloaded."""
    site.pages["/checksums.txt"] = Page(text.encode())
    with pytest.raises(RoadClosed, match=reason):
        fetched(site, tmp_path)
    assert site.hits == ["/checksums.txt"]


@pytest.mark.parametrize(
    "line",
    [f"{SUM}  media.tar.gz", f"{SUM.upper()} *media.tar.gz", f"  {SUM}  media.tar.gz\r"],
    ids=["text mode", "binary mode, upper case", "other line ends"],
)
def test_forms_of_a_checksum_line(line: str) -> None:
    """All forms that checksum tools write are understood."""
    assert (line.strip(), SUM) == find_checksum(f"{'0' * 64}  LICENSE\n{line}\n", "media.tar.gz")


def test_an_address_with_an_unknown_parameter(tmp_path: Path) -> None:
    """A parameter that is not ours is named."""
    archive = ReleaseArchive(url="https://h/${os}.tar.gz", checksums="https://h/sums", member="media")
    with pytest.raises(RoadClosed, match="unknown parameter: os"):
        from_archive(archive, "1.2.3", "x86_64", tmp_path, limits=QUICK, reporter=SILENT)


def test_only_the_member_leaves_the_archive(tmp_path: Path) -> None:
    """Names that point out of the folder reach nothing: no name of the archive is ever used as a path."""
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    evil = packed(("../../evil", b"x"), ("/tmp/evil-of-archive", b"x"), ("./media", PROGRAM), ("../media", b"x"))  # noqa: S108
    (inside / "archive").write_bytes(evil)
    extract(inside / "archive", "media", inside / "program", most_bytes=10_000)
    assert (inside / "program").read_bytes() == PROGRAM
    assert {"deep", "inside", "archive", "program"} == {path.name for path in tmp_path.rglob("*")}


def test_a_member_that_is_missing(tmp_path: Path) -> None:
    """An archive without the program says so; a program of that name in another folder is not it."""
    (tmp_path / "archive").write_bytes(packed(("doc/media", b"x"), ("media.txt", b"x")))
    with pytest.raises(RoadClosed, match="the archive has no member media"):
        extract(tmp_path / "archive", "media", tmp_path / "program", most_bytes=10_000)
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_no_regular_file(kind: bytes, tmp_path: Path) -> None:
    """Links, folders and devices are not programs."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("media")
        entry.type = kind
        entry.linkname = "/etc/passwd"
        archive.addfile(entry)
    (tmp_path / "archive").write_bytes(buffer.getvalue())
    with pytest.raises(RoadClosed, match="media is not a regular file in the archive"):
        extract(tmp_path / "archive", "media", tmp_path / "program", most_bytes=10_000)
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize(
    "members",
    [(("media", bytes(20_000)),), (("ballast", bytes(20_000)), ("media", b"x"))],
    ids=["the program", "what comes before it"],
)
def test_an_archive_that_swells(members: tuple[tuple[str, bytes], ...], tmp_path: Path) -> None:
    """A small archive cannot unpack to more than is allowed."""
    (tmp_path / "archive").write_bytes(packed(*members))
    with pytest.raises(RoadClosed, match="more than the 10000 bytes allowed"):
        extract(tmp_path / "archive", "media", tmp_path / "program", most_bytes=10_000)
    assert not (tmp_path / "program").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", ARCHIVE[:60], ARCHIVE[:-4] + b"\0\0\0\0"])
def test_a_damaged_archive_is_no_crash(content: bytes, tmp_path: Path) -> None:
    """What cannot be unpacked closes the road, or unpacks to the very program where only the trailer is harmed."""
    (tmp_path / "archive").write_bytes(content)
    try:
        extract(tmp_path / "archive", "media", tmp_path / "program", most_bytes=10_000)
    except RoadClosed as closed:
        assert str(closed).startswith("the archive ")  # noqa: PT017 - both ends are allowed
    else:
        assert (tmp_path / "program").read_bytes() == PROGRAM


@pytest.mark.parametrize(
    ("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("armv7l", "armv7")], ids=lambda name: name
)
def test_machines_that_releases_are_made_for(machine: str, arch: str) -> None:
    """The kernel's name of a machine is translated to the release's."""
    assert arch == arch_of(machine)


@pytest.mark.parametrize("machine", ["riscv64", "i686", "armv6l", ""])
def test_other_machines(machine: str) -> None:
    """For other machines the reason names the machine."""
    with pytest.raises(RoadClosed, match=f"no release archive for {machine or 'an unknown machine'}"):
        arch_of(machine)


def test_a_redirect_keeps_https() -> None:
    """From https one comes to https only, even on this machine."""
    assert next_url("https://a.example/x", "https://b.example/y") == "https://b.example/y"
    assert next_url("https://a.example/x", "//b.example/y") == "https://b.example/y"
    for location in ("http://b.example/y", "http://127.0.0.1/y", "ftp://b.example/y"):
        with pytest.raises(RoadClosed):
            next_url("https://a.example/x", location)


def test_addresses_are_told_without_secrets() -> None:
    """Passwords and signed queries stay out of messages and records."""
    assert shown("https://user:secret@h.example:8443/a/b?sig=s3cret#x") == "https://h.example:8443/a/b"
