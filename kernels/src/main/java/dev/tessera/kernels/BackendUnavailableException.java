package dev.tessera.kernels;

/// The backend that was asked for, or any at all, cannot be had on this machine. Ends the start.
public final class BackendUnavailableException extends RuntimeException {

  private static final long serialVersionUID = 1;

  BackendUnavailableException(String message) {
    super(message);
  }
}
