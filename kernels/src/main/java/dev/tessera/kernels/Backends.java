package dev.tessera.kernels;

import dev.tessera.kernels.cpu.NativeBackendProvider;
import dev.tessera.kernels.scalar.ScalarBackend;
import dev.tessera.kernels.vector.VectorBackend;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;

/// The honest choice of a backend: providers are tried in order, each opens or says why not. One
/// that was asked for by name is never replaced by another.
public final class Backends {

  /// The request that leaves the choice to us.
  public static final String AUTO = "auto";

  /// The name of the native backend, the only one with a choice of instruction sets.
  public static final String NATIVE = NativeBackendProvider.NAME;

  private Backends() {}

  /// A backend, and why the ones before it were not taken.
  ///
  /// @param passedOver one line per provider: its name and its reason
  public record Choice(Backend backend, List<String> passedOver) {

    public Choice {
      passedOver = List.copyOf(passedOver);
    }
  }

  /// Every provider, the fastest first.
  public static List<BackendProvider> providers() {
    return List.of(
        new NativeBackendProvider(), new VectorBackend.Provider(), new ScalarBackend.Provider());
  }

  /// Opens a backend.
  ///
  /// @param requested a provider's name, or `auto` for the first that opens; the oracle is never
  ///   taken unasked
  /// @throws IllegalArgumentException for a name that no provider has
  /// @throws BackendUnavailableException if it cannot be had
  public static Choice choose(String requested, BackendOptions options) {
    return choose(providers(), requested, options);
  }

  static Choice choose(List<BackendProvider> providers, String requested, BackendOptions options) {
    List<BackendProvider> candidates =
        providers.stream()
            .filter(
                provider ->
                    requested.equals(AUTO)
                        ? !provider.name().equals(ScalarBackend.NAME)
                        : provider.name().equals(requested))
            .toList();
    if (candidates.isEmpty() && !requested.equals(AUTO)) {
      throw new IllegalArgumentException(
          "unknown backend \"%s\"; known are %s, %s"
              .formatted(
                  requested,
                  AUTO,
                  providers.stream().map(BackendProvider::name).collect(Collectors.joining(", "))));
    }
    var passedOver = new ArrayList<String>();
    for (BackendProvider provider : candidates) {
      switch (provider.open(options)) {
        case BackendProvider.Availability.Ready(var backend) -> {
          return new Choice(backend, passedOver);
        }
        case BackendProvider.Availability.Unavailable(var reason) ->
            passedOver.add(provider.name() + ": " + reason);
      }
    }
    throw new BackendUnavailableException(
        requested.equals(AUTO)
            ? "no backend is available: " + String.join("; ", passedOver)
            : "backend %s was asked for and is not available (%s)"
                .formatted(requested, passedOver.getFirst()));
  }
}
