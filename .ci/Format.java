import com.google.googlejavaformat.java.Formatter;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;

/// Checks (`--check`) or rewrites (`--write`) every Java source below a directory with
/// google-java-format. The build runs it as a process of JDK 25, because the formatter needs that
/// compiler's parser and Maven itself may run on an older JVM.
void main(String[] args) throws Exception {
  boolean write = args[0].equals("--write");
  Path root = Path.of(args[1]);
  var formatter = new Formatter();
  List<Path> unformatted = new ArrayList<>();
  for (Path file : sources(root)) {
    String source = Files.readString(file);
    // Twice: wrapping a comment can leave a line that the next pass joins.
    String formatted =
        formatter.formatSourceAndFixImports(formatter.formatSourceAndFixImports(source));
    if (!formatted.equals(source)) {
      unformatted.add(root.relativize(file));
      if (write) {
        Files.writeString(file, formatted);
      }
    }
  }
  if (write) {
    IO.println("formatted " + unformatted.size() + " files");
  } else if (!unformatted.isEmpty()) {
    unformatted.forEach(file -> System.err.println("not in the house format: " + file));
    System.err.println("rewrite them with: mvn -Pformat process-sources -N");
    System.exit(1);
  }
}

static List<Path> sources(Path root) throws IOException {
  List<Path> files = new ArrayList<>();
  Files.walkFileTree(
      root,
      new SimpleFileVisitor<>() {
        @Override
        public FileVisitResult preVisitDirectory(Path dir, BasicFileAttributes attributes) {
          String name = dir.getFileName().toString();
          boolean skip = name.equals("target") || (name.startsWith(".") && !name.equals(".ci"));
          return skip && !dir.equals(root)
              ? FileVisitResult.SKIP_SUBTREE
              : FileVisitResult.CONTINUE;
        }

        @Override
        public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
          if (file.toString().endsWith(".java")) {
            files.add(file);
          }
          return FileVisitResult.CONTINUE;
        }
      });
  return files;
}
