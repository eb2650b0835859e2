package dev.tessera.kvcache;

/// The bytes that the cache may use, shared by every pool: not a pool is the limit, the budget is,
/// so memory flows between groups and forms as they need it.
///
/// Charged bytes are those of allocated slabs. Resident bytes also count slabs that were freed but
/// whose memory has not gone back yet; the pools keep them under the limit, too.
public final class MemoryBudget {
  private final long limitBytes;
  private final long tailBytes;
  private long usedBytes;
  private long residentBytes;

  /// A budget of which an eighth may go to tails.
  public MemoryBudget(long limitBytes) {
    this(limitBytes, limitBytes / 8);
  }

  /// @param tailBytes of it, what copies may take that exist only so that later sequences can go on
  ///   behind a prefix
  public MemoryBudget(long limitBytes, long tailBytes) {
    if (limitBytes < 0 || tailBytes < 0) {
      throw new IllegalArgumentException(
          "a budget of " + limitBytes + " bytes, " + tailBytes + " for tails");
    }
    this.limitBytes = limitBytes;
    this.tailBytes = tailBytes;
  }

  public long limitBytes() {
    return limitBytes;
  }

  long tailBytes() {
    return tailBytes;
  }

  public long usedBytes() {
    return usedBytes;
  }

  public long residentBytes() {
    return residentBytes;
  }

  /// Takes bytes, or nothing if they are not there.
  boolean charge(long bytes) {
    if (bytes > limitBytes - usedBytes) {
      return false;
    }
    usedBytes += bytes;
    return true;
  }

  void refund(long bytes) {
    if (bytes > usedBytes) {
      throw new IllegalStateException("refund of " + bytes + " bytes of " + usedBytes);
    }
    usedBytes -= bytes;
  }

  void addResident(long bytes) {
    residentBytes += bytes;
  }
}
