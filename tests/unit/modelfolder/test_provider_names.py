"""An execution provider that is not there."""

import pytest

from clipwarden.errors import ModelError
from clipwarden.modelfolder.session import require_provider


@pytest.mark.parametrize("name", ["CUDA", "CUDAExecutionProvider"])
def test_a_gpu_that_this_build_has_not_is_answered_with_what_to_install(name: str) -> None:
    with pytest.raises(ModelError, match=r"install clipwarden\[gpu\] and name it CUDAExecutionProvider\.$"):
        require_provider(name, ["CPUExecutionProvider"])
