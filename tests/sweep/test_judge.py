"""Where the judge of a sweep comes from, and what is refused."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tiny

from gpz_jax import checkpoints, models
from gpz_jax.evaluators import Evaluator
from gpz_jax.study import pictures
from gpz_jax.study.workdir import Workdir
from gpz_jax.sweep import judge
from gpz_jax.types import InputError


@pytest.fixture(scope='module')
def study(tmp_path_factory):
  """A study of model inversion with an evaluator, and images that it knows.

  The labels are what the evaluator says, so that nothing need be trained.
  """
  folder = tmp_path_factory.mktemp('study')
  task = tiny.task()
  model = models.make('cnn', num_classes=3, width=0.0625)
  variables = tiny.random_variables(model, task.test.image[:1].astype(np.float32))
  says = Evaluator('cnn', model, variables, task.image_shape).logits(task.test.image)
  variables['params']['logits']['bias'] -= says.mean(axis=0)  # no class is given to all
  label = (says - says.mean(axis=0)).argmax(axis=1).astype(np.int32)
  test = dataclasses.replace(task.test, label=label)
  config = {'evaluator': 'cnn', 'evaluator_options': ['width=0.0625']}
  Workdir(folder).config.write_text(json.dumps(config))
  checkpoints.save(Workdir(folder).evaluator, variables, {'accuracy': 0.5})
  return folder, dataclasses.replace(task, test=test)


def test_the_evaluator_of_a_study_is_measured_on_these_images(study, tmp_path):
  folder, task = study
  assert judge.load(tiny.sweep_config(tmp_path), task) is None
  found = judge.load(tiny.sweep_config(tmp_path, judge=str(folder)), task)
  assert found is not None
  assert (found.name, found.accuracy) == ('cnn', 1.0)


@pytest.mark.parametrize(
  ('meta', 'config', 'shown', 'sides'),
  [
    ({'image_shape': [24, 20, 3]}, {'evaluator_size': 16}, None, (24, 20)),
    ({}, {'evaluator_size': 24}, None, (24, 24)),
    ({}, {'image_size': 24}, None, (24, 24)),
    ({}, {'image_size': '24x20'}, None, (24, 20)),
    ({}, {}, (24, 20), (24, 20)),
    ({}, {'evaluator_size': 40}, (24, 20), (40, 40)),
    # versions that note no shape compared the height alone
    ({}, {'evaluator_size': 24}, (24, 20), (24, 20)),
    ({}, {'evaluator_size': 24, 'image_size': '24x20'}, None, (24, 20)),
    ({}, {}, None, (16, 16)),
  ],
)
def test_a_judge_sees_images_at_the_size_that_it_was_trained_on(
  study, tmp_path, monkeypatch, meta, config, shown, sides
):
  folder, task = study
  theirs = Workdir(shutil.copytree(folder, tmp_path / 'study'))
  before = json.loads(theirs.config.read_text())
  theirs.config.write_text(json.dumps(before | config))
  model = models.make('cnn', num_classes=3, width=0.0625)
  variables = tiny.random_variables(model, np.zeros((1, *sides, 3), np.float32))
  checkpoints.save(theirs.evaluator, variables, {'accuracy': 0.5, **meta})
  if shown is not None:
    theirs.samples.mkdir()
    pictures.write(theirs.privates, np.zeros((2, 1, *shown, 3), np.uint8))
  monkeypatch.setattr(judge, 'is_guessing', lambda accuracy, chance: False)
  found = judge.load(tiny.sweep_config(tmp_path, judge=str(theirs)), task)
  assert found is not None
  assert found.image_shape == (*sides, 3)


def test_a_judge_of_other_classes_is_refused(study, tmp_path):
  folder, task = study
  config = tiny.sweep_config(tmp_path, judge=str(folder))
  moved = dataclasses.replace(task.test, label=(task.test.label + 1) % 3)
  with pytest.raises(InputError, match=r'0\.0% of the test images rightly, which is'):
    judge.load(config, dataclasses.replace(task, test=moved))
  with pytest.raises(InputError, match='is damaged, or not for images of 16x16x3 in 7'):
    judge.load(config, dataclasses.replace(task, num_classes=7))


def test_what_is_no_judge_is_refused(tmp_path):
  task = tiny.task()
  with pytest.raises(InputError, match='holds no evaluator; give the folder of a'):
    judge.load(tiny.sweep_config(tmp_path, judge=str(tmp_path)), task)
  with pytest.raises(InputError, match='say by --judge_model of which model'):
    judge.load(tiny.sweep_config(tmp_path, judge='net.safetensors'), task)
  with pytest.raises(InputError, match=r"'net\.safetensors'"):
    judge.load(
      tiny.sweep_config(tmp_path, judge='net.safetensors', judge_model='cnn'), task
    )
  with pytest.raises(InputError, match="judge_model 'nnc' is not known"):
    tiny.sweep_config(tmp_path, judge='net.safetensors', judge_model='nnc')
