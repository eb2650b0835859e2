package dev.tessera.models.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.MissingNode;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.OneLine;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.Reader;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/// What a `tokenizer.json` says, before it is made into stages. Vocabulary and merges, which are
/// nearly all of the file, are read as a stream: as a tree they would take ten times their size.
final class TokenizerJson {
  private static final ObjectMapper MAPPER =
      new ObjectMapper(
          JsonFactory.builder()
              .streamReadConstraints(
                  StreamReadConstraints.builder().maxNestingDepth(64).maxNumberLength(100).build())
              .build());

  /// The pieces of the model, in the order of the file, with their ids.
  final List<String> pieces = new ArrayList<>();

  final TokenBuffer ids = new TokenBuffer();

  /// Scores by piece, in a unigram model; elsewhere empty.
  final List<Double> scores = new ArrayList<>();

  final List<String> mergeLefts = new ArrayList<>();
  final List<String> mergeRights = new ArrayList<>();

  private final Map<String, JsonNode> sections = new HashMap<>();
  private final Map<String, JsonNode> options = new HashMap<>();

  private TokenizerJson() {}

  /// @throws ModelFormatException if it is not JSON, or vocabulary or merges have another shape
  static TokenizerJson parse(InputStream input) throws IOException, ModelFormatException {
    TokenizerJson json = new TokenizerJson();
    try (JsonParser parser = MAPPER.createParser(utf8(input))) {
      expect(parser, parser.nextToken(), JsonToken.START_OBJECT, "the file");
      while (parser.nextToken() != JsonToken.END_OBJECT) {
        String field = name(parser);
        JsonToken value = parser.nextToken();
        if (field.equals("model") && value == JsonToken.START_OBJECT) {
          json.readModel(parser);
        } else {
          json.sections.put(field, MAPPER.readTree(parser));
        }
      }
    } catch (JsonProcessingException e) {
      throw new ModelFormatException(
          "tokenizer.json" + where(e.getLocation()) + ": " + OneLine.of(e.getOriginalMessage()));
    } catch (CharacterCodingException e) {
      throw new ModelFormatException("tokenizer.json is not UTF-8", e);
    }
    return json;
  }

  /// A small JSON file beside it.
  static JsonNode small(String name, InputStream input) throws IOException, ModelFormatException {
    try {
      JsonNode tree = MAPPER.readTree(utf8(input));
      return tree == null ? MissingNode.getInstance() : tree;
    } catch (JsonProcessingException e) {
      throw new ModelFormatException(
          name + where(e.getLocation()) + ": " + OneLine.of(e.getOriginalMessage()));
    } catch (CharacterCodingException e) {
      throw new ModelFormatException(name + " is not UTF-8", e);
    }
  }

  private static Reader utf8(InputStream input) {
    return new InputStreamReader(input, StandardCharsets.UTF_8.newDecoder());
  }

  private static String where(JsonLocation location) {
    return location == null
        ? ""
        : " line %d column %d".formatted(location.getLineNr(), location.getColumnNr());
  }

  /// A part of the file; missing where it is absent or null.
  JsonNode section(String name) {
    return orMissing(sections.get(name));
  }

  /// An entry of the model other than vocabulary and merges.
  JsonNode option(String name) {
    return orMissing(options.get(name));
  }

  private static JsonNode orMissing(@Nullable JsonNode node) {
    return node == null || node.isNull() ? MissingNode.getInstance() : node;
  }

  private void readModel(JsonParser parser) throws IOException, ModelFormatException {
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      String field = name(parser);
      JsonToken value = parser.nextToken();
      if (field.equals("vocab") && pieces.isEmpty() && value == JsonToken.START_OBJECT) {
        readVocabulary(parser);
      } else if (field.equals("vocab") && pieces.isEmpty() && value == JsonToken.START_ARRAY) {
        readScoredVocabulary(parser);
      } else if (field.equals("merges") && mergeLefts.isEmpty()) {
        expect(parser, value, JsonToken.START_ARRAY, "model.merges");
        readMerges(parser);
      } else {
        options.put(field, MAPPER.readTree(parser));
      }
    }
  }

  private void readVocabulary(JsonParser parser) throws IOException, ModelFormatException {
    while (parser.nextToken() != JsonToken.END_OBJECT) {
      pieces.add(name(parser));
      expect(parser, parser.nextToken(), JsonToken.VALUE_NUMBER_INT, "an id in model.vocab");
      ids.add(parser.getIntValue());
    }
  }

  private void readScoredVocabulary(JsonParser parser) throws IOException, ModelFormatException {
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      expect(parser, parser.currentToken(), JsonToken.START_ARRAY, "an entry of model.vocab");
      expect(parser, parser.nextToken(), JsonToken.VALUE_STRING, "a piece in model.vocab");
      ids.add(pieces.size());
      pieces.add(parser.getText());
      if (!parser.nextToken().isNumeric()) {
        throw unexpected(parser, "a score in model.vocab", JsonToken.VALUE_NUMBER_FLOAT);
      }
      scores.add(parser.getDoubleValue());
      expect(parser, parser.nextToken(), JsonToken.END_ARRAY, "an entry of model.vocab");
    }
  }

  /// A merge is `"a b"` or `["a", "b"]`; only the second can have spaces in its parts.
  private void readMerges(JsonParser parser) throws IOException, ModelFormatException {
    while (parser.nextToken() != JsonToken.END_ARRAY) {
      if (parser.currentToken() == JsonToken.VALUE_STRING) {
        String merge = parser.getText();
        int space = merge.indexOf(' ');
        if (space <= 0 || space == merge.length() - 1 || merge.indexOf(' ', space + 1) >= 0) {
          throw new ModelFormatException(
              "tokenizer.json: merge %,d is '%s'; expected two parts and a space between"
                  .formatted(mergeLefts.size(), OneLine.of(merge)));
        }
        mergeLefts.add(merge.substring(0, space));
        mergeRights.add(merge.substring(space + 1));
      } else {
        expect(parser, parser.currentToken(), JsonToken.START_ARRAY, "an entry of model.merges");
        expect(parser, parser.nextToken(), JsonToken.VALUE_STRING, "a part of a merge");
        mergeLefts.add(parser.getText());
        expect(parser, parser.nextToken(), JsonToken.VALUE_STRING, "a part of a merge");
        mergeRights.add(parser.getText());
        expect(parser, parser.nextToken(), JsonToken.END_ARRAY, "a merge of two parts");
      }
    }
  }

  private static String name(JsonParser parser) throws IOException, ModelFormatException {
    expect(parser, parser.currentToken(), JsonToken.FIELD_NAME, "a name");
    return parser.currentName();
  }

  private static void expect(
      JsonParser parser, @Nullable JsonToken found, JsonToken expected, String what)
      throws ModelFormatException {
    if (found != expected) {
      throw unexpected(parser, what, expected);
    }
  }

  private static ModelFormatException unexpected(
      JsonParser parser, String what, JsonToken expected) {
    return new ModelFormatException(
        "tokenizer.json%s: %s should be %s, found %s"
            .formatted(
                where(parser.currentTokenLocation()), what, expected, parser.currentToken()));
  }
}
