import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from skimage.metrics import structural_similarity

from gpz_jax import metrics
from gpz_jax.types import Dataset, InputError


def _random_pair(shape, noise=0.2):
  rng = np.random.default_rng(0)
  images = rng.uniform(size=shape).astype(np.float32)
  noisy = np.clip(images + noise * rng.normal(size=shape), 0, 1).astype(np.float32)
  return jnp.asarray(images), jnp.asarray(noisy)


def _constant(*levels, shape=(12, 12, 3)):
  return jnp.stack([jnp.full(shape, level, jnp.float32) for level in levels])


def test_mse_and_psnr_by_hand():
  images, guesses = _constant(0.5, 0.5, 0.0), _constant(0.6, 0.5, 1.0)
  # by hand: 0.1**2 -> 20 dB; equal -> the 1e-10 floor; black against white -> 0 dB
  np.testing.assert_allclose(metrics.mse(images, guesses), [0.01, 0, 1], atol=1e-7)
  np.testing.assert_allclose(metrics.psnr(images, guesses), [20, 100, 0], atol=1e-4)


def test_paper_mse_sums_over_channels():
  # by hand: one of three channels is off by 0.3, so the sum over channels is 0.09
  images = jnp.zeros((1, 12, 12, 3))
  guesses = images.at[..., 1].set(0.3)
  error = float(metrics.mse(images, guesses)[0])
  assert error == pytest.approx(0.03, rel=1e-5)
  assert metrics.paper_mse(error, 3) == pytest.approx(0.09, rel=1e-5)
  assert metrics.paper_mse(error, 1) == error


@pytest.mark.parametrize('shape', [(4, 32, 32, 3), (2, 11, 20, 1), (2, 64, 64, 3)])
def test_ssim_matches_scikit_image(shape):
  images, guesses = _random_pair(shape)
  expected = [  # scikit-image 0.26
    structural_similarity(
      np.asarray(x),
      np.asarray(y),
      gaussian_weights=True,
      sigma=1.5,
      use_sample_covariance=False,
      data_range=1,
      channel_axis=-1,
    )
    for x, y in zip(images, guesses, strict=True)
  ]
  np.testing.assert_allclose(metrics.ssim(images, guesses), expected, atol=1e-5)


def test_ssim_is_the_same_inside_a_scan():
  images, guesses = _random_pair((2, 3, 16, 16, 3))
  _, scanned = lax.scan(
    lambda _, pair: (None, metrics.ssim(*pair)), None, (images, guesses)
  )
  alone = jnp.stack([metrics.ssim(x, y) for x, y in zip(images, guesses, strict=True)])
  np.testing.assert_allclose(scanned, alone, atol=1e-6)


def test_ssim_of_flat_images_by_hand():
  # by hand: no variance, so (2ab + c1) / (a^2 + b^2 + c1) with c1 = 1e-4
  got = metrics.ssim(_constant(1.0, 0.0), _constant(0.5, 0.0))
  np.testing.assert_allclose(got, [1.0001 / 1.2501, 1], rtol=1e-5)


def test_cosine_by_hand():
  pattern = jnp.zeros((1, 12, 12, 2)).at[..., 0].set(1.0)
  other = jnp.zeros((1, 12, 12, 2)).at[..., 1].set(1.0)
  images = jnp.concatenate([pattern, pattern, pattern, pattern])
  guesses = jnp.concatenate([0.3 * pattern, other, pattern + other, 0 * pattern])
  # by hand: parallel, orthogonal, 45 degrees, black
  np.testing.assert_allclose(
    metrics.cosine(images, guesses), [1, 0, 0.5**0.5, 0], atol=1e-5
  )


@pytest.mark.parametrize('name', ['mse', 'psnr', 'ssim', 'cosine'])
def test_shapes_that_differ_are_refused(name):
  images = jnp.zeros((2, 12, 12, 3))
  with pytest.raises(InputError, match=r'\(2, 12, 12, 3\) and \(2, 12, 12, 1\)'):
    getattr(metrics, name)(images, images[..., :1])
  with pytest.raises(InputError, match='must both be'):
    getattr(metrics, name)(images[0], images[0])


def test_ssim_refuses_images_below_its_window():
  images = jnp.zeros((2, 10, 64, 3))
  with pytest.raises(InputError, match='at least 11x11 pixels, got 10x64'):
    metrics.ssim(images, images)


def test_evaluate_batch_ignores_padding_and_takes_psnr_both_ways():
  images = _constant(0.5, 0.5, 0.9)
  guesses = _constant(0.6, 0.51, 0.0)  # the third is padding
  scores = jax.jit(metrics.evaluate_batch)(images, guesses, jnp.array([1.0, 1, 0]))
  got = {name: float(mean.compute()) for name, mean in scores.items()}
  # by hand: errors 1e-2 and 1e-4; psnr 20 and 40 dB; psnr of their mean 5.05e-3
  assert got['mse'] == pytest.approx(5.05e-3, rel=1e-4)
  assert got['psnr'] == pytest.approx(30, rel=1e-4)
  assert got['psnr_paper'] == pytest.approx(22.967, abs=1e-3)
  assert got['cosine'] == pytest.approx(1, abs=1e-5)
  assert float(scores['mse'].count) == 2
  assert float(scores['psnr_paper'].count) == 1


def test_psnr_paper_is_a_mean_over_batches_and_skips_empty_ones():
  images, guesses = _constant(0.5, 0.5), _constant(0.6, 0.51)
  total = metrics.evaluate_batch(images, guesses, jnp.array([1.0, 0]))['psnr_paper']
  for mask in ([0.0, 1], [0.0, 0]):
    scores = metrics.evaluate_batch(images, guesses, jnp.array(mask))
    total = total.merge(scores['psnr_paper'])
  # by hand: batches of 20 and 40 dB, the empty one does not count
  assert float(total.compute()) == pytest.approx(30, rel=1e-4)
  assert float(total.count) == 2


def _dataset(images, labels):
  return Dataset(np.asarray(images, np.uint8), np.asarray(labels, np.int32))


def test_ladder_by_hand():
  # two classes of flat images, black (0) and white (1)
  flat = np.zeros((4, 16, 16, 3))
  flat[2:] = 255
  aux = _dataset(flat, [0, 0, 1, 1])
  rungs = metrics.ladder(aux, aux, batch_size=3)
  assert list(rungs) == [
    'mean_image',
    'class_mean',
    'mean_colour',
    'thumbnail_2',
    'thumbnail_4',
    'thumbnail_8',
  ]
  # by hand: the mean image is grey 0.5, the class mean exact
  assert rungs['mean_image']['mse'] == pytest.approx(0.25)
  assert rungs['mean_image']['mse_paper'] == pytest.approx(0.75)
  assert rungs['mean_image']['psnr'] == pytest.approx(6.0206, abs=1e-4)
  assert rungs['class_mean']['mse'] == pytest.approx(0, abs=1e-12)
  assert 'class_mean' not in metrics.ladder(aux, aux, shared_labels=False)


def test_class_means_are_an_argument_of_the_program_and_no_constant():
  data = _dataset(np.zeros((6, 16, 16, 3)), range(6))
  guess = metrics.images._guess_class_mean(data, data)
  batch = jnp.zeros((2, 16, 16, 3)), jnp.zeros(2, jnp.int32)
  traced = jax.make_jaxpr(lambda guess, *batch: guess(*batch))(guess, *batch)
  assert not traced.consts
  assert traced.in_avals[0].shape == (6, 16, 16, 3)


def test_ladder_thumbnails_by_hand():
  # left half black, right half white: a 2x2 thumbnail is exact, one colour is not
  images = np.zeros((1, 16, 16, 1))
  images[:, :, 8:] = 255
  rungs = metrics.ladder(_dataset(images, [0]), _dataset(images, [5]))
  assert rungs['mean_colour']['mse'] == pytest.approx(0.25)
  assert rungs['thumbnail_2']['mse'] == pytest.approx(0, abs=1e-12)
  # aux has no image of class 5: its guess is the mean of all of aux
  assert rungs['class_mean']['mse'] == rungs['mean_image']['mse']


def test_ladder_takes_sizes_no_thumbnail_divides():
  # 28 / 8 = 3.5: a flat image stays flat
  rungs = metrics.ladder(*[_dataset(np.full((2, 28, 28, 1), 51), [0, 1])] * 2)
  assert rungs['thumbnail_8']['mse'] == pytest.approx(0, abs=1e-12)


def test_ladder_refuses_two_image_shapes():
  aux = _dataset(np.zeros((2, 16, 16, 3)), [0, 1])
  test = _dataset(np.zeros((2, 16, 16, 1)), [0, 1])
  with pytest.raises(InputError, match='one shape'):
    metrics.ladder(aux, test)


def test_ladder_reproduces_known_cifar10_levels(real_data_dir):
  tfds = pytest.importorskip('tensorflow_datasets')
  sources = [
    tfds.data_source('cifar10', split=split, data_dir=real_data_dir)
    for split in ('train', 'test')
  ]
  subsets = []
  for source in sources:
    examples = [source[i] for i in range(1000)]
    subsets.append(
      _dataset([e['image'] for e in examples], [e['label'] for e in examples])
    )
  rungs = metrics.ladder(*subsets)
  # channel-summed MSE over 6,000 test images, computed with numpy; a thousand images
  # move it by a few percent
  known = {
    'mean_image': 0.183,
    'class_mean': 0.170,
    'mean_colour': 0.131,
    'thumbnail_2': 0.100,
    'thumbnail_4': 0.063,
    'thumbnail_8': 0.033,
  }
  for name, level in known.items():
    assert rungs[name]['mse_paper'] == pytest.approx(level, rel=0.06), name


def test_a_mask_of_another_shape_is_refused():
  images = jnp.zeros((2, 12, 12, 3))
  with pytest.raises(AssertionError, match=r'mask must be \[B\]'):
    metrics.evaluate_batch(images, images, jnp.ones((2, 1)))


def test_what_guessing_may_reach():
  # By hand: ten classes alike reach a tenth; a tenth of the way to 1 is 9 points.
  even = np.arange(1000) % 10
  assert metrics.chance_accuracy(even) == pytest.approx(0.19)
  # One class of two holds 80%; a tenth of the way to 1 is 2 points, two deviations 2.5.
  skewed = (np.arange(1000) % 5 == 0).astype(int)
  assert metrics.chance_accuracy(skewed) == pytest.approx(
    0.8 + 2 * (0.16 / 1000) ** 0.5
  )
  # A thousand classes: twice chance is more than guessing.
  assert metrics.chance_accuracy(np.arange(50000) % 1000) == pytest.approx(0.002)
  assert metrics.chance_accuracy(np.zeros(5, int)) == 1.0
