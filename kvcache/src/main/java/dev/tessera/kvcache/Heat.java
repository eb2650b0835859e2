package dev.tessera.kvcache;

/// How much attention a block gets: a sum that halves every [#HALF_LIFE] steps, brought up to date
/// when it is looked at. Attention of all sequences that share the block adds up.
public final class Heat {

  /// Of so many steps one is measured.
  public static final int MEASURED_STEPS = 8;

  /// Steps in which what was added loses half its weight.
  static final int HALF_LIFE = 128;

  /// What a block has that no query has been seen to read yet: a whole query's attention, so that
  /// nothing cools because it is unknown.
  private static final float UNKNOWN = 1;

  private float value;
  private long at;
  private long movedAt;
  private float whenMoved;

  /// That of a block which has not begun: none.
  public Heat() {}

  /// @param step counts up
  public float at(long step) {
    return (float) (value * Math.pow(2, (at - step) / (double) HALF_LIFE));
  }

  /// Starts anew, as that of a block that is just being computed.
  public void begin(long step) {
    value = UNKNOWN;
    at = step;
    movedAt = step;
  }

  public void add(float amount, long step) {
    value = at(step) + amount;
    at = step;
  }

  /// Notes that the block has gone to another form.
  void moved(long step) {
    movedAt = step;
    whenMoved = at(step);
  }

  /// Steps for which the block has been in its form.
  long residence(long step) {
    return step - movedAt;
  }

  /// What it was when the block went to its form.
  float whenMoved() {
    return whenMoved;
  }
}
