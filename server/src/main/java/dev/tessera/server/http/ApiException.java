package dev.tessera.server.http;

import java.io.Serial;

/// Carries an [ApiError] from where a request turns out to be wrong to where it is answered.
final class ApiException extends RuntimeException {
  @Serial private static final long serialVersionUID = 1;
  private final transient ApiError error;

  ApiException(ApiError error) {
    super(error.message(), null, false, false);
    this.error = error;
  }

  ApiError error() {
    return error;
  }
}
