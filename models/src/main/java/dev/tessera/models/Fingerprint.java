package dev.tessera.models;

import dev.tessera.kernels.Tensor;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/// What tells a model from every other without reading all of it: SHA-256 over headers, tensor
/// table, and a little of each tensor's data. The headers alone would not do: two fine-tunes of one
/// model have the same.
final class Fingerprint {
  private static final int SAMPLE_BYTES = 256;

  private Fingerprint() {}

  static byte[] of(List<byte[]> headers, Map<String, Tensor> tensors) {
    MessageDigest digest = sha256();
    for (byte[] header : headers) {
      digest.update(ByteBuffer.allocate(8).putLong(header.length).flip());
      digest.update(header);
    }
    for (Tensor tensor : new TreeMap<>(tensors).values()) {
      MemorySegment data = tensor.data();
      digest.update(ByteBuffer.allocate(8).putLong(data.byteSize()).flip());
      long sample = Math.min(SAMPLE_BYTES, data.byteSize());
      long middle = (data.byteSize() - sample) / 2;
      digest.update(data.asSlice(middle, sample).toArray(ValueLayout.JAVA_BYTE));
    }
    return digest.digest();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every Java platform has SHA-256", e);
    }
  }
}
