"""Whether a sweep and a study of model inversion attacked the same targets."""

import made_up
import made_up_inversions
import pytest

from gpz_jax import threats

SAME = {'model': 'vgg', 'model_options': 'width=1', 'dataset': 'people'}


@pytest.mark.parametrize(
  ('changes', 'told'),
  [
    # What is changed on the way changes the accuracy of a cut, and not of its target.
    ({'payload_bits': 4, 'target_accuracy': 0.8, 'clean_accuracy': 0.9}, ''),
    ({'payload_bits': 4, 'target_accuracy': 0.9, 'clean_accuracy': 0.8}, '80.0%'),
    ({'defence': 'noise', 'target_accuracy': 0.8, 'clean_accuracy': 0.9}, ''),
    ({'defence': 'noise', 'target_accuracy': 0.9, 'clean_accuracy': 0.8}, '80.0%'),
    # Rows of earlier versions have no accuracy but that of the cut.
    ({'target_accuracy': 0.8}, '80.0%'),
    ({'payload_bits': 4, 'target_accuracy': 0.8}, ''),
    ({'defence': 'noise', 'target_accuracy': 0.8}, ''),
  ],
)
def test_targets_are_told_apart_by_their_accuracy_before_anything_is_sent(
  changes, told
):
  sweep = [
    row | SAME | {'payload_bits': 32} | changes for row in made_up.make_rows([0.03])
  ]
  defence = changes.get('defence', 'none')
  faces = [made_up_inversions.make_inversion(0.9, 0.8, defence=defence) | SAME]
  found = threats.cross(sweep, faces).notes
  assert len(found) == bool(told)
  for note in found:
    assert f'accuracy is {told} in a sweep and 90.0% in model inversion' in note
