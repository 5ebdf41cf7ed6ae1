"""The gRPC face: messages in, messages out; it decides nothing."""
