"""TL: the first stages are not trained.

Source: docs/paper.md#defences (Ho et al., CVPR 2024). They freeze what was trained on
public images. Targets here start from random values, so that what is frozen is random,
unless they are fine-tuned (`--finetune`): the stages are then frozen as imported.
"""

import dataclasses
from typing import ClassVar

import flax.linen as nn

from gpz_jax import splits
from gpz_jax.defences.protocol import Defence, list_stages
from gpz_jax.types import InputError


@dataclasses.dataclass(frozen=True)
class Frozen(Defence):
  """Freezes the parameters that the output of the first stages depends on.

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
    """The parameters that each stage depends on and no earlier one does."""
    stages = list_stages(model, image_shape)
    if isinstance(self.frozen, int) and self.frozen > len(stages):
      raise InputError(
        f"defence '{self.text}' freezes {self.frozen} stages, and the model has"
        f' {len(stages)}: {", ".join(stages)}'
      )
    groups: list[tuple[str, ...]] = []
    before: set[str] = set()
    for read in splits.list_read(model, image_shape, stages).values():
      params = {name.removeprefix('params/') for name in read if name[:7] == 'params/'}
      groups.append(tuple(sorted(params - before)))
      before |= params
    return tuple(groups)

  def count_frozen(self):
    """How many stages are frozen."""
    return self.frozen
