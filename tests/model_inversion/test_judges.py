"""At which size the evaluator of a study is trained, and at which it goes on."""

import types

import numpy as np
import pytest

from gpz_jax import checkpoints, data
from gpz_jax.model_inversion import judges
from gpz_jax.model_inversion.config import ModelInversionConfig
from gpz_jax.study.workdir import Workdir


@pytest.fixture
def load(monkeypatch):
  """The shape of the evaluator's task of a study of images of 64x48."""
  monkeypatch.setattr(
    data, 'load', lambda name, image_size, **_: make_task(image_size, image_size)
  )

  def load(workdir, size, width=48, **changes):
    config = ModelInversionConfig(workdir=str(workdir), evaluator_size=size, **changes)
    return judges.load_task(config, make_task(64, width)).image_shape

  return load


def make_task(height, width):
  return types.SimpleNamespace(image_shape=(height, width, 3))


@pytest.mark.parametrize(
  ('size', 'width', 'shape'),
  [
    (None, 48, (64, 48, 3)),
    (64, 48, (64, 64, 3)),
    (48, 48, (48, 48, 3)),
    (64, 64, (64, 64, 3)),
  ],
)
def test_a_size_is_that_of_both_sides(load, tmp_path, size, width, shape):
  assert load(tmp_path, size, width) == shape


@pytest.mark.parametrize(
  ('meta', 'shape'),
  [
    ({}, (64, 48, 3)),  # by a version that compared the height alone
    ({'image_shape': [64, 48, 3]}, (64, 48, 3)),  # which was borrowed since
    ({'image_shape': [64, 64, 3]}, (64, 64, 3)),
  ],
)
def test_a_study_goes_on_at_the_size_that_it_was_judged_at(load, tmp_path, meta, shape):
  checkpoints.save(Workdir(tmp_path / 'old').evaluator, {'x': np.ones(2)}, meta)
  assert load(tmp_path / 'old', 64) == shape
  assert load(tmp_path / 'new', 64, evaluator_from=str(tmp_path / 'old')) == shape
  assert load(tmp_path / 'old', 32) == (32, 32, 3)
