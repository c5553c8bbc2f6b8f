"""What the probe leaves out, and what its command says of that."""

import numpy as np
import pytest
import tiny

from gpz_jax.commands import probe as command
from gpz_jax.commands import sweep as sweep_command
from gpz_jax.study import target_quality
from gpz_jax.sweep import probe

GOOD, GUESSING, ASTRAY = 0, 1, 2


@pytest.fixture
def make_config(tmp_path, monkeypatch):
  """Makes the config of a probe of three seeds: good, guessing and diverged."""
  measure = target_quality.measure

  def measure_seeds(session, targets):
    seeds = [lane.seed for lane in session.plan.lanes]
    accuracy = np.array([0.1 if seed == GUESSING else 0.9 for seed in seeds])
    is_finite = np.array([seed != ASTRAY for seed in seeds])
    return measure(session, targets) | {
      'val': accuracy,
      'test': accuracy,
      'is_finite': is_finite,
    }

  monkeypatch.setattr(target_quality, 'measure', measure_seeds)

  def make(*seeds):
    return tiny.sweep_config(
      tmp_path / 'run', splits=('conv_1', 'conv_2'), seeds=seeds, theory_limit=16
    )

  return make


def test_a_target_that_learned_nothing_has_no_vote(make_config, monkeypatch, capsys):
  config = make_config(GOOD, GUESSING, ASTRAY)
  found = probe.probe(config)
  assert {row['seed'] for row in found.rows} == {GOOD}
  (votes,) = found.votes.treatments
  assert {vote.seeds for vote in votes.votes} == {1}
  assert [lane.seed for lane in found.left_out] == [GUESSING, ASTRAY]
  assert 'is within reach of guessing (0.100 on val' in capsys.readouterr().out
  monkeypatch.setattr(sweep_command, 'config_from_flags', lambda: config)
  assert command.main(['probe']) == 3
  said = capsys.readouterr().out
  assert 'seed 1 has no vote, because its test accuracy of 10.0% is within' in said
  assert 'seed 2 has no vote, because its training diverged; lower' in said


def test_a_probe_of_nothing_but_guessing_targets_names_no_zone(
  make_config, monkeypatch, capsys
):
  config = make_config(GUESSING)
  monkeypatch.setattr(sweep_command, 'config_from_flags', lambda: config)
  assert command.main(['probe']) == 0
  said = capsys.readouterr().out
  assert 'the zone begins' not in said
  assert 'vote of' not in said
  assert 'has no vote, because its test accuracy of 10.0%' in said
