package dev.tessera.server.http;

import dev.tessera.models.tokenizer.TokenStream;
import dev.tessera.models.tokenizer.Tokenizer;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;
import java.util.OptionalInt;
import java.util.Set;

/// One token per byte, and a few special ones: everything about it is obvious.
final class FakeTokenizer implements Tokenizer {
  static final int BEGIN = 256;
  static final int END = 257;
  static final int VOCABULARY = 258;

  @Override
  public int vocabularySize() {
    return VOCABULARY;
  }

  @Override
  public int[] encode(String text, boolean addSpecial, boolean parseSpecial) {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    int[] tokens = new int[bytes.length + (addSpecial ? 1 : 0)];
    int at = 0;
    if (addSpecial) {
      tokens[at++] = BEGIN;
    }
    for (byte b : bytes) {
      tokens[at++] = b & 0xff;
    }
    return tokens;
  }

  @Override
  public String piece(int token) {
    return token == BEGIN ? "<s>" : token == END ? "</s>" : "0x%02x".formatted(token);
  }

  @Override
  public byte[] bytes(int token) {
    return isSpecial(token)
        ? piece(token).getBytes(StandardCharsets.UTF_8)
        : new byte[] {(byte) token};
  }

  @Override
  public boolean isSpecial(int token) {
    return token >= BEGIN;
  }

  @Override
  public String decode(int[] tokens, boolean skipSpecial) {
    TokenStream stream = stream(skipSpecial);
    StringBuilder text = new StringBuilder();
    for (int token : tokens) {
      text.append(stream.append(token));
    }
    return text.append(stream.flush()).toString();
  }

  /// Takes the first space away, as SentencePiece does.
  @Override
  public TokenStream stream(boolean skipSpecial) {
    TokenStream all = continuation(skipSpecial);
    return new TokenStream() {
      private boolean started;

      @Override
      public String append(int token) {
        String text = all.append(token);
        boolean strip = !started && text.startsWith(" ");
        started |= !text.isEmpty();
        return strip ? text.substring(1) : text;
      }

      @Override
      public String flush() {
        return all.flush();
      }
    };
  }

  @Override
  public TokenStream continuation(boolean skipSpecial) {
    return new TokenStream() {
      private final ByteArrayOutputStream pending = new ByteArrayOutputStream();

      @Override
      public String append(int token) {
        if (!(skipSpecial && isSpecial(token))) {
          pending.writeBytes(bytes(token));
        }
        var decoder =
            StandardCharsets.UTF_8
                .newDecoder()
                .onMalformedInput(CodingErrorAction.REPLACE)
                .onUnmappableCharacter(CodingErrorAction.REPLACE);
        ByteBuffer in = ByteBuffer.wrap(pending.toByteArray());
        CharBuffer out = CharBuffer.allocate(in.remaining() * 2 + 2);
        decoder.decode(in, out, false); // an unfinished character stays in the buffer
        byte[] rest = new byte[in.remaining()];
        in.get(rest);
        pending.reset();
        pending.writeBytes(rest);
        return out.flip().toString();
      }

      @Override
      public String flush() {
        String rest = pending.size() == 0 ? "" : "\uFFFD";
        pending.reset();
        return rest;
      }
    };
  }

  @Override
  public OptionalInt beginOfSequence() {
    return OptionalInt.of(BEGIN);
  }

  @Override
  public OptionalInt endOfSequence() {
    return OptionalInt.of(END);
  }

  @Override
  public Set<Integer> endOfGeneration() {
    return Set.of(END);
  }
}
