"""The columns of model inversion: a row for each lane and attack, and one per class."""

import math

from gpz_jax.results.schema import Column, Row, Schema
from gpz_jax.types import Treatment

_TARGET = (
  Column('model', str, 'target architecture'),
  Column(
    'model_options', str, 'options of the model, with its normalization and its stem'
  ),
  Column('dataset', str, 'private dataset, of targets and evaluator'),
  Column('public_dataset', str, "dataset of the attacker's images"),
  Column('alpha', float, 'label smoothing of the target; may be negative'),
  Column('skips', str, 'factors of the skip connections, by stage; intact: all are 1'),
  Column('defence', str, 'defence of the target, with its options; none without one'),
  Column('seed', int, 'seed of the target and of the attack on it'),
  Column('attack', str, 'how the model is inverted, with its options'),
)
_LANE = (
  Column('lane_id', str, 'stable name of model, dataset, treatment and seed'),
  Column('status', str, 'done, or diverged: a loss, of target or attack, went bad'),
)


def _with_interval(name: str, meaning: str) -> tuple[Column, ...]:
  """A score, and the ends of its interval over classes."""
  end = f'end of the 95% bootstrap interval over classes of {name}'
  return (
    Column(name, float, meaning),
    Column(f'{name}_low', float, f'lower {end}'),
    Column(f'{name}_high', float, f'upper {end}'),
  )


INVERSION_COLUMNS = (
  *_TARGET,
  Column('target_accuracy', float, 'accuracy on the private test subset'),
  Column('target_val_accuracy', float, 'accuracy on the private val subset'),
  Column(
    'chance_accuracy', float, 'test accuracy up to which a target may be guessing'
  ),
  *_with_interval(
    'att_acc1', 'share of final reconstructions that the evaluator puts on the class'
  ),
  *_with_interval(
    'att_acc5', 'share with the attacked class among its first five guesses'
  ),
  Column('att_acc1_all', float, 'att_acc1 of all candidates, before final selection'),
  Column('att_acc5_all', float, 'att_acc5 of all candidates, before final selection'),
  Column(
    'chance_att_acc', float, 'att_acc1 of images that show no class in particular'
  ),
  Column('confidence', float, 'mean probability the target gives to final ones'),
  Column(
    'false_positives',
    float,
    'share of final ones the target is sure of and the evaluator puts elsewhere',
  ),
  *_with_interval(
    'delta_eval',
    'squared distance in evaluator features to the nearest private image of the class',
  ),
  Column('delta_face', float, 'the same in features of a face embedding, if given'),
  Column('fid', float, 'Frechet distance of evaluator features to private images'),
  Column('precision', float, 'mean over classes, in evaluator features, k=3'),
  Column('recall', float, 'mean over classes, in evaluator features, k=3'),
  Column('density', float, 'mean over classes, in evaluator features, k=3'),
  Column('coverage', float, 'mean over classes, in evaluator features, k=3'),
  Column('kes', float, 'test accuracy of a student of the reconstructions'),
  Column(
    'chance_kes',
    float,
    'kes up to which such a student may be guessing',
    default=math.nan,
  ),
  Column('gradient_mean', float, 'mean of |dL/dw| over steps, classes and entries'),
  Column('gradient_std', float, 'mean over steps of the deviation of |dL/dw|'),
  Column('evaluator', str, 'architecture of the evaluator, with its options'),
  Column('evaluator_accuracy', float, 'accuracy of the evaluator on the test subset'),
  Column(
    'evaluator_accuracy_at_size',
    float,
    'the same on test images that are no larger than the reconstructions',
    default=math.nan,
  ),
  Column('generator', str, 'the prior: how it was trained, or the name of its file'),
  Column(
    'generator_fid', float, 'Frechet distance of its samples to the public images'
  ),
  Column('num_classes', int, 'classes of the target'),
  Column('num_attacked', int, 'classes that were attacked'),
  Column('num_candidates', int, 'candidates searched for each class'),
  Column('num_final', int, 'reconstructions of each class after final selection'),
  Column('doubt', str, 'why the row may mean nothing, if it may'),
  *_LANE,
  Column('strategy', str, 'how lanes were run side by side: map, vmap, ...'),
  Column('conv', str, 'how convolutions were computed: auto, tuned, lax, ...'),
  Column('number_format', str, 'number format of the forward and backward pass'),
  Column('devices', int, 'devices the lanes were spread over'),
  Column('device', str, 'kind of device it was computed on'),
  Column('changed', str, 'conditions that changed while it was computed, if any'),
  Column('wall_seconds', float, 'seconds of the attack on this lane'),
  Column('version', str, 'version of gpz_jax'),
)
INVERSIONS = Schema(
  'inversions',
  INVERSION_COLUMNS,
  order=(*Treatment().columns, 'seed', 'attack'),
  allowed={'status': ('done', 'diverged')},
)

CLASSES = Schema(
  'classes',
  (
    *_TARGET,
    Column('label', int, 'the attacked class'),
    Column('class_name', str, 'its name in the private dataset'),
    Column('att_acc1', float, 'share of final reconstructions on this class'),
    Column('att_acc5', float, 'share with this class among the first five guesses'),
    Column('att_acc1_all', float, 'att_acc1 of all candidates'),
    Column('confidence', float, 'mean probability the target gives to final ones'),
    Column('false_positives', float, 'share of final ones that are false positives'),
    Column('delta_eval', float, 'squared distance to the nearest private image'),
    Column('coverage', float, 'share of private images with a near reconstruction'),
    *_LANE,
    Column('version', str, 'version of gpz_jax'),
  ),
  order=(*Treatment().columns, 'seed', 'attack', 'label'),
  allowed={'status': ('done', 'diverged')},
)


def inversion_key(row: Row) -> tuple[str, str]:
  """What a row of model inversion is the result of: (lane_id, attack)."""
  return row['lane_id'], row['attack']


def class_key(row: Row) -> tuple[str, str, int]:
  """What a row of a class is the result of: (lane_id, attack, label)."""
  return row['lane_id'], row['attack'], row['label']
