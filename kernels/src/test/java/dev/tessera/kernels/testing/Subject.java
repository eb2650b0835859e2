package dev.tessera.kernels.testing;

import static org.junit.jupiter.api.Assumptions.abort;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import dev.tessera.kernels.BackendProvider.Availability;
import dev.tessera.kernels.Backends;
import dev.tessera.kernels.cpu.EmulatedBackendProvider;
import dev.tessera.kernels.cpu.NativeBackendProvider;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/// A backend in one of its variants, as the subject of a contract test.
public record Subject(BackendProvider provider, String isa) {

  /// Every backend that this room has, whether or not this machine can open it.
  public static Stream<Subject> all() {
    var subjects = new ArrayList<Subject>();
    for (BackendProvider provider : Backends.providers()) {
      if (provider instanceof NativeBackendProvider) {
        for (String isa : List.of("avx512", "avx2", "portable")) {
          subjects.add(new Subject(provider, isa));
        }
      } else {
        subjects.add(new Subject(provider, "auto"));
      }
    }
    subjects.add(new Subject(new EmulatedBackendProvider(), "auto"));
    return subjects.stream();
  }

  /// Opens it, or skips the test, saying why.
  public Backend open(int threads) {
    return switch (provider.open(new BackendOptions(threads, isa))) {
      case Availability.Ready(var backend) -> backend;
      case Availability.Unavailable(var reason) -> abort(this + ": " + reason);
    };
  }

  @Override
  public String toString() {
    return provider.name() + "-" + isa;
  }
}
