package dev.tessera.models.tokenizer;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CodingErrorAction;
import java.nio.charset.StandardCharsets;

/// Decodes bytes as they come and keeps back the (at most three) bytes of an unfinished character.
final class Utf8TokenStream implements TokenStream {
  private final Vocabulary vocabulary;
  private final boolean skipSpecial;
  private final CharsetDecoder decoder =
      StandardCharsets.UTF_8
          .newDecoder()
          .onMalformedInput(CodingErrorAction.REPLACE)
          .onUnmappableCharacter(CodingErrorAction.REPLACE);
  private byte[] unfinished = {};
  private boolean dropLeadingSpace;

  Utf8TokenStream(Vocabulary vocabulary, boolean skipSpecial, boolean dropLeadingSpace) {
    this.vocabulary = vocabulary;
    this.skipSpecial = skipSpecial;
    this.dropLeadingSpace = dropLeadingSpace;
  }

  @Override
  public String append(int token) {
    if (skipSpecial && vocabulary.isSpecial(token)) {
      return "";
    }
    byte[] bytes = vocabulary.bytes(token);
    int skip = dropLeadingSpace && bytes.length > 0 && bytes[0] == ' ' ? 1 : 0;
    dropLeadingSpace &= bytes.length == 0;
    ByteBuffer input = ByteBuffer.allocate(unfinished.length + bytes.length - skip);
    input.put(unfinished).put(bytes, skip, bytes.length - skip).flip();
    return decode(input, false);
  }

  @Override
  public String flush() {
    return decode(ByteBuffer.wrap(unfinished), true);
  }

  private String decode(ByteBuffer input, boolean end) {
    // A byte becomes one character at most.
    CharBuffer output = CharBuffer.allocate(input.remaining());
    decoder.reset();
    decoder.decode(input, output, end);
    if (end) {
      decoder.flush(output);
    }
    unfinished = new byte[input.remaining()];
    input.get(unfinished);
    return output.flip().toString();
  }
}
