package dev.tessera.kernels;

/// What coding and reading the tiles of one format has taken a session so far.
///
/// @param format its name
/// @param coded tiles that were coded, or cut from a finer form
/// @param codingNanos of all threads together
/// @param read readings of a tile by some queries of one KV head
/// @param readingNanos of all threads together, estimated from one reading in some dozens: codes
///   are multiplied where they lie, so that decoding and attending are one
/// @param compared tiles that were decoded once more to be compared with the exact ones
/// @param squaredError sum over their elements
/// @param squaredElements sum of the exact elements' squares
public record CodecStats(
    String format,
    long coded,
    long codingNanos,
    long read,
    long readingNanos,
    long compared,
    double squaredError,
    double squaredElements) {

  /// The error's root mean square relative to that of the elements; 0 before any was compared.
  public double relativeError() {
    return squaredElements == 0 ? 0 : Math.sqrt(squaredError / squaredElements);
  }
}
