"""TL: the first stages are not trained.

Source: docs/paper.md#defences (Ho et al., CVPR 2024). They freeze what was trained on
public images. Targets here start from random values, so that what is frozen is random,
unless they are fine-tuned (`--finetune`): the stages are then frozen as imported.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gpz_jax.defences.protocol import Defence, list_stages
from gpz_jax.models import calls
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Frozen(Defence):
  """Freezes the parameters of the first stages, with all that lies before them.

  Averages of batch norm still follow the data, as in the published code.

  Attributes:
    frozen: How many stages are frozen.
  """

  frozen: int = 2

  traced: ClassVar[tuple[str, ...]] = ('frozen',)

  def __post_init__(self):
    if self.at:
      raise InputError(f"defence '{self.text}' takes no at; give frozen=2, in stages")
    if self.frozen < 1:
      raise InputError(f"defence '{self.text}': frozen must be at least 1")

  def list_frozen(
    self, model: nn.Module, image_shape: tuple[int, int, int]
  ) -> tuple[tuple[str, ...], ...]:
    """The modules of each stage; those before the first belong to it."""
    groups: list[tuple[str, ...]] = []
    stages, current = list_stages(model, image_shape), []
    for name in list_children(model, image_shape):
      current.append(name)
      if name in stages:
        groups.append(tuple(current))
        current = []
    if isinstance(self.frozen, int) and self.frozen > len(groups):
      raise InputError(
        f"defence '{self.text}' freezes {self.frozen} stages, and the model has"
        f' {len(groups)}: {", ".join(stages)}'
      )
    return tuple(groups)

  def count_frozen(self):
    """How many stages are frozen."""
    return self.frozen


def list_children(
  model: nn.Module, image_shape: tuple[int, int, int]
) -> tuple[str, ...]:
  """The direct children of a model, in the order in which they are left."""
  found: dict[str, None] = {}

  def note(call, args, kwargs, context):
    result = call(*args, **kwargs)
    if len(context.module.path) == 1:
      found.setdefault(context.module.path[0])
    return result

  image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
  with nn.intercept_methods(note):
    jax.eval_shape(lambda x: calls.init(model, jax.random.key(0), x), image)
  return tuple(found)
