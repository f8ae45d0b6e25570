#!/bin/sh
# Make the virtual environment and install the system packages that FFCV is compiled against.
# Called by make with PYTHON (an interpreter) and VENV (the folder of the environment).
set -eu

fail() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# Say what pip and uv do of what takes long, a line each. Everything they say is in a log, which is shown if they fail.
tell_progress() {
    while IFS= read -r line; do
        case "$line" in
            *"Downloading "*"("[0-9][0-9]*" MB)"* | *"Downloading "*"("[0-9][0-9]*MiB")"*)  # 10 MB and more
                file=${line##*Downloading }
                file=${file%% *}
                file=${file##*/}
                echo "  downloading ${file%%-*} (${line##*\(}" ;;
            "  Building wheel for "*": started")
                name=${line#*Building wheel for }
                echo "  compiling ${name%% *}" ;;
            "Installing collected packages: "*)
                # shellcheck disable=SC2086
                set -- ${line#*: }
                echo "  installing $# packages (a minute or two)" ;;
            "Resolved "* | "Prepared "* | "Installed "*) echo "  $line" ;;
        esac
    done
}

install() {
    log=$(mktemp)
    { "$@" 2>&1 && echo "everything is installed"; } | tee "$log" | tell_progress
    [ "$(tail -n 1 "$log")" = "everything is installed" ] ||
        { tail -n 30 "$log" >&2; fail "The packages could not be installed into $VENV; all that was said is in $log. Run the command again when this is mended: what was downloaded is kept."; }
    rm -f "$log"
}

command -v "$PYTHON" >/dev/null 2>&1 || fail "'$PYTHON' was not found. Install Python 3.11 or later, or name an interpreter: make PYTHON=python3.12 setup"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or later is needed, but '$PYTHON' is $("$PYTHON" --version 2>&1). Name another interpreter: make PYTHON=python3.12 setup"

missing=""
need() { missing="$missing $1"; }
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
"$PYTHON" -c 'import pathlib, sys, sysconfig; sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' || need python3-dev
command -v g++ >/dev/null 2>&1 || command -v clang++ >/dev/null 2>&1 || need g++
if command -v pkg-config >/dev/null 2>&1; then
    pkg-config --exists libturbojpeg || need libturbojpeg0-dev
    pkg-config --exists opencv4 || need libopencv-dev
else
    need pkg-config
    need libturbojpeg0-dev
    need libopencv-dev
fi

if [ -n "$missing" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
            as_root="sudo"
        else
            as_root="none"
        fi
    fi
    if command -v apt-get >/dev/null 2>&1 && [ "$as_root" != none ]; then
        echo "installing system packages:$missing"
        log=$(mktemp)
        # shellcheck disable=SC2086
        { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 ||
            { tail -n 20 "$log" >&2; fail "apt could not install:$missing"; }
        rm -f "$log"
    else
        fail "These system packages are missing:$missing
FFCV is compiled against OpenCV and libjpeg-turbo. Install them, then run this again:
  Debian, Ubuntu:  sudo apt-get install python3-dev python3-venv g++ pkg-config libturbojpeg0-dev libopencv-dev
  Fedora:          sudo dnf install python3-devel gcc-c++ pkgconf-pkg-config turbojpeg-devel opencv-devel
  macOS:           brew install pkg-config jpeg-turbo opencv
  conda:           conda install -c conda-forge compilers pkg-config libjpeg-turbo opencv"
    fi
fi

echo "making $VENV (about 7 GB; a few minutes the first time)"
if command -v uv >/dev/null 2>&1; then
    [ -x "$VENV/bin/python" ] || uv venv --quiet --python "$PYTHON" "$VENV"
    install uv pip install --python "$VENV/bin/python" -c constraints.txt -e '.[dev]'
else
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    install "$VENV/bin/python" -m pip install --progress-bar off --disable-pip-version-check -c constraints.txt -e '.[dev]'
fi

# `dagster dev -w workspace.yaml` reads .env, so it uses the same Dagster instance as the command line.
[ -f .env ] || printf 'DAGSTER_HOME=%s/.dagster\n' "$(pwd)" >.env
"$VENV/bin/python" -c "from pathlib import Path; from dynvision.paths import Paths; from dynvision_assets.instances.opening import prepare_home; prepare_home(Paths(Path.cwd()))"
