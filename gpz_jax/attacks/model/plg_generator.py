"""The generator of PLG-MI: of classes, by public images that the target labels.

Source: Yuan, Chen, Zhang, Tan, Wang, Huang, Pseudo label-guided model inversion attack
via conditional generative adversarial network, AAAI 2023
(docs/paper.md#further-attacks).
"""

from typing import Any

import jax
import jax.numpy as jnp

from gpz_jax.attacks.model import adversarial, losses, plg_views, starts
from gpz_jax.attacks.model.adversarial_nets import ImageMaker, ProjectionCritic
from gpz_jax.attacks.model.classifiers import classify
from gpz_jax.attacks.model.distillation import answers
from gpz_jax.attacks.model.protocol import Scenario
from gpz_jax.training.engine import Engine
from gpz_jax.training.step import LaneArrays, Shared


def most_confident(answer: jax.Array, count: int) -> jax.Array:
  """The images of which a target is surest, for each class.

  An image may stand for several classes.

  Args:
    answer: [N, K] the probabilities that the target gives to public images.
    count: How many images of each class are wanted.

  Returns:
    [K, n] places of images, the surest first; n is `count` or N, whichever is less.
  """
  return jax.lax.top_k(answer.T, min(count, len(answer)))[1]


def hinge(real: jax.Array, made: jax.Array) -> jax.Array:
  """What the critic descends on, by its scores [B] of real and of made images."""
  return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + made).mean()


def start_at_prior(scenario: Scenario, made_by: Any, judged_by: Any) -> tuple[Any, Any]:
  """Puts the prior and its critic into fresh variables.

  The critic's score is that of the prior's critic at first, whatever the class.
  """
  made_by, judged_by, score = starts.put_prior(scenario, made_by, judged_by)
  params = judged_by['params']
  classes = jax.tree.map(jnp.zeros_like, params['classes'])
  params = params | {'score': score, 'classes': classes}
  return made_by, judged_by | {'params': params}


def train(
  scenario: Scenario,
  nets: tuple[ImageMaker, ProjectionCritic],
  engine: Engine,
  *,
  z_dim: int,
  steps: int,
  batch_size: int,
  per_class: int,
  identity_weight: float,
  name: str,
) -> Any:
  """Trains a generator of classes for each target.

  Args:
    scenario: Who is attacked; its public images are learned from.
    nets: The generator and the critic, which start at those of the scenario if the
      critic has a `base`.
    engine: How lanes are computed; it must be resolved.
    z_dim: Length of a latent.
    steps: How many steps the generator takes.
    batch_size: How many images a step is shown.
    per_class: How many public images stand for each class.
    identity_weight: Weight of the target's max-margin loss for generated images.
    name: The name of the training in the scenario's store.

  Returns:
    The variables [L] of the generators.

  Raises:
    Interrupted: A signal came; how far it came is in the store.
  """
  public = scenario.public
  assert public is not None, 'checked by the attack'
  maker, critic = nets
  soft = answers(scenario.model, scenario.targets, public.image, engine)
  rows = jax.vmap(lambda answer: most_confident(answer, per_class))(soft)

  def init(key: jax.Array):
    z, image = jnp.zeros((2, z_dim)), jnp.zeros((2, *maker.image_shape))
    labels = jnp.zeros(2, jnp.int32)
    made_key, judged_key = jax.random.split(key)
    fresh = maker.init(made_key, z, labels), critic.init(judged_key, image, labels)
    return fresh if critic.base is None else start_at_prior(scenario, *fresh)

  def make(variables: Any, key: jax.Array):
    z_key, label_key = jax.random.split(key)
    labels = jax.random.randint(label_key, (batch_size,), 0, maker.num_classes)
    z = jax.random.normal(z_key, (batch_size, z_dim))
    images, stats = adversarial.apply(maker, variables, z, labels)
    return images, labels, stats

  @engine.traced
  def of_critic(
    made_by: Any, judged_by: Any, lane: LaneArrays, shared: Shared, key: jax.Array
  ):
    label_key, place_key, made_key = jax.random.split(key, 3)
    labels = jax.random.randint(label_key, (batch_size,), 0, maker.num_classes)
    places = jax.random.randint(place_key, (batch_size,), 0, lane['rows'].shape[1])
    images = shared['images'][lane['rows'][labels, places]].astype(jnp.float32) / 255
    real, _ = adversarial.apply(critic, judged_by, images, labels)
    images, labels, _ = make(made_by, made_key)
    made, stats = adversarial.apply(critic, judged_by, images, labels)
    return hinge(real, made), stats

  @engine.traced
  def of_generator(
    made_by: Any, judged_by: Any, lane: LaneArrays, shared: Shared, key: jax.Array
  ):
    del shared
    made_key, view_key = jax.random.split(key)
    images, labels, stats = make(made_by, made_key)
    scores, _ = adversarial.apply(critic, judged_by, images, labels)
    seen = plg_views.augment(jax.random.split(view_key, len(images)), images)
    logits = classify(scenario.model, lane['target'], seen, engine)
    identity = losses.margin(logits, labels).mean()
    return identity_weight * identity - scores.mean(), stats

  game = adversarial.Game(
    init=init,
    generator_loss=of_generator,
    critic_loss=of_critic,
    steps=steps,
    critic_steps=5,
    learning_rate=2e-4,
    b1=0.0,
    b2=0.9,
  )
  lanes = {'rows': rows, 'target': scenario.targets}
  return adversarial.train_on_public(game, scenario, lanes, engine, name=name)[0]
