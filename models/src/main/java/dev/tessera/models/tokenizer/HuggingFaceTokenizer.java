package dev.tessera.models.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import dev.tessera.models.tokenizer.Vocabulary.Kind;
import dev.tessera.models.tokenizer.Vocabulary.Spelling;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.OptionalInt;
import java.util.Set;

/// Reads a tokenizer from a Hugging Face directory: `tokenizer.json` says how text becomes tokens,
/// `tokenizer_config.json` which tokens begin and end it, `generation_config.json` (without it,
/// `config.json`) where a generation ends.
final class HuggingFaceTokenizer {
  private static final int NO_TOKEN = -1;

  private final TokenizerJson json;
  private final JsonNode config;
  private final JsonNode generation;
  private final JsonStages stages;
  private final List<Added> added = new ArrayList<>();
  private final Vocabulary vocabulary;

  /// An entry of `added_tokens`.
  private record Added(AddedTokens.Token token, boolean special, boolean normalized) {}

  private HuggingFaceTokenizer(TokenizerJson json, JsonNode config, JsonNode generation)
      throws ModelFormatException {
    this.json = json;
    this.config = config;
    this.generation = generation;
    this.stages = new JsonStages(json.section("normalizer"), json.section("pre_tokenizer"));
    readAdded();
    this.vocabulary = vocabulary();
  }

  static Tokenizer read(Path directory) throws ModelFormatException {
    JsonNode generation = small(directory, "generation_config.json");
    return read(
        directory.resolve("tokenizer.json"),
        small(directory, "tokenizer_config.json"),
        generation.isMissingNode() ? small(directory, "config.json") : generation);
  }

  private static Tokenizer read(Path file, JsonNode config, JsonNode generation)
      throws ModelFormatException {
    try (InputStream input = new BufferedInputStream(Files.newInputStream(file))) {
      return read(input, config, generation);
    } catch (NoSuchFileException e) {
      throw new ModelFormatException(file + " is missing", e);
    } catch (IOException e) {
      throw new ModelFormatException(file + " cannot be read: " + e.getMessage(), e);
    }
  }

  static Tokenizer read(InputStream input, JsonNode config, JsonNode generation)
      throws IOException, ModelFormatException {
    return new HuggingFaceTokenizer(TokenizerJson.parse(input), config, generation).build();
  }

  private static JsonNode small(Path directory, String name) throws ModelFormatException {
    try (InputStream input = Files.newInputStream(directory.resolve(name))) {
      return TokenizerJson.small(name, input);
    } catch (NoSuchFileException e) {
      return MissingNode.getInstance();
    } catch (IOException e) {
      throw new ModelFormatException(name + " cannot be read: " + e.getMessage(), e);
    }
  }

  private void readAdded() throws ModelFormatException {
    for (JsonNode node : json.section("added_tokens")) {
      if (!node.path("id").canConvertToInt() || !node.path("content").isTextual()) {
        throw new ModelFormatException(
            "tokenizer.json: an entry of added_tokens lacks id or content");
      }
      added.add(
          new Added(
              new AddedTokens.Token(
                  node.path("content").asText(),
                  node.path("id").asInt(),
                  node.path("lstrip").asBoolean(),
                  node.path("rstrip").asBoolean(),
                  node.path("single_word").asBoolean()),
              node.path("special").asBoolean(),
              node.path("normalized").asBoolean()));
    }
  }

  private Vocabulary vocabulary() throws ModelFormatException {
    int count = json.pieces.size() + added.size();
    int highest = NO_TOKEN;
    for (int i = 0; i < json.pieces.size(); i++) {
      highest = Math.max(highest, checkId(json.ids.get(i), json.pieces.get(i), count));
    }
    for (Added entry : added) {
      highest = Math.max(highest, checkId(entry.token.id(), entry.token.text(), count));
    }
    if (highest < 0) {
      throw new ModelFormatException("tokenizer.json: the vocabulary is empty");
    }
    String[] pieces = new String[highest + 1];
    Kind[] kinds = new Kind[highest + 1];
    boolean byteFallback = json.option("byte_fallback").asBoolean(false);
    for (int i = 0; i < json.pieces.size(); i++) {
      String piece = json.pieces.get(i);
      int id = json.ids.get(i);
      put(pieces, id, piece);
      boolean isByte = byteFallback && Vocabulary.byteValue(piece) >= 0;
      kinds[id] = isByte ? Kind.BYTE : Kind.NORMAL;
    }
    for (Added entry : added) {
      put(pieces, entry.token.id(), entry.token.text());
      boolean control =
          entry.special || EndOfGeneration.isEnd(entry.token.text(), Kind.USER_DEFINED);
      kinds[entry.token.id()] = control ? Kind.CONTROL : Kind.USER_DEFINED;
    }
    for (int id = 0; id <= highest; id++) {
      if (pieces[id] == null || pieces[id].isEmpty()) {
        pieces[id] = "[EMPTY_" + id + "]";
        kinds[id] = Kind.UNUSED;
      }
    }
    return new Vocabulary(pieces, kinds, stages.byteLevel() ? Spelling.BYTES : Spelling.WORD_MARKS);
  }

  /// Ids may leave gaps, but not so many that a small file takes all memory.
  private static int checkId(int id, String piece, int count) throws ModelFormatException {
    if (id < 0 || id > 2L * count + 1024) {
      throw new ModelFormatException(
          "tokenizer.json: token '%s' has the id %,d; there are %,d tokens"
              .formatted(OneLine.of(piece), id, count));
    }
    return id;
  }

  private static void put(String[] pieces, int id, String piece) throws ModelFormatException {
    if (pieces[id] != null && !pieces[id].equals(piece)) {
      throw new ModelFormatException(
          "tokenizer.json: id %,d belongs to '%s' and to '%s'"
              .formatted(id, OneLine.of(pieces[id]), OneLine.of(piece)));
    }
    pieces[id] = piece;
  }

  private Tokenizer build() throws ModelFormatException {
    SubwordModel model = model();
    List<AddedTokens.Token> rawAll = new ArrayList<>();
    List<AddedTokens.Token> rawUser = new ArrayList<>();
    List<AddedTokens.Token> normalizedAll = new ArrayList<>();
    List<AddedTokens.Token> normalizedUser = new ArrayList<>();
    for (Added entry : added) {
      AddedTokens.Token token = entry.token;
      if (entry.normalized) {
        token = token.withText(stages.normalization().apply(token.text()));
      }
      boolean control = vocabulary.isSpecial(token.id());
      (entry.normalized ? normalizedAll : rawAll).add(token);
      if (!control) {
        (entry.normalized ? normalizedUser : rawUser).add(token);
      }
    }
    OptionalInt bos = named("bos_token");
    OptionalInt eos = named("eos_token");
    Template template = new Template();
    template.read(json.section("post_processor"));
    template.override(bos, eos);
    return new TextTokenizer(
        new TextTokenizer.Stages(
            vocabulary,
            new TextTokenizer.Names(new AddedTokens(rawAll), new AddedTokens(normalizedAll)),
            new TextTokenizer.Names(new AddedTokens(rawUser), new AddedTokens(normalizedUser)),
            stages.normalization(),
            stages.wordPrefix(),
            stages.preTokenizer(),
            model,
            template.before.toArray(),
            template.after.toArray(),
            removesLeadingSpace(json.section("decoder")),
            bos,
            eos,
            endOfGeneration(eos)));
  }

  private SubwordModel model() throws ModelFormatException {
    String type = json.option("type").asText(json.mergeLefts.isEmpty() ? "Unigram" : "BPE");
    return switch (type) {
      case "BPE" -> bytePairs();
      case "Unigram" -> unigram();
      default -> throw JsonStages.unsupported("model", type);
    };
  }

  private BytePairModel bytePairs() throws ModelFormatException {
    for (String affix : List.of("continuing_subword_prefix", "end_of_word_suffix")) {
      if (!json.option(affix).asText("").isEmpty()) {
        throw JsonStages.unsupported("model." + affix, json.option(affix).asText());
      }
    }
    if (json.option("dropout").asDouble(0) != 0) {
      throw JsonStages.unsupported("model.dropout", json.option("dropout").asText());
    }
    int unknown = vocabulary.id(json.option("unk_token").asText(""));
    return BytePairModel.fromMerges(
        vocabulary,
        stages.byteLevel(),
        json.mergeLefts,
        json.mergeRights,
        new BytePairModel.Options(
            json.option("ignore_merges").asBoolean(false),
            unknown,
            json.option("fuse_unk").asBoolean(false)));
  }

  private UnigramModel unigram() throws ModelFormatException {
    if (json.scores.size() != json.pieces.size()) {
      throw new ModelFormatException("tokenizer.json: a Unigram vocabulary must have scores");
    }
    double[] scores = new double[vocabulary.size()];
    for (int i = 0; i < json.pieces.size(); i++) {
      scores[json.ids.get(i)] = json.scores.get(i);
    }
    int unknown = json.option("unk_id").asInt(NO_TOKEN);
    if (unknown < NO_TOKEN || unknown >= vocabulary.size()) {
      throw new ModelFormatException(
          "tokenizer.json: model.unk_id is %,d; there are %,d tokens"
              .formatted(unknown, vocabulary.size()));
    }
    return UnigramModel.of(
        vocabulary, scores, unknown, json.option("byte_fallback").asBoolean(false));
  }

  private static boolean removesLeadingSpace(JsonNode decoder) {
    return switch (decoder.path("type").asText()) {
      case "Sequence" -> {
        for (JsonNode step : decoder.path("decoders")) {
          if (removesLeadingSpace(step)) {
            yield true;
          }
        }
        yield false;
      }
      case "Strip" ->
          decoder.path("content").asText().equals(" ") && decoder.path("start").asInt() > 0;
      case "Metaspace" ->
          !decoder
              .path("prepend_scheme")
              .asText(decoder.path("add_prefix_space").asBoolean(true) ? "always" : "never")
              .equals("never");
      default -> false;
    };
  }

  /// A token that `tokenizer_config.json` names, as text or as an object with `content`.
  private OptionalInt named(String key) {
    JsonNode value = config.path(key);
    String text = value.isTextual() ? value.asText() : value.path("content").asText("");
    int id = text.isEmpty() ? NO_TOKEN : vocabulary.id(text);
    if (id < 0 && generation.path(key + "_id").canConvertToInt()) {
      id = generation.path(key + "_id").asInt();
    }
    return id >= 0 && id < vocabulary.size() ? OptionalInt.of(id) : OptionalInt.empty();
  }

  private Set<Integer> endOfGeneration(OptionalInt eos) throws ModelFormatException {
    Set<Integer> ends = new LinkedHashSet<>();
    eos.ifPresent(ends::add);
    JsonNode declared = generation.path("eos_token_id");
    if (declared.canConvertToInt()) {
      ends.add(checkEnd(declared.asInt()));
    }
    for (JsonNode id : declared) {
      ends.add(checkEnd(id.asInt(NO_TOKEN)));
    }
    for (Added entry : added) {
      if (EndOfGeneration.isEnd(entry.token.text(), Kind.USER_DEFINED)) {
        ends.add(entry.token.id());
      }
    }
    if (EndOfGeneration.endIsInsideTurns(vocabulary)) {
      ends.remove(vocabulary.id("<|end|>"));
    }
    return Set.copyOf(ends);
  }

  private int checkEnd(int id) throws ModelFormatException {
    if (id < 0 || id >= vocabulary.size()) {
      throw new ModelFormatException(
          "eos_token_id is %,d; there are %,d tokens".formatted(id, vocabulary.size()));
    }
    return id;
  }

  /// The tokens around a prompt.
  private final class Template {
    TokenBuffer before = new TokenBuffer();
    TokenBuffer after = new TokenBuffer();

    void read(JsonNode node) throws ModelFormatException {
      if (node.isMissingNode() || node.isNull()) {
        return;
      }
      String type = node.path("type").asText();
      switch (type) {
        case "ByteLevel" -> {} // about offsets only
        case "Sequence" -> {
          for (JsonNode step : node.path("processors")) {
            read(step);
          }
        }
        case "TemplateProcessing" -> {
          TokenBuffer side = before;
          for (JsonNode item : node.path("single")) {
            if (item.has("Sequence")) {
              side = after;
            } else {
              String name = item.path("SpecialToken").path("id").asText();
              JsonNode ids = node.path("special_tokens").path(name).path("ids");
              for (JsonNode id : ids) {
                side.add(checkEnd(id.asInt(NO_TOKEN)));
              }
            }
          }
        }
        default -> throw JsonStages.unsupported("post-processor", type);
      }
    }

    /// The classes that descend from Llama's make their own template from two settings.
    void override(OptionalInt bos, OptionalInt eos) {
      String tokenizerClass = config.path("tokenizer_class").asText();
      if (!tokenizerClass.startsWith("Llama") && !tokenizerClass.startsWith("Gemma")) {
        return;
      }
      if (config.path("add_bos_token").isBoolean()) {
        before = new TokenBuffer();
        if (config.path("add_bos_token").asBoolean()) {
          bos.ifPresent(before::add);
        }
      }
      if (config.path("add_eos_token").isBoolean()) {
        after = new TokenBuffer();
        if (config.path("add_eos_token").asBoolean()) {
          eos.ifPresent(after::add);
        }
      }
    }
  }
}
