package dev.tessera.kvcache;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;

/// The name of a full block's content: SHA-256 over everything that its tiles depend on.
///
/// A chain: the hash of a block covers its tokens and the hash of the block before it, and the root
/// covers model, cache policy, tile formats, codebook epoch and salt. So two blocks with the same
/// hash hold the same bytes, in this process or in another one. Every field is preceded by its
/// length, so that no two lists of fields have the same encoding; numbers are little endian.
public record BlockHash(long a, long b, long c, long d) {
  private static final VarHandle LONGS =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle INTS =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final String VERSION = "tessera block hash 1";

  /// The root of all chains that may share blocks.
  ///
  /// @param fingerprint of the model
  /// @param policy the cache policy, in its canonical text
  /// @param formats names and versions of the tile formats
  /// @param epoch content hash of the learned tables; empty where nothing is learned
  /// @param salt of the request: prefixes are shared only among requests with the same one
  public static BlockHash root(
      byte[] fingerprint, String policy, String formats, byte[] epoch, String salt) {
    MessageDigest digest = sha256();
    update(digest, VERSION.getBytes(StandardCharsets.UTF_8));
    update(digest, fingerprint);
    update(digest, policy.getBytes(StandardCharsets.UTF_8));
    update(digest, formats.getBytes(StandardCharsets.UTF_8));
    update(digest, epoch);
    update(digest, salt.getBytes(StandardCharsets.UTF_8));
    return of(digest.digest());
  }

  /// The hash of the block that follows this one.
  ///
  /// @param from index of the block's first token in `tokens`
  public BlockHash child(int[] tokens, int from) {
    byte[] bytes = new byte[32 + 4 * TileShape.BLOCK_TOKENS];
    write(bytes);
    for (int i = 0; i < TileShape.BLOCK_TOKENS; i++) {
      INTS.set(bytes, 32 + 4 * i, tokens[from + i]);
    }
    return of(sha256().digest(bytes));
  }

  /// The 32 bytes of the hash.
  public byte[] bytes() {
    byte[] bytes = new byte[32];
    write(bytes);
    return bytes;
  }

  private void write(byte[] bytes) {
    LONGS.set(bytes, 0, a);
    LONGS.set(bytes, 8, b);
    LONGS.set(bytes, 16, c);
    LONGS.set(bytes, 24, d);
  }

  /// The hash that has these 32 bytes.
  static BlockHash of(byte[] bytes) {
    return new BlockHash(
        (long) LONGS.get(bytes, 0),
        (long) LONGS.get(bytes, 8),
        (long) LONGS.get(bytes, 16),
        (long) LONGS.get(bytes, 24));
  }

  private static void update(MessageDigest digest, byte[] field) {
    byte[] length = new byte[4];
    INTS.set(length, 0, field.length);
    digest.update(length);
    digest.update(field);
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }
}
