"""Where a search begins: the latents of many that the target likes best for a class.

Source: docs/paper.md#plug-and-play-attacks.
"""

import logging
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.attacks.model.sight import Sight
from gpz_jax.training import programs
from gpz_jax.training.loop import OnProgress
from gpz_jax.types import stable_hash

IMAGES_AT_A_TIME = 64
_log = logging.getLogger(__name__)


def select(
  scenario: Scenario,
  sight: Sight,
  prepare: Callable[[jax.Array], jax.Array],
  *,
  name: str,
  count: int,
  per_class: int,
  on_progress: OnProgress = lambda done, total, values: None,
) -> np.ndarray:
  """Draws latents and picks the best for each class of each target.

  All targets are offered the same latents. One latent may serve several classes, but
  serves each class once.

  Args:
    scenario: Who is attacked, and with what.
    sight: How targets look at images.
    prepare: Makes what a target is given of the generator's images.
    name: What pieces of the attack are called in the scenario's store, see
      `chunks.piece_name`.
    count: How many latents are drawn, N.
    per_class: How many are picked, M, at most N.
    on_progress: Receives the images scored and the images in all.

  Returns:
    [L, T, M, *latent_shape], the best first.

  Raises:
    Interrupted: A signal came.
  """
  # Unlike the searches, it is one piece for all targets and classes.
  whom = [lane.lane_id for lane in scenario.lanes], scenario.classes.tolist()
  name = f'{name}-initial-{stable_hash(str(whom)):08x}'
  store = scenario.store
  if store is not None and (kept := store.load(name)) is not None:
    return kept['latents']
  latents = draw(scenario, count)
  size = min(IMAGES_AT_A_TIME, count)
  while True:
    try:
      scores = _score(scenario, sight, prepare, latents, size, on_progress)
      break
    except jax.errors.JaxRuntimeError as error:
      if not programs.is_exhausted(error) or size == 1:
        raise
      size //= 2
      _log.warning('the device is too small; %d images at a time are tried', size)
  # Stable, so that equals stay in the order in which they were drawn.
  best = np.argsort(-scores, axis=1, kind='stable')[:, :per_class]
  found = np.asarray(latents)[np.swapaxes(best, 1, 2)]
  if store is not None:
    store.save(name, {'latents': found})
  return found


def draw(scenario: Scenario, count: int) -> jax.Array:
  """The latents [count, *latent_shape] that the attacker draws for all targets."""
  key = jax.random.fold_in(jax.random.key(scenario.seed), stable_hash('latents'))
  sample = scenario.engine.resolve().traced(
    lambda prior: scenario.generator.sample(prior, key, count)
  )
  return jax.jit(sample)(scenario.prior)


def mean_probabilities(
  sight: Sight, target: Any, images: jax.Array, key: jax.Array
) -> jax.Array:
  """The probabilities [B, K] averaged over images [B, H, W, C] and mirror images."""
  straight = jax.nn.softmax(sight.logits(target, images, key))
  return (straight + jax.nn.softmax(sight.logits(target, images[:, :, ::-1], key))) / 2


def _score(
  scenario: Scenario,
  sight: Sight,
  prepare: Callable[[jax.Array], jax.Array],
  latents: jax.Array,
  size: int,
  on_progress: OnProgress,
) -> np.ndarray:
  """The scores [L, N, T] of all latents for all classes of all targets."""
  engine = scenario.engine.resolve()

  @jax.jit
  @engine.traced
  def score(targets, prior, latents, classes):
    # The images are rendered once for all targets.
    images = prepare(scenario.generator.images(prior, latents))

    def one(target):
      key = jax.random.key(scenario.seed)
      return mean_probabilities(sight, target, images, key)[:, classes]

    return lax.map(one, targets)

  count = len(latents)
  found = []
  for start in range(0, count, size):
    # The last batch is filled up with the last latent.
    rows = np.minimum(np.arange(start, start + size), count - 1)
    scores = score(
      scenario.targets, scenario.prior, latents[rows], jnp.asarray(scenario.classes)
    )
    found.append(np.asarray(scores)[:, : count - start])
    on_progress(min(start + size, count), count, {})
    interruption.check()
  scores = np.concatenate(found, axis=1)
  return np.where(np.isfinite(scores), scores, -np.inf)
