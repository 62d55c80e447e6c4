"""The type of what gRPC hands to every handler beside its messages."""

from typing import Any

import grpc

Context = grpc.aio.ServicerContext[Any, Any]
