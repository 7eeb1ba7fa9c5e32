"""Real livekit-servers, a real zinit and the meta-schema of OpenRPC for the tests, kept between runs.

python -m tests.servers     have all of them, before a test that needs one is counting its time
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
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
META_SCHEMA = "1.14.9"  # of OpenRPC


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


def openrpc_meta_schema(folder: Path = KEPT) -> Path:
    """What OpenRPC's authors publish to check documents with: a JSON Schema, out of their npm package.

    Raises:
        RuntimeError: there is no npm, it cannot fetch the package, or that is another one than it was.
    """
    kept = folder / f"openrpc-meta-schema-{META_SCHEMA}.json"
    if kept.exists():
        return kept
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("the tests need npm to fetch the meta-schema of OpenRPC: your system's package `npm`")
    what = f"@open-rpc/meta-schema@{META_SCHEMA}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".openrpc-", dir=folder) as root:
        pack = subprocess.run([npm, "pack", "--silent", what], cwd=root, capture_output=True, text=True, check=False)
        if pack.returncode:
            raise RuntimeError(f"npm pack {what} failed: {pack.stderr.strip()}")
        with tarfile.open(Path(root, pack.stdout.strip())) as package:
            file = package.extractfile("package/index.js")
            assert file is not None
            script = file.read().decode()
        # A module that exports one object, written as JSON.
        found = script.partition("exports.openrpcDocument = {")[2].partition("};\n")[0]
        if not found:
            raise RuntimeError(f"{what} is not what it was")
        fresh = Path(root, "schema.json")
        fresh.write_text(json.dumps(json.loads("{" + found + "}")))
        fresh.replace(kept)
    return kept


def main() -> int:
    """Have all of them."""
    for version in BUILT:
        with shown() as reporter:
            path = built_server(version, reporter)
        sys.stdout.write(f"{path}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{zinit_server()}\n{openrpc_meta_schema()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
