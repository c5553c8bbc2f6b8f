"""Trains the attacker's own prior on public images, in compiled segments."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gpz_jax import interruption
from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.discriminators import Critic
from gpz_jax.generators.prior_config import PriorConfig
from gpz_jax.generators.prior_step import VALUES, Losses, Players
from gpz_jax.means import Mean
from gpz_jax.models.layers import BatchNorm
from gpz_jax.training.engine import AUTO, Engine
from gpz_jax.training.loop import OnProgress
from gpz_jax.training.segments import Segmenter
from gpz_jax.training.snapshots import History, Snapshot, Snapshots, join, separate
from gpz_jax.types import Dataset, InputError, stable_hash

_KEY = stable_hash('prior')
MOMENTUM = BatchNorm.keywords['momentum']
_SETTLE_BATCHES = 32
_SETTLE_BATCH = 128

# (rounds done, the generator's variables as they would be returned)
EachRound = Callable[[int, Any], None]


class TrainedPrior(NamedTuple):
  """A generator that was trained, and its critic.

  Attributes:
    generator: The generator.
    critic: What learned to tell its images from public ones.
    variables: The averaged variables of the generator.
    critic_variables: Those of the critic, see `settle_critic`.
    history: The mean values of each round, name -> [rounds]. The names are those of
      `prior_step.VALUES`.
  """

  generator: DCGAN
  critic: Critic
  variables: Any
  critic_variables: Any
  history: History


def train_prior(
  public: Dataset,
  config: PriorConfig,
  *,
  engine: Engine = AUTO,
  on_progress: OnProgress = lambda done, total, values: None,
  snapshots: Snapshots | None = None,
  each_round: EachRound | None = None,
) -> TrainedPrior:
  """Trains a generator on public images, from a snapshot if there is one.

  Args:
    public: The attacker's images; labels are not read.
    config: The settings.
    engine: By which convolutions, and how precisely, it is computed.
    on_progress: Called after each segment with the steps done, the steps in all and {};
      at the end of a round with its values instead of {}.
    snapshots: Where snapshots are kept; without it, nothing can be resumed.
    each_round: Called after each round with the number of rounds done and variables.

  Raises:
    InputError: The images have a shape that cannot be made, or a value became
      non-finite.
    Interrupted: A signal came; a snapshot was saved to `snapshots`.
  """
  shape = public.image.shape[1:]
  generator = config.make_generator(shape)
  players = Players(config, generator, config.make_critic(shape), engine.resolve())
  training = _Training(players, jnp.asarray(public.image), snapshots)
  while not training.is_over:
    for _ in training.segments():
      on_progress(training.done, config.steps, {})
      training.keep_if_due()
    training.finish_round()
    on_progress(training.done, config.steps, training.rounds[-1])
    if each_round is not None:
      each_round(len(training.rounds), training.variables())
    training.keep_if_due()
  return TrainedPrior(
    generator,
    players.critic,
    training.variables(),
    training.critic_variables(),
    join(training.rounds),
  )


class _Training:
  """One training under way: the compiled program, the state and the history."""

  def __init__(self, players: Players, images: jax.Array, snapshots: Snapshots | None):
    self._players, self._images, self._snapshots = players, images, snapshots
    self._config = players.config
    self._key = jax.random.fold_in(jax.random.key(self._config.seed), _KEY)
    self._segment = jax.jit(self._run, donate_argnums=(0,))
    self._settle = jax.jit(lambda params: settle(players.generator, params, self._key))
    self._segmenter = Segmenter()
    self.rounds: list[dict[str, np.ndarray]] = []
    self._step = 0  # of the round
    self._begin()
    self._kept = self.done

  @property
  def done(self) -> int:
    """The number of steps taken."""
    done = len(self.rounds) * self._config.round_steps + self._step
    return min(done, self._config.steps)  # the last round may be a shorter one

  @property
  def is_over(self) -> bool:
    """Whether all steps are taken and the last round is noted."""
    return self.done == self._config.steps and not self._step

  def _begin(self) -> None:
    """Goes on from the snapshot, or creates a fresh state."""

    def fresh():
      return self._players.create(jax.random.fold_in(self._key, 0)), _no_losses()

    like = jax.eval_shape(fresh)
    found = self._snapshots.load(like) if self._snapshots is not None else None
    if found is None:
      self._state, self._losses = jax.jit(fresh)()
      return
    self._state, self._losses = jax.device_put((found.states, found.loss))
    self.rounds = separate(found.history, found.epoch)
    self._step = found.step

  def _run(self, carry, images, key, bounds):
    """Takes the steps bounds[0] .. bounds[1] - 1 of a round."""

    def body(_, carry):
      state, losses = carry
      state, new = self._players.step(state, key, images)
      return state, {name: losses[name].merge(new[name]) for name in VALUES}

    return lax.fori_loop(bounds[0], bounds[1], body, carry)

  def segments(self):
    """Takes the steps that are left of the round; yields after each segment."""
    left = self._config.steps - len(self.rounds) * self._config.round_steps
    stop = min(self._config.round_steps, left)
    key = jax.random.fold_in(self._key, 1)
    for bounds in self._segmenter.segments(self._step, stop):
      carry = (self._state, self._losses)
      carry = self._segment(carry, self._images, key, bounds)
      self._state, self._losses = jax.block_until_ready(carry)
      self._step = int(bounds[1])
      yield

  def finish_round(self) -> None:
    """Notes the mean values of the round.

    Raises:
      InputError: One of them is not finite.
    """
    means = {name: mean.compute() for name, mean in self._losses.items()}
    values = {name: np.asarray(value) for name, value in means.items()}
    broken = [n for n, mean in self._losses.items() if not np.isfinite(mean.total)]
    if broken:
      raise InputError(
        f'the prior diverged: {broken[0]} is {values[broken[0]]} within'
        f' {self._config.round_steps} steps before step {self.done}; lower the rates'
      )
    self.rounds.append(values)
    self._step, self._losses = 0, _no_losses()

  def variables(self) -> Any:
    """The averaged generator with statistics of its own."""
    return self._settle(self._state.average)

  def critic_variables(self) -> Any:
    """The critic with the usual spread of public images."""
    return settle_critic(
      self._players.critic, self._state.critic, self._images, self._config.batch
    )

  def keep_if_due(self) -> None:
    """Saves a snapshot if one is due or a signal came.

    Raises:
      Interrupted: A signal came; the snapshot is saved.
    """
    is_over = interruption.requested()  # once: it may come between two readings
    is_new = self.done != self._kept
    if self._snapshots is not None and is_new and (is_over or self._snapshots.is_due()):
      self._snapshots.save(
        Snapshot(
          self._state, self._losses, len(self.rounds), self._step, join(self.rounds)
        )
      )
      self._kept = self.done
    if is_over:
      interruption.check()


def settle(generator: DCGAN, params: Any, key: jax.Array) -> Any:
  """Measures the batch statistics of a generator that was not trained as it is.

  The averaged parameters make other activations than those that the running
  statistics are of.

  Args:
    generator: The generator.
    params: Its parameters.
    key: The random key that latents are drawn from.

  Returns:
    Its variables, with the mean statistics of 32 batches of 128 latents.
  """
  stats = jax.eval_shape(generator.init, key)['batch_stats']
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), stats)

  def observe(i, total):
    latents = generator.sample(None, jax.random.fold_in(key, 2 + i), _SETTLE_BATCH)
    _, changed = generator.net.apply(
      {'params': params, 'batch_stats': zeros},
      latents,
      train=True,
      mutable=['batch_stats'],
    )
    # From zeros, a running average is (1 - momentum) of the batch's own statistics.
    return jax.tree.map(jnp.add, total, changed['batch_stats'])

  total = lax.fori_loop(0, _SETTLE_BATCHES, observe, zeros)
  share = _SETTLE_BATCHES * (1 - MOMENTUM)
  return {
    'params': params,
    'batch_stats': jax.tree.map(lambda leaf: leaf / share, total),
  }


def settle_critic(
  critic: Critic, params: Any, images: jax.Array, batch_size: int
) -> Any:
  """Gives a critic the spread of public images, so that it judges each image alone.

  In its training the spread is that of the batch. Candidates of one class are alike,
  and a single image has no spread, so that either would be found out for that.

  Args:
    critic: The critic.
    params: Its parameters.
    images: The public images [N, H, W, C], uint8.
    batch_size: Number of images in a batch of its training.

  Returns:
    Its variables, with the mean spread of up to 32 batches of the first images.
  """
  if not critic.spread:
    return {'params': params}
  size = min(batch_size, len(images))
  count = min(len(images) // size, _SETTLE_BATCHES)
  batches = images[: count * size].reshape(count, size, *images.shape[1:])

  @jax.jit
  def measure(params, batches):
    def one(batch):
      pixels = batch.astype(jnp.float32) / 255
      return critic.apply({'params': params}, pixels, method=critic.measure_spread)

    return lax.map(one, batches).mean()

  return {'params': params, 'statistics': {'spread': measure(params, batches)}}


def _no_losses() -> Losses:
  return {name: Mean.zero() for name in VALUES}
