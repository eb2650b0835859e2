package dev.tessera.server.http;

import java.time.Duration;

/// How long a connection may take.
///
/// @param idle without a request
/// @param head from a request's first byte to the end of its headers
/// @param body from there to the end of its body
/// @param write for one write to a client that does not read
record ConnectionLimits(Duration idle, Duration head, Duration body, Duration write) {}
