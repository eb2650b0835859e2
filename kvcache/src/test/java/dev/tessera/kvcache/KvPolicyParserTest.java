package dev.tessera.kvcache;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.OptionalDouble;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

final class KvPolicyParserTest {

  private static KvPolicy policy(String text) {
    return assertInstanceOf(PolicySetting.Fixed.class, KvPolicyParser.parse(text)).policy();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "exact",
        "exact:first=64",
        "exact:first=64,last=256",
        "exact:last=0",
        "exact;k=exact;v=exact",
        "exact;layers.0=exact"
      })
  void exactIsExactHoweverItIsWritten(String text) {
    KvPolicy policy = policy(text);
    assertTrue(policy.isExact());
    assertEquals("exact", policy.text());
    assertEquals(KvPolicy.EXACT, policy);
    assertEquals(CoolingRule.NEVER, policy.rule());
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "exact;k=i8 | exact:first=64,last=256;k=i8",
        "exact;k=i8,v=p4 | exact:first=64,last=256;k=i8;v=p4",
        "exact:first=1,last=65,k=p3 | exact:first=64,last=128;k=p3",
        "exact:first=0;v=p2 | exact:first=0,last=256;v=p2",
        "exact;k=s4@256,s3@4096 | exact:first=64,last=256;k=s4,s3@4096",
        "exact;k=s4+2,s3+2@300,s2+2@320@,v=p3 | ",
        "exact;k=s4+2,s3+2@300,s2+2@400,v=p3 |"
            + " exact:first=64,last=256;k=s4+2,s3+2@320,s2+2@448;v=p3",
        "exact:first=64,last=256;k=s3+1,v=p3;layers.0=i8 |"
            + " exact:first=64,last=256;k=s3+1;v=p3;layers.0=i8",
        "exact;k=p4;v=p4;layers.7.v=i8;layers.3-6.v=p2 |"
            + " exact:first=64,last=256;k=p4;v=p4;layers.3-6.v=p2;layers.7.v=i8",
        "exact;layers.0-2=p4;layers.1.k=i8 |"
            + " exact:first=64,last=256;layers.0=p4;layers.1.k=i8;layers.1.v=p4;layers.2=p4",
        "exact;k=p4;v=p4;layers.2=p4;layers.3=exact |"
            + " exact:first=64,last=256;k=p4;v=p4;layers.3=exact",
        "exact;layers.5=i8;k=p3 | exact:first=64,last=256;k=p3;layers.5=i8",
        "exact;layers.1.k=c3;k=c2 | exact:first=64,last=256;k=c2;layers.1.k=c3",
        "exact;k=lr3+1;layers.1.k=lr2 | exact:first=64,last=256;k=lr3+1;layers.1.k=lr2",
        "exact;k=pq64;v=pq16 | exact:first=64,last=256;k=pq64;v=pq16",
        "i8 | exact:first=64,last=256;k=i8;v=i8",
        "p3 | exact:first=64,last=256;k=p3;v=p3",
        "near-lossless | exact:first=64,last=256;k=s4+1;v=p4",
        "balanced | exact:first=64,last=256;k=s3+1;v=p3",
        "small | exact:first=64,last=256;k=s2+2;v=p2",
        "temperature:small | temperature:exact:first=64,last=256;k=s2+2;v=p2",
        "temperature:i8 | temperature:exact:first=64,last=256;k=i8;v=i8",
        "temperature:exact:last=128;k=p4,p3@300 | temperature:exact:first=64,last=128;k=p4,p3@320"
      })
  void writesEveryPolicyInOneWay(String text, String canonical) {
    if (canonical == null) {
      assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text));
      return;
    }
    KvPolicy policy = policy(text);
    assertEquals(canonical, policy.text());
    assertEquals(policy, policy(canonical));
  }

  @Test
  void randomPoliciesSurviveTheirText() {
    Random random = new Random(5);
    for (int i = 0; i < 3_000; i++) {
      KvPolicy policy = policy(Policies.randomText(random, 8, true));
      assertEquals(policy, policy(policy.text()), policy.text());
      assertEquals(policy.text(), policy(policy.text()).text());
    }
  }

  @Test
  void autoIsACaseOfItsOwn() {
    assertEquals(
        new PolicySetting.Auto(OptionalDouble.empty(), OptionalDouble.empty()),
        KvPolicyParser.parse("auto"));
    assertEquals(
        new PolicySetting.Auto(OptionalDouble.of(3.4), OptionalDouble.empty()),
        KvPolicyParser.parse("auto:bits=3.4"));
    assertEquals(
        new PolicySetting.Auto(OptionalDouble.empty(), OptionalDouble.of(0.002)),
        KvPolicyParser.parse("auto:kl=2e-3"));
  }

  @Test
  void everyAgeIsAForm() {
    KvPolicy policy = policy("exact;k=p4,p3@1024;v=p4,p2@512;layers.1.k=i8");
    CoolingRule rule = policy.rule();
    assertEquals(1, rule.firstBlocks());
    assertEquals(List.of(4, 8, 16), rule.ageBlocks());
    FormPlan plan =
        FormPlan.of(
            policy,
            new KvGeometry(
                List.of(
                    new LayerGroup(0, List.of(0, 1), 0, 0), new LayerGroup(1, List.of(2), 100, 0)),
                3,
                1,
                64));
    assertEquals("p4 p4 p3", rungs(plan, 0, true));
    assertEquals("p4 p2 p2", rungs(plan, 0, false));
    assertEquals("i8 i8 i8", rungs(plan, 1, true));
    assertEquals("exact exact exact", rungs(plan, 2, true));
    var cut = plan.forms().get(2).keys().get(0);
    assertEquals("p4", cut.full().toString());
    assertTrue(cut.cut());
    assertFalse(plan.forms().get(0).keys().get(1).cut());
    assertFalse(plan.cools(new LayerGroup(1, List.of(2), 100, 0)));
    assertTrue(plan.cools(new LayerGroup(0, List.of(0, 1), 0, 0)));
  }

  private static String rungs(FormPlan plan, int layer, boolean keys) {
    return String.join(
        " ",
        plan.forms().stream()
            .map(form -> (keys ? form.keys() : form.values()).get(layer).rung().toString())
            .toList());
  }

  @Test
  void refusesLayersThatTheModelDoesNotHave() {
    KvGeometry geometry = new KvGeometry(List.of(Fixtures.FULL), 1, 1, 64);
    String message =
        assertThrows(
                IllegalArgumentException.class,
                () -> FormPlan.of(policy("exact;layers.3=i8"), geometry))
            .getMessage();
    assertTrue(message.contains("layer 3") && message.contains("0 to 0"), message);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "'' | 1 | \"exact\"",
        "exacte | 1 | near-lossless",
        "nearlossless | 1 | near-lossless",
        "balanced:last=64 | 1 | near-lossless",
        "temperature | 1 | near-lossless",
        "temperature: | 13 | near-lossless",
        "temperature:auto | 13 | a policy, a preset or a format",
        "temperature:exact | 13 | something cools",
        "temperature:exact;k=q4 | 21 | p5 to p2",
        "temperature:temperature:small | 13 | near-lossless",
        "s4 | 1 | a format of values",
        "p4;k=p3 | 1 | a format",
        "auto: | 6 | bits=",
        "auto:bits | 10 | \"=\"",
        "auto:bits=1 | 11 | from 2.0 to 16.0",
        "auto:kl=1,bits=3 | 10 | the end",
        "auto;k=p3 | 5 | the end",
        "exact: | 7 | first=",
        "exact:first | 12 | \"=\"",
        "exact:first=x | 13 | a number",
        "exact:first=12345678901 | 13 | a number",
        "exact:middle=3 | 7 | first=",
        "exact:last=0;k=i8 | 12 | at least 64",
        "exact;q=p3 | 7 | layers.N",
        "exact;k= | 9 | a format",
        "exact;k=q4 | 9 | p5 to p2",
        "exact;k=p6 | 9 | p5 to p2",
        "exact;k=pq | 9 | pq64 or pq16",
        "exact;k=pq32 | 9 | pq64 or pq16",
        "exact;k=pq64+1 | 13 | pq64 has none",
        "exact;v=pq64,pq16@512 | 14 | nothing after pq64",
        "exact;v=lr3 | 9 | a format of values",
        "exact;k=lr4 | 9 | lr3, lr2",
        "exact;k=lr3,lr2@512 | 13 | nothing after lr3",
        "exact;v=c4 | 9 | a format of values",
        "exact;k=c5 | 9 | c4 to c2",
        "exact;k=c4+1 | 11 | c4 has none",
        "exact;k=c4,c3@512 | 12 | nothing after c4",
        "exact;k=p3+ | 12 | a number",
        "exact;k=i8+1 | 11 | i8 has none",
        "exact;k=p3+99 | 12 | at most 16",
        "exact;v=s3 | 9 | a format of values",
        "exact;v=p3+1 | 9 | a format of values",
        "exact;layers.2=s3 | 16 | a format of values",
        "exact;k=i8,p4@512 | 12 | nothing after i8",
        "exact;k=p4,i8@512 | 12 | p3 or lower after p4",
        "exact;k=p3,p4@512 | 12 | p2 after p3",
        "exact;k=p2,p2@512 | 12 | nothing after p2",
        "exact;k=s3,p2@512 | 12 | s2 after s3",
        "exact;k=s4+1,s3@512 | 14 | s3+1 or lower after s4+1",
        "exact;k=exact,p3@512 | 9 | alone",
        "exact;k=p4@512 | 9 | last=256",
        "exact;k=p4,p3 | 12 | above 256",
        "exact;k=p4,p3@512,p2@512 | 19 | above 512",
        "exact;layers.=p3 | 14 | a number",
        "exact;layers.x=p3 | 14 | a number",
        "exact;layers.5-3=p3 | 16 | from 5 on",
        "exact;layers.5-=p3 | 16 | a number",
        "exact;layers.5-900000=p3 | 16 | below 1,024",
        "exact k=p3 | 6 | \";\"",
        "exact;;k=p3 | 7 | layers.N"
      })
  void saysWhereATextIsNotAPolicy(String text, int character, String wanted) {
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text)).getMessage();
    assertTrue(message.contains("at character " + character + ","), message);
    assertTrue(message.contains(wanted), message);
    assertTrue(message.contains("--kv-cache") && message.lines().count() == 1, message);
  }

  @Test
  void refusesALongText() {
    String text = "exact:" + "first=1,".repeat(2000);
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text)).getMessage();
    assertTrue(message.contains("at most 10,000"), message);
  }

  @Test
  void refusesMoreAgesThanABlockCanHaveForms() {
    StringBuilder text = new StringBuilder("exact");
    for (int layer = 0; layer < 20; layer++) {
      text.append(";layers.%d=p4,p3@%d".formatted(layer, 320 + 64 * layer));
    }
    String message =
        assertThrows(IllegalArgumentException.class, () -> KvPolicyParser.parse(text.toString()))
            .getMessage();
    assertTrue(message.contains("21 different ages") && message.contains("15"), message);
  }
}
