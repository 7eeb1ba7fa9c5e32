"""Definitions are read strictly, and every fault is told with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.files import read_catalog, shipped_folder
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.errors import DefinitionInvalid
from hero_livekit_units.model.unit import Definition, Protocol

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """\
[unit]
name = "echo"
version = "1.0"
revision = 1
summary = "says what it hears"

[binary]
python_module = "echo"

[run]
folder = "echo"
argv = ["${python}", "-m", "echo", "${ports.http}"]

[ports.http]
number = 9000
protocol = "tcp"

[probes.ready]
kind = "http"
level = "readiness"
port = "http"

[stop]
signal = "SIGTERM"

[restart]
exit_zero_is_failure = true
"""


def issues(text: str) -> list[str]:
    """The issues of a text as a person reads them."""
    found = load(text, "echo.toml", Definition, rules.faults)
    assert isinstance(found, list), "the text was accepted"
    return [str(issue) for issue in found]


def in_folder(folder: Path, texts: dict[str, str]) -> Path:
    """A folder of definitions for one unit, its files by name."""
    (folder / "echo").mkdir()
    for name, text in texts.items():
        (folder / "echo" / f"{name}.toml").write_text(text)
    return folder


def test_a_good_definition_has_typed_values() -> None:
    """Every value has the type that its class names, enums included."""
    found = load(GOOD, "echo.toml", Definition, rules.faults)
    assert isinstance(found, Definition)
    assert found.ports["http"].protocol is Protocol.TCP
    assert found.unit.release == "1.0-r1"
    assert found.run.argv == ("${python}", "-m", "echo", "${ports.http}")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "revision = 1",
            "revison = 1",
            [
                "echo.toml:1:1: unit.revision: missing",
                "echo.toml:4:1: unit.revison: unknown key (did you mean 'revision'?)",
            ],
            id="unknown-and-missing-key",
        ),
        pytest.param(
            'version = "1.0"',
            "version = 1.0",
            ["echo.toml:3:1: unit.version: expected text, found a number 1.0"],
            id="number-for-text",
        ),
        pytest.param(
            "number = 9000",
            "number = true",
            ["echo.toml:15:1: ports.http.number: expected an integer, found a boolean True"],
            id="boolean-for-integer",
        ),
        pytest.param(
            "number = 9000",
            'number = "9000"',
            ["echo.toml:15:1: ports.http.number: expected an integer, found text '9000'"],
            id="text-for-integer",
        ),
        pytest.param(
            'protocol = "tcp"',
            'protocol = "sctp"',
            ["echo.toml:16:1: ports.http.protocol: expected one of tcp, udp, found 'sctp'"],
            id="not-a-choice",
        ),
        pytest.param(
            'argv = ["${python}", "-m", "echo", "${ports.http}"]',
            'argv = "python -m echo"',
            ["echo.toml:12:1: run.argv: expected a list, found text 'python -m echo'"],
            id="text-for-list",
        ),
        pytest.param(
            'argv = ["${python}", "-m", "echo", "${ports.http}"]',
            'argv = ["${python}", 3]',
            ["echo.toml:12:1: run.argv.1: expected text, found an integer 3"],
            id="wrong-element",
        ),
        pytest.param(
            '[stop]\nsignal = "SIGTERM"\n',
            "",
            ["echo.toml: stop: missing"],
            id="missing-section",
        ),
        pytest.param(
            "[unit]",
            "stop = 3\n[unit]",
            ["echo.toml:24:6: not TOML: cannot overwrite a value"],
            id="declared-twice",
        ),
        pytest.param("revision = 1", "revision = ", ["echo.toml:4:12: not TOML: invalid value"], id="not-toml"),
    ],
)
def test_a_fault_is_told_with_its_place(old: str, new: str, expected: list[str]) -> None:
    """Each fault has file, line, column, key, what was expected and what was found."""
    assert old in GOOD
    assert expected == issues(GOOD.replace(old, new))


def test_all_faults_of_a_text_come_at_once_in_its_order() -> None:
    """A person mends a file in one go."""
    text = GOOD.replace('name = "echo"', "name = 5").replace("number = 9000", "numer = 9000").replace("true", '"yes"')
    assert issues(text) == [
        "echo.toml:2:1: unit.name: expected text, found an integer 5",
        "echo.toml:14:1: ports.http.number: missing",
        "echo.toml:15:1: ports.http.numer: unknown key (did you mean 'number'?)",
        "echo.toml:27:1: restart.exit_zero_is_failure: expected a boolean, found text 'yes'",
    ]


def test_values_that_cannot_work_are_told_beside_unknown_keys() -> None:
    """A key too many does not hide what else is wrong."""
    assert issues(GOOD.replace("summary =", 'colour = "red"\nsummary =').replace("revision = 1", "revision = 0")) == [
        "echo.toml:4:1: unit.revision: revision 0 is below 1",
        "echo.toml:5:1: unit.colour: unknown key (known keys: name, version, revision, summary, carries_calls)",
    ]


def test_a_comment_or_template_that_looks_like_a_key_does_not_mislead() -> None:
    """The place of a key is found by the structure of the text, not by searching its name."""
    text = GOOD.replace(
        "[stop]", '# number = 1\n[run.files."a.yaml"]\ntemplate = """\n[stop]\nsignal = 3\n"""\n\n[stop]'
    )
    text = text.replace('signal = "SIGTERM"', "signal = 4")
    assert issues(text) == ["echo.toml:31:1: stop.signal: expected text, found an integer 4"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param('name = "echo"', 'name = "Echo!"', ":2:1: unit.name: not a unit name: 'Echo!'", id="name"),
        pytest.param('"1.0"', '"v1"', ":3:1: unit.version: not a version: 'v1'", id="version"),
        pytest.param("revision = 1", "revision = 0", ":4:1: unit.revision: revision 0 is below 1", id="revision"),
        pytest.param("${python}", "${pyhton}", ":12:1: run.argv: unknown parameter ${pyhton}", id="parameter"),
        pytest.param(
            "${python}", "${secret.api_key}", "run.argv: ${secret.api_key} would be visible to others", id="secret-argv"
        ),
        pytest.param("number = 9000", "number = 70000", ":15:1: ports.http.number: not a port: 70000", id="port"),
        pytest.param('port = "http"', 'port = "htp"', ":21:1: probes.ready.port: there is no port 'htp'", id="no-port"),
        pytest.param('"SIGTERM"', '"TERM"', ":24:1: stop.signal: not a signal: 'TERM'", id="signal"),
        pytest.param('folder = "echo"', 'folder = "../x"', "run.folder: leaves the home", id="folder"),
        pytest.param(
            'summary = "says what it hears"',
            'summary = "x"\ncarries_calls = true',
            "unit.carries_calls: calls cannot be counted",
            id="no-counting",
        ),
        pytest.param(
            "[stop]",
            '[run.files."a"]\nmode = "0644"\ntemplate = "${secret.api_key}"\n[stop]',
            "run.files.a.mode: others could read a secret",
            id="secret-file-mode",
        ),
        pytest.param(
            "[stop]", "[slots]\na = 0\nb = 0\n[stop]", "number: 9000 of http@b is also http@a", id="slots-collide"
        ),
        pytest.param(
            'signal = "SIGTERM"', 'signal = "SIGTERM"\nwindow_s = -1', "stop.window_s: not a time in seconds", id="time"
        ),
    ],
)
def test_values_that_cannot_work_together_are_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    """What types cannot say, the rules say, with the same places."""
    assert old in GOOD
    with pytest.raises(DefinitionInvalid) as caught:
        read_catalog(in_folder(tmp_path, {"1.0-r1": GOOD.replace(old, new)}))
    assert any(expected in str(issue) for issue in caught.value.issues), caught.value


def test_issues_of_several_files_come_together(tmp_path: Path) -> None:
    """One run tells all that is wrong in a folder."""
    folder = in_folder(tmp_path, {"1.0-r1": "[unit", "1.0-r2": GOOD.replace("9000", "0"), "one": GOOD})
    with pytest.raises(DefinitionInvalid) as caught:
        read_catalog(folder)
    assert [issue.file.rpartition("/")[2] for issue in caught.value.issues] == [
        "one.toml",
        "1.0-r1.toml",
        "1.0-r2.toml",
    ]


def test_a_file_is_called_like_what_it_defines(tmp_path: Path) -> None:
    """The name of a file is believed before it is read, so it must not lie."""
    with pytest.raises(DefinitionInvalid) as caught:
        read_catalog(in_folder(tmp_path, {"1.1-r1": GOOD}))
    (issue,) = caught.value.issues
    assert (issue.line, issue.text) == (1, "is echo/1.0-r1.toml, and the file is called otherwise")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    """A mistyped path is not an empty catalog."""
    with pytest.raises(DefinitionInvalid, match="no definitions found"):
        read_catalog(tmp_path)


def test_the_shipped_definitions_are_valid() -> None:
    """What ships loads, whole."""
    assert read_catalog(shipped_folder()).units == ("livekit-front", "livekit-redis", "livekit-server", "lk-backend")
