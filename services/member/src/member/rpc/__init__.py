"""The gRPC transport: messages in, messages out; it decides nothing."""
