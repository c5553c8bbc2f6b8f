"""Rows of searches, which leave no decoder, are compared with their targets."""

import json

import pytest
import tiny

from gpz_jax import results, sweep
from gpz_jax.study import continuing
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep.verify import verify

pytestmark = pytest.mark.usefixtures('blank_charts')


@pytest.fixture(scope='module')
def searched(tmp_path_factory):
  config = tiny.sweep_config(
    tmp_path_factory.mktemp('searched') / 'run',
    model='tiny:Halving',
    model_options=(),
    splits=('second',),
    attack=('rmle:steps=1:images=2',),
  )
  sweep.run(config, quiet=True)
  return Workdir(config.workdir)


def test_the_targets_of_searches_are_measured_again(searched):
  verdict = verify(searched.path)
  assert verdict.problems == []
  assert verdict.sentence().endswith(
    'the target accuracy of 1 rows measured again: all is well'
  )
  assert verify(searched.path, sample=0).rescored.measured == 0


def test_a_row_of_another_accuracy_and_another_target_are_told(searched):
  before = continuing.read_targets(searched)
  (row,) = searched.read_rows()
  wrong = row | {'target_accuracy': 1.0 - row['target_accuracy'] / 2}
  results.write_rows(searched.lines(), [wrong], results.RESULTS)
  results.write_parquet(searched.table(), [wrong])
  searched.attacked.write_text(json.dumps(dict.fromkeys(before, 'x')))
  problems = verify(searched.path).problems
  assert problems == [
    'the target alpha 0 seed 0 is another one now than when it was attacked',
    f'row second alpha 0 seed 0 rmle:steps=1:images=2: target_accuracy is'
    f' {wrong["target_accuracy"]!r}, but its target gives {row["target_accuracy"]!r}',
  ]
