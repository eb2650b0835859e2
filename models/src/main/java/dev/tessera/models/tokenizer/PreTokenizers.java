package dev.tessera.models.tokenizer;

import static dev.tessera.models.tokenizer.CharacterClass.LETTER;
import static dev.tessera.models.tokenizer.CharacterClass.MARK;
import static dev.tessera.models.tokenizer.CharacterClass.NUMBER;
import static dev.tessera.models.tokenizer.CharacterClass.PUNCTUATION;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.util.Map;
import java.util.function.IntPredicate;

/// The pre-tokenizers by the names that GGUF gives them and by the regular expressions that
/// `tokenizer.json` carries.
final class PreTokenizers {
  private static final PreTokenizer GPT2 = PreTokenizer.of(Scanners::gpt2);
  private static final PreTokenizer SMOLLM = PreTokenizer.of(Scanners.numbers(1), Scanners::gpt2);
  private static final PreTokenizer LLAMA3 = PreTokenizer.of(WordScanner.words(3));
  private static final PreTokenizer QWEN2 = PreTokenizer.of(WordScanner.words(1));
  private static final PreTokenizer QWEN35 = PreTokenizer.of(WordScanner.words(1, LETTER | MARK));
  private static final PreTokenizer TEKKEN = PreTokenizer.of(WordScanner.casedWords(1, false));
  private static final PreTokenizer GPT4O = PreTokenizer.of(WordScanner.casedWords(3, true));
  private static final PreTokenizer DEEPSEEK_LLM =
      PreTokenizer.of(
          Scanners.single(PreTokenizers::isNewline),
          Scanners.spacedRuns(DeepseekLetters::contains),
          Scanners.spacedRuns(PreTokenizers::isDeepseekPunctuation),
          Scanners::trailingSpaces,
          Scanners.runs(PreTokenizers::isDeepseekIdeograph),
          Scanners.runs(in(NUMBER)));
  private static final PreTokenizer DEEPSEEK_CODER =
      PreTokenizer.of(
          Scanners.single(PreTokenizers::isNewline),
          Scanners.spacedRuns(in(LETTER)),
          Scanners.spacedRuns(in(PUNCTUATION)),
          Scanners.runs(PreTokenizers::isDeepseekIdeograph),
          Scanners.numbers(1));
  private static final PreTokenizer DEEPSEEK_V3 =
      PreTokenizer.of(
          Scanners.numbers(3),
          Scanners.runs(PreTokenizers::isDeepseekV3Ideograph),
          WordScanner::deepseekV3);
  private static final PreTokenizer FALCON =
      PreTokenizer.of(
          Scanners.runs(Scanners.falconPunctuation("$+<=>^~|`")),
          Scanners::gpt2,
          Scanners::digitTriples);
  private static final PreTokenizer UNNAMED =
      PreTokenizer.of(
          Scanners.runs(Scanners.falconPunctuation("$+<=>^~|")),
          Scanners::gpt2,
          Scanners.runs(in(NUMBER)),
          Scanners::digitTriples);

  private static final String CASELESS_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  private static final String SPELT_CONTRACTION =
      "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";
  private static final String SPACES = "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

  private static final Map<String, Splitter> PATTERNS =
      Map.ofEntries(
          Map.entry(
              "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
              Scanners::gpt2),
          Map.entry(
              "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
              Scanners::gpt2),
          Map.entry(
              CASELESS_CONTRACTION
                  + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                  + SPACES,
              WordScanner.words(3)),
          Map.entry(
              SPELT_CONTRACTION
                  + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                  + SPACES,
              WordScanner.words(3)),
          Map.entry(
              CASELESS_CONTRACTION
                  + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                  + SPACES,
              WordScanner.words(1)),
          Map.entry(
              CASELESS_CONTRACTION
                  + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                  + "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*"
                  + SPACES,
              WordScanner.words(1, LETTER | MARK)),
          Map.entry(
              "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
                  + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                  + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                  + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
                  + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
                  + SPACES,
              WordScanner.casedWords(1, false)),
          Map.entry(
              "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"
                  + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                  + CASELESS_CONTRACTION
                  + "?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                  + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
                  + CASELESS_CONTRACTION
                  + "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
                  + SPACES,
              WordScanner.casedWords(3, true)),
          Map.entry("\\p{N}", Scanners.numbers(1)),
          Map.entry("\\p{N}{1,3}", Scanners.numbers(3)),
          Map.entry("\\p{N}+", Scanners.runs(in(NUMBER))),
          Map.entry("[\\r\\n]", Scanners.single(PreTokenizers::isNewline)),
          Map.entry("\\s?\\p{L}+", Scanners.spacedRuns(in(LETTER))),
          Map.entry("\\s?\\p{P}+", Scanners.spacedRuns(in(PUNCTUATION))),
          Map.entry(
              "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
              Scanners.spacedRuns(PreTokenizers::isDeepseekPunctuation)),
          Map.entry(DeepseekLetters.PATTERN, Scanners.spacedRuns(DeepseekLetters::contains)),
          Map.entry("\\s+$", Scanners::trailingSpaces),
          Map.entry("[一-龥ࠀ-一가-\uD7FF]+", Scanners.runs(PreTokenizers::isDeepseekIdeograph)),
          Map.entry("[一-龥぀-ゟ゠-ヿ]+", Scanners.runs(PreTokenizers::isDeepseekV3Ideograph)),
          Map.entry(
              "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                  + "|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*"
                  + SPACES,
              WordScanner::deepseekV3),
          Map.entry("[0-9][0-9][0-9]", Scanners::digitTriples));

  private PreTokenizers() {}

  /// The pre-tokenizer that GGUF's `tokenizer.ggml.pre` names.
  static PreTokenizer named(String name) throws ModelFormatException {
    return switch (name) {
      case "gpt-2", "phi-2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling" ->
          GPT2;
      case "smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b" ->
          SMOLLM;
      case "llama-bpe",
          "llama3",
          "llama-v3",
          "dbrx",
          "smaug-bpe",
          "falcon3",
          "falcon-h1",
          "pixtral",
          "lfm2",
          "glm4",
          "chatglm-bpe" ->
          LLAMA3;
      case "qwen2", "deepseek-r1-qwen", "megrez", "hunyuan", "grok-2" -> QWEN2;
      case "qwen35" -> QWEN35;
      case "deepseek-llm" -> DEEPSEEK_LLM;
      case "deepseek-coder" -> DEEPSEEK_CODER;
      case "deepseek-v3", "hunyuan-dense" -> DEEPSEEK_V3;
      case "tekken" -> TEKKEN;
      case "gpt-4o", "llama4" -> GPT4O;
      case "falcon" -> FALCON;
      case "default" -> UNNAMED;
      default ->
          throw new ModelFormatException(
              "tokenizer.ggml.pre: pre-tokenizer '" + OneLine.of(name) + "' is not supported");
    };
  }

  /// The scanner for a regular expression of `tokenizer.json`, recognised by its text.
  static Splitter pattern(String regex) throws ModelFormatException {
    Splitter splitter = PATTERNS.get(regex.replace("\r", "\\r").replace("\n", "\\n"));
    if (splitter == null) {
      throw new ModelFormatException(
          "tokenizer.json: the pre-tokenizer's pattern '"
              + OneLine.of(regex)
              + "' is not supported");
    }
    return splitter;
  }

  private static IntPredicate in(int classes) {
    return c -> (CharacterClass.of(c) & classes) != 0;
  }

  private static boolean isNewline(int c) {
    return c == '\n' || c == '\r';
  }

  private static boolean isDeepseekIdeograph(int c) {
    return (c >= 0x800 && c <= 0x9FA5) || (c >= 0xAC00 && c <= 0xD7FF);
  }

  private static boolean isDeepseekV3Ideograph(int c) {
    return (c >= 0x4E00 && c <= 0x9FA5) || (c >= 0x3040 && c <= 0x30FF);
  }

  private static boolean isDeepseekPunctuation(int c) {
    return (c >= '!' && c <= '/')
        || (c >= ':' && c <= '~')
        || (c >= 0xFF01 && c <= 0xFF0F)
        || (c >= 0xFF1A && c <= 0xFF5E)
        || (c >= 0x2018 && c <= 0x201F)
        || (c >= 0x3000 && c <= 0x3002);
  }
}
