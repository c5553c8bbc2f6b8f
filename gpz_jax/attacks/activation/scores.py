"""How close reconstructions are to their images, for many lanes, chunk by chunk."""

from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import metrics
from gpz_jax.attacks.activation.interception import chunks
from gpz_jax.training import compiling
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.step import check_bytes
from gpz_jax.types import InputError, Task

ROUNDING = 1e-3  # how far outside [0, 1] a pixel may be


def evaluate(
  images: np.ndarray,
  reconstruct: Callable[[np.ndarray], jax.Array | np.ndarray],
  engine: Engine = AUTO,
) -> dict[str, np.ndarray]:
  """The scores of each lane on a subset, in batches of 32.

  Args:
    images: The images to be rebuilt, [N, H, W, C] uint8.
    reconstruct: Function from rows [n] of the subset to their reconstructions
      [L, n, H, W, C], float32 in [0, 1].
    engine: How lanes are computed.

  Returns:
    mse, psnr, ssim, cosine, mse_paper and psnr_paper, each [L].

  Raises:
    AssertionError: An array does not have the shape that is said above.
    InputError: The images are no uint8, or a pixel that was made is outside [0, 1].
    Interrupted: A signal came.
  """
  chex.assert_rank(images, 4, custom_message='images [N, H, W, C]')
  check_bytes(images)
  engine, means = engine.resolve(), None
  for rows, mask in chunks(len(images)):
    made = reconstruct(rows)
    expected = (None, len(rows), *images.shape[1:])
    message = (
      'reconstruct(rows) must give [L, n, H, W, C], the images being [N, H, W, C]'
    )
    chex.assert_shape(made, expected, custom_message=message)
    check_range(*_find_range(made))
    found = jax.device_get(_evaluate_chunk(engine, made, images[rows], mask))
    means = found if means is None else {k: m.merge(found[k]) for k, m in means.items()}
  assert means is not None, 'a subset has at least one example'
  assert (means['mse'].count == len(images)).all(), (
    'examples seen != size of the subset'
  )
  values = {name: mean.compute() for name, mean in means.items()}
  return values | {'mse_paper': metrics.paper_mse(values['mse'], images.shape[-1])}


def check_range(low: Any, high: Any) -> None:
  """Refuses reconstructions whose finite pixels reach from `low` to `high`.

  Raises:
    InputError: They are not in [0, 1].
  """
  if low < -ROUNDING or high > 1 + ROUNDING:
    raise InputError(
      f'reconstructions have pixels from {low:g} to {high:g}; give them in [0, 1]'
    )


@compiling.brief_jit()
def _find_range(made: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The least and the greatest finite pixel, which are 0 and 1 at most."""
  known = jnp.isfinite(made)
  return made.min(initial=0, where=known), made.max(initial=0, where=known)


def make_ladder(task: Task) -> dict[str, dict[str, float]]:
  """What simple guesses score on the test subset of a task, see `metrics.ladder`."""
  is_shared = task.aux_name == task.name  # else the labels mean something else
  return metrics.ladder(task.aux, task.test, shared_labels=is_shared)


@compiling.brief_jit(static_argnums=0)
def _evaluate_chunk(engine, reconstructions, images, mask):
  """The sums and counts [L] over the examples of one chunk."""

  def in_batches(array):
    return array.reshape(-1, metrics.PAPER_BATCH, *array.shape[1:])

  def one(reconstruction, images, mask):
    def batch(arguments):
      images, reconstruction, mask = arguments
      image = images.astype(jnp.float32) / 255
      return metrics.evaluate_batch(image, reconstruction, mask)

    batches = tuple(map(in_batches, (images, reconstruction, mask)))
    return jax.tree.map(lambda sums: sums.sum(axis=0), lax.map(batch, batches))

  return engine.over_lanes(one)(reconstructions, images, mask)
