"""Real livekit-servers and a real zinit for the tests, kept between runs.

python -m tests.servers     have all of them, before a test that needs one is counting its time
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hero_livekit_units.cli.progress import shown
from hero_livekit_units.definitions.files import shipped_catalog
from hero_livekit_units.definitions.resolve import binary_of
from hero_livekit_units.livekit.progress import SILENT, Reporter
from hero_livekit_units.livekit.provision import provision

KEPT = Path(__file__).parent.parent / ".cache" / "bin"
# Every release that `go install` can build from what the module proxy has.
BUILT = ("1.9.12", "1.11.0", "1.13.3", "1.13.5")
ZINIT = "0.3.9"  # the last public ancestor of hero_proc


def built_server(version: str = "", reporter: Reporter = SILENT) -> Path:
    """A release, found or built; the newest by default.

    Raises:
        ProvisionFailed: no road leads to it.
    """
    definition = shipped_catalog().find("livekit-server", version)
    return provision(binary_of(definition), definition.unit.version, KEPT, reporter=reporter).path


def zinit_server(folder: Path = KEPT, path: str = "") -> Path:
    """The daemon of zinit, found or built from its crate with the lock file that it ships.

    Args:
        folder: where it is kept.
        path: where cargo is looked for; by default on PATH and where rustup puts it.

    Raises:
        RuntimeError: there is no cargo, or the build failed.
    """
    kept = folder / f"zinit-{ZINIT}"
    program = kept / "zinit-server"
    if program.exists():
        return program
    cargo = shutil.which("cargo", path=path or f"{os.environ.get('PATH', '')}:{Path.home() / '.cargo' / 'bin'}")
    if cargo is None:
        raise RuntimeError("the tests need cargo to build zinit: https://rustup.rs, or your system's package `cargo`")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".zinit-", dir=folder) as root:
        # The daemon alone: its command line ignores the socket that it is given.
        what = ["zinit", "--version", ZINIT, "--locked", "--no-default-features", "--features", "server"]
        build = subprocess.run([cargo, "install", *what, "--bin", "zinit-server", "--root", root], check=False)
        if build.returncode:
            raise RuntimeError(f"cargo install {' '.join(what)} failed with status {build.returncode}")
        kept.mkdir(exist_ok=True, mode=0o700)
        Path(root, "bin", "zinit-server").replace(program)  # as a whole: who builds at the same time has the same
    return program


def main() -> int:
    """Have all of them."""
    for version in BUILT:
        with shown() as reporter:
            path = built_server(version, reporter)
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{zinit_server()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
