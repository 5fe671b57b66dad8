#!/bin/sh
# Rebuilds the objects here from their sources. The objects are checked in, so that testing needs no clang.
set -eu
cd "$(dirname "$0")"
for source in *.bpf.c; do
	"${CLANG:-clang-22}" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -fdebug-prefix-map="$PWD"=. \
		-c "$source" -o "${source%.bpf.c}.o"
done
