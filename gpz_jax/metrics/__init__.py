"""What images, features and guesses are compared by."""

from gpz_jax.metrics.features import Frechet, frechet_distance, nearest_distances
from gpz_jax.metrics.images import (
  MSE_FLOOR,
  PAPER_BATCH,
  THUMBNAILS,
  chance_accuracy,
  cosine,
  evaluate_batch,
  ladder,
  mse,
  paper_mse,
  psnr,
  ssim,
)
from gpz_jax.metrics.prdc import NEIGHBOURS, PRDC, prdc

__all__ = [
  'MSE_FLOOR',
  'NEIGHBOURS',
  'PAPER_BATCH',
  'PRDC',
  'THUMBNAILS',
  'Frechet',
  'chance_accuracy',
  'cosine',
  'evaluate_batch',
  'frechet_distance',
  'ladder',
  'mse',
  'nearest_distances',
  'paper_mse',
  'prdc',
  'psnr',
  'ssim',
]
