"""Classifiers that judge whom a reconstruction shows, and the scores that follow."""

from gpz_jax.evaluators.evaluator import Answers, Evaluator
from gpz_jax.evaluators.face import load_face
from gpz_jax.evaluators.kes import KES, check_student, measure_kes
from gpz_jax.evaluators.making import PAPER, SMALL, Preset, from_weights, train
from gpz_jax.evaluators.scores import SCORES, SURE, Scores, score
from gpz_jax.evaluators.summary import Summary, summarise, summarise_values
from gpz_jax.evaluators.trade import Delta, delta

__all__ = [
  'KES',
  'PAPER',
  'SCORES',
  'SMALL',
  'SURE',
  'Answers',
  'Delta',
  'Evaluator',
  'Preset',
  'Scores',
  'Summary',
  'check_student',
  'delta',
  'from_weights',
  'load_face',
  'measure_kes',
  'score',
  'summarise',
  'summarise_values',
  'train',
]
