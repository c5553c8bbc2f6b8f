"""The quantities of Eq 6 to 8 along a training: many targets, splits and epochs.

One compiled program per run: variables, alphas and gamma are its arguments. It goes
forward twice (centres, then brackets) and back once, however many splits there are.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax.data import eval_order
from gpz_jax.targets import Convention, pixels, smooth_labels
from gpz_jax.theory import brackets, summaries
from gpz_jax.theory.brackets import Classes, Examined, SplitActivations
from gpz_jax.theory.summaries import LabelsFrom
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.types import InputError

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
  """What the compiled pass depends on: static and hashable."""

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
    model: the target, in evaluation mode.
    targets: variables [L], such as `TrainState.variables`.
    splits: true cuts of the model (`partition.check_cuts`).
    images: [N, H, W, C] uint8.
    labels: [N] int.
    alphas: [L], of the labels of Eq 8 and of the gradient; where a negative one ramps
      in, `targets.effective_alpha` at that epoch.
    gamma: size of the step of Eq 6.
    convention: of the smoothed labels.
    labels_from: `predicted` takes what each target predicts as its label and class.
    batch_size: examples at a time.
    engine: how lanes are computed; always in float32.

  Returns:
    {split: {name: [L] float64}} for NAMES: those of CLASS_MEANS are means over the
    classes met, those of EXAMPLE_MEANS over examples; named as in `gradients.measure`
    and `radius.measure`.

  Raises:
    InputError: a split, convention, label or shape cannot be used.

  Source: Eq 6 to 8. The change of `radius` between two snapshots is the true one; the
  predicted one supposes that activations move freely.
  """
  alphas = jnp.asarray(alphas, jnp.float32)
  program = _Program(model, tuple(splits), convention, labels_from, engine.resolve())
  summaries.check(program.splits, images, labels, convention, labels_from)
  if alphas.shape != (num_lanes := lanes_lib.count(targets),):
    raise InputError(
      f'alphas must be one for each of {num_lanes} targets, got shape {alphas.shape}'
    )
  index, masks = eval_order(len(images), batch_size)
  lanes = {'variables': targets, 'alpha': alphas}
  shared = {
    'images': images,
    'labels': labels.astype(np.int32),
    'index': index,
    'masks': masks,
    'gamma': np.float32(gamma),
  }
  examined = jax.device_get(_examine(program, lanes, shared))
  found = {}
  for split in program.splits:
    summaries.check_labels(labels, examined[split].gradient_mean.shape[-1])
    rows = [
      _summarise(lanes_lib.take(examined[split], lane), masks, gamma)
      for lane in range(num_lanes)
    ]
    found[split] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
  return found


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
        brackets.squares(means[split]),
        labels,
        brackets.between_classes(centres[split], labels, shared['masks']),
      )
      for split in program.splits
    }

  with jax.default_matmul_precision('highest'):  # differences are taken of the results
    return program.engine.over_lanes(one)(lanes, shared)


def _find_centres(
  program: _Program, variables: Any, shared: Any
) -> tuple[SplitActivations, jax.Array]:
  """Class centres {split: [K, ...]} and the label [S, B] each example counts by."""

  def run_batch(index):
    images = pixels(shared['images'], index)
    return summaries.capture_known(program.model, variables, images, program.splits)

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
    split: total + brackets.class_sums(values[split], label, mask, len(total))
    for split, total in sums.items()
  }


def _divide(sums: SplitActivations, labels, masks) -> SplitActivations:
  return {
    split: brackets.class_means(total, labels, masks) for split, total in sums.items()
  }


def _perturb(
  model: nn.Module, variables: Any, images: jax.Array, splits: tuple[str, ...]
) -> Callable[[SplitActivations], tuple[jax.Array, SplitActivations]]:
  """The logits as a function of what is added to the activation at each split.

  At zero its derivative by the offset of a split is the cloud's by its activation, for
  splits that are true cuts.
  """

  def forward(offsets: SplitActivations) -> tuple[jax.Array, SplitActivations]:
    sent = {}

    def add(call, args, kwargs, context):
      result = call(*args, **kwargs)
      split = '/'.join(context.module.path)
      if split not in splits or context.method_name != '__call__':
        return result
      sent[split] = result
      return result + offsets[split]

    with nn.intercept_methods(add):
      logits = model.apply(variables, images, train=False)
    return jnp.asarray(logits), sent

  return forward
