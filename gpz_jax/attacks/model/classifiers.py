"""How attacks ask classifiers."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.models import calls
from gpz_jax.training.engine import Engine


def classify(
  model: nn.Module,
  variables: Any,
  images: jax.Array,
  engine: Engine,
  key: jax.Array | None = None,
) -> jax.Array:
  """The logits [B, K] of a classifier for images [B, H, W, C] in [0, 1].

  Args:
    model: The classifier.
    variables: Its variables.
    images: The images.
    engine: How it is computed; it must be resolved.
    key: The key of what it draws, if it draws in evaluation; by default the same in
      each call.
  """

  def apply(rngs):
    return engine.apply(model, variables, images, train=False, rngs=rngs)

  return calls.lend_keys(apply, key)


def num_classes(scenario: Scenario) -> int:
  """K, the number of logits of the targets."""
  image = jax.ShapeDtypeStruct((1, *scenario.image_shape), jnp.float32)
  engine = scenario.engine.resolve()

  def all_logits(targets, x):
    return jax.vmap(lambda one: classify(scenario.model, one, x, engine))(targets)

  return jax.eval_shape(all_logits, scenario.targets, image).shape[-1]
