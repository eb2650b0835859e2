package dev.tessera.kvcache;

/// One way to store a tile, as a policy names it: a family of formats, how many bits an element has
/// in it, and how many tokens of a tile stay as they were.
///
/// @param bits of a code; 16 for exact, where nothing is coded
/// @param spared tokens of a tile that are kept exact beside their codes; keys only
public record Rung(Family family, int bits, int spared) {

  /// Tiles as they were computed.
  public static final Rung EXACT = new Rung(Family.EXACT, 16, 0);

  /// Tokens of a tile that can be spared at most.
  public static final int MAX_SPARED = 16;

  /// Formats whose codes are nested: a rung of fewer bits is cut from one of more.
  public enum Family {
    /// As computed.
    EXACT(""),
    /// Rotated, int8 with a scale per token: `i8`.
    INT8("i"),
    /// Rotated, nested codes in bit planes: `p5 p4 p3 p2`.
    PLANES("p"),
    /// Keys in a learned basis, nested codes with unequal planes: `s4 s3 s2`.
    SPECTRAL("s"),
    /// Keys in a learned basis whose trailing half is dropped: `lr3 lr2`.
    LOW_RANK("lr"),
    /// Keys as they are, even steps between the least and the greatest of each channel: `c4 c3 c2`.
    CHANNELS("c"),
    /// Rotated, a learned codeword for two neighbouring channels: `pq64 pq16`.
    PAIRS("pq");

    private final String letters;

    Family(String letters) {
      this.letters = letters;
    }

    /// Whether one rung of the family can be cut from another.
    public boolean isLadder() {
      return this == PLANES || this == SPECTRAL;
    }

    /// Whether it is made for keys alone.
    public boolean isOfKeys() {
      return this == SPECTRAL || this == LOW_RANK || this == CHANNELS;
    }

    /// Whether something has to be learned for it.
    public boolean isLearned() {
      return this == SPECTRAL || this == LOW_RANK || this == PAIRS;
    }

    /// Whether tokens of a tile can be kept exact beside their codes.
    public boolean canSpare() {
      return isLadder() || this == LOW_RANK;
    }
  }

  public boolean isExact() {
    return family == Family.EXACT;
  }

  /// As policies write it, for example `s3+1`.
  @Override
  public String toString() {
    return switch (family) {
      case EXACT -> "exact";
      case PAIRS -> family.letters + (1 << 2 * bits); // how many codewords
      default -> family.letters + bits + (spared > 0 ? "+" + spared : "");
    };
  }
}
