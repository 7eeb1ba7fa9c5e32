"""Every rule of a definition once: what cannot work is told at its key, and what can is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.definitions import rules
from hero_livekit_units.definitions.kinds import KINDS
from hero_livekit_units.definitions.structure import load
from hero_livekit_units.model.unit import Definition

if TYPE_CHECKING:
    from collections.abc import Sequence

GOOD = """\
[unit]
name = "echo"
version = "1.0"
revision = 1
summary = "says what it hears"
carries_calls = true

[binary]
program = "echo"
version_argv = ["--version"]
version_prints = "echo ${version}"

[binary.archive]
url = "https://example.org/${version}/echo-${arch}.tar.gz"
checksums = "https://example.org/${version}/sums"
member = "echo"
sha256.amd64 = "0000000000000000000000000000000000000000000000000000000000000000"

[binary.go]
module = "example.org/echo"
package = "cmd/echo"
version = "v${version}"
built_name = "echo"

[run]
folder = "echo"
argv = ["${binary}", "${ports.http}", "${media.a.http}"]

[run.env]
LEVEL = "${livekit.log_level}"

[run.files."echo.yaml"]
format = "yaml"
values."a.b" = "${secret.api_key}"
values."c" = ["${ports.http}"]

[run.files."echo.txt"]
template = "${folder}"
mode = "0644"

[slots]
a = 0
b = 10

[ports.http]
number = 9000

[ports.extra]
number = 9001
when = "turn.udp"
unless = "livekit.udp_range"

[probes.ready]
kind = "http"
level = "readiness"
port = "http"

[calls]
sources = [{ kind = "prometheus", port = "http" }]

[stop]
signal = "SIGTERM"
minimum_age_s = 0

[restart]
exit_zero_is_failure = true

[config]
file = "echo.yaml"
keys."a.b" = "text"
keys."c" = "list of text"
keys."d" = "removed"

[lineage]
strategies = ["restart"]
upgrades_from."0.9-r1" = { because = "it is like it" }
rolls_back_to."0.9-r1" = { because = "it is like it", strategies = ["reload"] }

[[changes]]
what = "something"

[[blocked]]
reason = "a reason"
"""


def faults(*changes: tuple[str, str]) -> list[str]:
    """The issues of the good definition after replacing texts in it."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    found = load(text, "echo.toml", Definition, rules.faults)
    return [f"{issue.path}: {issue.text} ({issue.hint})" for issue in found] if isinstance(found, list) else []


def test_the_good_one_is_good() -> None:
    """Each test below breaks it in one place."""
    assert faults() == []


def case(name: str, old: str, new: str, *expected: str) -> object:
    """One replacement and all that is said about it."""
    return pytest.param([(old, new)], expected, id=name)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        case("slot", "b = 10", "B = 10", "slots.B: not a slot name: 'B' (a short lower-case word)"),
        case("no-program", 'program = "echo"\n', "\n", "binary: needs either program or python_module ()"),
        case(
            "program-and-module",
            'program = "echo"\n',
            'program = "echo"\npython_module = "echo"\n',
            "binary: needs either program or python_module ()",
        ),
        case(
            "no-version",
            'version_prints = "echo ${version}"',
            "",
            "binary.program: cannot be told apart from another release "
            "(add version_argv, and either version_prints or version_at_least)",
        ),
        case(
            "two-versions",
            'version_argv = ["--version"]',
            'version_argv = ["--version"]\nversion_at_least = "1.0"',
            "binary.program: cannot be told apart from another release "
            "(add version_argv, and either version_prints or version_at_least)",
        ),
        case(
            "no-version-argv",
            'version_argv = ["--version"]',
            "",
            "binary.program: cannot be told apart from another release "
            "(add version_argv, and either version_prints or version_at_least)",
        ),
        case(
            "parameter-in-a-version",
            '"v${version}"',
            '"v${binary}"',
            "binary: unknown parameter ${binary} in a version (known: version)",
        ),
        case(
            "parameter-in-an-address",
            "${version}/sums",
            "${slot}/sums",
            "binary.archive.checksums: unknown parameter ${slot} (known: version, arch)",
        ),
        case(
            "plain-http",
            "https://example.org/${version}/sums",
            "http://example.org/sums",
            "binary.archive.checksums: not an https address: 'http://example.org/sums' ()",
        ),
        case("own-host", "https://example.org/${version}/sums", "http://127.0.0.1:99/sums"),
        case(
            "sha256",
            "0" * 64,
            "0" * 63,
            "binary.archive.sha256.amd64: not a SHA-256 (64 lower-case hex digits)",
        ),
        case(
            "argv",
            'argv = ["${binary}", "${ports.http}", "${media.a.http}"]',
            "argv = []",
            "run.argv: is empty (the program comes first)",
        ),
        case(
            "absolute-folder",
            'folder = "echo"',
            'folder = "/echo"',
            "run.folder: leaves the home of the package: '/echo' (a relative path such as backend)",
        ),
        case("dots-in-a-folder", 'folder = "echo"', 'folder = "echo..x/.y"'),
        case("our-variables", "LEVEL =", "HLU_X =", "run.env.HLU_X: names that begin with HLU_ are ours ()"),
        case(
            "secret-in-the-environment",
            "${livekit.log_level}",
            "${secret.api_key}",
            "run.env.LEVEL: ${secret.api_key} would be visible to others here (put it into a file of mode 0600)",
        ),
        case(
            "file-name",
            '[run.files."echo.txt"]',
            '[run.files."../echo.txt"]',
            "run.files.../echo.txt: not a file name: '../echo.txt' "
            '(files lie in the instance\'s own folder, or with place = "home")',
        ),
        case(
            "file-of-nothing",
            'template = "${folder}"\n',
            "",
            'run.files.echo.txt: needs a template, or a format and values (format = "yaml" or "json" takes values)',
        ),
        case(
            "template-with-a-format",
            'template = "${folder}"\n',
            'template = "${folder}"\nformat = "json"\n',
            'run.files.echo.txt: needs a template, or a format and values (format = "yaml" or "json" takes values)',
        ),
        case(
            "template-and-values",
            'template = "${folder}"\n',
            'template = "${folder}"\nvalues.a = 1\n',
            'run.files.echo.txt: needs a template, or a format and values (format = "yaml" or "json" takes values)',
        ),
        case(
            "mode",
            'mode = "0644"',
            'mode = "644"',
            "run.files.echo.txt.mode: not a file mode: '644' (octal text such as \"0600\")",
        ),
        case(
            "once-for-each-launch",
            'mode = "0644"',
            'mode = "0644"\nonce = true',
            "run.files.echo.txt.once: each launch has a file of its own (read_at_start = false)",
        ),
        case(
            "secret-for-all",
            'format = "yaml"\n',
            'format = "yaml"\nmode = "0640"\n',
            'run.files.echo.yaml.mode: others could read a secret (mode = "0600")',
        ),
        case(
            "value-and-table",
            'values."c" =',
            'values."a.b.e" = 1\nvalues."c" =',
            "run.files.echo.yaml.values.a.b.e: a.b is a value already ()",
            "run.files.echo.yaml.values.a.b.e: this release does not know the key (see [config.keys])",
        ),
        case(
            "half-a-key",
            'values."c" =',
            'values."x." = 1\nvalues."c" =',
            "run.files.echo.yaml.values.x.: not a dotted key: 'x.' ()",
            "run.files.echo.yaml.values.x.: this release does not know the key (see [config.keys])",
        ),
        case(
            "port-of-a-bind",
            "number = 9000",
            'number = 9000\nbind = "${folders}"',
            "ports.http.bind: unknown parameter ${folders} (such as ${network.bind})",
        ),
        case(
            "when",
            '"turn.udp"',
            '"turn.upd"',
            "ports.extra.when: not a key of media.toml: 'turn.upd' (such as turn.enabled)",
        ),
        case(
            "unless",
            '"livekit.udp_range"',
            '"livekit.ports"',
            "ports.extra.unless: not a key of media.toml: 'livekit.ports' (such as turn.enabled)",
        ),
        case(
            "slots-overlap",
            "number = 9001",
            "number = 9010",
            "ports.extra.number: 9010 of extra@a is also http@b ()",
        ),
        case("another-transport", "number = 9001", 'number = 9010\nprotocol = "udp"'),
        case(
            "port-of-calls",
            '"prometheus", port = "http"',
            '"prometheus", port = "htp"',
            "calls.sources.0.port: there is no port 'htp' (ports: http, extra)",
        ),
        case(
            "port-that-may-be-missing",
            'level = "readiness"\nport = "http"',
            'level = "readiness"\nport = "extra"',
            "probes.ready.port: port 'extra' is not always there (name one without when and unless)",
        ),
        case(
            "failures",
            'level = "readiness"',
            'level = "readiness"\nfailures = 0',
            "probes.ready.failures: 0 is below 1 ()",
        ),
        case(
            "no-interval",
            'level = "readiness"',
            'level = "readiness"\ninterval_s = 0',
            "probes.ready.interval_s: not a time in seconds: 0 (a positive number)",
        ),
        case(
            "endless",
            'level = "readiness"',
            'level = "readiness"\ntimeout_s = inf',
            "probes.ready.timeout_s: not a time in seconds: inf (a positive number)",
        ),
        case(
            "not-a-number",
            "minimum_age_s = 0",
            "minimum_age_s = nan",
            "stop.minimum_age_s: not a time in seconds: nan (a positive number)",
        ),
        case(
            "no-kind",
            'keys."d" = "removed"',
            'keys."d" = "colour"',
            f"config.keys.d: unknown kind 'colour' (kinds: {', '.join(KINDS)})",
        ),
        case(
            "no-config-file",
            'file = "echo.yaml"',
            "",
            "config.file: missing (the file in [run.files] that has these keys)",
        ),
        case(
            "config-file-that-is-not-there",
            'file = "echo.yaml"',
            'file = "x.yaml"',
            "config.file: no structured file of this name: 'x.yaml' (files: echo.yaml, echo.txt)",
        ),
        case(
            "config-file-that-is-text",
            'file = "echo.yaml"',
            'file = "echo.txt"',
            "config.file: no structured file of this name: 'echo.txt' (files: echo.yaml, echo.txt)",
        ),
        case(
            "key-that-is-removed",
            'keys."c" = "list of text"',
            'keys."c" = "removed"',
            "run.files.echo.yaml.values.c: this release does not know the key (see [config.keys])",
        ),
        case(
            "not-a-release",
            'upgrades_from."0.9-r1"',
            'upgrades_from."0.9"',
            "lineage.upgrades_from.0.9: not a release: '0.9' (version and revision, such as 1.13.4-r1)",
        ),
        case(
            "revision-zero",
            'upgrades_from."0.9-r1"',
            'upgrades_from."0.9-r0"',
            "lineage.upgrades_from.0.9-r0: not a release: '0.9-r0' (version and revision, such as 1.13.4-r1)",
        ),
        case(
            "itself",
            'rolls_back_to."0.9-r1"',
            'rolls_back_to."1.0-r1"',
            "lineage.rolls_back_to.1.0-r1: is this release itself ()",
        ),
        case(
            "no-strategy",
            'strategies = ["restart"]\n',
            "",
            "lineage.upgrades_from.0.9-r1: no strategy is allowed "
            "(name strategies here, or for all edges in [lineage])",
        ),
        case(
            "no-reason",
            '"it is like it" }\nrolls',
            '" " }\nrolls',
            "lineage.upgrades_from.0.9-r1.because: is empty (what makes it safe to go this way)",
        ),
        case("no-reason-to-block", '"a reason"', '""', "blocked.0.reason: is empty (why nobody should run it)"),
    ],
)
def test_a_rule(changes: list[tuple[str, str]], expected: Sequence[str]) -> None:
    """One fault, said once, at its key, with what helps; and what only looks like one is let through."""
    assert sorted(faults(*changes)) == sorted(expected)


def test_a_definition_without_configuration_or_calls() -> None:
    """Neither is needed."""
    without = [(GOOD[GOOD.index("[config]") : GOOD.index("[lineage]")], ""), ("carries_calls = true\n", "")]
    calls = GOOD[GOOD.index("[calls]") : GOOD.index("[stop]")]
    assert faults(*without, (calls, "")) == []


def test_every_fault_of_a_file_at_once() -> None:
    """The rules do not stop at the first."""
    found = faults(("number = 9000", "number = 0"), ('"SIGTERM"', '"TERM"'), ('"a reason"', '""'), ("b = 10", "B = 10"))
    assert [text.partition(":")[0] for text in found] == [
        "slots.B",
        "ports.http.number",
        "stop.signal",
        "blocked.0.reason",
    ]
