"""Defences as text, and the places of a model that they name."""

import sys
import types

import pytest

from gpz_jax import defences, models
from gpz_jax.defences import protocol
from gpz_jax.defences.specs import DEFENCES
from gpz_jax.types import InputError, Treatment
from gpz_jax.vocabulary import DEFENCES as WORDS

IMAGE = (16, 16, 3)


def test_every_defence_has_a_class():
  assert tuple(DEFENCES) == WORDS
  assert Treatment().defence == defences.NONE == defences.canonical('none')


@pytest.mark.parametrize(
  ('text', 'written'),
  [
    ('none', 'none'),
    ('bido', 'bido'),
    ('bido:ly=0.50:measure=hsic:lx=0.05', 'bido'),
    ('bido:ly=50:lx=1.0:measure=coco', 'bido:measure=coco:lx=1:ly=50'),
    ('bido:lx=0:ly=0', 'bido:lx=0:ly=0'),
    ('bido:at=conv_1|conv_2:lx=.1', 'bido:at=conv_1|conv_2:lx=0.1'),
    ('noise:sigma=0.10:clip=1', 'noise'),
    ('noise:sigma=0.12345678', 'noise:sigma=0.12345678'),
    ('dropout:rate=.5', 'dropout:rate=0.5'),
    ('tl:frozen=2', 'tl'),
    ('vib:beta=0.01:size=8', 'vib:size=8'),
    ('a.b:make:z=1:at=x:c=2', 'a.b:make:at=x:c=2:z=1'),
  ],
)
def test_texts_are_written_in_one_way(text, written):
  assert defences.canonical(text) == written
  assert defences.canonical(written) == written
  if ':make' not in text:
    assert defences.parse(text).text == written


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('bid', "defence 'bid' is not known; did you mean 'bido'"),
    (
      'bido:mesure=coco',
      "option 'mesure=coco' is not known as KEY=VALUE; did you mean",
    ),
    ('bido:measure=cka', 'measure=cka is not allowed. Known: hsic, coco'),
    ('bido:lx=x', 'lx=x is not allowed; give a float'),
    ('bido:lx=-1', 'lx must be at least 0 and finite'),
    ('bido:ly=nan', 'ly must be at least 0 and finite'),
    ('bido:eps=0', 'eps must be at least'),
    ('noise:clip=0', 'clip must be above 0'),
    ('noise:sigma=inf', 'sigma must be at least 0 and finite'),
    ('dropout:rate=1', 'rate must be at least 0 and below 1'),
    ('tl:frozen=0', 'frozen must be at least 1'),
    ('tl:at=conv_1', 'takes no at'),
    ('vib:at=conv_1', 'takes no at'),
    ('none:at=conv_1', "option 'at=conv_1' is not known"),
    ('neg_ls:alpha=-0.05', 'is a negative label smoothing; give --alphas=-0.05'),
    ('rolss', 'give --skips=1110'),
    ('absent.module:make', 'cannot be imported'),
  ],
)
def test_what_is_no_defence_is_one_line(text, message):
  with pytest.raises(InputError, match=message) as caught:
    defences.parse(text)
  assert '\n' not in str(caught.value)


def test_the_stages_of_a_model():
  def stages(name, side=32, **options):
    model = models.make(name, num_classes=3, **options)
    return protocol.list_stages(model, (side, side, 3))

  expected = ('layer1_1', 'layer2_1', 'layer3_1', 'layer4_1')
  assert stages('resnet18', width=0.0625) == expected
  assert stages('resnet18', width=0.0625, stem='imagenet', side=64) == expected
  assert stages('cnn', width=0.0625) == tuple(f'conv_{i}' for i in range(1, 5))
  assert stages('vit6', width=0.25) == tuple(f'block_{i}' for i in range(1, 7))
  assert stages('vgg11', width=0.0625) == (
    'feat_3', 'feat_7', 'feat_14', 'feat_21', 'feat_28',
  )  # fmt: skip


@pytest.mark.parametrize('text', ['bido:at=layer5_1', 'noise:at=layer5_1'])
def test_a_split_that_is_not_there_is_named_with_all_that_are(text):
  model = models.make('cnn', num_classes=3, width=0.0625)
  message = f"defence '{text}': split 'layer5_1' is not in the model. Known: conv_1, "
  with pytest.raises(InputError, match=message) as caught:
    protocol.select(defences.parse(text), model, IMAGE)
  assert '\n' not in str(caught.value)


def test_inner_modules_can_be_read():
  model = models.make('cnn', num_classes=3, width=0.0625)
  found = defences.parse('bido:at=conv_1/Conv_0|conv_*').list_reads(model, IMAGE)
  assert found == ('conv_1/Conv_0', 'conv_1', 'conv_2', 'conv_3', 'conv_4')


def test_more_stages_than_there_are_cannot_be_frozen():
  model = models.make('cnn', num_classes=3, width=0.0625)
  with pytest.raises(InputError, match='freezes 5 stages, and the model has 4: conv_1'):
    defences.prepare(model, IMAGE, ['tl:frozen=5'])


def test_layers_are_not_shared_with_lanes_that_lack_them():
  model = models.make('cnn', num_classes=3, width=0.0625)
  assert defences.wrap(model, IMAGE, ['none', 'bido']) is model
  with pytest.raises(InputError, match=r"'vib' changes the layers .* with 'bido'"):
    defences.wrap(model, IMAGE, ['bido', 'vib'])
  with pytest.raises(InputError, match='give them to two studies'):
    defences.wrap(model, IMAGE, ['vib', 'vib:size=4'])
  wrapped = defences.wrap(model, IMAGE, ['vib', 'vib:beta=0.1'])
  assert type(wrapped).__name__ == 'CNN'


@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('number', 'gives a int; give a subclass of gpz_jax.defences.Defence'),
    ('fails', 'cannot be made with options'),
    ('textual', 'a field that traced names is no number'),
  ],
)
def test_defences_of_ones_own_that_are_none(monkeypatch, name, message):
  class Textual(protocol.Defence):
    traced = ('text',)

  module = types.ModuleType('users')
  module.number = lambda: 7
  module.fails = lambda missing: missing
  module.textual = Textual
  monkeypatch.setitem(sys.modules, 'users', module)
  with pytest.raises(InputError, match=message) as caught:
    defences.parse(f'users:{name}')
  assert '\n' not in str(caught.value)
