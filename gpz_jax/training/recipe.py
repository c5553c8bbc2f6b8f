"""Recipes: how a lane is optimised, as plain values."""

import dataclasses
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # JAX takes seconds to import, and --help must not wait for it
  import optax


@dataclasses.dataclass(frozen=True)
class Recipe:
  """An optimiser and its schedule; defaults are torch's where the paper is silent."""

  epochs: int
  batch_size: int = 128
  optimizer: Literal['adam', 'adamw', 'sgd'] = 'adam'
  learning_rate: float = 3e-4
  b1: float = 0.9
  b2: float = 0.999
  momentum: float = 0.85  # sgd only
  weight_decay: float = 0.0  # in the gradient (adam, sgd) or decoupled (adamw)
  amsgrad: bool = True
  plateau_patience: int = 10  # epochs without improvement before one too many
  plateau_factor: float = 0.5
  plateau_threshold: float = 1e-4  # relative
  # Data augmentation, which only targets use.
  flip: bool = False
  jitter: float = 0.0  # brightness, contrast, saturation and hue amplitude

  def sentence(self) -> str:
    """The recipe in one line: optimiser, rate, decay, schedule, epochs and batch."""
    betas = f'betas {self.b1:g} and {self.b2:g}'
    adam = f'{betas}, AMSGrad' if self.amsgrad else betas
    details = f'momentum {self.momentum:g}' if self.optimizer == 'sgd' else adam
    return (
      f'{self.optimizer} ({details}), learning rate {self.learning_rate:g} times'
      f' {self.plateau_factor:g} after more than {self.plateau_patience} epochs without'
      f' improvement, weight decay {self.weight_decay:g}, {self.epochs} epoch'
      f'{"s" * (self.epochs != 1)}, batch {self.batch_size}'
    )


# Source: docs/paper.md#target-training; 300 epochs, batch 128.
IR = Recipe(300, weight_decay=1e-4, plateau_patience=15)
VIT = IR
# For a model of the user's own. Sound for an unknown one, because nothing in it needs
# tuning to the model: Adam scales each step to the gradients it sees, the decay is
# mild, and the rate is halved only when the model itself stops improving. Measured with
# one seed of a ResNet-18 of an eighth of the width: on 2,000 images of MNIST at 16x16, an
# accuracy of 0.914 after 60 epochs, where IR has 0.897 after 60 and 0.903 after 150; on
# 2,000 of CIFAR-10, 0.255 where IR has 0.265 after 60 (1,000 test images).
DEFAULT = Recipe(
  60, learning_rate=1e-3, weight_decay=1e-4, amsgrad=False, plateau_patience=5
)
VGG = Recipe(300, b1=0.5, weight_decay=5e-4, plateau_patience=10)
VGG_FACES = Recipe(
  300, optimizer='sgd', learning_rate=0.05, momentum=0.85, weight_decay=5e-4
)
IR_ADAMW = Recipe(300, optimizer='adamw', b1=0.6, weight_decay=0.01)
VGG_ADAMW = Recipe(
  300, optimizer='adamw', b1=0.5, weight_decay=1e-4, plateau_patience=20
)
VIT_ADAMW = Recipe(300, optimizer='adamw', weight_decay=0.01, plateau_patience=20)
TARGET_RECIPES = {
  'default': DEFAULT,
  'ir': IR,
  'vit': VIT,
  'vgg': VGG,
  'vgg_faces': VGG_FACES,
  'ir_adamw': IR_ADAMW,
  'vgg_adamw': VGG_ADAMW,
  'vit_adamw': VIT_ADAMW,
}
# Source: docs/paper.md#decoders; the paper and its released code have patience 8.
DECODER = Recipe(100, learning_rate=2e-4, b1=0.5, plateau_patience=8)


def make_optimizer(recipe: Recipe) -> 'optax.GradientTransformation':
  """Makes the optimiser without its learning rate, which is traced for each lane.

  It follows torch: Adam's weight decay is L2 in the gradient, and AdamW's is decoupled.
  AMSGrad takes the maximum of the raw second moment and corrects its bias afterwards.
  (optax corrects first, so that the noisy first steps would bound all later ones.)
  """
  import jax.numpy as jnp
  import optax

  decay = optax.add_decayed_weights(recipe.weight_decay)
  if recipe.optimizer == 'sgd':
    return optax.chain(decay, optax.trace(recipe.momentum))
  if recipe.amsgrad:
    adam = optax.chain(
      optax.scale_by_amsgrad(recipe.b1, recipe.b2, bias_correction_nu=False),
      optax.scale_by_schedule(lambda count: jnp.sqrt(1 - recipe.b2 ** (count + 1.0))),
    )
  else:
    adam = optax.scale_by_adam(recipe.b1, recipe.b2)
  return optax.chain(*((decay, adam) if recipe.optimizer == 'adam' else (adam, decay)))
