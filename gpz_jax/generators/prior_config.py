"""What a training of the attacker's own prior is told."""

import dataclasses

from gpz_jax.generators.dcgan import DCGAN
from gpz_jax.generators.diff_augment import parse
from gpz_jax.generators.discriminators import Critic
from gpz_jax.types import InputError, check_known

KINDS = ('dcgan',)


@dataclasses.dataclass(frozen=True)
class PriorConfig:
  """The settings of a training.

  Attributes:
    kind: Kind of generator, one of `KINDS`.
    width: Number of channels before the image, see `DCGAN`.
    critic_width: Number of channels of the critic's first map.
    steps: Number of steps, each of which moves generator and critic once.
    batch: Number of public images, and of generated ones, in a step.
    rate: Learning rate of the generator's Adam.
    critic_rate: Learning rate of the critic's Adam.
    decay_from: Share of the steps after which both rates fall linearly to 0.
    r1: Weight of half the squared gradient by real images, which are in [-1, 1] there.
    r1_every: The critic pays for its gradient once in this many steps, then as many
      times as much.
    average_images: Number of images after which an old generator counts half in the
      average that is returned.
    augment: DiffAugment of what the critic sees, see `diff_augment`.
    flip: Whether public images are mirrored at random.
    round_steps: Number of steps between two entries of the history.
    seed: Seed of all draws.
  """

  kind: str = 'dcgan'
  width: int = 32
  critic_width: int = 32
  steps: int = 6_500
  batch: int = 32
  rate: float = 5e-4
  critic_rate: float = 1e-3
  decay_from: float = 0.6
  r1: float = 0.05
  r1_every: int = 8
  average_images: int = 5_000
  augment: str = 'translation'
  flip: bool = True
  round_steps: int = 500
  seed: int = 0

  def __post_init__(self):
    check_known('kind of prior', self.kind, KINDS)
    parse(self.augment)
    names = ('width', 'critic_width', 'steps', 'batch', 'r1_every', 'round_steps')
    least = dict.fromkeys((*names, 'average_images'), 1)
    least |= {'rate': 0, 'critic_rate': 0, 'r1': 0, 'decay_from': 0, 'seed': 0}
    for name, low in least.items():
      if not getattr(self, name) >= low:
        raise InputError(
          f'{name}={getattr(self, name)} of a prior must be at least {low}'
        )
    if self.decay_from > 1:
      raise InputError(f'decay_from={self.decay_from} of a prior must be at most 1')

  def make_generator(self, image_shape: tuple[int, int, int]) -> DCGAN:
    """The generator for images of a shape (H, W, C).

    Raises:
      InputError: The images are not square, or their side is no power of two.
    """
    height, width, channels = image_shape
    if height != width:
      raise InputError(
        f'a DCGAN makes square images, not {height}x{width}; give a square image_size'
      )
    return DCGAN(size=height, width=self.width, channels=channels)

  def make_critic(self, image_shape: tuple[int, int, int]) -> Critic:
    """The critic for images of a shape (H, W, C)."""
    return Critic(size=image_shape[0], width=self.critic_width)
