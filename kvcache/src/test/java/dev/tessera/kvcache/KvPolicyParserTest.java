package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class KvPolicyParserTest {

  @ParameterizedTest
  @ValueSource(strings = {"exact", "exact:first=64", "exact:first=64,last=256", "exact:last=0"})
  void exactIsExactHoweverItIsWritten(String text) {
    KvPolicy policy = KvPolicyParser.parse(text);
    assertTrue(policy.isExact());
    assertEquals("exact", policy.text());
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exact:first=64,last=256;k=s3+1,v=p3;layers.0=i8",
        "exact;k=s4@256,s3@4096",
        "near-lossless",
        "auto:bits=3.4"
      })
  void refusesWhatWouldCoolATile(String text) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text)).getMessage();
    assertTrue(message.contains(text) && message.contains("supported: exact"), message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'' | 1",
        "exacte | 1",
        "exact: | 7",
        "exact:first | 12",
        "exact:first=x | 13",
        "exact:first=12345678901 | 13",
        "exact:middle=3 | 7",
        "exact;q=p3 | 7",
        "exact;k= | 9",
        "exact;k=p3+ | 12",
        "exact;layers.=p3 | 14",
        "exact;layers.x=p3 | 14",
        "exact k=p3 | 6"
      })
  void saysWhereATextIsNotAPolicy(String text, int character) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text)).getMessage();
    assertTrue(message.contains("at character " + character + ","), message);
    assertTrue(message.contains("supported: exact"), message);
  }

  @Test
  void refusesALongText() {
    String text = "exact:" + "first=1,".repeat(1000);
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text)).getMessage();
    assertTrue(message.contains("at most 1,000"), message);
  }

  @Test
  void theCanonicalTextTellsPoliciesApart() {
    var s3 = new KvPolicy.Rung("s3", 1, 256);
    var p3 = new KvPolicy.Rung("p3", 0, 0);
    assertEquals(
        "exact:first=64,last=256;k=s3+1@256;v=p3;layers.2=p3;layers.10=p3",
        new KvPolicy(64, 256, List.of(s3), List.of(p3), Map.of(10, List.of(p3), 2, List.of(p3)))
            .text());
  }
}
