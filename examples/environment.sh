# shellcheck shell=bash
# Sourced by examples/quickstart and tests/run: the virtual environment of a checkout.

# make_environment FOLDER EXTRAS: have the package, with its extras, in a virtual environment; made anew when
# pyproject.toml changes, and left alone otherwise.
make_environment() {
    local venv=$1 extras=$2 stamp
    stamp=$venv/ready-$(sha256sum pyproject.toml | cut -c1-16)
    [ ! -e "$stamp" ] || return 0
    echo "setting up $venv (a minute the first time)"
    rm -rf "$venv"
    mkdir -p "$(dirname "$venv")"
    # Debian and Ubuntu ship a part of Python's venv apart.
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        if [ "$(id -u)" != 0 ]; then
            echo "python3 cannot make virtual environments yet; do: sudo apt-get install python3-venv" >&2
            return 1
        fi
        echo "installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
    fi
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off -e ".[$extras]" |
        sed -un 's/^Collecting \([^ ]*\).*/  \1/p; s/^Installing collected packages.*/  installing/p'
    touch "$stamp"
}
