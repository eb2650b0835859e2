package dev.tessera.server.engine;

import java.util.List;

/// Which tokens of which sequences the next step computes.
record StepPlan(List<Chunk> chunks) {

  /// Consecutive tokens of one sequence.
  record Chunk(Sequence sequence, int first, int tokens) {

    int end() {
      return first + tokens;
    }

    /// The first position whose logits are wanted; [#end()] if none is.
    int firstLogit() {
      return sequence.firstLogit(first, end());
    }

    int logitRows() {
      return end() - firstLogit();
    }
  }

  StepPlan {
    chunks = List.copyOf(chunks);
  }

  int rows() {
    return chunks.stream().mapToInt(Chunk::tokens).sum();
  }

  int logitRows() {
    return chunks.stream().mapToInt(Chunk::logitRows).sum();
  }

  /// Pairs of query and key: what attention costs.
  long attended() {
    return chunks.stream().mapToLong(c -> StepCost.attended(c.first(), c.tokens())).sum();
  }
}
