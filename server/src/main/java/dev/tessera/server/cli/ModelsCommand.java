package dev.tessera.server.cli;

import dev.tessera.models.Model;
import dev.tessera.models.ModelFormatException;
import dev.tessera.models.Models;
import dev.tessera.models.hub.ModelReference;
import dev.tessera.models.hub.ModelStore;
import dev.tessera.server.http.Texts;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/// `tessera models`: what is at hand; with a name, obtains and describes it.
@Command(
    name = "models",
    description = "Lists the models at hand; obtains and describes the one that is named.")
final class ModelsCommand extends ConfiguredCommand {
  @Parameters(
      arity = "0..1",
      paramLabel = "MODEL",
      description = "'default', a GGUF file, a directory with safetensors, or hf:org/repo[:file]")
  private @Nullable String name;

  @Override
  List<Option<?>> options() {
    return List.of(Options.LOG_LEVEL);
  }

  @Override
  int run(Configuration configuration) throws IOException, InterruptedException {
    var store = new ModelStore(System.getenv());
    if (name == null) {
      list(store);
    } else {
      describe(store, name);
    }
    return 0;
  }

  private void list(ModelStore store) throws IOException {
    PrintWriter out = out();
    List<ModelStore.CachedModel> models = store.cached();
    if (models.isEmpty()) {
      out.println("no models in " + store.cache() + "; 'tessera models default' obtains one");
    }
    for (ModelStore.CachedModel model : models) {
      out.printf(
          "%-40s %10s  %s%n",
          Texts.printable(model.name().isEmpty() ? "default" : model.name()),
          ByteSize.format(model.bytes()),
          model.path());
    }
    out.flush();
  }

  private void describe(ModelStore store, String text) throws IOException, InterruptedException {
    PrintWriter out = out();
    try (var progress = new Progress()) {
      ModelReference reference =
          text.equals(Options.MODEL.absent())
              ? new ModelReference.Default()
              : ModelReference.parse(text);
      Path path = store.obtain(reference, progress::download);
      try (Model model = Models.open(path)) {
        out.println("name         " + Texts.printable(model.name()));
        out.println("path         " + path);
        out.println("weights      " + Texts.printable(model.description()));
        out.printf("parameters   %,d%n", model.parameters());
        out.println("size         " + ByteSize.format(model.fileBytes()));
        out.println("context      " + model.spec().maxPositions() + " tokens");
        out.println("vocabulary   " + model.tokenizer().vocabularySize() + " tokens");
        out.println("layers       " + model.spec().layers().size());
        out.println("chat         " + (model.chatTemplate() == null ? "no template" : "template"));
      }
    } catch (ModelFormatException | IOException | IllegalArgumentException e) {
      throw CommandFailure.failed(Texts.printable(String.valueOf(e.getMessage())));
    }
    out.flush();
  }
}
