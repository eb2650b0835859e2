package dev.tessera.server.eval;

import dev.tessera.kernels.Backend;
import dev.tessera.kernels.CooledForms;
import dev.tessera.kernels.DecoderSpec;
import dev.tessera.kernels.DecoderWeights;
import dev.tessera.kernels.codec.FormFactory;
import dev.tessera.kernels.codec.FormFactory.KeyKnowledge;
import dev.tessera.kvcache.CoolingRule;
import dev.tessera.kvcache.FormPlan;
import dev.tessera.kvcache.KvPolicy;
import dev.tessera.kvcache.KvPolicyParser;
import dev.tessera.kvcache.PolicySetting;
import dev.tessera.models.Model;
import dev.tessera.models.WidenedWeights;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.function.DoubleConsumer;
import java.util.function.Function;

/// Measures cache policies on a model, one after the other, over the bundled texts.
public final class PolicyComparison {

  /// Below that, no tile cools before the first token that counts.
  public static final int LEAST_TOKENS = 1280;

  /// More retrieval texts than that the filler has no room for.
  public static final int MOST_SEEDS = 6;

  /// More prompts than that would begin with much the same.
  public static final int MOST_PROMPTS = 64;

  /// Long enough for tiles to have cooled.
  private static final int PROMPT_TOKENS = 1024;

  /// What the noise floor is called in reports.
  private static final String FLOOR = "copies (noise floor)";

  private final Backend backend;
  private final Model model;
  private final boolean widened;
  private final Size size;
  private final Function<KvPolicy, KeyKnowledge> keys;
  private final Function<PolicySetting.Auto, KvPolicy> auto;

  /// How much is read.
  ///
  /// @param tokens of the prose; half as many of the code, and of the tables
  /// @param tables whether tables are read too
  /// @param seeds texts in which 40 facts are to be found again
  /// @param whole whether the rest of the protocol is measured, too
  /// @param prompts that the model then goes on with by itself
  public record Size(int tokens, boolean tables, int seeds, boolean whole, int prompts) {}

  /// @param widened whether quantised weights become halves: see [WidenedWeights]
  /// @param keys what a policy needs to know of the model's keys
  /// @param auto finds the policy for a budget
  public PolicyComparison(
      Backend backend,
      Model model,
      Size size,
      boolean widened,
      Function<KvPolicy, KeyKnowledge> keys,
      Function<PolicySetting.Auto, KvPolicy> auto) {
    this.backend = backend;
    this.model = model;
    this.widened = widened;
    this.size = size;
    this.keys = keys;
    this.auto = auto;
  }

  /// Checks what can be checked before anything is loaded.
  ///
  /// @throws IllegalArgumentException if a text is no policy that can be measured
  public static void require(List<String> policies) {
    for (String text : policies) {
      if (KvPolicyParser.parse(text) instanceof PolicySetting.Fixed(KvPolicy policy)
          && policy.byTemperature()) {
        throw new IllegalArgumentException(
            "cache policy \"%s\": by temperature, a text alone in memory does not cool; name the policy"
                    .formatted(text)
                + " by age whose formats it cools to");
      }
    }
  }

  private KvPolicy policy(String text) {
    return switch (KvPolicyParser.parse(text)) {
      case PolicySetting.Fixed(KvPolicy policy) -> policy;
      case PolicySetting.Auto budget -> auto.apply(budget);
    };
  }

  public String title() {
    return "%s (%s) on %s, %,d tokens, %s"
        .formatted(
            model.name(),
            model.description(),
            backend.name(),
            size.tokens,
            widened ? "weights as halves" : "weights as they are");
  }

  /// @param progress of a task with a name
  /// @param heard called with each result as it is there
  public EvaluationReport run(
      List<String> policies,
      Function<String, DoubleConsumer> progress,
      Consumer<PolicyResult> heard)
      throws IOException {
    DecoderSpec spec = model.spec();
    List<PolicyResult> results = new ArrayList<>();
    List<KvPolicy> parsed = policies.stream().map(this::policy).toList();
    List<EvaluationText> texts =
        new ArrayList<>(
            EvaluationTexts.of(model.tokenizer(), size.tokens, size.tables, size.seeds));
    int continued = texts.size() - size.seeds;
    if (size.whole) {
      texts.addAll(EvaluationTexts.tasks(model.tokenizer(), size.tokens));
    }
    List<EvaluationText> prompts =
        EvaluationTexts.prompts(model.tokenizer(), size.prompts, PROMPT_TOKENS);
    try (var halves = new WidenedWeights(model.weights())) {
      DecoderWeights weights = widened ? halves : model.weights();
      try (var evaluation = new Evaluation(backend, spec, weights, texts, progress.apply("exact"));
          var deep = size.whole ? evaluation.deeper(continued, prompts) : null) {
        if (size.whole) {
          CooledForms copies =
              CooledForms.copies(
                  new CoolingRule(1, List.of(4)),
                  spec,
                  backend.exactSlabs(spec),
                  evaluation.slabs());
          results.add(evaluation.measure(FLOOR, copies, true, deep, progress.apply(FLOOR)));
          heard.accept(results.getLast());
        }
        for (int i = 0; i < parsed.size(); i++) {
          String text = policies.get(i);
          CooledForms forms = forms(parsed.get(i), evaluation.slabs());
          PolicyResult result = evaluation.measure(text, forms, true, deep, progress.apply(text));
          results.add(result);
          heard.accept(result);
        }
      }
    }
    return new EvaluationReport(title(), results);
  }

  private CooledForms forms(KvPolicy policy, int slabs) {
    DecoderSpec spec = model.spec();
    FormPlan plan = FormPlan.of(policy, spec.kv());
    var exact = List.of(backend.exactSlabs(spec));
    long bytes = slabs * exact.stream().mapToLong(slab -> slab.slabBytes()).max().orElseThrow();
    return new FormFactory(plan, spec, exact, keys.apply(policy)).create(bytes);
  }
}
