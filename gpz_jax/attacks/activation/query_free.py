"""The query-free attack: a shadow edge for an attacker who knows only the cloud.

A fresh edge is trained in front of the target's frozen cloud until both together
classify labelled auxiliary data. `optimisation.reconstruct` then searches through this
shadow edge for the images behind the target's own activations.

Source: He, Zhang, Lee, Model inversion attacks against collaborative inference,
ACSAC 2019.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from gpz_jax import partition, splits
from gpz_jax.attacks.activation.cohorts import AttackLane
from gpz_jax.attacks.activation.optimisation import by_split
from gpz_jax.classification import make_evaluation
from gpz_jax.means import Mean
from gpz_jax.models import calls, nnx_models, skip_lanes
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress, Trainer
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History, Snapshots
from gpz_jax.training.state import Best
from gpz_jax.training.step import Batch, LaneArrays, Shared, StepInfo, pixels
from gpz_jax.types import Dataset, InputError


class Shadows(NamedTuple):
  """Shadow edges, stacked over lanes. Variables behind the split are not trained."""

  best: Best  # [L] the variables of the chosen epoch
  is_finite: jax.Array  # [L] bool, False where a step was not finite


def train(
  model: nn.Module,
  targets: Any,
  lanes: Sequence[AttackLane],
  train: Dataset,
  held_out: Dataset,
  recipe: Recipe,
  *,
  engine: Engine = AUTO,
  order_seed: int = 0,
  on_progress: OnProgress = lambda done, total, values: None,
  make_snapshots: Callable[[str], Snapshots | None] = lambda split: None,
) -> tuple[Shadows, History]:
  """Trains a fresh edge in front of each target's frozen cloud to classify aux data.

  Args:
    model: The target's architecture, which the shadow shares.
    targets: The variables [L] of each lane's target; only what lies behind the split is
      read.
    lanes: The L lanes.
    train: The attacker's images, labelled with the target's classes.
    held_out: Further images with labels, for the plateau and the choice of the epoch.
    recipe: How to train.
    engine: How lanes are computed; shadows always train in float32.
    order_seed: The seed of the order of examples, which all lanes share.
    on_progress: Called after each segment, see `Trainer.fit`. Each split counts its
      steps from the start.
    make_snapshots: Gives the place where the training at a split keeps its snapshots.

  Returns:
    The shadows [L] at their epoch of lowest error, and the history of loss, nll and
    error.

  Raises:
    AssertionError: The targets are not of L lanes.
    InputError: A label is none of the target's classes.
  """
  engine = engine.resolve()
  for leaf in jax.tree.leaves(targets):
    chex.assert_shape(leaf, (len(lanes), ...), custom_message='targets [L, ...]')
  _check_labels(model, targets, train, held_out)
  shared = _put_on_device(train=train, held_out=held_out)
  shadows, histories = [], []
  rows_of = by_split(lanes)
  for split, rows in rows_of.items():
    objective = _make_objective(model, split, train, held_out, engine)
    keys = jnp.stack([lanes[row].key() for row in rows])
    states, history = Trainer(objective, recipe, engine).fit(
      {'key': keys, 'target': lanes_lib.take(targets, rows)},
      shared,
      num_examples=len(train),
      order_seed=order_seed,
      on_progress=on_progress,
      snapshots=make_snapshots(split),
    )
    shadows.append(Shadows(states.best, states.train.is_finite))
    histories.append(history)
  return _join_splits(shadows, histories, list(rows_of.values()))


def _put_on_device(**subsets: Dataset) -> dict[str, tuple[jax.Array, jax.Array]]:
  """The images and labels of each subset, which all lanes share."""
  arrays = {name: (subset.image, subset.label) for name, subset in subsets.items()}
  return jax.device_put(arrays)


def _make_objective(
  model: nn.Module, split: str, train: Dataset, held_out: Dataset, engine: Engine
) -> Objective:
  """What the shadow edges of one split minimise: the cross-entropy of the labels."""
  return Objective(
    model=model,
    sample_shape=train.image.shape[1:],
    loss=_make_loss(model, split, train.image.shape[1:], engine),
    evaluation=make_evaluation(_classify(model, split, engine), len(held_out)),
    plateau_on='nll',
    select_on='error',
  )


def _join_splits(
  shadows: Sequence[Shadows], histories: Sequence[History], rows: Sequence[np.ndarray]
) -> tuple[Shadows, History]:
  """Joins what was trained split by split, in the order of the lanes.

  Args:
    shadows: The shadow edges of each split.
    histories: The history of each split.
    rows: The lanes of each split, by their index.
  """
  back = np.argsort(np.concatenate(rows))
  joined = jax.tree.map(lambda *parts: jnp.concatenate(parts)[back], *shadows)
  return joined, {
    name: np.concatenate([history[name] for history in histories], axis=1)[:, back]
    for name in histories[0]
  }


def _check_labels(model, targets, *datasets: Dataset) -> None:
  """Refuses labels that are none of the target's classes.

  The number of classes is that of the logits, because the model need not name it.
  """
  image = jax.ShapeDtypeStruct((1, *datasets[0].image.shape[1:]), jnp.float32)
  target = jax.eval_shape(lambda tree: lanes_lib.take(tree, 0), targets)
  logits = jax.eval_shape(
    lambda v, x: partition.capture(model, v, x, ())[0], target, image
  )
  highest = max(int(dataset.label.max()) for dataset in datasets)
  if highest >= logits.shape[-1]:
    raise InputError(
      f'aux label {highest} is none of the {logits.shape[-1]} classes of the target;'
      ' a query-free attack needs aux data labelled like the training data'
    )


def _shadow_edge(model, variables, images, split: str, key, read: frozenset[str]):
  """The activation [B, ...] and the new batch_stats of an edge in training mode.

  The batch statistics of modules that are first called behind the split stay as they
  were. Nothing then needs the shadow's own cloud, and the compiler removes it. What the
  edge is known to read moves even where a transform hides the module that owns it.
  """

  def apply(rngs):
    edge_modules, activations = set(), []

    def note(call, args, kwargs, context):
      if not activations:
        edge_modules.add(nnx_models.find_place(context.module))
      result = call(*args, **kwargs)
      if '/'.join(context.module.path) == split and context.method_name == '__call__':
        activations.append(result)
      return result

    with nn.intercept_methods(note):
      _, state = model.apply(
        variables, images, train=True, mutable=['batch_stats'], rngs=rngs
      )
    return edge_modules, activations, state

  edge_modules, activations, state = calls.lend_keys(apply, key, dropout=key)

  def choose(path, new, old):
    module = tuple(entry.key for entry in path[:-1])
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    is_edge = module in edge_modules or f'batch_stats/{name}' in read
    return new if is_edge else old

  old = variables['batch_stats']
  moved = jax.tree_util.tree_map_with_path(choose, state.get('batch_stats', {}), old)
  return activations[0], moved


def _make_loss(
  model: nn.Module, split: str, image_shape: tuple[int, int, int], engine: Engine
):
  read = splits.list_read(model, image_shape, (split,))[split]

  @engine.traced
  def loss(
    variables: Any, lane: LaneArrays, shared: Shared, batch: Batch, info: StepInfo
  ):
    # Whoever knows the net knows the factors of its skip connections.
    constants = skip_lanes.list_carried(lane['target'])
    variables = {**variables, **constants}
    images, labels = shared['train']
    activation, batch_stats = _shadow_edge(
      model, variables, pixels(images, batch.index), split, info.key, read
    )
    logits = partition.cloud(
      model,
      lane['target'],
      activation,
      split,
      image_shape=images.shape[1:],
      key=info.key,
    )
    losses = optax.losses.softmax_cross_entropy_with_integer_labels(
      logits, labels[batch.index]
    )
    changed = {**constants, 'batch_stats': batch_stats}
    return Mean.of(losses, batch.mask).compute(), changed

  return loss


def _classify(model: nn.Module, split: str, engine: Engine):
  @engine.traced
  def classify(variables, lane, images, key):
    sent = partition.edge(model, variables, images, split, key=key)
    return partition.cloud(
      model, lane['target'], sent, split, image_shape=images.shape[1:], key=key
    )

  return classify
