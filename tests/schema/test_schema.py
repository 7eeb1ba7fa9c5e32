"""The key lists of the definitions are the truth: held against each release's own source and its own program."""

from __future__ import annotations

import itertools
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.schema.derive import ask_strict_reader, fetch_source, from_help, list_keys, number, shown_by_help
from tests.schema.documents import BOGUS, below, document, right, tables, wrong

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Stated = dict[str, dict[str, str]]
    Servers = dict[str, Path]

BUILT = ["1.9.12", "1.11.0", "1.13.3", "1.13.5"]
SOURCE_ONLY = ["1.9.11", "1.13.1", "1.13.4"]  # served as source, but not to be built as they are

# From source, a release is compiled first, which may take minutes on a machine that has not done it before.
pytestmark = [pytest.mark.servers, pytest.mark.timeout(1200)]
every_release = pytest.mark.parametrize("version", BUILT + SOURCE_ONLY)


@pytest.fixture(scope="module")
def source_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The source of a release, copied once."""
    copies: dict[str, Path] = {}

    def find(version: str) -> Path:
        if version not in copies:
            copies[version] = fetch_source(version, tmp_path_factory.mktemp("source"))
        return copies[version]

    return find


def ports(server: Path, folder: Path, text: str) -> str:
    """What `ports` prints of this configuration: it reads it as a start does, and binds nothing."""
    file = folder / "livekit.yaml"
    file.write_text(text)
    ended = subprocess.run(
        [server, "ports", "--config", file], check=False, capture_output=True, text=True, timeout=30, cwd=folder
    )
    assert ended.returncode == 0, "livekit-server has begun to tell errors by its exit status"
    return ended.stdout


@pytest.mark.night  # by day the lists are held against the programs
@every_release
def test_the_list_is_what_the_source_says(version: str, stated_keys: Stated, source_of: Callable[[str], Path]) -> None:
    """Every key and kind that the release's configuration type has, and no other."""
    assert list_keys(source_of(version)) == stated_keys[version]


@pytest.mark.night  # by day the lists are held against the programs
@every_release
def test_each_key_takes_its_kind_only(version: str, stated_keys: Stated, source_of: Callable[[str], Path]) -> None:
    """The release's own strict reader takes a value of the kind that the list states, and refuses one of another."""
    keys = stated_keys[version]
    good = [document({path: right(kind)}) for path, kind in keys.items()]
    bad = [document({path: wrong(path, kind, version)}) for path, kind in keys.items()]
    answers = ask_strict_reader(source_of(version), good + bad)
    refused = {path: answer for path, answer in zip(keys, answers, strict=False) if answer}
    assert not refused
    accepted = [path for path, answer in zip(keys, answers[len(keys) :], strict=True) if not answer]
    assert accepted == []


@pytest.mark.parametrize("version", BUILT)
def test_the_list_is_what_the_program_shows(version: str, stated_keys: Stated, livekit_servers: Servers) -> None:
    """The scalars of the list are the generated flags of `help-verbose`, kinds included."""
    assert from_help(livekit_servers[version]) == shown_by_help(stated_keys[version], version)


@pytest.mark.parametrize("version", BUILT)
def test_the_program_takes_every_key_at_once(
    version: str, stated_keys: Stated, livekit_servers: Servers, tmp_path: Path
) -> None:
    """A file with every key of the list is read without complaint."""
    text = document({path: right(kind) for path, kind in stated_keys[version].items()})
    assert "TCP Ports" in ports(livekit_servers[version], tmp_path, text)


@pytest.mark.parametrize("version", BUILT)
def test_the_program_refuses_one_unknown_key_in_any_table(
    version: str, stated_keys: Stated, livekit_servers: Servers, tmp_path: Path
) -> None:
    """The list matters: one key too many, at whatever depth, and the program ends."""
    found = tables(stated_keys[version])
    assert len(found) > 40
    for table in found:
        told = ports(livekit_servers[version], tmp_path, document({below(table, BOGUS): 1}))
        assert f"field {BOGUS} not found in type" in told, table
        assert "TCP Ports" not in told, table


@pytest.mark.parametrize(
    ("older", "newer"), [pytest.param(*pair, id="-".join(pair)) for pair in itertools.pairwise(BUILT)]
)
def test_a_key_of_one_release_is_fatal_to_another(
    older: str, newer: str, stated_keys: Stated, livekit_servers: Servers, tmp_path: Path
) -> None:
    """What is in the list of one release only ends the other: a file must be written for its release."""
    for version, other in ((older, newer), (newer, older)):
        for path, kind in stated_keys[other].items():
            if path not in stated_keys[version]:
                told = ports(livekit_servers[version], tmp_path, document({path: right(kind)}))
                assert "not found in type" in told, path


@pytest.mark.parametrize(
    ("version", "value", "cause"),
    [
        pytest.param("1.9.12", "any text", "", id="any text before 1.10"),
        pytest.param("1.13.5", "127.0.0.1, ::1", "", id="one of each family"),
        pytest.param("1.13.5", "::1,127.0.0.1", "", id="in any order"),
        pytest.param("1.13.5", "10.0.0.1,10.0.0.2", "multiple ipv4 addresses", id="two of one family"),
        pytest.param("1.13.5", "host.example", "invalid ip host.example", id="a name"),
        pytest.param("1.13.5", {"ipv4": "10.0.0.1"}, "", id="a table, which is accepted and ignored"),
    ],
)
def test_what_node_ip_may_be(version: str, value: object, cause: str, livekit_servers: Servers, tmp_path: Path) -> None:
    """Since 1.10 the address of a node is one IPv4, one IPv6 or both, in one text."""
    told = ports(livekit_servers[version], tmp_path, document({"rtc.node_ip": value}))
    assert ("TCP Ports" in told) == (cause == "")
    assert cause in told


def test_releases_follow_each_other_by_number() -> None:
    """1.9.12 comes before 1.10.0, which text would order the other way round."""
    assert sorted(["1.10.0", "1.9.12", "1.9.2"], key=number) == ["1.9.2", "1.9.12", "1.10.0"]
