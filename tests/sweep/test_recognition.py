"""What a target says of reconstructions, whoever made them."""

import types
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation.protocol import Outcome
from gpz_jax.attacks.activation.scores import evaluate
from gpz_jax.sweep import recognition
from gpz_jax.training.engine import Engine
from gpz_jax.types import Dataset

traced: list[object] = []  # one entry for each time that the target is traced
COUNT, SHAPE = 150, (12, 12, 1)  # two chunks, of which the second is filled up


class Brightness(nn.Module):
  """Class 1 for bright images and class 0 for dark ones, by a threshold."""

  @nn.compact
  def __call__(self, x, train=False):
    del train
    traced.append(x)
    least = self.param('least', nn.initializers.constant(0.5), ())
    bright = x.mean(axis=(1, 2, 3)) - least
    return jnp.stack([-bright, bright], axis=-1)


@pytest.fixture
def test_images():
  rng = np.random.default_rng(0)
  label = rng.integers(0, 2, COUNT)
  image = np.where(label, 200, 50)[:, None, None, None] + rng.integers(
    -20, 20, (COUNT, *SHAPE)
  )
  return Dataset(image.astype(np.uint8), label.astype(np.int32))


def witness(test, reconstructions, targets, **changes):
  scenario: Any = types.SimpleNamespace(
    model=Brightness(),
    targets={'params': {'least': jnp.array([0.5, 0.99])}},
    lanes=[types.SimpleNamespace(target=target) for target in targets],
    test=test,
    engine=Engine('map'),
  )
  outcome = Outcome.of(reconstructions, **changes)
  return recognition.Witness(outcome, scenario)


def test_each_lane_is_judged_by_its_own_target_on_every_image(test_images):
  real = test_images.image.astype(np.float32) / 255
  found = witness(test_images, np.stack([real, real, 0 * real]), (0, 1, 0))
  evaluate(test_images.image, found.rebuild)
  dark = (test_images.label == 0).mean()
  # The first target knows every real image. The second one, whose threshold is 0.99,
  # calls all of them dark, as the first one calls what is black.
  assert found.share() == pytest.approx([1.0, dark, dark])


def test_an_attack_on_fewer_images_is_judged_on_those(test_images):
  real = test_images.image.astype(np.float32)[:9] / 255
  found = witness(test_images, (1 - real)[None], (0,))
  evaluate(test_images.image[:9], found.rebuild)
  assert found.share() == [0.0]  # each is the negative of its image


def test_a_lane_that_diverged_has_no_share(test_images):
  real = test_images.image.astype(np.float32) / 255
  made = np.stack([real, np.full_like(real, np.nan)])
  found = witness(test_images, made, (0, 0))
  evaluate(test_images.image, found.rebuild)
  assert found.share()[0] == 1.0
  assert np.isnan(found.share()[1])


def test_targets_of_one_sweep_share_a_program(test_images):
  real, counts = test_images.image.astype(np.float32) / 255, []
  for targets in ((0,), (0, 1), (1,)):
    found = witness(test_images, np.stack([real] * len(targets)), targets)
    evaluate(test_images.image, found.rebuild)
    counts.append(len(traced))
  assert counts[0] == counts[1] == counts[2]
