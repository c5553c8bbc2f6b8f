"""Programs compiled beside what runs."""

import contextlib

import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.attacks.activation import inversion
from gpz_jax.sweep import ahead as ahead_lib
from gpz_jax.sweep.ahead import Ahead
from gpz_jax.sweep.plan import make_plan
from gpz_jax.training.engine import Engine

NORMALIZED = 'inversion:enhance=normalize_input+nn_concat'


@pytest.mark.ci
def test_a_sweep_runs_what_was_compiled_ahead(tmp_path, monkeypatch):
  train, trainers = inversion.train, []

  def note(*args, trainer, **options):
    trainers.append(trainer)
    return train(*args, trainer=trainer, **options)

  monkeypatch.setattr(inversion, 'train', note)
  config = tiny.sweep_config(tmp_path / 'run', attack=('inversion', NORMALIZED))
  sweep.run(config, quiet=True)
  assert len(trainers) == 2
  assert [trainer.traces for trainer in trainers] == [1] * 2  # not again when run


def test_jobs_are_compiled_one_ahead_and_errors_reach_whoever_takes(
  tmp_path, monkeypatch
):
  config = tiny.sweep_config(tmp_path / 'run', splits=('conv_1', 'conv_2', 'conv_3'))
  plan = make_plan(config)
  jobs = list(ahead_lib.list_jobs(plan, plan.missing([])))
  assert [job.num_lanes for job in jobs] == [1, 1, 1]
  compiled = []

  def compile_job(plan, engine, job):
    compiled.append(job)
    if job == jobs[1]:
      raise RuntimeError('no compiler')
    return job

  monkeypatch.setattr(ahead_lib, 'compile_job', compile_job)
  with contextlib.closing(Ahead(plan, Engine().resolve(), jobs)) as ahead:
    assert ahead.take(jobs[0]) == jobs[0]
    with pytest.raises(RuntimeError, match='no compiler'):
      ahead.take(jobs[1])
    unplanned = jobs[2]._replace(num_lanes=7)
    assert ahead.take(unplanned) == unplanned
  assert compiled[:2] == jobs[:2]
  assert unplanned in compiled


def test_several_devices_compile_as_they_run(tmp_path):
  plan = make_plan(tiny.sweep_config(tmp_path / 'run'))
  jobs = list(ahead_lib.list_jobs(plan, plan.missing([])))
  with contextlib.closing(Ahead(plan, Engine('map', 'lax', 'float32', 2), jobs)) as a:
    assert a.take(jobs[0]) is None
