import colours
import numpy as np
import pytest

from gpz_jax import evaluators
from gpz_jax.attacks.model.protocol import Outcome
from gpz_jax.evaluators.scores import rank_class
from gpz_jax.types import Dataset, InputError

CLASSES = np.arange(8)


def outcome(shown, num_final=None) -> Outcome:
  """An attack that found flat images of colours [L, T, M, 3]."""
  images = colours.flat(shown)
  scores = np.zeros(images.shape[:3])
  return Outcome(images, scores, num_final or images.shape[2])


def score(shown, num_final=None, classes=CLASSES, private=None, **options):
  found = outcome(np.asarray(shown, float), num_final)
  private = private or colours.private()
  return evaluators.score(found, colours.evaluator(), private, classes, **options)


def test_images_of_the_class_itself_are_all_right():
  private = colours.private(count=6)
  images = private.image.reshape(1, 8, 6, 4, 4, 3)
  found = evaluators.score(
    Outcome(images, np.zeros((1, 8, 6)), 6), colours.evaluator(), private, CLASSES
  )
  values = found.by_class
  assert set(values) == set(evaluators.SCORES)
  assert all(value.shape == (1, 8) for value in values.values())
  for name in ('att_acc1', 'att_acc5', 'precision', 'recall', 'coverage'):
    assert (values[name] == 1).all(), name
  np.testing.assert_allclose(values['delta_eval'], 0, atol=1e-10)
  assert found.fid[0].value == pytest.approx(0, abs=1e-8)


def test_shuffled_labels_are_right_as_often_as_chance():
  rng = np.random.default_rng(0)
  drawn = rng.integers(0, 8, (4, 8, 100))
  values = score(colours.CORNERS[drawn]).by_class
  # 3,200 independent images of a chance of 1/8: three deviations are 0.0175
  assert values['att_acc1'].mean() == pytest.approx(1 / 8, abs=0.0175)
  # The nearest class is itself: what is drawn is found out, class by class
  hits = (drawn == CLASSES[None, :, None]).mean(axis=2)
  np.testing.assert_allclose(values['att_acc1'], hits)


def test_final_images_and_all_candidates_by_hand():
  # Class 7 (white): of four candidates the first and the third are white
  white, black = [1, 1, 1], [0, 0, 0]
  shown = [[[white, black, white, black]]]
  values = score(shown, num_final=1, classes=np.array([7])).by_class
  assert values['att_acc1'].item() == 1
  assert values['att_acc1_all'].item() == 0.5
  # By hand: all other corners are nearer to black than white is
  assert values['att_acc5_all'].item() == 0.5
  # A colour that is nearest to three corners before white's: @1 fails and @5 does not
  near = score([[[[0.4, 0.4, 1]]]], classes=np.array([7])).by_class
  assert (near['att_acc1'].item(), near['att_acc5'].item()) == (0, 1)


def test_ranks_by_hand():
  logits = np.array([[0.0, 2, 1], [1, 1, 1], [0, np.nan, 0]])
  assert rank_class(logits, np.array([0, 0, 0])).tolist() == [2, 0, 1]
  # Of equal logits the first counts, as in argmax; what is no number is never right
  assert rank_class(logits, np.array([1, 2, 1])).tolist() == [0, 2, 3]


def test_false_positives_are_sure_and_wrong():
  white, black = [1, 1, 1], [0, 0, 0]
  shown = [[[white, black, black, white, black]]]
  confidence = np.array([[[0.99, 0.95, 0.5, 0.2, 1.0]]])
  found = score(shown, 4, np.array([7]), confidence=confidence)
  values = found.by_class
  # By hand, of the first four: the second alone is sure and not white
  assert values['false_positives'].item() == 1 / 4
  assert values['confidence'].item() == pytest.approx((0.99 + 0.95 + 0.5 + 0.2) / 4)
  surer = score(shown, 4, np.array([7]), confidence=confidence, sure=0.4)
  assert surer.by_class['false_positives'].item() == 2 / 4
  without = score(shown, 4, np.array([7]))
  assert np.isnan(without.by_class['false_positives']).all()
  assert 'not given' in without.reasons['false_positives']
  assert 'false_positives' not in found.reasons


def test_distances_are_to_the_nearest_private_image_of_the_class_alone():
  private = Dataset(
    colours.flat([[1, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 1]]), np.array([7, 0, 7, 3])
  )
  shown = [[[[0, 1, 1], [1, 1, 0]], [[1, 0, 0], [1, 0, 0]]]]
  found = score(shown, classes=np.array([7, 0]), private=private)
  # By hand: white is 1 away from both of the first class, black is 1 from the others
  np.testing.assert_allclose(found.by_class['delta_eval'], [[1, 1]], rtol=1e-5)
  assert np.isnan(found.by_class['delta_face']).all()
  face = colours.evaluator(colours.CORNERS[:2], embeds=False)
  twice = score(shown, classes=np.array([7, 0]), private=private, face=face)
  np.testing.assert_allclose(twice.by_class['delta_face'], [[1, 1]], rtol=1e-5)
  assert 'delta_face' not in twice.reasons


def test_class_0_is_compared_with_its_own_images():
  """In the released code class 0 counts as no class, and all images were taken."""
  private = colours.private(count=5)
  shown = np.broadcast_to(colours.CORNERS[7], (1, 1, 5, 3))[:, None]
  shown = shown.reshape(1, 1, 5, 3)  # white images for black, which is class 0
  values = score(shown, classes=np.array([0]), private=private).by_class
  assert values['precision'].item() == 0
  assert values['density'].item() == 0
  assert values['coverage'].item() == 0
  own = score(shown, classes=np.array([7]), private=private).by_class
  assert own['delta_eval'].item() < 0.1
  assert values['delta_eval'].item() > 2


def test_every_attacked_class_has_a_score():
  """In the released code `all` classes were as many as the word has letters."""
  shown = np.repeat(colours.CORNERS[None, :, None], 5, axis=2)
  values = score(shown).by_class
  for name in ('precision', 'recall', 'density', 'coverage'):
    assert values[name].shape == (1, 8), name
    assert np.isfinite(values[name]).all(), name


def test_fid_sees_pixels_that_were_scaled_once():
  """In the released code images in [-1, 1] were scaled to [-1, 1] once more."""
  rng = np.random.default_rng(0)
  shown = rng.uniform(0, 1, (1, 8, 5, 3))
  private = colours.private(noise=0.3)
  found = score(shown, private=private)
  # The closed form, from mean colours of the same uint8 images
  pixels = [
    images.reshape(-1, 4, 4, 3).mean(axis=(1, 2)) / 255
    for images in (colours.flat(shown), private.image)
  ]
  expected = evaluators.scores.metrics.frechet_distance(*pixels).value
  assert found.fid[0].value == pytest.approx(expected, rel=1e-3)


def test_what_is_missing_is_said():
  few = score(colours.CORNERS[None, :1, None], classes=np.array([0]))
  assert few.fid[0].value is None
  assert '1 images have no covariance' in few.reasons['fid']
  assert np.isnan(few.by_class['recall']).all()
  assert 'more than 3 images' in few.reasons['recall']
  assert np.isfinite(few.by_class['precision']).all()
  judge = colours.evaluator(colours.CORNERS[:4])
  found = outcome(colours.CORNERS[None, :4, None])
  scores = evaluators.score(found, judge, colours.private(), np.arange(4))
  assert np.isnan(scores.by_class['att_acc5']).all()
  assert scores.reasons['att_acc5'] == 'of 4 classes, any would be right'
  assert (scores.by_class['att_acc1'] == 1).all()


def test_what_does_not_fit_is_refused():
  shown = np.zeros((1, 2, 3, 3))
  with pytest.raises(InputError, match=r'\[L, T, M, H, W, C\] for T classes'):
    score(shown)
  with pytest.raises(InputError, match=r'confidence must be \[L, T, M\]'):
    score(shown, classes=np.array([0, 1]), confidence=np.zeros((1, 2, 2)))
  with pytest.raises(InputError, match='class 9 is attacked and has no private image'):
    score(shown, classes=np.array([0, 9]))
  private = Dataset(colours.flat([[0, 0, 0], [1, 1, 1]]), np.array([0, 9]))
  with pytest.raises(InputError, match="'colours' has 8 classes"):
    score(shown, classes=np.array([0, 9]), private=private)
