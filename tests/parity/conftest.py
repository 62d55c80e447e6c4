"""What every comparison with another library needs before it is imported."""

import torch

import kit.torchvisionschemas  # noqa: F401 - before transformers and open_clip

# One thread: torch's pools stall each other when tests share cores.
torch.set_num_threads(1)
