package dev.tessera.server.http;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// Who may ask. Keys are kept and compared as digests, all of them each time, so that the time
/// taken says nothing about them.
final class ApiKeys {
  private static final String BEARER = "bearer ";

  private final List<byte[]> digests;

  ApiKeys(List<String> keys) {
    this.digests = keys.stream().map(ApiKeys::digest).toList();
  }

  /// The caller's part of the cache salt, so that tenants do not see each other's prefixes by
  /// timing; empty where no keys are configured; null if the caller may not ask.
  ///
  /// @param authorization the header of that name
  /// @param apiKey the header `X-Api-Key`
  @Nullable String tenant(@Nullable String authorization, @Nullable String apiKey) {
    if (digests.isEmpty()) {
      return "";
    }
    byte[] given = digest(given(authorization, apiKey));
    byte[] found = null;
    for (byte[] digest : digests) {
      if (MessageDigest.isEqual(digest, given)) {
        found = digest;
      }
    }
    if (found == null) {
      return null;
    }
    // A digest of the digest: what goes into requests must not help anyone to test keys.
    return HexFormat.of().formatHex(digest(HexFormat.of().formatHex(found)), 0, 16);
  }

  private static String given(@Nullable String authorization, @Nullable String apiKey) {
    if (authorization != null && authorization.regionMatches(true, 0, BEARER, 0, BEARER.length())) {
      return authorization.substring(BEARER.length()).strip();
    }
    return apiKey == null ? "" : apiKey.strip();
  }

  private static byte[] digest(String key) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(key.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
