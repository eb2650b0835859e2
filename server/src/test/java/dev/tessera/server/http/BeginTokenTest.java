package dev.tessera.server.http;

import static dev.tessera.server.http.TestServer.json;
import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AutoClose;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/// A chat template writes the token that begins a prompt itself, where the model wants one: it is
/// put before raw prompts only, unless the request says otherwise.
class BeginTokenTest {
  private static final String CHAT = "\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]";
  private static final String TEXT = "\"prompt\": \"a\"";

  @AutoClose private static final TestServer server = new TestServer();

  private static String body(boolean chat, Boolean add) {
    String fields = chat ? CHAT : TEXT;
    return "{" + fields + (add == null ? "" : ", \"add_special_tokens\": " + add) + "}";
  }

  @ParameterizedTest(name = "chat {0}, add_special_tokens {1}: {2}")
  @CsvSource({
    "true,, false",
    "true, false, false",
    "true, true, true",
    "false,, true",
    "false, false, false",
    "false, true, true",
  })
  void standsBeforeRawPromptsOnly(boolean chat, Boolean add, boolean expected) {
    String path = chat ? "/v1/chat/completions" : "/v1/completions";
    assertEquals(200, server.post(path, body(chat, add)).statusCode());
    int[] prompt = server.engine.lastRequest().prompt();
    assertEquals(expected, prompt[0] == FakeTokenizer.BEGIN);

    var tokenized = json(server.post("/tokenize", body(chat, add))).get("tokens");
    assertEquals(prompt.length, tokenized.size());
    assertEquals(prompt[0], tokenized.get(0).intValue());
  }
}
