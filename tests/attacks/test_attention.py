import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gpz_jax.attacks.activation import attention
from gpz_jax.models import depthwise
from gpz_jax.types import InputError


def _normal(seed, *shape):
  return jax.random.normal(jax.random.key(seed), shape)


def _lax_depthwise(x, w, dilation):
  return lax.conv_general_dilated(
    x, w[:, :, None], (1, 1), 'SAME', rhs_dilation=(dilation, dilation),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=x.shape[-1],
  )  # fmt: skip


@pytest.mark.parametrize(('kernel', 'dilation'), [((3, 5), 1), ((3, 1), 2)])
def test_depthwise_is_that_of_lax_with_its_gradients(kernel, dilation):
  x, w, dy = _normal(0, 2, 8, 6, 3), _normal(1, *kernel, 3), _normal(2, 2, 8, 6, 3)

  @functools.partial(jax.jit, static_argnums=0)
  def run(convolve, x, w, dy):
    y, pull = jax.vjp(lambda x, w: convolve(x, w, dilation), x, w)
    return y, *pull(dy)

  ours = run(depthwise.depthwise, x, w, dy)
  for value, expected in zip(ours, run(_lax_depthwise, x, w, dy), strict=True):
    np.testing.assert_allclose(value, expected, atol=1e-4)


def test_depthwise_over_lanes():
  x, w = _normal(0, 2, 1, 4, 4, 3), _normal(1, 2, 3, 3, 3)
  y = jax.jit(jax.vmap(depthwise.depthwise))(x, w)
  expected = jax.jit(_lax_depthwise, static_argnums=2)(x[1], w[1], 1)
  np.testing.assert_allclose(y[1], expected, atol=1e-5)


def _attention_and_gradient():
  """A fresh function each time: tracing is cached, and MAX_SCORES is read there."""

  def run(q, k, v):
    return jnp.sum(jnp.sin(attention.attend(q, k, v)))

  return jax.value_and_grad(run, (0, 1, 2))


def test_chunked_attention_is_exact(monkeypatch):
  q, k, v = (_normal(i, 2, 16, 2, 4) for i in range(3))
  whole = jax.jit(_attention_and_gradient())(q, k, v)
  monkeypatch.setattr(attention, 'MAX_SCORES', 2 * 2 * 16 * 4)  # 4 queries at a time
  run = _attention_and_gradient()
  assert 'scan' in str(jax.make_jaxpr(run)(q, k, v))
  chunked = jax.jit(run)(q, k, v)
  for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(chunked), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4)


def _largest(jaxpr) -> int:
  """The largest array in a jaxpr and all jaxprs inside it."""
  sizes = [math.prod(v.aval.shape) for e in jaxpr.eqns for v in e.outvars]
  inner = [p for e in jaxpr.eqns for p in e.params.values() if hasattr(p, 'eqns')]
  return max([0, *sizes, *map(_largest, inner)])


def test_4096_tokens_never_hold_all_weights(monkeypatch):
  x = jax.ShapeDtypeStruct((128, 4096, 2, 32), jnp.float32)
  text = jax.make_jaxpr(_attention_and_gradient())(x, x, x)
  assert _largest(text) <= attention.MAX_SCORES
  monkeypatch.setattr(attention, 'MAX_SCORES', math.inf)
  text = jax.make_jaxpr(_attention_and_gradient())(x, x, x)
  assert _largest(text) == 128 * 2 * 4096**2


def test_mha_is_torch():
  torch = pytest.importorskip('torch')
  x = np.asarray(_normal(3, 2, 3, 2, 8))
  module = attention.MHA()
  params = jax.jit(module.init)(jax.random.key(0), jnp.asarray(x))['params']
  reference = torch.nn.MultiheadAttention(8, 2, batch_first=True)

  def tensor(array):
    return torch.tensor(np.array(array))

  with torch.no_grad():
    reference.in_proj_weight.copy_(tensor(params['qkv']['kernel'].reshape(8, 24).T))
    reference.in_proj_bias.copy_(tensor(params['qkv']['bias'].reshape(24)))
    reference.out_proj.weight.copy_(tensor(params['out']['kernel'].reshape(8, 8).T))
    reference.out_proj.bias.copy_(tensor(params['out']['bias']))
    tokens = tensor(x.reshape(2, 6, 8))
    tokens = tokens + reference(tokens, tokens, tokens)[0]
    y = torch.nn.functional.layer_norm(tokens, (8,))
    for name in ('mlp_1', 'mlp_2'):
      y = y @ tensor(params[name]['kernel']) + tensor(params[name]['bias'])
      y = torch.nn.functional.gelu(y) if name == 'mlp_1' else y
    expected = (tokens + y).numpy().reshape(x.shape)
  y = jax.jit(module.apply)({'params': params}, x)
  np.testing.assert_allclose(y, expected, atol=1e-5)


def _pass_through(module, x):
  """Parameters under which 1x1 convolutions are identities and taps copy."""
  shapes = jax.eval_shape(module.init, jax.random.key(0), x)['params']

  def fill(path, leaf):
    if len(leaf.shape) == 2:
      return np.eye(*leaf.shape)
    value = np.zeros(leaf.shape)
    if path[-1].key == 'kernel':
      value[tuple(size // 2 for size in leaf.shape[:2])] = 1
    return value

  return {'params': jax.tree_util.tree_map_with_path(fill, shapes)}


@pytest.mark.parametrize(
  ('module', 'expected'),  # by hand, from the blocks' formulas with identity weights
  [
    (attention.AAC(), lambda x: x * jax.nn.sigmoid(x)),
    (attention.LSK(), lambda x: x * jax.nn.sigmoid(x)),
    (attention.MSCA(), lambda x: x * x),  # the identity takes the first scale
    (attention.LKA(), lambda x: x * x),
    (attention.PublishedMSCA(), lambda x: x * 4 * x),  # base and three strips
    (
      attention.SE(reduction=1),
      lambda x: x * jax.nn.sigmoid(jax.nn.relu(x.mean((1, 2), keepdims=True))),
    ),
  ],
  ids=lambda value: type(value).__name__,
)
def test_gates_by_hand(module, expected):
  x = _normal(4, 2, 4, 4, 3)
  y = jax.jit(module.apply)(_pass_through(module, x), x)
  np.testing.assert_allclose(y, expected(x), atol=1e-5)


def test_published_lsk_by_hand():
  # zero selection weights: both receptive fields count half. The pointwise layers keep
  # one of two channels, which the last one gives back as the first.
  x = _normal(5, 2, 4, 4, 2)
  module = attention.PublishedLSK()
  params = _pass_through(module, x)['params']
  params['select'] = jax.tree.map(np.zeros_like, params['select'])
  y = jax.jit(module.apply)({'params': params}, x)
  np.testing.assert_allclose(y[..., 0], x[..., 0] ** 2, atol=1e-5)
  np.testing.assert_allclose(y[..., 1], jnp.zeros(y.shape[:3]))


def test_plan_puts_wide_kernels_last():
  assert attention.plan('none', 2) == ((), ())
  assert attention.plan('mha', 2) == (('mha',), ('mha',))
  every = ('aac', 'se')
  # The placement of docs/paper.md#attention, for 4 and for 3 upsamplings.
  full = 'aac+se+lsk+msca'
  assert attention.plan(full, 4) == (every, every, (*every, 'lsk'), (*every, 'msca'))
  assert attention.plan(full, 3) == (every, (*every, 'lsk'), (*every, 'msca'))
  assert attention.plan('lka+msca_published', 1) == (('lka', 'msca_published'),)


def test_bad_names():
  with pytest.raises(InputError, match=r"'acc' is not known.*aac"):
    attention.plan('acc+se', 4)
  with pytest.raises(InputError, match='twice'):
    attention.plan('se+se', 4)


def test_shapes_that_do_not_fit_name_the_argument():
  x = jnp.zeros((2, 4, 4, 3))
  with pytest.raises(AssertionError, match=r'w \[kh, kw, C\]'):
    depthwise.depthwise(x, jnp.zeros((3, 3, 1)))
  with pytest.raises(AssertionError, match=r'x \[B, h, w, C\]'):
    depthwise.depthwise(x[0], jnp.zeros((3, 3, 3)))
  with pytest.raises(AssertionError, match=r'query, key and value \[B, T, heads, D\]'):
    attention.attend(x, x, x[:, :2])
