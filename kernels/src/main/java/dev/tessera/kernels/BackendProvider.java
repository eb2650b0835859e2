package dev.tessera.kernels;

/// Opens one kind of backend, or says why it cannot be had on this machine.
public interface BackendProvider {

  /// The name by which it is asked for (`--backend`).
  String name();

  Availability open(BackendOptions options);

  /// The outcome of opening a backend.
  sealed interface Availability {
    record Ready(Backend backend) implements Availability {}

    record Unavailable(String reason) implements Availability {}
  }
}
