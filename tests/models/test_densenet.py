"""DenseNets and the two forms of their skip connections."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from gpz_jax import models, partition, targets
from gpz_jax.models import densenet, skip_lanes, skips
from gpz_jax.study.plan import treat
from gpz_jax.training.engine import Engine
from gpz_jax.training.recipe import Recipe
from gpz_jax.types import InputError, Lane, Treatment

IMAGES = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))


def splits(name, **options):
  model = models.make(name, num_classes=10, stem='imagenet', **options)
  return {
    name: s.shape for name, s in partition.list_splits(model, (64, 64, 3)).items()
  }


def test_splits_in_forward_order():
  assert splits('densenet121') == {
    'stem': (16, 16, 64),
    'block_1': (16, 16, 256),
    'transition_1': (8, 8, 128),
    'block_2': (8, 8, 512),
    'transition_2': (4, 4, 256),
    'block_3': (4, 4, 1024),
    'transition_3': (2, 2, 512),
    'block_4': (2, 2, 1024),
    'head': (1024,),
  }


# Channels before the classifier, docs/paper.md#skip-connections
@pytest.mark.parametrize(
  ('name', 'removed', 'scaled'),
  [
    ('densenet121', 32, 37),
    pytest.param('densenet161', 48, 59, marks=pytest.mark.ci),
    pytest.param('densenet169', 32, 38, marks=pytest.mark.ci),
    pytest.param('densenet201', 32, 41, marks=pytest.mark.ci),
  ],
)
def test_channels_before_the_classifier(name, removed, scaled):
  assert splits(name, skips=(1, 1, 1, 0))['head'] == (removed,)
  assert splits(name, skips=(1, 1, 1, 0.01))['head'] == (scaled,)


def test_a_mask_keeps_every_width():
  masked = splits('densenet121', skips='1110', skip_form='mask')
  assert masked == splits('densenet121')


@pytest.mark.ci
def test_an_early_stage_removed_leaves_half_of_the_growth():
  assert splits('densenet121', skips='0111')['transition_1'] == (8, 8, 16)
  assert splits('densenet161', skips='1011')['transition_2'] == (4, 4, 24)


def test_the_bottleneck_is_as_wide_as_it_says():
  found = splits('densenet121', bottleneck=32)
  assert found['block_4'] == (2, 2, 1024)
  assert found['bottleneck'] == (2, 2, 32)
  assert found['head'] == (32,)
  for wrong in (-1, 'x'):
    with pytest.raises(InputError, match=f"bottleneck '{wrong}' is no number"):
      splits('densenet121', bottleneck=wrong)


def test_a_traced_factor_keeps_as_many_channels_as_a_fixed_one():
  count = jax.jit(lambda k, x: (densenet._keep(x, k, 'mask') != 0).sum())
  for channels in (5, 45, 96, 512):
    ones = jnp.ones(channels)
    for k in (0.0, 0.01, 0.1, 0.2, 0.25, 0.5, 0.7, 0.99, 1.0):
      kept = densenet.count_kept(k, channels)
      assert count(jnp.float32(k), ones) == kept
      assert (densenet._keep(ones, k, 'mask') != 0).sum() == kept
      assert densenet._keep(ones, k, 'cut').shape == (kept,)
      if channels % 4 == 0:
        assert kept == round(k * channels)


@pytest.fixture
def make(monkeypatch):
  """Makes a narrow net of two layers to a block: quick to compile."""
  monkeypatch.setitem(densenet.BLOCKS, 121, (2, 2, 2, 2))

  def make(**options):
    return models.make('densenet121', num_classes=3, width=1 / 8, **options)

  return make


@pytest.mark.ci
def test_blocks_are_true_cuts(make):
  model = make(skips='1s11/0.5')
  variables = tiny.random_variables(model, IMAGES)
  names = tuple(partition.list_splits(model, (16, 16, 3)))
  partition.check_cuts(model, variables, IMAGES, names)
  with pytest.raises(InputError, match='block_1/layer_1'):
    partition.check_cuts(model, variables, IMAGES, ('block_1/layer_1',))


@pytest.mark.ci
def test_one_is_the_plain_net_bit_for_bit(make):
  plain = make(skip_form='mask')
  assert make(skip_form='mask', skips='1111') == plain
  variables = tiny.random_variables(plain, IMAGES)
  carried = skips.carry(plain, ['1110'])
  theirs = {**variables, skips.COLLECTION: {'factors': jnp.ones((4, 1))}}

  def gradient(model, variables):
    def loss(params):
      logits = model.apply({**variables, 'params': params}, IMAGES)
      return jax.nn.logsumexp(logits, axis=-1).sum()

    return jax.jit(jax.value_and_grad(loss))(variables['params'])

  chex.assert_trees_all_equal(gradient(plain, variables), gradient(carried, theirs))
  np.testing.assert_array_equal(
    make().apply(variables, IMAGES), plain.apply(variables, IMAGES)
  )


@pytest.mark.ci
@pytest.mark.parametrize('text', ['1110', '0111', '1s11/0.5'])
def test_a_masked_net_is_the_cut_one_with_constants(make, text):
  """Where norms make zero of zero, masked channels say nothing.

  A transition of the cut net also has fewer outputs: those that it lacks are zero here.
  """
  plain = make(skip_form='mask')
  masked, cut = make(skip_form='mask', skips=text), make(skips=text)
  variables = tiny.random_variables(plain, IMAGES)
  for tree, kind in ((variables['params'], 'bias'), (variables['batch_stats'], 'mean')):
    _fill(tree, kind, 0.0)
  shapes = jax.eval_shape(lambda: cut.init(jax.random.key(0), IMAGES))
  for stage in (1, 2, 3):
    conv = variables['params'][f'transition_{stage}']['conv']
    outputs = shapes['params'][f'transition_{stage}']['conv']['kernel'].shape[-1]
    conv['kernel'] = conv['kernel'].at[..., outputs:].set(0)
  sliced = _select(variables, shapes, skips.read(masked))
  np.testing.assert_allclose(
    cut.apply(sliced, IMAGES), masked.apply(variables, IMAGES), rtol=1e-5, atol=1e-5
  )
  carried = skips.carry(plain, [text])
  factors = jnp.array(skips.read(masked))
  theirs = {**variables, skips.COLLECTION: {'factors': factors}}
  np.testing.assert_array_equal(
    carried.apply(theirs, IMAGES), masked.apply(variables, IMAGES)
  )


def _fill(tree, kind, value):
  for name, branch in tree.items():
    if isinstance(branch, dict):
      _fill(branch, kind, value)
    elif name == kind:
      tree[name] = jnp.full_like(branch, value)


def _select(variables, shapes, factors):
  """The parameters that a cut net has of a whole one: those of channels it keeps."""

  def kept_of(sizes, factor):
    """Places of what is kept of tensors of these sizes, and of all of the last."""
    places, start = [], 0
    for i, size in enumerate(sizes):
      kept = size if i == len(sizes) - 1 else densenet.count_kept(factor, size)
      places += range(start, start + kept)
      start += size
    return places

  growth, width, known = 4, 8, {}
  inputs = list(range(width))  # places of the whole net's channels that the cut one has
  for stage, count in enumerate(densenet.BLOCKS[121], 1):
    (factor,) = factors[stage - 1]
    sizes = [len(inputs)]
    for i in range(count + 1):
      local = kept_of(sizes, factor)
      before = inputs + list(range(width, width + i * growth))
      known[f'block_{stage}', i + 1] = [before[place] for place in local]
      sizes.append(growth)
    after = known[f'block_{stage}', count + 1]
    width = (width + count * growth) // 2
    known['transition', stage] = after
    inputs = list(range(len(after) // 2))
  return _slice(variables, shapes, known)


def _slice(tree, like, known, path=()):
  if isinstance(like, dict):
    return {n: _slice(tree[n], like[n], known, (*path, n)) for n in like}
  where = next((p for p in path if p.startswith(('block', 'transition', 'head'))), '')
  places = None
  if where.startswith('block') and path[-2] in ('norm_1', 'conv_1'):
    places = known[where, int(path[-3].removeprefix('layer_'))]
  elif where.startswith('transition'):
    places = known['transition', int(where[-1])]
  elif where == 'head':
    places = known['transition', 4]
  if path[-2] == 'logits' and path[-1] == 'kernel':
    tree = tree[jnp.array(known['transition', 4])]
  elif places is not None:
    axis = 2 if path[-1] == 'kernel' else 0
    tree = jnp.take(tree, jnp.array(places), axis=axis)
  return tree[tuple(slice(size) for size in like.shape)]


@pytest.mark.ci
def test_masked_lanes_are_one_program(make, monkeypatch):
  counts = []

  class Counted(targets.Trainer):
    def fit(self, *args, **options):
      found = super().fit(*args, **options)
      counts.append(self.traces)
      return found

  monkeypatch.setattr(targets, 'Trainer', Counted)
  texts = ['intact', '1110', '1111/0.2', '1110@1']
  lanes = [Lane('densenet121', 'tiny', Treatment(skips=text), 0) for text in texts]
  model = skips.carry(make(skip_form='mask'), texts)
  recipe, engine = Recipe(2, batch_size=8), Engine('map', devices=1)
  found, history = targets.train(
    model, tiny.task(train=16), lanes, recipe, engine=engine
  )
  assert counts == [1]
  assert np.isfinite(history['loss']).all()
  factors = found.best.variables[skips.COLLECTION]['factors'][..., 0]
  expected = [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 1, 0.2], [1, 1, 1, 0]]
  np.testing.assert_array_equal(factors, np.array(expected, np.float32))


def test_lanes_of_a_cut_net_have_the_same_skips(make):
  plain = make()
  assert skips.carry(plain, ['intact']) == plain
  cut = skips.carry(plain, ['1110', '1110'])
  assert cut == make(skips='1110')
  assert skip_lanes.lane_arrays(cut, ['1110'], 3) == {}
  for text in ('1101', '1111/0.2'):
    with pytest.raises(InputError, match='need a model that carries'):
      skip_lanes.lane_arrays(cut, [text], 3)
  for texts in (['1110', 'intact'], ['1110', '1101'], ['1110@2']):
    with pytest.raises(InputError, match='give --model_options=skip_form=mask, or one'):
      skips.carry(plain, texts)


@pytest.mark.parametrize('form', ['cut', 'mask'])
def test_a_learned_factor_is_refused(make, form):
  for refused in (
    lambda: make(skip_form=form, skips='111l'),
    lambda: skips.carry(make(skip_form=form), ['111l']),
  ):
    with pytest.raises(InputError, match=r"'111l' are learned, .* no gradient reaches"):
      refused()


def test_a_study_of_one_treatment_cuts_and_one_of_several_masks(make, tmp_path):
  def treated(texts, **options):
    config = tiny.sweep_config(tmp_path, model='densenet121', skips=texts)
    return treat(make(**options), config, is_imported=False)

  assert treated(('1110',)) == make(skips='1110')
  assert skips.is_carrying(treated(('1110', 'intact'), skip_form='mask'))
  with pytest.raises(InputError, match='change the shapes of DenseNet'):
    treated(('1110', 'intact'))


@pytest.mark.parametrize(('stem', 'side'), [('small', 32), ('small_pool', 16)])
def test_stems_for_small_images(make, stem, side):
  found = partition.list_splits(make(stem=stem), (32, 32, 3))
  assert found['stem'].shape == (side, side, 8)
