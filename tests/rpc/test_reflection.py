"""A client that knows nothing of us: `buf curl`, with the server's own description as its only schema."""

import asyncio
import base64
import json
import shutil
import sys
from pathlib import Path

import pytest
from google.rpc.error_details_pb2 import ErrorInfo

from clipwarden.modelfolder.load import Model
from clipwarden.v1 import moderation_pb2 as pb
from kit.serving import picture, serving

BUF = shutil.which("buf", path=str(Path(sys.executable).parent)) or shutil.which("buf")

pytestmark = pytest.mark.skipif(BUF is None, reason="buf is not installed: pip install buf-bin")


async def buf_curl(address: str | None, method: str, request: object) -> tuple[int, str, str]:
    arguments = ["curl", "--protocol", "grpc", "--http2-prior-knowledge", "--data", json.dumps(request)]
    url = f"http://{address}/clipwarden.v1.ModerationService/{method}"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(BUF), *arguments, url, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_foreign_client_judges_an_image_through_reflection(toy_model: Model) -> None:
    image = {"data": base64.b64encode(picture("red")).decode()}
    async with serving(toy_model) as rig:
        code, out, err = await buf_curl(rig.server.address, "Moderate", {"image": image, "requestId": "foreign"})
    assert code == 0, err
    moderation = json.loads(out)["moderation"]
    assert moderation["verdict"] == "VERDICT_BLOCK"
    assert moderation["decidedBy"] == ["red"]
    assert moderation["requestId"] == "foreign"


async def test_foreign_client_reads_the_details_of_an_error(toy_model: Model) -> None:
    async with serving(toy_model) as rig:
        code, _, err = await buf_curl(rig.server.address, "Moderate", {"image": {"data": ""}})
    assert code != 0
    error = json.loads(err)
    assert error["code"] == "invalid_argument"
    details = {detail["type"]: base64.b64decode(detail["value"] + "==") for detail in error["details"]}
    assert ErrorInfo.FromString(details["google.rpc.ErrorInfo"]).reason == "IMAGE_EMPTY"
    fault = pb.ImageFault.FromString(details["clipwarden.v1.ImageFault"])
    assert (fault.reason, fault.policy_verdict) == (pb.IMAGE_FAULT_REASON_EMPTY, pb.VERDICT_BLOCK)


async def test_without_reflection_nothing_is_described(toy_model: Model) -> None:
    async with serving(toy_model, reflection=False) as rig:
        code, _, err = await buf_curl(rig.server.address, "ListPolicies", {})
    assert code != 0
    assert "failed to find service" in err.lower()
