import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpz_jax.attacks.activation import attention, decoders, enhance
from gpz_jax.types import InputError

IMAGE = (64, 64, 3)


def _shapes(module, shape):
  x = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
  return jax.eval_shape(
    lambda x: module.init_with_output(jax.random.key(0), x, train=False), x
  )


def _count(activation_shape, image_shape=IMAGE, **options):
  """The number of parameters; checks the shape of the image on the way."""
  module = decoders.make(activation_shape, image_shape, **options)
  image, variables = _shapes(module, activation_shape)
  assert image.shape == (2, *image_shape)
  return sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(variables['params']))


@pytest.mark.parametrize(
  ('shape', 'expected'),
  [  # docs/paper.md#decoders, from the released code's modules
    ((32, 32, 64), 33_728),
    ((32, 32, 128), 132_992),
    ((16, 16, 128), 164_993),
    ((16, 16, 256), 657_665),
    ((8, 8, 256), 689_666),
    ((8, 8, 512), 2_755_586),
    ((4, 4, 512), 2_821_315),
    ((10,), 2_840_387),
    ((128,), 3_807_043),
    ((257, 128), 164_993),  # patches of a ViT on their grid
    (
      (256 * 128,),
      271_193_923,
    ),  # docs/paper.md#decoder-inputs: the paper's flattened patches
  ],
)
def test_parameter_counts(shape, expected):
  assert _count(shape) == expected


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # docs/paper.md#attention, on the (4, 4, 512) decoder of 64 pixels
    ('mha', 544_768),
    ('aac', 102_912),
    ('aac+se', 114_176),
    ('aac+se+lsk+msca', 139_392),
    # by hand, at 64 channels: LSKNet 25C+C, 49C+C, 2(C C/2+C/2), 7*7*2*2+2, C/2 C+C
    ('lsk_published', 1_664 + 3_200 + 4_160 + 198 + 2_112),
    # SegNeXt: 25C+C, strips 2(7+11+21)C+6C, C^2+C; VAN: 25C+C, 49C+C, C^2+C
    ('msca_published', 1_664 + 5_376 + 4_160),
    ('lka', 1_664 + 3_200 + 4_160),
  ],
)
def test_attention_adds_exactly(name, expected):
  assert _count((4, 4, 512), attention=name) - _count((4, 4, 512)) == expected


FIRST_UP = 16 * 512 * 256  # more weights where the first upsampling reads 2c channels


@pytest.mark.parametrize(
  ('name', 'expected'),
  [  # docs/paper.md#enhancement: the enhancer has 2,622,464 at 512 channels;
    # the rest by hand
    ('fft_residual', 0),
    ('fft_concat', FIRST_UP),
    ('normalize_input', 0),
    ('normalize_concat', FIRST_UP),
    ('nn_residual', 2_622_464),
    ('normalize_input+nn_concat', 2_622_464 + FIRST_UP),
  ],
)
def test_enhancement_adds_exactly(name, expected):
  assert _count((4, 4, 512), enhance=name) - _count((4, 4, 512)) == expected


def test_reversed_ir_counts():
  assert _count((4, 4, 512), kind='reversed_ir') == 5_850_676  # docs/paper.md#decoders


def test_inversion4_counts():
  # By hand from docs/paper.md#decoders: upsamplings 512-256-128-64 of 16ab + 3b, then
  # 16 * 64 * 3 + 3.
  ups = sum(16 * 2 * b * b + 3 * b for b in (256, 128, 64))
  assert _count((4, 4, 512), kind='inversion4') == ups + 3_075


def test_grey_images_change_only_the_last_layer():
  grey = _count((4, 4, 512), (64, 64, 1))
  assert _count((4, 4, 512)) - grey == 9 * 64 * 2


def test_acts():
  single = 1  # one slope an activation
  tanh, code, prelu = (
    _count((4, 4, 512), act=act) for act in ('tanh', 'code', 'prelu')
  )
  assert (code - tanh, prelu - tanh) == (
    3 * single,
    4 * single,
  )  # D5: all but the first


def test_width_multiplies_the_channels_between():
  # By hand from docs/paper.md#decoders: ups of 16ab + 3b and a slope for all but the
  # first, then 9 * c * 3 without a bias; 512 channels go in at any width.
  def count(*channels):
    ups = [16 * a * b + 3 * b for a, b in zip((512, *channels), channels, strict=False)]
    return sum(ups) + 3 + 27 * channels[-1]

  assert _count((4, 4, 512)) == count(256, 128, 64, 64)
  assert _count((4, 4, 512), width=2) == count(512, 256, 128, 128)
  assert _count((4, 4, 512), width=0.25) == count(64, 32, 16, 16)
  vectors = [_count((10,), width=width) for width in (1, 2)]
  assert 3.5 < vectors[1] / vectors[0] < 4
  reversed_ir = [_count((4, 4, 512), kind='reversed_ir', width=w) for w in (1, 0.5)]
  assert reversed_ir[1] < 0.5 * reversed_ir[0]


# Every option trains: narrow activations, one upsampling where that will do.
CASES = [
  *({'enhance': name} for name in enhance.ENHANCEMENTS),
  *({'attention': name} for name in attention.ATTENTIONS[1:]),
  {'attention': 'lsk_published+msca_published'},
  {'attention': 'lka'},
  *({'act': act} for act in ('tanh', 'prelu')),
  {'width': 1.5},
  *({'kind': kind} for kind in ('inversion4', 'reversed_ir')),
  {'kind': 'inversion4', 'attention': 'aac+se'},
  {'attention': 'aac+se+lsk+msca', 'enhance': 'nn_concat'},  # Attention & NN
]


def _start(module, shape):
  """Made-up variables: drawing real ones takes longer to compile than the training."""
  rng = np.random.default_rng(0)
  _, variables = _shapes(module, shape)
  params = jax.tree.map(
    lambda leaf: rng.uniform(-0.05, 0.1, leaf.shape).astype(np.float32),
    variables['params'],
  )
  stats = jax.tree.map(
    lambda leaf: np.ones(leaf.shape, np.float32), variables.get('batch_stats', {})
  )
  return params, stats


def _train(module, x, image, constants=None, steps=2):
  """Gradient descent; returns the last gradient, batch statistics, and the losses."""

  @jax.jit
  def step(params, stats, key):
    def loss_fn(params):
      y, updated = module.apply(
        {'params': params, 'batch_stats': {**stats, **(constants or {})}},
        x,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': key},
      )
      return jnp.mean(jnp.square(y - image)), updated['batch_stats']

    (loss, stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    params = jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)
    return params, stats, loss, grads

  (params, stats), losses = _start(module, x.shape[1:]), []
  for i in range(steps):
    params, stats, loss, grads = step(params, stats, jax.random.key(i))
    losses.append(float(loss))
  return grads, stats, losses


def _data(shape):
  rng = np.random.default_rng(1)
  x = rng.normal(size=(4, *shape)).astype(np.float32)
  return x, rng.uniform(size=(4, 8, 8, 3)).astype(np.float32)


# Long to compile, of parts that others train alone.
SLOW = (
  {'attention': 'lsk_published+msca_published'},
  {'kind': 'inversion4', 'attention': 'aac+se'},
)


@pytest.mark.parametrize(
  'options',
  [pytest.param(o, marks=[pytest.mark.slow] if o in SLOW else []) for o in CASES],
  ids=lambda options: '-'.join(map(str, options.values())),
)
def test_every_option_trains_two_steps(options):
  x, image = _data((2, 2, 4) if 'inversion4' in options.values() else (4, 4, 4))
  module = decoders.make(x.shape[1:], image.shape[1:], **options)
  found = enhance.normalization_stats(
    options.get('enhance', 'none'), jnp.asarray(x)[None]
  )
  constants = jax.tree.map(lambda leaf: leaf[0], found)
  grads, stats, losses = _train(module, x, image, constants)
  assert np.isfinite(losses).all()
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    assert np.abs(grad).max() > 0, jax.tree_util.keystr(path)  # reached by the loss
  for name, value in constants.items():  # kept as they are, for the best epoch
    assert jax.tree.all(jax.tree.map(np.array_equal, stats[name], value))


@pytest.mark.parametrize('shape', [(6,), (5, 4)])
def test_vectors_and_tokens_train(shape):
  x, image = _data(shape)
  _, _, losses = _train(decoders.make(shape, image.shape[1:]), x, image)
  assert losses[1] < losses[0]


@pytest.mark.parametrize(
  ('shape', 'options', 'message'),
  [
    ((4, 4, 8), {'kind': 'inversion'}, r"decoder 'inversion' .*'inversion4'"),
    ((4, 4, 8), {'act': 'relu'}, r"act 'relu' .*Known: code, tanh, prelu"),
    ((4, 4, 8), {'attention': 'sea'}, r"attention 'sea' .*Known: none, mha"),
    ((4, 4, 8), {'enhance': 'ffn'}, r"enhancement 'ffn' .*Known: none, fft_residual"),
    ((10,), {'attention': 'mha'}, r"with attention 'mha' needs an activation \(h, w"),
    ((10,), {'enhance': 'nn_concat'}, r"'nn' needs an activation \(h, w, c\)"),
    ((4, 4, 8), {'kind': 'reversed_ir', 'act': 'tanh'}, 'takes neither'),
    ((64, 64, 8), {'kind': 'inversion4'}, 'needs 1 doublings'),
    ((3, 3, 8), {}, '3x3 does not double up'),
    ((4, 8), {}, '4 tokens are not'),
    ((2, 2, 2, 2), {}, 'has no decoder'),
  ],
)
def test_bad_input(shape, options, message):
  with pytest.raises(InputError, match=message):
    decoders.make(shape, IMAGE, **options)


@pytest.mark.parametrize(
  ('shape', 'options', 'wrong', 'message'),
  [
    ((4, 4, 8), {}, (16, 8), r'activation \[B, h, w, c\]'),
    ((4, 4, 8), {'kind': 'reversed_ir'}, (16, 8), r'activation \[B, h, w, c\]'),
    ((10,), {}, (1, 10), r'vector \[B, n\]'),
    ((5, 8), {}, (1, 5, 1, 8), r'tokens \[B, 1 \+ T, c\]'),
  ],
)
def test_inputs_of_another_rank_name_what_is_wanted(shape, options, wrong, message):
  module = decoders.make(shape, IMAGE, **options)
  with pytest.raises(AssertionError, match=message):
    _shapes(module, wrong)
