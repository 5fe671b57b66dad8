#!/bin/sh
# Rebuilds the objects here from their sources. The objects are checked in, so that testing needs no other compiler.
set -eu
cd "$(dirname "$0")"
for source in *.bpf.c; do
	"${CLANG:-clang-22}" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -fdebug-prefix-map="$PWD"=. \
		-c "$source" -o "${source%.bpf.c}.o"
done
RUSTC_BOOTSTRAP=1 "${RUSTC:-/usr/bin/rustc}" --edition 2024 --target bpfel-unknown-none --crate-type bin \
	-O -Cpanic=abort -Clinker=bpf-linker --remap-path-prefix "$PWD"=. \
	rust.rs -o rust.o
