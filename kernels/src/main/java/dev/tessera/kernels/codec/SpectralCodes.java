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
/// bit takes most error away: reverse water-filling over whole groups. The KV heads of a layer
/// share their bits, as some heads' scores are spread wider than others'; a layer has what its rung
/// says.
///
/// `lr3 lr2` are the same with a rank: the leading half of a head's channels shares all its bits,
/// the tail is dropped.
public final class SpectralCodes {

  /// Squared error of a normal variable with unit variance, by width.
  private static final double[] ERRORS =
      IntStream.rangeClosed(0, LloydMax.MAX_WIDTH)
          .mapToDouble(width -> LloydMax.error(LloydMax.bounds(width)))
          .toArray();

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

  /// A code per form, of a head that shares its bits with nobody.
  ///
  /// @param width bits of a channel on average with which vectors are encoded, at most 6
  /// @param dropped lowest planes of every group that each form lacks, not falling; `[0]` for tiles
  ///   that stay as they are encoded
  /// @param spared tokens of a tile that are kept as they are
  public static List<TileCode> ladder(
      Spectrum spectrum, double width, List<Integer> dropped, int spared, @Nullable Turn turn) {
    int[] fullWidths = allocate(List.of(spectrum.variances), width).getFirst();
    return ladder(spectrum, width, fullWidths, dropped, spared, turn);
  }

  /// A code per form.
  ///
  /// @param width bits of a channel on average over the heads that share them
  /// @param fullWidths `[groups]` bits of this head's channels, as [#allocate(List, double)] says
  /// @param dropped lowest planes of every group that each form lacks, not falling; `[0]` for tiles
  ///   that stay as they are encoded
  /// @param spared tokens of a tile that are kept as they are
  public static List<TileCode> ladder(
      Spectrum spectrum,
      double width,
      int[] fullWidths,
      List<Integer> dropped,
      int spared,
      @Nullable Turn turn) {
    return codes("s", spectrum, width, fullWidths, dropped, spared, turn);
  }

  /// A code of low rank.
  ///
  /// @param width bits of a channel on average over all channels, at most 3
  /// @param spared tokens of a tile that are kept as they are
  public static TileCode lowRank(Spectrum spectrum, int width, int spared, @Nullable Turn turn) {
    int rank = Math.ceilDiv(CodedFormat.groups(spectrum.variances.length), 2);
    int[] widths = allocate(List.of(spectrum.variances), width, rank).getFirst();
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
  /// @param heads variances `[headDim]`, falling, of each head that shares the bits
  /// @return `[groups]` of each head
  public static List<int[]> allocate(List<double[]> heads, double width) {
    return allocate(heads, width, Integer.MAX_VALUE);
  }

  /// @param rank leading groups of a head that bits may go to
  private static List<int[]> allocate(List<double[]> heads, double width, int rank) {
    if (!(width >= 0 && width <= LloydMax.MAX_WIDTH)) {
      throw new IllegalArgumentException(
          "%s bits on average; a channel has 0 to %d".formatted(width, LloydMax.MAX_WIDTH));
    }
    List<int[]> widths = new ArrayList<>();
    List<Share> shares = new ArrayList<>();
    double left = 0;
    for (double[] variances : heads) {
      var own = new int[CodedFormat.groups(variances.length)];
      for (int group = 0; group < Math.min(rank, own.length); group++) {
        shares.add(Share.of(variances, group, own));
      }
      widths.add(own);
      left += width * variances.length;
    }
    while (true) {
      Share best = null;
      double bestGain = 0;
      for (Share share : shares) {
        if (share.channels <= left && share.gain() > bestGain) {
          best = share;
          bestGain = share.gain();
        }
      }
      if (best == null) {
        return widths;
      }
      best.widths[best.group]++;
      left -= best.channels;
    }
  }

  /// A group's claim to the next bit.
  ///
  /// @param variance of its channels on average
  /// @param widths of its head's groups so far
  private record Share(int channels, double variance, int group, int[] widths) {

    static Share of(double[] variances, int group, int[] widths) {
      var channels = SpectralCodes.channels(variances, group);
      double variance =
          SpectralCodes.channels(variances, group)
              .mapToDouble(i -> variances[i])
              .average()
              .orElseThrow();
      return new Share((int) channels.count(), variance, group, widths);
    }

    /// Of squared error, for each channel.
    double gain() {
      int width = widths[group];
      return width == LloydMax.MAX_WIDTH ? 0 : variance * (ERRORS[width] - ERRORS[width + 1]);
    }
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
