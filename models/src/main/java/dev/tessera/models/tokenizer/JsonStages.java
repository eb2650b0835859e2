package dev.tessera.models.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Locale;

/// Makes stages of the `normalizer` and `pre_tokenizer` of a `tokenizer.json`. What is not known is
/// refused by name: a text cut differently is a different prompt.
final class JsonStages {
  private final List<Normalization> normalizations = new ArrayList<>();
  private final List<Splitter> splitters = new ArrayList<>();
  private TextTokenizer.WordPrefix wordPrefix = TextTokenizer.WordPrefix.NONE;
  private boolean byteLevel;

  JsonStages(JsonNode normalizer, JsonNode preTokenizer) throws ModelFormatException {
    readNormalizer(normalizer);
    readPreTokenizer(preTokenizer);
  }

  Normalization normalization() {
    return switch (normalizations.size()) {
      case 0 -> Normalization.NONE;
      case 1 -> normalizations.getFirst();
      default -> Normalization.sequence(normalizations);
    };
  }

  PreTokenizer preTokenizer() {
    return new PreTokenizer(splitters);
  }

  TextTokenizer.WordPrefix wordPrefix() {
    return wordPrefix;
  }

  /// Whether words are written as bytes.
  boolean byteLevel() {
    return byteLevel;
  }

  private void readNormalizer(JsonNode node) throws ModelFormatException {
    if (node.isMissingNode() || node.isNull()) {
      return;
    }
    String type = node.path("type").asText();
    switch (type) {
      case "Sequence" -> {
        for (JsonNode step : node.path("normalizers")) {
          readNormalizer(step);
        }
      }
      case "NFC" -> normalizations.add(CanonicalForm.of(Normalizer.Form.NFC));
      case "NFD" -> normalizations.add(CanonicalForm.of(Normalizer.Form.NFD));
      case "NFKC" -> normalizations.add(CanonicalForm.of(Normalizer.Form.NFKC));
      case "NFKD" -> normalizations.add(CanonicalForm.of(Normalizer.Form.NFKD));
      case "Lowercase" -> normalizations.add(JsonStages::lowercase);
      case "Prepend" ->
          normalizations.add(Normalization.prepend(string(node, "prepend", "normalizer Prepend")));
      case "Replace" -> normalizations.add(replace(node));
      case "Strip" ->
          normalizations.add(
              Spaces.strip(
                  node.path("strip_left").asBoolean(true),
                  node.path("strip_right").asBoolean(true)));
      case "Precompiled" -> normalizations.add(precompiled(node));
      default -> throw unsupported("normalizer", type);
    }
  }

  private static Normalization replace(JsonNode node) throws ModelFormatException {
    String content = string(node, "content", "normalizer Replace");
    JsonNode pattern = node.path("pattern");
    if (pattern.path("String").isTextual() && !pattern.path("String").asText().isEmpty()) {
      return Normalization.replace(pattern.path("String").asText(), content);
    }
    String regex = pattern.path("Regex").asText();
    if (regex.equals(" {2,}")) {
      return text -> Spaces.replaceRuns(text, content);
    }
    throw unsupported("pattern of the normalizer Replace", regex);
  }

  private static Normalization precompiled(JsonNode node) throws ModelFormatException {
    String map = string(node, "precompiled_charsmap", "normalizer Precompiled");
    try {
      return new PrecompiledCharacters(Base64.getDecoder().decode(map));
    } catch (IllegalArgumentException e) {
      throw new ModelFormatException("tokenizer.json: precompiled_charsmap is not Base64", e);
    }
  }

  /// Letter by letter, as the reference does: no final sigma.
  private static String lowercase(String text) {
    StringBuilder lower = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i = CharacterClass.next(text, i)) {
      int codePoint = text.codePointAt(i);
      if (codePoint < 0x80) {
        lower.append((char) Character.toLowerCase(codePoint));
      } else {
        lower.append(Character.toString(codePoint).toLowerCase(Locale.ROOT));
      }
    }
    return lower.toString();
  }

  private void readPreTokenizer(JsonNode node) throws ModelFormatException {
    if (node.isMissingNode() || node.isNull()) {
      return;
    }
    String type = node.path("type").asText();
    switch (type) {
      case "Sequence" -> {
        for (JsonNode step : node.path("pretokenizers")) {
          readPreTokenizer(step);
        }
      }
      case "Split" -> splitters.add(split(node));
      case "Digits" ->
          splitters.add(
              node.path("individual_digits").asBoolean(false)
                  ? Scanners.numbers(1)
                  : PreTokenizers.pattern("\\p{N}+"));
      case "ByteLevel" -> {
        if (node.path("add_prefix_space").asBoolean(true)) {
          setPrefix(new TextTokenizer.WordPrefix(" ", false, false), "ByteLevel");
        }
        if (node.path("use_regex").asBoolean(true)) {
          splitters.add(Scanners::gpt2);
        }
        byteLevel = true;
      }
      case "Metaspace" -> readMetaspace(node);
      default -> throw unsupported("pre-tokenizer", type);
    }
  }

  private static Splitter split(JsonNode node) throws ModelFormatException {
    JsonNode pattern = node.path("pattern");
    String behavior = node.path("behavior").asText();
    boolean invert = node.path("invert").asBoolean(false);
    if (pattern.path("String").asText().equals(" ")
        && behavior.equals("MergedWithPrevious")
        && !invert) {
      return Scanners::behindSpaces;
    }
    if (!pattern.path("Regex").isTextual()) {
      throw unsupported("pre-tokenizer Split with the pattern", pattern.toString());
    }
    // Inverted and removed: what no match covers is dropped, but these patterns cover all.
    if (!(behavior.equals("Isolated") && !invert) && !(behavior.equals("Removed") && invert)) {
      throw unsupported("pre-tokenizer Split with the behavior", behavior);
    }
    return PreTokenizers.pattern(pattern.path("Regex").asText());
  }

  private void readMetaspace(JsonNode node) throws ModelFormatException {
    String mark = string(node, "replacement", "pre-tokenizer Metaspace");
    if (!mark.equals(String.valueOf(Vocabulary.WORD_MARK))) {
      throw unsupported("replacement of the pre-tokenizer Metaspace", mark);
    }
    String scheme =
        node.path("prepend_scheme")
            .asText(node.path("add_prefix_space").asBoolean(true) ? "always" : "never");
    setPrefix(
        switch (scheme) {
          case "always" -> new TextTokenizer.WordPrefix(mark, false, true);
          case "first" -> new TextTokenizer.WordPrefix(mark, true, true);
          case "never" -> new TextTokenizer.WordPrefix("", true, true);
          default -> throw unsupported("prepend_scheme of Metaspace", scheme);
        },
        "Metaspace");
    if (node.path("split").asBoolean(true)) {
      splitters.add(Scanners::atWordMarks);
    }
  }

  private void setPrefix(TextTokenizer.WordPrefix prefix, String type) throws ModelFormatException {
    if (!splitters.isEmpty() || byteLevel || !wordPrefix.equals(TextTokenizer.WordPrefix.NONE)) {
      throw new ModelFormatException(
          "tokenizer.json: the pre-tokenizer "
              + type
              + " with a prefix is only supported as the first");
    }
    wordPrefix = prefix;
  }

  static String string(JsonNode node, String field, String where) throws ModelFormatException {
    JsonNode value = node.path(field);
    if (!value.isTextual()) {
      throw new ModelFormatException("tokenizer.json: " + where + " has no " + field);
    }
    return value.asText();
  }

  static ModelFormatException unsupported(String what, String name) {
    return new ModelFormatException(
        "tokenizer.json: " + what + " '" + OneLine.of(name) + "' is not supported");
  }
}
