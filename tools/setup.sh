#!/usr/bin/env bash
# Makes the virtual environment VENV with everything that `make drive` and `make test` need.
# Usage: [PYTHON=python3.12] tools/setup.sh VENV     Called by `make setup`; safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1
PYTHON=${PYTHON:-}

fail() { echo "make setup: $*" >&2; exit 2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
may_install() { command -v apt-get >/dev/null && as_root true 2>/dev/null; }

apt_install() {  # what it is for, then the packages
    local purpose=$1; shift
    may_install || fail "$purpose is missing; run \`sudo apt-get install -y $*\` (or what your" \
        "system calls these packages), then the same make command again."
    echo "$purpose is missing: installing $*"
    as_root apt-get update -qq || true  # an old list may still do; the next line tells
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "$@" >/dev/null || fail "apt-get could not install $*; install them by hand, then run make again."
}

# Run, not looked up: pyenv puts commands on the PATH that only fail when they are called.
fits() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; }

if ! fits "$venv/bin/python"; then
    python=""
    for candidate in ${PYTHON:-python3.11 python3.12 python3}; do
        if fits "$candidate"; then python=$candidate; break; fi
    done
    if [ -z "$python$PYTHON" ] && may_install; then  # Ubuntu 22.04 has 3.11 beside its own 3.10
        as_root apt-get update -qq || true
        for version in 3.11 3.12; do
            apt-cache show "python$version" >/dev/null 2>&1 || continue
            apt_install "Python 3.11 or 3.12" "python$version" "python$version-venv"
            python=/usr/bin/python$version
            break
        done
    fi
    [ -n "$python" ] || fail "expected Python 3.11 or 3.12, as the ROS 2 wheels need, but found" \
        "$("${PYTHON:-python3}" -V 2>/dev/null || echo "no ${PYTHON:-python3} that runs"); install one of" \
        "them and name it: make setup PYTHON=/path/to/python3.12."
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        apt_install "Python's venv module" "python$version-venv"
    fi
    echo "Making $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv"
fi

echo "Installing into $venv; the first time this downloads PyTorch, MuJoCo and ROS 2 (minutes)"
# Editable: `make drive` runs the checkout as it is now, with its own models, launch and config.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --use-pep517 -c constraints.txt \
    -e '.[sim,carracing,train,ros,view,viz,attend,data,fast,export,scale,bench,docs,dev]' || fail "pip could not install the packages; see its message above."

if ! "$venv/bin/liquid-control" doctor --only opengl >/dev/null; then
    apt_install "OpenGL off screen (EGL)" libegl1 libgl1 libgl1-mesa-dri
    "$venv/bin/liquid-control" doctor --only opengl ||
        fail "OpenGL still draws nothing off screen; the table above says what came."
fi
echo "Ready: \`make drive\` drives, \`make test\` tests, \`make doctor\` says what works."
