"""GPU hours of a study at an assumed speed."""

from gpz_jax.study.estimates import Cost, describe_gpu_hours


def test_the_hours_are_the_operations_at_the_speed_and_say_what_is_left_out():
  costs = [Cost('targets', 3.6e15), Cost('decoders', 7.2e15), Cost('search', None)]
  *table, total = describe_gpu_hours(costs, 10.0, 0.1, 'Naps').splitlines()
  assert [line.split() for line in table] == [
    ['work', 'TFLOP', 'GPU', 'hours'],
    ['targets', '3.6e+03', '1'],
    ['decoders', '7.2e+03', '2'],
    ['search', 'not', 'known'],
  ]
  assert total == (
    '3 GPU hours, computed and not measured: at an assumed 10% of 10 TFLOP/s. Naps are'
    ' not counted, nor is the work whose TFLOP are not known (1 of 3).'
  )


def test_nothing_is_said_of_unknown_work_where_all_is_known():
  assert 'nor is' not in describe_gpu_hours([Cost('x', 1.0)], 10.0, 0.1, 'Naps')
