"""The keys of livekit.yaml that a release of livekit-server knows, asked of the release itself.

Two witnesses: the configuration type in the release's own source (keys.go, complete, needs a `go` on the search path),
and `help-verbose` of the built program (scalars only, needs nothing else). Both give dotted path -> kind; elements of a
list of tables stand below `path[]`, values of a table of tables below `path{}`. Knows nothing of unit definitions.

    python -m tests.schema.derive VERSION     prints the list from the source, sorted
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hero_livekit_units.definitions.kinds import LIMITS
from hero_livekit_units.errors import UnitsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MODULE = "github.com/livekit/livekit-server"
BUILD_S = 900.0  # the first build of a release fetches and compiles some hundred packages

_FLAG = re.compile(
    r" +--(?P<path>\S+)(?: (?P<type>bool|float|int|string|uint))? +generated(?: \(default: (?P<default>.*?)\))?"
)
_GO_DURATION = re.compile(r"-?(?:\d+(?:\.\d+)?(?:ns|µs|us|ms|s|m|h))+")
_FLAG_KINDS = {None: "bool", "bool": "bool", "float": "number", "int": "integer", "string": "text", "uint": "integer"}

# What `help-verbose` cannot show as it stands in the file, with the reason.
_NAMED_FLAG = {"region"}  # has a flag of its own, and no generated one beside it
_BEHIND_POINTER = ("redis.tls.",)  # an optional table: the flags are made from values, and there is none
_PORT_RANGE_PARTS = {"start": "integer", "end": "integer"}  # the flags see the fields, the file is read as one text
_NODE_IP_PARTS = {"ipv4": "text", "ipv6": "text"}  # likewise, since 1.10


def from_source(version: str) -> dict[str, str]:
    """The complete list, from the configuration type in the release's source.

    Raises:
        UnitsError: there is no `go`, the module is not served, or its type has something that keys.go has no rule for.
    """
    with tempfile.TemporaryDirectory(prefix="hlu-schema-") as folder:
        return list_keys(fetch_source(version, Path(folder)))


def fetch_source(version: str, into: Path) -> Path:
    """A writable copy of the release's source below the folder, with keys.go in it.

    Raises:
        UnitsError: there is no `go`, or the module is not served.
    """
    answer = json.loads(_go(["mod", "download", "-json", f"{MODULE}@v{version}"], into))
    copy = into / f"livekit-server-{version}"
    shutil.copytree(answer["Dir"], copy, copy_function=shutil.copyfile)
    for path in [copy, *copy.rglob("*")]:  # the module cache is read-only, and so is what is copied from it
        if path.is_dir():
            path.chmod(0o755)
    shutil.copyfile(Path(__file__).parent / "keys.go", copy / "keys.go")
    return copy


def list_keys(source: Path) -> dict[str, str]:
    """The complete list of a source that `fetch_source` gave."""
    lines = _go(["run", "keys.go"], source).splitlines()
    return dict(sorted(line.split("\t") for line in lines))


def ask_strict_reader(source: Path, documents: Sequence[str]) -> list[str]:
    """What the release's own strict reader says of each document; an empty text is a yes."""
    answers: list[str] = json.loads(_go(["run", "keys.go", "try"], source, feed=json.dumps(documents)))
    return answers


def from_help(binary: Path) -> dict[str, str]:
    """The scalar keys, from the generated flags of `help-verbose`.

    Lists, tables and the rest that `shown_by_help` leaves out cannot be seen there. A duration shows as "int", and is
    told by its default, which has a unit.
    """
    told = subprocess.run([binary, "help-verbose"], check=True, capture_output=True, text=True, timeout=30).stdout
    found = {}
    for flag in map(_FLAG.match, told.splitlines()):
        if flag:
            kind = _FLAG_KINDS[flag["type"]]
            is_duration = kind == "integer" and _GO_DURATION.fullmatch(flag["default"] or "")
            found[flag["path"]] = "duration" if is_duration else kind
    return dict(sorted(found.items()))


def shown_by_help(keys: Mapping[str, str], version: str) -> dict[str, str]:
    """The part of a complete list that `help-verbose` of this release must show, in its form."""
    shown: dict[str, str] = {}
    for path, kind in keys.items():
        if path in _NAMED_FLAG or path.startswith(_BEHIND_POINTER) or "[]" in path or "{}" in path:
            continue
        if kind == "port range":
            shown |= {f"{path}.{part}": of for part, of in _PORT_RANGE_PARTS.items()}
        elif path == "rtc.node_ip" and number(version) >= (1, 10):
            shown |= {f"{path}.{part}": of for part, of in _NODE_IP_PARTS.items()}
        elif kind in {"bool", "duration", "number", "text"}:
            shown[path] = kind
        elif kind in LIMITS:
            shown[path] = "integer"  # the help does not tell how large it may be
    return dict(sorted(shown.items()))


def number(version: str) -> tuple[int, ...]:
    """A version as numbers, in whose order releases follow each other."""
    return tuple(int(part) for part in version.split("."))


def _go(argv: Sequence[str], folder: Path, *, feed: str = "") -> str:
    go = shutil.which("go")
    if go is None:
        raise UnitsError("cannot derive the keys of livekit-server: no go on the search path", hint="install Go")
    ended = subprocess.run(
        [go, *argv], cwd=folder, input=feed, check=False, capture_output=True, text=True, timeout=BUILD_S
    )
    if ended.returncode:
        told = ended.stderr.strip() or ended.stdout.strip()
        raise UnitsError(f"cannot derive the keys of livekit-server: go {argv[0]} says: {told[-2000:]}")
    return ended.stdout


def main() -> None:
    """Print the list of the release named on the command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.schema.derive VERSION")
    try:
        keys = from_source(sys.argv[1])
    except UnitsError as error:
        sys.exit(str(error))
    sys.stdout.writelines(f"{path}\t{kind}\n" for path, kind in keys.items())


if __name__ == "__main__":
    main()
