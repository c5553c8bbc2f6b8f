"""The four-convolution CNN of the paper's code base, there called `Classifier_4`.

Source: docs/paper.md#target-architectures.
"""

import flax.linen as nn
import jax

from gpz_jax.models import layers


class CNN(nn.Module):
  """conv-BN-pool-ReLU at 64, 128, 256, 512 channels, then two linear layers.

  Dropout is all that lies between the two, of which the first has 5K units.
  Splits: conv_1 .. conv_4, fc_1.
  """

  num_classes: int
  width: float = 1.0
  normalization: str = 'cifar10'

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Logits [B, K] of images [B, H, W, C] in [0, 1]; H and W at least 16."""
    x = layers.standardize(x, self.normalization)
    for i, features in enumerate((64, 128, 256, 512), 1):
      block = layers.ConvBlock(int(features * self.width), pool=True, name=f'conv_{i}')
      x = block(x, train=train)
    hidden = layers.DenseBlock(5 * self.num_classes, 0.5, relu=False, name='fc_1')
    x = hidden(x, train=train)
    return layers.Dense(self.num_classes, name='logits')(x)
