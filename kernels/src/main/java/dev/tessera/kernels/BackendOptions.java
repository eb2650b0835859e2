package dev.tessera.kernels;

/// What an operator can set about a backend.
///
/// @param threads worker threads of a CPU backend, the calling thread included
/// @param isa instruction set to force: `auto`, `avx512`, `avx2` or `portable`
public record BackendOptions(int threads, String isa) {

  public BackendOptions {
    if (threads < 1) {
      throw new IllegalArgumentException("threads must be at least 1, is " + threads);
    }
  }
}
