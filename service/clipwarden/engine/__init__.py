"""The way of one image, from bytes to verdict, without gRPC, settings files or metrics around it."""
