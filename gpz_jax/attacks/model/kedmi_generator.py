"""The generator of KEDMI, which is trained on public images with the target's answers.

Its critic tells K classes apart, and what is real by how large the logits are: the
odds of an image being real are the sum of their exponentials.

Source: Chen, Kahla, Jia, Qi, Knowledge-enriched distributional model inversion attacks,
ICCV 2021 (docs/paper.md#further-attacks).
"""

from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax.attacks.model import adversarial, starts
from gpz_jax.attacks.model.adversarial_nets import ClassCritic, ImageMaker
from gpz_jax.attacks.model.distillation import answers
from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.training.engine import Engine
from gpz_jax.training.step import LaneArrays, Shared

ENTROPY = 1e-4  # weight of the entropy of the critic's answers, summed over the batch


def realness(logits: jax.Array) -> jax.Array:
  """Minus the log-probability [B] that an image is real, by the critic's logits [B, K].

  It is softplus(s) - s, where s is the log-sum-exp of the logits.
  """
  odds = jax.nn.logsumexp(logits, axis=-1)
  return jax.nn.softplus(odds) - odds


def critic_loss(
  labelled: jax.Array, answer: jax.Array, real: jax.Array, made: jax.Array
) -> jax.Array:
  """What the critic descends on: it learns the target's answers, and what is real.

  Args:
    labelled: [B, K] its logits for public images.
    answer: [B, K] the target's probabilities for the same.
    real: [B, K] its logits for further public images.
    made: [B, K] its logits for images of the generator.

  Returns:
    [] the cross-entropy plus half the loss of telling real images.
  """
  cross_entropy = -jnp.sum(answer * jax.nn.log_softmax(labelled), axis=-1).mean()
  is_made = jax.nn.softplus(jax.nn.logsumexp(made, axis=-1))
  return cross_entropy + 0.5 * (realness(real).mean() + is_made.mean())


def generator_loss(
  logits: jax.Array, features: jax.Array, real_features: jax.Array
) -> jax.Array:
  """What the generator descends on: mean features as those of real images.

  Args:
    logits: [B, K] of the critic for images of the generator.
    features: [B, D] of the critic for the same.
    real_features: [B, D] of the critic for public images.

  Returns:
    [] the mean absolute difference of the mean features, plus the entropy of the
    critic's answers.
  """
  apart = jnp.abs(features.mean(axis=0) - real_features.mean(axis=0)).mean()
  entropy = -jnp.sum(jax.nn.softmax(logits) * jax.nn.log_softmax(logits))
  return apart + ENTROPY * entropy


def start_at_prior(scenario: Scenario, made_by: Any, judged_by: Any) -> tuple[Any, Any]:
  """Puts the prior and its critic into fresh variables.

  Each of the K logits is the critic's score less ln K at first, so that their
  log-sum-exp is that score and no class is preferred.
  """
  made_by, judged_by, score = starts.put_prior(scenario, made_by, judged_by)
  params = judged_by['params']
  fresh = jax.tree.map(jnp.zeros_like, params['logits'])
  kernel = fresh['kernel'].at[: len(score['kernel'])].set(score['kernel'])
  bias = fresh['bias'] + score['bias'] - jnp.log(len(fresh['bias']))
  params = params | {'logits': {'kernel': kernel, 'bias': bias}}
  return made_by, judged_by | {'params': params}


def train(
  scenario: Scenario,
  nets: tuple[ImageMaker, ClassCritic],
  engine: Engine,
  *,
  z_dim: int,
  steps: int,
  batch_size: int,
  name: str,
) -> tuple[Any, Any]:
  """Trains a generator and its critic for each target.

  Args:
    scenario: Who is attacked; its public images are learned from.
    nets: The generator and the critic, which start at those of the scenario if the
      critic has a `base`.
    engine: How lanes are computed; it must be resolved.
    z_dim: Length of a latent.
    steps: How many steps the generator takes.
    batch_size: How many images a step is shown.
    name: The name of the training in the scenario's store.

  Returns:
    The variables [L] of the generators and of the critics.

  Raises:
    Interrupted: A signal came; how far it came is in the store.
  """
  public = scenario.public
  assert public is not None, 'checked by the attack'
  maker, critic = nets
  soft = answers(scenario.model, scenario.targets, public.image, engine)

  def init(key: jax.Array):
    z, image = jnp.zeros((2, z_dim)), jnp.zeros((2, *maker.image_shape))
    made_key, judged_key = jax.random.split(key)
    fresh = maker.init(made_key, z), critic.init(judged_key, image)
    return fresh if critic.base is None else start_at_prior(scenario, *fresh)

  def draw(shared: Shared, key: jax.Array):
    rows = jax.random.randint(key, (batch_size,), 0, len(public))
    return rows, shared['images'][rows].astype(jnp.float32) / 255

  def make(variables: Any, key: jax.Array):
    z = jax.random.normal(key, (batch_size, z_dim))
    return adversarial.apply(maker, variables, z)

  @engine.traced
  def of_critic(
    made_by: Any, judged_by: Any, lane: LaneArrays, shared: Shared, key: jax.Array
  ):
    keys = jax.random.split(key, 3)
    rows, images = draw(shared, keys[0])

    def judge(images: jax.Array):
      return adversarial.apply(critic, judged_by, images)

    (labelled, _), _ = judge(images)
    (real, _), _ = judge(draw(shared, keys[1])[1])
    (made, _), stats = judge(make(made_by, keys[2])[0])
    return critic_loss(labelled, lane['answers'][rows], real, made), stats

  @engine.traced
  def of_generator(
    made_by: Any, judged_by: Any, lane: LaneArrays, shared: Shared, key: jax.Array
  ):
    del lane
    made_key, real_key = jax.random.split(key)
    images, stats = make(made_by, made_key)
    (logits, features), _ = adversarial.apply(critic, judged_by, images)
    (_, real), _ = adversarial.apply(critic, judged_by, draw(shared, real_key)[1])
    return generator_loss(logits, features, real), stats

  game = adversarial.Game(
    init=init,
    generator_loss=of_generator,
    critic_loss=of_critic,
    steps=steps,
    critic_steps=5,
    learning_rate=2e-4,
    b1=0.5,
    b2=0.999,
  )
  return adversarial.train_on_public(
    game, scenario, {'answers': soft}, engine, name=name
  )
