"""Everything the theory says of one target, split by split."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import interruption, partition
from gpz_jax.data import eval_order
from gpz_jax.targets import Convention
from gpz_jax.theory import entropy, gradients, information, radius
from gpz_jax.theory.quantity import Quantity
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import Dataset, check_known

Family = Literal['geometry', 'gradients', 'information']
FAMILIES: tuple[Family, ...] = get_args(Family)
BATCH = 64


def measure(
  model: nn.Module,
  variables: Any,
  splits: Sequence[str],
  dataset: Dataset,
  *,
  alpha: float,
  convention: Convention = 'standard',
  errors: Mapping[str, float] | None = None,
  families: Sequence[Family] = FAMILIES,
  engine: Engine = AUTO,
) -> dict[str, list[Quantity]]:
  """The quantities of every family for one target.

  Args:
    model: the target, in evaluation mode.
    variables: its parameters and batch statistics.
    splits: true cuts of the model, in forward order.
    dataset: labelled images; the activations of all splits are held at a time.
    alpha: of the target's labels.
    convention: of its smoothed labels.
    errors: a decoder's squared error per element at each split, where there is one.
    families: `geometry` (radius, entropy, and what the entropy bounds say of cutting
      at a split rather than at the first one), `gradients` (Eq 6 to 8, App. D) and
      `information` (estimates of I(x; z) and h(x|z)).
    engine: whose convolutions are used; always in float32.

  Returns:
    Split -> its quantities.

  Raises:
    InputError: an unknown family, or data that an estimator cannot use.
    Interrupted: a signal came.
  """
  for family in families:
    check_known('family', family, FAMILIES)
  engine = engine.resolve()
  found: dict[str, list[Quantity]] = {split: [] for split in splits}
  sent = capture(model, variables, dataset.image, tuple(splits), engine)
  if 'geometry' in families:
    first: list[Quantity] = []
    for split in splits:
      bounds = entropy.measure(sent[split], dataset.label)
      first = first or bounds
      found[split] += radius.measure(sent[split], dataset.label) + bounds
      found[split] += entropy.compare(first, bounds)
      interruption.check()
  if 'gradients' in families:
    for split in splits:
      names = {quantity.name for quantity in found[split]}
      measured = gradients.measure(
        model,
        variables,
        split,
        dataset.image,
        dataset.label,
        alpha=alpha,
        convention=convention,
        engine=engine,
      )
      found[split] += [quantity for quantity in measured if quantity.name not in names]
      interruption.check()
  if 'information' in families:
    estimates = information.measure_lanes(
      dataset.image / np.float32(255),
      [sent[split] for split in splits],
      dataset.label,
      errors=None if errors is None else [errors[split] for split in splits],
    )
    for split, quantities in zip(splits, estimates, strict=True):
      found[split] += quantities
  return found


def capture(
  model: nn.Module,
  variables: Any,
  images: np.ndarray,
  splits: tuple[str, ...],
  engine: Engine = AUTO,
) -> dict[str, np.ndarray]:
  """Split -> activations [N, ...] float32 on the host, of images [N, H, W, C] uint8."""
  engine = engine.resolve()
  index, masks = eval_order(len(images), BATCH)
  batches: dict[str, list[np.ndarray]] = {split: [] for split in splits}
  for rows, mask in zip(index, masks, strict=True):
    interruption.check()
    sent = _capture_batch(model, splits, engine, variables, images[rows])
    for split in splits:
      batches[split].append(np.asarray(sent[split])[mask == 1])
  return {split: np.concatenate(parts) for split, parts in batches.items()}


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _capture_batch(model, splits, engine, variables, images):
  @engine.traced
  def run(variables, images):
    return partition.capture(model, variables, images, splits)[1]

  return run(variables, images.astype(jnp.float32) / 255)
