"""KEDMI: a search for a distribution of latents, with a generator for each target.

Source: Chen, Kahla, Jia, Qi, Knowledge-enriched distributional model inversion attacks,
ICCV 2021 (docs/paper.md#further-attacks).
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gpz_jax.attacks.model import (
  adversarial_nets,
  answer,
  chunks,
  kedmi_generator,
  pull,
  starts,
)
from gpz_jax.attacks.model.classifiers import num_classes
from gpz_jax.attacks.model.lomma import (
  SMALL,
  STUDENTS,
  IdentityAttack,
  Loss,
)
from gpz_jax.attacks.model.protocol import COUNTS, SIZES, Outcome, Scenario
from gpz_jax.attacks.model.search import Item, Phase, Search, Shared
from gpz_jax.attacks.model.starts import BOUNDS, OwnGenerator, Start
from gpz_jax.training.engine import Engine


class _State(NamedTuple):
  """A distribution in progress, of one class."""

  mean: jax.Array  # [D]
  log_variance: jax.Array  # [D]
  moments: Any  # of Adam


@dataclasses.dataclass(frozen=True)
class KEDMI(OwnGenerator, IdentityAttack):
  """Learns mean and log-variance of the latents of each class, then draws from them.

  The generator and its critic are trained for each target on public images with the
  target's answers, see `kedmi_generator`. The scenario's own generator and critic are
  not read, unless they are what the training starts at.

  Attributes:
    candidates: How many latents are drawn for each class in the end, all of which are
      the answer.
    steps: How many steps are taken.
    learning_rate: Learning rate of Adam.
    clip: The largest absolute value of a latent's numbers.
    identity_weight: Weight of the identity loss.
    z_dim: Length of a latent.
    generator_steps: How many steps the generator is trained for.
    batch_size: Images in a step of that training.
    width: Width of the generator and its critic.
    kernels: Features of minibatch discrimination of the critic.
    start: Where that training starts, see `starts`. At the prior, `width` and `z_dim`
      must be those of the prior.
  """

  candidates: int = 5
  steps: int = 1500
  learning_rate: float = 0.02
  clip: float = 1.0
  identity_weight: float = 100.0
  z_dim: int = 100
  generator_steps: int = 10000
  batch_size: int = 64
  width: int = 64
  kernels: int = 64
  start: Start = 'scratch'

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {
      'steps': 600,
      'generator_steps': 100,
      'batch_size': 32,
      'width': 32,
      'kernels': 8,
      'start': 'prior',
    },
  }

  BOUNDS: ClassVar = {
    **IdentityAttack.BOUNDS,
    **BOUNDS,
    'clip': SIZES,
    'identity_weight': (1e-12, 1e12),
    'kernels': COUNTS,
  }

  @property
  def num_answers(self) -> int:
    """How many images of a class it answers with."""
    return self.candidates

  def run(self, scenario: Scenario) -> Outcome:
    """Attacks all classes of all targets, see `Attack.run`."""
    self.check(scenario)
    engine = scenario.engine.resolve()
    maker = adversarial_nets.ImageMaker(scenario.image_shape, self.width)
    critic = adversarial_nets.ClassCritic(
      num_classes(scenario),
      self.width,
      self.kernels,
      base=starts.find_critic(self, scenario),
    )
    name = answer.piece_name('kedmi', self, scenario)
    with answer.timed() as clock:
      made_by, judged_by = kedmi_generator.train(
        scenario,
        (maker, critic),
        engine,
        z_dim=self.z_dim,
        steps=self.generator_steps,
        batch_size=self.batch_size,
        name=f'{name}-generator',
      )
      known = self.add_knowledge(scenario)
      targets = known.targets | {'generator': made_by, 'critic': judged_by}
      known = dataclasses.replace(known, targets=targets)
      search = self._make_search(known, (maker, critic), engine)
      with scenario.phase(self.text or 'kedmi') as on_progress:
        found = chunks.run(
          search,
          known,
          name,
          at_once=chunks.fitting(self.candidates),
          on_progress=on_progress,
        )
      samples = answer.draw_samples(
        lambda made_by, key: engine.apply(
          maker, made_by, jax.random.normal(key, (answer.SAMPLE_PIECE, self.z_dim))
        ),
        made_by,
        scenario,
      )
    return answer.outcome(found, self.candidates, clock.seconds, samples)

  def _make_search(self, scenario: Scenario, nets: Any, engine: Engine) -> Search:
    maker, critic = nets
    identity = self.make_identity(scenario, engine)
    adam = optax.adam(self.learning_rate)

    def make(shared: Shared, latents: jax.Array) -> jax.Array:
      return engine.apply(maker, shared['target']['generator'], latents, train=False)

    def draw(distribution: Any, key: jax.Array, count: int) -> jax.Array:
      mean, log_variance = distribution
      noise = jax.random.normal(key, (count, self.z_dim))
      latents = mean[None] + jnp.exp(0.5 * log_variance)[None] * noise
      return jnp.clip(latents, -self.clip, self.clip)

    def enter(_, item: Item, shared: Shared) -> _State:
      del item, shared
      mean, log_variance = jnp.zeros(self.z_dim), jnp.ones(self.z_dim)
      return _State(mean, log_variance, adam.init((mean, log_variance)))

    def step(state: _State, item: Item, shared: Shared, number: jax.Array):
      key = jax.random.fold_in(item.key, number)
      before = state.mean, state.log_variance
      gradient, metrics = pull.pull(
        lambda distribution: make(shared, draw(distribution, key, 1)),
        before,
        item.label,
        jax.random.fold_in(key, 1),
        prepare=lambda images: images,
        identity=lambda images, key: identity(shared, images, item.label[None], key),
        weight=self.identity_weight,
        prior=lambda images: kedmi_generator.realness(
          engine.apply(critic, shared['target']['critic'], images)[0]
        ),
        adaptive=self.averaging,
      )
      updates, moments = adam.update(gradient, state.moments)
      after: Any = optax.apply_updates(before, updates)
      return _State(after[0], after[1], moments), metrics

    def finish(state: _State, item: Item, shared: Shared):
      key = jax.random.fold_in(item.key, self.steps)
      latents = draw((state.mean, state.log_variance), key, self.candidates)
      found = answer.finish(make, scenario, engine, shared, item.label, latents)
      return found | {'mean': state.mean, 'log_variance': state.log_variance}

    return Search((Phase(self.steps, step, enter),), finish)


@dataclasses.dataclass(frozen=True)
class LommaKEDMI(KEDMI):
  """KEDMI with the loss of LOMMA, see `lomma`."""

  loss: Loss = 'identity'
  feature_weight: float = 1.0
  students: tuple[str, ...] = STUDENTS

  PRESETS: ClassVar[dict[str, dict[str, Any]]] = {
    'paper': {},
    'small': {**KEDMI.PRESETS['small'], **SMALL},
  }
