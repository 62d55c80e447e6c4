"""What every comparison with another library needs before it is imported."""

import kit.torchvisionschemas  # noqa: F401 - before transformers and open_clip
