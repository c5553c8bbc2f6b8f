"""Where the training of a target's own generator starts: afresh, or at the prior.

The prior and its critic have learned from the same public images, for all targets
together. A generator that starts there only has to learn what a target adds.
"""

from typing import Any, Literal

import jax.numpy as jnp

from gpz_jax.attacks.model.adversarial_nets import num_doublings
from gpz_jax.attacks.model.lomma import check_public
from gpz_jax.attacks.model.protocol import COUNTS, SIZES, Attack, Scenario
from gpz_jax.generators import DCGAN, Critic, Generator
from gpz_jax.types import InputError

Start = Literal['scratch', 'prior']
# Of an attack that trains a generator and searches its latents by Adam.
BOUNDS = {
  **dict.fromkeys(('candidates', 'steps', 'z_dim', 'batch_size', 'width'), COUNTS),
  'learning_rate': SIZES,
  'generator_steps': (0, 2**31),
}
Variables = dict[str, Any]


class OwnGenerator(Attack):
  """An attack that trains a generator against each target.

  Its fields `start`, `width` and `z_dim` are those of the attack.
  """

  start: Start

  @property
  def asks_critic(self) -> bool:
    """Whether its critic starts at the generator's."""
    return self.start == 'prior'

  @property
  def without_critic(self) -> str:
    """The option with which it asks none."""
    return 'start=scratch'

  def check_generator(
    self, generator: Generator, image_shape: tuple[int, int, int]
  ) -> None:
    """Raises InputError if it cannot start at the generator it is to start at."""
    check(self, generator, image_shape)

  def check(self, scenario: Scenario) -> None:
    """Raises InputError if no generator can be trained, or the attack not be used."""
    super().check(scenario)
    check_public(self, scenario)
    num_doublings(scenario.image_shape)
    self.check_generator(scenario.generator, scenario.image_shape)
    find_critic(self, scenario)


def check(attack: Any, generator: Generator, image_shape: tuple[int, int, int]) -> None:
  """Refuses an attack whose own generator cannot start at the prior it is to start at.

  Args:
    attack: An attack with the fields `start`, `width` and `z_dim`.
    generator: The prior of the run.
    image_shape: (H, W, C) of what the targets take.

  Raises:
    InputError: The prior is another net than the attack's.
  """
  if attack.start == 'scratch':
    return
  what = f"attack '{attack.text}' starts at the generator of the run"
  if not isinstance(generator, DCGAN):
    raise InputError(
      f'{what}, which must be a DCGAN and is a {type(generator).__name__}; give'
      ' start=scratch'
    )
  if generator.image_shape != image_shape:
    raise InputError(
      f'{what}, whose images are {generator.image_shape}, but the targets take'
      f' {image_shape}; give start=scratch'
    )
  has, wants = (generator.width, generator.latent), (attack.width, attack.z_dim)
  if has != wants:
    raise InputError(
      f'{what}, which has width={has[0]} and z_dim={has[1]}, but the attack has'
      f' width={wants[0]} and z_dim={wants[1]}; give width={has[0]}:z_dim={has[1]},'
      ' or start=scratch'
    )


def find_critic(attack: Any, scenario: Scenario) -> Critic | None:
  """The critic that the attack's own critic starts at; None if it starts afresh.

  Raises:
    InputError: The run has none.
  """
  if attack.start == 'scratch':
    return None
  if not isinstance(scenario.critic, Critic):
    raise InputError(
      f"attack '{attack.text}' starts at the generator's critic, and this run has none;"
      ' train the generator here, which keeps its critic, or give start=scratch'
    )
  return scenario.critic


def put_prior(
  scenario: Scenario, made_by: Variables, judged_by: Variables
) -> tuple[Variables, Variables, Variables]:
  """Puts the prior and its critic into the fresh variables of a pair.

  The generator reads nothing of its class at first, so its images are those of the
  prior.

  Args:
    scenario: The scenario, whose generator and critic passed the checks above.
    made_by: Fresh variables of an `ImageMaker`.
    judged_by: Fresh variables of a critic with a `base`.

  Returns:
    Both, and the parameters of the last layer of the prior's critic, which the critic
    has no place for.
  """
  prior, known = scenario.prior, scenario.critic_variables
  net = dict(prior['params'])
  kernel = net['project']['dense']['kernel']
  fresh = made_by['params']['net']['project']['dense']['kernel']
  of_class = jnp.zeros((len(fresh) - len(kernel), fresh.shape[1]))
  net['project'] = net['project'] | {
    'dense': {'kernel': jnp.concatenate([kernel, of_class])}
  }
  base = dict(known['params'])
  score = base.pop('score')
  statistics = known.get('statistics')
  made_by = {
    'params': made_by['params'] | {'net': net},
    'batch_stats': {'net': prior['batch_stats']},
  }
  judged_by = {
    'params': judged_by['params'] | {'base': base},
    'statistics': {} if statistics is None else {'base': statistics},
  }
  return made_by, judged_by, score
