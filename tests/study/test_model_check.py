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
