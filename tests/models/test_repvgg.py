"""RepVGG: its counts, its two forms, and its skip connections."""

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax import models, partition
from gpz_jax.models import calls, repvgg, skips
from gpz_jax.types import InputError

IMAGES = jax.random.uniform(jax.random.key(0), (2, 16, 16, 3))
LABELS = jnp.array([0, 2])


def narrow(**options) -> Any:
  return models.make('repvgg_a0', num_classes=3, width=1 / 8, **options)


def apply(model, variables) -> np.ndarray:
  return np.asarray(jax.jit(model.apply)(variables, IMAGES))


def count(model):
  image = jnp.zeros((1, 64, 64, 3))
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), image))
  return sum(leaf.size for leaf in jax.tree.leaves(variables['params']))


# mmpretrain's model list says 9.11 and 8.31 million for A0; all digits are counted by
# hand from the published widths.
@pytest.mark.parametrize(
  ('name', 'trained', 'fused'),
  [('repvgg_a0', 9_108_968, 8_309_384), ('repvgg_b0', 15_817_960, 14_339_048)],
)
def test_parameter_counts(name, trained, fused):
  assert count(models.make(name, num_classes=1000)) == trained
  assert count(models.make(name, num_classes=1000, fused=True)) == fused


def test_splits_in_forward_order():
  model = models.make('repvgg_a0', num_classes=10, stem='imagenet')
  splits = partition.list_splits(model, (64, 64, 3))
  assert len(splits) == 1 + 2 + 4 + 14 + 1
  assert splits['stem'].shape == (32, 32, 48)
  assert splits['stage1_0'].shape == (16, 16, 48)
  assert splits['stage3_13'].shape == (4, 4, 192)
  assert splits['stage4_0'].shape == (2, 2, 1280)


@pytest.mark.ci  # each operation of a whole net is compiled
def test_fusion_of_a_whole_net_keeps_the_gradients():
  model = narrow()
  variables = calls.arbitrary_variables(model, (16, 16, 3))
  # the least likely class: that of a certain answer has no gradient to compare
  labels = jnp.asarray(apply(model, variables).argmin(axis=1))
  cosines = repvgg.compare_gradients(model, variables, IMAGES, labels)
  assert cosines.shape == (2,)
  assert (cosines > 0.9999).all()
  other = jax.tree.map(lambda leaf: leaf, variables)
  norm = other['params']['stage2_1']['norm_1']
  norm['scale'] = -norm['scale']
  fused, folded = repvgg.fuse(model, other)
  assert np.abs(apply(fused, folded) - apply(model, variables)).max() > 0.1


@pytest.fixture
def make(monkeypatch):
  """Makes a narrow net of few blocks: quick to compile."""
  monkeypatch.setitem(repvgg.STAGES, 'a0', (1, 2, 2, 1))
  return narrow


def variables_of(model):
  return calls.arbitrary_variables(model, (16, 16, 3))


@pytest.mark.parametrize('given', ['1111', '1011', '11s1/0.3'])
def test_fusion_holds_the_factors(make, given):
  model = make(skips=given)
  variables = variables_of(model)
  fused, folded = repvgg.fuse(model, variables)
  assert fused == make(fused=True)
  assert set(folded) == {'params'}
  expected = apply(model, variables)
  found = apply(fused, folded)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  if given == '1111':
    return
  carried: Any = skips.carry(make(), [given])
  whole = variables_of(make())
  whole[skips.COLLECTION] = {'factors': jnp.array(skips.read(model))}
  again, folded = repvgg.fuse(carried, whole)
  np.testing.assert_allclose(
    apply(again, folded), apply(carried, whole), rtol=1e-4, atol=1e-4
  )


def test_one_is_the_plain_net_bit_for_bit(make):
  plain = make()
  variables = variables_of(plain)
  carried = skips.carry(plain, ['1011'])
  theirs = {**variables, skips.COLLECTION: {'factors': jnp.ones((4, 1))}}

  def gradient(model, variables):
    def loss(params):
      logits = model.apply({**variables, 'params': params}, IMAGES)
      return jax.nn.logsumexp(logits, axis=-1).sum()

    return jax.jit(jax.value_and_grad(loss))(variables['params'])

  chex.assert_trees_all_equal(gradient(plain, variables), gradient(carried, theirs))


def test_a_removed_stage_is_not_there(make):
  fixed, carried = make(skips='1101'), skips.carry(make(), ['1101'])
  variables = variables_of(make())
  kept = jax.eval_shape(lambda: fixed.init(jax.random.key(0), IMAGES))
  assert 'norm_identity' in kept['params']['stage2_1']
  assert 'norm_identity' not in kept['params']['stage3_1']
  factors = jnp.array([[1.0], [1.0], [0.0], [1.0]])
  np.testing.assert_allclose(
    apply(fixed, _keep(variables, kept)),
    apply(carried, {**variables, skips.COLLECTION: {'factors': factors}}),
    rtol=1e-6,
    atol=1e-6,
  )


def _keep(tree, like):
  if not isinstance(like, dict):
    return tree
  return {name: _keep(tree[name], branch) for name, branch in like.items()}


def test_stage_4_has_no_skip_to_remove(make):
  plain, removed = make(), make(skips='1110')
  variables = variables_of(plain)
  chex.assert_trees_all_equal_structs(variables, variables_of(removed))
  np.testing.assert_array_equal(apply(plain, variables), apply(removed, variables))


def test_what_cannot_be_fused_is_refused(make):
  model = make()
  variables = variables_of(model)
  with pytest.raises(InputError, match='fused already'):
    repvgg.fuse(make(fused=True), variables)
  lanes = jax.tree.map(lambda leaf: leaf[None], variables)
  with pytest.raises(InputError, match='give the variables of one lane'):
    repvgg.fuse(model, lanes)
  with pytest.raises(InputError, match='no skip connections left'):
    variables_of(make(fused=True, skips='0111'))
  with pytest.raises(AssertionError, match=r'labels must be \[B\]'):
    repvgg.compare_gradients(model, variables, IMAGES, LABELS[:1])
