"""Records the logits of torchvision's nets under weights by formula.

    python -m venv ENV && ENV/bin/pip install torchvision
    ENV/bin/python tests/record_torchvision.py resnet18 densenet121 ...

Each net gives a file in tests/models/recorded. It holds how the net was made, the
number of its parameters for 1000 classes, and the logits of two images in float64.
`float32_error` is how far torch's own float32 is from them, relative to the largest.
"""

# pyright: reportMissingImports=false
# (torchvision is only in an environment of its own)

import json
import pathlib
import sys

import formula_weights
import torch
import torchvision

RECORDED = pathlib.Path(__file__).parent / 'models' / 'recorded'
CLASSES, IMAGES, SIDE = 10, 2, 64
# What differs from SIDE, from a gain of 0.6 and from no options of the builder
SIDES = {'inception_v3': 75, 'maxvit_t': 224}
PLAIN_CHAINS = ('inception_v3', 'vgg11_bn')
DENSENETS = ('densenet121', 'densenet161', 'densenet169', 'densenet201')
GAINS = {**dict.fromkeys((*PLAIN_CHAINS, *DENSENETS), 1.0), 'efficientnet_b0': 1.0}
OPTIONS = {'inception_v3': {'aux_logits': True, 'init_weights': False}}
SMALL = {'vit_b_16': {'image_size': SIDE}}  # options of the net of side SIDE alone
DEFAULT_GAIN = 0.6


def record(name: str) -> dict:
  """What a file holds."""
  side, gain = SIDES.get(name, SIDE), GAINS.get(name, DEFAULT_GAIN)
  options = OPTIONS.get(name, {})
  small = {**options, **SMALL.get(name, {})}
  module = torchvision.models.get_model(name, num_classes=CLASSES, **small).eval()
  shapes = {
    key: tuple(tensor.shape)
    for key, tensor in module.state_dict().items()
    if tensor.is_floating_point()
  }
  arrays = formula_weights.state_dict(shapes, gain)
  tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
  module.load_state_dict({**module.state_dict(), **tensors})
  images = torch.from_numpy(formula_weights.images(IMAGES, side)).permute(0, 3, 1, 2)
  logits = {}
  with torch.no_grad():
    for dtype in (torch.float32, torch.float64):
      mean, std = (
        torch.tensor(numbers, dtype=dtype).view(3, 1, 1)
        for numbers in (formula_weights.MEAN, formula_weights.STD)
      )
      logits[dtype] = module.to(dtype)((images.to(dtype) - mean) / std).double()
  exact = logits[torch.float64]
  error = (logits[torch.float32] - exact).abs().max() / exact.abs().max()
  with torch.device('meta'):
    whole = torchvision.models.get_model(name, **options)
  return {
    'model': name,
    'torchvision': torchvision.__version__,
    'torch': torch.__version__,
    'num_classes': CLASSES,
    'side': side,
    'gain': gain,
    'parameters': sum(parameter.numel() for parameter in whole.parameters()),
    'float32_error': float(f'{error:.3g}'),
    'logits': [[float(f'{value:.9g}') for value in row] for row in exact.tolist()],
  }


def main(names: list[str]) -> None:
  """Writes a file for each name."""
  for name in names:
    found = record(name)
    text = json.dumps(found, indent=1).replace('\n   ', ' ').replace('\n  ]', ' ]')
    (RECORDED / f'{name}.json').write_text(text + '\n')
    rows = torch.tensor(found['logits'])
    print(
      f'{name}: {found["parameters"]:,} parameters, float32 error'
      f' {found["float32_error"]}, largest logit {rows.abs().max():.4g}, between images'
      f' {(rows[0] - rows[1]).abs().max():.4g}'
    )


if __name__ == '__main__':
  main(sys.argv[1:])
