"""Attacks as text: what a sweep attacks with, checked before anything is trained.

An attack is a name with options, NAME or NAME:OPTION=VALUE:OPTION=VALUE...

  inversion                               a decoder for the activation
  inversion:enhance=nn_concat:at=unit_50  a stronger one, at one split only
  inversion:input=prediction_log          a decoder for what the model answers
  rmle:tv=1000:images=16                  a search for the image through the edge
  query_free:at=conv_2                    the same through a shadow of the edge
"""

import dataclasses
import math
from typing import Any, Literal, get_args, get_type_hints

import flax.linen as nn

from gpz_jax.attacks.activation import attention as attention_lib
from gpz_jax.attacks.activation import decoders, inputs
from gpz_jax.attacks.activation import enhance as enhance_lib
from gpz_jax.attacks.activation.optimisation import QUERY_FREE, WHITE_BOX, Search
from gpz_jax.types import InputError, check_known, hint

ActOrAuto = Literal['auto', 'code', 'tanh', 'prelu']


@dataclasses.dataclass(frozen=True)
class DecoderAttack:
  """A decoder trained on the attacker's images (`inversion`).

  Attributes:
    text: as it was spelled; rows of results carry it.
    at: globs and names of the splits to attack; () = all that were chosen.
    input: what the decoder is given, see `inputs`.
    enhance: of its input, see `enhance`.
    attention: after its upsamplings, see `attention`.
    decoder: its kind, see `decoders.make`.
    act: its activations; auto follows its kind.
  """

  text: str
  at: tuple[str, ...] = ()
  input: str = 'activation'
  enhance: str = 'none'
  attention: str = 'none'
  decoder: decoders.Kind = 'auto'
  act: ActOrAuto = 'auto'

  @property
  def reads_prediction(self) -> bool:
    """Whether it attacks the model's answer, and no split."""
    return self.input in inputs.PREDICTIONS

  def make(
    self, source_shape: tuple[int, ...], image_shape: tuple[int, int, int]
  ) -> nn.Module:
    """The decoder for activations (or logits) of a shape, without the batch.

    Raises:
      InputError: this attack does not work on them.
    """
    return decoders.make(
      inputs.shape(self.input, source_shape),
      image_shape,
      act=None if self.act == 'auto' else self.act,
      kind=self.decoder,
      attention=self.attention,
      enhance=self.enhance,
    )


@dataclasses.dataclass(frozen=True)
class SearchAttack:
  """A search for the images themselves (`rmle`, `query_free`), see `optimisation`.

  Attributes:
    text: as it was spelled.
    at: globs and names of the splits to attack; () = all that were chosen.
    shadow: whether it searches through a shadow edge, see `query_free`.
    images: how many test images are searched for.
    steps: of the search.
    learning_rate: of the search.
    tv: weight of total variation; wants to grow with the depth of the split.
    l2: weight of the squared norm.
  """

  text: str
  at: tuple[str, ...] = ()
  shadow: bool = False
  images: int = 32
  steps: int = WHITE_BOX.steps
  learning_rate: float = WHITE_BOX.learning_rate
  tv: float = WHITE_BOX.tv
  l2: float = WHITE_BOX.l2

  @property
  def search(self) -> Search:
    """The settings of the search."""
    return Search(self.steps, self.learning_rate, self.tv, self.l2)


Attack = DecoderAttack | SearchAttack
_SHADOWED = {'shadow': True, **dataclasses.asdict(QUERY_FREE)}
ATTACKS: dict[str, tuple[type[Attack], dict[str, Any]]] = {
  'inversion': (DecoderAttack, {}),
  'rmle': (SearchAttack, {}),
  'query_free': (SearchAttack, _SHADOWED),
}


def parse(text: str) -> Attack:
  """The attack that `text` spells.

  Raises:
    InputError: unknown name, option or value.
  """
  name, *options = text.split(':')
  check_known('attack', name, ATTACKS)
  cls, defaults = ATTACKS[name]
  kinds = get_type_hints(cls)
  known = [field for field in kinds if field not in ('text', 'shadow')]
  values = dict(defaults)
  given = set()
  for option in options:
    key, _, value = option.partition('=')
    if key not in known or not value or key in given:
      problem = 'is given twice' if key in given else 'is not known as KEY=VALUE'
      raise InputError(
        f"attack '{text}': option '{option}' {problem}{hint(key, known)}"
      )
    given.add(key)
    values[key] = _convert(text, option, value, kinds[key])
  attack = cls(text=text, **values)
  _check(attack)
  return attack


def _convert(text: str, option: str, value: str, kind: Any) -> Any:
  if kind == tuple[str, ...]:
    return tuple(value.split('|'))
  if allowed := get_args(kind):
    if value not in allowed:
      raise InputError(
        f"attack '{text}': {option} is not allowed{hint(value, allowed)}"
      )
    return value
  try:
    return kind(value)
  except ValueError:
    raise InputError(
      f"attack '{text}': {option} is not allowed; give a {kind.__name__}"
    ) from None


def _check(attack: Attack) -> None:
  """Raises InputError where a value is unknown or out of range."""
  if isinstance(attack, SearchAttack):
    for name, least in (('images', 1), ('steps', 1), ('tv', 0), ('l2', 0)):
      value = getattr(attack, name)
      most = 2**31 if isinstance(value, int) else math.inf
      if not least <= value < most:
        raise InputError(
          f"attack '{attack.text}': {name} must be at least {least} and below {most:g}"
        )
    if not 0 < attack.learning_rate < math.inf:
      raise InputError(f"attack '{attack.text}': learning_rate must be above 0")
    return
  inputs.make(attack.input)
  enhance_lib.parts(attack.enhance)
  attention_lib.plan(attack.attention, 1)
  if attack.reads_prediction and attack.at:
    raise InputError(
      f"attack '{attack.text}' reads the prediction, whatever the split; leave out 'at'"
    )
