"""The four-convolution CNN of the paper's code base, there called `Classifier_4`.

Source: docs/paper.md#target-architectures.
"""

import flax.linen as nn
import jax

from gpz_jax.models import layers


class CNN(nn.Module):
  """conv-BN-pool-ReLU at 64, 128, 256, 512 channels, then 5K hidden units.

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
    x = layers.DenseBlock(5 * self.num_classes, name='fc_1')(x, train=train)
    return nn.Dense(self.num_classes, kernel_init=layers.torch_default, name='logits')(
      x
    )
