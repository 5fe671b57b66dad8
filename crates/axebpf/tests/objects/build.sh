#!/bin/sh
# Builds the objects that the tests load, after a change of a source here. Needs clang-22 and libbpf-dev.
set -eu
cd "$(dirname "$0")"
for source in *.bpf.c; do
    clang-22 -target bpf -mcpu=v3 -O2 -g -Wall -Werror -D__TARGET_ARCH_arm64 -I. -I../../../../ebpf-programs/include \
        -fdebug-compilation-dir=. -c "$source" -o "${source%.c}.o"
    llvm-strip-22 -g "${source%.c}.o"
done
