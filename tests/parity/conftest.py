"""What every comparison with another library needs before it is imported."""

import torchvisionschemas  # noqa: F401 - before transformers and open_clip
