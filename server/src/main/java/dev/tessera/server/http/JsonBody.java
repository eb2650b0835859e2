package dev.tessera.server.http;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonLocation;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/// Bytes of a request into a JSON object that holds only whole characters and finite numbers, with
/// limits on depth, numbers and the count of values.
final class JsonBody {
  static final int MAX_DEPTH = 64;
  static final int MAX_NUMBER_LENGTH = 100;
  static final int MAX_NAME_LENGTH = 1024;
  static final long MAX_TOKENS = 1_000_000;

  static final JsonMapper MAPPER =
      JsonMapper.builder(
              JsonFactory.builder()
                  .streamReadConstraints(
                      StreamReadConstraints.builder()
                          .maxNestingDepth(MAX_DEPTH)
                          .maxNumberLength(MAX_NUMBER_LENGTH)
                          .maxNameLength(MAX_NAME_LENGTH)
                          .maxTokenCount(MAX_TOKENS)
                          .maxStringLength(Integer.MAX_VALUE)
                          .build())
                  .build())
          .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
          .build();

  private JsonBody() {}

  /// The object in a body.
  ///
  /// @throws ApiException with status 400, saying where and what
  static ObjectNode parse(byte[] body) {
    JsonNode tree;
    try {
      // Decoded strictly first: Jackson would let overlong forms and coded surrogates pass.
      String text =
          StandardCharsets.UTF_8
              .newDecoder()
              .onMalformedInput(CodingErrorAction.REPORT)
              .onUnmappableCharacter(CodingErrorAction.REPORT)
              .decode(ByteBuffer.wrap(body))
              .toString();
      tree = MAPPER.readTree(text);
    } catch (CharacterCodingException e) {
      throw ApiError.badRequest(null, "the body is not valid UTF-8").asException();
    } catch (JsonProcessingException e) {
      throw ApiError.badRequest(null, "the body is not valid JSON" + where(e)).asException();
    }
    if (!(tree instanceof ObjectNode object)) {
      throw ApiError.badRequest(null, "the body must be a JSON object").asException();
    }
    requireSound(object, "");
    return object;
  }

  private static String where(JsonProcessingException e) {
    JsonLocation place = e.getLocation();
    String message = Texts.printable(Texts.shortened(e.getOriginalMessage(), 200));
    return place == null
        ? ": " + message
        : " at line %d, column %d: %s".formatted(place.getLineNr(), place.getColumnNr(), message);
  }

  /// Depth is bounded by the parser, so recursion is too.
  private static void requireSound(JsonNode node, String path) {
    switch (node.getNodeType()) {
      case OBJECT -> {
        for (var field : node.properties()) {
          requireWhole(field.getKey(), path);
          requireSound(
              field.getValue(), path.isEmpty() ? field.getKey() : path + "." + field.getKey());
        }
      }
      case ARRAY -> {
        for (int i = 0; i < node.size(); i++) {
          JsonNode element = node.get(i);
          if (element.isContainerNode() || element.isTextual() || element.isFloatingPointNumber()) {
            requireSound(element, path + "[" + i + "]");
          }
        }
      }
      case STRING -> requireWhole(node.textValue(), path);
      case NUMBER -> {
        if (node.isFloatingPointNumber() && !Double.isFinite(node.doubleValue())) {
          throw ApiError.badRequest(root(path), shown(path) + " is not a finite number")
              .asException();
        }
      }
      default -> {}
    }
  }

  private static void requireWhole(String text, String path) {
    int broken = Texts.loneSurrogate(text);
    if (broken >= 0) {
      throw ApiError.badRequest(
              root(path),
              "%s holds half a surrogate pair at character %d"
                  .formatted(path.isEmpty() ? "a field name" : shown(path), broken))
          .asException();
    }
  }

  /// A path as a message may hold it: the names in it are the client's own.
  private static String shown(String path) {
    return Texts.shortened(Texts.printable(path), 200);
  }

  private static String root(String path) {
    int end = 0;
    while (end < path.length() && path.charAt(end) != '.' && path.charAt(end) != '[') {
      end++;
    }
    return path.substring(0, end);
  }
}
