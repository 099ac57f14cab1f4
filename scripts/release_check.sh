#!/usr/bin/env bash
# Builds the sdist and the wheel, checks them, and tries the wheel in two clean environments: with the
# versions of constraints.txt and with those of constraints-lowest.txt. Uploads nothing.
#
#   scripts/release_check.sh                       both
#   scripts/release_check.sh lowest                one of them
#   TORCH=torch==2.13.0 scripts/release_check.sh   with this build of torch in both, where there is no other
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n== %s\n' "$*"; }

# The constraints of a file, with another torch where one is asked for.
constraints() {
    if [ -n "${TORCH:-}" ]; then
        sed "s/^torch==.*/$TORCH/" "$1"
    else
        cat "$1"
    fi
}

say "sdist and wheel"
"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --constraint constraints.txt build twine
"$work/tools/bin/python" -m build --outdir "$work/dist" .
"$work/tools/bin/twine" check --strict "$work"/dist/*

say "the wheel made from the sdist has every setting, stub and page"
"$work/tools/bin/python" - "$work"/dist/*.whl <<'CHECK'
import sys
from pathlib import Path
from zipfile import ZipFile

names = set(ZipFile(sys.argv[1]).namelist())
wanted = {f"spanloc/{path}" for path in Path("configs").rglob("*.yaml")}
for pattern in ("**/*.py", "**/*.pyi", "**/*.css", "**/*.js", "py.typed"):
    wanted |= {str(path) for path in Path("spanloc").glob(pattern)}
missing = sorted(wanted - names)
assert not missing, f"not in the wheel: {missing}"
CHECK

try_with() { # name, file of constraints
    say "the wheel with $1"
    constraints "$2" >"$work/$1.txt"
    "$python" -m venv "$work/$1"
    "$work/$1/bin/pip" install --quiet --constraint "$work/$1.txt" "$work"/dist/spanloc-*.whl
    "$work/$1/bin/pip" check
    "$work/$1/bin/pip" freeze | grep -iE '^(torch|pytorch-lightning|hydra-core|numpy|pandas)==' || true
    mkdir "$work/in-$1"
    cd "$work/in-$1"
    "$work/$1/bin/spanloc-train" data.num_train=64 data.num_val=8 data.num_test=8 \
        trainer.max_epochs=2 hydra.run.dir=run
    "$work/$1/bin/spanloc-evaluate" checkpoint=run/best.ckpt hydra.run.dir=again
    "$work/$1/bin/python" -c "
import json, spanloc
first, again = (json.load(open(f'{name}/metrics.json')) for name in ('run', 'again'))
assert first['test/tiou'] == again['test/tiou'], (first, again)
print(spanloc.__version__, 'works')"
    cd "$root"
}

[ $# -gt 0 ] || set -- newest lowest
for name in "$@"; do
    case $name in
    newest) try_with newest constraints.txt ;;
    lowest) try_with lowest constraints-lowest.txt ;;
    *) echo "wanted newest or lowest, not $name" >&2 && exit 2 ;;
    esac
done
say "all of it works; nothing was uploaded"
