package dev.tessera.models.hub;

import dev.tessera.models.OneLine;
import java.io.IOException;

/// A model that cannot be had. The message is one line: what was tried, and why each failed.
public final class ModelUnavailableException extends IOException {
  private static final long serialVersionUID = 1;

  public ModelUnavailableException(String message) {
    super(OneLine.of(message));
  }
}
