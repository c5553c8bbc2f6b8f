"""Rows of results: their columns, their files, their summary, where they come from.

A row is a plain dict, one for each lane, split and attack. `results.jsonl` grows by a
line as each lane ends; `results.parquet` holds the same rows, sorted, once the sweep is
done.
"""

from gpz_jax.results.columns import COLUMNS, Column, Row, check_row, row_key
from gpz_jax.results.files import append_row, read_parquet, read_rows, write_parquet
from gpz_jax.results.provenance import provenance
from gpz_jax.results.summary import (
  align,
  format_bytes,
  format_table,
  list_alphas,
  list_attacks,
  list_splits,
  mean,
  seed_mean,
  seed_values,
  strongest,
)

__all__ = [
  'COLUMNS',
  'Column',
  'Row',
  'align',
  'append_row',
  'check_row',
  'format_bytes',
  'format_table',
  'list_alphas',
  'list_attacks',
  'list_splits',
  'mean',
  'provenance',
  'read_parquet',
  'read_rows',
  'row_key',
  'seed_mean',
  'seed_values',
  'strongest',
  'write_parquet',
]
