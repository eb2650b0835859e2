package dev.tessera.kernels.sampling;

import dev.tessera.kernels.SampleRequest;
import java.util.Arrays;

/// Bias, mask and penalties of a request, applied to a row in place and taken back afterwards:
/// several requests may read the same row, and its log probabilities are those of the unmodified
/// logits.
final class RowEdits {

  private int[] tokens = new int[64]; // [edits], in the order they were made
  private float[] previous = new float[64]; // [edits]
  private int edits;

  void apply(LogitsRow row, SampleRequest request) {
    for (int i = 0; i < request.biasTokens().length; i++) {
      int token = request.biasTokens()[i];
      set(row, token, row.get(token) + request.biasValues()[i]);
    }
    if (request.mask() != null) {
      mask(row, request.mask());
    }
    if (request.penalties() != null) {
      penalise(row, request.penalties());
    }
  }

  /// Bits beyond the vocabulary mean nothing.
  private void mask(LogitsRow row, long[] mask) {
    if (mask.length < Math.ceilDiv(row.size(), Long.SIZE)) {
      throw new IllegalArgumentException(
          "mask has %d bits; the vocabulary has %d tokens"
              .formatted((long) Long.SIZE * mask.length, row.size()));
    }
    for (int word = 0; word * Long.SIZE < row.size(); word++) {
      for (long banned = ~mask[word]; banned != 0; banned &= banned - 1) {
        int token = word * Long.SIZE + Long.numberOfTrailingZeros(banned);
        if (token < row.size()) {
          set(row, token, Float.NEGATIVE_INFINITY);
        }
      }
    }
  }

  private void penalise(LogitsRow row, SampleRequest.Penalties penalties) {
    for (int i = 0; i < penalties.tokens().length; i++) {
      int token = penalties.tokens()[i];
      float logit = row.get(token);
      if (logit == Float.NEGATIVE_INFINITY) {
        continue; // banned stays banned, whatever the factor
      }
      float penalised = logit > 0 ? logit / penalties.repetition() : logit * penalties.repetition();
      int count = penalties.outputCounts()[i];
      penalised -= penalties.frequency() * count;
      penalised -= count > 0 ? penalties.presence() : 0;
      set(row, token, penalised);
    }
  }

  private void set(LogitsRow row, int token, float logit) {
    if (edits == tokens.length) {
      tokens = Arrays.copyOf(tokens, 2 * edits);
      previous = Arrays.copyOf(previous, 2 * edits);
    }
    tokens[edits] = token;
    previous[edits] = row.get(token);
    edits++;
    row.set(token, logit);
  }

  /// Restores the row. A token may have been edited more than once, so this runs backwards.
  void undo(LogitsRow row) {
    while (edits > 0) {
      edits--;
      row.set(tokens[edits], previous[edits]);
    }
  }
}
