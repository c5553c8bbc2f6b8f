"""Attacks as text."""

import sys

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
    ('inversion:width=0', 'width=0 is not above 0 and at most 16; give another one'),
    ('inversion:width=nan', 'width=nan'),
    ('inversion:act=relu', 'act=relu is not allowed.*Known: auto, code'),
    ('inversion:enhance=magic', "enhancement 'magic' is not known"),
    ('inversion:attention=magic', 'attention'),
    ('inversion:input=logits', "input 'logits' is not known"),
    ('inversion:decoder=unet', "decoder 'unet' is not known"),
    ('inversion:steps=3', "option 'steps=3' is not known"),
    ('inversion:input=prediction:at=conv_1', "leave out 'at'"),
    ('rmle:steps=many', 'steps=many is not allowed; give a int'),
    ('rmle:steps=0', 'steps must be at least 1'),
    ('rmle:tv=nan', 'tv must be at least 0'),
    ('rmle:learning_rate=0', 'learning_rate must be above 0'),
    ('rmle:learning_rate=1e-300', 'learning_rate must be above 0'),
    ('rmle:learning_rate=1e300', r'and below 1e\+06'),
    ('rmle:l2=1e39', r'l2 must be at least 0 and below 1e\+30'),
    ('query_free:images=99999999999', 'images must be at least 1 and below'),
    ('rmle:shadow=1', "option 'shadow=1' is not known"),
  ],
)
def test_errors_name_the_option_and_the_way_out(text, message):
  with pytest.raises(InputError, match=message) as caught:
    specs.parse(text)
  assert '\n' not in str(caught.value)


OWN = """
import dataclasses
from gpz_jax.attacks.activation import Attack


@dataclasses.dataclass(frozen=True)
class Mine(Attack):
  strength: int = 1

  def run(self, scenario):
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Unhashable(Mine):
  weights: list = dataclasses.field(default_factory=list)


class OwnInit(Mine):
  def __init__(self, power=1):
    super().__init__(strength=power)


def number():
  return 3


def fails(strength):
  raise ValueError(f'{strength} is too strong')
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
  """The name of a module with attacks of a user's own, which nothing has imported."""
  (tmp_path / 'own_attacks.py').write_text(OWN)
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, 'own_attacks', raising=False)
  yield 'own_attacks'
  sys.modules.pop('own_attacks', None)


def test_parse_imports_an_own_attack_and_check_does_not(own):
  text = f'{own}:Mine:strength=2:at=conv_1|unit_*'
  specs.check(text)
  specs.check('no_such_package.module:factory')
  assert own not in sys.modules
  attack = specs.parse(text)
  assert own in sys.modules
  assert (attack.text, attack.at, attack.strength) == (text, ('conv_1', 'unit_*'), 2)
  assert hash(attack) == hash(specs.parse(text))


@pytest.mark.parametrize(
  ('rest', 'message'),
  [
    ('Other', "'own_attacks:Other' cannot be imported.*on PYTHONPATH"),
    ('number', 'gives a int; give a subclass of gpz_jax.attacks.activation.Attack'),
    ('fails:strength=9', 'cannot be made with options.*9 is too strong'),
    ('Mine:force=9', 'cannot be made with options.*force'),
    ('Mine:strength=1:strength=2', "'strength=2' is given twice"),
    ('Mine:strength', "'strength' is not known as KEY=VALUE"),
    ('Unhashable', 'cannot be hashed.*frozen dataclass'),
    ('OwnInit:power=3', 'make its class a frozen dataclass'),
  ],
)
def test_own_attacks_that_cannot_be_used_are_refused(own, rest, message):
  with pytest.raises(InputError, match=message) as caught:
    specs.parse(f'{own}:{rest}')
  assert '\n' not in str(caught.value)


def test_an_own_module_that_does_not_exist_is_refused():
  with pytest.raises(InputError, match=r'cannot be imported.*no_such_package'):
    specs.parse('no_such_package.module:factory')
