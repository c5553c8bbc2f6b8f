"""Networks that score pairs, and the bounds on information their scores give.

A network maps x [B, dx] and z [B, dz] to scores [B, B] of every x with every z. The
diagonal holds the pairs, and the rest stands for the product of the marginals. A
`Bound` says what is minimised and what is reported, both for one batch of one lane.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp

# One held-out pair with a score of 20 would outweigh all others in exp(score). A critic
# kept within +-10 still reaches 20 nats, more than any sample can certify.
SCORE = 10.0
LOG_VARIANCE = 8.0  # largest |ln variance| of q(z|x), for z of unit variance
CLIP = 5.0  # tau of SMILE: log density ratios beyond it are cut


class Perceptron(nn.Module):
  """Two hidden layers of `hidden` units beside a linear map, which is learned first."""

  hidden: int
  features: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """[B, d] -> [B, features]."""
    linear = nn.Dense(self.features, use_bias=False)(x)
    for _ in range(2):
      x = nn.relu(nn.Dense(self.hidden)(x))
    return nn.Dense(self.features)(x) + linear


class SeparableCritic(nn.Module):
  """Inner product of an embedding of x and one of z, each with a bias of its own."""

  hidden: int
  features: int

  @nn.compact
  def __call__(self, x: jax.Array, z: jax.Array) -> jax.Array:
    """x [B, dx], z [B, dz] -> scores [B, B]."""
    of_x = Perceptron(self.hidden, self.features + 1)(x)
    of_z = Perceptron(self.hidden, self.features + 1)(z)
    inner = _inner(of_x[:, 1:], of_z[:, 1:]) / jnp.sqrt(self.features)
    # It begins small, because a critic that knows nothing is to report 0.
    scale = self.param('scale', nn.initializers.constant(0.1), ())
    scores = scale * (inner + of_x[:, :1] + of_z[:, 0][None])
    return SCORE * jnp.tanh(scores / SCORE)


class GaussianCritic(nn.Module):
  """ln q(z|x) of a Gaussian whose means and log variances are networks of x.

  The constant -dz/2 ln(2 pi) is left out, because no bound depends on it.
  """

  hidden: int
  features: int  # unused: q has as many outputs as z has coordinates

  @nn.compact
  def __call__(self, x: jax.Array, z: jax.Array) -> jax.Array:
    """x [B, dx], z [B, dz] -> scores [B, B]."""
    mean = Perceptron(self.hidden, z.shape[1])(x)
    raw = Perceptron(self.hidden, z.shape[1])(x)
    log_variance = LOG_VARIANCE * jnp.tanh(raw / LOG_VARIANCE)
    precision = jnp.exp(-log_variance)
    square = _inner(precision, z**2) - 2 * _inner(precision * mean, z)
    own = jnp.sum(precision * mean**2 + log_variance, axis=1, keepdims=True)
    return -0.5 * (square + own)


def _inner(a: jax.Array, b: jax.Array) -> jax.Array:
  """[B, d], [B, d] -> [B, B], in full precision: scores are exponentiated."""
  return jnp.matmul(a, b.T, precision='highest')


class Bound(NamedTuple):
  """How a network is trained, and what it reports.

  `log_partition` is the logarithm of E[exp score] over pairs of the marginals. While
  training it is an exponential moving average, afterwards that of the training half.
  """

  network: Callable[..., nn.Module]
  loss: Callable[[jax.Array, jax.Array], jax.Array]  # (scores, log_partition) -> []
  value: Callable[[jax.Array, jax.Array], jax.Array]  # the same -> [] in nats
  choice: Callable[[jax.Array, jax.Array], jax.Array]  # the same -> []; least is kept


def log_mean_exp_apart(scores: jax.Array) -> jax.Array:
  """ln of the mean of exp(score) over the pairs off the diagonal: [B, B] -> []."""
  B = len(scores)
  chex.assert_shape(scores, (B, B), custom_message='scores [B, B]')
  apart = jnp.where(jnp.eye(B, dtype=bool), -jnp.inf, scores)
  return jax.nn.logsumexp(apart) - jnp.log(B * (B - 1.0))


def _together(scores: jax.Array) -> jax.Array:
  return jnp.mean(jnp.diagonal(scores))


def _mean_apart(scores: jax.Array) -> jax.Array:
  B = len(scores)
  return (jnp.sum(scores) - jnp.trace(scores)) / (B * (B - 1))


def _infonce(scores, log_partition):
  del log_partition
  own = jnp.diagonal(scores)
  return jnp.mean(own - jax.nn.logsumexp(scores, axis=1)) + jnp.log(1.0 * len(scores))


def _nwj(scores, log_partition):
  del log_partition
  return _together(scores) + 1 - jnp.exp(log_mean_exp_apart(scores))


def _mine_loss(scores, log_partition):
  """The gradient of the Donsker-Varadhan bound with its denominator averaged."""
  ratio = jnp.exp(log_mean_exp_apart(scores) - log_partition)
  return ratio - _together(scores)


def _mine(scores, log_partition):
  """The Donsker-Varadhan bound with the tangent of its logarithm at `log_partition`.

  The logarithm of a batch's mean is too small on average, which lifts the bound above
  its expectation. The tangent lies above the logarithm and is linear in the mean.
  """
  excess = jnp.exp(log_mean_exp_apart(scores) - log_partition) - 1
  return _together(scores) - log_partition - excess


def _smile_loss(scores, log_partition):
  """The Jensen-Shannon loss: classifies pairs against the product of marginals."""
  del log_partition
  return jnp.mean(jax.nn.softplus(-jnp.diagonal(scores))) + _mean_apart(
    jax.nn.softplus(scores)
  )


def _smile(scores, log_partition):
  del log_partition
  return _together(scores) - log_mean_exp_apart(jnp.clip(scores, -CLIP, CLIP))


def _likelihood_loss(scores, log_partition):
  del log_partition
  return -_together(scores)


def _vclub(scores, log_partition):
  del log_partition
  return _together(scores) - _mean_apart(scores)


def _negative(value):
  return lambda scores, log_partition: -value(scores, log_partition)


# Belghazi et al. 2018 (MINE); Nguyen, Wainwright and Jordan 2010 (NWJ); van den Oord
# et al. 2018 (InfoNCE); Song and Ermon 2020 (SMILE); Cheng et al. 2020 (vCLUB).
BOUNDS: dict[str, Bound] = {
  'mine': Bound(SeparableCritic, _mine_loss, _mine, _negative(_mine)),
  'nwj': Bound(SeparableCritic, _negative(_nwj), _nwj, _negative(_nwj)),
  'infonce': Bound(SeparableCritic, _negative(_infonce), _infonce, _negative(_infonce)),
  'smile': Bound(SeparableCritic, _smile_loss, _smile, _smile_loss),
  'vclub': Bound(GaussianCritic, _likelihood_loss, _vclub, _likelihood_loss),
}
