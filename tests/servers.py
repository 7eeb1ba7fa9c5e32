"""Real livekit-servers for the tests, kept between runs.

python -m tests.servers     have all of them, before a test that needs one is counting its time
"""

from __future__ import annotations

import sys
from pathlib import Path

from hero_livekit_units.cli.progress import shown
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.livekit.progress import SILENT, Reporter
from hero_livekit_units.livekit.provision import provision

KEPT = Path(__file__).parent.parent / ".cache" / "bin"
# Every release that `go install` can build from what the module proxy has.
BUILT = ("1.9.12", "1.11.0", "1.13.3", "1.13.5")


def built_server(version: str = "", reporter: Reporter = SILENT) -> Path:
    """A release, found or built; the newest by default.

    Raises:
        ProvisionFailed: no road leads to it.
    """
    definition = shipped_catalog().find("livekit-server", version)
    return provision(binary_of(definition), definition.unit.version, KEPT, reporter=reporter).path


def main() -> int:
    """Have all of them."""
    for version in BUILT:
        with shown() as reporter:
            path = built_server(version, reporter)
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
