#!/bin/sh
# Sees to a Python that can make a virtual environment: installs what Debian and Ubuntu leave out, or says what to install.
set -eu

python=${PYTHON:-python3}
needed=3.11

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

able() {
    command -v "$python" >/dev/null 2>&1 && "$python" -c 'import ensurepip, venv' 2>/dev/null
}

if ! able; then
    packages="python3 python3-venv"
    command -v apt-get >/dev/null 2>&1 || fail "$python cannot make virtual environments" "install Python >= $needed with its venv module"
    if [ "$(id -u)" -eq 0 ]; then
        elevate=""
    elif command -v sudo >/dev/null 2>&1; then
        elevate="sudo"
    else
        fail "$python cannot make virtual environments" "as root: apt-get install $packages"
    fi
    echo "cdc: installing $packages with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    $elevate apt-get -qq update || true # an index that is old may do; the installation tells
    # shellcheck disable=SC2086 # one argument per package
    $elevate apt-get -qq install --yes --no-install-recommends $packages >/dev/null ||
        fail "apt-get could not install $packages" "install them by hand, then try again"
    able || fail "$python still cannot make virtual environments" "set PYTHON to one that can: make PYTHON=python$needed"
fi

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "cdc needs Python >= $needed: make PYTHON=/path/to/python$needed"
