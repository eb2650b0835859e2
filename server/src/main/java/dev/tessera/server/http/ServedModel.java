package dev.tessera.server.http;

import dev.tessera.models.SamplingDefaults;
import dev.tessera.models.template.ChatTemplate;
import dev.tessera.models.tokenizer.Tokenizer;
import dev.tessera.server.engine.TokenEngine;
import java.util.HexFormat;
import java.util.List;
import org.jspecify.annotations.Nullable;

/// A loaded model with the engine that runs it: all that the endpoints know of either.
///
/// @param names under which clients may ask for it; the first is its own
/// @param logitWidth token ids are below this; may be more than the tokenizer's vocabulary
/// @param blockTokens tokens of a block of the cache
/// @param longestToken bytes of the longest token
/// @param trainedContext positions that the model was made for
/// @param created when it was loaded, in seconds since the epoch
public record ServedModel(
    List<String> names,
    Tokenizer tokenizer,
    @Nullable ChatTemplate chatTemplate,
    SamplingDefaults samplingDefaults,
    TokenEngine engine,
    int logitWidth,
    int blockTokens,
    int longestToken,
    int hiddenSize,
    int trainedContext,
    long parameters,
    long fileBytes,
    byte[] fingerprint,
    long created) {

  public ServedModel {
    names = List.copyOf(names);
    if (names.isEmpty()) {
      throw new IllegalArgumentException("a served model needs a name");
    }
  }

  /// Bytes of the longest token of a vocabulary.
  public static int longestToken(Tokenizer tokenizer) {
    int longest = 1;
    for (int id = 0; id < tokenizer.vocabularySize(); id++) {
      longest = Math.max(longest, tokenizer.bytes(id).length);
    }
    return longest;
  }

  public String name() {
    return names.getFirst();
  }

  /// The name under which to answer a request that asks for `requested`.
  ///
  /// @throws ApiException with status 404 if no such model is served
  String requireName(@Nullable String requested) {
    if (requested == null) {
      return name();
    }
    if (!names.contains(requested)) {
      throw ApiError.noSuchModel(Texts.printable(Texts.shortened(requested, 100))).asException();
    }
    return requested;
  }

  /// `system_fingerprint` of every answer.
  String systemFingerprint() {
    return "b-" + HexFormat.of().formatHex(fingerprint, 0, Math.min(4, fingerprint.length));
  }
}
