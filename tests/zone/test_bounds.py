"""What a config.json says of the recommendation."""

import json
import re

import pytest

from gpz_jax import zone
from gpz_jax.types import InputError
from gpz_jax.zone import bars


def test_an_earlier_sweep_was_not_told_what_is_private_enough(tmp_path):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({'max_edge_params': 5, 'model': 'cnn'}))
  assert zone.read_bounds(path) == {
    'max_edge_params': 5,
    'max_edge_flops': None,
    'max_payload_bytes': None,
    'min_accuracy': None,
    'private_enough': bars.DEFAULT,
  }


@pytest.mark.parametrize(
  ('name', 'value'),
  [('private_enough', '4x-1'), ('max_edge_params', 'x'), ('min_accuracy', 90)],
)
def test_a_bad_value_names_itself_and_its_file(tmp_path, name, value):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps({name: value}))
  with pytest.raises(InputError, match=re.escape(f'{name}={value}')) as error:
    zone.read_bounds(path)
  assert str(path) in str(error.value)
