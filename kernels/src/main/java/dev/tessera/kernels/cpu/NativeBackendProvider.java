package dev.tessera.kernels.cpu;

import dev.tessera.kernels.BackendOptions;
import dev.tessera.kernels.BackendProvider;
import java.io.IOException;

/// Opens the CPU backend in C, where the build had a compiler.
public final class NativeBackendProvider implements BackendProvider {

  /// The name by which it is asked for.
  public static final String NAME = "cpu-native";

  @Override
  public String name() {
    return NAME;
  }

  @Override
  public Availability open(BackendOptions options) {
    if (!NativeLibrary.exists(NativeLibrary.PRODUCT)) {
      return new Availability.Unavailable("built without a C compiler for this system");
    }
    try {
      return open(NativeLibrary.load(NativeLibrary.PRODUCT), options);
    } catch (IOException | IllegalArgumentException | IllegalCallerException e) {
      return new Availability.Unavailable("its library cannot be loaded: " + e.getMessage());
    }
  }

  private static Availability open(NativeLibrary library, BackendOptions options) {
    Isa best = library.best();
    Isa wanted = best;
    if (!options.isa().equals("auto")) {
      Isa named = named(options.isa());
      if (named == null) {
        return new Availability.Unavailable(
            "no instruction set '%s' (auto, avx512, avx2, portable)".formatted(options.isa()));
      }
      wanted = named;
    }
    if (wanted.compareTo(best) > 0) {
      return new Availability.Unavailable(
          "this CPU lacks %s; the best it has is %s".formatted(wanted.label(), best.label()));
    }
    if (!library.has(wanted)) {
      return new Availability.Unavailable("built without kernels for " + wanted.label());
    }
    return new Availability.Ready(new NativeBackend(library.kernels(wanted), options.threads()));
  }

  private static @org.jspecify.annotations.Nullable Isa named(String label) {
    for (Isa isa : Isa.values()) {
      if (isa.label().equals(label)) {
        return isa;
      }
    }
    return null;
  }
}
