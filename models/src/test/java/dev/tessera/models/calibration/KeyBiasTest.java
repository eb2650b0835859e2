package dev.tessera.models.calibration;

import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.codec.PlainCodes;
import dev.tessera.kernels.codec.SpectralCodes;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.TileCodec;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.CodedFormat.Role;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// Keys with a bias before RoPE, of several standard deviations: what breaks a codec that knows
/// nothing of it (Qwen2's keys are like that).
final class KeyBiasTest {

  private static final int BLOCK = 64;
  private static final int LEARNED_TILES = 24;
  private static final int MEASURED_TILES = 8;
  private static final int CONTEXT = 8192;

  /// Keys and queries of one head whose channels differ, as those of models do.
  private static final class Head {

    private final int dim;
    private final RopeSpec rope;
    private final double[] bias;
    private final Random random;

    Head(int dim, double alpha, RopeSpec.Pairing pairing) {
      this.dim = dim;
      double[] frequencies = new double[dim / 2];
      for (int i = 0; i < frequencies.length; i++) {
        frequencies[i] = Math.pow(10_000, -2.0 * i / dim);
      }
      rope = new RopeSpec(pairing, frequencies, 1);
      random = new Random(dim);
      bias = new double[dim];
      for (int i = 0; i < dim; i++) {
        bias[i] = alpha * random.nextGaussian();
      }
    }

    /// A tile of rotated keys, `[64][dim]`.
    float[] keys(int firstPosition) {
      var rotation = new Rotation(rope);
      var keys = new float[BLOCK * dim];
      for (int t = 0; t < BLOCK; t++) {
        double[] turns = rotation.turns(firstPosition + t);
        double[] key = new double[dim];
        for (int i = 0; i < dim; i++) {
          key[i] = bias[i] + random.nextGaussian() * Math.pow(0.97, i % 40);
        }
        put(keys, t, rotated(rotation, key, turns));
      }
      return keys;
    }

    private double[] rotated(Rotation rotation, double[] x, double[] turns) {
      double[] y = x.clone();
      for (int pair = 0; pair < rotation.pairs(); pair++) {
        double a = x[rotation.first(pair)];
        double b = x[rotation.second(pair)];
        y[rotation.first(pair)] = a * turns[2 * pair] - b * turns[2 * pair + 1];
        y[rotation.second(pair)] = a * turns[2 * pair + 1] + b * turns[2 * pair];
      }
      return y;
    }

    private void put(float[] keys, int token, double[] key) {
      for (int i = 0; i < dim; i++) {
        keys[token * dim + i] = (float) key[i];
      }
    }

    float[] query() {
      var query = new float[dim];
      for (int i = 0; i < dim; i++) {
        query[i] = (float) (random.nextGaussian() * Math.pow(0.95, (dim - i) % 30));
      }
      return query;
    }

    LearnedKeys learn() {
      var rotation = new Rotation(rope);
      var moments = new KeyMoments(rotation, dim);
      for (int tile = 0; tile < LEARNED_TILES; tile++) {
        float[] keys = keys(tile * BLOCK);
        for (int t = 0; t < BLOCK; t++) {
          int position = tile * BLOCK + t;
          moments.addKey(keys, t * dim, position, rotation.turns(position));
          moments.addQuery(query(), 0);
        }
      }
      return LearnedKeys.of(
          moments, rotation, new TurnMoments(rotation, new int[] {LEARNED_TILES}), CONTEXT);
    }

    /// Mean squared error of scores against keys that were coded, further on in the context.
    double scoreError(TileCode code) {
      double error = 0;
      var tile = MemorySegment.ofArray(new byte[(int) code.format().tileBytes()]);
      var decoded = new double[BLOCK * dim];
      for (int i = 0; i < MEASURED_TILES; i++) {
        int position = 2048 + i * 640;
        float[] keys = keys(position);
        TileCodec.encode(code, keys, position, tile, 0);
        TileCodec.decode(code, tile, 0, position, decoded);
        for (int t = 0; t < BLOCK; t++) {
          float[] query = query();
          double difference = 0;
          for (int j = 0; j < dim; j++) {
            difference += query[j] * (decoded[t * dim + j] - keys[t * dim + j]);
          }
          error += difference * difference / (MEASURED_TILES * BLOCK);
        }
      }
      return error;
    }

    TileCode spectral(LearnedKeys learned) {
      double[] variances = new double[dim];
      for (int i = 0; i < dim; i++) {
        variances[i] = learned.lambda()[i];
      }
      var spectrum = new SpectralCodes.Spectrum(learned.forward(), learned.inverse(), variances);
      return SpectralCodes.ladder(spectrum, 3, List.of(0), 1, turn(learned)).getFirst();
    }

    TileCode plain(@Nullable Turn turn) {
      return PlainCodes.planes(Role.KEY, dim, 3, 0, turn);
    }

    @Nullable Turn turn(LearnedKeys learned) {
      float[] mean = learned.mean();
      return mean == null ? null : new Turn(mean, rope);
    }
  }

  /// With what was learned the error is that of keys without a bias, within a factor of two in the
  /// root; without, it grows with the bias.
  @ParameterizedTest(name = "head dimension {0}, bias {1}, {2}")
  @CsvSource({
    "8, 3, INTERLEAVED", "8, 30, SPLIT",
    "40, 10, SPLIT", "40, 30, INTERLEAVED",
    "80, 3, SPLIT", "80, 30, INTERLEAVED",
    "96, 10, INTERLEAVED", "96, 30, SPLIT",
    "128, 3, INTERLEAVED", "128, 30, SPLIT",
    "256, 10, SPLIT", "256, 30, INTERLEAVED"
  })
  void learnedKeysStandABias(int dim, double alpha, RopeSpec.Pairing pairing) {
    var without = new Head(dim, 0, pairing);
    LearnedKeys plainKeys = without.learn();
    double spectralError = without.scoreError(without.spectral(plainKeys));
    double planesError = without.scoreError(without.plain(null));

    var with = new Head(dim, alpha, pairing);
    LearnedKeys learned = with.learn();
    assertNotNull(learned.mean(), "the mean pays");
    double spectral = with.scoreError(with.spectral(learned));
    double turned = with.scoreError(with.plain(with.turn(learned)));
    double blind = with.scoreError(with.plain(null));
    String figures =
        "squared error of scores, without and with the bias: s3+1 %.4f %.4f, p3 %.4f %.4f, p3 without the mean %.4f"
            .formatted(spectralError, spectral, planesError, turned, blind);
    assertTrue(Math.sqrt(spectral) <= 2 * Math.sqrt(spectralError), figures);
    assertTrue(Math.sqrt(turned) <= 2 * Math.sqrt(planesError), figures);
    assertTrue(Math.sqrt(blind) > 2 * Math.sqrt(planesError), figures);
  }
}
