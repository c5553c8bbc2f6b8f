"""Models that init takes, and training or evaluation would not."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
import tiny

from gpz_jax import models
from gpz_jax.study import model_check
from gpz_jax.sweep import SweepConfig
from gpz_jax.types import InputError


def check(module):
  config = SweepConfig(model=f'tiny:{module.__name__}')
  model_check.check_model(config, module(num_classes=3), tiny.task())


@pytest.mark.parametrize(
  ('module', 'message'),
  [
    (tiny.Counting, 'can be initialised, but not called in evaluation'),
    (tiny.Late, 'has other batch_stats in training than after initialisation'),
  ],
)
def test_what_training_or_evaluation_would_trip_over_is_one_line(module, message):
  variables = module(num_classes=3).init(jax.random.key(0), jnp.ones((1, 16, 16, 3)))
  assert variables['params']  # init alone does not see it
  with pytest.raises(InputError, match=message) as caught:
    check(module)
  assert '\n' not in str(caught.value)


@pytest.mark.parametrize('module', [tiny.Noisy, tiny.Keeping])
def test_streams_and_constants_of_its_own_are_taken(module):
  check(module)


def test_a_shift_leaves_a_quarter_of_the_image_in_sight():
  task = tiny.task()  # 16x16
  model_check.check_images(SweepConfig(model='tiny:Counting', shift=8), task)
  with pytest.raises(InputError, match=r'--shift=9 .* 16x16 out of sight.* at most 8'):
    model_check.check_images(SweepConfig(model='tiny:Counting', shift=9), task)


class Softmax(nn.Module):
  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    return nn.softmax(nn.Dense(self.num_classes)(x.reshape(len(x), -1)))


def test_a_model_that_ends_in_a_softmax_is_refused():
  with pytest.raises(InputError, match=r'returns probabilities.*return the logits'):
    check(Softmax)


def test_a_model_with_dropout_and_batch_statistics_is_taken():
  config = SweepConfig(model='vgg11', image_size=32)
  model_check.check_model(
    config, models.make('vgg11', num_classes=3, width=0.0625), tiny.task(size=32)
  )


class OverBatch(nn.Module):
  """A norm over the batch without running averages."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Conv(4, (3, 3))(x)
    x = (x - x.mean((0, 1, 2), keepdims=True)) / (x.std((0, 1, 2), keepdims=True) + 0.1)
    return nn.Dense(self.num_classes)(nn.relu(x).mean((1, 2)))


class OverImage(nn.Module):
  """The same norm, of each image by itself."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Conv(4, (3, 3))(x)
    x = (x - x.mean((1, 2), keepdims=True)) / (x.std((1, 2), keepdims=True) + 0.1)
    return nn.Dense(self.num_classes)(nn.relu(x).mean((1, 2)))


class Mixed(nn.Module):
  """Ends in the mean over the batch, which images that are alike would not show."""

  num_classes: int

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.Dense(self.num_classes)(x.reshape(len(x), -1))
    return x - 0.1 * x.mean(0, keepdims=True)


@pytest.mark.parametrize('module', [OverBatch, Mixed])
def test_a_model_whose_logits_depend_on_the_other_images_is_refused(module):
  with pytest.raises(InputError, match='other logits in evaluation where another'):
    check(module)
  check(OverImage)
