package dev.tessera.models;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.tessera.models.RopeScaling.Yarn;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/// The expected values come from the formulas of `transformers` (`modeling_rope_utils`), evaluated
/// with numpy in double precision; what is left is the rounding of `pow` and `log`.
class RopeScalingTest {
  private static final double ROUNDING = 1e-12;

  @Test
  void plainFrequenciesFallByTheSameFactor() {
    double[] expected = {
      1.0,
      0.31622776601683794,
      0.1,
      0.03162277660168379,
      0.01,
      0.003162277660168379,
      0.001,
      0.00031622776601683794
    };
    assertArrayEquals(expected, RopeScaling.frequencies(10_000, 16), ROUNDING);
  }

  @Test
  void linearScalingDividesAll() {
    assertArrayEquals(
        new double[] {0.25, 0.025}, RopeScaling.linear(new double[] {1, 0.1}, 4), ROUNDING);
  }

  @Test
  void perPairFactorsDivideEachItsOwn() {
    assertArrayEquals(
        new double[] {1, 0.0125},
        RopeScaling.perPair(new double[] {1, 0.1}, new float[] {1, 8}),
        ROUNDING);
  }

  @Test
  void scalesLikeLlama31() {
    double[] scaled = RopeScaling.llama3(RopeScaling.frequencies(500_000, 128), 8, 1, 4, 8192);
    assertClose(
        scaled,
        new int[] {0, 1, 20, 28, 29, 30, 31, 32, 33, 34, 35, 36, 40, 63},
        1.0,
        0.8146172338565447,
        0.016560440080994446,
        0.0032114459947525913,
        0.002166570763503359,
        0.0013718935677611381,
        0.0008567514129196321,
        0.0005248461609929547,
        0.00031269375038406517,
        0.00017850781276799638,
        9.556212353964683e-05,
        7.78465527393245e-05,
        3.428102195952591e-05,
        3.068925988914511e-07);
  }

  @Test
  void scalesLikeLlama32() {
    double[] scaled = RopeScaling.llama3(RopeScaling.frequencies(500_000, 64), 32, 1, 4, 8192);
    assertClose(
        scaled,
        new int[] {0, 13, 14, 15, 16, 17, 18, 31},
        1.0,
        0.004839421345719893,
        0.0032114459947525913,
        0.001290547928209264,
        0.00042955679655936815,
        9.70828780262767e-05,
        1.9461638184831125e-05,
        9.418306725434909e-08);
  }

  @Test
  void scalesLikeYarn() {
    var yarn = new Yarn(4, 32_768, 32, 1, 1, true);
    assertClose(
        RopeScaling.yarn(RopeScaling.frequencies(1e6, 128), 1e6, yarn),
        new int[] {0, 1, 22, 23, 24, 30, 36, 39, 40, 41, 50, 63},
        1.0,
        0.8058421877614819,
        0.008659643233600653,
        0.006978305848598663,
        0.005375321490790102,
        0.0010643609812470017,
        0.00017984115587395423,
        6.490394320837028e-05,
        4.445698525097307e-05,
        3.582531425592407e-05,
        5.133812566142866e-06,
        3.102344401879299e-07);
    assertEquals(1.138629436111989, yarn.magnitude(), ROUNDING);
  }

  @Test
  void scalesLikeYarnWithoutTruncation() {
    var yarn = new Yarn(16, 4096, 32, 1, 1, false);
    assertClose(
        RopeScaling.yarn(RopeScaling.frequencies(10_000, 64), 10_000, yarn),
        new int[] {0, 5, 9, 10, 11, 15, 20, 25, 31},
        1.0,
        0.23713737056616555,
        0.07498942093324558,
        0.056234132519034905,
        0.040436894719351676,
        0.008634272965535735,
        0.0008164706233662651,
        4.6868388083278484e-05,
        8.334508951020775e-06);
  }

  @Test
  void yarnWithoutExtrapolationIsLinear() {
    var yarn = new Yarn(4, 32_768, 32, 1, 0, true);
    double[] plain = RopeScaling.frequencies(1e6, 128);
    assertArrayEquals(RopeScaling.linear(plain, 4), RopeScaling.yarn(plain, 1e6, yarn), ROUNDING);
  }

  @Test
  void magnitudeOfAWeightedYarnIsThatOfDeepseek() {
    assertEquals(1.2608037774058554, Yarn.magnitude(40, 0.707), ROUNDING);
    assertEquals(1, Yarn.magnitude(0.5, 1));
  }

  private static void assertClose(double[] found, int[] indices, double... expected) {
    double[] picked = Arrays.stream(indices).mapToDouble(i -> found[i]).toArray();
    for (int i = 0; i < picked.length; i++) {
      assertEquals(expected[i], picked[i], ROUNDING * expected[i], "pair " + indices[i]);
    }
  }
}
