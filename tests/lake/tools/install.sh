#!/usr/bin/env bash
# Brings what the tests of the lake read tables with, in versions that are pinned beside this file:
# PyIceberg and DuckDB from PyPI, Spark and a REST catalog from Maven Central. Asks for Python 3.11
# with venv, a JDK 17 and Maven. All goes to one folder, about 1 GB, and what is there already stays.
#
#     tests/lake/tools/install.sh [folder]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${1:-${LAKESYNC_TEST_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/lakesync-tools}}
mkdir -p "$tools"

# Fills a folder by a command that is given its path, unless it is there for the same pins.
fill() {
  local name=$1 pins=$2
  shift 2
  local folder=$tools/lake-$name
  if cmp --silent "$pins" "$folder/pins"; then return; fi
  rm -rf "$folder"
  "$@" "$folder" "$pins"
  cp "$pins" "$folder/pins"
}

python_packages() {
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$2"
  # DuckDB looks for extensions in folders by version and platform.
  "$1/bin/python" - "$1/extensions" <<'PY'
import duckdb, importlib, pathlib, shutil, sys
platform = duckdb.sql("PRAGMA platform").fetchone()[0]
for name in ["avro", "httpfs", "iceberg"]:
    package = pathlib.Path(importlib.import_module("duckdb_extension_" + name).__file__).parent
    for file in package.glob("extensions/*/*.duckdb_extension"):
        folder = pathlib.Path(sys.argv[1]) / file.parent.name / platform
        folder.mkdir(parents=True, exist_ok=True)
        file.rename(folder / file.name)
PY
}

java_archives() {
  mvn --quiet --batch-mode --file "$2" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$1"
}

fill python "$here/python.txt" python_packages
fill spark "$here/spark.xml" java_archives
fill catalog "$here/catalog.xml" java_archives
