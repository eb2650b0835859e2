package dev.tessera.server.eval;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Locale;

/// The results of an evaluation as a table, as JSON, and as a picture.
public record EvaluationReport(String title, List<PolicyResult> results) {

  private static final JsonMapper JSON = new JsonMapper();

  public static final String HEADER =
      "%-34s %11s %6s %8s %17s %8s %8s %8s %7s %8s %9s %12s %8s %10s %10s"
          .formatted(
              "policy",
              "K/V bits",
              "bits",
              "KLD",
              "95 %",
              "median",
              "99 %",
              "99.9 %",
              "top-1",
              "ΔPPL",
              "found",
              "95 %, in %",
              "KLD",
              "tokens/GiB",
              "invariant");

  public static String line(PolicyResult result) {
    Fidelity f = result.fidelity();
    return String.format(
        Locale.ROOT,
        "%-34s %5.2f/%5.2f %6.2f %8.5f %17s %8.5f %8.4f %8.4f %6.2f%% %+7.2f%% %4d/%-4d %12s %8.4f"
            + " %,10.0f"
            + " %10s",
        result.policy(),
        result.keyBits(),
        result.valueBits(),
        result.bits(),
        f.mean(),
        interval(f.meanInterval(), 1, "%.5f"),
        f.median(),
        f.percentile99(),
        f.percentile999(),
        100 * f.agreement(),
        100 * f.perplexityChange(),
        f.found(),
        f.findable(),
        interval(f.foundInterval(), 100, "%.1f"),
        f.answerDivergence(),
        result.tokensPerGiB(),
        result.invariant() == null ? "-" : result.invariant() ? "yes" : "NO");
  }

  private static String interval(Interval interval, double scale, String format) {
    return Double.isNaN(interval.low())
        ? "-"
        : String.format(
            Locale.ROOT, format + "-" + format, scale * interval.low(), scale * interval.high());
  }

  public static final String DEEPER_HEADER =
      "%-34s %9s %14s %-24s %5s %7s %9s %36s %8s %s"
          .formatted(
              "policy",
              "frozen",
              "worst scores",
              "found",
              "same",
              "matched",
              "told",
              "KLD of what it writes, by quarters",
              "resumes",
              "all cold, the older half, the less heard half");

  /// The rest of the protocol.
  public static String deeperLine(PolicyResult result, Deeper d) {
    return String.format(
        Locale.ROOT,
        "%-34s %9.5f %8.5f (%3d) %-24s %5.0f %6.1f%% %9.5f %36s %8s %s",
        result.policy(),
        d.frozen(),
        d.correlation(),
        d.worstLayer(),
        String.join(
            ", ",
            d.tasks().stream()
                .map(task -> task.name() + " " + task.found() + "/" + task.findable())
                .toList()),
        d.drift().same(),
        100 * d.drift().matched(),
        d.drift().told(),
        figures(d.drift().divergence()),
        d.resumes() == null ? "-" : d.resumes() ? "yes" : "NO",
        String.join(
            "; ",
            d.orders().stream()
                .map(o -> o.texts() + figures(List.of(o.all(), o.byAge(), o.byHeat())))
                .toList()));
  }

  private static String figures(List<Double> divergences) {
    return String.join(
        " ",
        divergences.stream().map(value -> String.format(Locale.ROOT, "%8.5f", value)).toList());
  }

  public String json() {
    ObjectNode root = JSON.createObjectNode();
    root.put("title", title);
    ArrayNode array = root.putArray("results");
    for (PolicyResult result : results) {
      Fidelity f = result.fidelity();
      ObjectNode node = array.addObject();
      node.put("policy", result.policy());
      node.put("key_bits", result.keyBits());
      node.put("value_bits", result.valueBits());
      node.put("tokens_per_gib", result.tokensPerGiB());
      node.put("rows", f.rows());
      node.put("kld_mean", f.mean());
      put(node.putArray("kld_mean_95"), f.meanInterval());
      node.put("kld_median", f.median());
      node.put("kld_99", f.percentile99());
      node.put("kld_999", f.percentile999());
      node.put("top1", f.agreement());
      node.put("perplexity_change", f.perplexityChange());
      node.put("found", f.found());
      node.put("findable", f.findable());
      put(node.putArray("found_share_95"), f.foundInterval());
      node.put("answer_kld", f.answerDivergence());
      node.put("seconds", result.seconds());
      if (result.invariant() != null) {
        node.put("invariant", result.invariant());
      }
      if (result.deeper() != null) {
        put(node, result.deeper());
      }
    }
    return root.toPrettyString();
  }

  /// Nothing where nothing was measured: JSON has no other word for it.
  private static void put(ArrayNode array, Interval interval) {
    if (!Double.isNaN(interval.low())) {
      array.add(interval.low()).add(interval.high());
    }
  }

  private static void put(ObjectNode node, Deeper deeper) {
    node.put("kld_frozen", deeper.frozen());
    node.put("score_correlation", deeper.correlation());
    node.put("worst_layer", deeper.worstLayer());
    for (Deeper.Task task : deeper.tasks()) {
      ObjectNode own = node.putObject(task.name());
      own.put("found", task.found());
      own.put("findable", task.findable());
      own.put("kld", task.divergence());
    }
    ObjectNode drift = node.putObject("drift");
    drift.put("prompts", deeper.drift().prompts());
    drift.put("tokens", deeper.drift().tokens());
    drift.put("same", deeper.drift().same());
    drift.put("matched", deeper.drift().matched());
    drift.put("kld_told", deeper.drift().told());
    deeper.drift().divergence().forEach(drift.putArray("kld")::add);
    ObjectNode orders = node.putObject("kld_cold");
    for (Deeper.Orders of : deeper.orders()) {
      ObjectNode own = orders.putObject(of.texts());
      own.put("all", of.all());
      own.put("older_half", of.byAge());
      own.put("less_heard_half", of.byHeat());
    }
    if (deeper.resumes() != null) {
      node.put("resumes", deeper.resumes());
    }
  }

  // The picture's measures, in pixels.
  private static final int WIDTH = 760;
  private static final int HEIGHT = 440;
  private static final int MARGIN = 60;
  private static final double LEAST = 1e-5; // nats; less is drawn on the border
  private static final double MOST = 1;

  /// Mean divergence over stored bits, both axes logarithmic.
  public String svg() {
    var svg = new StringBuilder();
    svg.append(
        String.format(
            Locale.ROOT,
            """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" \
            font-size="12"><title>%s</title><rect width="100%%" height="100%%" fill="white"/>
            """,
            WIDTH,
            HEIGHT,
            escaped(title)));
    for (int exponent = -5; exponent <= 0; exponent++) {
      double y = y(Math.pow(10, exponent));
      line(svg, MARGIN, y, WIDTH - MARGIN, y);
      text(svg, 8, y + 4, "1e" + exponent);
    }
    for (int bits = 2; bits <= 16; bits *= 2) {
      line(svg, x(bits), MARGIN, x(bits), HEIGHT - MARGIN);
      text(svg, x(bits) - 4, HEIGHT - MARGIN + 18, String.valueOf(bits));
    }
    text(svg, MARGIN, 24, title);
    text(svg, MARGIN, 44, "mean KL divergence from exact tiles, nats; squares: frozen mode");
    text(svg, WIDTH / 2.0 - 60, HEIGHT - 16, "stored bits per element");
    for (PolicyResult result : results) {
      double x = x(result.bits());
      double y = y(result.fidelity().mean());
      svg.append(
          String.format(
              Locale.ROOT, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"#0a6\"/>\n", x, y));
      text(svg, x + 7, y - 5, result.policy());
      if (result.deeper() != null) {
        svg.append(
            String.format(
                Locale.ROOT,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"6\" height=\"6\" fill=\"#06a\"/>\n",
                x - 3,
                y(result.deeper().frozen()) - 3));
      }
    }
    return svg.append("</svg>\n").toString();
  }

  private static double x(double bits) {
    double share = Math.log(Math.clamp(bits, 2, 16) / 2) / Math.log(8);
    return MARGIN + share * (WIDTH - 2 * MARGIN);
  }

  private static double y(double divergence) {
    double share = Math.log(Math.clamp(divergence, LEAST, MOST) / LEAST) / Math.log(MOST / LEAST);
    return HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN);
  }

  private static void line(StringBuilder svg, double x1, double y1, double x2, double y2) {
    svg.append(
        String.format(
            Locale.ROOT, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#ccc\"/>\n", x1, y1, x2, y2));
  }

  private static void text(StringBuilder svg, double x, double y, String text) {
    svg.append(
        String.format(Locale.ROOT, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x, y, escaped(text)));
  }

  private static String escaped(String text) {
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
  }
}
