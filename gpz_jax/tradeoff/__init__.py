"""What a defence against model inversion costs in accuracy, and what it gains.

Pure functions on the rows of a study of model inversion.
"""

from gpz_jax.tradeoff.answer import RANKED, Answer, conclude
from gpz_jax.tradeoff.comparison import Comparison, compare, of_classes
from gpz_jax.tradeoff.doubts import describe_row
from gpz_jax.tradeoff.estimates import Estimate
from gpz_jax.tradeoff.points import (
  Point,
  front,
  list_points,
  removed_stage,
  strongest_attack,
)
from gpz_jax.tradeoff.tables import format_table
from gpz_jax.tradeoff.words import label, phrase

__all__ = [
  'RANKED',
  'Answer',
  'Comparison',
  'Estimate',
  'Point',
  'compare',
  'conclude',
  'describe_row',
  'format_table',
  'front',
  'label',
  'list_points',
  'of_classes',
  'phrase',
  'removed_stage',
  'strongest_attack',
]
