"""The columns of results: one row for each lane, split and attack, as a plain dict."""

import math

from gpz_jax.results.schema import Column, Row, Schema
from gpz_jax.types import Treatment

COLUMNS = (
  Column('model', str, 'target architecture'),
  Column(
    'model_options', str, 'options of the model, with its normalization and its stem'
  ),
  Column(
    'finetuned_from',
    str,
    'file of weights that the target was trained on from; empty if from random values',
    default='',
  ),
  Column('dataset', str, 'dataset of the target'),
  Column('aux_dataset', str, "dataset of the attacker's images"),
  Column('alpha', float, 'label smoothing of the target; may be negative'),
  Column('skips', str, 'factors of the skip connections, by stage; intact: all are 1'),
  Column(
    'skips_final',
    str,
    'factors at the end of the training, by stage; empty where none was learned',
    default='',
  ),
  Column('defence', str, 'defence of the target, with its options; none without one'),
  Column('seed', int, 'seed of the target and of its decoders'),
  Column('split', str, 'where the target is cut; prediction: behind its last layer'),
  Column('split_index', int, 'position of the split in forward order, from 0'),
  Column('split_module', str, 'class of the module at the split, as Conv or Dropout'),
  Column('attack', str, 'how the activation is inverted, with its options'),
  Column('decoder', str, 'architecture of the decoder; none where images are searched'),
  Column('selection', str, "data that chose the decoder's epoch: aux or test"),
  Column('activation_shape', str, 'shape of what is sent for one image, as 4x4x128'),
  Column('edge_params', int, 'parameters on the device'),
  Column('edge_params_share', float, 'edge_params over all parameters of the target'),
  Column('edge_flops', int, 'floating-point operations on the device for one image'),
  Column('edge_flops_share', float, 'edge_flops over those of the whole target'),
  Column('payload_bits', int, 'bits of each number sent; below 16 it is quantised'),
  Column('payload_bytes', int, 'bytes sent for one image, at payload_bits'),
  Column('payload_bytes_float16', int, 'bytes sent for one image in float16'),
  Column('target_accuracy', float, 'accuracy on the test subset, from what is sent'),
  Column('target_val_accuracy', float, 'accuracy on the val subset, from what is sent'),
  Column(
    'clean_accuracy',
    float,
    'accuracy on the test subset, where nothing is changed on the way',
    default=math.nan,
  ),
  Column(
    'chance_accuracy', float, 'test accuracy up to which a target may be guessing'
  ),
  Column('test_mse', float, 'per-element squared error in [0, 1], test subset'),
  Column(
    'guess_mse', float, 'test_mse of the better of the mean image and the class mean'
  ),
  Column('test_psnr', float, 'mean of per-image PSNR in dB, test subset'),
  Column('test_ssim', float, 'mean of per-image SSIM, test subset'),
  Column('test_cosine', float, 'mean of per-image cosine similarity, test subset'),
  Column('test_mse_paper', float, 'squared error summed over channels, test subset'),
  Column(
    'test_psnr_paper', float, 'mean over batches of 32 of PSNR in dB, test subset'
  ),
  Column(
    'recognised',
    float,
    "share of rebuilt test images that the target gives to the image's class",
    default=math.nan,
  ),
  Column(
    'judge_recognised',
    float,
    "share of rebuilt test images that the judge gives to the image's class",
    default=math.nan,
  ),
  Column(
    'judge_accuracy',
    float,
    'share of test images that the judge gives to their class',
    default=math.nan,
  ),
  Column('aux_mse', float, 'per-element squared error in [0, 1], aux subset'),
  Column('aux_psnr', float, 'mean of per-image PSNR in dB, aux subset'),
  Column('aux_mse_paper', float, 'squared error summed over channels, aux subset'),
  Column('aux_psnr_paper', float, 'mean over batches of 32 of PSNR in dB, aux subset'),
  Column('decoder_params', int, 'parameters of the decoder'),
  Column('epochs', int, 'epochs the decoder was trained for, or steps of a search'),
  Column('best_epoch', int, 'epoch whose weights were kept, from 1; 0 without any'),
  Column(
    'loss_fall',
    float,
    'share by which the held-out error fell in the last fifth of the epochs',
  ),
  Column('n_test', int, 'images scored in the test subset'),
  Column('n_aux', int, "the attacker's images that were fitted and, by aux_*, scored"),
  Column('steps', int, 'steps taken until the end, or until it diverged'),
  Column(
    'status', str, 'done, or diverged: a loss, of target or decoder, went non-finite'
  ),
  Column('doubt', str, 'why the row may mean nothing, if it may'),
  Column('lane_id', str, 'stable name of model, dataset, alpha and seed'),
  Column('strategy', str, 'how lanes were run side by side: map, vmap, ...'),
  Column('conv', str, 'how convolutions were computed: auto, tuned, lax, ...'),
  Column('precision', str, 'number format of the forward and backward pass'),
  Column('devices', int, 'devices the lanes were spread over'),
  Column('device', str, 'kind of device it was computed on'),
  Column('changed', str, 'conditions that changed while it was computed, if any'),
  Column('activation_dtype', str, 'number format the activations were kept in'),
  Column('cache', str, 'where the activations were kept: device, host or disk'),
  Column('wave', int, 'lanes that were attacked side by side'),
  Column('wall_seconds', float, 'seconds of the attack, shared among its lanes'),
  Column('version', str, 'version of gpz_jax'),
)
RESULTS = Schema(
  'results',
  COLUMNS,
  order=('split_index', *Treatment().columns, 'seed', 'attack'),
  allowed={'status': ('done', 'diverged')},
)


def row_key(row: Row) -> tuple[str, str, str]:
  """What a row is the result of: (lane_id, split, attack)."""
  return row['lane_id'], row['split'], row['attack']
