import dataclasses
import types

import jax
import numpy as np
import pytest
import tiny

from gpz_jax import evaluators
from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.evaluators import kes, making
from gpz_jax.evaluators.making import judging_engine
from gpz_jax.training.recipe import SHORT
from gpz_jax.types import Dataset, InputError

RECIPE = dataclasses.replace(SHORT, epochs=3, batch_size=16, learning_rate=0.02)
LONGER = dataclasses.replace(RECIPE, epochs=6)
PRESET = evaluators.Preset('cnn', {'width': 1 / 16}, LONGER)


@pytest.fixture(scope='module')
def judge():
  return evaluators.train(tiny.task(16, train=96), PRESET)


def test_a_trained_evaluator_knows_its_own_accuracy(judge):
  test = tiny.task(16, train=96).test
  assert judge.accuracy == judge.measure_accuracy(test)
  assert judge.accuracy > 0.8  # a third is chance
  assert judge.image_shape == (16, 16, 3)
  assert judge.features(test.image).shape == (40, 15)  # 5 for each class


def test_an_evaluator_judges_in_float32_whatever_the_study_computes_in(judge):
  engine = dataclasses.replace(judge.engine, precision='bfloat16')
  assert judging_engine(engine).precision == 'float32'
  assert judge.engine.precision == 'float32'


def test_images_of_the_class_itself_are_given_to_it_and_shuffled_ones_are_not(judge):
  fresh = tiny.dataset(7, 60, 16)  # classes 0, 1, 2, 0, ...
  images = fresh.image.reshape(20, 3, 16, 16, 3).swapaxes(0, 1)[None]
  private = tiny.dataset(0, 30, 16)

  def att_acc(classes):
    found = Outcome(images, np.zeros((1, 3, 20)), 20)
    scores = evaluators.score(found, judge, private, np.array(classes))
    return scores.by_class['att_acc1'].mean()

  assert att_acc([0, 1, 2]) > 0.8
  assert att_acc([1, 2, 0]) < 0.2  # no image is of the class that it is said to be
  labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], 20))
  guessed = judge.logits(fresh.image).argmax(axis=1)
  assert (guessed == labels).mean() == pytest.approx(1 / 3, abs=0.2)


def test_an_evaluator_is_imported_with_its_accuracy(judge):
  flat = {}
  for collection, tree in judge.variables.items():
    _flatten(collection, tree, flat)
  test = tiny.task(16, train=96).test
  found = evaluators.from_weights('cnn', flat, test, num_classes=3, width=1 / 16)
  assert found.accuracy == judge.accuracy
  np.testing.assert_allclose(
    found.logits(test.image), judge.logits(test.image), rtol=1e-5, atol=1e-5
  )
  with pytest.raises(InputError, match="weights do not fit 'cnn'"):
    evaluators.from_weights('cnn', flat, test, num_classes=4, width=1 / 16)


def test_an_evaluator_that_is_a_target_is_refused(judge):
  params, kernel = judge.variables['params'], np.ones((3, 3))
  same = {'params': {'renamed': params}, 'batch_stats': {'mean': kernel}}
  other = {'params': jax.tree.map(lambda leaf: leaf + 1, params)}
  making.check_apart(judge, [other])
  with pytest.raises(InputError, match="'cnn' has the weights of a target"):
    making.check_apart(judge, [other, same])


def _flatten(path, tree, flat):
  for name, value in tree.items():
    if hasattr(value, 'items'):
      _flatten(f'{path}/{name}', value, flat)
    else:
      flat[f'{path}/{name}'] = np.asarray(value)


def test_images_of_another_size_than_the_presets_are_refused_before_training():
  with pytest.raises(InputError, match='299 pixels, got 16x16; load the data with'):
    evaluators.train(tiny.task(16), evaluators.PAPER)
  with pytest.raises(InputError, match='at least 32x32 pixels, got 16x16'):
    evaluators.train(tiny.task(16), evaluators.SMALL)
  assert making.PAPER.recipe.milestones == (0.8,)
  task = tiny.task(16)
  narrow = dataclasses.replace(task.test, image=task.test.image[:, :, :12])
  with pytest.raises(InputError, match='16 pixels, got 16x12; load the data with'):
    evaluators.train(
      dataclasses.replace(task, test=narrow), dataclasses.replace(PRESET, side=16)
    )


def _attack(dataset: Dataset, count: int) -> Outcome:
  """An attack on one target that found `count` real images of each class."""
  images = [dataset.image[dataset.label == label][:count] for label in range(3)]
  return Outcome(np.stack(images)[None], np.zeros((1, 3, count)), count)


@pytest.mark.ci
def test_a_student_learns_from_good_reconstructions_and_not_from_noise():
  test = tiny.dataset(2, 60, 16)
  options = {'student': 'cnn', 'options': {'width': 1 / 16}, 'recipe': LONGER}
  good = _attack(tiny.dataset(1, 96, 16), 30)
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 256, good.images.shape).astype(np.uint8)
  both = Outcome(np.concatenate([good.images, noise]), np.zeros((2, 3, 30)), 30)
  found = evaluators.measure_kes(both, np.arange(3), test, **options)
  assert found.accuracy.shape == (2,)
  assert found.accuracy[0] > 0.8
  assert found.accuracy[1] < 0.7
  assert found.chance < 0.5


def test_a_student_that_diverged_has_no_accuracy(monkeypatch):
  broken = types.SimpleNamespace(is_finite=np.array([False]))
  monkeypatch.setattr(kes.targets, 'train', lambda *_, **__: (broken, None))
  scores = {'accuracy': np.array([0.9])}
  monkeypatch.setattr(kes.targets, 'evaluate', lambda *_, **__: scores)
  outcome, test = _attack(tiny.dataset(1, 96, 16), 30), tiny.dataset(2, 60, 16)
  options = {'student': 'cnn', 'options': {'width': 1 / 16}}
  found = evaluators.measure_kes(outcome, np.arange(3), test, **options)
  assert np.isnan(found.accuracy).all()
  assert found.chance > 0.3


def test_a_student_is_tested_on_the_attacked_classes_under_their_own_places():
  test = tiny.dataset(2, 12, 16)
  found = evaluators.kes._relabel(test, np.array([2, 0]))
  # by hand: class 2 is the first that was attacked, and class 0 the second
  assert found.label.tolist() == [1, 0] * 4
  np.testing.assert_array_equal(found.image[0], test.image[0])


def test_what_a_student_cannot_learn_from_is_refused():
  test = tiny.dataset(2, 12, 16)
  one = _attack(tiny.dataset(1, 96, 16), 1)
  with pytest.raises(InputError, match='two images of each, got 3 and 1'):
    evaluators.measure_kes(one, np.arange(3), test)
  two = _attack(tiny.dataset(1, 96, 16), 2)
  with pytest.raises(InputError, match='no test image is of an attacked class'):
    evaluators.measure_kes(two, np.arange(3) + 5, test)
  grey = two._replace(images=two.images[..., :1])
  with pytest.raises(InputError, match='of 1 channels and would be tested on 3'):
    evaluators.measure_kes(grey, np.arange(3), tiny.dataset(2, 12, 32))


def test_a_student_learns_at_the_size_it_is_tested_at(monkeypatch):
  seen = []

  def train(model, task, *_, **__):
    seen.append(task)
    return types.SimpleNamespace(is_finite=np.array([True])), None

  monkeypatch.setattr(kes.targets, 'train', train)
  scores = {'accuracy': np.array([0.9])}
  monkeypatch.setattr(kes.targets, 'evaluate', lambda *_, **__: scores)
  images = np.repeat([10, 200, 90], 10).astype(np.uint8).reshape(1, 3, 10, 1, 1, 1)
  outcome = Outcome(np.tile(images, (48, 40, 3)), np.zeros((1, 3, 10)), 10)
  test = tiny.dataset(2, 12, 32)
  evaluators.measure_kes(outcome, np.arange(3), test)
  (task,) = seen
  assert task.train.image.shape == (27, 32, 32, 3)
  assert task.train.image.dtype == np.uint8
  # an image of one colour keeps it
  wanted = np.array([10, 200, 90], np.uint8)[task.train.label]
  np.testing.assert_array_equal(task.train.image[:, 5, 5, 0], wanted)
