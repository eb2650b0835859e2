package dev.tessera.server.http;

/// What was made of a request: an answer whose tokens are on their way.
///
/// @param unknownFields how many of the request's fields mean nothing to this server
record Understood(Answer answer, int unknownFields) {}
