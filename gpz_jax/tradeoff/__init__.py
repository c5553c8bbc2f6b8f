"""What a defence against model inversion costs in accuracy, and what it gains.

Pure functions on the rows of a study of model inversion.
"""

from gpz_jax.estimates import Estimate
from gpz_jax.tradeoff.answer import RANKED, Answer, conclude
from gpz_jax.tradeoff.beside import format_findings, write_csv
from gpz_jax.tradeoff.beside import format_table as format_beside
from gpz_jax.tradeoff.comparison import Comparison, compare, of_classes
from gpz_jax.tradeoff.doubts import describe_row
from gpz_jax.tradeoff.judging import Judged, judge, judge_finding
from gpz_jax.tradeoff.points import (
  Point,
  front,
  list_points,
  removed_stage,
  strongest_attack,
)
from gpz_jax.tradeoff.published import Finding, Paper, PublishedRow, StudyRows
from gpz_jax.tradeoff.published import read as read_paper
from gpz_jax.tradeoff.tables import format_table
from gpz_jax.tradeoff.words import label, phrase

__all__ = [
  'RANKED',
  'Answer',
  'Comparison',
  'Estimate',
  'Finding',
  'Judged',
  'Paper',
  'Point',
  'PublishedRow',
  'StudyRows',
  'compare',
  'conclude',
  'describe_row',
  'format_beside',
  'format_findings',
  'format_table',
  'front',
  'judge',
  'judge_finding',
  'label',
  'list_points',
  'of_classes',
  'phrase',
  'read_paper',
  'removed_stage',
  'strongest_attack',
  'write_csv',
]
