"""PLG-MI: a search in the latents of a generator of classes.

Source: Yuan et al., AAAI 2023 (docs/paper.md#further-attacks).
"""

import dataclasses
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import (
  adversarial_nets,
  answer,
  chunks,
  losses,
  plg_generator,
  plg_views,
  pull,
  starts,
)
from gpz_jax.attacks.model.adaptive import Adaptive, Kind
from gpz_jax.attacks.model.classifiers import classify, num_classes
from gpz_jax.attacks.model.protocol import COUNTS, WEIGHTS, Outcome, Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.attacks.model.starts import BOUNDS, OwnGenerator, Start
from gpz_jax.training.engine import Engine


@dataclasses.dataclass(frozen=True)
class PLGMI(OwnGenerator):
  """Descends on the max-margin loss of several random views of each image.

  The generator of classes is trained for each target on public images that the target
  labels, see `plg_generator`. The scenario's own generator and critic are not read,
  unless they are what the training starts at.

  Attributes:
    candidates: How many latents are searched for each class; all are the answer.
    steps: How many steps are taken.
    learning_rate: Learning rate of Adam.
    own_views: How many views of each image a step sums over.
    z_dim: Length of a latent.
    generator_steps: How many steps the generator is trained for.
    batch_size: Images in a step of that training.
    per_class: How many public images stand for each class.
    generator_identity_weight: Weight of the target's loss in that training.
    width: Width of the generator and its critic.
    start: Where that training starts, see `starts`. At the prior, `width` and `z_dim`
      must be those of the prior.
    adaptive: How the gradient at the image is averaged beside, see `adaptive.Adaptive`.
    views: How many views it is averaged over.
  """

  candidates: int = 5
  steps: int = 600
  learning_rate: float = 0.1
  own_views: int = 2
  z_dim: int = 128
  generator_steps: int = 30_000
  batch_size: int = 64
  per_class: int = 30
  generator_identity_weight: float = 0.2
  width: int = 64
  start: Start = 'scratch'
  adaptive: Kind = 'none'
  views: int = 20

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {
      'steps': 100,
      'generator_steps': 100,
      'batch_size': 32,
      'width': 32,
      'z_dim': 100,
      'start': 'prior',
    },
  }

  BOUNDS: ClassVar = {
    **BOUNDS,
    'own_views': COUNTS,
    'per_class': COUNTS,
    'generator_identity_weight': WEIGHTS,
  }

  @property
  def num_answers(self) -> int:
    """How many images of a class it answers with."""
    return self.candidates

  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets, see `Attack.run`."""
    self.check(scenario)
    engine = scenario.engine.resolve()
    classes = num_classes(scenario)
    maker = adversarial_nets.ImageMaker(scenario.image_shape, self.width, classes)
    base = starts.find_critic(self, scenario)
    critic = adversarial_nets.ProjectionCritic(classes, self.width, base)
    name = answer.piece_name('plg', self, scenario)
    with answer.timed() as clock:
      made_by = plg_generator.train(
        scenario,
        (maker, critic),
        engine,
        z_dim=self.z_dim,
        steps=self.generator_steps,
        batch_size=self.batch_size,
        per_class=self.per_class,
        identity_weight=self.generator_identity_weight,
        name=f'{name}-generator',
      )
      targets = {'target': scenario.targets, 'generator': made_by}
      known = dataclasses.replace(scenario, targets=targets)
      search = self._make_search(known, maker, engine)
      with scenario.phase(self.text or 'plg') as on_progress:
        found = chunks.run(
          search,
          known,
          name,
          at_once=chunks.fitting(self.candidates),
          on_progress=on_progress,
        )
      samples = answer.draw_samples(self._make_draw(maker, engine), made_by, scenario)
    return answer.outcome(found, self.candidates, clock.seconds, samples)

  def _make_draw(self, maker: adversarial_nets.ImageMaker, engine: Engine):
    """Makes the function that draws images of random classes."""

    def draw(made_by: Any, key: jax.Array) -> jax.Array:
      z_key, label_key = jax.random.split(key)
      z = jax.random.normal(z_key, (answer.SAMPLE_PIECE, self.z_dim))
      labels = jax.random.randint(label_key, (len(z),), 0, maker.num_classes)
      return engine.apply(maker, made_by, z, labels=labels)

    return draw

  def _make_search(
    self, scenario: Scenario, maker: adversarial_nets.ImageMaker, engine: Engine
  ) -> Search:
    adam = optax.adam(self.learning_rate)

    def make(shared: Shared, latents: jax.Array, labels: jax.Array) -> jax.Array:
      made_by = shared['target']['generator']
      return engine.apply(maker, made_by, latents, labels=labels, train=False)

    def enter(_, item: Item, shared: Shared):
      del shared
      key = jax.random.fold_in(item.key, 0)
      latents = jax.random.normal(key, (self.candidates, self.z_dim))
      return latents, adam.init(latents)

    def step(state, item: Item, shared: Shared, number: jax.Array):
      latents, moments = state
      labels = jnp.broadcast_to(item.label, (self.candidates,))
      key = jax.random.fold_in(jax.random.fold_in(item.key, 1), number)

      def identity(images: jax.Array, key: jax.Array):
        keys = jax.random.split(key, (self.own_views, self.candidates))
        seen = jnp.concatenate([plg_views.augment(k, images) for k in keys])
        logits = classify(scenario.model, shared['target']['target'], seen, engine, key)
        logits = logits.reshape(self.own_views, self.candidates, -1)
        each = jax.vmap(losses.margin, in_axes=(0, None))(logits, labels)
        return each.sum(axis=0), logits[0]

      gradient, metrics = pull.pull(
        lambda latents: make(shared, latents, labels),
        latents,
        item.label,
        key,
        prepare=lambda images: images,
        identity=identity,
        adaptive=Adaptive(self.adaptive, self.views),
      )
      updates, moments = adam.update(gradient, moments)
      return (optax.apply_updates(latents, updates), moments), metrics

    def finish(state, item: Item, shared: Shared):
      labels = jnp.broadcast_to(item.label, (self.candidates,))
      return answer.finish(
        lambda shared, latents: make(shared, latents, labels),
        scenario,
        engine,
        shared,
        item.label,
        state[0],
      )

    return Search((Phase(self.steps, step, enter),), finish)
