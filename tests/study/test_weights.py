"""Weights of torchvision's nets as they come, from the file to the rows."""

import pytest
import tiny

from gpz_jax import sweep
from gpz_jax.sweep.runner import opened
from gpz_jax.types import InputError

torch_nets = pytest.importorskip('torch_nets', reason='it needs torch')
safetensors = pytest.importorskip('safetensors.torch')

CLASSES = 10  # of the dataset 'shapes'


@pytest.fixture
def config(tmp_path):
  """A function of a net and options of the model: a sweep of that net's weights."""

  def make(net, *options, num_classes=CLASSES, splits=('stem',)):
    path = tmp_path / f'{net}.safetensors'
    module = torch_nets.make(net, num_classes=num_classes, width=1 / 16)
    safetensors.save_file(module.state_dict(), path)
    return tiny.sweep_config(
      tmp_path / 'run',
      model=net.removesuffix('_bn'),
      model_options=('width=0.0625', *options),
      image_size=32,
      target_weights=str(path),
      splits=splits,
    )

  return make


@pytest.mark.ci
def test_what_is_inferred_is_in_the_model_and_in_the_rows(config):
  plan = sweep.make_plan(config('resnet18'))
  assert plan.model.stem == 'imagenet'
  assert plan.model_options == 'normalization=imagenet,stem=imagenet,width=0.0625'
  assert plan.weights['params']['stem']['conv']['kernel'].shape == (7, 7, 3, 4)


def test_the_head_and_the_batch_norm_are_inferred(config):
  plan = sweep.make_plan(config('vgg11', splits=('feat_5', 'fc_1')))
  assert (plan.model.head, plan.model.norm) == ('torchvision', 'none')
  assert plan.model_options == (
    'head=torchvision,norm=none,normalization=imagenet,width=0.0625'
  )
  assert plan.splits == ('feat_5', 'fc_1')


def test_what_is_assumed_is_printed(config, capfd):
  with opened(config('resnet18'), quiet=False):
    pass
  found = ''.join(capfd.readouterr())
  assert 'the weights tell stem=imagenet (conv1.weight is (4, 3, 7, 7))' in found
  assert 'imagenet is assumed' in found
  assert 'attacked as it is: --target_epochs=1, --target_batch_size=8; give' in found


def test_what_is_given_goes_to_the_rows_as_it_is(config):
  plan = sweep.make_plan(config('resnet18', 'normalization=half'))
  assert plan.model.normalization == 'half'
  assert plan.model_options == 'normalization=half,stem=imagenet,width=0.0625'


def test_a_contradiction_is_refused(config):
  with pytest.raises(InputError, match='stem=small_pool contradicts the weights'):
    sweep.make_plan(config('resnet18', 'stem=small_pool'))


def test_other_classes_are_refused_with_both_numbers(config):
  with pytest.raises(InputError, match='have 7 classes and the data has 10: '):
    sweep.make_plan(config('resnet18', num_classes=7))


def test_without_weights_nothing_is_inferred(tmp_path):
  plan = sweep.make_plan(tiny.sweep_config(tmp_path / 'run'))
  assert (plan.inferred.options, plan.inferred.notes) == ({}, ())
  assert plan.model_options == 'normalization=cifar10,width=0.0625'
