"""Skip connections with a factor: what each factor does to a net and to its lanes."""

import functools

import chex
import jax
import jax.numpy as jnp
import kinds
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition, skip_text, targets
from gpz_jax.models import efficientnet, ir, maxvit, skip_lanes, skips, vit_b
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import InputError, Lane, Treatment

pytestmark = pytest.mark.usefixtures('short_resnet')
# Every factor that the issue names, on four stages.
SKIPS = (
  'intact',
  '1110',
  '0111',
  '1011',
  '1101',
  '1111/0.2',
  '1111/0.01',
  '1110@1',
)
IMAGES = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
NETS = {
  'resnet18': {'width': 0.0625},
  'ir50': {'width': 0.0625},
  'vit6': {'width': 0.25, 'heads': 2},
  'efficientnet_b0': {'width': 0.25, 'stem': 'small'},
  'maxvit_t': {'width': 0.125, 'stem': 'small', 'window': 2},
  'vit_b_16': {'width': 1 / 32, 'heads': 2, 'patch': 4},
}
FIRST = ('resnet18', 'ir50', 'vit6')  # in `make test`; CI runs all
PROJECTING = ('resnet18', 'ir50', 'maxvit_t')  # the others' skips have no parameters


@pytest.fixture(autouse=True)
def few_blocks(monkeypatch):
  """Nets that are long to compile are short here."""
  settings = efficientnet.SETTINGS[0], efficientnet.Setting(6, 3, 2, 64, 2)
  monkeypatch.setattr(efficientnet, 'SETTINGS', settings)
  monkeypatch.setattr(maxvit, 'LAYERS', (1,))
  monkeypatch.setattr(ir, 'STAGES', {50: (2, 1, 2, 1)})
  short = models.ModelInfo(functools.partial(vit_b.VisionTransformer, depth=2))
  monkeypatch.setitem(models.MODELS, 'vit_b_16', short)


def make(name, **options):
  return models.make(name, num_classes=3, **NETS[name], **options)


def letters(name, removed=None):
  """Skips with one stage removed, of as many stages as the net has."""
  count = make(name).num_stages
  return ''.join('0' if stage == removed else '1' for stage in range(count))


def shapes(model):
  image = jax.ShapeDtypeStruct((1, 16, 16, 3), jnp.float32)
  return jax.eval_shape(lambda x: model.init(jax.random.key(0), x), image)


@pytest.mark.parametrize('name', kinds.each(NETS, FIRST))
def test_one_is_the_plain_net_bit_for_bit(name):
  plain = make(name)
  assert make(name, skips=letters(name)) == plain
  variables = tiny.random_variables(plain, IMAGES)
  carried = skips.carry(plain, [letters(name, 0)])
  assert set(shapes(carried)) - set(variables) == {skips.COLLECTION}
  factors = jax.jit(lambda x: carried.init(jax.random.key(0), x)[skips.COLLECTION])
  theirs = {**variables, skips.COLLECTION: factors(IMAGES)}

  def gradient(model, variables):
    def loss(params):
      logits = model.apply({**variables, 'params': params}, IMAGES)
      return jax.nn.logsumexp(logits, axis=-1).sum()

    return jax.jit(jax.value_and_grad(loss))(variables['params'])

  chex.assert_trees_all_equal(gradient(plain, variables), gradient(carried, theirs))


@pytest.mark.parametrize('name', kinds.each(NETS, FIRST))
def test_a_removed_stage_is_not_there(name):
  removed = letters(name, removed=make(name).num_stages - 1)
  fixed = make(name, skips=removed)
  plain = make(name)
  carried = skips.carry(plain, [removed])
  variables = tiny.random_variables(plain, IMAGES)
  one = skip_text.parse(removed)
  table = jnp.array(one.table(getattr(plain, 'skip_parts', ())))
  theirs = {**variables, skips.COLLECTION: {'factors': table}}
  kept = shapes(fixed)
  ours = {kind: keep(variables[kind], kept[kind]) for kind in variables if kind in kept}
  np.testing.assert_allclose(
    jax.jit(fixed.apply)(ours, IMAGES),
    jax.jit(carried.apply)(theirs, IMAGES),
    rtol=1e-6,
    atol=1e-6,
  )
  fewer = count(kept['params'])
  assert fewer <= count(variables['params'])
  if name in PROJECTING:
    assert fewer < count(variables['params'])

  def loss(params):
    logits = jnp.asarray(carried.apply({**theirs, 'params': params}, IMAGES))
    return jax.nn.logsumexp(logits, axis=-1).sum()

  found = jax.device_get(jax.jit(jax.grad(loss))(variables['params']))
  for path, leaf in jax.tree_util.tree_leaves_with_path(found):
    name = jax.tree_util.keystr(path, simple=True, separator='/')
    is_removed = name not in names(kept['params'])
    assert (np.abs(leaf).max() == 0) == is_removed, name


def keep(tree, like):
  """The leaves of a tree that another one has."""
  return {
    name: keep(tree[name], branch) if isinstance(branch, dict) else tree[name]
    for name, branch in like.items()
  }


def count(tree):
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def names(tree):
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  return {jax.tree_util.keystr(p, simple=True, separator='/') for p, _ in leaves}


def test_a_transformer_has_a_factor_for_each_part():
  plain = make('vit6')
  some = skips.carry(plain, ['000000:mlp'])
  arrays = skip_lanes.lane_arrays(some, ['000000:mlp', 'intact', '011111'], 3)
  assert arrays['skips'].shape == (3, 6, 2)
  np.testing.assert_array_equal(arrays['skips'][0], [[1, 0]] * 6)
  np.testing.assert_array_equal(arrays['skips'][2], [[0, 0]] + [[1, 1]] * 5)
  with pytest.raises(InputError, match='lacks: it has attention, mlp'):
    skips.carry(plain, ['000000:conv'])
  with pytest.raises(InputError, match='its stages have no parts'):
    skips.carry(make('resnet18'), ['1110:mlp'])


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('12', 'not of this form'),
    ('', 'not of this form'),
    ('1110/0.5', 'its last stage is not 1'),
    ('s111', 'needs a factor'),
    ('1111/2', 'not in'),
    ('1111/nan', 'not in'),
    ('1111/x', 'not in'),
    ('1110@', 'not of this form'),
  ],
)
def test_what_is_no_text_is_refused(text, message):
  with pytest.raises(InputError, match=message):
    skip_text.parse(text)


def test_texts_are_written_in_one_way():
  written = {
    '1111': 'intact',
    '1111/1.0': 'intact',
    '1111@3': 'intact',
    '1111/0': '1110',
    '111s/0.20': '1111/0.2',
    '1s11/.5': '1s11/0.5',
    '111l': '111l',
    '1110@05': '1110@5',
    'intact': 'intact',
  }
  for text, expected in written.items():
    assert skip_text.canonical(text) == expected
    assert skip_text.canonical(expected) == expected


def test_a_model_says_what_it_cannot_do():
  with pytest.raises(InputError, match="'11110' name 5 stages, and ResNet has 4"):
    make('resnet18', skips=(1, 1, 1, 1, 0))
  with pytest.raises(InputError, match='change during the training'):
    make('resnet18', skips='1110@5')
  with pytest.raises(InputError, match='VGG has none'):
    models.make('vgg11', num_classes=3, skips='1110')
  with pytest.raises(InputError, match='only one factor'):
    make('resnet18', skips=(1, 0.5, 0.2, 1))


def train(texts, *, model=None, epochs=2):
  """Targets [L] of a lane for each text, on 24 images in `epochs` epochs."""
  lanes = [Lane('resnet18', 'tiny', Treatment(skips=text), 0) for text in texts]
  model = skips.carry(make('resnet18'), texts) if model is None else model
  recipe = Recipe(epochs, batch_size=8)
  found, history = targets.train(
    model, tiny.task(train=24), lanes, recipe, engine=Engine('map', devices=1)
  )
  return jax.device_get(found), history  # an index of NumPy's compiles nothing


@pytest.fixture(scope='module')
def plain():
  return train(['intact'])[0]


@pytest.fixture(scope='module')
def together():
  """The targets of all treatments, their history and how often a step was traced."""
  counts = []

  class Counted(targets.Trainer):
    def fit(self, *args, **options):
      found = super().fit(*args, **options)
      counts.append(self.traces)
      return found

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(targets, 'Trainer', Counted)
    return *train(SKIPS), counts


@pytest.fixture
def trained(together):
  return together[0]


def test_all_treatments_are_one_program(together):
  assert together[2] == [1]


@pytest.mark.ci
def test_a_lane_is_the_same_alone_and_beside_others(trained, plain):
  ours = jax.tree.map(lambda leaf: leaf[0], trained)
  theirs = jax.tree.map(lambda leaf: leaf[0], plain)
  adopted = skip_lanes.adopt(make('resnet18'), ours)
  chex.assert_trees_all_equal(adopted, theirs)
  index = SKIPS.index('1111/0.2')
  alone, _ = train(['1111/0.2'])
  chex.assert_trees_all_equal(
    jax.tree.map(lambda leaf: leaf[index], trained),
    jax.tree.map(lambda leaf: leaf[0], alone),
  )


def test_a_schedule_begins_intact_and_ends_removed(together):
  trained, history, _ = together
  index = SKIPS.index('1110@1')
  factors = trained.best.variables[skips.COLLECTION]['factors']
  np.testing.assert_array_equal(factors[index, :, 0], [1, 1, 1, 0])
  assert trained.best.epoch[index] == 2  # the first trained with every skip
  assert history['loss'][0][index] != history['loss'][0][SKIPS.index('1110')]
  with pytest.raises(InputError, match='has 2 epochs'):
    train(['1110@2'])


@pytest.mark.ci
def test_learned_factors_move_only_where_they_are_learned(plain):
  texts = ['111l', '1110', 'intact']
  found, _ = train(texts)
  model = skips.carry(make('resnet18'), texts)
  lanes = [jax.tree.map(lambda leaf, i=i: leaf[i], found.best) for i in range(3)]
  learned, removed, intact = (
    [k for (k,) in skips.final_factors(model, lane.variables)] for lane in lanes
  )
  assert learned[:3] == [1, 1, 1]
  assert 0 < learned[3] < 1
  assert learned[3] != 0.5
  assert (removed, intact) == ([1, 1, 1, 0], [1, 1, 1, 1])
  assert lanes[1].params['skip_logits'].tolist() == [0, 0, 0, 0]
  adopted = skip_lanes.adopt(make('resnet18'), found)
  chex.assert_trees_all_equal(
    jax.tree.map(lambda leaf: leaf[2], adopted),
    jax.tree.map(lambda leaf: leaf[0], plain),
  )


def test_a_model_without_factors_refuses_targets_that_carry_them(trained):
  plain = make('resnet18')
  with pytest.raises(InputError, match='would leave out'):
    targets.evaluate(plain, trained, tiny.dataset(0, 8))
  one = jax.tree.map(lambda leaf: leaf[0], trained.best).variables
  with pytest.raises(InputError, match='would leave out'):
    partition.capture(plain, one, IMAGES, ['stem'])
  with pytest.raises(InputError, match='make it by'):
    train(['1110'], model=plain)
