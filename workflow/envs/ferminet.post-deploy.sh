#!/usr/bin/env bash
# Snakemake runs this inside the new conda environment, from the project's root.
set -euo pipefail
python -m pip install --quiet -r requirements.lock
python -m pip install --quiet --no-deps --no-build-isolation .
