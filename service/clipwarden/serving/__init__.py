"""The edge: requests in, verdicts out; admission, batching, gRPC, health, metrics, shutdown."""
