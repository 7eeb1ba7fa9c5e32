"""`hlu set` and `hlu unset`: a refusal has exit code 6, a reason, and leaves the file as it was to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import CommandLine


@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        pytest.param(["set", "turn.tls", "maybe"], "expected a boolean, found text 'maybe'", "", id="kind"),
        pytest.param(["set", "livekit.ports.http", "x"], "expected an integer, found text 'x'", "", id="number"),
        pytest.param(["set", "livekit.relase", "x"], "livekit.relase: unknown key", "hint: ", id="key"),
        pytest.param(["set", "livekit..x", "1"], "not a TOML key", "hint: such as livekit.ports.http", id="no-key"),
        pytest.param(
            ["set", "livekit.config.room.create_room_enabled", "true"],
            "livekit-server 1.13.5 does not know room.create_room_enabled",
            "hint: this release has it no more: remove it",
            id="removed-key",
        ),
        pytest.param(["set", "livekit.config.port", "1"], "ours to set", "it is livekit.ports.http", id="ours"),
        pytest.param(["set", "webhook.urls", "ftp://x"], "not an address: 'ftp://x'", "hint: http://", id="rule"),
        pytest.param(["unset", "livekit.ports.htpp"], "it is not set", "did you mean livekit.ports.http", id="unset"),
        pytest.param(["unset", "livekit.ports"], "it is a table", "hint: its keys: livekit.ports.http, ", id="table"),
    ],
)
def test_refused(arguments: list[str], says: str, hint: str, as_json: list[str], hlu: CommandLine) -> None:
    """Nothing on standard output, one sentence and a hint beside it."""
    file = hlu.places.settings_file
    file.write_bytes(before := b"# mine\r\n" + file.read_bytes())
    run = hlu.run(*arguments, *as_json)
    assert (run.returncode, run.stdout) == (6, "")
    assert says in run.stderr
    assert hint in run.stderr
    assert "Traceback" not in run.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize("command", [["set", "livekit.region", "here"], ["unset", "livekit.region"]], ids=" ".join)
def test_a_file_that_is_no_toml(command: list[str], hlu: CommandLine) -> None:
    """It is not replaced, and the place where it stops making sense is told."""
    file = hlu.places.settings_file
    file.write_text("[livekit\n")
    run = hlu.run(*command)
    assert run.returncode == 6
    assert "line 1, column " in run.stderr
    assert file.read_text() == "[livekit\n"


def test_commands_at_the_same_time_lose_nothing(hlu: CommandLine) -> None:
    """Processes of their own, as from several terminals and scripts."""
    names = ["num_tracks", "max_participants", "bytes_per_sec", "max_metadata_size"]
    running = [hlu.start("set", f"limits.{name}", str(700 + at)) for at, name in enumerate(names)]
    try:
        ends = [(command.communicate(timeout=60.0), command.returncode) for command in running]
    finally:
        for command in running:
            if command.poll() is None:
                command.kill()
                command.communicate()
    assert [code for _, code in ends] == [0] * len(names), ends
    text = hlu.places.settings_file.read_text()
    assert all(f"{name} = {700 + at}\n" in text for at, name in enumerate(names))


def test_the_next_command_reads_what_the_last_one_wrote(hlu: CommandLine) -> None:
    """A link stays a link, its file keeps its mode, and a release goes back only when nothing set is in its way."""
    file, kept = hlu.places.settings_file, hlu.root / "kept.toml"
    file.rename(kept)
    kept.chmod(0o640)
    file.symlink_to(kept)
    refused = hlu.run("set", "livekit.version", "1.11.0")
    assert refused.returncode == 6
    assert "cannot set livekit.version: livekit.ports.debug: unknown port" in refused.stderr
    for command in (["unset", "livekit.ports.debug"], ["set", "livekit.version", "1.11.0"]):
        assert hlu.run(*command).returncode == 0
    assert (file.is_symlink(), kept.stat().st_mode & 0o777) == (True, 0o640)
    assert 'version = "1.11.0"' in kept.read_text()
    assert "debug_handler" not in hlu.run("config").stdout
