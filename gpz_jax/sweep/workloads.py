"""The convolutions a sweep trains, for --tune."""

from collections.abc import Iterator

from gpz_jax.study.tuning import Workload
from gpz_jax.sweep.plan import Plan
from gpz_jax.training import tune


def list_workloads(plan: Plan) -> Iterator[Workload]:
  """The targets, and what each attack trains at each shape of activation."""
  config, image_shape, num_targets = plan.config, plan.task.image_shape, len(plan.lanes)
  sites = tune.find_sites(plan.model, image_shape)
  yield Workload(sites, num_targets, config.make_target_recipe().batch_size)
  batch_size = config.make_decoder_recipe().batch_size
  for attack, splits in plan.attacked.items():
    shapes = [plan.shapes[split].shape for split in splits]
    for shape in dict.fromkeys(shapes):
      network = attack.make_network(shape, image_shape)
      if network is not None:
        sites = tune.find_sites(network.module, network.input_shape)
        yield Workload(sites, num_targets * shapes.count(shape), batch_size)
