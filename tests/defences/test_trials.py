"""Defences of the user's own that return something else than is asked of them."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
import pytest
from defended import IMAGE, make

from gpz_jax.defences import trials
from gpz_jax.defences.protocol import Defence
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Own(Defence):
  """What is wrong with it is a word."""

  traced: ClassVar[tuple[str, ...]] = ('weight',)

  wrong: str = ''
  weight: float = 0.1

  def list_reads(self, model, image_shape):
    return ('conv_2',)

  def penalty(self, step):
    if self.wrong == 'raises':
      raise ValueError('no\nluck')
    each = jnp.square(step.activations['conv_2']).mean(axis=(1, 2, 3))
    return self.weight * (each if self.wrong == 'vector' else each.mean())

  def send(self, activation, key):
    if self.wrong == 'shape':
      return activation[..., :1]
    return activation.astype(jnp.float16) if self.wrong == 'type' else activation


def own(wrong='', weight=0.1):
  return Own(wrong=str(wrong), weight=float(weight))


@pytest.mark.parametrize(
  ('wrong', 'message'),
  [
    ('vector', r'has shape \(2,\); return one number'),
    ('raises', r'cannot be called \(no\)'),
    ('shape', r'makes float32\[2, .*, 1\] of float32.*return the same shape'),
    ('type', r'makes float16.*return the same shape and type'),
  ],
)
def test_what_it_returns_is_tried_before_anything_is_trained(wrong, message):
  with pytest.raises(InputError, match=message) as caught:
    trials.check(f'{Own.__module__}:own:wrong={wrong}', make(), IMAGE, 3)
  assert '\n' not in str(caught.value)


def test_one_that_does_as_is_asked_is_taken():
  trials.check(f'{Own.__module__}:own', make(), IMAGE, 3)
  trials.check('bido', make(), IMAGE, 3)
