"""What the target makes of a generator's images, and the gradient that comes back.

The gradient at the image is computed first, where an adaptive attacker averages it, and
is then pulled back through the generator once. On the way the gradients of the target's
own activations can be watched. They cost nothing: zeros are added to the activations,
and their gradient is that of the activations.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax import splits as splits_lib
from gpz_jax.attacks.model import losses as losses_lib
from gpz_jax.attacks.model.adaptive import Adaptive
from gpz_jax.attacks.model.losses import Loss
from gpz_jax.models import calls
from gpz_jax.training.engine import Engine

# (images [B, H, W, C], key) -> what the target is given [B, H, W, C]
See = Callable[[jax.Array, jax.Array], jax.Array]
_PLAIN = Adaptive()


class Pulled(NamedTuple):
  """What comes back from the target for M candidates."""

  losses: jax.Array  # [M]
  confidences: jax.Array  # [M] probability of the class
  gradient: Any  # of the sum of losses, as the latents [M, ...]
  norms: dict[str, jax.Array]  # split -> [M], the norm of the activation's gradient


@dataclasses.dataclass(frozen=True)
class Sight:
  """How the target looks at images.

  Attributes:
    model: Architecture of the target.
    engine: How it is computed.
    image_shape: (H, W, C) of what it takes.
    watched: The shapes of the activations whose gradients are watched, by split.
  """

  model: nn.Module
  engine: Engine
  image_shape: tuple[int, int, int]
  watched: tuple[tuple[str, tuple[int, ...]], ...] = ()

  @classmethod
  def of(
    cls,
    model: nn.Module,
    engine: Engine,
    image_shape: tuple[int, int, int],
    watch: tuple[str, ...] = (),
  ) -> 'Sight':
    """Makes one that watches the splits which `watch` names, as names or globs.

    Raises:
      InputError: An entry names no split.
    """
    shapes = splits_lib.list_splits(model, image_shape) if watch else {}
    chosen = splits_lib.select_splits(watch, tuple(shapes))
    watched = tuple((split, shapes[split].shape) for split in chosen)
    return cls(model, engine, image_shape, watched)

  def logits(
    self,
    target: Any,
    images: jax.Array,
    key: jax.Array,
    added: dict[str, jax.Array] | None = None,
  ) -> jax.Array:
    """The logits [B, K] of images [B, H, W, C].

    Args:
      target: The variables of the target.
      images: What it is given.
      key: The key of what the target draws, if it does so in evaluation.
      added: What is added to the activations [B, ...], by split.
    """

    def add(call, args, kwargs, context):
      result = call(*args, **kwargs)
      split = '/'.join(context.module.path)
      if added and split in added and context.method_name == '__call__':
        result = result + added[split].astype(result.dtype)
      return result

    def apply(rngs):
      with nn.intercept_methods(add):
        return self.engine.apply(self.model, target, images, train=False, rngs=rngs)

    return calls.lend_keys(apply, key)

  def pull(
    self,
    target: Any,
    render: Callable[[Any], jax.Array],
    latents: Any,
    label: jax.Array,
    key: jax.Array,
    *,
    loss: Loss,
    see: See = lambda images, key: images,
    adaptive: Adaptive = _PLAIN,
  ) -> Pulled:
    """The gradient of each candidate's loss for its latent.

    Args:
      target: The variables of the target.
      render: Makes images [M, H, W, C] of latents, in the shape that the target takes.
      latents: A pytree with M in front.
      label: [], the class.
      key: The key of the step.
      loss: What is to be lowered.
      see: What is done with the images before the target gets them.
      adaptive: How the gradient at the image is averaged.
    """
    images, pull_back = jax.vjp(render, latents)
    labels = jnp.broadcast_to(label, images.shape[:1])
    zeros = {split: jnp.zeros((len(images), *shape)) for split, shape in self.watched}

    def objective(at, key):
      images, added = at
      see_key, draw_key = jax.random.split(key)
      logits = self.logits(target, see(images, see_key), draw_key, added)
      return loss(logits, labels), losses_lib.confidence(logits, labels)

    found, (gradient, slopes) = adaptive.gradient(objective, (images, zeros), key)
    norms = {
      split: jnp.sqrt(jnp.sum(jnp.square(slope), axis=tuple(range(1, slope.ndim))))
      for split, slope in slopes.items()
    }
    return Pulled(*found, pull_back(gradient)[0], norms)


def metrics(pulled: Pulled) -> dict[str, jax.Array]:
  """The numbers [] of a step that a history keeps.

  Returns:
    loss and confidence, means over candidates; gradient_mean and gradient_std, over all
    entries of the absolute gradient for the latents; and grad_norm/SPLIT, the mean norm
    of each activation's gradient that is watched.
  """
  norms = {f'grad_norm/{split}': norm.mean() for split, norm in pulled.norms.items()}
  return {
    'loss': pulled.losses.mean(),
    'confidence': pulled.confidences.mean(),
    **sizes(pulled.gradient),
    **norms,
  }


def sizes(gradient: Any) -> dict[str, jax.Array]:
  """Mean and deviation [] of the absolute entries of a gradient, for a history."""
  leaves = jax.tree.leaves(gradient)
  entries = jnp.concatenate([jnp.abs(jnp.ravel(leaf)) for leaf in leaves])
  return {'gradient_mean': entries.mean(), 'gradient_std': entries.std()}
