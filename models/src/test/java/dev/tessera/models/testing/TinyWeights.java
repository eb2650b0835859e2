package dev.tessera.models.testing;

import dev.tessera.kernels.TensorType;
import dev.tessera.kernels.WeightRole;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;

/// The random weights of a [TinyModel]: each depends on the seed, its role and its layer alone.
final class TinyWeights {

  private TinyWeights() {}

  /// `[rows * columns]`, with the rows of Q and K in the split order of Hugging Face.
  static float[] floats(TinyModel model, WeightRole role, int layer) {
    Random random = random(model, role, layer);
    float[] weights = new float[model.rows(role) * model.columns(role)];
    for (int i = 0; i < weights.length; i++) {
      weights[i] =
          switch (role) {
            case ATTENTION_NORM,
                FEED_FORWARD_NORM,
                OUTPUT_NORM,
                QUERY_NORM,
                KEY_NORM,
                POST_ATTENTION_NORM,
                POST_FEED_FORWARD_NORM ->
                0.5f + random.nextFloat();
            case QUERY_BIAS, KEY_BIAS, VALUE_BIAS -> (float) random.nextGaussian() * 0.5f;
            default -> (float) random.nextGaussian() * deviation(model, role);
          };
    }
    return weights;
  }

  /// Large enough for the layers to outweigh the embedding: else every model repeats its last
  /// token.
  private static float deviation(TinyModel model, WeightRole role) {
    return switch (role) {
      case TOKEN_EMBEDDING -> model.tied ? 0.3f / (float) Math.sqrt(model.hidden) : 0.3f;
      case OUTPUT -> 0.5f;
      default -> 1.5f / (float) Math.sqrt(model.columns(role));
    };
  }

  private static Random random(TinyModel model, WeightRole role, int layer) {
    return new Random(model.seed * 1_000_003 + role.ordinal() * 4099L + layer);
  }

  /// The tensor's bytes in the given type; `interleave` turns the rows of each head from split to
  /// interleaved pairs, as GGUF has them for Llama.
  static byte[] encode(
      TinyModel model, WeightRole role, int layer, TensorType type, boolean interleave) {
    if (type.blockElements() > 1) {
      return randomBlocks(model, role, layer, type);
    }
    float[] weights = floats(model, role, layer);
    if (interleave) {
      weights = interleave(weights, model.headDim, model.columns(role));
    }
    ByteBuffer bytes =
        ByteBuffer.allocate(weights.length * type.blockBytes()).order(ByteOrder.LITTLE_ENDIAN);
    for (float weight : weights) {
      switch (type) {
        case F32 -> bytes.putFloat(weight);
        case F16 -> bytes.putShort(Float.floatToFloat16(weight));
        case BF16 -> bytes.putShort((short) (Float.floatToRawIntBits(weight) >>> 16));
        default -> throw new IllegalArgumentException(type.name());
      }
    }
    return bytes.array();
  }

  /// Row `i + j * headDim / 2` of each head becomes row `2 i + j`.
  private static float[] interleave(float[] split, int headDim, int columns) {
    float[] interleaved = new float[split.length];
    int rows = split.length / columns;
    for (int row = 0; row < rows; row++) {
      int head = row / headDim;
      int inHead = row % headDim;
      int half = headDim / 2;
      int to = head * headDim + 2 * (inHead % half) + inHead / half;
      System.arraycopy(split, row * columns, interleaved, to * columns, columns);
    }
    return interleaved;
  }

  /// Random codes under scales that give the weights their deviation, about zero.
  private static byte[] randomBlocks(TinyModel model, WeightRole role, int layer, TensorType type) {
    Random random = random(model, role, layer);
    long elements = (long) model.rows(role) * model.columns(role);
    int blocks = Math.toIntExact(elements / type.blockElements());
    byte[] bytes = new byte[blocks * type.blockBytes()];
    random.nextBytes(bytes);
    ByteBuffer buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    float deviation = deviation(model, role);
    for (int block = 0; block < blocks; block++) {
      int at = block * type.blockBytes();
      float spread = deviation * (0.75f + 0.5f * random.nextFloat());
      switch (type) {
        case Q4_0 -> put(buffer, at, spread / 4.6f);
        case Q4_1 -> put(buffer, at, spread / 4.6f, -7.5f * spread / 4.6f);
        case Q5_0 -> put(buffer, at, spread / 9.2f);
        case Q5_1 -> put(buffer, at, spread / 9.2f, -15.5f * spread / 9.2f);
        case Q8_0 -> put(buffer, at, spread / 74);
        case Q4_K -> put(buffer, at, spread / 300, 7.5f * spread / 300);
        case Q5_K -> put(buffer, at, spread / 600, 15.5f * spread / 600);
        case Q6_K -> put(buffer, at + type.blockBytes() - 2, spread / 1370);
        default -> throw new IllegalArgumentException(type.name());
      }
    }
    return bytes;
  }

  private static void put(ByteBuffer buffer, int at, float... scales) {
    for (int i = 0; i < scales.length; i++) {
      buffer.putShort(at + 2 * i, Float.floatToFloat16(scales[i]));
    }
  }
}
