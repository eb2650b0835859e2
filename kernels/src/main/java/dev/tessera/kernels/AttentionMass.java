package dev.tessera.kernels;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/// How much of their attention the queries of a step gave to each block: the part of a head's
/// softmax over all positions that falls to the block's, the largest over heads and layers, because
/// one head that looks something up decides.
///
/// It is measured for sequences of one row, in layer groups that cool.
public final class AttentionMass {

  private final StepBatch batch;
  private final float[][][] shares; // [groups][kvHeads, or none][entries of all tables]

  /// @param batch that was checked
  /// @param kvHeads of the model
  public AttentionMass(StepBatch batch, int kvHeads) {
    this.batch = batch;
    this.shares = new float[batch.tables().length][][];
    for (int group = 0; group < shares.length; group++) {
      StepBatch.BlockTables tables = batch.tables()[group];
      shares[group] = new float[tables.cooled().length == 0 ? 0 : kvHeads][tables.refs().length];
    }
  }

  /// What was measured.
  ///
  /// @throws IllegalStateException if it is null
  public static AttentionMass required(@Nullable AttentionMass mass) {
    if (mass == null) {
      throw new IllegalStateException("the last step was not asked to measure its attention");
    }
    return mass;
  }

  /// Whether it is measured for a sequence in a group.
  public boolean measures(int group, int sequence) {
    return shares[group].length > 0
        && batch.rowStarts()[sequence + 1] - batch.rowStarts()[sequence] == 1;
  }

  /// What the query heads of one KV head gave, `[entries of all tables]`: for backends to fill in.
  /// Null where nothing is measured.
  public float @Nullable [] shares(int group, int kvHead) {
    return shares[group].length == 0 ? null : shares[group][kvHead];
  }

  /// What a sequence gave to each block of its table, from 0 to 1, `[entries]`.
  ///
  /// @throws IllegalArgumentException if it is not measured
  public float[] of(int group, int sequence) {
    float[][] ofGroup = shares[group];
    if (!measures(group, sequence)) {
      throw new IllegalArgumentException(
          "attention of sequence %d in group %d is not measured".formatted(sequence, group));
    }
    int[] starts = batch.tables()[group].starts();
    float[] most = Arrays.copyOfRange(ofGroup[0], starts[sequence], starts[sequence + 1]);
    for (float[] head : ofGroup) {
      for (int i = 0; i < most.length; i++) {
        most[i] = Math.max(most[i], head[starts[sequence] + i]);
      }
    }
    return most;
  }
}
