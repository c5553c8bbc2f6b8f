"""Attacks as text."""

import pytest

from gpz_jax.attacks.activation import optimisation, specs
from gpz_jax.types import InputError


def test_options_and_defaults():
  attack = specs.parse('inversion:enhance=nn_concat:attention=aac+se:at=unit_49|*_50')
  assert attack == specs.DecoderAttack(
    text='inversion:enhance=nn_concat:attention=aac+se:at=unit_49|*_50',
    at=('unit_49', '*_50'),
    enhance='nn_concat',
    attention='aac+se',
  )
  assert specs.parse('rmle').search == optimisation.WHITE_BOX
  assert specs.parse('query_free').search == optimisation.QUERY_FREE
  assert specs.parse('query_free').shadow
  assert specs.parse('rmle:tv=1000:steps=20').search.tv == 1000.0


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('inversoin', "attack 'inversoin' is not known; did you mean 'inversion'"),
    ('inversion:enhanc=none', "option 'enhanc=none' is not known.*mean 'enhance'"),
    ('inversion:enhance', "option 'enhance' is not known as KEY=VALUE"),
    ('inversion:act=tanh:act=code', "option 'act=code' is given twice"),
    ('inversion:act=relu', 'act=relu is not allowed.*Known: auto, code'),
    ('inversion:enhance=magic', "enhancement 'magic' is not known"),
    ('inversion:attention=magic', 'attention'),
    ('inversion:input=logits', "input 'logits' is not known"),
    ('inversion:decoder=unet', 'decoder=unet is not allowed'),
    ('inversion:steps=3', "option 'steps=3' is not known"),
    ('inversion:input=prediction:at=conv_1', "leave out 'at'"),
    ('rmle:steps=many', 'steps=many is not allowed; give a int'),
    ('rmle:steps=0', 'steps must be at least 1'),
    ('rmle:tv=nan', 'tv must be at least 0'),
    ('rmle:learning_rate=0', 'learning_rate must be above 0'),
    ('rmle:shadow=1', "option 'shadow=1' is not known"),
  ],
)
def test_errors_name_the_option_and_the_way_out(text, message):
  with pytest.raises(InputError, match=message) as caught:
    specs.parse(text)
  assert '\n' not in str(caught.value)
