package dev.tessera.server.eval;

import java.util.List;
import org.jspecify.annotations.Nullable;

/// What the whole protocol finds of a policy besides [Fidelity].
///
/// @param frozen mean divergence of continued texts where every earlier block's keys and values are
///   those of the exact run: codes alone, without what they do to what is stored later
/// @param correlation of scores with those of exact keys, of the head where it is worst
/// @param worstLayer where that is
/// @param tasks other things to be found than facts
/// @param drift of texts that the model writes itself
/// @param orders what it costs that half of what may cool does, for each kind of text
/// @param resumes whether a sequence whose forms were carried into another session, without the
///   exact tiles that no query reads, goes on with the same bits; null where that was not tried
public record Deeper(
    double frozen,
    double correlation,
    int worstLayer,
    List<Task> tasks,
    Drift drift,
    List<Orders> orders,
    @Nullable Boolean resumes) {

  /// @param found items that both find
  /// @param findable items that exact tiles find
  /// @param divergence mean over the answers' tokens
  public record Task(String name, int found, int findable, double divergence) {}

  /// What becomes of texts that the model goes on with by itself, means over them.
  ///
  /// @param tokens that it wrote behind each prompt
  /// @param same of them before the first that exact tiles would not have written
  /// @param matched share of all that are the ones that exact tiles would have written there
  /// @param told mean divergence where it is told what exact tiles would have written
  /// @param divergence mean in each quarter, of exact tiles reading what was written
  public record Drift(
      int prompts, int tokens, double same, double matched, double told, List<Double> divergence) {}

  /// Mean divergence of texts whose past was exact up to the rows that count.
  ///
  /// @param texts their kind
  /// @param all where everything that may cool has
  /// @param byAge where its older half has
  /// @param byHeat where the half has that got less attention
  public record Orders(String texts, double all, double byAge, double byHeat) {}
}
