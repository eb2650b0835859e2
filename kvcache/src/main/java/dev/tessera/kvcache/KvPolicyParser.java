package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/// Reads a cache policy, for example `exact:first=64,last=256;k=s3+1,v=p3;layers.0=i8`.
///
/// ```
/// policy  = "exact" [ ":" bound { "," bound } ] { (";" | ",") clause }
/// bound   = ("first" | "last") "=" number
/// clause  = ("k" | "v" | "layers." number) "=" rung { "," rung }
/// rung    = format [ "+" number ] [ "@" number ]
/// ```
///
/// A comma is followed by one more rung, or by a clause where a name and `=` come next. This
/// version computes with exact tiles alone and refuses every policy that would cool one.
public final class KvPolicyParser {
  private static final String SUPPORTED = "supported: exact (--kv-cache, kv-cache.policy)";
  private static final Set<String> PRESETS =
      Set.of("near-lossless", "balanced", "small", "auto", "temperature");
  private static final int MAX_CHARACTERS = 1_000;

  private final String text;
  private int at;

  private KvPolicyParser(String text) {
    this.text = text;
  }

  /// The policy that a text describes.
  ///
  /// @throws IllegalArgumentException if the text is not a policy, or not one that is supported
  public static KvPolicy parse(String text) {
    if (text.length() > MAX_CHARACTERS) {
      throw new IllegalArgumentException(
          "cache policy of %,d characters; at most %,d".formatted(text.length(), MAX_CHARACTERS));
    }
    KvPolicy policy = new KvPolicyParser(text).policy();
    if (!policy.isExact()) {
      throw new IllegalArgumentException(
          "cache policy \"%s\" cools tiles, which this version does not; %s"
              .formatted(text, SUPPORTED));
    }
    return policy;
  }

  private KvPolicy policy() {
    String head = name();
    if (PRESETS.contains(head)) {
      throw new IllegalArgumentException(
          "cache policy \"%s\" cools tiles, which this version does not; %s"
              .formatted(text, SUPPORTED));
    }
    if (!head.equals("exact")) {
      throw expected("\"exact\"", 0);
    }
    int first = 0;
    int last = 0;
    if (take(':')) {
      do {
        int start = at;
        switch (name()) {
          case "first" -> first = assigned();
          case "last" -> last = assigned();
          default -> throw expected("\"first=\" or \"last=\"", start);
        }
      } while (take(','));
    }
    List<KvPolicy.Rung> keys = new ArrayList<>();
    List<KvPolicy.Rung> values = new ArrayList<>();
    Map<Integer, List<KvPolicy.Rung>> layers = new HashMap<>();
    while (at < text.length()) {
      if (!take(';') && !take(',')) {
        throw expected("\";\"", at);
      }
      int start = at;
      String key = name();
      require('=');
      switch (key) {
        case "k" -> rungs(keys);
        case "v" -> rungs(values);
        default -> rungs(layers.computeIfAbsent(layer(key, start), k -> new ArrayList<>()));
      }
    }
    return new KvPolicy(first, last, keys, values, layers);
  }

  private int layer(String key, int start) {
    String prefix = "layers.";
    if (!key.startsWith(prefix)) {
      throw expected("\"k=\", \"v=\" or \"layers.N=\"", start);
    }
    return number(key.substring(prefix.length()), start + prefix.length());
  }

  private void rungs(List<KvPolicy.Rung> rungs) {
    do {
      int start = at;
      String format = name();
      if (format.isEmpty()) {
        throw expected("a format", start);
      }
      int spared = take('+') ? number() : 0;
      int age = take('@') ? number() : 0;
      rungs.add(new KvPolicy.Rung(format, spared, age));
    } while (!clauseFollows() && take(','));
  }

  /// Whether a comma is followed by a name and `=`: then it ends this clause.
  private boolean clauseFollows() {
    if (at >= text.length() || text.charAt(at) != ',') {
      return false;
    }
    int end = at + 1;
    while (end < text.length() && isNameCharacter(text.charAt(end))) {
      end++;
    }
    return end < text.length() && text.charAt(end) == '=';
  }

  private int assigned() {
    require('=');
    return number();
  }

  private int number() {
    int start = at;
    while (at < text.length() && Character.digit(text.charAt(at), 10) >= 0) {
      at++;
    }
    return number(text.substring(start, at), start);
  }

  private int number(String digits, int start) {
    boolean plain = !digits.isEmpty() && digits.length() <= 9;
    for (int i = 0; plain && i < digits.length(); i++) {
      plain = digits.charAt(i) >= '0' && digits.charAt(i) <= '9';
    }
    if (!plain) {
      throw expected("a number below 1,000,000,000", start);
    }
    return Integer.parseInt(digits);
  }

  private String name() {
    int start = at;
    while (at < text.length() && isNameCharacter(text.charAt(at))) {
      at++;
    }
    return text.substring(start, at);
  }

  private static boolean isNameCharacter(char c) {
    return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '_';
  }

  private boolean take(char c) {
    boolean found = at < text.length() && text.charAt(at) == c;
    at += found ? 1 : 0;
    return found;
  }

  private void require(char c) {
    if (!take(c)) {
      throw expected("\"" + c + "\"", at);
    }
  }

  private IllegalArgumentException expected(String what, int position) {
    String found =
        position < text.length() ? "\"" + text.substring(position) + "\"" : "the end of the text";
    return new IllegalArgumentException(
        "cache policy \"%s\": expected %s at character %d, found %s; %s"
            .formatted(text, what, position + 1, found, SUPPORTED));
  }
}
