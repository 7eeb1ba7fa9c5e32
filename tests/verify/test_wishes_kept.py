"""The user's media.toml: changed for a while, and then what it was, to the byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hero_livekit_units.errors import VerifyRefused
from hero_livekit_units.verify.wishes_kept import WishesKept

if TYPE_CHECKING:
    from pathlib import Path

TEXT = b"# mine\r\n[livekit]\r\nversion = '1.13.5'   # \xc3\xa4\r\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A media.toml with things in it that a rewrite would lose."""
    path = tmp_path / "media.toml"
    path.write_bytes(TEXT)
    path.chmod(0o640)
    return path


def change(kept: WishesKept, file: Path, text: str) -> None:
    """As an upgrade does."""
    kept.about_to_change()
    file.write_text(text)
    kept.changed()


def names(file: Path) -> list[str]:
    """What lies around it, locks apart."""
    return sorted(path.name for path in file.parent.iterdir() if not path.name.endswith(".lock"))


def test_what_was_changed_is_put_back(file: Path) -> None:
    """However often it was changed; a copy lies beside it meanwhile."""
    kept = WishesKept(file)
    for version in ("1.13.3", "1.11.0"):
        change(kept, file, f"[livekit]\nversion = '{version}'\n")
        assert file.with_name("media.toml.before-verify").read_bytes() == TEXT
        assert kept.is_changed
    assert [kept.put_back(), kept.put_back()] == ["", ""]
    assert (file.read_bytes(), file.stat().st_mode & 0o777, names(file)) == (TEXT, 0o640, ["media.toml"])
    assert not kept.is_changed


def test_a_file_that_was_not_there_is_not_there_again(tmp_path: Path) -> None:
    """The defaults count again."""
    file = tmp_path / "media.toml"
    kept = WishesKept(file)
    change(kept, file, "[livekit]\n")
    assert kept.put_back() == ""
    assert names(file) == []


def test_a_link_stays_a_link(file: Path, tmp_path: Path) -> None:
    """What it points to is put back."""
    link = tmp_path / "home" / "media.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    kept = WishesKept(link)
    change(kept, file, "")
    assert kept.put_back() == ""
    assert link.is_symlink()
    assert file.read_bytes() == TEXT


def test_nothing_changed_is_nothing_to_put_back(file: Path) -> None:
    """No copy is made and no byte written."""
    kept = WishesKept(file)
    file.write_text("by somebody else")
    assert (kept.put_back(), kept.is_changed) == ("", False)
    assert (file.read_text(), names(file)) == ("by somebody else", ["media.toml"])


def test_what_somebody_else_wrote_meanwhile_is_left_alone(file: Path) -> None:
    """They are told where the text from before is."""
    kept = WishesKept(file)
    change(kept, file, "ours")
    file.write_text("theirs")
    copy = file.with_name("media.toml.before-verify")
    assert kept.put_back() == f"{file} was changed by somebody else meanwhile; what it was is in {copy}"
    assert (file.read_text(), copy.read_bytes()) == ("theirs", TEXT)


def test_interrupted_in_the_middle_of_a_change(file: Path) -> None:
    """Nobody had the time to remember what was written."""
    kept = WishesKept(file)
    kept.about_to_change()
    file.write_text("ours")
    assert kept.put_back() == ""
    assert file.read_bytes() == TEXT


def test_kept_changes_leave_no_copy(file: Path) -> None:
    """With --keep."""
    kept = WishesKept(file)
    change(kept, file, "ours")
    kept.forget()
    assert (kept.put_back(), file.read_text(), names(file)) == ("", "ours", ["media.toml"])


def test_a_copy_that_is_left_is_not_overwritten(file: Path) -> None:
    """A run before was killed, and media.toml may be what it made of it."""
    killed = WishesKept(file)
    change(killed, file, "ours")
    with pytest.raises(VerifyRefused, match="is left from a verify that was killed") as caught:
        WishesKept(file)
    assert "put it back or delete it" in caught.value.hint
