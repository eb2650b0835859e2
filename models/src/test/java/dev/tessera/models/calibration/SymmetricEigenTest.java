package dev.tessera.models.calibration;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class SymmetricEigenTest {

  /// The error of n³ additions of numbers of the matrix's size is some n ulps of it.
  private static double tolerance(int n, double size) {
    return 8 * n * Math.ulp(size);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 8, 40, 64, 80, 128})
  void takesAMatrixApartAndNothingIsLost(int n) {
    double[][] matrix = random(n, 1);
    SymmetricEigen eigen = SymmetricEigen.of(matrix);
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        double sum = 0;
        double product = 0;
        for (int k = 0; k < n; k++) {
          sum += eigen.values()[k] * eigen.vectors()[k][i] * eigen.vectors()[k][j];
          product += eigen.vectors()[i][k] * eigen.vectors()[j][k];
        }
        assertEquals(matrix[i][j], sum, tolerance(n, n));
        assertEquals(i == j ? 1 : 0, product, tolerance(n, 1));
      }
      assertTrue(i == 0 || eigen.values()[i] <= eigen.values()[i - 1]);
    }
  }

  @Test
  void knowsMatricesThatNeedNoWork() {
    double[][] diagonal = {{2, 0, 0}, {0, 5, 0}, {0, 0, -1}};
    SymmetricEigen eigen = SymmetricEigen.of(diagonal);
    assertArrayEquals(new double[] {5, 2, -1}, eigen.values());
    assertArrayEquals(new double[] {0, 1, 0}, eigen.vectors()[0]);
    assertArrayEquals(new double[3], SymmetricEigen.of(new double[3][3]).values());
  }

  /// Equal eigenvalues, and some that are far smaller than the others.
  @Test
  void standsMatricesOfLowRank() {
    int n = 48;
    double[][] tall = random(n, 2);
    var matrix = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j < n; j++) {
        for (int k = 0; k < 5; k++) {
          matrix[i][j] += tall[k][i] * tall[k][j];
        }
      }
    }
    SymmetricEigen eigen = SymmetricEigen.of(matrix);
    for (int i = 5; i < n; i++) {
      assertEquals(0, eigen.values()[i], tolerance(n, eigen.values()[0]));
    }
  }

  private static double[][] random(int n, long seed) {
    var random = new Random(seed);
    var matrix = new double[n][n];
    for (int i = 0; i < n; i++) {
      for (int j = 0; j <= i; j++) {
        matrix[i][j] = random.nextGaussian();
        matrix[j][i] = matrix[i][j];
      }
    }
    return matrix;
  }
}
