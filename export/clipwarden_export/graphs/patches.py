"""Rewrite a patch convolution as reshape + matrix product while a tower is being exported."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class PatchProduct(nn.Module):
    """The same map as a convolution whose stride is its kernel, as one matrix product.

    In fp32 it is as fast as the convolution (ViT-B/32, one core, batches of 1, 4 and 16: 0.95 to 1.02 times, within the
    noise); what it is for is int8, which covers MatMul only and would leave a convolution in fp32.

    Args:
        convolution: Stride equal to kernel, no padding, one group.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = convolution.weight, convolution.bias
        self.height, self.width = convolution.kernel_size

    def forward(self, pixels: Tensor) -> Tensor:
        """Map [N,C,H,W] to [N,E,H/p,W/p]."""
        rows, columns = pixels.shape[2] // self.height, pixels.shape[3] // self.width
        # A convolution ignores the rest that no full patch covers (SigLIP so400m: 384 = 27 * 14 + 6).
        pixels = pixels[:, :, : rows * self.height, : columns * self.width]
        cut = pixels.reshape(-1, pixels.shape[1], rows, self.height, columns, self.width)
        # [N,C,r,p,c,p] -> [N,r*c,C*p*p]
        patches = cut.permute(0, 2, 4, 1, 3, 5).reshape(-1, rows * columns, self.weight[0].numel())
        product = patches @ self.weight.reshape(len(self.weight), -1).T
        shifted = product if self.bias is None else product + self.bias
        # [N,r*c,E] -> [N,E,r,c]
        return shifted.transpose(1, 2).reshape(-1, len(self.weight), rows, columns)


@contextmanager
def linear_patches(tower: nn.Module) -> Iterator[None]:
    """Replace a tower's patch convolutions for the length of a `with` block.

    The checkpoint itself must stay as its library made it: it is the reference that the graph is compared with.

    Args:
        tower: Any module.
    """
    found = [
        (parent, name, child)
        for parent in tower.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Conv2d) and _is_patch_convolution(child)
    ]
    for parent, name, child in found:
        setattr(parent, name, PatchProduct(child))
    try:
        yield
    finally:
        for parent, name, child in found:
            setattr(parent, name, child)


def _is_patch_convolution(convolution: nn.Conv2d) -> bool:
    return (
        convolution.kernel_size == convolution.stride
        and max(convolution.kernel_size) > 1
        and convolution.padding in ((0, 0), "valid")
        and convolution.dilation == (1, 1)
        and convolution.groups == 1
    )
