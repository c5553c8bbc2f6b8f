"""Rows by treatment and split, which are looked up where they were grouped once."""

import functools
from collections.abc import Iterable, Sequence

from gpz_jax.results.schema import Row
from gpz_jax.types import Treatment


class Grouped(tuple[Row, ...]):
  """Rows that are grouped by treatment once.

  Whatever asks for those of one treatment again and again need not walk all of them.
  """

  @functools.cached_property
  def by_treatment(self) -> dict[Treatment, list[Row]]:
    """The rows of each treatment, in their order."""
    found: dict[Treatment, list[Row]] = {}
    for row in self:
      found.setdefault(Treatment.of(row), []).append(row)
    return found


def of_treatment(rows: Iterable[Row], treatment: Treatment) -> Sequence[Row]:
  """The rows of one treatment."""
  if isinstance(rows, Grouped):
    return rows.by_treatment.get(treatment, ())
  return [row for row in rows if Treatment.of(row) == treatment]


def of_cell(rows: Iterable[Row], treatment: Treatment, split: str) -> list[Row]:
  """The rows of one treatment at one split."""
  if isinstance(rows, Grouped):
    return [row for row in of_treatment(rows, treatment) if row['split'] == split]
  return [r for r in rows if r['split'] == split and Treatment.of(r) == treatment]
