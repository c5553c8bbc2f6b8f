"""How good a target is from what is sent of an activation."""

import types
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition
from gpz_jax.attacks.activation import interception
from gpz_jax.sweep import cut_quality
from gpz_jax.training.engine import Engine
from gpz_jax.types import Lane, Treatment

SHAPE = (16, 16, 3)


def make_session(bits: int) -> tuple[Any, Any]:
  """A sweep of two targets, one of them defended at the first split, and both."""
  model = models.make('cnn', num_classes=3, width=0.0625)
  variables = tiny.random_variables(model, jnp.zeros((1, *SHAPE)), (2,))
  texts = 'bido', 'noise:sigma=0:clip=0.5:at=conv_1'
  plan = types.SimpleNamespace(
    model=model,
    splits=('conv_1', 'conv_2', 'prediction'),
    lanes=[Lane('cnn', 'tiny', Treatment(defence=text), 0) for text in texts],
    task=tiny.task(),
    config=types.SimpleNamespace(payload_bits=bits),
  )
  session = types.SimpleNamespace(
    plan=plan, engine=Engine('map').resolve(), say=lambda text: None
  )
  return session, types.SimpleNamespace(best=types.SimpleNamespace(variables=variables))


@pytest.mark.parametrize('bits', [32, 4])
def test_the_accuracy_is_that_of_the_numbers_that_are_sent(bits):
  session, targets = make_session(bits)
  plan = session.plan
  found = cut_quality.measure(session, targets)['cuts']
  changed = {(1, 'conv_1')}
  if bits < 32:  # the answer is sent as it is
    changed = {(row, split) for row in (0, 1) for split in ('conv_1', 'conv_2')}
  assert found.keys() == changed
  images = jnp.asarray(plan.task.test.image, jnp.float32) / 255
  for row, split in changed:
    one = jax.tree.map(lambda leaf, row=row: leaf[row], targets.best.variables)
    sent = partition.edge(plan.model, one, images, split)
    if (row, split) == (1, 'conv_1'):
      norms = jnp.sqrt((sent**2).sum((1, 2, 3), keepdims=True))
      sent *= jnp.minimum(1, 0.5 / norms)
    sent = interception.quantize(sent, bits)
    logits = partition.cloud(plan.model, one, sent, split, image_shape=SHAPE)
    expected = (np.argmax(logits, axis=1) == plan.task.test.label).mean()
    assert found[row, split]['test'] == pytest.approx(expected)


def test_rows_hold_the_accuracy_of_images_that_nothing_changed_as_well():
  quality = {
    'val': np.array([0.7, 0.8]),
    'test': np.array([0.6, 0.9]),
    'cuts': {(1, 'conv_1'): {'val': 0.4, 'test': 0.5}},
  }
  changed = cut_quality.columns(quality, 1, 'conv_1')
  accuracies = [changed['target_accuracy'], changed['clean_accuracy']]
  assert accuracies == [0.5, 0.9]
  left = cut_quality.columns(quality, 1, 'conv_2')
  assert left['target_accuracy'] == left['clean_accuracy'] == 0.9
