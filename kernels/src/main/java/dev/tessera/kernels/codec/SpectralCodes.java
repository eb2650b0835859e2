package dev.tessera.kernels.codec;

import static dev.tessera.kvcache.CodedFormat.GROUP_CHANNELS;

import dev.tessera.kernels.Shapes;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.CodedFormat.Role;
import dev.tessera.kvcache.TileShape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/// The codes `s4 s3 s2` of keys, made from what was learned about a layer and KV head: channels in
/// the order of their variance, more bits where there is more of it.
///
/// In the balanced basis the squared error of the channels is that of the scores (Hadamard's mix
/// within a group of channels keeps it, and makes the group's channels alike). So bits go where a
/// bit takes most error away: reverse water-filling over whole groups.
///
/// `lr3 lr2` are the same with a rank: the leading half of the channels shares all bits, the tail
/// is dropped.
public final class SpectralCodes {

  private SpectralCodes() {}

  /// What a codec needs to know of one layer and KV head.
  ///
  /// @param forward A, `[headDim][headDim]`: the channels of a key x are `x · A`
  /// @param inverse the inverse of A
  /// @param variances `[headDim]` of the channels, positive, falling
  public record Spectrum(float[] forward, float[] inverse, double[] variances) {
    public Spectrum {
      int headDim = variances.length;
      Shapes.require("forward basis", forward.length, headDim, headDim);
      Shapes.require("inverse basis", inverse.length, headDim, headDim);
      for (int i = 0; i < headDim; i++) {
        if (!(variances[i] > 0 && (i == 0 || variances[i] <= variances[i - 1]))) {
          throw new IllegalArgumentException(
              "variance %d of %d is %s: not positive and falling"
                  .formatted(i, headDim, variances[i]));
        }
      }
    }
  }

  /// A code per form.
  ///
  /// @param width bits of a channel on average with which vectors are encoded, at most 6
  /// @param dropped lowest planes of every group that each form lacks, not falling; `[0]` for tiles
  ///   that stay as they are encoded
  /// @param spared tokens of a tile that are kept as they are
  public static List<TileCode> ladder(
      Spectrum spectrum, double width, List<Integer> dropped, int spared, @Nullable Turn turn) {
    int[] fullWidths = allocate(spectrum.variances, width);
    return codes("s", spectrum, width, fullWidths, dropped, spared, turn);
  }

  /// A code of low rank.
  ///
  /// @param width bits of a channel on average over all channels, at most 3
  /// @param spared tokens of a tile that are kept as they are
  public static TileCode lowRank(Spectrum spectrum, int width, int spared, @Nullable Turn turn) {
    int rank = Math.ceilDiv(CodedFormat.groups(spectrum.variances.length), 2);
    int[] widths = allocate(spectrum.variances, width, rank);
    return codes("lr", spectrum, width, widths, List.of(0), spared, turn).getFirst();
  }

  private static List<TileCode> codes(
      String family,
      Spectrum spectrum,
      double width,
      int[] fullWidths,
      List<Integer> dropped,
      int spared,
      @Nullable Turn turn) {
    int headDim = spectrum.variances.length;
    boolean isCut = dropped.stream().anyMatch(planes -> planes > 0);
    Basis basis = basis(spectrum, headDim);
    float[] sigma = sigma(spectrum.variances);
    var codes = new ArrayList<TileCode>();
    for (int planes : dropped) {
      List<LevelTable> tables =
          Arrays.stream(fullWidths)
              .mapToObj(
                  full ->
                      isCut
                          ? LevelTable.cut(full, Math.max(full - planes, 0))
                          : LevelTable.of(full))
              .toList();
      var format =
          new CodedFormat(
              family + Math.round(width - planes),
              Role.KEY,
              TileShape.of(headDim),
              tables.stream().map(LevelTable::width).toList(),
              true,
              spared);
      codes.add(new TileCode(format, basis, sigma, tables, List.of(), fullWidths, turn));
    }
    return codes;
  }

  /// Whole bits for groups of channels: each next bit where it takes most error away per channel,
  /// until the next would exceed the average.
  ///
  /// @param variances `[headDim]`, falling
  /// @return `[groups]`
  public static int[] allocate(double[] variances, double width) {
    return allocate(variances, width, CodedFormat.groups(variances.length));
  }

  /// @param rank leading groups that bits may go to
  private static int[] allocate(double[] variances, double width, int rank) {
    if (!(width >= 0 && width <= LloydMax.MAX_WIDTH)) {
      throw new IllegalArgumentException(
          "%s bits on average; a channel has 0 to %d".formatted(width, LloydMax.MAX_WIDTH));
    }
    var widths = new int[CodedFormat.groups(variances.length)];
    double left = width * variances.length;
    while (true) {
      int best = -1;
      double bestGain = 0;
      for (int group = 0; group < rank; group++) {
        if (widths[group] < LloydMax.MAX_WIDTH && channels(variances, group).count() <= left) {
          double gain =
              channels(variances, group).mapToDouble(i -> variances[i]).average().orElseThrow()
                  * (error(widths[group]) - error(widths[group] + 1));
          if (gain > bestGain) {
            best = group;
            bestGain = gain;
          }
        }
      }
      if (best < 0) {
        return widths;
      }
      widths[best]++;
      left -= channels(variances, best).count();
    }
  }

  private static double error(int width) {
    return LloydMax.error(LloydMax.bounds(width));
  }

  private static IntStream channels(double[] variances, int group) {
    int first = group * GROUP_CHANNELS;
    return IntStream.range(first, Math.min(first + GROUP_CHANNELS, variances.length));
  }

  /// The spread of a group's channels after the mix within it.
  private static float[] sigma(double[] variances) {
    var sigma = new float[variances.length];
    for (int i = 0; i < sigma.length; i++) {
      sigma[i] =
          (float)
              Math.sqrt(
                  channels(variances, i / GROUP_CHANNELS)
                      .mapToDouble(j -> variances[j])
                      .average()
                      .orElseThrow());
    }
    return sigma;
  }

  /// The learned basis with Hadamard's mix inside every group: A · G, and its inverse Gᵀ · A⁻¹.
  private static Basis basis(Spectrum spectrum, int headDim) {
    var forward = new float[headDim * headDim];
    var query = new float[headDim * headDim];
    for (int first = 0; first < headDim; first += GROUP_CHANNELS) {
      int channels = Math.min(GROUP_CHANNELS, headDim - first);
      var mix = new Basis.Hadamard(channels);
      for (int i = 0; i < headDim; i++) {
        var row = new float[channels];
        var column = new float[channels];
        for (int j = 0; j < channels; j++) {
          row[j] = spectrum.forward[i * headDim + first + j];
          column[j] = spectrum.inverse[(first + j) * headDim + i];
        }
        row = mix.forward(row);
        column = mix.forward(column);
        for (int j = 0; j < channels; j++) {
          forward[i * headDim + first + j] = row[j];
          query[(first + j) * headDim + i] = column[j];
        }
      }
    }
    return new Basis.Learned(headDim, forward, query);
  }
}
