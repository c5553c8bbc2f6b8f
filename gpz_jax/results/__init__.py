"""Rows of results: their columns, their files, their summary, where they come from.

A row is a plain dict, one for each lane, split and attack (`RESULTS`), or for each
lane, split, epoch and quantity of the theory (`THEORY`). `results.jsonl` grows by a
line as each lane ends; `results.parquet` holds the same rows, sorted, once the sweep
is done.
"""

from gpz_jax.results.columns import COLUMNS, RESULTS, row_key
from gpz_jax.results.files import (
  append_rows,
  read_ladder,
  read_object,
  read_parquet,
  read_rows,
  read_workdir,
  write_parquet,
  write_rows,
)
from gpz_jax.results.formats import align, format_bytes
from gpz_jax.results.grouping import Grouped, of_cell, of_treatment
from gpz_jax.results.inversions import CLASSES, INVERSIONS, class_key, inversion_key
from gpz_jax.results.provenance import count_processors, provenance
from gpz_jax.results.schema import Column, Row, Schema
from gpz_jax.results.summary import (
  list_attacks,
  list_splits,
  list_treatments,
  mean,
  most_smoothed,
  nearest_untreated,
  of_targets,
  seed_mean,
  seed_values,
  split_range,
  strongest,
  without_diverged,
)
from gpz_jax.results.tables import format_table
from gpz_jax.results.theory import THEORY, theory_key

__all__ = [
  'CLASSES',
  'COLUMNS',
  'INVERSIONS',
  'RESULTS',
  'THEORY',
  'Column',
  'Grouped',
  'Row',
  'Schema',
  'align',
  'append_rows',
  'class_key',
  'count_processors',
  'format_bytes',
  'format_table',
  'inversion_key',
  'list_attacks',
  'list_splits',
  'list_treatments',
  'mean',
  'most_smoothed',
  'nearest_untreated',
  'of_cell',
  'of_targets',
  'of_treatment',
  'provenance',
  'read_ladder',
  'read_object',
  'read_parquet',
  'read_rows',
  'read_workdir',
  'row_key',
  'seed_mean',
  'seed_values',
  'split_range',
  'strongest',
  'theory_key',
  'without_diverged',
  'write_parquet',
  'write_rows',
]
