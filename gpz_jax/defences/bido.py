"""BiDO: hidden layers that depend little on the image and much on its label.

The loss gains, for each layer Z, lx d(X, Z) - ly d(Z, Y), where X are the pixels, Y the
one-hot labels and d is HSIC or COCO.

Source: docs/paper.md#defences (Peng et al., KDD 2022).
"""

import dataclasses
import math
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.defences import dependence
from gpz_jax.defences.protocol import Defence, Step, list_stages, select
from gpz_jax.types import InputError

_KERNELS = {
  'linear': lambda features, sigma: dependence.linear_kernel(features),
  'gaussian': dependence.gaussian_kernel,
  'imq': lambda features, sigma: dependence.imq_kernel(features),
}


@dataclasses.dataclass(frozen=True)
class BiDO(Defence):
  """Bilateral dependency optimisation. `at` names its layers; by default the stages.

  Attributes:
    measure: The measure d of dependence.
    lx: The weight of the dependence on the image.
    ly: The weight of the dependence on the label.
    kernel: The kernel of the labels; pixels and layers always have the Gaussian one.
    sigma: The width of Gaussian kernels for one feature.
    eps: The regularisation of HSIC.
  """

  measure: Literal['hsic', 'coco'] = 'hsic'
  lx: float = 0.05
  ly: float = 0.5
  kernel: Literal['linear', 'gaussian', 'imq'] = 'linear'
  sigma: float = dependence.SIGMA
  eps: float = dependence.EPSILON

  traced: ClassVar[tuple[str, ...]] = ('lx', 'ly')

  def __post_init__(self):
    for name, least in (('lx', 0), ('ly', 0), ('sigma', 1e-6), ('eps', 1e-12)):
      value = getattr(self, name)
      if not (least <= value < math.inf):
        raise InputError(
          f"defence '{self.text}': {name} must be at least {least:g} and finite"
        )

  def list_reads(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[str, ...]:
    """The splits of `at`, or the outputs of the stages."""
    if self.at:
      return select(self, model, image_shape)
    return list_stages(model, image_shape)

  def penalty(self, step: Step) -> jax.Array:
    """The sum over layers of lx d(X, Z) - ly d(Z, Y)."""
    onehot = jax.nn.one_hot(step.labels, step.logits.shape[-1])
    image = dependence.gaussian_kernel(step.images, self.sigma)
    label = _KERNELS[self.kernel](onehot, self.sigma)
    hidden = [
      dependence.gaussian_kernel(each, self.sigma) for each in step.activations.values()
    ]
    if self.measure == 'coco':
      pairs = [
        (dependence.coco(image, z, step.mask), dependence.coco(z, label, step.mask))
        for z in hidden
      ]
    else:  # each matrix is factorised once
      image, label, *hidden = (
        dependence.shrink(kernel, step.mask, epsilon=self.eps)
        for kernel in (image, label, *hidden)
      )
      pairs = [((image * z).sum(), (z * label).sum()) for z in hidden]
    on_image = sum((x for x, _ in pairs), jnp.zeros(()))
    on_label = sum((y for _, y in pairs), jnp.zeros(()))
    return self.lx * on_image - self.ly * on_label
