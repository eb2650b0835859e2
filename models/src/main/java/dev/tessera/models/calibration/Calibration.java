package dev.tessera.models.calibration;

import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kvcache.CodedFormat.Role;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// What was learned about a model's keys, and codewords for keys and values where they were asked
/// for.
///
/// @param headDim elements of a key
/// @param keys `[layers][kvHeads]`; null in layers that see a window, whose tiles stay exact
/// @param pairs `[layers][kvHeads]`, or empty
public record Calibration(
    int headDim, List<List<@Nullable LearnedKeys>> keys, List<List<List<LearnedPairs>>> pairs) {

  /// Without codewords.
  public Calibration(int headDim, List<List<@Nullable LearnedKeys>> keys) {
    this(headDim, keys, List.of());
  }

  public Calibration {
    pairs = List.copyOf(pairs);
    List<List<@Nullable LearnedKeys>> copy = new ArrayList<>();
    for (List<@Nullable LearnedKeys> heads : keys) {
      copy.add(Collections.unmodifiableList(new ArrayList<>(heads)));
    }
    keys = Collections.unmodifiableList(copy);
  }

  /// What was learned of a KV head of a layer.
  public @Nullable LearnedKeys keys(int layer, int kvHead) {
    return keys.get(layer).get(kvHead);
  }

  /// Codewords for the keys or values of a KV head of a layer, or null where there are none.
  ///
  /// @param width bits of a channel
  public @Nullable PairTable pairs(Role role, int layer, int kvHead, int width) {
    if (pairs.isEmpty()) {
      return null;
    }
    for (LearnedPairs learned : pairs.get(layer).get(kvHead)) {
      if (learned.role() == role && learned.width() == width) {
        return learned.table();
      }
    }
    return null;
  }

  /// SHA-256 of everything learned: tiles that were written under another epoch mean something
  /// else.
  public byte[] epoch() {
    return sha256().digest(CalibrationBytes.write(this));
  }

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }

  static ByteBuffer buffer(int bytes) {
    return ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN);
  }
}
