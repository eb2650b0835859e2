package dev.tessera.kernels.vector;

import dev.tessera.kernels.RopeSpec;
import dev.tessera.kernels.codec.CodeStream;
import dev.tessera.kernels.codec.LevelTable;
import dev.tessera.kernels.codec.PairTable;
import dev.tessera.kernels.codec.TileCode;
import dev.tessera.kernels.codec.Turn;
import dev.tessera.kvcache.CodedFormat;
import dev.tessera.kvcache.TileShape;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import jdk.incubator.vector.FloatVector;
import org.jspecify.annotations.Nullable;

/// One coded tile, taken apart for the queries that read it: its channels before the tokens'
/// scales, in the basis of the code. Keys lie `[headDim][64]`, values `[64][stride]`.
///
/// Scratch memory of a worker, for one tile at a time.
final class CodedTile {

  private static final int TOKENS = TileShape.BLOCK_TOKENS;
  private static final int LANES = Lanes.COUNT;
  private static final int[] PAIRED = {0, 2, 1, 3};
  private static final ValueLayout.OfShort HALF =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int headDim;
  private final int stride; // a token's values, up to whole vectors
  private final float[] channels;
  private final float[] scales = new float[TOKENS];
  private final float[] units; // of the channels
  private final float[] mean;
  private final float[] scratch; // [headDim], up to whole vectors
  private int[] spareTokens = {};
  private float[] spares = {}; // [spareTokens][headDim]
  private @Nullable TurnTable turn;
  private float[] cosines = {}; // of the first position
  private float[] sines = {};

  CodedTile(int headDim) {
    this.headDim = headDim;
    stride = Math.ceilDiv(headDim, LANES) * LANES;
    channels = new float[TOKENS * stride];
    units = new float[headDim];
    mean = new float[headDim];
    scratch = new float[stride];
  }

  /// A turning mean at the offsets of a tile from its first position: `[headDim][64]`.
  record TurnTable(RopeSpec rope, float[] turned) {
    static TurnTable of(Turn turn) {
      var turned = new float[turn.mean().length * TOKENS];
      for (int token = 0; token < TOKENS; token++) {
        float[] at = turn.at(token);
        for (int i = 0; i < at.length; i++) {
          turned[i * TOKENS + token] = at[i];
        }
      }
      return new TurnTable(turn.rope(), turned);
    }

    long bytes() {
      return (long) Float.BYTES * turned.length;
    }
  }

  /// Takes a tile apart.
  ///
  /// @param turn that of the code, if it has one
  void load(
      TileCode code, @Nullable TurnTable turn, MemorySegment slab, long at, int firstPosition) {
    CodedFormat format = code.format();
    boolean isKey = format.role() == CodedFormat.Role.KEY;
    if (format.coding() == CodedFormat.Coding.CHANNELS) {
      loadChannelScales(format, slab, at);
    } else {
      loadTokenScales(code, slab, at);
    }
    for (int group = 0; group < format.groups(); group++) {
      byte[] codes = CodeStream.read(format, group, slab, at);
      if (format.coding() == CodedFormat.Coding.PAIRS) {
        loadPairs(code, group, codes);
        continue;
      }
      float[] values = values(code.tables().get(group));
      int first = group * CodedFormat.GROUP_CHANNELS;
      int width = format.groupChannels(group);
      int lanes = isKey ? TOKENS : width;
      int i = 0;
      for (int summed = 0; i < codes.length; summed += 4) {
        for (int lane = 0; lane < lanes; lane++) {
          for (int inQuad : PAIRED) {
            int channel = first + (isKey ? summed + inQuad : lane);
            int index = isKey ? channel * TOKENS + lane : (summed + inQuad) * stride + channel;
            channels[index] = values[codes[i++] & 0xff] * units[channel];
          }
        }
      }
    }
    loadSpares(format, slab, at);
    this.turn = turn;
    if (turn != null) {
      loadAngles(turn.rope.frequencies(), firstPosition);
    }
  }

  private void loadPairs(TileCode code, int group, byte[] codes) {
    boolean isKey = code.format().role() == CodedFormat.Role.KEY;
    for (int i = 0; i < code.format().groupCodes(group); i++) {
      int first = group * CodedFormat.GROUP_CHANNELS + 2 * i;
      PairTable table = code.pairs().get(first / 2);
      for (int token = 0; token < TOKENS; token++) {
        int codeword = codes[i * TOKENS + token];
        int index = isKey ? first * TOKENS + token : token * stride + first;
        channels[index] = table.first(codeword) * table.step();
        channels[index + (isKey ? TOKENS : 1)] = table.second(codeword) * table.step();
      }
    }
  }

  /// What each stored byte stands for.
  private static float[] values(LevelTable table) {
    var values = new float[256];
    int codes = table.width() == CodedFormat.BYTE ? 256 : table.levels().length;
    for (int code = 0; code < codes; code++) {
      values[code] = table.level((byte) code) * table.step();
    }
    return values;
  }

  private void loadTokenScales(TileCode code, MemorySegment slab, long at) {
    CodedFormat format = code.format();
    for (int token = 0; token < TOKENS; token++) {
      scales[token] = half(slab, at + format.scalesOffset() + 2L * token);
    }
    float scale = format.centred() ? half(slab, at + format.meanScaleOffset()) : 0;
    for (int i = 0; i < headDim; i++) {
      units[i] = code.sigma()[i];
      mean[i] =
          format.centred()
              ? slab.get(ValueLayout.JAVA_BYTE, at + format.meanOffset() + i) * scale
              : 0;
    }
  }

  /// Scales per channel are the channels' units, and their zeros what all tokens have in common.
  private void loadChannelScales(CodedFormat format, MemorySegment slab, long at) {
    Arrays.fill(scales, 1);
    for (int i = 0; i < headDim; i++) {
      units[i] = half(slab, at + format.scalesOffset() + 2L * i);
      mean[i] = half(slab, at + format.zerosOffset() + 2L * i);
    }
  }

  private void loadSpares(CodedFormat format, MemorySegment slab, long at) {
    if (spareTokens.length != format.spared()) {
      spareTokens = new int[format.spared()];
      spares = new float[format.spared() * headDim];
    }
    for (int i = 0; i < spareTokens.length; i++) {
      spareTokens[i] = slab.get(ValueLayout.JAVA_BYTE, at + format.spareIndexOffset() + i);
    }
    for (int i = 0; i < spares.length; i++) {
      spares[i] = half(slab, at + format.spareOffset() + 2L * i);
    }
  }

  private void loadAngles(double[] frequencies, int firstPosition) {
    if (cosines.length != frequencies.length) {
      cosines = new float[frequencies.length];
      sines = new float[frequencies.length];
    }
    for (int pair = 0; pair < frequencies.length; pair++) {
      cosines[pair] = (float) StrictMath.cos(firstPosition * frequencies[pair]);
      sines[pair] = (float) StrictMath.sin(firstPosition * frequencies[pair]);
    }
  }

  /// weights = query · keys, without any key leaving the code's basis: the query was turned into
  /// it.
  ///
  /// @param query `[headDim]`
  /// @param inBasis the same, as [dev.tessera.kernels.codec.Basis#query] turns it
  /// @param weights receives `[64]`
  void score(float[] query, float[] inBasis, float[] weights) {
    float constant = 0;
    for (int i = 0; i < headDim; i++) {
      constant += query[i] * mean[i];
    }
    dots(inBasis, channels, weights);
    for (int token = 0; token < TOKENS; token += LANES) {
      Lanes.load(weights, token)
          .fma(Lanes.load(scales, token), Lanes.splat(constant))
          .intoArray(weights, token);
    }
    if (turn != null) {
      addTurn(turn, query, weights);
    }
    for (int n = 0; n < spareTokens.length; n++) {
      float dot = 0;
      for (int i = 0; i < headDim; i++) {
        dot += query[i] * spares[n * headDim + i];
      }
      weights[spareTokens[n]] = dot;
    }
  }

  private final float[] turnDots = new float[TOKENS];

  /// `q · R_(p+i) m = (R_-p q) · (R_i m)`: one product with a table that every tile shares.
  private void addTurn(TurnTable turn, float[] query, float[] weights) {
    System.arraycopy(query, 0, scratch, 0, headDim);
    int pairs = turn.rope.frequencies().length;
    boolean isSplit = turn.rope.pairing() == RopeSpec.Pairing.SPLIT;
    for (int pair = 0; pair < pairs; pair++) {
      int a = isSplit ? pair : 2 * pair;
      int b = isSplit ? pair + pairs : a + 1;
      scratch[a] = query[a] * cosines[pair] + query[b] * sines[pair];
      scratch[b] = query[b] * cosines[pair] - query[a] * sines[pair];
    }
    dots(scratch, turn.turned, turnDots);
    for (int token = 0; token < TOKENS; token += LANES) {
      Lanes.load(weights, token).add(Lanes.load(turnDots, token)).intoArray(weights, token);
    }
  }

  /// to = q · table, for a table of `[headDim][64]`; four chains.
  private void dots(float[] q, float[] table, float[] to) {
    int step = Math.min(4 * LANES, TOKENS);
    for (int token = 0; token < TOKENS; token += step) {
      FloatVector a = FloatVector.zero(Lanes.SPECIES);
      FloatVector b = a;
      FloatVector c = a;
      FloatVector d = a;
      for (int i = 0; i < headDim; i++) {
        FloatVector qi = Lanes.splat(q[i]);
        int at = i * TOKENS + token;
        a = qi.fma(Lanes.load(table, at), a);
        b = qi.fma(Lanes.load(table, at + LANES), b);
        c = qi.fma(Lanes.load(table, at + 2 * LANES), c);
        d = qi.fma(Lanes.load(table, at + 3 * LANES), d);
      }
      a.intoArray(to, token);
      b.intoArray(to, token + LANES);
      c.intoArray(to, token + 2 * LANES);
      d.intoArray(to, token + 3 * LANES);
    }
  }

  /// values = weights · V, summed in the code's basis and turned back once.
  ///
  /// @param sum of the weights
  /// @param values receives `[headDim]`
  void sumValues(TileCode code, float[] weights, float sum, float[] values) {
    for (int first = 0; first < headDim; first += LANES) {
      FloatVector total = FloatVector.zero(Lanes.SPECIES);
      for (int token = 0; token < TOKENS; token++) {
        FloatVector value = Lanes.load(channels, token * stride + first);
        total = Lanes.splat(weights[token] * scales[token]).fma(value, total);
      }
      total.intoArray(scratch, first);
    }
    float[] back = code.basis().inverse(scratch);
    for (int i = 0; i < headDim; i++) {
      values[i] = back[i] + sum * mean[i];
    }
  }

  private static float half(MemorySegment slab, long at) {
    return Float.float16ToFloat(slab.get(HALF, at));
  }
}
