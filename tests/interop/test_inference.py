"""What weights tell of their net, against torchvision's names and shapes."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.interop import names
from gpz_jax.interop.misfits import name_model
from gpz_jax.interop.torch import import_weights, infer_options, variable_shapes
from gpz_jax.types import InputError

torch_nets = pytest.importorskip('torch_nets', reason='it needs torch')

# torchvision: `num_params` in the metadata of each net's weights
PUBLISHED = {
  'resnet18': 11_689_512,
  'resnet34': 21_797_672,
  'resnet50': 25_557_032,
  'resnet101': 44_549_160,
  'resnet152': 60_192_808,
  'vgg11': 132_863_336,
  'vgg11_bn': 132_868_840,
  'vgg13': 133_047_848,
  'vgg13_bn': 133_053_736,
  'vgg16': 138_357_544,
  'vgg16_bn': 138_365_992,
  'vgg19': 143_667_240,
  'vgg19_bn': 143_678_248,
}


def _sizes(side, channels=3) -> dict[str, Any]:
  return {'num_classes': 1000, 'image_shape': (side, side, channels)}


SIZES = _sizes(64)


@pytest.fixture(scope='module')
def resnet18():
  return torch_nets.full_size('resnet18')


@pytest.fixture(scope='module')
def vgg11_bn():
  return torch_nets.full_size('vgg11_bn')


def _refusal(function, *args, **options) -> str:
  with pytest.raises(InputError) as caught:
    function(*args, **options)
  message = str(caught.value)
  assert '\n' not in message
  return message


@pytest.mark.parametrize('side', kinds.each([64, 224], [64]))
@pytest.mark.parametrize('name', PUBLISHED)
def test_the_published_number_of_parameters(name, side):
  ours, state_dict = name.removesuffix('_bn'), torch_nets.full_size(name)
  inferred = infer_options(ours, state_dict, **_sizes(side))
  model = models.make(ours, num_classes=1000, **inferred.options)
  image = jnp.zeros((1, side, side, 3))
  variables = jax.eval_shape(model.init, jax.random.key(0), image)
  count = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  assert count == PUBLISHED[name]
  has_norm = name.startswith('resnet') or name.endswith('_bn')
  assert ('batch_stats' in variables) == has_norm
  assert inferred.options['normalization'] == 'imagenet'


def test_what_is_told_and_what_is_assumed_is_said(resnet18, vgg11_bn):
  inferred = infer_options('resnet18', resnet18, **SIZES)
  assert inferred.options == {'stem': 'imagenet', 'normalization': 'imagenet'}
  told, assumed = inferred.notes
  assert told == 'the weights tell stem=imagenet (conv1.weight is (64, 3, 7, 7))'
  assert 'normalised: imagenet is assumed' in assumed
  assert '--model_options=normalization=... changes it' in assumed
  inferred = infer_options('vgg11', vgg11_bn, **SIZES)
  assert inferred.options == {'head': 'torchvision', 'normalization': 'imagenet'}
  assert [note[:30] for note in inferred.notes] == [
    'the weights tell norm=batch (b',
    'the weights tell head=torchvis',
    'the weights do not tell how th',
  ]


def test_a_small_stem_may_have_a_pool():
  small = torch_nets.full_size('resnet18', stem='small')
  inferred = infer_options('resnet18', small, **SIZES)
  assert not inferred.options  # both are the defaults
  assert 'do not tell stem=small from small_pool' in inferred.notes[0]
  assert '--model_options=stem=small_pool changes it' in inferred.notes[0]
  assert 'cifar10 is assumed; ' in inferred.notes[1]


def test_the_released_head_has_the_default_normalization():
  compact = torch_nets.full_size('vgg11_bn', pool7=False, side=64)
  inferred = infer_options('vgg11', compact, **SIZES)
  assert not inferred.options
  assert 'cifar10 is assumed; ' in inferred.notes[-1]


def test_heads_that_are_one_function_are_not_told_apart(vgg11_bn):
  for head in (None, 'compact', 'torchvision'):
    given: dict[str, Any] = {'head': head} if head else {}
    inferred = infer_options('vgg11', vgg11_bn, **_sizes(224), **given)
    assert 'head' not in inferred.options
    assert not any('head' in note for note in inferred.notes)


def test_what_is_given_is_not_overruled_and_not_said(resnet18):
  given: dict[str, Any] = {'normalization': 'half', 'stem': 'imagenet'}
  inferred = infer_options('resnet18', resnet18, **SIZES | given)
  assert (inferred.options, inferred.notes) == ({}, ())


def test_a_prefix_of_all_names_does_not_hide_the_net(resnet18, vgg11_bn):
  for name, plain in (('resnet18', resnet18), ('vgg11', vgg11_bn)):
    wrapped = {f'module.{key}': array for key, array in plain.items()}
    assert infer_options(name, wrapped, **SIZES) == infer_options(name, plain, **SIZES)


def test_grey_images_have_no_statistics_of_imagenet(resnet18):
  grey = resnet18 | {'conv1.weight': np.zeros((64, 1, 7, 7))}
  inferred = infer_options('resnet18', grey, **_sizes(64, channels=1))
  assert inferred.options == {'stem': 'imagenet'}


def test_other_models_tell_only_what_is_assumed():
  variables = {'params/logits/kernel': np.zeros((2, 2))}
  for name in ('cnn', 'vgg11', 'vit6'):
    inferred = infer_options(name, variables, **SIZES)
    assert not inferred.options
    assert 'cifar10 is assumed' in inferred.notes[0]
  assert not infer_options('tiny:Wide', variables, **SIZES).notes


@pytest.mark.parametrize(
  ('net', 'given', 'message'),
  [
    (
      'resnet18',
      {'stem': 'small'},
      '--model_options=stem=small contradicts the weights: conv1.weight is'
      ' (64, 3, 7, 7), which is stem=imagenet; give that, or leave stem out',
    ),
    (
      'vgg11_bn',
      {'head': 'compact'},
      'classifier.0.weight is (4096, 25088), which is head=torchvision; give that',
    ),
    (
      'vgg11_bn',
      {'norm': 'none'},
      "batch norm begins at 'features.1.running_mean', which is norm=batch",
    ),
    ('vgg11', {'norm': 'batch'}, 'features have no running_mean, which is norm=none'),
  ],
)
def test_an_option_that_contradicts_the_weights_is_refused(net, given, message):
  state_dict = torch_nets.full_size(net)
  name = net.removesuffix('_bn')
  assert message in _refusal(infer_options, name, state_dict, **SIZES, **given)


@pytest.mark.parametrize(
  ('net', 'model', 'changes', 'cure'),
  [
    ('vgg11_bn', 'vgg11', {}, 'give --model_options=head=torchvision'),
    ('vgg11', 'vgg11', {'head': 'torchvision'}, 'give --model_options=norm=none'),
    ('resnet18', 'resnet18', {}, 'give --model_options=stem=imagenet'),
    (
      'resnet34',
      'resnet18',
      {'stem': 'imagenet'},
      'these are weights of resnet34: give --model=resnet34',
    ),
    (
      'resnet50',
      'resnet34',
      {'stem': 'imagenet'},
      'these are weights of resnet50: give --model=resnet50',
    ),
    ('vgg13', 'resnet18', {}, 'these are weights of vgg13: give --model=vgg13'),
    (
      'resnet18',
      'resnet18',
      {'stem': 'imagenet', 'num_classes': 10},
      'the weights have 1000 classes and the data has 10: replace the last layer by'
      ' --new_head (new_head=True in Python) and train it, or give the --dataset of the'
      ' weights',
    ),
  ],
)
def test_a_misfit_names_its_cure(net, model, changes, cure):
  state_dict = torch_nets.full_size(net)
  message = _refusal(import_weights, model, state_dict, **SIZES | changes)
  assert message.endswith(cure)


def _names(model_name, **options):
  """Blank arrays under torch's names."""
  model = models.make(model_name, num_classes=1000, **options)
  shapes = variable_shapes(model, (64, 64, 3))
  return {
    entry.torch: np.broadcast_to(
      np.float32(0), entry.layout.torch_shape(shapes[entry.linen].shape)
    )
    for entry in names.TABLES[type(model)](model, (64, 64, 3))
  }


def test_a_densenet_is_known_by_its_blocks_and_its_stem():
  arrays = _names('densenet169', stem='imagenet')
  inferred = infer_options('densenet169', arrays, **SIZES)
  assert inferred.options == {'stem': 'imagenet', 'normalization': 'imagenet'}
  message = _refusal(import_weights, 'densenet121', arrays, **SIZES, stem='imagenet')
  assert message.endswith('these are weights of densenet169: give --model=densenet169')


def test_the_names_in_torchvisions_files_of_densenets():
  arrays = _names('densenet121', stem='imagenet')
  old = {
    re.sub(r'(r\d+\.(?:norm|conv))([12])', r'\1.\2', n): a for n, a in arrays.items()
  }
  assert 'features.denseblock1.denselayer1.norm.1.weight' in old
  assert name_model(old) == 'densenet121'
  wrapped = {f'module.{name}': array for name, array in old.items()}
  for given in (old, wrapped):
    import_weights('densenet121', given, **SIZES, stem='imagenet')


def test_a_repvgg_does_not_tell_its_stem_but_its_form():
  trained, fused = _names('repvgg_a0'), _names('repvgg_a0', fused=True)
  inferred = infer_options('repvgg_a0', trained, **SIZES)
  assert inferred.options == {'stem': 'imagenet', 'normalization': 'imagenet'}
  assert 'do not tell stem=imagenet from small' in inferred.notes[0]
  message = _refusal(import_weights, 'repvgg_a0', fused, **SIZES)
  assert message.endswith('the form for inference: give --model_options=fused=True')
  message = _refusal(import_weights, 'repvgg_a0', trained, **SIZES, fused=True)
  assert message.endswith('as it was trained: give --model_options=fused=False')
  message = _refusal(import_weights, 'repvgg_b0', trained, **SIZES)
  assert message.endswith('these are weights of repvgg_a0: give --model=repvgg_a0')


def test_a_head_of_another_image_size_names_the_size():
  compact = torch_nets.full_size('vgg11_bn', pool7=False, side=96)
  assert infer_options('vgg11', compact, **SIZES).options == {}
  message = _refusal(import_weights, 'vgg11', compact, **SIZES)
  assert message.endswith('takes a map of 3x3: give --image_size=96')


def test_a_net_that_is_not_known_has_no_cure():
  state_dict = {'stem.weight': np.zeros(3), 'conv1.weight': np.zeros((8, 3, 5, 5))}
  message = _refusal(import_weights, 'resnet18', state_dict, **SIZES)
  assert 'give --model' not in message
  assert infer_options('resnet18', state_dict, **SIZES).options == {}


@pytest.mark.parametrize('head', ['compact', 'torchvision'])
def test_splits_without_batch_norm_count_torchvisions_modules(head):
  model = models.make('vgg11', num_classes=10, width=1 / 16, norm='none', head=head)
  splits = partition.list_splits(model, (32, 32, 3))
  assert list(splits) == [
    *('feat_2', 'feat_5', 'feat_8', 'feat_10', 'feat_13', 'feat_15', 'feat_18'),
    *('feat_20', 'fc_1', 'fc_2'),
  ]


@pytest.mark.parametrize('switch', [True, 'true', False, 'false'])
def test_inception_is_told_of_its_images_as_it_normalises_them(switch):
  """With transform_input it makes half of imagenet, and would of half too."""
  net = {'Mixed_7c.branch3x3dbl_3b.conv.weight': np.zeros((384, 384, 3, 1))}
  given: dict[str, Any] = {'transform_input': switch}
  inferred = infer_options('inception_v3', net, **_sizes(75), **given)
  expected = 'imagenet' if switch in (True, 'true') else 'half'
  assert inferred.options == {'normalization': expected}
  assert f'{expected} is assumed, as for weights of torchvision' in inferred.notes[-1]
