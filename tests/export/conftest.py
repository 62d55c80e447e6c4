"""What the tests of the exporter and of the embedded model's recipe share."""

import torch

# One thread: torch's pools stall each other when tests share cores.
torch.set_num_threads(1)
