package dev.tessera.server.http;

import dev.tessera.server.engine.SamplingParameters;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// What completions and chat have in common: how to choose tokens, when to stop, what to report.
///
/// @param samples continuations of each prompt (`n`)
/// @param maxTokens null where the request leaves it to the server
/// @param stopStrings texts that end a sample
/// @param stopTokens tokens that end a sample
/// @param includeStop whether the text that ended a sample is part of the output
/// @param truncation null keeps the whole prompt
/// @param cacheSalt null takes the default of the caller's key
/// @param requestId the caller's name for the request, or null
/// @param returnTokensAsIds whether tokens in log probabilities are written as `token_id:123`
record GenerationOptions(
    int samples,
    @Nullable Integer maxTokens,
    int minTokens,
    SamplingParameters sampling,
    List<String> stopStrings,
    Set<Integer> stopTokens,
    boolean includeStop,
    boolean ignoreEos,
    boolean skipSpecialTokens,
    boolean addSpecialTokens,
    @Nullable Truncation truncation,
    boolean echo,
    boolean returnTokenIds,
    boolean returnTokensAsIds,
    long priority,
    @Nullable String cacheSalt,
    @Nullable String requestId,
    Streaming streaming) {

  /// @param tokens how many to keep; -1 for as many as fit
  /// @param keepEnd whether the last ones are kept rather than the first
  record Truncation(int tokens, boolean keepEnd) {}

  /// @param usage whether a last chunk reports the usage
  /// @param runningUsage whether every chunk does
  record Streaming(boolean enabled, boolean usage, boolean runningUsage) {}

  boolean wantsLogprobs() {
    return sampling.topLogprobs() >= 0;
  }
}
