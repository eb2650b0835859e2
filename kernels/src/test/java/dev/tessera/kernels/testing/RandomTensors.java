package dev.tessera.kernels.testing;

import dev.tessera.kernels.Tensor;
import dev.tessera.kernels.TensorType;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Random;

/// Weights of every type, made of random bits: every code and every scale that a file can hold.
public final class RandomTensors {

  private RandomTensors() {}

  /// A tensor whose values are spread by about `spread` around zero. It lies at an odd address, as
  /// tensors in a file may.
  public static Tensor matrix(
      String name, TensorType type, int rows, int columns, double spread, Random random) {
    int blocks = rows * (columns / type.blockElements());
    var bytes = new byte[blocks * type.blockBytes() + 1];
    random.nextBytes(bytes);
    var buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int block = 0; block < blocks; block++) {
      int at = 1 + block * type.blockBytes();
      float value = (float) (spread * random.nextGaussian());
      float scale = (float) (spread * (0.5 + random.nextDouble()));
      switch (type) {
        case F32 -> buffer.putFloat(at, value);
        case F16 -> buffer.putShort(at, Float.floatToFloat16(value));
        case BF16 -> buffer.putShort(at, (short) (Float.floatToRawIntBits(value) >>> 16));
        // The divisors are the standard deviations of the random codes; an offset takes away the
        // codes' mean.
        case Q8_0 -> putHalf(buffer, at, scale / 74);
        case Q4_0 -> putHalf(buffer, at, scale / 4.6f);
        case Q5_0 -> putHalf(buffer, at, scale / 9.2f);
        case Q4_1 -> {
          putHalf(buffer, at, scale / 4.6f);
          putHalf(buffer, at + 2, -7.5f * scale / 4.6f);
        }
        case Q5_1 -> {
          putHalf(buffer, at, scale / 9.2f);
          putHalf(buffer, at + 2, -15.5f * scale / 9.2f);
        }
        case Q4_K -> {
          putHalf(buffer, at, scale / 260);
          putHalf(buffer, at + 2, 7.5f * scale / 260);
        }
        case Q5_K -> {
          putHalf(buffer, at, scale / 520);
          putHalf(buffer, at + 2, 15.5f * scale / 520);
        }
        case Q6_K -> putHalf(buffer, at + 208, scale / 1370);
      }
    }
    return new Tensor(name, type, rows, columns, MemorySegment.ofArray(bytes).asSlice(1));
  }

  /// A quantised tensor whose blocks are all this byte, but for their scales in half precision.
  public static Tensor filled(
      String name, TensorType type, int rows, int columns, byte filling, float scale) {
    int blocks = rows * (columns / type.blockElements());
    var bytes = new byte[blocks * type.blockBytes()];
    Arrays.fill(bytes, filling);
    var buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    for (int block = 0; block < blocks; block++) {
      int at = block * type.blockBytes();
      putHalf(buffer, at + (type == TensorType.Q6_K ? 208 : 0), scale);
      switch (type) {
        case Q4_1, Q5_1, Q4_K, Q5_K -> putHalf(buffer, at + 2, scale);
        case Q8_0, Q4_0, Q5_0, Q6_K -> {}
        case F32, F16, BF16 ->
            throw new IllegalArgumentException("tensor " + name + " is " + type + ": no blocks");
      }
    }
    return new Tensor(name, type, rows, columns, MemorySegment.ofArray(bytes));
  }

  /// A vector of single precision.
  public static Tensor vector(String name, float[] values) {
    var bytes = new byte[Float.BYTES * values.length];
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().put(values);
    return new Tensor(name, TensorType.F32, 1, values.length, MemorySegment.ofArray(bytes));
  }

  /// Gaussian numbers.
  public static float[] gaussians(int count, double mean, double spread, Random random) {
    var x = new float[count];
    for (int i = 0; i < count; i++) {
      x[i] = (float) (mean + spread * random.nextGaussian());
    }
    return x;
  }

  /// Gaussian numbers with eight significant bits, which every element type of a tile holds
  /// exactly.
  public static float[] coarseGaussians(int count, double spread, Random random) {
    float[] x = gaussians(count, 0, spread, random);
    for (int i = 0; i < count; i++) {
      x[i] = coarse(x[i]);
    }
    return x;
  }

  /// Eight significant bits of a number; small ones vanish.
  public static float coarse(float x) {
    float coarse = Float.intBitsToFloat(Float.floatToRawIntBits(x) & 0xffff0000);
    return Math.abs(coarse) < 0x1p-10f ? 0 : coarse;
  }

  private static void putHalf(ByteBuffer buffer, int at, float value) {
    buffer.putShort(at, Float.floatToFloat16(value));
  }
}
