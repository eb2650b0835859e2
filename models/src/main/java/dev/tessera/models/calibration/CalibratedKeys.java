package dev.tessera.models.calibration;

import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.SpectralCodes;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.CodedFormat.Role;
import org.jspecify.annotations.Nullable;

/// A [Calibration] as the codes of a policy's forms want it.
public final class CalibratedKeys implements FormFactory.KeyKnowledge {
  private final Calibration calibration;
  private final DecoderSpec spec;
  private final byte[] epoch;

  public CalibratedKeys(Calibration calibration, DecoderSpec spec) {
    this.calibration = calibration;
    this.spec = spec;
    this.epoch = calibration.epoch();
  }

  @Override
  public SpectralCodes.@Nullable Spectrum spectrum(int layer, int kvHead) {
    LearnedKeys learned = calibration.keys(layer, kvHead);
    if (learned == null) {
      return null;
    }
    double[] variances = new double[learned.lambda().length];
    for (int i = 0; i < variances.length; i++) {
      variances[i] = learned.lambda()[i];
      if (!(variances[i] > 0) || i > 0 && variances[i] > variances[i - 1]) {
        return null; // a head that is always zero, for example: planes serve
      }
    }
    return new SpectralCodes.Spectrum(learned.forward(), learned.inverse(), variances);
  }

  @Override
  public @Nullable Turn turn(int layer, int kvHead) {
    LearnedKeys learned = calibration.keys(layer, kvHead);
    return learned == null || learned.mean() == null
        ? null
        : new Turn(learned.mean(), spec.ropes().get(spec.layers().get(layer).rope()));
  }

  @Override
  public @Nullable PairTable pairs(Role role, int layer, int kvHead, int width) {
    return calibration.pairs(role, layer, kvHead, width);
  }

  @Override
  public byte[] epoch() {
    return epoch.clone();
  }
}
