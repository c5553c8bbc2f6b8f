"""Too few examples are refused before anything is trained, and only those."""

import functools

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import random_variables

from gpz_jax import theory
from gpz_jax.theory import information
from gpz_jax.types import Dataset, InputError

SHAPE = (3, 3, 3)
QUICK = information.Recipe(steps=1, batch=8, hidden=2, features=2)
WITH_NETWORK = information.Options(
  components=4, mixture_components=1, networks=('infonce',), recipe=QUICK
)


class Target(nn.Module):
  """One split of 8 elements before the logits."""

  @nn.compact
  def __call__(self, x, *, train=False):
    x = nn.tanh(nn.Dense(8, name='stem')(x.reshape(len(x), -1)))
    return nn.Dense(3, name='logits')(x)


MODEL = Target()
VARIABLES = random_variables(MODEL, jnp.zeros((1, *SHAPE)))


def measure(labels, **options):
  """`theory.measure` of random images with these labels."""
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (len(labels), *SHAPE)).astype(np.uint8)
  dataset = Dataset(image, np.asarray(labels, np.int32))
  return theory.measure(MODEL, VARIABLES, ('stem',), dataset, alpha=0.0, **options)


def check(labels, **options):
  """`theory.check_examples` of the same labels."""
  theory.check_examples(len(labels), labels=np.asarray(labels, np.int32), **options)


@pytest.mark.parametrize(
  ('least', 'options'),
  [
    (32, WITH_NETWORK),  # four batches of 8
    pytest.param(
      *(512, information.Options(networks=('infonce',), recipe=information.Recipe(1))),
      marks=pytest.mark.ci,
    ),
    (10, information.Options(components=4, mixture_components=1, networks=())),
    (4, information.Options(components=1, mixture_components=1, networks=())),
  ],
  ids=['batches', 'batches of the default', 'coordinates', 'projections'],
)
def test_measure_and_the_check_refuse_the_same_counts(least, options):
  few, enough = np.arange(least - 1) % 2, np.arange(least) % 2
  settings = {'families': ('information',), 'options': options}
  for run in (measure, check):
    with pytest.raises(InputError, match=rf'\b{least}\b|{least - 1} examples|N >= 4'):
      run(few, **settings)
    run(enough, **settings)


def test_both_refuse_examples_that_are_all_of_different_classes():
  settings = {'families': ('information',), 'options': WITH_NETWORK}
  alone, pair = np.arange(32), np.minimum(np.arange(32), 30)
  for run in (measure, check):
    with pytest.raises(InputError, match='two'):
      run(alone, **settings)
    run(pair, **settings)


@pytest.mark.parametrize('family', ['geometry', 'gradients'])
def test_the_other_families_take_a_single_example(family):
  for run in (measure, check):
    run([0], families=(family,))
    with pytest.raises(ValueError, match='at least 1'):
      run([], families=(family,))


def test_without_labels_only_the_count_is_checked():
  theory.check_examples(512)
  with pytest.raises(InputError):
    theory.check_examples(511)


@pytest.mark.parametrize(
  'refused',
  [
    functools.partial(theory.check_examples, 64),
    functools.partial(theory.check_examples, 512, labels=np.arange(512)),
  ],
)
def test_the_error_is_one_line_with_the_way_out(refused):
  with pytest.raises(InputError) as caught:
    refused()
  message = str(caught.value)
  assert '\n' not in message
  for word in ('--theory_limit', '--train_limit', '512', '--notheory'):
    assert word in message


def test_labels_of_another_length_are_named():
  with pytest.raises(AssertionError, match=r'labels \[count\]'):
    theory.check_examples(512, labels=np.zeros(511, np.int32))


def test_a_split_that_is_not_in_the_model_is_named():
  images = np.zeros((2, *SHAPE), np.uint8)
  with pytest.raises(InputError, match='stim'):
    theory.capture_on_host(MODEL, VARIABLES, images, ('stim',))
  with pytest.raises(AssertionError, match=r'images \[N, H, W, C\]'):
    theory.capture_on_host(MODEL, VARIABLES, images[0], ('stem',))
