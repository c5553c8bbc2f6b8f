"""The gradient of an identity loss, averaged as an adaptive attacker does."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax.attacks.model import losses, sight
from gpz_jax.attacks.model.adaptive import Adaptive
from gpz_jax.attacks.model.search import Metrics

# (what a target is given [M, H, W, C], key of the view) -> losses [M], logits [M, K]
Identity = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
# images [M, h, w, C] of the generator -> losses [M]
Prior = Callable[[jax.Array], jax.Array]


def pull(
  make: Callable[[Any], jax.Array],
  latents: Any,
  label: jax.Array,
  key: jax.Array,
  *,
  prepare: Callable[[jax.Array], jax.Array],
  identity: Identity,
  weight: float = 1.0,
  prior: Prior | None = None,
  adaptive: Adaptive,
) -> tuple[Any, Metrics]:
  """The gradient of `weight` times the identity loss plus the prior's, for latents.

  Args:
    make: Makes images [M, h, w, C] of latents.
    latents: A pytree of arrays.
    label: [], the class.
    key: The key of the step.
    prepare: Makes what the target is given of the generator's images.
    identity: What the target, and whoever else is asked, makes of images.
    weight: Weight of the identity loss.
    prior: What is lowered for the generator's images as they are; None for nothing.
    adaptive: How the gradient at the image is averaged.

  Returns:
    The gradient of the sum over candidates, as `latents`, and what a history keeps of
    the step: the means of loss and confidence before it, the size of the gradient, and
    `target_gradient`, that of the identity loss at the image alone. Each candidate's
    gradient comes from its own loss only.
  """
  images, pull_back = jax.vjp(make, latents)
  prepared, unprepare = jax.vjp(prepare, images)
  labels = jnp.broadcast_to(label, images.shape[:1])

  def objective(at, key):
    found, logits = identity(at[0], key)
    return found, losses.confidence(logits, labels)

  (found, sure), (slope, _) = adaptive.gradient(objective, (prepared, ()), key)
  of_target = jnp.abs(slope).mean()
  (slope,) = unprepare(weight * slope)
  total = weight * found
  if prior is not None:
    paid, by_image = jax.vjp(prior, images)
    total = total + paid
    slope = slope + by_image(jnp.ones_like(paid))[0]
  (gradient,) = pull_back(slope)
  means = {'loss': total.mean(), 'confidence': sure.mean()}
  return gradient, {**means, **sight.sizes(gradient), 'target_gradient': of_target}
