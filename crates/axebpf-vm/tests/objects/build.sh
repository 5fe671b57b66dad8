#!/bin/sh
# Rebuilds the objects here from their sources. The objects are checked in, so that testing needs no other compiler.
# With arguments, rebuilds just these: `build.sh core latency`.
set -eu
cd "$(dirname "$0")"
c() {
	"${CLANG:-clang-22}" -target bpf -mcpu=v3 -O2 -g -Wall -Werror -fdebug-prefix-map="$PWD"=. -c "$1" -o "$2"
}
for source in *.bpf.c; do
	name="${source%.bpf.c}"
	case " ${*:-$name} " in *" $name "*) c "$source" "$name.o" ;; esac
done
case " ${*:-core_target} " in *" core_target "*)
	# Just the types: this is what a caller gets from the machine that it traces.
	c core_target.c core_target.o
	"${OBJCOPY:-llvm-objcopy-22}" --dump-section .BTF=core_target.btf core_target.o
	rm core_target.o
	;;
esac
for source in *.rs; do
	name="${source%.rs}"
	case " ${*:-$name} " in *" $name "*)
		RUSTC_BOOTSTRAP=1 "${RUSTC:-/usr/bin/rustc}" --edition 2024 --target bpfel-unknown-none --crate-type bin \
			-O -Cpanic=abort -Clinker=bpf-linker --remap-path-prefix "$PWD"=. \
			"$source" -o "$name.o"
		;;
	esac
done
