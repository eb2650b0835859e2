package dev.tessera.server;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

/// The arrows between the rooms: server -> models -> kernels -> kvcache, and the engine beside the
/// doors of the server, not behind them.
final class ArchitectureTest {
  private static final JavaClasses CLASSES =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .withImportOption(location -> !location.contains("-tests.jar"))
          .importPackages("dev.tessera");

  @Test
  void kvcacheImportsNoOtherRoomAndNoLibrary() {
    noClasses()
        .that()
        .resideInAPackage("dev.tessera.kvcache..")
        .should()
        .dependOnClassesThat()
        .resideOutsideOfPackages("dev.tessera.kvcache..", "java..", "org.jspecify..")
        .check(CLASSES);
  }

  @Test
  void kernelsKnowNeitherModelsNorServer() {
    noClasses()
        .that()
        .resideInAPackage("dev.tessera.kernels..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("dev.tessera.models..", "dev.tessera.server..")
        .check(CLASSES);
  }

  @Test
  void modelsKnowNeitherServerNorHttpNorJcuda() {
    noClasses()
        .that()
        .resideInAPackage("dev.tessera.models..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("dev.tessera.server..", "io.helidon..", "jcuda..")
        .check(CLASSES);
  }

  @Test
  void theEngineKnowsNothingOfItsFrontEnds() {
    noClasses()
        .that()
        .resideInAPackage("dev.tessera.server.engine..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "io.helidon..",
            "com.fasterxml..",
            "picocli..",
            "io.micrometer..",
            "dev.tessera.models..",
            "dev.tessera.server.http..",
            "dev.tessera.server.cli..",
            "dev.tessera.server.metrics..")
        .check(CLASSES);
  }

  @Test
  void onlyKernelsAndTheModelsFilesTouchNativeMemory() {
    noClasses()
        .that()
        .resideInAnyPackage("dev.tessera.server..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("java.lang.foreign..")
        .check(CLASSES);
  }
}
