"""Which secrets the files of an instance hold at this moment. They go nowhere but to whoever compares them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.extract import Held, secrets_in

if TYPE_CHECKING:
    from hero_livekit_units.model.launch import LaunchFile


def held_secrets(file: LaunchFile) -> Held:
    """Read a file. Does not raise: that it cannot be read is an answer too."""
    try:
        return Held(secrets_in(file, Path(file.path).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return Held(None, "it is not there", missing=True)
    except OSError as error:
        return Held(None, f"it cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        return Held(None, "it is not text")
    except ValueError as error:
        return Held(None, str(error))
