"""Let torchvision import on the CPU build of torch; to be imported before it, open_clip and transformers.

open_clip imports torchvision, and transformers does so wherever it is installed. torchvision's compiled operators
belong to the CUDA build, so on the CPU build their schemas are missing, and torchvision 0.28's
`_meta_registrations.py` fails on the two that it names outright. Declaring them is enough: nothing calls them.
Nothing of this reaches the product.
"""

import torch

_SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}
# A CUDA build's torchvision declares them itself when it loads; declaring twice would be an error.
if torch.version.cuda is None:
    for _name, _schema in _SCHEMAS.items():
        torch.library.define(_name, _schema)
