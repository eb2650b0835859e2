package dev.tessera.models.tokenizer;

import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import dev.tessera.models.gguf.Metadata;
import dev.tessera.models.tokenizer.Vocabulary.Kind;
import dev.tessera.models.tokenizer.Vocabulary.Spelling;
import java.text.Normalizer;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/// Reads a tokenizer from GGUF metadata. GGUF stores the vocabulary but names the rest, so what a
/// name implies is written down here: see `llama-vocab.cpp` of llama.cpp.
final class GgufTokenizer {
  private static final String PREFIX = "tokenizer.ggml.";
  private static final int NO_TOKEN = -1;

  /// Pre-tokenizers whose families add BOS and keep whole tokens without a key that says so.
  private static final Set<String> LLAMA3 =
      Set.of(
          "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2", "tekken");

  private static final Set<String> IGNORE_MERGES = Set.of("glm4");

  /// Families whose original tokenizer composes characters first; the file does not say so.
  private static final Set<String> CANONICAL = Set.of("qwen2", "qwen35", "deepseek-r1-qwen");

  private final Metadata metadata;
  private final String[] pieces;
  private final Kind[] kinds;
  private final Set<Integer> endOfGeneration = new LinkedHashSet<>();

  GgufTokenizer(Metadata metadata) throws ModelFormatException {
    this.metadata = metadata;
    this.pieces = metadata.required(PREFIX + "tokens", String[].class).clone();
    this.kinds = new Kind[pieces.length];
    if (pieces.length == 0) {
      throw new ModelFormatException(PREFIX + "tokens is empty");
    }
    readKinds();
  }

  private void readKinds() throws ModelFormatException {
    long[] types = metadata.get(PREFIX + "token_type", long[].class);
    if (types != null && types.length < pieces.length) {
      throw shorter("token_type", types.length);
    }
    for (int id = 0; id < pieces.length; id++) {
      if (pieces[id].isEmpty()) {
        pieces[id] = "[EMPTY_" + id + "]";
      }
      int type = types == null ? 1 : Math.clamp(types[id], 0, 7);
      kinds[id] =
          switch (type) {
            case 1 -> Kind.NORMAL;
            case 2 -> Kind.UNKNOWN;
            case 3 -> Kind.CONTROL;
            case 4 -> Kind.USER_DEFINED;
            case 6 -> Kind.BYTE;
            default -> Kind.UNUSED;
          };
      if (EndOfGeneration.isEnd(pieces[id], kinds[id])) {
        kinds[id] = Kind.CONTROL;
        endOfGeneration.add(id);
      }
    }
  }

  private ModelFormatException shorter(String key, int length) {
    return new ModelFormatException(
        "%s%s has %,d entries; the vocabulary has %,d tokens"
            .formatted(PREFIX, key, length, pieces.length));
  }

  Tokenizer build() throws ModelFormatException {
    String model = metadata.required(PREFIX + "model", String.class);
    return switch (model) {
      case "gpt2" -> byteLevel();
      case "gemma4" -> markedWords();
      case "llama" -> sentencePiece();
      case "t5" -> unigram();
      default ->
          throw new ModelFormatException(
              PREFIX
                  + "model: '"
                  + OneLine.of(model)
                  + "' is not supported (gpt2, llama, t5 and gemma4 are)");
    };
  }

  private Tokenizer byteLevel() throws ModelFormatException {
    String named = metadata.get(PREFIX + "pre", String.class);
    String pre = named == null ? "default" : named;
    PreTokenizer preTokenizer = PreTokenizers.named(pre);
    Vocabulary vocabulary = new Vocabulary(pieces, kinds, Spelling.BYTES);
    boolean llama3 = LLAMA3.contains(pre);
    SubwordModel subwords =
        merges(
            vocabulary,
            true,
            new BytePairModel.Options(llama3 || IGNORE_MERGES.contains(pre), NO_TOKEN, false));
    Normalization normalization =
        CANONICAL.contains(pre) ? CanonicalForm.of(Normalizer.Form.NFC) : Normalization.NONE;
    return assemble(
        vocabulary, normalization, preTokenizer, subwords, new Defaults(llama3, false, -1, -1));
  }

  /// Gemma 4: merges over characters, words marked as SentencePiece marks them.
  private Tokenizer markedWords() throws ModelFormatException {
    Vocabulary vocabulary = new Vocabulary(pieces, kinds, Spelling.WORD_MARKS);
    int unknown = special("unknown_token_id", NO_TOKEN);
    SubwordModel subwords =
        merges(vocabulary, false, new BytePairModel.Options(true, unknown, true));
    return assemble(
        vocabulary,
        Normalization.replace(" ", String.valueOf(Vocabulary.WORD_MARK)),
        PreTokenizer.of(Scanners::lines),
        subwords,
        new Defaults(true, false, -1, -1));
  }

  private BytePairModel merges(
      Vocabulary vocabulary, boolean byteLevel, BytePairModel.Options options)
      throws ModelFormatException {
    String[] merges = metadata.required(PREFIX + "merges", String[].class);
    List<String> lefts = new ArrayList<>(merges.length);
    List<String> rights = new ArrayList<>(merges.length);
    for (int rank = 0; rank < merges.length; rank++) {
      int space = merges[rank].indexOf(' ', 1);
      if (space < 0 || space == merges[rank].length() - 1) {
        throw new ModelFormatException(
            "%smerges: entry %,d is '%s'; expected two parts and a space between"
                .formatted(PREFIX, rank, OneLine.of(merges[rank])));
      }
      lefts.add(merges[rank].substring(0, space));
      rights.add(merges[rank].substring(space + 1));
    }
    return BytePairModel.fromMerges(vocabulary, byteLevel, lefts, rights, options);
  }

  private Tokenizer sentencePiece() throws ModelFormatException {
    Vocabulary vocabulary = new Vocabulary(pieces, kinds, Spelling.WORD_MARKS);
    int unknown = special("unknown_token_id", 0);
    BytePairModel subwords =
        BytePairModel.fromScores(
            vocabulary, scores(), new BytePairModel.Options(false, unknown, true));
    return assemble(
        vocabulary, wordMarks(), PreTokenizer.NONE, subwords, new Defaults(true, true, 1, 2));
  }

  private Tokenizer unigram() throws ModelFormatException {
    Vocabulary vocabulary = new Vocabulary(pieces, kinds, Spelling.WORD_MARKS);
    int unknown = special("unknown_token_id", 2);
    if (unknown < 0) {
      throw new ModelFormatException(PREFIX + "unknown_token_id is missing");
    }
    long[] charsmap = metadata.get(PREFIX + "precompiled_charsmap", long[].class);
    List<Normalization> steps = new ArrayList<>();
    if (charsmap != null) {
      byte[] bytes = new byte[charsmap.length];
      for (int i = 0; i < bytes.length; i++) {
        bytes[i] = (byte) charsmap[i];
      }
      steps.add(new PrecompiledCharacters(bytes));
    }
    if (flag("remove_extra_whitespaces", false)) {
      steps.add(Spaces::collapse);
    }
    steps.add(wordMarks());
    return assemble(
        vocabulary,
        Normalization.sequence(steps),
        PreTokenizer.NONE,
        UnigramModel.of(vocabulary, scores(), unknown),
        new Defaults(false, true, -1, 1));
  }

  private Normalization wordMarks() throws ModelFormatException {
    String mark = String.valueOf(Vocabulary.WORD_MARK);
    Normalization marked = Normalization.replace(" ", mark);
    return flag("add_space_prefix", true)
        ? Normalization.sequence(List.of(Normalization.prepend(mark), marked))
        : marked;
  }

  private float[] scores() throws ModelFormatException {
    double[] values = metadata.required(PREFIX + "scores", double[].class);
    if (values.length < pieces.length) {
      throw shorter("scores", values.length);
    }
    float[] scores = new float[pieces.length];
    for (int id = 0; id < scores.length; id++) {
      scores[id] = (float) values[id];
      if (Float.isNaN(scores[id])) {
        throw new ModelFormatException(PREFIX + "scores: the score of token " + id + " is NaN");
      }
    }
    return scores;
  }

  /// What a tokenizer model implies where the file has no key.
  private record Defaults(boolean addBos, boolean spacePrefix, int bos, int eos) {}

  private Tokenizer assemble(
      Vocabulary vocabulary,
      Normalization normalization,
      PreTokenizer preTokenizer,
      SubwordModel subwords,
      Defaults defaults)
      throws ModelFormatException {
    int bos = special("bos_token_id", defaults.bos());
    int eos = special("eos_token_id", defaults.eos());
    for (int id : new int[] {eos, special("eot_token_id", -1), special("eom_token_id", -1)}) {
      if (id >= 0) {
        endOfGeneration.add(id);
      }
    }
    if (EndOfGeneration.endIsInsideTurns(vocabulary)) {
      endOfGeneration.remove(vocabulary.id("<|end|>"));
    }
    List<AddedTokens.Token> all = new ArrayList<>();
    List<AddedTokens.Token> user = new ArrayList<>();
    boolean phi3 = isPhi3();
    for (int id = 0; id < pieces.length; id++) {
      Kind kind = kinds[id];
      if (kind != Kind.CONTROL && kind != Kind.UNKNOWN && kind != Kind.USER_DEFINED) {
        continue;
      }
      boolean rightStrip = phi3 && !Set.of("<unk>", "<s>", "<|endoftext|>").contains(pieces[id]);
      AddedTokens.Token token = new AddedTokens.Token(pieces[id], id, false, rightStrip, false);
      all.add(token);
      if (kind == Kind.USER_DEFINED) {
        user.add(token);
      }
    }
    return new TextTokenizer(
        new TextTokenizer.Stages(
            vocabulary,
            new TextTokenizer.Names(new AddedTokens(all), new AddedTokens(List.of())),
            new TextTokenizer.Names(new AddedTokens(user), new AddedTokens(List.of())),
            normalization,
            TextTokenizer.WordPrefix.NONE,
            preTokenizer,
            subwords,
            around("add_bos_token", defaults.addBos(), "bos_token_id", bos),
            around("add_eos_token", metadataModelIs("t5"), "eos_token_id", eos),
            defaults.spacePrefix() && flag("add_space_prefix", true),
            optional(bos),
            optional(eos),
            Set.copyOf(endOfGeneration)));
  }

  private boolean metadataModelIs(String model) throws ModelFormatException {
    return model.equals(metadata.get(PREFIX + "model", String.class));
  }

  /// Phi-3's tokenizer takes the white space behind its special tokens; the file does not say so.
  private boolean isPhi3() throws ModelFormatException {
    String name = metadata.get("general.name", String.class);
    String lower = name == null ? "" : name.toLowerCase(Locale.ROOT);
    return lower.contains("phi-3") || lower.contains("phi3");
  }

  private int[] around(String key, boolean byDefault, String idKey, int id)
      throws ModelFormatException {
    if (!flag(key, byDefault)) {
      return new int[0];
    }
    if (id < 0) {
      throw new ModelFormatException(PREFIX + key + " is set, but there is no " + PREFIX + idKey);
    }
    return new int[] {id};
  }

  private static OptionalInt optional(int id) {
    return id < 0 ? OptionalInt.empty() : OptionalInt.of(id);
  }

  private boolean flag(String key, boolean byDefault) throws ModelFormatException {
    Boolean value = metadata.get(PREFIX + key, Boolean.class);
    return value == null ? byDefault : value;
  }

  /// The id under a key. Writers say "none" as -1, signed or not; the default must exist to count.
  private int special(String key, int byDefault) throws ModelFormatException {
    @Nullable Long id = metadata.get(PREFIX + key, Long.class);
    if (id == null) {
      return byDefault < pieces.length ? byDefault : NO_TOKEN;
    }
    if (id == -1 || id == 0xFFFFFFFFL) {
      return NO_TOKEN;
    }
    if (id < 0 || id >= pieces.length) {
      throw new ModelFormatException(
          "%s%s is %,d; the vocabulary has %,d tokens".formatted(PREFIX, key, id, pieces.length));
    }
    return id.intValue();
  }
}
