package dev.tessera.kvcache;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/// Reads a cache policy, for example `exact:first=64,last=256;k=s3+1,v=p3;layers.0=i8`.
///
/// ```
/// setting = [ "temperature:" ] ( preset | policy | format )
///         | "auto" [ ":" ( "bits" | "kl" ) "=" decimal ]
/// preset  = "near-lossless" | "balanced" | "small"
/// policy  = "exact" [ ":" bound { "," bound } ] { ( ";" | "," ) clause }
/// bound   = ( "first" | "last" ) "=" number
/// clause  = ( "k" | "v" | layers [ ".k" | ".v" ] ) "=" rung { "," rung }
/// layers  = "layers." number [ "-" number ]
/// rung    = format [ "+" number ] [ "@" number ]
/// format  = "exact" | "i8" | "p5" … "p2" | "s4" … "s2" | "lr3" | "lr2" | "c4" … "c2"
///         | "pq64" | "pq16"
/// ```
///
/// A format alone stands for itself in keys and values, with the usual bounds: `i8` is
/// `exact:first=64,last=256;k=i8;v=i8`. A comma is followed by one more rung, or by a clause where
/// a name and `=` come next. Bounds and ages are tokens and are rounded up to whole blocks. The
/// first rung of a ladder begins where `last` ends, each further one where its `@` says, and they
/// may only go down within the planes (p) or within the spectral planes (s). Clauses hold in their
/// order: a later one replaces an earlier one. Values have neither the formats s, lr and c nor
/// spared tokens (`+`). After `temperature:` ages say how soon a tile may cool, not when it does.
public final class KvPolicyParser {

  /// What a preset's name stands for.
  private static final Map<String, String> PRESETS =
      Map.of(
          "near-lossless", "exact:first=64,last=256;k=s4+1;v=p4",
          "balanced", "exact:first=64,last=256;k=s3+1;v=p3",
          "small", "exact:first=64,last=256;k=s2+2;v=p2");

  private static final String FORMATS =
      "exact, i8, p5 to p2, s4 to s2, lr3, lr2, c4 to c2, pq64 or pq16";
  private static final int FIRST = 64;
  private static final int LAST = 256;
  private static final int MAX_CHARACTERS = 10_000;
  private static final int MAX_TOKENS = 1_000_000_000;
  private static final int MAX_LAYERS = 1_024;

  /// A rung as it was written.
  ///
  /// @param age tokens; -1 where the text says nothing
  private record Written(Rung rung, int age, int at) {}

  private final String text;
  private final int start; // of what follows "temperature:"
  private int at;
  private int first = FIRST;
  private int last = LAST;
  private int lastAt = -1;

  private KvPolicyParser(String text, int start) {
    this.text = text;
    this.start = start;
    this.at = start;
  }

  /// What a text asks for.
  ///
  /// @throws IllegalArgumentException saying in one line what is wrong with it, and where
  public static PolicySetting parse(String text) {
    if (text.length() > MAX_CHARACTERS) {
      throw new IllegalArgumentException(
          "cache policy of %,d characters; at most %,d".formatted(text.length(), MAX_CHARACTERS));
    }
    int start = text.startsWith(KvPolicy.TEMPERATURE) ? KvPolicy.TEMPERATURE.length() : 0;
    String preset = PRESETS.get(text.substring(start));
    String whole = preset == null ? text : text.substring(0, start) + preset;
    return new KvPolicyParser(whole, start).setting();
  }

  private PolicySetting setting() {
    return switch (name()) {
      case "exact" -> new PolicySetting.Fixed(policy());
      case "auto" -> {
        if (start > 0) {
          throw expected("a policy, a preset or a format", start);
        }
        yield auto();
      }
      default -> new PolicySetting.Fixed(everywhere());
    };
  }

  /// One format in keys and values.
  private KvPolicy everywhere() {
    if (!isFormat(text.substring(start))) {
      throw expected(
          "\"exact\", \"auto\", one of the presets near-lossless, balanced and small, or a format",
          start);
    }
    at = start;
    List<Written> rungs = List.of(rung());
    return policy(ladder(rungs, true), ladder(rungs, false), new TreeMap<>());
  }

  private boolean isFormat(String name) {
    try {
      format(name, 0);
      return true;
    } catch (IllegalArgumentException e) {
      return false;
    }
  }

  private PolicySetting auto() {
    OptionalDouble bits = OptionalDouble.empty();
    OptionalDouble divergence = OptionalDouble.empty();
    if (take(':')) {
      int start = at;
      switch (name()) {
        case "bits" -> bits = OptionalDouble.of(decimal(2, 16));
        case "kl" -> divergence = OptionalDouble.of(decimal(1e-6, 100));
        default -> throw expected("\"bits=\" or \"kl=\"", start);
      }
    }
    if (at < text.length()) {
      throw expected("the end of the text", at);
    }
    return new PolicySetting.Auto(bits, divergence);
  }

  private double decimal(double least, double most) {
    require('=');
    int start = at;
    while (at < text.length() && "0123456789.eE-".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
    try {
      double value = Double.parseDouble(text.substring(start, at));
      if (value >= least && value <= most) {
        return value;
      }
    } catch (NumberFormatException e) {
      // Said below.
    }
    throw expected("a number from %s to %s".formatted(least, most), start);
  }

  private KvPolicy policy() {
    if (take(':')) {
      bound();
      while (text.startsWith(",first=", at) || text.startsWith(",last=", at)) {
        at++;
        bound();
      }
    }
    Ladder keys = Ladder.EXACT;
    Ladder values = Ladder.EXACT;
    List<LayerClause> overrides = new ArrayList<>();
    while (at < text.length()) {
      if (!take(';') && !take(',')) {
        throw expected("\";\"", at);
      }
      int start = at;
      String key = name();
      switch (key) {
        case "k" -> keys = ladder(rungs(), true);
        case "v" -> values = ladder(rungs(), false);
        default -> overrides.add(layerClause(key, start));
      }
    }
    TreeMap<Integer, KvPolicy.LayerLadders> layers = new TreeMap<>();
    for (LayerClause clause : overrides) {
      for (int layer = clause.first; layer <= clause.last; layer++) {
        var before = layers.getOrDefault(layer, new KvPolicy.LayerLadders(keys, values));
        layers.put(
            layer,
            new KvPolicy.LayerLadders(
                clause.keys == null ? before.keys() : clause.keys,
                clause.values == null ? before.values() : clause.values));
      }
    }
    return policy(keys, values, layers);
  }

  private KvPolicy policy(
      Ladder keys, Ladder values, SortedMap<Integer, KvPolicy.LayerLadders> layers) {
    KvPolicy policy = new KvPolicy(first, last, keys, values, layers, start > 0);
    if (start > 0 && policy.isExact()) {
      throw expected("a policy by which something cools", start);
    }
    if (policy.ages().size() >= BlockRef.MAX_FORMS) {
      throw new IllegalArgumentException(
          "cache policy \"%s\": rungs begin at %d different ages; there may be %d"
              .formatted(text, policy.ages().size(), BlockRef.MAX_FORMS - 1));
    }
    return policy;
  }

  private void bound() {
    int start = at;
    switch (name()) {
      case "first" -> {
        require('=');
        first = wholeBlocks(number());
      }
      case "last" -> {
        require('=');
        lastAt = at;
        last = wholeBlocks(number());
      }
      default -> throw expected("\"first=\" or \"last=\"", start);
    }
  }

  /// @param keys null where the clause says nothing of them
  private record LayerClause(int first, int last, @Nullable Ladder keys, @Nullable Ladder values) {}

  private LayerClause layerClause(String key, int start) {
    String prefix = "layers.";
    if (!key.startsWith(prefix)) {
      throw expected("\"k=\", \"v=\" or \"layers.N=\"", start);
    }
    boolean keysOnly = key.endsWith(".k");
    boolean valuesOnly = key.endsWith(".v");
    String range = key.substring(prefix.length(), key.length() - (keysOnly || valuesOnly ? 2 : 0));
    int rangeAt = start + prefix.length();
    int dash = range.indexOf('-');
    int from = layer(dash < 0 ? range : range.substring(0, dash), rangeAt);
    int to = dash < 0 ? from : layer(range.substring(dash + 1), rangeAt + dash + 1);
    if (to < from) {
      throw expected("a layer from %d on".formatted(from), rangeAt + dash + 1);
    }
    List<Written> rungs = rungs();
    return new LayerClause(
        from, to, valuesOnly ? null : ladder(rungs, true), keysOnly ? null : ladder(rungs, false));
  }

  private int layer(String digits, int start) {
    int layer = number(digits, start);
    if (layer >= MAX_LAYERS) {
      throw expected("a layer below %,d".formatted(MAX_LAYERS), start);
    }
    return layer;
  }

  private List<Written> rungs() {
    require('=');
    List<Written> rungs = new ArrayList<>();
    do {
      rungs.add(rung());
    } while (!clauseFollows() && take(','));
    return rungs;
  }

  private Written rung() {
    int start = at;
    String format = name();
    Rung rung = format(format, start);
    if (take('+')) {
      int sparedAt = at;
      int spared = number();
      if (!rung.family().canSpare()) {
        throw expected("no spared tokens: %s has none".formatted(format), sparedAt - 1);
      }
      if (spared > Rung.MAX_SPARED) {
        throw expected("at most %d spared tokens".formatted(Rung.MAX_SPARED), sparedAt);
      }
      rung = new Rung(rung.family(), rung.bits(), spared);
    }
    return new Written(rung, take('@') ? wholeBlocks(number()) : -1, start);
  }

  private Rung format(String format, int start) {
    return switch (format) {
      case "exact" -> Rung.EXACT;
      case "i8" -> new Rung(Rung.Family.INT8, 8, 0);
      case "p5", "p4", "p3", "p2" -> new Rung(Rung.Family.PLANES, format.charAt(1) - '0', 0);
      case "s4", "s3", "s2" -> new Rung(Rung.Family.SPECTRAL, format.charAt(1) - '0', 0);
      case "pq64" -> new Rung(Rung.Family.PAIRS, 3, 0);
      case "pq16" -> new Rung(Rung.Family.PAIRS, 2, 0);
      case "lr3", "lr2" -> new Rung(Rung.Family.LOW_RANK, format.charAt(2) - '0', 0);
      case "c4", "c3", "c2" -> new Rung(Rung.Family.CHANNELS, format.charAt(1) - '0', 0);
      default -> throw expected("a format, " + FORMATS, start);
    };
  }

  private Ladder ladder(List<Written> rungs, boolean keys) {
    if (rungs.size() == 1 && rungs.getFirst().rung.isExact()) {
      if (rungs.getFirst().age >= 0) {
        throw expected("\"exact\" without an age", rungs.getFirst().at);
      }
      return Ladder.EXACT;
    }
    List<Ladder.Step> steps = new ArrayList<>();
    for (Written written : rungs) {
      Rung rung = written.rung;
      if (!keys && (rung.family().isOfKeys() || rung.spared() > 0)) {
        throw expected("a format of values, i8, p5 to p2, pq64 or pq16", written.at);
      }
      if (steps.isEmpty()) {
        steps.add(new Ladder.Step(rung, firstAge(written)));
      } else {
        Ladder.Step before = steps.getLast();
        if (!Ladder.isCutFrom(rung, before.rung())) {
          throw expected(following(before.rung()), written.at);
        }
        if (written.age <= before.fromAge()) {
          throw expected("%s@ with an age above %d".formatted(rung, before.fromAge()), written.at);
        }
        steps.add(new Ladder.Step(rung, written.age));
      }
    }
    return new Ladder(steps);
  }

  private int firstAge(Written written) {
    if (written.rung.isExact()) {
      throw expected("\"exact\" alone or a format that follows it", written.at);
    }
    if (last == 0) {
      throw expected("at least " + TileShape.BLOCK_TOKENS + " tokens", lastAt);
    }
    if (written.age >= 0 && written.age != last) {
      throw expected(
          "%s@%d: the first format begins where last=%d ends".formatted(written.rung, last, last),
          written.at);
    }
    return last;
  }

  private static String following(Rung before) {
    if (!before.family().isLadder() || before.bits() == 2) {
      return "nothing after " + before;
    }
    Rung next = new Rung(before.family(), before.bits() - 1, before.spared());
    return next + (next.bits() > 2 ? " or lower" : "") + " after " + before;
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
      throw expected("a number below %,d".formatted(MAX_TOKENS), start);
    }
    return Integer.parseInt(digits);
  }

  private static int wholeBlocks(int tokens) {
    return Math.ceilDiv(tokens, TileShape.BLOCK_TOKENS) * TileShape.BLOCK_TOKENS;
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
        "cache policy \"%s\": expected %s at character %d, found %s (--kv-cache, kv-cache.policy)"
            .formatted(text, what, position + 1, found));
  }
}
