package dev.tessera.kvcache;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/// A tile of codes: some bits for every element, and a scale for every token or every channel.
///
/// A codec turns a vector into some basis, whose channels are coded in groups of [#GROUP_CHANNELS],
/// each group with a width of its own. The sections of a tile follow each other without gaps,
/// little endian:
///
/// | section      | type                     | where                                            |
/// |--------------|--------------------------|--------------------------------------------------|
/// | codes        | `bits[groups][64 · c]`   | a group of c channels takes `8 · c · width` bytes |
/// | scales       | `f16[64]`                | one per token, or `f16[headDim]`, one per channel |
/// | zeros        | `f16[headDim]`           | what code 0 stands for, with scales per channel  |
/// | mean         | `int8[headDim]`          | if centred                                       |
/// | mean scale   | `f16`                    | if centred                                       |
/// | spare index  | `u8[spared]`             | padded to an even count                          |
/// | spare        | `f16[spared][headDim]`   | tokens that stay as they were                    |
///
/// The codes of a group are a stream of indexes, see [#streamIndex(int, int, int)], packed by their
/// [#codeWidth(int)] in units of 32 bytes so that one instruction takes a unit apart:
///
/// | width | packed as                                                                          |
/// |-------|------------------------------------------------------------------------------------|
/// | 8     | the levels themselves, `int8`                                                      |
/// | 4     | nibbles: byte i of unit j is `b[64j + i] \| b[64j + 32 + i] << 4`                   |
/// | 2     | crumbs: byte i of unit j is the sum over k < 4 of `b[128j + 32k + i] << 2k`         |
/// | 1     | bits: byte i of unit j is the sum over k < 8 of `b[256j + 32k + i] << k`            |
/// | 3     | crumbs of `index >> 1`, then bits of `index & 1`                                   |
/// | 5     | nibbles of `index >> 1`, then bits of `index & 1`                                  |
/// | 6     | nibbles of `index >> 2`, then crumbs of `index & 3`                                |
/// | 0     | nothing                                                                            |
///
/// @param name as in policies, for example `p4`
/// @param coding what a code stands for
/// @param widths bits of a code in each group of channels: 0 to 6, or 8
/// @param centred whether a mean of the tile's tokens was taken out and is stored
/// @param spared tokens that are stored as they were as well; keys only
public record CodedFormat(
    String name,
    Coding coding,
    Role role,
    TileShape shape,
    List<Integer> widths,
    boolean centred,
    int spared)
    implements TileFormat {

  /// Channels that share a width; the last group of a tile may have 8.
  public static final int GROUP_CHANNELS = 16;

  /// The width of codes that are their own levels.
  public static final int BYTE = 8;

  private static final int[] PAIRED = {0, 2, 1, 3};

  /// What a code stands for.
  public enum Coding {
    /// A level of its channel, times the scale of its token.
    TOKENS,
    /// Steps of its channel's scale above its channel's zero.
    CHANNELS,
    /// A pair of levels for two neighbouring channels, times the scale of its token: `width` bits
    /// of a channel are codes of `2 · width` bits.
    PAIRS;

    /// Whether a code of fewer bits can be cut from one of more. Only such tiles spare tokens.
    public boolean isNested() {
      return this == TOKENS;
    }
  }

  /// What a tile holds, and so along which axis its elements are summed.
  public enum Role {
    KEY,
    VALUE
  }

  public CodedFormat {
    widths = List.copyOf(widths);
    int groups = groups(shape.headDim());
    if (widths.size() != groups) {
      throw new IllegalArgumentException(
          "format %s has %d widths; head dimension %d has %d groups of %d channels"
              .formatted(name, widths.size(), shape.headDim(), groups, GROUP_CHANNELS));
    }
    for (int width : widths) {
      if (width < 0 || width == 7 || width > BYTE) {
        throw new IllegalArgumentException(
            "format %s has a width of %d bits; widths are 0 to 6, or 8".formatted(name, width));
      }
    }
    if (coding == Coding.PAIRS && widths.stream().anyMatch(width -> width < 1 || width > 3)) {
      throw new IllegalArgumentException(
          "format %s codes pairs with %s bits per channel; these are 1 to 3"
              .formatted(name, widths));
    }
    if (coding == Coding.CHANNELS && (centred || widths.contains(BYTE))) {
      throw new IllegalArgumentException(
          "format %s has scales per channel: it has no mean, and widths of 0 to 6 bits"
              .formatted(name));
    }
    int most = role == Role.KEY && coding.isNested() ? shape.tokens() : 0;
    if (spared < 0 || spared > most) {
      throw new IllegalArgumentException(
          "format %s spares %d tokens of a tile; %s tiles spare 0 to %d"
              .formatted(name, spared, role == Role.KEY ? "key" : "value", most));
    }
  }

  /// Codes of single channels, with a scale per token.
  public CodedFormat(
      String name, Role role, TileShape shape, List<Integer> widths, boolean centred, int spared) {
    this(name, Coding.TOKENS, role, shape, widths, centred, spared);
  }

  /// Groups of channels in a vector.
  public static int groups(int headDim) {
    return Math.ceilDiv(headDim, GROUP_CHANNELS);
  }

  public int groups() {
    return widths.size();
  }

  /// Channels of a group: [#GROUP_CHANNELS], or 8 in the last.
  public int groupChannels(int group) {
    return Math.min(GROUP_CHANNELS, shape.headDim() - group * GROUP_CHANNELS);
  }

  /// Codes of a token in a group.
  public int groupCodes(int group) {
    return coding == Coding.PAIRS ? groupChannels(group) / 2 : groupChannels(group);
  }

  /// Bits of a code.
  public int codeWidth(int group) {
    return coding == Coding.PAIRS ? 2 * widths.get(group) : widths.get(group);
  }

  /// Where a code lies in the stream of its group. Pairs follow each other, each with a code for
  /// every token. Of single channels the axis that a kernel sums along goes in fours, the other is
  /// the lane: channels and tokens for keys, tokens and channels for values. Within four the middle
  /// two are exchanged: then the low bytes of 16-bit lanes are elements 0 and 1, the high bytes 2
  /// and 3.
  ///
  /// @param code of the token within the group: its channel or pair
  public int streamIndex(int group, int token, int code) {
    if (coding == Coding.PAIRS) {
      return code * shape.tokens() + token;
    }
    int summed = role == Role.KEY ? code : token;
    int lane = role == Role.KEY ? token : code;
    int lanes = role == Role.KEY ? shape.tokens() : groupChannels(group);
    return (summed / 4 * lanes + lane) * 4 + PAIRED[summed % 4];
  }

  /// Bytes of a group's codes.
  public long codesBytes(int group) {
    return (long) shape.tokens() / 8 * groupChannels(group) * widths.get(group);
  }

  public long codesOffset(int group) {
    long offset = 0;
    for (int g = 0; g < group; g++) {
      offset += codesBytes(g);
    }
    return offset;
  }

  public long scalesOffset() {
    return codesOffset(groups());
  }

  private int scales() {
    return coding == Coding.CHANNELS ? shape.headDim() : shape.tokens();
  }

  public long zerosOffset() {
    return scalesOffset() + 2L * scales();
  }

  private int zeros() {
    return coding == Coding.CHANNELS ? shape.headDim() : 0;
  }

  public long meanOffset() {
    return zerosOffset() + 2L * zeros();
  }

  public long meanScaleOffset() {
    return meanOffset() + (centred ? shape.headDim() : 0);
  }

  public long spareIndexOffset() {
    return meanScaleOffset() + (centred ? 2 : 0);
  }

  public long spareOffset() {
    return spareIndexOffset() + spared + spared % 2;
  }

  /// Where the last section ends; what follows in the tile is zero.
  public long endOffset() {
    return spareOffset() + 2L * spared * shape.headDim();
  }

  /// A whole number of cache lines.
  @Override
  public long tileBytes() {
    return SlabLayout.align(endOffset());
  }

  @Override
  public int version() {
    return 2;
  }

  @Override
  public StructLayout layout() {
    var members = new ArrayList<MemoryLayout>();
    for (int group = 0; group < groups(); group++) {
      add(members, "codes" + group, codesBytes(group), ValueLayout.JAVA_BYTE);
    }
    add(members, "scales", scales(), ValueLayout.JAVA_SHORT);
    add(members, "zeros", zeros(), ValueLayout.JAVA_SHORT);
    if (centred) {
      add(members, "mean", shape.headDim(), ValueLayout.JAVA_BYTE);
      members.add(ValueLayout.JAVA_SHORT.withName("meanScale"));
    }
    add(members, "spareIndex", spared + spared % 2, ValueLayout.JAVA_BYTE);
    add(members, "spare", (long) spared * shape.headDim(), ValueLayout.JAVA_SHORT);
    if (endOffset() < tileBytes()) {
      members.add(MemoryLayout.paddingLayout(tileBytes() - endOffset()));
    }
    return MemoryLayout.structLayout(members.toArray(MemoryLayout[]::new));
  }

  private static void add(
      List<MemoryLayout> members, String name, long count, ValueLayout element) {
    if (count > 0) {
      members.add(MemoryLayout.sequenceLayout(count, element).withName(name));
    }
  }
}
