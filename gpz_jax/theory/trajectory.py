"""The quantities of Eq 6 to 8 along a training: many targets, splits and epochs.

Each run compiles one program, with variables, alphas and gamma as its arguments. The
program goes forward twice (centres, then brackets) and back once, however many splits
there are.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import partition
from gpz_jax.data import eval_order
from gpz_jax.label_smoothing import smooth_labels
from gpz_jax.models import calls
from gpz_jax.theory import brackets, summaries
from gpz_jax.theory.brackets import Classes, Examined, SplitActivations
from gpz_jax.theory.centres import between_classes, class_means, class_sums, squares
from gpz_jax.theory.summaries import LabelsFrom
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.step import pixels
from gpz_jax.types import InputError
from gpz_jax.vocabulary import Convention

EXAMPLE_MEANS = (
  't_corr',
  'cos_theta',
  'bracket_one_hot',
  'bracket_smooth',
  'gradient_norm',
)
CLASS_MEANS = ('radius', 'radius_change_first', 'radius_change_second')
NAMES = (*CLASS_MEANS, 'radius_share', *EXAMPLE_MEANS)


class _Program(NamedTuple):
  """What the compiled pass depends on, all of it hashable."""

  model: nn.Module
  splits: tuple[str, ...]
  convention: Convention
  labels_from: LabelsFrom
  engine: Engine


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
    model: The target, in evaluation mode.
    targets: Variables of all lanes, leaves [L, ...], such as `TrainState.variables`.
    splits: True cuts of the model (`partition.check_cuts`).
    images: [N, H, W, C] uint8.
    labels: [N] int.
    alphas: [L], the smoothing in Eq 8 and in the gradient. Where a negative alpha ramps
      in, give `label_smoothing.effective_alpha` at that epoch.
    gamma: Size of the step of Eq 6.
    convention: How labels are smoothed.
    labels_from: `predicted` takes what each target predicts as label and class.
    batch_size: Number of examples in a batch.
    engine: Chooses how lanes are computed. The computation is always in float32.

  Returns:
    {split: {name: [L] float64}} for NAMES. Those of CLASS_MEANS are means over the
    classes met, those of EXAMPLE_MEANS over examples. `gradients.measure` and
    `radius.measure` use the same names.

  Raises:
    InputError: A split, convention, label or shape cannot be used.

  Source: Eq 6 to 8 of the paper. The change of `radius` between two snapshots is the
  true one. The predicted change supposes that activations move freely.
  """
  program = _Program(model, tuple(splits), convention, labels_from, engine.resolve())
  summaries.check(program.splits, images, labels, convention, labels_from)
  lanes = {'variables': targets, 'alpha': _check_alphas(alphas, targets)}
  index, masks = eval_order(len(images), batch_size)
  shared = {
    'images': images,
    'labels': labels.astype(np.int32),
    'index': index,
    'masks': masks,
    'gamma': np.float32(gamma),
  }
  examined = jax.device_get(_examine(program, lanes, shared))
  for split in program.splits:
    summaries.check_labels(labels, examined[split].gradient_mean.shape[-1])
  return {
    split: _summarise_lanes(examined[split], masks, gamma) for split in program.splits
  }


def _check_alphas(alphas: Any, targets: Any) -> jax.Array:
  alphas = jnp.asarray(alphas, jnp.float32)
  num_lanes = lanes_lib.count(targets)
  if alphas.shape != (num_lanes,):
    raise InputError(
      f'alphas must be one for each of {num_lanes} targets, got shape {alphas.shape}'
    )
  return alphas


def _summarise_lanes(
  examined: Examined, masks: np.ndarray, gamma: float
) -> dict[str, np.ndarray]:
  """`_summarise` of every lane of a pass [L, ...]: {name: [L]}."""
  rows = [
    _summarise(lanes_lib.take(examined, lane), masks, gamma)
    for lane in range(len(examined.between))
  ]
  return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _summarise(examined: Examined, masks: np.ndarray, gamma: float) -> dict[str, float]:
  values = summaries.example_values(examined, masks)
  terms = summaries.radius_terms(examined, masks, gamma)
  label = examined.label[masks == 1]
  return {
    **{name: summaries.class_average(terms[name], label)[0] for name in CLASS_MEANS},
    'radius_share': summaries.radius_share(terms['radius'], label, examined.between),
    **{name: float(values[name].mean()) for name in EXAMPLE_MEANS},
  }


@functools.partial(jax.jit, static_argnums=0)
def _examine(program: _Program, lanes: Any, shared: Any) -> dict[str, Examined]:
  """{split: Examined [L, ...]}."""

  @program.engine.traced
  def one(lane, shared):
    centres, labels = _find_centres(program, lane['variables'], shared)
    num_classes = len(centres[program.splits[0]])

    def body(sums, batch):
      index, label, mask = batch
      soft = smooth_labels(label, lane['alpha'], num_classes, program.convention)
      images = pixels(shared['images'], index)
      found, gradients = brackets.examine_splits(
        _perturb(program.model, lane['variables'], images, program.splits),
        Classes(label, soft),
        centres,
        shared['gamma'],
      )
      return _add(sums, gradients, label, mask), found

    zero = jax.tree.map(jnp.zeros_like, centres)
    batches = (shared['index'], labels, shared['masks'])
    sums, found = lax.scan(body, zero, batches)
    means = _divide(sums, labels, shared['masks'])
    return {
      split: Examined(
        found[split],
        squares(means[split]),
        labels,
        between_classes(centres[split], labels, shared['masks']),
      )
      for split in program.splits
    }

  with jax.default_matmul_precision('highest'):  # differences are taken of the results
    return program.engine.over_lanes(one)(lanes, shared)


def _find_centres(
  program: _Program, variables: Any, shared: Any
) -> tuple[SplitActivations, jax.Array]:
  """Class centres {split: [K, ...]}, and the class [S, B] each example counts in."""

  def run_batch(index):
    images = pixels(shared['images'], index)
    return partition.capture(program.model, variables, images, program.splits)

  def add(sums, batch):
    index, label, mask = batch
    logits, sent = run_batch(index)
    if program.labels_from == 'predicted':
      label = jnp.argmax(logits, axis=-1).astype(jnp.int32)
    return _add(sums, sent, label, mask), label

  batches = (shared['index'], shared['labels'][shared['index']], shared['masks'])
  logits, sent = jax.eval_shape(run_batch, shared['index'][0])
  zero = {
    split: jnp.zeros((logits.shape[1], *leaf.shape[1:])) for split, leaf in sent.items()
  }
  sums, labels = lax.scan(add, zero, batches)
  return _divide(sums, labels, shared['masks']), labels


def _add(
  sums: SplitActivations, values: SplitActivations, label, mask
) -> SplitActivations:
  return {
    split: total + class_sums(values[split], label, mask, len(total))
    for split, total in sums.items()
  }


def _divide(sums: SplitActivations, labels, masks) -> SplitActivations:
  return {split: class_means(total, labels, masks) for split, total in sums.items()}


def _perturb(
  model: nn.Module, variables: Any, images: jax.Array, splits: tuple[str, ...]
) -> Callable[[SplitActivations], tuple[jax.Array, SplitActivations]]:
  """The logits as a function of what is added to the activation at each split.

  One backward pass through it gives the gradients at all splits. At zero the
  derivative by an offset is the cloud's derivative by the activation, because the
  splits are true cuts.
  """

  def forward(offsets: SplitActivations) -> tuple[jax.Array, SplitActivations]:
    def add(call, args, kwargs, context):
      result = call(*args, **kwargs)
      split = '/'.join(context.module.path)
      if split not in splits or context.method_name != '__call__':
        return result
      sent[split] = result
      return result + offsets[split]

    def apply(rngs):
      with nn.intercept_methods(add):
        return jnp.asarray(model.apply(variables, images, train=False, rngs=rngs))

    sent = {}
    return calls.lend_keys(apply), sent  # a second call writes over what the first sent

  return forward
