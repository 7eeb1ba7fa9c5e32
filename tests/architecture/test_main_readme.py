"""The README says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hero_livekit_units.cli.commands import hlu
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.livekit.settings import read_settings
from hero_livekit_units.model.settings import Settings, setting_fields, setting_values

README = (Path(__file__).parent.parent.parent / "README.md").read_text()


def test_the_settings_of_the_readme_are_the_defaults() -> None:
    """The file that it shows can be used as it is, changes nothing, and no key is missing."""
    (text,) = [block for block in re.findall(r"```toml\n(.*?)```", README, re.DOTALL) if "[network]" in block]
    shown = read_settings(text, "media.toml", shipped_catalog())
    assert setting_values(shown) == setting_values(Settings())
    assert [path for path in setting_fields() if not re.search(rf"\b{path.partition('.')[2]}\b", text)] == []


def test_the_commands_of_the_readme_exist() -> None:
    """Every `hlu ...` that it tells to type is one."""
    typed = set(re.findall(r"^hlu ([a-z-]+(?: [a-z-]+)?)", README, re.MULTILINE))
    for words in typed:
        command: click.Command = hlu
        for word in words.split():
            if isinstance(command, click.Group):
                assert word in command.commands, words
                command = command.commands[word]
