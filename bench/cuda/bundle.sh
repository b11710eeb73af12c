#!/bin/sh
# Fetches the packages that a machine with torch, transformers and accelerate lacks, as wheels for
# CPython 3.12 on Linux x86-64, into bench/cuda/wheels.
set -eu
cd "$(dirname "$0")/../.."
limit_mib=64 # of the tracked files and the wheels
rm -rf bench/cuda/wheels
for name in diffusers greenlet importlib_metadata; do
	platforms="manylinux_2_28_x86_64 manylinux_2_24_x86_64 manylinux_2_17_x86_64 manylinux2014_x86_64"
	${PYTHON:-python3} -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 \
		--implementation cp $(printf -- '--platform %s ' $platforms) --dest bench/cuda/wheels \
		"$(grep "^$name==" constraints.txt)"
done
ls -l bench/cuda/wheels
files() { git ls-files -z --cached --others --exclude-standard; printf '%s\0' bench/cuda/wheels/*; }
bytes=$(files | du --bytes --total --files0-from=- | tail -1 | cut -f1)
echo "$((bytes / 1048576)) MiB of at most $limit_mib MiB"
test "$bytes" -le $((limit_mib * 1048576))
