"""The quantities of Eq 6 to 8 along a training: many targets, splits and epochs.

One compiled program per run: variables, alphas and gamma are its arguments.
"""

import functools
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import partition
from gpz_jax.data import eval_order
from gpz_jax.targets import CONVENTIONS, Convention, pixels
from gpz_jax.theory import brackets
from gpz_jax.theory.brackets import Examined
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import InputError, hint

LabelsFrom = Literal['true', 'predicted']
LABELS_FROM: tuple[LabelsFrom, ...] = get_args(LabelsFrom)
EXAMPLE_MEANS = (
  't_corr',
  'cos_theta',
  'bracket_one_hot',
  'bracket_smooth',
  'gradient_norm',
)


class Program(NamedTuple):
  """What a compiled pass depends on: static and hashable.

  Attributes:
    model: the target, in evaluation mode.
    splits: true cuts of it (`partition.check_cuts`).
    convention: of the smoothed labels.
    labels_from: `predicted` takes what a target predicts as an example's label and
      class.
    engine: how lanes are computed; always in float32.
  """

  model: nn.Module
  splits: tuple[str, ...]
  convention: Convention = 'standard'
  labels_from: LabelsFrom = 'true'
  engine: Engine = AUTO


def snapshot(
  model: nn.Module,
  targets: Any,
  splits: Sequence[str],
  images: np.ndarray,
  labels: np.ndarray,
  *,
  alphas: Any,
  gamma: float = 1.0,
  convention: Convention = 'standard',
  labels_from: LabelsFrom = 'true',
  batch_size: int = 64,
  engine: Engine = AUTO,
) -> dict[str, dict[str, np.ndarray]]:
  """What a training trajectory needs of one epoch, for every target and split.

  Args:
    model: the target, in evaluation mode.
    targets: variables [L], such as `TrainState.variables`.
    splits: true cuts of the model (`partition.check_cuts`).
    images: [N, H, W, C] uint8; the activations of all N at all splits are held.
    labels: [N] int.
    alphas: [L], of the labels of Eq 8 and of the gradient; where a negative one ramps
      in, `targets.effective_alpha` at that epoch.
    gamma: size of the step of Eq 6.
    convention: of the smoothed labels.
    labels_from: `predicted` takes what each target predicts as its label and class.
    batch_size: examples at a time.
    engine: how lanes are computed; always in float32.

  Returns:
    {split: {name: [L] float64}}: `radius` and `radius_change_*`, means over the classes
    met; those of EXAMPLE_MEANS, means over examples.

  Raises:
    InputError: a split, convention, label or shape cannot be used.

  Source: Eq 6 to 8. The change of `radius` between two snapshots is the true one; the
  predicted one supposes that activations move freely.
  """
  program = Program(model, tuple(splits), convention, labels_from, engine)
  passes, masks = run(
    program, targets, images, labels, alphas=alphas, gamma=gamma, batch_size=batch_size
  )
  found = {}
  for split in program.splits:
    rows = [
      _summarise(lanes_lib.take(passes[split], lane), masks, gamma)
      for lane in range(lanes_lib.count(passes[split]))
    ]
    found[split] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
  return found


def _summarise(examined: Examined, masks: np.ndarray, gamma: float) -> dict[str, float]:
  terms = brackets.radius_terms(examined, masks, gamma)
  values = brackets.example_values(examined, masks)
  label = examined.label[masks == 1]
  return {
    **{name: brackets.class_average(term, label)[0] for name, term in terms.items()},
    **{name: float(values[name].mean()) for name in EXAMPLE_MEANS},
  }


def run(
  program: Program,
  targets: Any,
  images: np.ndarray,
  labels: np.ndarray,
  *,
  alphas: Any,
  gamma: float,
  batch_size: int,
) -> tuple[dict[str, Examined], np.ndarray]:
  """Passes every target at every split over a subset, see `snapshot`.

  Returns:
    {split: Examined [L, ...]} and the masks [S, B] of its batches, on the host.

  Raises:
    InputError: a split, convention, label or shape cannot be used.
  """
  program = program._replace(engine=program.engine.resolve())
  alphas = jnp.asarray(alphas, jnp.float32)
  _check(program, targets, images, labels, alphas)
  index, masks = eval_order(len(images), batch_size)
  lanes = {'variables': targets, 'alpha': alphas}
  shared = {
    'images': images,
    'labels': labels.astype(np.int32),
    'index': index,
    'masks': masks,
    'gamma': np.float32(gamma),
  }
  passes = jax.device_get(_examine(program, lanes, shared))
  num_classes = passes[program.splits[0]].gradient_mean.shape[-1]
  if not 0 <= labels.min() <= labels.max() < num_classes:
    raise InputError(
      f'labels from {labels.min()} to {labels.max()} are not those of a target with '
      f'{num_classes} classes; map them to 0..{num_classes - 1}'
    )
  return passes, masks


@functools.partial(jax.jit, static_argnums=0)
def _examine(program: Program, lanes: Any, shared: Any) -> dict[str, Examined]:
  model, splits, convention, labels_from, engine = program

  @engine.traced
  def one(lane, shared):
    images, labels = shared['images'], shared['labels'][shared['index']]

    def send(index):
      return capture(model, lane['variables'], pixels(images, index), splits)

    logits, sent = lax.map(send, shared['index'])
    if labels_from == 'predicted':
      labels = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return {
      split: brackets.examine(
        resume(model, lane['variables'], split, images.shape[1:]),
        sent[split],
        labels,
        shared['masks'],
        alpha=lane['alpha'],
        gamma=shared['gamma'],
        num_classes=logits.shape[-1],
        convention=convention,
      )
      for split in splits
    }

  with jax.default_matmul_precision('highest'):  # differences are taken of the results
    return engine.over_lanes(one)(lanes, shared)


def capture(model: nn.Module, variables: Any, images: jax.Array, splits: tuple):
  """`partition.capture`, an unknown split being an InputError."""
  try:
    return partition.capture(model, variables, images, splits)
  except KeyError as error:
    raise InputError(
      f'one of the splits {splits} is not in the model ({error} is missing); see '
      'partition.list_splits'
    ) from error


def resume(model: nn.Module, variables: Any, split: str, image_shape: tuple):
  """The cloud behind `split`, as a function of the activation alone."""
  return functools.partial(
    _cloud, model=model, variables=variables, split=split, image_shape=image_shape
  )


def _cloud(activation, *, model, variables, split, image_shape) -> jax.Array:
  return partition.cloud(model, variables, activation, split, image_shape=image_shape)


def _check(program: Program, targets, images, labels, alphas) -> None:
  if images.ndim != 4 or images.dtype != np.uint8 or labels.shape != images.shape[:1]:
    raise InputError(
      f'images must be uint8 [N, H, W, C] with labels [N], got {images.dtype} '
      f'{images.shape} and {labels.shape}'
    )
  if alphas.shape != (lanes_lib.count(targets),):
    raise InputError(
      f'alphas must be one for each of {lanes_lib.count(targets)} targets, got shape '
      f'{alphas.shape}'
    )
  if not program.splits or partition.PREDICTION in program.splits:
    raise InputError(
      f'splits {program.splits} leave no cloud to differentiate; name one or more '
      'before the logits'
    )
  for name, known in (('convention', CONVENTIONS), ('labels_from', LABELS_FROM)):
    if (value := getattr(program, name)) not in known:
      raise InputError(f"{name} '{value}' is not known{hint(value, known)}")
