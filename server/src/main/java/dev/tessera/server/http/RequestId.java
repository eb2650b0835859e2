package dev.tessera.server.http;

import java.util.HexFormat;
import java.util.concurrent.ThreadLocalRandom;
import org.jspecify.annotations.Nullable;

/// Names of requests: a caller's own where it is harmless, else a fresh one. They are logged and
/// echoed, never acted upon.
final class RequestId {
  private static final int MAX_LENGTH = 128;

  private RequestId() {}

  static boolean isSound(String id) {
    return !id.isEmpty()
        && id.length() <= MAX_LENGTH
        && id.chars()
            .allMatch(
                c ->
                    (c >= 'A' && c <= 'Z')
                        || (c >= 'a' && c <= 'z')
                        || (c >= '0' && c <= '9')
                        || "_.:-".indexOf(c) >= 0);
  }

  static String of(@Nullable String given) {
    return given != null && isSound(given) ? given : fresh();
  }

  static String fresh() {
    var random = ThreadLocalRandom.current();
    return HexFormat.of().toHexDigits(random.nextLong())
        + HexFormat.of().toHexDigits(random.nextLong());
  }
}
