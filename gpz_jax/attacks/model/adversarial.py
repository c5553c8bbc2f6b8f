"""Generators that an attacker trains against one target: a generator and its critic.

Unlike a prior that all lanes share, these are shown the target's answers, so that each
target has its own. All targets are lanes of one program.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gpz_jax import interruption
from gpz_jax.attacks.model import pieces
from gpz_jax.attacks.model.protocol import Scenario, Store
from gpz_jax.training import lanes as lanes_lib
from gpz_jax.training.engine import Engine
from gpz_jax.training.loop import OnProgress
from gpz_jax.training.segments import Segmenter
from gpz_jax.training.step import LaneArrays, Shared

Variables = dict[str, Any]
_log = logging.getLogger(__name__)
STEP = 'step'  # the entry of a piece that says how far it came
# (variables of generator and critic, lane, shared, key) -> loss [], and the batch_stats
# of the player whose loss it is
PlayerLoss = Callable[
  [Variables, Variables, LaneArrays, Shared, jax.Array], tuple[jax.Array, Any]
]


@dataclasses.dataclass(frozen=True)
class Game:
  """What the two play for, written for one lane.

  Attributes:
    init: Makes the variables of both from a key.
    generator_loss: What the generator descends on.
    critic_loss: What the critic descends on.
    steps: How many steps the generator takes.
    critic_steps: How many steps the critic takes before each of them.
    learning_rate: Learning rate of Adam, of both.
    b1: Decay of Adam's first moment.
    b2: Decay of Adam's second moment.
  """

  init: Callable[[jax.Array], tuple[Any, Any]]
  generator_loss: PlayerLoss
  critic_loss: PlayerLoss
  steps: int
  critic_steps: int
  learning_rate: float
  b1: float
  b2: float


class Player(flax.struct.PyTreeNode):
  """One of the two."""

  params: Any
  batch_stats: Any  # {} without batch norm
  statistics: Any  # what a `generators.Critic` was told once; {} without one
  moments: Any  # of Adam

  @property
  def variables(self) -> Variables:
    """The variables `model.apply` takes."""
    names = ('params', 'batch_stats', 'statistics')
    return {name: getattr(self, name) for name in names}


class Match(flax.struct.PyTreeNode):
  """A game in progress, of one lane."""

  generator: Player
  critic: Player
  losses: jax.Array  # [2] of generator and critic, at the last step


def train_on_public(
  game: Game, scenario: Scenario, lanes: LaneArrays, engine: Engine, *, name: str
) -> tuple[Variables, Variables]:
  """Trains a game for each target of a scenario on its public images, see `train`.

  Args:
    game: What is played.
    scenario: The scenario, which has public images.
    lanes: Arrays with L in front beside the keys, which follow from the lanes.
    engine: How it is computed.
    name: The name of its pieces in the store, and of its phase.
  """
  assert scenario.public is not None, 'checked by the attack'
  keys = [jax.random.fold_in(lane.key(), scenario.seed) for lane in scenario.lanes]
  with scenario.phase(name) as on_progress:
    return train(
      game,
      {**lanes, 'key': jnp.stack(keys)},
      {'images': jnp.asarray(scenario.public.image)},
      engine,
      name=name,
      store=scenario.store,
      on_progress=on_progress,
    )


def train(
  game: Game,
  lanes: LaneArrays,
  shared: Shared,
  engine: Engine,
  *,
  name: str,
  store: Store | None = None,
  on_progress: OnProgress = lambda done, total, values: None,
) -> tuple[Variables, Variables]:
  """Trains a generator and its critic for each lane.

  Args:
    game: What they play for.
    lanes: Arrays with L in front, among them 'key', the lanes' random keys [L].
    shared: The arrays that all lanes read.
    engine: How lanes are computed; it must be resolved.
    name: The name under which `store` keeps the training.
    store: Where it is kept at its end, and where a signal interrupts it.
    on_progress: Called after each segment.

  Returns:
    The variables [L] of the generators and of the critics.

  Raises:
    Interrupted: A signal came; how far it came is in `store`.
  """
  tx = optax.scale_by_adam(game.b1, game.b2)
  create = jax.jit(lambda key: _create(game, tx, key))
  shapes = jax.eval_shape(lambda keys: jax.vmap(create)(keys), lanes['key'])
  begun = None if store is None else store.load(name)
  if begun is None:
    done, match = 0, lanes_lib.stack([create(key) for key in lanes['key']])
  else:
    done, match = int(begun[STEP]), pieces.restore(shapes, begun)
  step = _make_step(game, tx)

  @jax.jit
  def segment(match, lanes, shared, bounds):
    def one(carry, shared, bounds):
      match, lane = carry
      return lax.fori_loop(
        bounds[0], bounds[1], lambda i, m: step(m, lane, shared, i), match
      )

    return engine.over_lanes(one)((match, lanes), shared, bounds)

  for bounds in Segmenter().segments(done, game.steps):
    match = jax.block_until_ready(segment(match, lanes, shared, bounds))
    done = int(bounds[1])
    if store is not None and (interruption.requested() or done == game.steps):
      store.save(name, pieces.flatten(match) | {STEP: np.asarray(done)})
    on_progress(done, game.steps, {})
    interruption.check()
  broken = np.flatnonzero(~np.isfinite(np.asarray(match.losses)).all(axis=1))
  if len(broken):
    _log.warning('%s diverged for the targets %s', name, broken.tolist())
  return match.generator.variables, match.critic.variables


def _create(game: Game, tx: optax.GradientTransformation, key: jax.Array) -> Match:
  players = [
    Player(
      v['params'],
      v.get('batch_stats', {}),
      v.get('statistics', {}),
      tx.init(v['params']),
    )
    for v in game.init(jax.random.fold_in(key, 0))
  ]
  return Match(players[0], players[1], jnp.zeros(2))


def _make_step(game: Game, tx: optax.GradientTransformation):
  """Makes the function that takes one step of the generator, and the critic's before.

  It is given (match, lane, shared, number of the step) and returns the match.
  """

  def improve(player: Player, loss_of) -> tuple[Player, jax.Array]:
    def loss(params):
      return loss_of({**player.variables, 'params': params})

    (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(player.params)
    updates, moments = tx.update(gradient, player.moments)
    updates = jax.tree.map(lambda u: -game.learning_rate * u, updates)
    params = optax.apply_updates(player.params, updates)
    return player.replace(params=params, batch_stats=stats, moments=moments), value

  def step(match: Match, lane: LaneArrays, shared: Shared, number: jax.Array) -> Match:
    key = jax.random.fold_in(lane['key'], 1 + number)  # 0 was spent on the parameters

    def improve_critic(i, carry):
      critic, _ = carry
      draw = jax.random.fold_in(key, 1 + i)
      return improve(
        critic,
        lambda variables: game.critic_loss(
          match.generator.variables, variables, lane, shared, draw
        ),
      )

    critic, of_critic = lax.fori_loop(
      0, game.critic_steps, improve_critic, (match.critic, jnp.zeros(()))
    )
    generator, of_generator = improve(
      match.generator,
      lambda variables: game.generator_loss(
        variables, critic.variables, lane, shared, jax.random.fold_in(key, 0)
      ),
    )
    return Match(generator, critic, jnp.stack([of_generator, of_critic]))

  return step


def apply(
  module: Any, variables: Variables, *arguments: jax.Array
) -> tuple[Any, Variables]:
  """What a player returns in training mode, and its batch_stats afterwards."""
  result, changed = module.apply(
    variables, *arguments, train=True, mutable=['batch_stats']
  )
  return result, dict(changed).get('batch_stats', variables['batch_stats'])
