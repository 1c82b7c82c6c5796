#!/bin/sh
# Make .venvs/NAME, or bring it up to date: the project (editable), its development tools and PACKAGES, all at the
# versions of constraints/CONSTRAINTS. Leaves .venvs/NAME/.installed when everything is in place.
#
#   tools/setup_env.sh NAME CONSTRAINTS [PACKAGES...]        PYTHON=... names the Python 3.11 to use
set -u
cd "$(dirname "$0")/.." || exit 1

name=$1
constraints=constraints/$2
shift 2
env=.venvs/$name
log=$env/install.log

say() { printf '%s\n' "[setup $name] $*"; }
fail() {
    printf '\n%s\n' "[setup $name] FAILED: $1" >&2
    shift
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 1
}

is_311() { "$1" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import venv, ensurepip' >/dev/null 2>&1; }

# The first Python 3.11 on the PATH that can make an environment with pip in it. Debian's may lack ensurepip, so
# every match on the PATH is tried, not only the first.
find_python() {
    without_venv=
    if [ -n "${PYTHON:-}" ]; then
        is_311 "$PYTHON" || fail "PYTHON=$PYTHON is not a working Python 3.11" "Run: make PYTHON=/path/to/python3.11 ..."
        has_venv "$PYTHON" || fail "PYTHON=$PYTHON has no venv module with pip" "On Debian or Ubuntu: apt-get install python3.11-venv"
        found=$PYTHON
        return
    fi
    for command in python3.11 python3 python; do
        old_ifs=$IFS
        IFS=:
        for folder in $PATH; do
            IFS=$old_ifs
            candidate=$folder/$command
            if [ -x "$candidate" ] && is_311 "$candidate"; then
                if has_venv "$candidate"; then
                    found=$candidate
                    return
                fi
                without_venv=$candidate
            fi
        done
        IFS=$old_ifs
    done
    if [ -n "$without_venv" ]; then
        fail "$without_venv is Python 3.11, but cannot make environments" \
            "On Debian or Ubuntu: apt-get install python3.11-venv, then run make again."
    fi
    fail "no Python 3.11 found (looked for python3.11, then for a python3 or python that is 3.11)" \
        "It has to be 3.11: that is where the four frameworks install together." \
        "Get it with one of:" \
        "  apt-get install python3.11 python3.11-venv      (Debian 12)" \
        "  brew install python@3.11                        (macOS)" \
        "  pyenv install 3.11   or   uv python install 3.11" \
        "then run make again, or name it: make PYTHON=/path/to/python3.11 ..."
}

rm -f "$env/.installed"
if [ -e "$env" ] && ! is_311 "$env/bin/python"; then
    say "$env does not hold a working Python 3.11: making it anew"
    rm -rf "$env"
fi
if ! "$env/bin/python" -m pip --version >/dev/null 2>&1; then
    find_python
    say "making $env with $found"
    "$found" -m venv --clear "$env" || fail "could not make $env" "Is there room on the disk, and may you write here?"
fi

say "installing unimodule (editable), its development tools${*:+ and $*}; a minute or two the first time"
# pip's status comes through a file: in plain sh a pipe reports only its last command's.
{
    "$env/bin/python" -m pip install --disable-pip-version-check --progress-bar off \
        -c "$constraints" -e ".[dev,report]" "$@" 2>&1
    echo $? >"$env/install.status"
} | tee "$log" | while IFS= read -r line; do
    case $line in
    *Downloading* | Building* | Installing* | ERROR* | error*) printf '    %.110s\n' "$line" ;;
    esac
done
if [ "$(cat "$env/install.status")" != 0 ]; then
    tail -n 15 "$log" >&2
    fail "pip could not install everything (all it said: $log)" \
        "- No package index in reach? See: $env/bin/python -m pip config list, and PIP_INDEX_URL." \
        "- 'No matching distribution': the versions are in $constraints. MXNet 1.9.1 has wheels for Linux" \
        "  and Intel Macs; elsewhere: make demo FRAMEWORKS='torch tensorflow jax'. 'make test-core' needs no framework at all." \
        "- Out of disk: the four frameworks together take about 3 GB." \
        "Then run make again: it goes on from here. 'make clean' starts from nothing."
fi
rm -f "$env/install.status"
touch "$env/.installed"
say "ready"
