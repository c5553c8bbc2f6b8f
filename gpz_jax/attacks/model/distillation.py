"""Students of a target, which an attacker trains on public images alone.

A student is shown the target's answers in place of labels. All students of one
architecture, one for each target, are lanes of one program.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gpz_jax.means import Mean
from gpz_jax.models import calls
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.evaluation import HELD_OUT, Evaluation, Means
from gpz_jax.training.loop import OnProgress, Trainer
from gpz_jax.training.objective import Objective
from gpz_jax.training.recipe import Recipe
from gpz_jax.training.snapshots import History
from gpz_jax.training.step import Batch, LaneArrays, Shared, StepInfo, pixels
from gpz_jax.types import Dataset, Lane

EVAL_BATCH = 128
# Source: docs/paper.md#further-attacks.
RECIPE = Recipe(
  20,
  batch_size=64,
  optimizer='sgd',
  learning_rate=0.01,
  momentum=0.9,
  weight_decay=1e-4,
  plateau_patience=20,  # the rate is the same in all epochs
)


def answers(
  model: nn.Module, targets: Any, images: Any, engine: Engine, batch_size: int = 128
) -> jax.Array:
  """The probabilities [L, N, K] that each target gives to images.

  Args:
    model: Architecture of the targets.
    targets: Their variables [L].
    images: [N, H, W, C] uint8.
    engine: How lanes are computed; it must be resolved.
    batch_size: How many images are computed at a time.
  """

  def one(variables, images):
    def batch(rows):
      shown = rows.astype(jnp.float32) / 255

      def apply(rngs):
        return engine.apply(model, variables, shown, train=False, rngs=rngs)

      return jax.nn.softmax(calls.lend_keys(apply))

    return jax.lax.map(
      lambda row: batch(row[None])[0], images, batch_size=min(batch_size, len(images))
    )

  return jax.jit(engine.over_lanes(one))(targets, jnp.asarray(images))


def soft_cross_entropy(logits: jax.Array, answer: jax.Array) -> jax.Array:
  """The Kullback-Leibler divergence [B] of a student from a target, in nats.

  Args:
    logits: [B, K] of the student.
    answer: [B, K] probabilities of the target.
  """
  known = jnp.sum(jax.scipy.special.xlogy(answer, answer), axis=-1)
  return known + optax.losses.softmax_cross_entropy(logits, answer)


def train(
  student: nn.Module,
  name: str,
  targets: tuple[nn.Module, Any],
  lanes: Sequence[Lane],
  public: Dataset,
  recipe: Recipe = RECIPE,
  *,
  engine: Engine = AUTO,
  seed: int = 0,
  on_progress: OnProgress = lambda done, total, values: None,
) -> tuple[Any, History]:
  """Trains a student of each target on public images with the target's answers.

  A tenth of the images is held out, and the epoch with the lowest divergence there is
  kept.

  Args:
    student: Architecture of the students.
    name: The student's name, which tells its random keys from those of others.
    targets: Architecture of the targets, and their variables [L].
    lanes: The L lanes of the targets.
    public: At least two images; their labels are not read.
    recipe: How to train.
    engine: How lanes are computed.
    seed: Seed of the order of images.
    on_progress: Called after each segment, see `Trainer.fit`.

  Returns:
    The variables of the students [L], and the history of their training.

  Raises:
    Interrupted: A signal came.
  """
  engine = engine.resolve()
  soft = answers(*targets, public.image, engine)
  num_held_out = max(1, len(public) // 10)
  num_train = len(public) - num_held_out
  objective = Objective(
    model=student,
    sample_shape=public.image.shape[1:],
    loss=_make_loss(student, engine),
    evaluation=_make_evaluation(student, engine, num_held_out),
    plateau_on='divergence',
    select_on='divergence',
  )
  draw = zlib.crc32(name.encode())
  keys = [jax.random.fold_in(lane.key(), draw) for lane in lanes]
  states, history = Trainer(objective, recipe, engine).fit(
    {
      'key': jnp.stack(keys),
      'answers': soft[:, :num_train],
      'held_out_answers': soft[:, num_train:],
    },
    jax.device_put(
      {'train': public.image[:num_train], HELD_OUT: public.image[num_train:]}
    ),
    num_examples=num_train,
    order_seed=seed,
    on_progress=on_progress,
  )
  return states.best.variables, history


def _make_loss(student: nn.Module, engine: Engine):
  def loss(
    variables: Any, lane: LaneArrays, shared: Shared, batch: Batch, info: StepInfo
  ):
    images = pixels(shared['train'], batch.index)

    def apply(rngs):
      return engine.apply(
        student, variables, images, train=True, mutable=['batch_stats'], rngs=rngs
      )

    logits, changed = calls.lend_keys(apply, info.key, dropout=info.key)
    losses = soft_cross_entropy(logits, lane['answers'][batch.index])
    return Mean.of(losses, batch.mask).compute(), dict(changed)

  return loss


def _make_evaluation(student: nn.Module, engine: Engine, count: int) -> Evaluation:
  def evaluate(variables: Any, lane: LaneArrays, shared: Shared, batch: Batch) -> Means:
    images = pixels(shared[HELD_OUT], batch.index)

    def apply(rngs):
      return engine.apply(student, variables, images, train=False, rngs=rngs)

    logits = calls.lend_keys(apply, calls.evaluation_key(batch.index[0]))
    losses = soft_cross_entropy(logits, lane['held_out_answers'][batch.index])
    return {'divergence': Mean.of(losses, batch.mask)}

  return Evaluation(evaluate, count, EVAL_BATCH)
