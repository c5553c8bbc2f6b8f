"""One step of a training of a prior: what generator and critic descend on.

The critic's loss is softplus(-D(x)) + softplus(D(G(z))), the generator's is
softplus(-D(G(z))), which does not saturate (Goodfellow et al. 2014). R1 is half the
squared gradient of the critic by real images (Mescheder et al. 2018), taken in every
few steps only (Karras et al. 2020). Both move at once, by the same generated images.
"""

import dataclasses
import functools
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax import lax

from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.diff_augment import diff_augment
from gpz_jax.generators.discriminators import Critic
from gpz_jax.generators.prior_config import PriorConfig
from gpz_jax.means import Mean
from gpz_jax.models import choices
from gpz_jax.training.engine import Engine

_RAMP = 0.05  # of the images seen: what the average's half-life is at most
VALUES = ('critic_loss', 'generator_loss', 'real_score', 'fake_score', 'r1')


class PriorState(flax.struct.PyTreeNode):
  """A prior in the middle of its training."""

  step: jax.Array  # [] int32
  params: Any  # of the generator
  batch_stats: Any  # of the generator
  average: Any  # of the generator's parameters
  critic: Any  # parameters
  opt_state: Any  # of the generator
  critic_opt_state: Any


Losses = dict[str, Mean]  # of VALUES


@dataclasses.dataclass(frozen=True)
class Players:
  """Generator and critic with the rules by which they learn."""

  config: PriorConfig
  generator: DCGAN
  critic: Critic
  engine: Engine

  @functools.cached_property
  def tx(self) -> optax.GradientTransformation:
    """Adam without momentum and without its rate."""
    return optax.scale_by_adam(b1=0.0, b2=0.99, eps=1e-8)

  def create(self, key: jax.Array) -> PriorState:
    """Creates both, untrained."""
    generator_key, critic_key = jax.random.split(key)
    variables = self.generator.init(generator_key)
    shape = (1, *self.generator.image_shape)
    critic = self.critic.init(critic_key, jnp.zeros(shape))['params']
    return PriorState(
      step=jnp.zeros((), jnp.int32),
      params=variables['params'],
      batch_stats=variables['batch_stats'],
      average=jax.tree.map(jnp.copy, variables['params']),
      critic=critic,
      opt_state=self.tx.init(variables['params']),
      critic_opt_state=self.tx.init(critic),
    )

  def step(
    self, state: PriorState, key: jax.Array, images: jax.Array
  ) -> tuple[PriorState, Losses]:
    """Moves both once.

    Args:
      state: The state before the step.
      key: The random key of the training.
      images: The public images [N, H, W, C], uint8.

    Returns:
      The state after the step, and its losses and mean scores.
    """
    keys = jax.random.split(jax.random.fold_in(key, state.step), 4)
    real = self._draw(keys[0], images)
    latents = jax.random.normal(keys[1], (self.config.batch, self.generator.latent))

    def generate(params):
      variables = {'params': params, 'batch_stats': state.batch_stats}
      return self.engine.apply(
        self.generator.net, variables, latents, train=True, mutable=['batch_stats']
      )

    fake, pull, changed = jax.vjp(generate, state.params, has_aux=True)
    critic_step = jax.value_and_grad(self._critic_loss, has_aux=True)
    (critic_loss, scores), critic_grads = critic_step(state.critic, real, fake, keys[2])
    r1, r1_grads = self._penalty(state, real, keys[2])
    critic_grads = jax.tree.map(jnp.add, critic_grads, r1_grads)
    generator_loss, by_image = jax.value_and_grad(self._generator_loss)(
      fake, state.critic, keys[3]
    )
    (grads,) = pull(by_image)
    state = self._move(state, grads, critic_grads, changed['batch_stats'])
    values = (critic_loss, generator_loss, *scores, r1.total)
    counts = (*[jnp.ones(())] * 4, r1.count)
    pairs = zip(VALUES, values, counts, strict=True)
    return state, {name: Mean(value, count) for name, value, count in pairs}

  def _draw(self, key: jax.Array, images: jax.Array) -> jax.Array:
    """A batch of public images in [0, 1], perhaps mirrored."""
    index_key, flip_key = jax.random.split(key)
    index = jax.random.randint(index_key, (self.config.batch,), 0, len(images))
    batch = images[index].astype(jnp.float32) / 255
    if self.config.flip:
      mirrored = jax.random.bernoulli(flip_key, 0.5, (len(batch), 1, 1, 1))
      batch = jnp.where(mirrored, batch[:, :, ::-1], batch)
    return batch

  def _score(self, critic: Any, images: jax.Array) -> jax.Array:
    scores = self.engine.apply(self.critic, {'params': critic}, images)
    return scores.mean(-1)

  def _seen(self, key: jax.Array, images: jax.Array) -> jax.Array:
    return diff_augment(key, images, self.config.augment)

  def _critic_loss(self, critic, real, fake, key):
    on_real = self._score(critic, self._seen(jax.random.fold_in(key, 0), real))
    on_fake = self._score(critic, self._seen(jax.random.fold_in(key, 1), fake))
    loss = jax.nn.softplus(-on_real).mean() + jax.nn.softplus(on_fake).mean()
    return loss, (on_real.mean(), on_fake.mean())

  def _generator_loss(self, fake, critic, key):
    return jax.nn.softplus(-self._score(critic, self._seen(key, fake))).mean()

  def _penalty(self, state, real, key) -> tuple[Mean, Any]:
    """R1 and its gradient by the critic; in most steps no R1 and a gradient of 0."""
    config = self.config
    weight = config.r1 / 2 * config.r1_every

    def loss(critic):
      seen = self._seen(jax.random.fold_in(key, 0), real)
      # The gradient is differentiated once more. JAX's own convolutions would then run
      # slowly inside the loop; the gradient of `taps` consists of products.
      with choices.using('taps' if jax.default_backend() == 'cpu' else 'lax'):
        slopes = jax.grad(
          lambda x: self.critic.apply({'params': critic}, x).sum()  # pyright: ignore[reportAttributeAccessIssue]
        )(seen)
      # by images in [-1, 1], whose steps are twice as long
      squares = jnp.square(slopes / 2).sum((1, 2, 3)).mean()
      return weight * squares, squares

    def pay(critic):
      grads, squares = jax.grad(loss, has_aux=True)(critic)
      return Mean(squares, jnp.ones(())), grads

    def skip(critic):
      return Mean.zero(), jax.tree.map(jnp.zeros_like, critic)

    if not config.r1:
      return skip(state.critic)
    return lax.cond(state.step % config.r1_every == 0, pay, skip, state.critic)

  def _move(self, state, grads, critic_grads, batch_stats) -> PriorState:
    """Both optimisers' steps, and the average's."""
    config = self.config
    done = state.step / config.steps
    left = jnp.clip((1 - done) / max(1 - config.decay_from, 1e-9), 0, 1)

    def descend(grads, opt_state, params, rate):
      updates, opt_state = self.tx.update(grads, opt_state, params)
      return jax.tree.map(lambda p, u: p - left * rate * u, params, updates), opt_state

    params, opt_state = descend(grads, state.opt_state, state.params, config.rate)
    critic, critic_opt_state = descend(
      critic_grads, state.critic_opt_state, state.critic, config.critic_rate
    )
    seen = (state.step + 1) * config.batch
    half_life = jnp.minimum(config.average_images, _RAMP * seen)
    kept = 0.5 ** (config.batch / half_life)
    average = jax.tree.map(
      lambda a, p: kept * a + (1 - kept) * p, state.average, params
    )
    return PriorState(
      state.step + 1,
      params,
      batch_stats,
      average,
      critic,
      opt_state,
      critic_opt_state,
    )
