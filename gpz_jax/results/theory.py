"""The columns of the theory: one row for each lane, split, epoch and quantity."""

from gpz_jax.results.schema import Column, Row, Schema
from gpz_jax.types import Treatment

COLUMNS = (
  Column('model', str, 'target architecture'),
  Column('dataset', str, 'dataset of the target'),
  Column('alpha', float, 'label smoothing of the target; may be negative'),
  Column('skips', str, 'factors of the skip connections, by stage; intact: all are 1'),
  Column('defence', str, 'defence of the target, with its options; none without one'),
  Column('seed', int, 'seed of the target'),
  Column('lane_id', str, 'stable name of model, dataset, alpha and seed'),
  Column('split', str, 'where the activation was taken'),
  Column('split_index', int, 'position of the split in forward order, from 0'),
  Column('epoch', int, 'epoch of the target, from 1; 0: the finished target'),
  Column('subset', str, 'whose images were passed through the target, as train'),
  Column('examples', int, 'images of the subset; `assumes` names those of an attack'),
  Column('quantity', str, 'what was measured, as radius or entropy_trace'),
  Column('value', float, 'the number, in `unit`'),
  Column('low', float, 'lower end of its 95% interval; NaN without one'),
  Column('high', float, 'upper end of its 95% interval; NaN without one'),
  Column('unit', str, 'nats, squared activation, ...; empty for shares and counts'),
  Column('assumes', str, 'the noise, bits, ceiling or convention it depends on'),
  Column('version', str, 'version of gpz_jax'),
)
THEORY = Schema(
  'theory',
  COLUMNS,
  order=('split_index', *Treatment().columns, 'seed', 'epoch', 'subset', 'quantity'),
)


def theory_key(row: Row) -> tuple[str, str, int, str, str]:
  """What a row measures: (lane_id, split, epoch, subset, quantity)."""
  lane = row['lane_id'], row['split'], row['epoch']
  return *lane, row['subset'], row['quantity']
