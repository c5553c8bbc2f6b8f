"""What is known of each model: recipe families, the paper's splits, fitting images."""

import kinds
import pytest

from gpz_jax import models, partition
from gpz_jax.training.recipe import TARGET_RECIPES
from gpz_jax.types import InputError


def test_the_nets_that_tests_pick_are_in_the_table():
  assert set(kinds.NETS) <= set(models.MODELS)


def test_every_family_has_a_recipe():
  families = {name: known.family for name, known in models.MODELS.items()}
  assert set(families.values()) <= set(TARGET_RECIPES)
  assert families['vgg16'] == 'vgg'
  assert families['resnet18'] == 'ir'


def test_a_model_of_the_users_own_has_the_defaults_and_is_not_imported():
  known = models.info('no_such_package.at_all:Factory')
  assert known == models.ModelInfo()
  assert known.family == 'default'
  models.check_image('no_such_package.at_all:Factory', (1, 3, 7))


def test_the_paper_attacks_three_models():
  # docs/paper.md#experiments
  assert models.paper_models() == ['vgg19', 'ir152', 'vit6']


@pytest.mark.parametrize('name', models.paper_models())
def test_the_papers_splits_are_in_the_model(name):
  model = models.make(name, num_classes=10, width=0.125)
  splits = partition.list_splits(model, (64, 64, 3))
  assert set(models.info(name).paper_splits) <= set(splits)


@pytest.mark.parametrize(
  ('name', 'shape', 'options', 'message'),
  [
    ('cnn', (15, 64, 3), {}, 'at least 16x16 pixels, got 15x64x3; set image_size'),
    ('vgg11', (28, 28, 1), {}, 'at least 32x32 pixels, got 28x28x1'),
    ('vit6', (30, 32, 3), {}, 'multiples of 4, got 30x32x3; set image_size to 32'),
    ('vit6', (48, 30, 1), {}, 'multiples of 4, got 48x30x1; set image_size to 48x32'),
    ('vit6', (36, 36, 3), {'patch': 8}, 'multiples of 8, .* set image_size to 40'),
    ('vit6', (32, 32, 3), {'patch': 0}, 'patch 0 is not a whole number'),
    ('vit_b_16', (64, 72, 3), {}, 'multiples of 16, .* set image_size to 64x80'),
    ('maxvit_t', (64, 64, 3), {}, 'multiples of 224, .* set image_size to 224'),
    ('maxvit_t', (48, 64, 3), {'window': 2}, 'multiples of 64, .* to 64'),
    (
      *('maxvit_t', (40, 64, 3), {'window': 2, 'stem': 'small'}),
      'multiples of 32, .* to 64',
    ),
    ('inception_v3', (64, 80, 3), {}, 'at least 75x75 pixels, got 64x80x3'),
    ('ir50', (64, 64, 4), {}, 'needs images of 3 or 1 channels, got 64x64x4'),
    ('vgg12', (64, 64, 3), {}, "model 'vgg12' is not known; did you mean"),
  ],
)
def test_an_image_that_does_not_fit_is_refused_in_one_line(
  name, shape, options, message
):
  with pytest.raises(InputError, match=message) as caught:
    models.check_image(name, shape, options)
  assert '\n' not in str(caught.value)


@pytest.mark.ci
@pytest.mark.parametrize('name', kinds.each(sorted(models.MODELS)))
def test_the_smallest_image_of_the_table_gives_logits(name):
  form = models.info(name).image
  multiples = {'vit6': 4, 'vit_b_16': 16, 'maxvit_t': 32 * 7}
  side = max(form.least_side, multiples.get(name, 1))
  shape = (side, side, 1)
  models.check_image(name, shape)
  model = models.make(name, num_classes=10, width=0.125)
  assert partition.split_costs(model, shape, 10, ()) == {}  # checks the logits' shape
