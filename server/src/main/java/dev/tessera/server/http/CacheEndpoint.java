package dev.tessera.server.http;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.tessera.kvcache.CachePicture;
import dev.tessera.kvcache.KvStats;
import dev.tessera.kvcache.TierStats;
import dev.tessera.kvcache.TileShape;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.Map;

/// `/v1/cache`: the mosaic, block by block, for pictures. It says which forms a block exists in and
/// who needs it, and nothing of what it holds.
final class CacheEndpoint {
  private static final Duration PATIENCE = Duration.ofSeconds(10);

  void get(Exchange exchange, ServedModel model) {
    CachePicture picture = null;
    try {
      picture = model.engine().picture(PATIENCE);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    if (picture == null) {
      throw ApiError.unavailable("the engine has made no step for some time").asException();
    }
    exchange.sendJson(200, json(picture));
  }

  static ObjectNode json(CachePicture picture) {
    ObjectNode body = JsonNodeFactory.instance.objectNode();
    body.put("object", "cache");
    body.put("policy", picture.policy());
    body.put("block_tokens", TileShape.BLOCK_TOKENS);
    body.put("budget_bytes", picture.stats().budgetBytes());
    body.put("used_bytes", picture.stats().usedBytes());
    body.put("cached_bytes", picture.stats().cachedBytes());
    body.put("tail_bytes", picture.stats().tailBytes());
    ArrayNode tiers = body.putArray("tiers");
    picture.stats().tiers().forEach(tier -> put(tiers.addObject(), tier));
    ArrayNode groups = body.putArray("groups");
    for (CachePicture.Group group : picture.groups()) {
      ObjectNode node = groups.addObject();
      numbers(node.putArray("layers"), group.layers());
      node.put("window", group.window());
      ArrayNode forms = node.putArray("forms");
      for (CachePicture.Form form : group.forms()) {
        ObjectNode one = forms.addObject();
        one.put("slab_bytes", form.slabBytes());
        form.keys().forEach(one.putArray("keys")::add);
        form.values().forEach(one.putArray("values")::add);
      }
      ArrayNode blocks = node.putArray("blocks");
      for (CachePicture.Block block : group.blocks()) {
        ObjectNode one = blocks.addObject();
        one.put("id", block.id());
        one.put("index", block.index());
        numbers(one.putArray("forms"), block.forms());
        numbers(one.putArray("references"), block.references());
        numbers(one.putArray("tails"), block.tails());
        one.put("kind", kind(block));
        one.put("idle", block.idle());
        if (block.heat() != null) {
          one.put("heat", block.heat());
        }
      }
    }
    return body;
  }

  private static void put(ObjectNode node, KvStats.TierUse tier) {
    TierStats stats = tier.stats();
    node.put("name", stats.tier());
    node.put("budget_bytes", stats.limitBytes());
    node.put("used_bytes", stats.bytes());
    node.put("hits", tier.recalls().hits());
    node.put("misses", tier.recalls().misses());
    node.put("outrun", tier.recalls().outrun());
    node.put("stored", stats.stored());
    node.put("declined", stats.declined());
    node.put("fetched", stats.fetched());
    node.put("lost", stats.lost());
    node.put("damaged", stats.damaged());
    node.put("dropped", stats.dropped());
    ArrayNode slabs = node.putArray("slabs");
    stats.slabs().entrySet().stream()
        .filter(place -> place.getValue() > 0)
        .sorted(
            Comparator.comparingInt(
                    (Map.Entry<TierStats.Place, Long> place) -> place.getKey().group())
                .thenComparingInt(place -> place.getKey().form()))
        .forEach(
            place ->
                slabs
                    .addObject()
                    .put("group", place.getKey().group())
                    .put("form", place.getKey().form())
                    .put("slabs", place.getValue()));
  }

  private static String kind(CachePicture.Block block) {
    boolean live = block.references().stream().anyMatch(count -> count > 0);
    return live ? block.isShared() ? "shared" : "private" : "cached";
  }

  private static void numbers(ArrayNode array, List<Integer> numbers) {
    numbers.forEach(array::add);
  }
}
