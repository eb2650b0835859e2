package dev.tessera.kernels;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.scalar.ScalarBackend;
import java.util.List;
import org.junit.jupiter.api.Test;

final class BackendsTest {

  private static final BackendOptions OPTIONS = new BackendOptions(1, "auto");

  @Test
  void takesTheFirstThatOpensAndSaysWhyNotTheOthers() {
    var choice =
        Backends.choose(
            List.of(missing("cuda", "no driver"), missing("native", "no library"), ready("vector")),
            "auto",
            OPTIONS);
    assertTrue(choice.backend().name().startsWith("scalar"));
    assertEquals(List.of("cuda: no driver", "native: no library"), choice.passedOver());
  }

  @Test
  void neverReplacesTheOneThatWasAskedFor() {
    var thrown =
        assertThrows(
            BackendUnavailableException.class,
            () ->
                Backends.choose(
                    List.of(missing("native", "no library"), ready("vector")), "native", OPTIONS));
    assertEquals(
        "backend native was asked for and is not available (native: no library)",
        thrown.getMessage());
  }

  @Test
  void namesEveryReasonWhenNoneOpens() {
    var thrown =
        assertThrows(
            BackendUnavailableException.class,
            () ->
                Backends.choose(
                    List.of(missing("native", "no library"), missing("vector", "no module")),
                    "auto",
                    OPTIONS));
    assertEquals(
        "no backend is available: native: no library; vector: no module", thrown.getMessage());
  }

  @Test
  void listsTheKnownNames() {
    var thrown =
        assertThrows(
            IllegalArgumentException.class,
            () -> Backends.choose(List.of(ready("native"), ready("vector")), "cudda", OPTIONS));
    assertEquals("unknown backend \"cudda\"; known are auto, native, vector", thrown.getMessage());
  }

  @Test
  void theOracleOpensOnlyWhenAskedFor() {
    var oracle = new ScalarBackend.Provider();
    assertThrows(
        BackendUnavailableException.class, () -> Backends.choose(List.of(oracle), "auto", OPTIONS));
    var choice = Backends.choose(List.of(missing("native", "no"), oracle), "scalar", OPTIONS);
    assertEquals(List.of(), choice.passedOver());
  }

  private static BackendProvider missing(String name, String reason) {
    return provider(name, new BackendProvider.Availability.Unavailable(reason));
  }

  private static BackendProvider ready(String name) {
    return provider(name, new BackendProvider.Availability.Ready(new ScalarBackend()));
  }

  private static BackendProvider provider(String name, BackendProvider.Availability availability) {
    return new BackendProvider() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public Availability open(BackendOptions options) {
        return availability;
      }
    };
  }
}
