"""ViT-B/16 (Dosovitskiy et al., 2021) with torchvision's layout and initial values.

Source: docs/paper.md#transformers-and-efficientnet.

It is made of the parts of the small transformer, see `vit`. Weights fit the image size
that they were trained at, which decides how many positions there are.
"""

import functools

import flax.linen as nn
import jax

from gpz_jax.models import layers, skips, vit
from gpz_jax.models.skips import Skips
from gpz_jax.types import InputError

FEATURES = 768
EPSILON = 1e-6

MLPLayer = functools.partial(
  nn.Dense,
  kernel_init=nn.initializers.xavier_uniform(),
  bias_init=nn.initializers.normal(1e-6),
)
# torch's trunc_normal_ cuts at +-2, tens of deviations away: a plain normal
PatchLayer = functools.partial(
  nn.Dense, kernel_init=nn.initializers.variance_scaling(1, 'fan_in', 'normal')
)


class VisionTransformer(nn.Module):
  """Splits: tokens, block_1 .. block_12, cls (the normalised class token)."""

  num_classes: int
  depth: int = 12
  width: float = 1.0
  heads: int = 12
  patch: int = 16
  dropout: float = 0.0
  normalization: str = 'cifar10'
  skips: Skips | None = None

  @property
  def num_stages(self) -> int:
    """The blocks whose skip connections have factors."""
    return self.depth

  @property
  def skip_parts(self) -> tuple[str, ...]:
    """The skip connections of a block, each with a factor of its own."""
    return ('attention', 'mlp')

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1]; H, W multiples of `patch`.

    Raises:
      InputError: The heads do not share the features equally.
    """
    features = int(FEATURES * self.width)
    if features % self.heads:
      raise InputError(
        f'{features} features cannot be shared by {self.heads} heads; choose another'
        ' width or another number of heads'
      )
    factors = skips.read(self)
    tokens = vit.Tokens(features, self.patch, self.dropout, PatchLayer, name='tokens')
    x = tokens(layers.standardize(x, self.normalization), train=train)
    for i in range(1, self.depth + 1):
      block = vit.Block(
        self.heads,
        features // self.heads,
        self.dropout,
        EPSILON,
        MLPLayer,
        name=f'block_{i}',
      )
      x = block(x, *factors[i - 1], train=train)
    x = nn.LayerNorm(epsilon=EPSILON, name='cls')(x[:, 0])
    # torchvision starts the last layer at 0
    return nn.Dense(self.num_classes, kernel_init=nn.initializers.zeros, name='logits')(
      x
    )
