package dev.tessera.models.testing;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/// A byte-level vocabulary of 320 tokens: three special ones, every byte, and some merges.
public final class TinyVocabulary {
  public static final int END_OF_TEXT = 0;
  public static final int TURN_START = 1;
  public static final int TURN_END = 2;
  public static final int SIZE = 320;

  static final String CHAT_TEMPLATE =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n'"
          + " + message['content'] + '<|im_end|>\n' }}{% endfor %}"
          + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

  private static final List<String> SPECIAL =
      List.of("<|endoftext|>", "<|im_start|>", "<|im_end|>");

  /// Pairs that merge, best first; every result is a token.
  private static final List<String> MERGES =
      List.of(
          "t h", "th e", "Ġ the", "i n", "Ġ a", "e r", "o n", "r e", "Ġ t", "Ġ s", "a n", "an d",
          "Ġ and", "e n", "o r", "e s", "i s", "Ġ is", "a t", "o u", "Ġ b", "Ġ w", "Ġ c", "Ġ f",
          "i t", "Ġ it", "o f", "Ġ of", "l l", "e d", "in g", "Ġ o", "Ġ p", "Ġ m", "Ġ h", "Ġ d",
          "a r", "s t", "Ġ in", "Ġt o", "h e", "l e", "o m", "u r", "i c", "r o", "Ġ l", "Ġ n",
          "a l", "v e", "k e", "i l", "u s", "c h", "Ġ y", "Ġy ou", "l o", "w or", "wor l",
          "worl d", "he ll");

  private TinyVocabulary() {}

  /// The tokens in the order of their ids.
  static List<String> tokens() {
    List<String> tokens = new ArrayList<>(SPECIAL);
    for (int value = 0; value < 256; value++) {
      tokens.add(letter(value));
    }
    for (String merge : MERGES) {
      tokens.add(merge.replace(" ", ""));
    }
    if (tokens.size() != SIZE || tokens.stream().distinct().count() != SIZE) {
      throw new AssertionError("the vocabulary has " + tokens.size() + " tokens");
    }
    return tokens;
  }

  /// The printable letter by which byte-level vocabularies write a byte.
  private static String letter(int value) {
    boolean printable =
        value >= '!' && value <= '~' || value >= 0xa1 && value <= 0xac || value >= 0xae;
    if (printable) {
      return Character.toString(value);
    }
    int rank = value <= ' ' ? value : value < 0xad ? value - 0x7f + 33 : 67;
    return Character.toString(256 + rank);
  }

  static Map<String, Object> gguf(boolean chatTemplate) {
    Map<String, Object> words = new LinkedHashMap<>();
    List<String> tokens = tokens();
    int[] types = new int[tokens.size()];
    for (int i = 0; i < types.length; i++) {
      types[i] = i < SPECIAL.size() ? 3 : 1;
    }
    words.put("tokenizer.ggml.model", "gpt2");
    words.put("tokenizer.ggml.pre", "gpt-2");
    words.put("tokenizer.ggml.tokens", tokens.toArray(String[]::new));
    words.put("tokenizer.ggml.token_type", types);
    words.put("tokenizer.ggml.merges", MERGES.toArray(String[]::new));
    words.put("tokenizer.ggml.bos_token_id", TURN_START);
    words.put("tokenizer.ggml.eos_token_id", TURN_END);
    words.put("tokenizer.ggml.add_bos_token", false);
    if (chatTemplate) {
      words.put("tokenizer.chat_template", CHAT_TEMPLATE);
    }
    return words;
  }

  static Map<String, Object> tokenizerJson() {
    List<String> tokens = tokens();
    Map<String, Object> vocabulary = new LinkedHashMap<>();
    for (int i = SPECIAL.size(); i < tokens.size(); i++) {
      vocabulary.put(tokens.get(i), i);
    }
    List<Object> added = new ArrayList<>();
    for (int i = 0; i < SPECIAL.size(); i++) {
      Map<String, Object> token = new LinkedHashMap<>();
      token.put("id", i);
      token.put("content", SPECIAL.get(i));
      for (String flag : List.of("single_word", "lstrip", "rstrip", "normalized")) {
        token.put(flag, false);
      }
      token.put("special", true);
      added.add(token);
    }
    Map<String, Object> byteLevel =
        Map.of("type", "ByteLevel", "add_prefix_space", false, "use_regex", true);
    Map<String, Object> model = new LinkedHashMap<>();
    model.put("type", "BPE");
    model.put("byte_fallback", false);
    model.put("ignore_merges", false);
    model.put("vocab", vocabulary);
    model.put("merges", MERGES);
    Map<String, Object> json = new LinkedHashMap<>();
    json.put("version", "1.0");
    json.put("added_tokens", added);
    json.put("pre_tokenizer", byteLevel);
    json.put("decoder", byteLevel);
    json.put("model", model);
    return json;
  }
}
