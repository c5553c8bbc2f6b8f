"""Everything the theory says of one target, split by split."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gpz_jax import interruption, partition
from gpz_jax.data import eval_order
from gpz_jax.models import calls
from gpz_jax.theory import entropy, gradients, information, radius
from gpz_jax.theory.quantity import Quantity
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import Dataset, InputError, check_known
from gpz_jax.vocabulary import Convention

Family = Literal['geometry', 'gradients', 'information']
FAMILIES: tuple[Family, ...] = get_args(Family)
BATCH = 64


def check_examples(
  count: int,
  *,
  labels: np.ndarray | None = None,
  families: Sequence[Family] = FAMILIES,
  options: information.Options | None = None,
) -> None:
  """Refuses so few examples that `measure` would fail on them after the training.

  Args:
    count: Number of examples that the theory is measured on.
    labels: [count] integers, the classes of the examples. Without them it is not
      checked that some class has two.
    families: As given to `measure`.
    options: As given to `measure`.

  Raises:
    InputError: There are too few examples, or no class has two of them.
  """
  way_out = 'or leave out --theory (--notheory)'
  least = 1
  if 'information' in families:
    least = information.least_examples(options)
  if count < least:
    raise InputError(
      f'the theory needs at least {least} training images and has {count}; raise'
      f' --theory_limit and --train_limit to {least} or more, {way_out}'
    )
  if 'information' not in families or labels is None:
    return
  chex.assert_shape(labels, (count,), custom_message='labels [count]')
  # The mixture bound fits one half of a class and is evaluated on the other.
  if len(np.unique(labels)) == count:
    raise InputError(
      f'the theory needs two training images of some class, and its {count} are of'
      f' {count} classes; raise --theory_limit and --train_limit, {way_out}'
    )


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
  options: information.Options | None = None,
  engine: Engine = AUTO,
) -> dict[str, list[Quantity]]:
  """The quantities of every family for one target.

  Args:
    model: The target, in evaluation mode.
    variables: Its parameters and batch statistics.
    splits: True cuts of the model, in forward order.
    dataset: Labelled images. The activations of all splits are held at the same time.
    alpha: Smoothing of the target's labels.
    convention: How those labels are smoothed.
    errors: A decoder's squared error per element at each split, where there is one.
    families: `geometry` (radius, entropy, and what the entropy bounds say of cutting
      at a split rather than at the first one), `gradients` (Eq 6 to 8, App. D) and
      `information` (estimates of I(x; z) and h(x|z)).
    options: Noise, projections and networks of the family `information`.
    engine: Chooses the convolutions. The computation is always in float32.

  Returns:
    For each split, its quantities.

  Raises:
    InputError: A family is unknown, or an estimator cannot use the data
      (`check_examples` tells beforehand whether the examples are too few).
    Interrupted: A signal came.
  """
  for family in families:
    check_known('family', family, FAMILIES)
  splits, engine = tuple(splits), engine.resolve()
  found: dict[str, list[Quantity]] = {split: [] for split in splits}
  sent = capture_on_host(model, variables, dataset.image, splits, engine)
  if 'geometry' in families:
    _extend(found, _measure_geometry(sent, dataset.label))
  if 'gradients' in families:
    settings = {'alpha': alpha, 'convention': convention, 'engine': engine}
    _extend(found, _measure_gradients(model, variables, splits, dataset, settings))
  if 'information' in families:
    _extend(found, _measure_information(sent, dataset, errors, options))
  return found


def capture_on_host(
  model: nn.Module,
  variables: Any,
  images: np.ndarray,
  splits: tuple[str, ...],
  engine: Engine = AUTO,
) -> dict[str, np.ndarray]:
  """The activations of all images at several splits, batch by batch.

  Args:
    model: The target, in evaluation mode.
    variables: Its parameters and batch statistics.
    images: [N, H, W, C] uint8.
    splits: Names of modules of the model.
    engine: Chooses the convolutions. The computation is always in float32.

  Returns:
    For each split, its activations [N, ...] float32 on the host.

  Raises:
    InputError: A split is not in the model.
    Interrupted: A signal came.
  """
  chex.assert_rank(images, 4, custom_message='images [N, H, W, C]')
  engine = engine.resolve()
  index, masks = eval_order(len(images), BATCH)
  batches: dict[str, list[np.ndarray]] = {split: [] for split in splits}
  for rows, mask in zip(index, masks, strict=True):
    interruption.check()
    sent = _capture_batch(model, splits, engine, variables, images[rows], rows[0])
    for split in splits:
      batches[split].append(np.asarray(sent[split])[mask == 1])
  return {split: np.concatenate(parts) for split, parts in batches.items()}


def _measure_geometry(
  sent: Mapping[str, np.ndarray], labels: np.ndarray
) -> dict[str, list[Quantity]]:
  """Radius and entropy at each split, and what changes from the first split on."""
  found: dict[str, list[Quantity]] = {}
  first: list[Quantity] = []
  for split, activations in sent.items():
    bounds = entropy.measure(activations, labels)
    first = first or bounds
    compared = entropy.compare(first, bounds)
    found[split] = [*radius.measure(activations, labels), *bounds, *compared]
    interruption.check()
  return found


def _measure_gradients(
  model: nn.Module,
  variables: Any,
  splits: tuple[str, ...],
  dataset: Dataset,
  settings: dict[str, Any],
) -> dict[str, list[Quantity]]:
  """`gradients.measure` at each split: a program of its own for each of them."""
  found: dict[str, list[Quantity]] = {}
  for split in splits:
    found[split] = gradients.measure(
      model, variables, split, dataset.image, dataset.label, **settings
    )
    interruption.check()
  return found


def _measure_information(
  sent: Mapping[str, np.ndarray],
  dataset: Dataset,
  errors: Mapping[str, float] | None,
  options: information.Options | None,
) -> dict[str, list[Quantity]]:
  """The estimates of information at all splits, whose networks train together."""
  estimates = information.measure_lanes(
    dataset.image / np.float32(255),
    list(sent.values()),
    dataset.label,
    errors=None if errors is None else [errors[split] for split in sent],
    options=options,
  )
  return dict(zip(sent, estimates, strict=True))


def _extend(
  found: dict[str, list[Quantity]], more: Mapping[str, Sequence[Quantity]]
) -> None:
  """Appends quantities in place, except those that a split already has.

  Geometry and gradients both measure `radius`. The first one stays, since its interval
  is a bootstrap over examples.
  """
  for split, quantities in more.items():
    names = {quantity.name for quantity in found[split]}
    found[split] += [quantity for quantity in quantities if quantity.name not in names]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _capture_batch(model, splits, engine, variables, images, row):
  @engine.traced
  def run(variables, images):
    key = calls.evaluation_key(row)
    return partition.capture(model, variables, images, splits, key=key)[1]

  return run(variables, images.astype(jnp.float32) / 255)
