"""What an error is worth, by the guesses of a ladder."""

import math

import pytest

from gpz_jax.zone.worth import best_blind_guess, worth

LADDER = {
  'mean_image': {'mse': 0.06, 'mse_paper': 0.18},
  'thumbnail_4': {'mse': 0.02, 'mse_paper': 0.06},
  'thumbnail_8': {'mse': 0.01, 'mse_paper': 0.03},
}


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (0.02, 'better than even the 8x8 thumbnail'),
    (0.03, 'no better than the 8x8 thumbnail, and better than the 4x4 thumbnail'),
    (0.07, 'no better than the 4x4 thumbnail, and better than the mean image'),
    (0.18, 'no better than the mean image'),
  ],
)
def test_both_neighbouring_guesses_are_named(error, words):
  assert worth(error, LADDER, 'test_mse_paper') == words
  assert worth(error / 3, LADDER, 'test_mse') == words


def test_a_missing_number_is_worth_nothing():
  assert worth(math.nan, LADDER, 'test_mse') == worth(0.1, {}, 'test_mse') == ''
  assert worth(0.1, LADDER, 'test_psnr') == ''


def test_the_best_blind_guess():
  ladder = {'mean_image': {'mse': 0.06}, 'thumbnail_8': {'mse': 0.01}}
  assert best_blind_guess(ladder) == 0.06
  assert best_blind_guess(ladder | {'class_mean': {'mse': 0.05}}) == 0.05
